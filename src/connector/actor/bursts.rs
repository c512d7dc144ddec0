//! Bursts of small messages on a route on which nothing reads them.

use std::time::Instant;

use super::{Connector, ConnectorState, Part, Sending};
use crate::{
    connector::exchange::Obligation,
    figures::TrafficTotals,
    flow::{Cause, EventBurst, Ticket, Tickets},
    wire::Burst,
};

impl Connector {
    /// Whether something looks at each of the upstream's messages, so that they cannot pass as a burst.
    pub(super) fn reads_each(&self) -> bool {
        self.handles_each()
            || self.has_outgoing
            || self.origin.is_some()
            || (self.upstream.move_messages.is_some() && self.announced.is_some())
    }

    /// Whether the connector can write a burst as it is.
    pub(super) fn writes_bursts(&self) -> bool {
        let ConnectorState::Up(channel) = &self.state else { return false };
        channel.writes_bursts() && self.can_send() && self.unwritten.is_none() && !self.handles_each()
    }

    /// Whether the connector looks at each message in both directions.
    fn handles_each(&self) -> bool {
        self.exchange.awaits_replies()
            || self.upstream.correlation.is_some()
            || self.recovering.is_some()
            || self.open_tap().is_some()
    }

    /// Sends the client's events of a burst. The permit is returned when the last one is written.
    pub(super) fn send_burst(&mut self, EventBurst { messages, tickets, permit, .. }: EventBurst) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let sending = Sending { part: Part::Last, bytes: messages.bytes(), _permit: Some(permit) };
        channel.link().push_burst(messages, sending);
        self.exchange.sent_row((tickets.first(), tickets.left()), tickets, Instant::now);
    }

    /// Passes on the upstream's messages of a burst, as pushes.
    pub(super) fn push_burst(&mut self, messages: Burst) {
        let (count, bytes) = (messages.len() as u64, messages.bytes() as u64);
        if let Some(traffic) = &self.traffic {
            traffic.received.add(TrafficTotals { messages: count, bytes });
        }
        self.prove();
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let permit = channel.permit_burst(&messages);
        let tickets = self.tracker.issue_many(count, Cause::Push);
        let ingest_ns = self.batch.now_ns();
        self.send_back(EventBurst { messages, tickets, permit, ingest_ns }.into());
    }
}

impl Obligation for Ticket {
    type Row = Tickets;

    fn join(row: &mut Tickets, next: Tickets) -> Result<(), Tickets> {
        row.join(next)
    }
}
