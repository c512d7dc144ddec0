//! Bursts of small messages on a route on which nothing reads them.

use super::Session;
use crate::{
    figures::TrafficTotals,
    flow::{Cause, EventBurst, Kind},
    pipeline::Output,
    wire::Burst,
};

impl Session {
    /// Whether something looks at each of the client's messages or its event, so that they cannot pass as a burst.
    pub(super) fn reads_each(&self) -> bool {
        self.upstream_reads_each
            || self.limiters.is_some()
            || self.renewals.is_some()
            || self.expiry.is_some()
            || self.trace.is_some()
            || self.meta.is_some()
            || self.origin.is_some()
            || self.links.first_data.is_some()
            || !matches!(self.links.incoming, Output::Upstream(_))
            || self.is_tapped()
    }

    /// Accepts the events of a burst, and passes them on.
    pub(super) fn accept_burst(&mut self, messages: Burst) {
        let (count, bytes) = (messages.len() as u64, messages.bytes() as u64);
        self.figures.count(|tally| tally.received.add(TrafficTotals { messages: count, bytes }));
        let ingest_ns = self.batch.now_ns();
        self.figures.active(ingest_ns);
        let tickets = self.tracker.issue_many(count, Cause::Message);
        self.delivery.accept_run(tickets.first(), count);
        let permit = self.down.channel.permit_burst(&messages);
        self.flush_batch();
        self.links.incoming.push(EventBurst { messages, tickets, permit, ingest_ns }.into());
    }

    /// Sends the pushes of a burst to the client.
    pub(super) fn deliver_burst(&mut self, burst: EventBurst) {
        let count = burst.tickets.left();
        let passes = burst.kind() == Kind::Push && self.down.writes_bursts() && !self.is_tapped();
        if !passes || !self.delivery.passes_pushes(count) {
            return burst.into_envelopes().into_iter().for_each(|envelope| self.deliver(envelope));
        }
        burst.tickets.redeem();
        self.down.emit_burst(burst.messages, burst.permit);
    }
}
