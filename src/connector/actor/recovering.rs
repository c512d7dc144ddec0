//! Passes the messages of a connection through the session's journal.
//!
//! The connector gets the journal once its connection is up, and reads and sends nothing before. Then the journal
//! replays its messages; the client's events wait for the end of the replay.

use std::{mem, sync::Arc, task, time::Instant};

use actix::{Context, Handler};

use super::{Connector, ConnectorState, Part, Sending};
use crate::{
    connector::{Fact, Lend, Loan, Restored, SessionJournal, exchange::Tags, recorded, sendable},
    deadline::Deadline,
    event::{Event, EventNumber},
    failure::{Failure, FailureKind, FailureLocation, Written},
    flow::{AckStatus, Budget, Cause, DataMessage, Envelope, Failed, Kind, Permit, Ticket},
    format_error::{FormatError, FormatErrorKind},
    recovery::{self, Broken, ClientStep, Output, Reason, UpstreamClass, UpstreamStep},
    wire::{CloseFrame, Message},
};

/// The reason for closing a session with an incomplete packet when the memory of the process is used up.
const NO_MEMORY: &str = "no memory for the rest of a packet";

/// The ticket of a message for the client, and the permit that it takes over.
type Owed = (Ticket, Option<Permit>);

/// The journal of a connection.
#[derive(Debug, Default)]
pub(super) struct Recovering {
    state: State,
    /// When the journal has something to do without a message.
    deadline: Deadline,
    /// The time for which `deadline` is set.
    due: Option<Instant>,
    /// The replay on this connection, until it is complete.
    replay: Option<Replay>,
    /// The close frame for the client, if the session cannot go on.
    verdict: Option<CloseFrame>,
}

#[derive(Debug)]
struct Replay {
    begun: Instant,
    /// The number of messages that were sent.
    messages: usize,
}

#[derive(Debug, Default)]
enum State {
    /// The supervisor has the journal.
    #[default]
    Awaited,
    Lent(Loan),
    /// The connection has ended.
    Returned,
}

impl Recovering {
    /// Whether the connector does not have the journal yet.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Awaited)
    }

    /// Whether the client's events may pass.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&self.state, State::Lent(loan) if loan.is_ready())
    }

    /// Whether the journal replays on this connection, so that the client's events wait.
    pub(super) fn is_replaying(&self) -> bool {
        matches!(self.state, State::Lent(_)) && !self.is_ready()
    }

    /// Whether all messages that await an answer have it. With `strictly`, this includes those that may get none.
    pub(super) fn is_quiet(&mut self, strictly: bool) -> bool {
        self.journal()
            .is_some_and(|held| held.journal.is_quiet() && !(strictly && held.journal.has_optional_calls()))
    }

    /// The connection ends without a loss.
    pub(super) fn yielded(&mut self) {
        if let Some(held) = self.journal() {
            held.journal.forget_optional_calls();
        }
    }

    /// The replay is complete. Returns `None` if nothing had to be sent again.
    fn replayed(&mut self, now: Instant) -> Option<Restored> {
        let Replay { begun, messages } = self.replay.take().filter(|replay| replay.messages > 0)?;
        Some(Restored { messages, duration: now.saturating_duration_since(begun) })
    }

    fn journal(&mut self) -> Option<&mut SessionJournal> {
        match &mut self.state {
            State::Lent(loan) => loan.journal(),
            State::Awaited | State::Returned => None,
        }
    }

    /// Takes the journal, which the connector returns, and the verdict about the session.
    pub(super) fn end(&mut self) -> (Option<Box<SessionJournal>>, Option<CloseFrame>) {
        let journal = match mem::replace(&mut self.state, State::Returned) {
            State::Lent(mut loan) => loan.end(),
            State::Awaited | State::Returned => None,
        };
        (journal, self.verdict.take())
    }

    /// Sets the deadline to that of the journal, and registers the waker for it.
    pub(super) fn arm(&mut self, waker: &task::Waker) {
        let due = self.journal().and_then(|held| held.journal.deadline());
        if due != self.due {
            self.due = due;
            match due {
                Some(due) => self.deadline.set(due.saturating_duration_since(Instant::now())),
                None => self.deadline.clear(),
            }
        }
        self.deadline.arm(waker);
    }
}

impl Connector {
    // --- From the client

