//! Messages to the client, and the outcomes that tickets report.

use std::{slice, task};

use super::{EndCause, Session, ending::SessionState};
use crate::{
    channel::{self, Part},
    event::{Event, EventNumber},
    failure::{Failure, FailureLocation},
    flow::{Ack, AckStatus, Acks, Cause, DataMessage, Envelope, Kind, Permit, Ticket, recycle},
    reply::error_data,
    session::{
        downstream::{Class, ClientFrame},
        ledger::Outcome,
    },
    wire::{CloseFrame, Message},
};

impl Session {
    pub(super) fn arrive(&mut self, message: DataMessage) {
        self.take_acks(None);
        match message {
            DataMessage::Events(mut envelopes) => {
                envelopes.drain(..).for_each(|envelope| self.deliver(envelope));
                recycle(envelopes);
            }
            DataMessage::Burst(burst) => self.deliver_burst(*burst),
            DataMessage::Failed(failed) => failed.into_iter().for_each(|failed| self.failed(failed)),
            DataMessage::Ended(end) => self.upstream_ended(*end),
            DataMessage::Notice(notice) => self.upstream_replaced(*notice),
            DataMessage::Several(messages) => messages.into_iter().for_each(|message| self.arrive(message)),
            // A mark goes to a connector or to the supervisor only. Other settings come back to the session that sent them.
            DataMessage::Mark(_) | DataMessage::Adopt(_) => {}
        }
    }

    pub(super) fn deliver(&mut self, Envelope { event, kind, ticket, permit, .. }: Envelope) {
        if let Kind::Rejected { before_upstream } = kind {
            return self.fail_by_program(event, ticket, before_upstream);
        }
        let Event { data, meta, .. } = event;
        let (channel, mut messages) = (&mut self.down.channel, Vec::new());
        let encoded = if channel.encodes_one() {
            match channel.encode_one(data, &meta) {
                Ok(message) => return self.emit_message(kind, ticket, message, permit),
                Err(error) => Err(error),
            }
        } else {
            channel.encode(data, &meta, &mut messages)
        };
        match encoded {
            Ok(()) => self.emit_to_client(kind, ticket, messages, permit),
            Err(error) if kind == Kind::Error => {
                // The listener's format cannot encode a record. JSON text always can.
                let data =
                    error_data(&Failure::encode(FailureLocation::Downstream, error), ticket.id(), None);
                messages.push(Message::Text(data.to_json().into()));
                self.emit_to_client(kind, ticket, messages, permit);
            }
            Err(error) => {
                let failure = Failure::encode(FailureLocation::Downstream, error);
                let cause = ticket.cause();
                self.fail(ticket.redeem(), cause, failure, meta.get("correlation"));
            }
        }
    }

    /// Sends the only message of one event to the client.
    fn emit_message(&mut self, kind: Kind, ticket: Ticket, message: Message, permit: Option<Permit>) {
        let cause = ticket.cause();
        let event = ticket.redeem();
        self.tap_sent(kind, cause, event, slice::from_ref(&message));
        let class = self.class_of(kind, cause, event);
        self.emit(kind, cause, event, Some(ClientFrame { message, permit, class }));
    }

    /// Sends the messages of one event to the client.
    pub(super) fn emit_to_client(
        &mut self,
        kind: Kind,
        ticket: Ticket,
        mut messages: Vec<Message>,
        permit: Option<Permit>,
    ) {
        let cause = ticket.cause();
        let event = ticket.redeem();
        self.tap_sent(kind, cause, event, &messages);
        if kind == Kind::Error && messages.is_empty() {
            self.down.forget_notice(event);
        }
        let class = self.class_of(kind, cause, event);
        let outputs = channel::parts(&mut messages, permit);
        let outputs = outputs.map(|Part { message, permit, .. }| ClientFrame { message, permit, class });
        self.emit(kind, cause, event, outputs);
    }

