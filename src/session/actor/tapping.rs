//! What the session offers to taps: the client's messages, the messages to the client, and outcomes.

use std::sync::Arc;

use super::Session;
use crate::{
    event::{Event, EventNumber},
    failure::Failure,
    flow::{Cause, Kind},
    reply,
    session::ledger::Outcome,
    tap::{Content, Direction, MessageRole, Offer, PendingEvents, Reason, SessionTap, Stage, SubjectData},
    wire::Message,
};

/// The tap of a session, and what it remembers while one is open.
pub(super) struct Tapping {
    tap: Arc<SessionTap>,
    pending: PendingEvents,
    /// The client's message that the next event is made of, if each message is one event.
    message: Option<Message>,
}

impl Tapping {
    pub(super) fn new(tap: Arc<SessionTap>) -> Box<Self> {
        Box::new(Self { tap, pending: PendingEvents::default(), message: None })
    }
}

impl Session {
    /// The session's tap, if any tap is open.
    fn tapping(&mut self) -> Option<&mut Tapping> {
        let tapping = self.tapping.as_mut()?;
        if tapping.tap.is_open() {
            return Some(tapping);
        }
        tapping.pending.forget();
        tapping.message = None;
        None
    }

    /// Whether any tap is open.
    pub(super) fn is_tapped(&self) -> bool {
        self.tapping.as_ref().is_some_and(|tapping| tapping.tap.is_open())
    }

    /// Offers a message of the client, before it becomes events.
    pub(super) fn tap_message(&mut self, message: &Message) {
        let is_one_event = self.listener.format.preprocessors.is_empty();
        let may_renew = self.renewals.is_some();
        // A part of an event is not shown: a credential that is in two parts cannot be found in them.
        let is_part = self.tapping.is_some() && self.down.channel.splits(message);
        let Some(tapping) = self.tapping() else { return };
        if is_one_event {
            tapping.message = Some(message.clone());
            return;
        }
        // Whether it renews the client's credential is known once it is decoded.
        let content = match may_renew || is_part {
            true => Content::Secret(message.len()),
            false => Content::Message(message),
        };
        let data = if may_renew { SubjectData::Null } else { SubjectData::Message(message) };
        tapping.tap.offer(&Offer {
            event: None,
            direction: Direction::FromClient,
            role: MessageRole::Request,
            stage: Stage::Message,
            binary: message.is_binary(),
            meta: None,
            data,
            content,
        });
    }

    /// Offers an event of the client.
    pub(super) fn tap_event(&mut self, event: &Event) {
        if self.tapping.is_none() {
            return;
        }
        let (data, number) = (SubjectData::Data(&event.data), event.id.event);
        let Some(tapping) = self.tapping() else { return };
        let message = tapping.message.take();
        let (stage, content) = match &message {
            Some(message) => (Stage::Message, Content::Message(message)),
            None => (Stage::Event, Content::Data(&event.data)),
        };
        let offer = request(number, stage, event.meta.binary, data, content);
        tapping.arrived(number, &Offer { meta: Some(&event.meta), ..offer });
    }

    /// Offers a message that is not decoded: it is refused, or renews the client's credential.
    pub(super) fn tap_undecoded(&mut self, event: EventNumber, shown: Undecoded) {
        // A refused message may be a renewal, which is recognised only once it is decoded.
        let shown = if self.renewals.is_some() { Undecoded::Secret } else { shown };
        let Some(tapping) = self.tapping() else { return };
        let message = tapping.message.take();
        let (stage, binary) = match &message {
            Some(message) => (Stage::Message, message.is_binary()),
            None => (Stage::Event, false),
        };
        let content = match (&message, shown) {
            (Some(message), Undecoded::Refused) => Content::Message(message),
            (Some(message), Undecoded::Secret) => Content::Secret(message.len()),
            (None, Undecoded::Secret) => Content::Secret(0),
            (None, Undecoded::Refused) => Content::Unknown,
        };
        tapping.arrived(event, &request(event, stage, binary, SubjectData::Null, content));
    }

    /// Records why an event of the client failed.
    pub(super) fn tap_failure(&mut self, event: EventNumber, cause: Cause, failure: &Failure) {
        if cause != Cause::Message {
            return;
        }
        let Some(tapping) = self.tapping() else { return };
        let stage = failure.location.label();
        let reason = Reason { stage, kind: failure.kind.label(), text: reply::text(failure) };
        tapping.pending.failed(event, reason);
    }

    /// Offers the messages of one event to the client.
    pub(super) fn tap_sent(&self, kind: Kind, cause: Cause, event: EventNumber, messages: &[Message]) {
        if !self.is_tapped() {
            return;
        }
        let role = match (kind, cause) {
            (Kind::Error, _) => MessageRole::Error,
            (Kind::Push, _) | (_, Cause::Push) => MessageRole::Push,
            (Kind::Reply | Kind::Request | Kind::Rejected { .. }, _) => MessageRole::Reply,
        };
        let Some(tapping) = &self.tapping else { return };
        for message in messages {
            tapping.tap.offer(&Offer {
                event: Some(event),
                direction: Direction::ToClient,
                role,
                stage: Stage::Message,
                binary: message.is_binary(),
                meta: None,
                data: SubjectData::Message(message),
                content: Content::Message(message),
            });
        }
    }

    /// Whether an outcome would be logged, traced or offered. If not, [`Session::show_outcome`] need not be called.
    pub(super) fn shows_outcomes(&self) -> bool {
        self.trace.is_some() || self.is_tapped() || log::log_enabled!(log::Level::Debug)
    }

    /// Logs, traces and offers the outcome of an event, if it has one now.
    pub(super) fn show_outcome(&mut self, event: EventNumber, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        let name = outcome.name();
        log::debug!("event settled session={self} event={} outcome={name}", self.tracker.id(event));
        self.trace_outcome(event, outcome);
        let Some(tapping) = self.tapping() else { return };
        let pending = tapping.pending.settled(event);
        tapping.tap.offer_outcome(event, name, pending);
    }
}

/// What taps may show of a message that is not decoded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Undecoded {
    /// The message is refused.
    Refused,
    /// The message has a credential.
    Secret,
}

impl Tapping {
    fn arrived(&mut self, event: EventNumber, offer: &Offer<'_>) {
        let arrival = self.tap.offer(offer);
        self.pending.arrived(event, arrival);
    }
}

fn request<'a>(
    event: EventNumber,
    stage: Stage,
    binary: bool,
    data: SubjectData<'a>,
    content: Content<'a>,
) -> Offer<'a> {
    let (direction, role) = (Direction::FromClient, MessageRole::Request);
    Offer { event: Some(event), direction, role, stage, binary, meta: None, data, content }
}
