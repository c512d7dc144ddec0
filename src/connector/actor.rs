//! The connector actor. [`ending`] ends its connection.

mod ending;

use std::{
    mem,
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, fut::wrap_future};
use awc::BoxedSocket;

use super::{
    dial::{DialError, Dialed, Dialing},
    exchange::{InFlight, ReplyMatch, Tags},
    linger::Open,
    messages::{Close, ConnectorLinks, Fact, Generation, Report, Start},
};
use crate::{
    deadline::Deadline,
    event::{Data, Event, Origin, Value},
    flow::{
        AckStatus, AckTracker, Batch, Budget, Cause, DataMessage, Edge, Envelope, Failed, Kind, PartialBytes,
        Permit, Ticket, mailbox_room, recycle,
    },
    format::{Inbound, Outbound},
    reply::{Failure, Reason},
    settings::Upstream,
    turn::{Driven, TURN_STEPS, drive},
    wire::{self, Incoming, Link, LinkError, Message, Role},
};

/// A connection to an upstream.
pub struct Connector {
    upstream: Arc<Upstream>,
    generation: Generation,
    supervisor: Edge<Report>,
    /// Where what comes from the upstream goes: the first outgoing pipeline, or the session.
    back: Edge<DataMessage>,
    tracker: Arc<AckTracker>,
    /// The upstream's `buffer`: what was read from it and is not written to the client yet.
    budget: Arc<Budget>,
    hold: PartialBytes,
    inbound: Inbound,
    outbound: Outbound,
    exchange: InFlight<Ticket>,
    state: State,
    proved: bool,
    dialing: Option<SpawnHandle>,
    /// That of the oldest awaited reply.
    deadline: Deadline,
    /// Counts the connection.
    open: Option<Open>,
    /// What goes back in this turn.
    batch: Batch,
    /// The frames of the event that is being sent.
    frames: Vec<Message>,
    /// The events that are written and await nothing.
    delivered: Vec<Ticket>,
    /// Where its events come from, if a program asks.
    origin: Option<Arc<Origin>>,
}

/// A frame on its way to the socket.
struct Sending {
    /// Whether it is the last frame of its event.
    last: bool,
    /// The bytes it took from the client's budget.
    _permit: Option<Permit>,
}

type UpstreamLink = Link<BoxedSocket, Sending>;

enum State {
    Dialing(Vec<Envelope>),
    Up(Box<UpstreamLink>),
    Ended,
}