    fn class_of(&self, kind: Kind, cause: Cause, event: EventNumber) -> Class {
        match (kind, cause) {
            (Kind::Error, _) => self.down.class_of_error(event),
            (Kind::Push, _) | (_, Cause::Push) => Class::Push,
            (Kind::Reply | Kind::Request | Kind::Rejected { .. }, _) => Class::Owed,
        }
    }

    fn emit(
        &mut self,
        kind: Kind,
        cause: Cause,
        event: EventNumber,
        outputs: impl IntoIterator<Item = ClientFrame>,
    ) {
        let down = &mut self.down;
        let emit = |frame| down.emit(frame);
        let outcome = match (kind, cause) {
            (Kind::Error, _) => self.delivery.error(event, outputs, emit),
            (Kind::Push, _) | (_, Cause::Push) => {
                self.delivery.push(outputs, emit);
                None
            }
            (Kind::Reply | Kind::Request | Kind::Rejected { .. }, _) => {
                self.delivery.reply(event, outputs, emit)
            }
        };
        self.show_outcome(event, outcome);
    }

    /// Applies the outcomes that tickets have reported. With a `task`, later acks wake it; while the session
    /// waits for outcomes, successful outcomes wake it too.
    pub(super) fn take_acks(&mut self, task: Option<&task::Context<'_>>) {
        let eager =
            !matches!(self.state, SessionState::Open) || self.delivery.unsettled() >= self.max_in_flight;
        let Acks { list, delivered } = self.tracker.take_acks(task.map(|task| task.waker()), eager);
        if !list.is_empty() {
            list.into_iter().for_each(|ack| self.ack(ack));
        }
        if let Some((first, count)) = delivered {
            self.delivered(first, count);
        }
    }

    fn ack(&mut self, ack: Ack) {
        match ack {
            Ack::Settled { event, cause, status } => self.acked(event, cause, status),
            Ack::Delivered { first, count } => self.delivered(first, count),
            Ack::FailedInProtocol { event, failure } => self.failed_in_protocol(event, *failure),
            Ack::PipelineDied(name) => {
                log::error!("pipeline died session={self} pipeline={name}");
                self.actor_died();
            }
            Ack::SupervisorDied => {
                log::error!("supervisor died session={self}");
                self.actor_died();
            }
        }
    }

    fn delivered(&mut self, first: EventNumber, count: u64) {
        if self.shows_outcomes() {
            let events = first.0..first.0 + count;
            events.for_each(|event| self.acked(EventNumber(event), Cause::Message, AckStatus::Delivered));
            return;
        }
        let down = &mut self.down;
        self.delivery.delivered(first, count, |frame| down.emit(frame));
    }

    fn acked(&mut self, event: EventNumber, cause: Cause, status: AckStatus) {
        let down = &mut self.down;
        let emit = |frame| down.emit(frame);
        let outcome = match (status, cause) {
            (AckStatus::Copied, Cause::Message) => {
                self.delivery.copied(event);
                None
            }
            (AckStatus::Delivered, Cause::Message) => self.delivery.settle(event, Outcome::Delivered, emit),
            (AckStatus::Dropped, Cause::Message) => self.delivery.settle(event, Outcome::Dropped, emit),
            (AckStatus::Dropped, Cause::Error) => {
                let outcome = self.delivery.error_dropped(event, emit);
                self.down.forget_notice(event);
                outcome
            }
            (AckStatus::Failed(failure), cause) => return self.fail(event, cause, *failure, None),
            (AckStatus::Lost, Cause::Message | Cause::Error) => {
                return self.fail(event, cause, Failure::lost(), None);
            }
            // The outcome of a push is of no interest, and an error event has no copies to count.
            (AckStatus::Copied | AckStatus::Delivered | AckStatus::Dropped | AckStatus::Lost, _) => None,
        };
        self.show_outcome(event, outcome);
    }

    /// Ends the session after one of its actors died, because the session cannot work without it. The actor's
    /// events have been reported as lost.
    fn actor_died(&mut self) {
        self.ending = Some(Box::new((CloseFrame::new(1011, "internal error"), EndCause::Internal)));
    }
}
