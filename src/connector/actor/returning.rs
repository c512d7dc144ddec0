//! Messages towards the client. Those of one turn travel as one message.

use super::{Connector, ConnectorState};
use crate::{
    connector::exchange::ReplyMatch,
    event::{Data, Event, Value},
    failure::Failure,
    flow::{Cause, DataMessage, Envelope, Failed, Kind, Permit, Ticket},
    tap::{Direction, MessageRole},
};

impl Connector {
    /// Makes the event fail whose reply is next in order, or a push if no event awaits a reply.
    pub(super) fn fail_reply(&mut self, failure: Failure) {
        let (ticket, correlation) = match self.exchange.reply(None) {
            ReplyMatch::Reply(ticket, correlation) => (ticket, correlation),
            ReplyMatch::Push => (self.tracker.issue(Cause::Push), None),
        };
        let failed = Failed { event: ticket.event(), ticket: Some(ticket), failure, correlation };
        self.send_back(DataMessage::Failed(vec![failed]));
    }

    /// Adds a message to those that go back in this turn, behind the batch.
    pub(super) fn send_back(&mut self, message: DataMessage) {
        if let Some(envelopes) = self.batch.take() {
            self.outgoing.push(DataMessage::Events(envelopes));
        }
        self.outgoing.push(message);
    }

    /// Sends what goes back in this turn, as one message.
    pub(super) fn flush_back(&mut self) {
        if let Some(envelopes) = self.batch.take() {
            self.outgoing.push(DataMessage::Events(envelopes));
        }
        if let Some(message) = self.outgoing.take() {
            self.back.notify(message);
        }
    }

    /// Adds data to the batch that answers no event.
    pub(super) fn push(&mut self, data: Data) {
        let ticket = self.tracker.issue(Cause::Push);
        self.answer(data, Kind::Push, None, (ticket, None));
    }

    /// Adds the data to the batch, with the ticket of the event that it answers, or of a push. Without a permit, it uses
    /// the budget of the upstream's messages.
    pub(super) fn answer(
        &mut self,
        data: Data,
        kind: Kind,
        correlation: Option<Value>,
        (ticket, permit): (Ticket, Option<Permit>),
    ) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let permit = permit.map_or_else(|| channel.permit(&data), |permit| permit.resized(data.size()));
        let mut meta = channel.meta(&data, None);
        if let Some(correlation) = correlation {
            let _ = meta.set("correlation", correlation);
        }
        let event = Event {
            id: ticket.id(),
            data,
            meta,
            origin: self.origin.clone(),
            ingest_ns: self.batch.now_ns(),
        };
        if let Some(tap) = self.open_tap() {
            let role = if kind == Kind::Push { MessageRole::Push } else { MessageRole::Reply };
            tap.offer_event(Direction::FromUpstream, role, &event);
        }
        self.batch.push(Envelope { event, kind, ticket, permit: Some(permit), class: None });
    }
}
