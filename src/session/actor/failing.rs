//! Reports failed events to the client: by an error reply, or by closing the session.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    EndCause, Session,
    ending::{CloseIntent, SessionState},
};
use crate::{
    event::{Data, Event, EventId, EventNumber, Meta, Value},
    failure::{Failure, FailureKind, FailureLocation, Written},
    figures::FailedEvent,
    flow::{Cause, DataMessage, Envelope, Failed, Kind, Loss, Notice, Ticket, UpstreamEnd},
    log::{PlaceLimit, Quoted},
    reply::{self, error_data, gap_data},
    turn::now_ns,
    wire::CloseFrame,
};

/// The label in a close reason of the first lost event.
const FIRST_LOST: &str = "first lost event";
/// The label in a close reason of the last event sent before a loss.
const LAST_SENT: &str = "last event sent";

/// Maximum length of the text of a program that is kept with a failure, in bytes.
const ERROR_TEXT_MAX: usize = 256;

/// Limits the log lines about events whose failure closes the client: at most 100 a second for all sessions together.
static CLOSING_FAILURES: PlaceLimit = PlaceLimit::new(100);

impl Session {
    /// Handles a failure that a connector or the supervisor reports.
    pub(super) fn failed(&mut self, Failed { ticket, event, failure, correlation }: Failed) {
        let cause = match ticket {
            Some(ticket) => {
                let cause = ticket.cause();
                ticket.redeem();
                cause
            }
            // A notice about the last event sent on a lost connection. The event itself is settled.
            None => {
                if let Some(server) = &failure.server
                    && failure.kind != FailureKind::Recovery
                {
                    self.last_sent = Some(Box::new((Arc::clone(server), event)));
                }
                Cause::Push
            }
        };
        self.fail(event, cause, failure, correlation);
    }

    /// Reports the failure of an event that has no outcome yet: by an error reply, or, on a route without
    /// error replies, by closing the session if the client must notice the failure.
    pub(super) fn fail(
        &mut self,
        event: EventNumber,
        cause: Cause,
        failure: Failure,
        correlation: Option<Value>,
    ) {
        if !self.is_error_due(event, cause) {
            return;
        }
        let failure = self.delivery.failure_of(event, failure);
        self.figures.failed(&failure);
        self.observe_failure(event, cause, &failure);
        self.note_loss(event, cause, &failure);
        self.record(event, &failure);
        // A client that renews knows these messages, whatever the route says.
        if self.links.replies_errors || failure.kind == FailureKind::Renewal {
            self.reply_error(event, cause, failure, correlation);
        } else {
            self.close_for(event, cause, &failure);
        }
    }

    /// Counts a failure of which a message in the client's protocol informs the client. An event that was delivered before,
    /// and is not answered, stays delivered.
    pub(super) fn failed_in_protocol(&mut self, event: EventNumber, failure: Failure) {
        let failure = self.delivery.failure_of(event, failure);
        self.figures.failed(&failure);
        if self.delivery.fail_in_protocol(event) {
            self.observe_failure(event, Cause::Message, &failure);
        }
        self.record(event, &failure);
    }

    /// Logs the failure, and keeps it for operators.
    fn record(&self, event: EventNumber, failure: &Failure) {
        let (id, text) = (self.tracker.id(event), reply::text(failure));
        log::debug!("event failed session={self} event={id} error={}", Quoted(&text));
        self.figures.history.failed(FailedEvent {
            id,
            at: SystemTime::now(),
            stage: failure.location.label(),
            kind: failure.kind.label(),
            reason: text.into(),
            upstream: failure.server.clone(),
        });
    }

    /// Records the earliest event that was lost, for the close reason.
    fn note_loss(&mut self, event: EventNumber, cause: Cause, failure: &Failure) {
        if let Some(loss) = &mut self.loss
            && cause == Cause::Message
            && failure.server.is_some()
        {
            loss.first = Some(loss.first.map_or(event, |first| first.min(event)));
        }
    }

    /// Settles a failed event without a message to the client, and ends the session if [`policy::close_for`]
    /// has a close code for the failure.
    fn close_for(&mut self, event: EventNumber, cause: Cause, failure: &Failure) {
        let down = &mut self.down;
        let outcome = self.delivery.error_unreported(event, |frame| down.emit(frame));
        self.show_outcome(event, outcome);
        let id = self.tracker.id(event);
        let is_ending = self.ending.is_some() || !matches!(self.state, SessionState::Open);
        let close = reply::close_for(failure, cause, self.down.channel.is_binary());
        if let Some((code, words)) = close.filter(|_| !is_ending) {
            let reason = match code {
                1012 => {
                    reply::reason_with(words, [(FIRST_LOST, id)].into_iter().chain(self.last_sent(failure)))
                }
                _ => reply::reason_with(words, [("event", id)]),
            };
            // One warning per session is enough: many events may fail at once.
            if let Some(suppressed) = CLOSING_FAILURES.line(Instant::now()) {
                let words = Quoted(words);
                log::warn!("event failed session={self} event={id} close={code} reason={words}{suppressed}");
            }
            self.ending = Some(Box::new((CloseFrame::new(code, reason), EndCause::EventFailed)));
        }
    }

    /// Drains the session because its upstream has ended. The close frame follows everything that the
    /// upstream sent before, and the outcomes of the events that end with it.
    pub(super) fn upstream_ended(&mut self, end: UpstreamEnd) {
        let UpstreamEnd { frame, cause } = end;
        if matches!(self.state, SessionState::Open) && self.ending.is_none() {
            let intent = CloseIntent::Close(frame, EndCause::from(&cause));
            self.loss = cause.into_loss().map(Box::new);
            self.start_draining(intent, self.listener.close_timeout);
        }
    }

