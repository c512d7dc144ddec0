//! What the supervisor does when a connection has ended.
//!
//! No actors, sockets or clocks are used here. [`steps`] is the whole order; the actor takes one step after the other.

use super::{child, children::Next};

/// The facts about the end of a connection that determine the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The session moves: the connector has served its events, and has closed its connection.
    Moved,
    /// The session has stopped its upstream side before.
    Stopped,
    /// The session no longer has the server of the connector.
    Forgotten,
    /// The session ends with the connection.
    Session,
    /// The connection was lost, and the client stays.
    Lost(Successor),
}

/// What takes the place of a lost connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// The other connection of a move, which is dialed already.
    Other,
    /// The connection of the next attempt.
    Redial,
    /// The connection that an event causes, to a server that it names by `$url`.
    OnDemand,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndStep {
    /// Report the loss to the upstream, which may reserve a place at another endpoint.
    ReportLoss,
    /// Record the loss as the start of the gap that the next connection reports.
    NoteLoss,
    /// Record that the connector's span of the output has no connection.
    EndSpan,
    /// Keep the events of which nothing was written, if the settings allow it.
    Keep,
    /// Record that the connector returns no further event of what it got before its mark.
    SettleSpan,
    /// Fail the events that wait for a connection.
    FailKept,
    /// Give the connection's events their outcomes.
    Settle,
    /// Fail the events that the journal kept for another connection.
    GiveUp,
    /// Send the outcomes to the client.
    Send,
    /// Switch the output to the supervisor.
    Detach,
    /// Start the heartbeats of the client's protocol, if the connection had the journal.
    Beat,
    /// Continue with the other connection of a move.
    TakeOther,
    /// Log the restart.
    Log,
    /// End the move without a connection, and fail the events that only the move has kept.
    EndMove,
    /// Dial the server again, after the delay or for the next event.
    Redial,
    /// Have the session drain, and send it the outcomes. Close the other connections.
    EndSession,
}

impl End {
    /// The end of a connection that is not moved. `next` is what it requires, `is_stopped` whether the session has
    /// stopped its upstream side, and `has_other` whether a move has another connection, which the session may use.
    pub fn new(next: &Next, is_stopped: bool, has_other: bool) -> Self {
        match next {
            Next::Nothing if is_stopped => Self::Stopped,
            Next::Nothing => Self::Forgotten,
            Next::EndSession(_) => Self::Session,
            Next::Redial(child::Redial::OnDemand, _) => Self::Lost(Successor::OnDemand),
            Next::Redial(child::Redial::Automatic, _) if has_other => Self::Lost(Successor::Other),
            Next::Redial(child::Redial::Automatic, _) => Self::Lost(Successor::Redial),
        }
    }
}

