//! Determines whether the client stays when an upstream connection ends.
//!
//! No actors, sockets or clocks are used here.

use std::sync::Arc;

use crate::{
    connector::exchange::Unsettled,
    event::EventNumber,
    failure::{ConnectFailure, Failure, FailureKind, Written},
    flow::{Cause, Envelope, Failed, Loss, Ticket},
    settings::Upstream,
    wire::CloseFrame,
};

/// Facts about a connection that ended.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Whether it was the connection to the route's own upstream, not to a server chosen by `$url`.
    pub is_main: bool,
    /// Whether the handshake was complete.
    pub was_up: bool,
    /// Whether an earlier connection to the same server was established.
    pub was_up_before: bool,
}

/// What happens to the session when a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// The client stays, and the proxy reconnects to the upstream.
    Keep,
    /// The session ends.
    End(SessionEnd),
}

/// How a session ends with its upstream.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The upstream's close is passed on: a close frame, with or without a code.
    Pass(Option<CloseFrame>),
    /// The client is closed, because the connection is lost.
    Close(CloseFrame),
}

/// Determines what the end of a connection means for the session. `keeps_client` is the route's
/// [`keeps_client`](crate::settings::Route::keeps_client).
pub fn fate(failure: &Failure, connection: Connection, upstream: &Upstream, keeps_client: bool) -> Fate {
    if let Some(frame) = passed(failure, connection, upstream, keeps_client) {
        return Fate::End(SessionEnd::Pass(frame));
    }
    match connection {
        _ if keeps_client => Fate::Keep,
        Connection { was_up: true, .. } => closed_with(1012, "upstream connection lost"),
        Connection { is_main: true, .. } => closed_with(1013, "upstream is not available"),
        // A connection that was never established holds no state; only its events fail.
        Connection { .. } => Fate::Keep,
    }
}

fn closed_with(code: u16, reason: &str) -> Fate {
    Fate::End(SessionEnd::Close(CloseFrame::new(code, reason)))
}

/// The close frame that passes an upstream's end on to the client; the outer `None` if the settings do not
/// pass it on.
fn passed(
    failure: &Failure,
    connection: Connection,
    upstream: &Upstream,
    keeps_client: bool,
) -> Option<Option<CloseFrame>> {
    match failure.kind {
        // A close frame without a code is 1005 (RFC 6455 section 7.1.5).
        FailureKind::Closed(code) if upstream.on_upstream_close.passes(code.unwrap_or(1005)) => {
            Some(code.map(|code| CloseFrame::new(code, failure.detail.as_str())))
        }
        FailureKind::Connect(ConnectFailure::Status(status)) if upstream.on_refused.passes(status) => {
            // The first refusal by a server that an event names is that event's failure.
            let ends = !keeps_client || connection.is_main || connection.was_up_before;
            let words = format!("upstream refused the connection with status {status}");
            ends.then(|| Some(CloseFrame::new(1008, words)))
        }
        _ => None,
    }
}

/// The events that the close reason names after a loss: the first client message that failed with the
/// connection, and `last_written`, the last event written to it.
pub fn gap<'a>(failed: impl Iterator<Item = &'a Failed>, last_written: Option<EventNumber>) -> Loss {
    let lost = failed.filter(|failed| {
        failed.ticket.as_ref().is_some_and(|ticket| ticket.cause() == Cause::Message)
            && failed.failure.server.is_some()
    });
    Loss { first: lost.map(|failed| failed.event).min(), last_written }
}

/// Makes the failure of an event that a connection left unsettled.
pub fn fail_unsettled(lost: Unsettled<Ticket>, server: &Arc<str>, failure: &Failure) -> Failed {
    let failure = failure.for_event(server, lost.written);
    Failed { event: lost.event, ticket: Some(lost.owed), failure, correlation: lost.correlation }
}

/// Makes the failure of an event that was not sent on any connection.
pub fn fail_unsent(envelope: Envelope, server: &Arc<str>, failure: &Failure) -> Failed {
    fail(envelope, failure.for_event(server, Written::Nothing))
}