    /// Passes an event through the journal, and queues what the journal makes of it.
    pub(super) fn send_recorded(&mut self, envelope: Envelope, now: Instant) {
        if !self.can_send() {
            // An event before it has ended the connection.
            return match self.state {
                ConnectorState::Ended => self.report(Fact::Unsent(vec![envelope])),
                _ => self.waiting.push(vec![envelope]),
            };
        }
        let Envelope { event, ticket, permit, class, .. } = envelope;
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let correlation = event.meta.get("correlation");
        let mut messages = Vec::new();
        if let Err(error) = channel.encode(event.data, &event.meta, &mut messages) {
            return ticket.settle(AckStatus::failed(Failure::encode(FailureLocation::Upstream, error)));
        }
        // Without postprocessors, an event is one message.
        let message = messages.pop().map(recorded);
        let journal = self.recovering.as_mut().and_then(|recovering| recovering.journal());
        let (Some(message), Some(held)) = (message, journal) else { return };
        let in_parts = !held.journal.has_whole_messages();
        let budget = permit.as_ref().map(|permit| Arc::clone(permit.budget()));
        let number = ticket.event().0;
        let step = match class {
            Some(class) => held.journal.client_as(number, message, &class),
            None => held.journal.client(number, message),
        };
        match step {
            ClientStep::Send(message) => {
                let is_dispensable = held.journal.is_dispensable(&message);
                let part = if is_dispensable { Part::None } else { Part::Last };
                // After our close frame `push` refuses, and the event fails with the connection.
                let message = sendable(message);
                let token = Sending { part, bytes: message.len(), _permit: permit };
                let _ = channel.link().push(message, token);
                if is_dispensable {
                    return ticket.settle(AckStatus::Delivered);
                }
                self.exchange.sent(ticket.event(), Tags { key: None, correlation }, ticket, now);
            }
            ClientStep::Hide => ticket.settle(AckStatus::Delivered),
            ClientStep::Refuse(failure) => self.refuse(failure, (ticket, permit)),
            // Events are sent only while the journal is ready.
            ClientStep::Wait(_) => {
                let failure = Failure::not_connected().for_event(&self.server, Written::Nothing);
                ticket.settle(AckStatus::failed(failure));
            }
        }
        if in_parts {
            self.count_unfinished(budget.as_ref());
        }
        self.run_journal(now, budget.as_ref());
    }

    /// Makes events wait until they may be sent. During a replay, which may take long, the journal answers those that only
    /// check whether the peer is alive: the client's library would close its connection otherwise.
    pub(super) fn wait(&mut self, envelopes: Vec<Envelope>) {
        let is_replaying = self.recovering.as_ref().is_some_and(|recovering| recovering.is_replaying());
        if !is_replaying {
            return self.waiting.push(envelopes);
        }
        for envelope in envelopes {
            if let Some(envelope) = self.keep_alive(envelope) {
                self.waiting.push(vec![envelope]);
            }
        }
    }

    /// Answers an event that only checks whether the peer is alive. Returns any other event.
    fn keep_alive(&mut self, envelope: Envelope) -> Option<Envelope> {
        let ConnectorState::Up(channel) = &mut self.state else { return Some(envelope) };
        let journal = self.recovering.as_mut().and_then(|recovering| recovering.journal());
        let Some(SessionJournal { journal, .. }) = journal else { return Some(envelope) };
        // An event that waits may be the beginning of the packet.
        if !journal.has_whole_messages() && !self.waiting.is_empty() {
            return Some(envelope);
        }
        let Envelope { event, .. } = &envelope;
        let mut messages = Vec::new();
        let encoded = channel.encode(event.data.clone(), &event.meta, &mut messages);
        // Without postprocessors, an event is one message.
        let message = messages.pop().filter(|_| encoded.is_ok()).map(recorded);
        match message.and_then(|message| journal.keepalive(&message)) {
            Some(reply) => {
                self.deliver(reply, Some((envelope.ticket, envelope.permit)));
                None
            }
            None => Some(envelope),
        }
    }