    /// The close frame, with the lost events added to its reason.
    pub(super) fn with_loss(&self, frame: CloseFrame) -> CloseFrame {
        let Some(Loss { first, last_written }) = self.loss.as_deref() else { return frame };
        let events = [first.map(|event| (FIRST_LOST, event)), last_written.map(|event| (LAST_SENT, event))];
        let events = events.into_iter().flatten().map(|(what, event)| (what, self.tracker.id(event)));
        CloseFrame::new(frame.code, reply::reason_with(&frame.reason, events))
    }

    /// The last event that was sent to the server of a failed event, on the connection that was lost, with
    /// its label in a close reason. That event counts as delivered, but may be lost as well.
    fn last_sent(&self, failure: &Failure) -> Option<(&'static str, EventId)> {
        let (lost, event) = self.last_sent.as_deref()?;
        let is_for_it = failure.written != Written::Whole && failure.server.as_ref() == Some(lost);
        is_for_it.then(|| (LAST_SENT, self.tracker.id(*event)))
    }

    /// Creates the error event of a failure and sends it towards the client.
    pub(super) fn reply_error(
        &mut self,
        event: EventNumber,
        cause: Cause,
        failure: Failure,
        correlation: Option<Value>,
    ) {
        let undecodable = matches!(
            failure,
            Failure { kind: FailureKind::Decode(_), location: FailureLocation::Downstream, .. }
        );
        let source = undecodable.then_some(&*self.listener.name);
        self.reply_with(event, cause, error_data(&failure, self.tracker.id(event), source), correlation);
    }

    /// Sends an error event with this data towards the client.
    pub(super) fn reply_with(
        &mut self,
        event: EventNumber,
        cause: Cause,
        data: Value,
        correlation: Option<Value>,
    ) {
        let ticket = self.tracker.issue_error(event);
        let mut meta = Meta::new(false, self.meta.clone());
        if let Some(correlation) = correlation {
            let _ = meta.set("correlation", correlation);
        }
        let event = Event {
            id: ticket.id(),
            data: data.into(),
            meta,
            origin: self.origin.clone(),
            ingest_ns: now_ns(),
        };
        self.send_error(event, ticket, cause);
    }

    /// Makes an event fail that a pipeline sent to port `err`. `before_upstream` is whether the event was on its way
    /// to the upstream. The event that came from the port is the error event.
    pub(super) fn fail_by_program(&mut self, event: Event, ticket: Ticket, before_upstream: bool) {
        let cause = ticket.cause();
        let number = ticket.redeem();
        if !self.is_error_due(number, cause) {
            return;
        }
        let failure = Failure::rejected(error_text(&event.data), before_upstream);
        let failure = self.delivery.failure_of(number, failure);
        self.figures.failed(&failure);
        self.observe_failure(number, cause, &failure);
        self.record(number, &failure);
        if self.links.replies_errors {
            let ticket = self.tracker.issue_error(number);
            self.send_error(event, ticket, cause);
        } else {
            self.close_for(number, cause, &failure);
        }
    }

    /// Reports that the upstream connection was replaced, before the messages of the new one. On a route without error
    /// replies the client gets no message that its protocol does not have.
    pub(super) fn upstream_replaced(&mut self, Notice { ticket, gap }: Notice) {
        let number = ticket.redeem();
        self.figures.history.changed("upstream replaced", "");
        if !self.links.replies_errors {
            return;
        }
        self.delivery.announce(number);
        self.down.expect_replaced(number);
        let data = gap_data(&gap, &self.tracker, number, Instant::now(), SystemTime::now());
        self.reply_with(number, Cause::Push, data, None);
    }

    /// Whether a failure must be reported. A failure is reported once per event, and not if the event has an
    /// outcome. The failure of an error event is reported while the event that it reports still waits for the
    /// error reply.
    fn is_error_due(&mut self, event: EventNumber, cause: Cause) -> bool {
        match cause {
            Cause::Message => self.delivery.fail(event),
            Cause::Push => {
                self.delivery.fail_unowned(event);
                true
            }
            Cause::Error => self.delivery.awaits_error(event),
        }
    }

    /// Sends an error event through the errors pipelines, with the others of this turn. An error event that failed there goes directly to
    /// the client.
    fn send_error(&mut self, event: Event, ticket: Ticket, cause: Cause) {
        // An error reply uses the budget of the side that caused it until it is written. So a peer that causes
        // errors faster than the client reads them is itself not read.
        let budget = match &self.links.upstream_budget {
            Some(budget) if cause == Cause::Push => budget,
            _ => self.down.channel.budget(),
        };
        let permit = Some(budget.take(event.data.size()));
        let envelope = Envelope { event, kind: Kind::Error, ticket, permit, class: None };
        match self.links.errors.head(&self.tracker) {
            Some(_) if cause != Cause::Error => self.errors.get_or_insert_default().push(envelope),
            _ => self.deliver(envelope),
        }
    }

    /// Sends the error events of this turn to the errors pipelines.
    pub(super) fn flush_errors(&mut self) {
        if let Some(envelopes) = self.errors.take().and_then(|mut errors| errors.take())
            && let Some(errors) = self.links.errors.head(&self.tracker)
        {
            errors.notify(DataMessage::Events(envelopes));
        }
    }
}

/// The text in an error event that a program made: that of its key `error`, which a script's port `err` sets. Anything else
/// may be the client's message, which the log does not show.
fn error_text(data: &Data) -> String {
    let Data::Value(value) = data else { return String::new() };
    let text = value.get("error").and_then(Value::as_str).unwrap_or_default();
    text[..text.floor_char_boundary(ERROR_TEXT_MAX)].to_owned()
}
