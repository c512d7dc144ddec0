//! What traces show of the session: sampled events, and its end.

use super::{Session, ending::CloseIntent};
use crate::{
    event::EventNumber,
    failure::Failure,
    flow::Cause,
    reply,
    session::ledger::Outcome,
    traces::{EndDetail, EventFailure},
};

impl Session {
    /// Adds an event of the client to the ledger. From here on it needs an outcome.
    pub(super) fn accept_event(&mut self, event: EventNumber) {
        self.delivery.accept(event);
        if let Some(trace) = &mut self.trace {
            trace.arrived(event);
        }
    }

    /// Shows taps and traces why an event of the client failed.
    pub(super) fn observe_failure(&mut self, event: EventNumber, cause: Cause, failure: &Failure) {
        self.tap_failure(event, cause, failure);
        if let Some(trace) =
            self.trace.as_mut().filter(|trace| cause == Cause::Message && trace.follows(event))
        {
            let (stage, kind) = (failure.location.label(), failure.kind.label());
            trace.failed(event, EventFailure { stage, kind, text: reply::text(failure).into() });
        }
    }

    /// Ends the span of an event.
    pub(super) fn trace_outcome(&mut self, event: EventNumber, outcome: Outcome) {
        if let Some(trace) = &mut self.trace {
            trace.settled(self.tracker.id(event), outcome.name());
        }
    }

    /// The session begins to end.
    pub(super) fn trace_ending(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.ending();
        }
    }

    /// The session has ended.
    pub(super) fn trace_end(&mut self, intent: &CloseIntent) {
        let Some(mut trace) = self.trace.take() else { return };
        let (totals, cause) = (self.figures.totals(), intent.cause());
        trace.ended(EndDetail {
            code: intent.to_log().0,
            side: cause.side().label(),
            cause: cause.label(),
            seconds: self.opened.elapsed().as_secs_f64(),
            received: totals.received.messages,
            sent: totals.sent.messages,
            errored: totals.counts.errored,
            restarts: totals.restarts,
        });
    }
}
