//! Messages that the supervisor sends to the client in the place of the upstream.

use std::sync::Arc;

use crate::{
    connector::{recorded, sendable},
    event::{Data, Event, EventNumber},
    failure::Failure,
    flow::{AckTracker, Budget, Cause, Envelope, Kind, Permit, Ticket},
    format::{Inbound, Outbound},
    recovery::Message,
    settings::Format,
    turn::now_ns,
};

/// The ticket of an event, and its permit if it still has one.
type Owed = (Ticket, Option<Permit>);

/// Converts events to messages of the upstream's protocol and back, with the upstream's codec.
pub struct Shaper {
    inbound: Inbound,
    outbound: Outbound,
    tracker: Arc<AckTracker>,
    budget: Arc<Budget>,
}

impl Shaper {
    /// A shaper for a session with this tracker. `budget` is that of the upstream's messages.
    pub fn new(format: &Format, tracker: &Arc<AckTracker>, budget: &Arc<Budget>) -> Self {
        let (inbound, outbound) = (Inbound::new(format), Outbound::new(format));
        Self { inbound, outbound, tracker: Arc::clone(tracker), budget: Arc::clone(budget) }
    }

    /// The message that the upstream would get for an event; `None` if the codec cannot encode it.
    pub fn message(&mut self, event: &Event) -> Option<Message> {
        let mut messages = Vec::new();
        self.outbound.encode(event.data.clone(), &event.meta, &mut messages).ok()?;
        messages.pop().map(recorded)
    }

    /// The answer to an event. It takes over the permit of the event, so that a client which does not read its answers
    /// is not read either. Without one, it uses the budget of the upstream's messages.
    ///
    /// # Errors
    /// Returns the ticket and the permit if the codec cannot decode the message.
    pub fn answer(&mut self, message: Message, owed: Owed) -> Result<Envelope, Owed> {
        match self.decoded(message) {
            Some(decoded) => Ok(self.envelope(decoded, owed, Kind::Reply)),
            None => Err(owed),
        }
    }

    /// The message that reports the failure of an event in the client's protocol: an answer, if the event is `owed` an
    /// outcome; otherwise a push. The failure is reported to the session before the message arrives.
    ///
    /// # Errors
    /// Returns `owed` if the codec cannot decode the message. The session gets no report.
    pub fn failed(
        &mut self,
        message: Message,
        (event, owed): (EventNumber, Option<Owed>),
        failure: Failure,
    ) -> Result<Envelope, Option<Owed>> {
        let Some(decoded) = self.decoded(message) else { return Err(owed) };
        self.tracker.failed_in_protocol(event, failure);
        Ok(match owed {
            Some(owed) => self.envelope(decoded, owed, Kind::Reply),
            None => {
                let ticket = self.tracker.issue(Cause::Push);
                self.envelope(decoded, (ticket, None), Kind::Push)
            }
        })
    }

    /// A message that answers no event; `None` if the codec cannot decode it.
    pub fn push(&mut self, message: Message) -> Option<Envelope> {
        let decoded = self.decoded(message)?;
        let ticket = self.tracker.issue(Cause::Push);
        Some(self.envelope(decoded, (ticket, None), Kind::Push))
    }

    fn decoded(&mut self, message: Message) -> Option<Data> {
        self.inbound.feed(sendable(message));
        match self.inbound.next()? {
            Ok(data) => Some(data),
            Err(error) => {
                log::debug!("recovery message not decoded session={} error={}", self.tracker, error.detail);
                None
            }
        }
    }

    fn envelope(&self, data: Data, (ticket, permit): Owed, kind: Kind) -> Envelope {
        let size = data.size();
        let permit = Some(permit.map_or_else(|| self.budget.take(size), |permit| permit.resized(size)));
        let meta = self.inbound.meta(&data, None);
        let event = Event { id: ticket.id(), data, meta, origin: None, ingest_ns: now_ns() };
        Envelope { event, kind, ticket, permit, class: None }
    }
}
