//! The tap of one session: its actors offer their messages to it.

use std::sync::Arc;

use super::{
    filter::{Subject, SubjectData, TapRequest},
    hub::Taps,
    line::{
        Direction, LineBody, MessageLine, MessageRole, OutcomeLine, Payload, SessionLabels, Stage, TapLine,
    },
    pending::{Arrival, PendingEvent},
};
use crate::{
    event::{Data, Event, EventNumber, Meta, Value},
    turn::now_ns,
    wire::Message,
};

/// The tap of one session. Its actors share it.
#[derive(Debug)]
pub struct SessionTap {
    taps: Arc<Taps>,
    labels: Arc<SessionLabels>,
}

/// The content of a message, as an actor has it.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// The data of an event.
    Data(&'a Data),
    /// A WebSocket message.
    Message(&'a Message),
    /// A message with a credential, of this many bytes.
    Secret(usize),
    /// Nothing is known of it.
    Unknown,
}

/// A message that a session's actor offers to taps.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The event; `None` for a message that is not an event yet.
    pub event: Option<EventNumber>,
    /// Where it is.
    pub direction: Direction,
    /// What it is to the session.
    pub role: MessageRole,
    /// In which form the tap sees it.
    pub stage: Stage,
    /// Whether the message is binary.
    pub binary: bool,
    /// What conditions see as `$`; `None` if there is only `$tap`.
    pub meta: Option<&'a Meta>,
    /// What conditions see as `event`.
    pub data: SubjectData<'a>,
    /// What the line shows.
    pub content: Content<'a>,
}

// === impl SessionTap ===

impl SessionTap {
    /// Creates the tap of a session.
    pub fn new(taps: &Arc<Taps>, labels: SessionLabels) -> Arc<Self> {
        Arc::new(Self { taps: Arc::clone(taps), labels: Arc::new(labels) })
    }

    /// Whether any tap is open in the process.
    pub fn is_open(&self) -> bool {
        self.taps.is_open()
    }

    /// Offers a message. The result is for [`PendingEvents::arrived`](super::PendingEvents::arrived).
    pub fn offer(&self, offer: &Offer<'_>) -> Arrival {
        let now_ns = now_ns();
        let plain = Meta::new(offer.binary, None);
        let subject = Subject {
            session: &self.labels,
            event: offer.event,
            direction: offer.direction,
            data: offer.data,
            meta: offer.meta.unwrap_or(&plain),
        };
        let matched = self.taps.offer(&subject, now_ns, |request| TapLine {
            time_ns: now_ns,
            session: Arc::clone(&self.labels),
            event: offer.event,
            body: LineBody::Message(offer.line(request)),
        });
        Arrival { now_ns, matched }
    }

    /// Offers an event between session and upstream.
    pub fn offer_event(&self, direction: Direction, role: MessageRole, event: &Event) {
        self.offer(&Offer {
            event: Some(event.id.event),
            direction,
            role,
            stage: Stage::Event,
            binary: event.meta.binary,
            meta: Some(&event.meta),
            data: SubjectData::Data(&event.data),
            content: Content::Data(&event.data),
        });
    }

    /// Offers the outcome of an event.
    pub fn offer_outcome(&self, event: EventNumber, outcome: &'static str, pending: PendingEvent) {
        let now_ns = now_ns();
        let (duration, matched) = (pending.duration(now_ns), pending.matched);
        let outcome = OutcomeLine { outcome, reason: pending.reason, duration };
        self.taps.offer_outcome(&self.labels, &matched, || TapLine {
            time_ns: now_ns,
            session: Arc::clone(&self.labels),
            event: Some(event),
            body: LineBody::Outcome(Box::new(outcome.clone())),
        });
    }
}

// === impl Offer ===

impl Offer<'_> {
    fn line(&self, request: &TapRequest) -> MessageLine {
        let Self { direction, stage, role, binary, .. } = *self;
        let (bytes, payload) = self.content.copied(request.copied());
        MessageLine { direction, stage, role, binary, bytes, payload }
    }
}

impl Content<'_> {
    /// The size of the content, and a copy of at most `max` bytes of it; `None` if there is no maximum.
    ///
    /// The bytes are copied, because they may be a small part of a large read buffer.
    fn copied(&self, max: Option<usize>) -> (usize, Option<Payload>) {
        match self {
            Self::Secret(bytes) => (*bytes, max.map(|_| Payload::Withheld)),
            Self::Unknown => (0, None),
            Self::Message(Message::Text(text)) => first(text.as_bytes(), max),
            Self::Message(Message::Binary(bytes)) => first(bytes, max),
            Self::Data(Data::Json(text)) => first(text.as_text().as_bytes(), max),
            Self::Data(Data::Value(Value::String(text))) => first(text.as_bytes(), max),
            Self::Data(Data::Value(Value::Bytes(bytes))) => first(bytes, max),
            Self::Data(Data::Value(value)) => first(value.to_json().as_bytes(), max),
        }
    }
}

fn first(bytes: &[u8], max: Option<usize>) -> (usize, Option<Payload>) {
    let copy = max.map(|max| Payload::Bytes(bytes[..bytes.len().min(max)].into()));
    (bytes.len(), copy)
}