impl Connector {
    /// Starts a connector.
    pub fn start(
        upstream: Arc<Upstream>,
        generation: Generation,
        links: ConnectorLinks,
        start: Start,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(mailbox_room(links.room));
            let mut connector = Self::new(upstream, generation, links);
            match start {
                Start::With(dialed) => connector.up(*dialed, ctx),
                Start::Dialing(dialing) => connector.dial(dialing, ctx),
            }
            connector
        })
    }

    fn new(upstream: Arc<Upstream>, generation: Generation, links: ConnectorLinks) -> Self {
        Self {
            generation,
            supervisor: links.supervisor,
            back: links.back,
            tracker: links.tracker,
            hold: PartialBytes::new(&links.budget),
            budget: links.budget,
            inbound: Inbound::new(&upstream.format),
            outbound: Outbound::new(&upstream.format),
            exchange: InFlight::new(
                upstream.exchange,
                upstream.correlation.is_some(),
                upstream.reply_timeout,
                upstream.max_overdue,
            ),
            state: State::Dialing(Vec::new()),
            proved: false,
            dialing: None,
            deadline: Deadline::new(),
            open: None,
            batch: Batch::default(),
            frames: Vec::new(),
            delivered: Vec::new(),
            origin: links.origin,
            upstream,
        }
    }

    // --- Dialing

    fn dial(&mut self, dialing: Dialing, ctx: &mut Context<Self>) {
        self.dialing = Some(ctx.spawn(wrap_future(dialing).map(Self::dialed)));
    }

    fn dialed(result: Result<Dialed, DialError>, connector: &mut Self, ctx: &mut Context<Self>) {
        connector.dialing = None;
        match result {
            _ if matches!(connector.state, State::Ended) => {}
            Ok(dialed) => connector.up(dialed, ctx),
            Err(error) => connector.end(error.reason()),
        }
    }

    // --- Up

    fn up(&mut self, dialed: Dialed, ctx: &mut Context<Self>) {
        let Upstream { limits, liveness, .. } = &*self.upstream;
        let link = Link::new(dialed.socket, Role::Client, *limits, liveness, dialed.rest);
        let waiting = match mem::replace(&mut self.state, State::Up(Box::new(link))) {
            State::Dialing(waiting) => waiting,
            _ => Vec::new(),
        };
        self.open = Some(Open::new());
        self.report(Fact::Up);
        self.send_all(waiting);
        drive(ctx);
    }

    fn send_all(&mut self, mut envelopes: Vec<Envelope>) {
        let now = Instant::now();
        for envelope in envelopes.drain(..) {
            self.send(envelope, now);
        }
        recycle(envelopes);
    }

    fn send(&mut self, Envelope { event, ticket, permit, .. }: Envelope, now: Instant) {
        let State::Up(link) = &mut self.state else { return };
        let key = self.upstream.correlation.as_ref().and_then(|path| lookup(&event.data, path));
        let correlation = event.meta.get("correlation");
        if let Err(words) = self.outbound.encode(event.data, &event.meta, &mut self.frames) {
            return ticket.settle(AckStatus::failed(Failure::Serialize(words)));
        }
        let Some(last) = self.frames.len().checked_sub(1) else { return ticket.settle(AckStatus::Dropped) };
        self.exchange.sent(ticket.event(), Tags { key, correlation }, ticket, now);
        let mut permit = permit;
        for (at, message) in self.frames.drain(..).enumerate() {
            let last = at == last;
            let permit = if last { permit.take() } else { None };
            // A link that is up has not sent its close frame.
            let _ = link.push(message, Sending { last, _permit: permit });
        }
    }

    fn read(&mut self, task: &mut task::Context<'_>) {
        let State::Up(link) = &mut self.state else { return };
        link.allow(self.budget.allowance().saturating_sub(self.inbound.held()));
        let reading = self.read_on(task);
        let State::Up(link) = &mut self.state else { return self.hold.set(0) };
        link.end_turn();
        self.hold.set(link.unfinished() + self.inbound.held());
        if let Some(error) = link.check_liveness(task.waker(), reading) {
            self.on_liveness_error(error);
        }
    }

    /// One event or message at a time, as long as the budget has room; false when it has none.
    fn read_on(&mut self, task: &mut task::Context<'_>) -> bool {
        for _ in 0..TURN_STEPS {
            let State::Up(link) = &mut self.state else { return true };
            if !self.budget.room_or_wake(task.waker()) {
                return false;
            }
            match self.inbound.next() {
                Some(Ok(data)) => self.data(data),
                Some(Err(words)) => self.undecodable(words),
                None => match link.poll_next(task) {
                    Poll::Pending => return !link.is_held_up(),
                    Poll::Ready(Ok(incoming)) => self.incoming(incoming),
                    Poll::Ready(Err(error)) => self.link_failed(&error),
                },
            }
        }
        wire::yield_turn(task);
        true
    }

    fn incoming(&mut self, incoming: Incoming) {
        if !matches!(incoming, Incoming::Close(_)) {
            self.prove();
        }
        let State::Up(link) = &mut self.state else { return };
        match incoming {
            Incoming::Message(message) => self.inbound.feed(message),
            Incoming::Ping(payload) => link.outbox().pong(payload),
            Incoming::Pong(_) => {}
            Incoming::Close(frame) => {
                self.finish_input();
                self.send_close_frame(frame.as_ref());
                self.close_received(frame);
            }
        }
    }

    fn prove(&mut self) {
        if !self.proved {
            self.proved = true;
            self.report(Fact::Proved);
        }
    }

    /// Makes an event of what came and hands it back, as a reply or as a push.
    fn data(&mut self, data: Data) {
        let permit = self.budget.take(data.size());
        let correlated = self.upstream.correlation.as_ref();
        let key = correlated.and_then(|path| lookup(&data, path));
        let mut meta = self.inbound.meta(&data, None);
        let (ticket, kind) = match self.exchange.reply(key.as_ref()) {
            ReplyMatch::Reply(ticket, correlation) => {
                if let Some(correlation) = correlation {
                    let _ = meta.set("correlation", correlation);
                }
                (ticket, Kind::Reply)
            }
            ReplyMatch::Push => (self.tracker.issue(Cause::Push), Kind::Push),
        };
        let event = Event {
            id: ticket.id(),
            data,
            meta,
            origin: self.origin.clone(),
            ingest_ns: self.batch.now_ns(),
        };
        self.batch.push(Envelope { event, kind, ticket, permit: Some(permit) });
    }

    /// What cannot be read fails the event it would have answered, or is a failed push.
    fn undecodable(&mut self, words: String) {
        self.fail_reply(Failure::Deserialize(words));
    }

    /// Fails the event that is answered next, or a push where none awaits a reply.
    fn fail_reply(&mut self, failure: Failure) {
        self.flush_replies();
        let (ticket, correlation) = match self.exchange.reply(None) {
            ReplyMatch::Reply(ticket, correlation) => (ticket, correlation),
            ReplyMatch::Push => (self.tracker.issue(Cause::Push), None),
        };
        let failed = Failed { event: ticket.event(), ticket: Some(ticket), failure, correlation };
        self.back.notify(DataMessage::Failed(vec![failed]));
    }

    /// The upstream has closed: what it has not finished, such as a last line without newline, are its last
    /// messages.
    fn finish_input(&mut self) {
        self.inbound.finish();
        while let Some(decoded) = self.inbound.next() {
            match decoded {
                Ok(data) => self.data(data),
                Err(words) => self.undecodable(words),
            }
        }
    }

    /// The server's name in error replies.
    fn server(&self) -> Arc<str> {
        self.upstream.url.shown.as_str().into()
    }

    fn flush_replies(&mut self) {
        if let Some(envelopes) = self.batch.take() {
            self.back.notify(DataMessage::Events(envelopes));
        }
    }

    fn flush(&mut self, task: &mut task::Context<'_>) {
        let State::Up(link) = &mut self.state else { return };
        let exchange = &mut self.exchange;
        let mut now = None;
        let delivered = &mut self.delivered;
        let flushed = link.poll_flush(task, |sending| {
            if sending.last {
                delivered.extend(exchange.written(*now.get_or_insert_with(Instant::now)));
            }
        });
        self.tracker.delivered(&mut self.delivered);
        if let Poll::Ready(Err(error)) = flushed {
            self.end(Reason::Link(LinkError::Io(error).to_string()));
        }
    }

    // --- Deadlines

    /// Sets the deadline of the oldest awaited reply. It is set again only when it has passed: a reply costs
    /// nothing here.
    fn await_replies(&mut self) {
        if !self.deadline.is_set()
            && let Some(deadline) = self.exchange.next_deadline()
        {
            self.deadline.set(deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let limit = self.upstream.reply_timeout;
        let reason = Reason::Timeout(limit);
        let server = self.server();
        let failed = self.exchange.expire(now).into_iter().map(|late| Failed {
            event: late.event,
            ticket: Some(late.owed),
            failure: Failure::NoReply { server: Arc::clone(&server), reason: reason.clone() },
            correlation: late.correlation,
        });
        let failed: Vec<_> = failed.collect();
        if !failed.is_empty() {
            self.back.notify(DataMessage::Failed(failed));
            if let State::Up(link) = &mut self.state {
                link.suspect();
            }
        }
        if self.exchange.is_hopeless(now) {
            self.end(if self.exchange.is_stalled(now) { Reason::Stalled(limit) } else { reason });
        }
    }
}

impl Driven for Connector {
    fn turn(&mut self, _: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if self.deadline.has_passed() {
            self.expire();
        }
        if let State::Up(_) = self.state {
            self.read(task);
            self.flush_replies();
            self.flush(task);
            self.await_replies();
        }
        if let State::Ended = self.state {
            return Poll::Ready(());
        }
        // Nothing else may ever wake a connector whose peer is silent.
        self.deadline.arm(task.waker());
        Poll::Pending
    }
}

impl Actor for Connector {
    type Context = Context<Self>;
}

impl Drop for Connector {
    /// The last word of a connector that died in a panic; any other has had it.
    fn drop(&mut self) {
        if std::thread::panicking() && !matches!(self.state, State::Ended) {
            self.end(Reason::Panicked);
        }
    }
}

impl Handler<DataMessage> for Connector {
    type Result = ();

    fn handle(&mut self, flow: DataMessage, _: &mut Context<Self>) {
        let DataMessage::Events(envelopes) = flow else { return };
        match &mut self.state {
            State::Dialing(waiting) => waiting.extend(envelopes),
            State::Up(_) => self.send_all(envelopes),
            State::Ended => self.report(Fact::Unsent(envelopes)),
        }
    }
}

impl Handler<Close> for Connector {
    type Result = ();

    fn handle(&mut self, Close(frame): Close, ctx: &mut Context<Self>) {
        self.closing(frame.as_ref(), ctx);
    }
}

/// The value at a path of the data, when it is there and says anything.
fn lookup(data: &Data, path: &[String]) -> Option<Value> {
    let value = data.to_value();
    let found = path.iter().try_fold(&value, |value, key| value.get(key))?;
    (!matches!(found, Value::Null)).then(|| found.clone())
}