/// Makes the failure of an event on its way to the upstream.
pub fn fail(envelope: Envelope, failure: Failure) -> Failed {
    let correlation = envelope.event.meta.get("correlation");
    Failed { event: envelope.ticket.event(), ticket: Some(envelope.ticket), failure, correlation }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        flow::AckTracker,
        policy::{OnEnd, Otherwise, Range},
        settings::fixture,
    };

    const MAIN: Connection = Connection { is_main: true, was_up: true, was_up_before: true };

    fn closed(code: impl Into<Option<u16>>, reason: &str) -> Failure {
        Failure::connection(FailureKind::Closed(code.into()), reason)
    }

    fn refused_with(status: u16) -> Failure {
        Failure::connection(FailureKind::Connect(ConnectFailure::Status(status)), "")
    }

    fn passed_on(code: u16, reason: &str) -> Fate {
        Fate::End(SessionEnd::Pass(Some(CloseFrame::new(code, reason))))
    }

    fn code(fate: &Fate) -> Option<u16> {
        match fate {
            Fate::Keep | Fate::End(SessionEnd::Pass(None)) => None,
            Fate::End(SessionEnd::Pass(Some(frame)) | SessionEnd::Close(frame)) => Some(frame.code),
        }
    }

    #[test]
    fn an_application_close_is_passed_on_whatever_the_route_says() {
        let upstream = fixture::upstream();
        for keeps in [true, false] {
            for passed in [4000, 4401, 4999, 1008] {
                let fate = fate(&closed(passed, "bye"), MAIN, &upstream, keeps);
                assert_eq!(fate, passed_on(passed, "bye"));
            }
            for lost in [1000, 1001, 1011, 1012, 3000] {
                let fate = fate(&closed(lost, ""), MAIN, &upstream, keeps);
                assert_eq!(code(&fate), (!keeps).then_some(1012), "{lost}");
            }
        }
    }

    #[test]
    fn else_pass_passes_any_close_frame_and_no_loss_without_one() {
        let on_upstream_close = OnEnd { pass: Vec::new(), otherwise: Otherwise::Pass };
        let upstream = Upstream { on_upstream_close, ..fixture::upstream() };
        assert_eq!(code(&fate(&closed(1000, ""), MAIN, &upstream, true)), Some(1000));
        assert_eq!(fate(&closed(None, ""), MAIN, &upstream, true), Fate::End(SessionEnd::Pass(None)));
        let reset = Failure::connection(FailureKind::Socket, "reset");
        assert_eq!(fate(&reset, MAIN, &upstream, true), Fate::Keep);
        assert_eq!(code(&fate(&reset, MAIN, &upstream, false)), Some(1012));
    }

    #[test]
    fn a_long_reason_is_cut() {
        let fate = fate(&closed(4000, &"ä".repeat(100)), MAIN, &fixture::upstream(), true);
        let Fate::End(SessionEnd::Pass(Some(frame))) = fate else { panic!("{fate:?}") };
        assert_eq!(frame.reason.len(), 122);
    }

    #[test]
    fn a_refused_reconnect_closes_with_1008() {
        let upstream = fixture::upstream();
        let dial = Connection { was_up: false, ..MAIN };
        for keeps in [true, false] {
            let fate_of = |status| fate(&refused_with(status), dial, &upstream, keeps);
            let words = "upstream refused the connection with status 401";
            assert_eq!(fate_of(401), passed_on(1008, words));
            assert_eq!(code(&fate_of(503)), (!keeps).then_some(1013));
        }
        let on_refused = OnEnd { pass: vec![Range::new(500, 599).unwrap()], otherwise: Otherwise::Reconnect };
        let upstream = Upstream { on_refused, ..upstream };
        assert_eq!(code(&fate(&refused_with(503), dial, &upstream, true)), Some(1008));
        assert_eq!(fate(&refused_with(401), dial, &upstream, true), Fate::Keep);
    }

    #[test]
    fn the_first_refusal_of_a_chosen_server_fails_its_event_where_the_client_stays() {
        let upstream = fixture::upstream();
        let chosen = Connection { is_main: false, was_up: false, was_up_before: false };
        assert_eq!(fate(&refused_with(401), chosen, &upstream, true), Fate::Keep);
        assert_eq!(code(&fate(&refused_with(401), chosen, &upstream, false)), Some(1008));
        let again = Connection { was_up_before: true, ..chosen };
        assert_eq!(code(&fate(&refused_with(401), again, &upstream, true)), Some(1008));
        let lost = Failure::connection(FailureKind::Connect(ConnectFailure::Socket), "IO error");
        assert_eq!(fate(&lost, chosen, &upstream, false), Fate::Keep, "no state was on it");
        let up = Connection { was_up: true, ..chosen };
        assert_eq!(code(&fate(&Failure::lost(), up, &upstream, false)), Some(1012), "state was on it");
    }

    proptest! {
        #[test]
        fn the_gap_begins_at_the_first_event_that_failed(events in proptest::collection::vec(any::<bool>(), 0..20)) {
            let tracker = AckTracker::new(1, 0);
            let server: Arc<str> = "ws://h/".into();
            let failed: Vec<_> = events
                .iter()
                .map(|of_client| {
                    let ticket = tracker.issue(if *of_client { Cause::Message } else { Cause::Push });
                    let failure = Failure::not_connected().for_event(&server, Written::Nothing);
                    Failed { event: ticket.event(), ticket: Some(ticket), failure, correlation: None }
                })
                .collect();
            let expected = events.iter().position(|of_client| *of_client).map(|at| EventNumber(at as u64));
            prop_assert_eq!(gap(failed.iter(), None).first, expected);
        }
    }
}
