//! Sends the client's events.

use std::time::Instant;

use super::{Connector, ConnectorState, Part, Sending, lookup};
use crate::{
    connector::exchange::Tags,
    failure::{Failure, FailureLocation},
    flow::{AckStatus, Envelope, recycle},
    tap::{Direction, MessageRole},
};

impl Connector {
    /// Whether events are sent as soon as they arrive. No event waits then.
    pub(super) fn can_send(&self) -> bool {
        let is_replayed = self.recovering.as_ref().is_none_or(|recovering| recovering.is_ready());
        matches!(self.state, ConnectorState::Up(_)) && !self.waiting.is_gated() && is_replayed
    }

    /// Sends the events that wait, if it is time.
    pub(super) fn send_waiting(&mut self) {
        if self.can_send() {
            let (events, mark) = self.waiting.take();
            self.send_all(events);
            self.report_mark(mark);
        }
    }

    pub(super) fn send_all(&mut self, mut envelopes: Vec<Envelope>) {
        let now = Instant::now();
        for envelope in envelopes.drain(..) {
            self.send(envelope, now);
        }
        recycle(envelopes);
    }

    pub(super) fn send(&mut self, envelope: Envelope, now: Instant) {
        if let Some(tap) = self.open_tap() {
            tap.offer_event(Direction::ToUpstream, MessageRole::Request, &envelope.event);
        }
        if self.recovering.is_some() {
            return self.send_recorded(envelope, now);
        }
        let Envelope { event, ticket, mut permit, .. } = envelope;
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let queued = self.unwritten.as_ref().map(|_| (event.clone(), permit.take()));
        let key = self.upstream.correlation.as_ref().and_then(|path| lookup(&event.data, path));
        let correlation = event.meta.get("correlation");
        let token = |is_last, bytes, permit| Sending {
            part: if is_last { Part::Last } else { Part::Inner },
            bytes,
            _permit: permit,
        };
        match channel.push_event(event.data, &event.meta, permit, token) {
            Ok(0) => ticket.settle(AckStatus::Dropped),
            Ok(_) => {
                self.exchange.sent(ticket.event(), Tags { key, correlation }, ticket, now);
                if let (Some(unwritten), Some(queued)) = (&mut self.unwritten, queued) {
                    unwritten.queued(queued);
                }
            }
            Err(error) => {
                ticket.settle(AckStatus::failed(Failure::encode(FailureLocation::Upstream, error)));
            }
        }
    }
}
