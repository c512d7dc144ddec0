//! The end of a connection because the session moves to another one.
//!
//! The output has been switched to the supervisor before, so no event follows. The connector waits until those that it
//! has are written and answered, sends its close frame, and reads until the upstream closes too: an upstream that
//! answers in order has then answered everything. If the connection ends in any other way, it is lost.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use super::{Connector, ConnectorState};
use crate::{
    connector::messages::{Fact, Yield},
    deadline::Deadline,
    failure::{Failure, FailureKind},
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
    /// Since when the connector does not read, because the client has not read what came before.
    stalled: Option<Instant>,
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

impl Yielding {
    /// The connector has read, or could not read. The deadline of the close frame is `limit` after the upstream's last
    /// message, and the time in which the connector does not read does not count.
    pub(super) fn on_read(&mut self, has_read: bool, is_reading: bool, limit: Duration) {
        if self.stage != Stage::Closing {
            return;
        }
        let now = Instant::now();
        let pause = self.stalled.take().map(|since| now.saturating_duration_since(since));
        self.until += pause.unwrap_or_default();
        if !is_reading {
            self.stalled = Some(now);
            self.deadline.clear();
        } else if has_read || pause.is_some() {
            self.deadline.set(limit.min(self.until.saturating_duration_since(now)));
        }
    }
}

impl Connector {
    /// Begins to yield.
    pub(super) fn begin_to_yield(&mut self, &Yield { until }: &Yield) {
        if let ConnectorState::Up(_) = self.state {
            let mut yielding =
                Yielding { stage: Stage::Waiting, deadline: Deadline::new(), until, stalled: None };
            let left = until.saturating_duration_since(Instant::now());
            yielding.deadline.set(left.min(OPTIONAL_MAX));
            self.yielding = Some(Box::new(yielding));
        }
    }

    /// Whether nothing is in flight, in either direction.
    fn is_quiet(&mut self) -> bool {
        let ConnectorState::Up(channel) = &mut self.state else { return false };
        let is_written = self.exchange.is_empty() && !channel.link().has_queued() && self.waiting.is_empty();
        // Otherwise the client has to read first, which may take long.
        is_written && channel.is_reading()
    }

    /// Closes the connection once nothing is in flight, or stays if that takes too long.
    pub(super) fn continue_to_yield(&mut self) {
        let ConnectorState::Up(_) = self.state else { return };
        let is_quiet = self.is_quiet();
        self.idle.set(is_quiet);
        let Some(yielding) = &mut self.yielding else { return };
        if yielding.stage == Stage::Waiting && yielding.deadline.has_passed() {
            yielding.stage = Stage::Hurrying;
            yielding.deadline.set(yielding.until.saturating_duration_since(Instant::now()));
        }
        let is_strict = yielding.stage == Stage::Waiting;
        let is_late = yielding.deadline.has_passed();
        let is_done = is_quiet && self.recovering.as_mut().is_none_or(|held| held.is_quiet(is_strict));
        match yielding.stage {
            Stage::Closing if is_late => self.end(unanswered()),
            Stage::Closing => {}
            Stage::Waiting | Stage::Hurrying if is_done => {
                yielding.stage = Stage::Closing;
                yielding.deadline.set(self.upstream.close_timeout);
                yielding.until = Instant::now() + self.upstream.moves.grace.max(self.upstream.close_timeout);
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

    /// Whether a connection with this end was yielded, so that nothing is lost with it: its close frame was sent when
    /// nothing was in flight, and the upstream has answered it behind everything that it had to send. A close frame
    /// with another code is no answer: the upstream has sent it at the same time.
    pub(super) fn has_yielded(&self, failure: &Failure) -> bool {
        matches!(failure.kind, FailureKind::Closed(None | Some(1000 | 1001)))
            && self.is_closing()
            && self.exchange.is_empty()
            && self.waiting.is_empty()
            && !std::thread::panicking()
    }

    /// Whether the close frame has been sent because the session moves.
    pub(super) fn is_closing(&self) -> bool {
        self.yielding.as_ref().is_some_and(|yielding| yielding.stage == Stage::Closing)
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

/// The failure of a connection whose upstream does not answer the close frame.
fn unanswered() -> Failure {
    Failure::connection(FailureKind::Unresponsive, "server does not answer the close frame")
}