    /// Makes an event fail that the journal cannot keep.
    fn refuse(&mut self, failure: recovery::Failure, (ticket, permit): Owed) {
        if let Reason::Malformed(text) = failure.reason {
            // The client's later messages cannot be understood either.
            let error = FormatError::new(FormatErrorKind::Malformed, text);
            ticket.settle(AckStatus::failed(Failure::decode(FailureLocation::Downstream, error)));
            return self.end_session(CloseFrame::new(1002, text), text);
        }
        if matches!(failure.reason, Reason::NoId | Reason::Unplaced) {
            return ticket.settle(AckStatus::failed(Failure::program(failure.reason.to_string(), true)));
        }
        let text = failure.reason.to_string();
        let reported = match failure.reason {
            Reason::NotOpen | Reason::RequestInUse => {
                let failure = Failure::connection(FailureKind::Recovery, text);
                failure.for_event(&self.server, Written::Nothing)
            }
            _ => Failure::unrecorded(text),
        };
        match failure.reply {
            Some(reply) => {
                self.tracker.failed_in_protocol(ticket.event(), reported);
                self.deliver(reply, Some((ticket, permit)));
            }
            None => ticket.settle(AckStatus::failed(reported)),
        }
    }

    // --- From the upstream

    /// Reads nothing, because the supervisor has the journal or has not released the connector.
    pub(super) fn hold_back(&mut self, task: &task::Context<'_>) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        channel.begin_turn();
        channel.hold_back();
        channel.end_turn();
        if let Some(error) = channel.check_liveness(task.waker()) {
            self.on_liveness_error(error);
        }
    }

    /// Passes a message of the upstream through the journal, and delivers what the journal makes of it.
    pub(super) fn record(&mut self, message: Message) {
        let (now, generation) = (Instant::now(), self.generation.0);
        let class = match self.class(&message) {
            Ok(class) => class,
            Err(failure) => return self.fail_reply(failure),
        };
        let journal = self.recovering.as_mut().and_then(|recovering| recovering.journal());
        let Some(held) = journal else { return };
        let message = recorded(message);
        let step = match &class {
            Some(class) => held.journal.upstream_as(generation, message, class, now),
            None => held.journal.upstream(generation, message, now),
        };
        match step {
            UpstreamStep::Deliver { message, .. } => self.deliver(message, None),
            UpstreamStep::Hide => {}
            UpstreamStep::Refuse(reason) => self.fail_reply(Failure::program(reason.to_string(), false)),
        }
        self.count_unfinished(None);
        self.run_journal(now, None);
    }

    /// Counts the bytes of incomplete packets, and ends the session if there is no memory for the rest of one.
    /// `from_client`: the budget of the client's messages.
    fn count_unfinished(&mut self, from_client: Option<&Arc<Budget>>) {
        let Some(held) = self.recovering.as_mut().and_then(|recovering| recovering.journal()) else { return };
        if held.count_unfinished([from_client, Some(&self.budget)]) {
            self.end_session(CloseFrame::new(1013, NO_MEMORY), NO_MEMORY);
        }
    }

    /// What the upstream's message is, if a program says it.
    fn class(&mut self, message: &Message) -> Result<Option<UpstreamClass>, Failure> {
        let journal = self.recovering.as_mut().and_then(|recovering| recovering.journal());
        let classifier = journal.and_then(|held| held.classifier.as_mut());
        let (Some(classifier), ConnectorState::Up(channel)) = (classifier, &mut self.state) else {
            return Ok(None);
        };
        channel.feed(message.clone());
        // A message that cannot be decoded fails when it is delivered.
        let Some(Ok(data)) = channel.take_event() else { return Ok(None) };
        let meta = channel.meta(&data, None);
        // It has its number once it is delivered.
        let id = self.tracker.id(EventNumber(0));
        let (origin, ingest_ns) = (self.origin.clone(), self.batch.now_ns());
        classifier.class(Event { id, data, meta, origin, ingest_ns })
    }

