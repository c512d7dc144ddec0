//! Messages towards the client. Those of one turn travel as one message.

use super::Connector;
use crate::{
    connector::exchange::ReplyMatch,
    failure::Failure,
    flow::{Cause, DataMessage, Failed},
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
}