/// The steps after the end of a connection, in their order.
///
/// - An event is kept, or gets its outcome, before the output is switched: later events find no connection then, and
///   their outcomes follow.
/// - Unwritten events are kept before the span is settled: the next connector may be released after that.
/// - Events that only a move has kept fail before the server is dialed again: later events fail as they arrive.
pub fn steps(end: End) -> &'static [EndStep] {
    use EndStep::*;
    match end {
        End::Moved => &[EndSpan, SettleSpan, NoteLoss, Settle, Send, Beat, TakeOther],
        End::Stopped => &[EndSpan, Settle, GiveUp, Send],
        End::Forgotten => &[EndSpan, Settle, Send],
        End::Session => &[ReportLoss, EndSpan, FailKept, Settle, GiveUp, EndSession],
        End::Lost(Successor::Other) => {
            &[ReportLoss, NoteLoss, EndSpan, Keep, SettleSpan, Settle, Send, Detach, Beat, TakeOther, Log]
        }
        End::Lost(Successor::Redial) => {
            &[ReportLoss, NoteLoss, EndSpan, Keep, SettleSpan, Settle, Send, Detach, Beat, EndMove, Redial]
        }
        End::Lost(Successor::OnDemand) => &[ReportLoss, Settle, Send, Redial],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EndStep::*, *};
    use crate::supervisor::{Verdict, loss::SessionEnd};

    const ENDS: [End; 7] = [
        End::Moved,
        End::Stopped,
        End::Forgotten,
        End::Session,
        End::Lost(Successor::Other),
        End::Lost(Successor::Redial),
        End::Lost(Successor::OnDemand),
    ];

    /// The position of `wanted` in `steps`; `None` if it is not one of them.
    fn place(steps: &[EndStep], wanted: EndStep) -> Option<usize> {
        steps.iter().position(|step| *step == wanted)
    }

    #[test]
    fn what_follows_depends_on_the_server_the_client_and_the_move() {
        let verdict = Verdict { delay: Duration::ZERO, attempt: 1, gives_up: false, probing: false };
        let redial = |redial| Next::Redial(redial, verdict);
        let (automatic, on_demand) = (child::Redial::Automatic, child::Redial::OnDemand);
        let pass = || Next::EndSession(SessionEnd::Pass(None));
        let table = [
            (Next::Nothing, true, false, End::Stopped),
            (Next::Nothing, true, true, End::Stopped),
            (Next::Nothing, false, false, End::Forgotten),
            (Next::Nothing, false, true, End::Forgotten),
            (pass(), false, false, End::Session),
            (pass(), false, true, End::Session),
            (redial(automatic), false, false, End::Lost(Successor::Redial)),
            (redial(automatic), false, true, End::Lost(Successor::Other)),
            (redial(on_demand), false, false, End::Lost(Successor::OnDemand)),
            (redial(on_demand), false, true, End::Lost(Successor::OnDemand)),
        ];
        for (next, is_stopped, has_other, end) in table {
            assert_eq!(End::new(&next, is_stopped, has_other), end, "{next:?} {has_other}");
        }
    }

    /// For each end: how the connection's events and the kept ones end, and what takes the place of the connection.
    #[test]
    fn each_end_has_its_steps() {
        let table: [(End, &[EndStep], &[EndStep]); 7] = [
            (End::Moved, &[Beat, TakeOther], &[Keep, FailKept, Log, Redial, EndSession, ReportLoss]),
            (End::Stopped, &[GiveUp], &[Keep, TakeOther, Redial, EndSession, Detach]),
            (End::Forgotten, &[], &[Keep, GiveUp, TakeOther, Redial, EndSession, Detach]),
            (End::Session, &[FailKept, GiveUp, EndSession], &[Keep, TakeOther, Redial, Send]),
            (
                End::Lost(Successor::Other),
                &[Keep, Detach, TakeOther, Log],
                &[FailKept, EndMove, Redial, EndSession],
            ),
            (
                End::Lost(Successor::Redial),
                &[Keep, Detach, EndMove, Redial],
                &[FailKept, TakeOther, EndSession],
            ),
            (End::Lost(Successor::OnDemand), &[Redial], &[Keep, Detach, TakeOther, EndMove, EndSession]),
        ];
        assert_eq!(table.map(|(end, ..)| end), ENDS);
        for (end, with, without) in table {
            let steps = steps(end);
            assert!(with.iter().all(|step| steps.contains(step)), "{end:?}: {steps:?}");
            assert!(!without.iter().any(|step| steps.contains(step)), "{end:?}: {steps:?}");
        }
    }

    /// No event is left without outcome, and no outcome is left behind.
    #[test]
    fn each_end_settles_its_events_once_and_sends_their_outcomes_after_that() {
        for end in ENDS {
            let steps = steps(end);
            let count = |wanted| steps.iter().filter(|step| **step == wanted).count();
            assert_eq!((count(Settle), count(Send) + count(EndSession)), (1, 1), "{end:?}");
            let sent = place(steps, Send).or(place(steps, EndSession));
            for step in [FailKept, Settle, GiveUp] {
                assert!(place(steps, step) < sent, "{end:?}: {step:?}");
            }
        }
    }

    #[test]
    fn the_order_of_steps_that_depend_on_each_other_holds() {
        let order = [
            // The span has no connection while its events are kept, and is complete only with them.
            (EndSpan, Keep),
            (Keep, SettleSpan),
            // What is kept has no outcome.
            (Keep, Settle),
            // Later events find no connection, so that their outcomes follow.
            (Send, Detach),
            (Send, EndMove),
            // The next connection finds the gap, the events and the output as they are then.
            (NoteLoss, TakeOther),
            (NoteLoss, Redial),
            (SettleSpan, TakeOther),
            (SettleSpan, Redial),
            // The other connection gets the journal, which has the heartbeat, and ends the heartbeats after its replay.
            (Beat, TakeOther),
            (Detach, TakeOther),
            (Detach, Redial),
            // The redial uses the place that the report has reserved.
            (ReportLoss, Redial),
            // Later events fail as they arrive.
            (EndMove, Redial),
        ];
        for (first, second) in order {
            let places = ENDS.map(|end| (place(steps(end), first), place(steps(end), second)));
            let both = places.into_iter().filter_map(|(first, second)| first.zip(second));
            let both: Vec<_> = both.collect();
            assert!(!both.is_empty(), "{first:?} and {second:?}");
            assert!(both.iter().all(|(first, second)| first < second), "{first:?} before {second:?}");
        }
    }
}