    /// Delivers a message to the client as if the upstream had sent it. With a ticket, the journal has made it for that
    /// event.
    fn deliver(&mut self, message: recovery::Message, owed: Option<Owed>) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        channel.feed(sendable(message));
        // Without preprocessors, a message is one event.
        match (channel.take_event(), owed) {
            (Some(decoded), None) => self.decoded(decoded),
            (Some(Ok(data)), Some((ticket, permit))) => {
                let kind = if ticket.cause() == Cause::Push { Kind::Push } else { Kind::Reply };
                self.answer(data, kind, None, (ticket, permit));
            }
            (Some(Err(error)), Some((ticket, _))) => {
                ticket.settle(AckStatus::failed(Failure::decode(FailureLocation::Upstream, error)));
            }
            (None, _) => {}
        }
    }

    // --- The journal's part

    /// Lets the journal act, when its deadline has passed.
    pub(super) fn replay_in_time(&mut self) {
        let Some(recovering) = &mut self.recovering else { return };
        if recovering.deadline.has_passed() {
            // Set again at the end of the turn.
            recovering.due = None;
            self.run_journal(Instant::now(), None);
        }
    }

    /// Does what the journal wants. `from_client`: the budget of the client's message after which it is called. What the
    /// journal delivers then uses this budget, so that a client which does not read its answers is not read either.
    fn run_journal(&mut self, now: Instant, from_client: Option<&Arc<Budget>>) {
        let mut is_ready = false;
        while let Some(held) = self.recovering.as_mut().and_then(|recovering| recovering.journal())
            && let Some(output) = held.journal.poll(now)
        {
            match output {
                Output::Send(message) => {
                    let recovering = self.recovering.as_mut();
                    if let Some(replay) = recovering.and_then(|recovering| recovering.replay.as_mut()) {
                        replay.messages += 1;
                    }
                    if let ConnectorState::Up(channel) = &mut self.state {
                        let message = sendable(message);
                        let token = Sending { part: Part::None, bytes: message.len(), _permit: None };
                        let _ = channel.link().push(message, token);
                    }
                }
                Output::Deliver { message, .. } => {
                    let issue =
                        |budget: &Arc<Budget>| (self.tracker.issue(Cause::Push), Some(budget.take(0)));
                    let owed = from_client.map(issue);
                    self.deliver(message, owed);
                }
                Output::Notice(gap) => self.notice(gap),
                Output::Failed(failure) => self.unrestored(failure),
                Output::Ready => {
                    is_ready = true;
                    let mut kept = held.take_all_kept();
                    self.tracker.delivered(&mut kept);
                }
                Output::Broken(broken) => self.broken(broken),
            }
        }
        if is_ready {
            let recovering = self.recovering.as_mut();
            if let Some(restored) = recovering.and_then(|recovering| recovering.replayed(now)) {
                self.report(Fact::Restored(restored));
            }
            self.send_waiting();
        }
    }

    /// Reports an event whose subscription could not be restored.
    fn unrestored(&mut self, failure: recovery::Failure) {
        let event = EventNumber(failure.event);
        let journal = self.recovering.as_mut().and_then(|recovering| recovering.journal());
        let ticket = journal.and_then(|held| held.take_kept(event));
        let reason = Failure::connection(FailureKind::Recovery, failure.reason.to_string());
        let (reply, failure) = (failure.reply, reason.for_event(&self.server, Written::Whole));
        if let Some(reply) = reply {
            self.tracker.failed_in_protocol(event, failure);
            return self.deliver(reply, ticket.map(|ticket| (ticket, None)));
        }
        self.send_back(DataMessage::Failed(vec![Failed { ticket, event, failure, correlation: None }]));
    }

    /// Ends a connection at which the session cannot go on.
    fn broken(&mut self, broken: Broken) {
        let text = broken.to_string();
        match broken {
            Broken::Refused => self.end_session(CloseFrame::new(1008, text.as_str()), &text),
            Broken::TimedOut(_) | Broken::Unavailable | Broken::Malformed(_) => self.end_recovery(&text),
        }
    }

    /// Ends the connection, and with it the session.
    fn end_session(&mut self, frame: CloseFrame, text: &str) {
        if let Some(recovering) = &mut self.recovering {
            recovering.verdict = Some(frame);
        }
        self.end_recovery(text);
    }

    fn end_recovery(&mut self, text: &str) {
        self.send_close_frame(Some(&CloseFrame::new(1000, "")));
        self.end(Failure::connection(FailureKind::Recovery, text));
    }
}

impl Handler<Lend> for Connector {
    type Result = ();

    fn handle(&mut self, Lend(mut loan): Lend, _: &mut Context<Self>) {
        let is_up = matches!(self.state, ConnectorState::Up(_));
        let Some(recovering) = self.recovering.as_mut().filter(|recovering| is_up && recovering.is_awaited())
        else {
            // The journal returns as the loan is dropped.
            return;
        };
        let now = Instant::now();
        if let Some(held) = loan.journal() {
            held.journal.connected(self.generation.0, now);
            held.count_unfinished([None, None]);
        }
        recovering.state = State::Lent(loan);
        recovering.replay = Some(Replay { begun: now, messages: 0 });
        self.run_journal(now, None);
        let (events, mark) = self.waiting.take();
        self.wait(events);
        if let Some(mark) = mark {
            self.waiting.end_with(mark);
        }
    }
}
