//! The tap of one session: its actors offer their messages to it.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use super::{
    filter::{Subject, SubjectData, TapRequest},
    hub::Taps,
    line::{
        Direction, LineBody, MessageLine, MessageRole, OutcomeLine, Payload, SHORTEST_COST, SessionLabels,
        Stage, TapLine,
    },
    pending::{Arrival, PendingEvent},
    queue::OfferedLine,
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
        let line = OfferedMessage { labels: &self.labels, now_ns, offer, shown: OnceCell::new() };
        Arrival { now_ns, matched: self.taps.offer(&subject, now_ns, &line) }
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
        let line = OfferedOutcome { labels: &self.labels, now_ns, event, outcome };
        self.taps.offer_outcome(&self.labels, &matched, &line);
    }
}

/// The line of a message.
struct OfferedMessage<'a> {
    labels: &'a Arc<SessionLabels>,
    now_ns: u64,
    offer: &'a Offer<'a>,
    /// The bytes of the content, the same for all taps.
    shown: OnceCell<Shown<'a>>,
}

/// What a line shows of a message.
#[derive(Debug, Clone)]
enum Shown<'a> {
    Bytes(Cow<'a, [u8]>),
    /// A message with a credential, of this many bytes.
    Withheld(usize),
    Unknown,
}

/// The line of an outcome.
struct OfferedOutcome<'a> {
    labels: &'a Arc<SessionLabels>,
    now_ns: u64,
    event: EventNumber,
    outcome: OutcomeLine,
}

// === impl OfferedMessage ===

impl OfferedMessage<'_> {
    fn shown(&self) -> &Shown<'_> {
        self.shown.get_or_init(|| self.offer.content.shown())
    }
}

impl OfferedLine for OfferedMessage<'_> {
    fn cost(&self, request: &TapRequest) -> usize {
        let Some(max) = request.copied() else { return SHORTEST_COST };
        match self.shown() {
            Shown::Bytes(bytes) => SHORTEST_COST + bytes.len().min(max),
            Shown::Withheld(_) | Shown::Unknown => SHORTEST_COST,
        }
    }

    fn line(&self, request: &TapRequest) -> TapLine {
        let Offer { event, direction, stage, role, binary, .. } = *self.offer;
        let max = request.copied();
        let (bytes, payload) = match self.shown() {
            // The bytes are copied, because they may be a small part of a large read buffer.
            Shown::Bytes(bytes) => {
                (bytes.len(), max.map(|max| Payload::Bytes(bytes[..bytes.len().min(max)].into())))
            }
            Shown::Withheld(bytes) => (*bytes, max.map(|_| Payload::Withheld)),
            Shown::Unknown => (0, None),
        };
        TapLine {
            time_ns: self.now_ns,
            session: Arc::clone(self.labels),
            event,
            body: LineBody::Message(MessageLine { direction, stage, role, binary, bytes, payload }),
        }
    }
}

impl OfferedLine for OfferedOutcome<'_> {
    fn cost(&self, _: &TapRequest) -> usize {
        self.outcome.cost()
    }

    fn line(&self, _: &TapRequest) -> TapLine {
        TapLine {
            time_ns: self.now_ns,
            session: Arc::clone(self.labels),
            event: Some(self.event),
            body: LineBody::Outcome(Box::new(self.outcome.clone())),
        }
    }
}

// === impl Content ===

impl<'a> Content<'a> {
    fn shown(self) -> Shown<'a> {
        let borrowed = |bytes| Shown::Bytes(Cow::Borrowed(bytes));
        match self {
            Self::Secret(bytes) => Shown::Withheld(bytes),
            Self::Unknown => Shown::Unknown,
            Self::Message(Message::Text(text)) => borrowed(text.as_bytes()),
            Self::Message(Message::Binary(bytes)) => borrowed(bytes),
            Self::Data(Data::Json(text)) => borrowed(text.as_text().as_bytes()),
            Self::Data(Data::Value(Value::String(text))) => borrowed(text.as_bytes()),
            Self::Data(Data::Value(Value::Bytes(bytes))) => borrowed(bytes),
            Self::Data(Data::Value(value)) => Shown::Bytes(Cow::Owned(value.to_json().into_bytes())),
        }
    }
}
