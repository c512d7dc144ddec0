//! The end of a connection because the session moves to another one.
//!
//! The output has been switched to the supervisor before, so no event follows. The connector waits until those that it
//! has are written and answered, sends its close frame, and reads until the upstream closes too: an upstream that
//! answers in order has then answered everything.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use super::{Connector, ConnectorState};
use crate::{
    connector::messages::{Fact, Yield},
    deadline::Deadline,
    failure::Failure,
    wire::CloseFrame,
};

/// Maximum time to wait for answers that may not come, as the journal's protocol has them.
const OPTIONAL_MAX: Duration = Duration::from_millis(500);

/// The progress of a connector that yields.
#[derive(Debug)]
pub(super) struct Yielding {
    stage: Stage,
    /// The end of the stage.
    deadline: Deadline,
    /// When the connector gives up.
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for all answers.
    Waiting,
    /// It waits for the answers that are sure to come.
    Hurrying,
    /// The close frame is sent.
    Closing,
}

impl Connector {
    /// Begins to yield.
    pub(super) fn begin_to_yield(&mut self, &Yield { until }: &Yield) {
        if let ConnectorState::Up(_) = self.state {
            let mut yielding = Yielding { stage: Stage::Waiting, deadline: Deadline::new(), until };
            let left = until.saturating_duration_since(Instant::now());
            yielding.deadline.set(left.min(OPTIONAL_MAX));
            self.yielding = Some(Box::new(yielding));
        }
    }

    /// Whether nothing is in flight.
    fn is_quiet(&mut self) -> bool {
        let ConnectorState::Up(channel) = &mut self.state else { return false };
        self.exchange.is_empty() && !channel.link().has_queued() && self.waiting.is_empty()
    }

    /// Closes the connection once nothing is in flight, or stays if that takes too long.
    pub(super) fn continue_to_yield(&mut self) {
        let ConnectorState::Up(_) = self.state else { return };
        let is_quiet = self.is_quiet();
        self.quiet.set(is_quiet);
        let Some(yielding) = &mut self.yielding else { return };
        if yielding.stage == Stage::Waiting && yielding.deadline.has_passed() {
            yielding.stage = Stage::Hurrying;
            yielding.deadline.set(yielding.until.saturating_duration_since(Instant::now()));
        }
        let is_strict = yielding.stage == Stage::Waiting;
        let is_late = yielding.deadline.has_passed();
        let is_done = is_quiet && self.recovering.as_mut().is_none_or(|held| held.is_quiet(is_strict));
        match yielding.stage {
            Stage::Closing if is_late => self.end(Failure::draining()),
            Stage::Closing => {}
            Stage::Waiting | Stage::Hurrying if is_done => {
                yielding.stage = Stage::Closing;
                yielding.deadline.set(self.upstream.close_timeout);
                self.send_close_frame(Some(&CloseFrame::new(1001, "session moves to another connection")));
            }
            Stage::Waiting | Stage::Hurrying if is_late => {
                self.yielding = None;
                self.waiting.close_gate();
                self.report(Fact::Stayed);
            }
            Stage::Waiting | Stage::Hurrying => {}
        }
    }

    /// Whether the connection ends because it was yielded. Its close frame was sent when nothing was in flight, so its
    /// end is no loss, however the upstream answers.
    pub(super) fn has_yielded(&self) -> bool {
        self.yielding.as_ref().is_some_and(|yielding| yielding.stage == Stage::Closing)
            && self.exchange.is_empty()
            && self.waiting.is_empty()
            && !std::thread::panicking()
    }

    /// Has the thread's ticker wake the connector at its deadlines.
    pub(super) fn arm(&mut self, waker: &Waker) {
        self.deadline.arm(waker);
        if let Some(recovering) = &mut self.recovering {
            recovering.arm(waker);
        }
        if let Some(yielding) = &mut self.yielding {
            yielding.deadline.arm(waker);
        }
    }
}
