//! The session actor: from the client and to the client. [`admitting`] decides what it takes, [`failing`]
//! reports failures, [`ending`] closes it.

mod admitting;
mod ending;
mod failing;

use std::{
    fmt,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler};

use self::{
    admitting::Limiters,
    ending::{CloseIntent, Side, State},
};
use super::{
    delivery::Delivery,
    downstream::{Class, Downstream, Frame},
    ledger::Outcome,
    messages::{Drain, Parts, SessionGuard, SessionLinks},
};
use crate::{
    deadline::Deadline,
    event::{Data, Event, Origin, Record},
    flow::{
        Ack, AckStatus, AckTracker, Batch, Budget, Cause, DataMessage, Envelope, Kind, Loss, PartialBytes,
        Permit, Ticket, mailbox_room, recycle,
    },
    format::{Inbound, Outbound},
    pipeline::Attach,
    reply::{Failure, error_data},
    settings::{Listener, OnClientClose},
    supervisor::SessionOver,
    turn::{Driven, TURN_STEPS, drive},
    wire::ticker::TICK,
    wire::{self, CloseFrame, Incoming, Link, LinkError, Message, Role},
};

/// Events a session may have under way when it has no upstream whose settings say so.
const MAX_IN_FLIGHT: usize = 128;

/// A client's session.
pub struct Session {
    tracker: Arc<AckTracker>,
    listener: Arc<Listener>,
    down: Downstream,
    inbound: Inbound,
    outbound: Outbound,
    delivery: Delivery<Frame>,
    /// The listener's `buffer`: what was read from the client and is not written to the upstream yet.
    budget: Arc<Budget>,
    hold: PartialBytes,
    /// The upstream's `buffer`: the error replies for what it sent take room there, so that it is not read
    /// while they are not.
    upstream_budget: Option<Arc<Budget>>,
    max_in_flight: usize,
    /// What the client may send in a time; none where nothing is limited.
    limiters: Option<Box<Limiters>>,
    /// Whether the client is read, as far as there is room for what it sends.
    reading: bool,
    /// `$request` and `$session`, when a pipeline looks at metadata.
    meta: Option<Arc<Record>>,
    /// Where the client's events come from, when a pipeline asks.
    origin: Option<Arc<Origin>>,
    links: SessionLinks,
    state: State,
    /// What it means depends on the state: see [`Session::due`].
    deadline: Deadline,
    /// The order to drain, while its moment has not come.
    drain: Option<Box<Drain>>,
    /// The session ends in this turn, with this close frame: a pipeline died, or something failed that the
    /// client must learn of.
    ending: Option<Box<CloseFrame>>,
    /// What the close frame tells of lost events: the session ends with its upstream connection, or drains
    /// without error replies.
    loss: Option<Box<Loss>>,
    /// The server of the latest stream connection that was lost, and the last event sent on it.
    last_sent: Option<Box<(Arc<str>, u64)>>,
    /// What goes on in this turn.
    batch: Batch,
    /// The frames of the event that is being handed over.
    frames: Vec<Message>,
    opened: Instant,
    /// Counted as live until dropped, whatever the end.
    _guard: Box<dyn SessionGuard>,
}

impl Session {
    /// Starts a session; `links` starts the actors that it sends to.
    pub fn start(parts: Parts, links: impl FnOnce(&Addr<Self>) -> SessionLinks) -> Addr<Self> {
        Self::create(|ctx: &mut Context<Self>| {
            let upstream_buffer = parts.upstream.as_ref().map_or(0, |upstream| upstream.limits.buffer);
            ctx.set_mailbox_capacity(mailbox_room(parts.listener.limits.buffer + upstream_buffer));
            let links = links(&ctx.address());
            drive(ctx);
            Self::new(parts, links)
        })
    }

    fn new(parts: Parts, mut links: SessionLinks) -> Self {
        let Parts { tracker, listener, upstream, socket, rest, meta, origin, global_budget, address, guard } =
            parts;
        let link = Link::new(socket, Role::Server, listener.limits, &listener.liveness, rest);
        let budget = Budget::new(listener.limits.buffer, &global_budget);
        Self {
            tracker,
            down: Downstream::new(link, listener.slow_consumer),
            inbound: Inbound::new(&listener.format),
            outbound: Outbound::new(&listener.format),
            delivery: Delivery::new(upstream.as_ref().is_none_or(|upstream| upstream.answers_in_order())),
            hold: PartialBytes::new(&budget),
            budget,
            upstream_budget: links.upstream_budget.take(),
            max_in_flight: upstream.as_ref().map_or(MAX_IN_FLIGHT, |upstream| upstream.max_in_flight),
            limiters: Limiters::new(&listener, address),
            reading: true,
            meta,
            origin,
            links,
            state: State::Open,
            deadline: Deadline::new(),
            drain: None,
            ending: None,
            loss: None,
            last_sent: None,
            batch: Batch::default(),
            frames: Vec::new(),
            opened: Instant::now(),
            _guard: guard,
            listener,
        }
    }

    // --- From the client

    fn read(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) {
        self.down.link.allow(self.budget.allowance().saturating_sub(self.inbound.held()));
        self.reading = self.read_on(ctx, task);
        self.down.link.end_turn();
        self.hold.set(self.down.link.unfinished() + self.inbound.held());
    }

    /// One event or message at a time, as long as there is room for another event; false when there is
    /// none.
    fn read_on(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> bool {
        for _ in 0..TURN_STEPS {
            if !matches!(self.state, State::Open) || self.ending.is_some() {
                return true;
            }
            if !self.has_room(task) || self.is_held_back(ctx, task) {
                return false;
            }
            match self.inbound.next() {
                Some(decoded) => self.accept(decoded),
                None => match self.down.link.poll_next(task) {
                    Poll::Pending => return !self.down.link.is_held_up(),
                    Poll::Ready(Ok(incoming)) => self.incoming(incoming),
                    Poll::Ready(Err(error)) => self.link_failed(error),
                },
            }
        }
        wire::yield_turn(task);
        true
    }

    /// Whether another event can be taken; when not, the session is woken once it can.
    fn has_room(&mut self, task: &mut task::Context<'_>) -> bool {
        if self.delivery.unsettled() >= self.max_in_flight {
            // Wakes the session at the next outcome from now on, good ones included.
            self.take_acks(Some(task));
        }
        self.delivery.unsettled() < self.max_in_flight && self.budget.room_or_wake(task.waker())
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(message) => self.admit(message),
            Incoming::Ping(payload) => self.down.link.outbox().pong(payload),
            Incoming::Pong(_) => {}
            Incoming::Close(frame) => {
                self.finish_input();
                self.client_ended(CloseIntent::Answer(frame));
            }
        }
    }

    /// The client sends nothing more: what it sent has a while to settle, or not.
    fn client_ended(&mut self, intent: CloseIntent) {
        let wait = match self.listener.on_client_close {
            OnClientClose::Finish => self.listener.close_timeout,
            OnClientClose::Cancel => Duration::ZERO,
        };
        self.start_draining(intent, wait);
    }

    fn accept(&mut self, decoded: Result<Data, String>) {
        let data = match decoded {
            Ok(data) => data,
            Err(words) => return self.refuse(Failure::Decode(words)),
        };
        let ticket = self.tracker.issue(Cause::Message);
        self.delivery.accept(ticket.event());
        let permit = Some(self.budget.take(data.size()));
        let meta = self.inbound.meta(&data, self.meta.clone());
        let event = Event {
            id: ticket.id(),
            data,
            meta,
            origin: self.origin.clone(),
            ingest_ns: self.batch.now_ns(),
        };
        self.batch.push(Envelope { event, kind: Kind::Request, ticket, permit });
    }

    /// A message that does not become an event of its own kind is one that fails at once.
    fn refuse(&mut self, failure: Failure) {
        let ticket = self.tracker.issue(Cause::Message);
        self.delivery.accept(ticket.event());
        self.fail(ticket.redeem(), Cause::Message, failure, None);
    }

    fn flush_batch(&mut self) {
        if let Some(envelopes) = self.batch.take() {
            self.links.incoming.push(DataMessage::Events(envelopes));
        }
    }

    fn link_failed(&mut self, error: LinkError) {
        match error {
            LinkError::Wire(error) => {
                let frame = CloseFrame::new(error.close_code(), error.to_string());
                self.close(CloseIntent::Reject(frame));
            }
            LinkError::Eof | LinkError::Io(_) => self.client_ended(CloseIntent::Gone(Side::Downstream)),
        }
    }

    // --- To the client

    fn arrive(&mut self, flow: DataMessage) {
        self.take_acks(None);
        match flow {
            DataMessage::Events(mut envelopes) => {
                envelopes.drain(..).for_each(|envelope| self.deliver(envelope));
                recycle(envelopes);
            }
            DataMessage::Failed(failed) => failed.into_iter().for_each(|failed| self.failed(failed)),
            DataMessage::Ended(end) => self.upstream_ended(*end),
        }
    }

    fn deliver(&mut self, Envelope { event, kind, ticket, permit }: Envelope) {
        let cause = ticket.cause();
        if kind == Kind::Error && cause != Cause::Error {
            return self.refused_by_pipeline(event, ticket);
        }
        let Event { data, meta, .. } = event;
        match self.outbound.encode(data, &meta, &mut self.frames) {
            Ok(()) => self.emit_to_client(kind, ticket, permit),
            Err(words) if kind == Kind::Error => {
                // The listener's format cannot write a record: plain JSON can.
                let data = error_data(&Failure::Encode(words), ticket.id(), None);
                self.frames.push(Message::Text(data.to_json().into()));
                self.emit_to_client(kind, ticket, permit);
            }
            Err(words) => self.fail(ticket.redeem(), cause, Failure::Encode(words), meta.get("correlation")),
        }
    }

    fn emit_to_client(&mut self, kind: Kind, ticket: Ticket, permit: Option<Permit>) {
        let cause = ticket.cause();
        let event = ticket.redeem();
        let class = match (kind, cause) {
            (Kind::Error, _) => self.down.class_of_error(event),
            (Kind::Push, _) | (_, Cause::Push) => Class::Push,
            (Kind::Reply | Kind::Request, _) => Class::Owed,
        };
        let (mut permit, count) = (permit, self.frames.len());
        let outputs = self.frames.drain(..).enumerate().map(|(at, message)| {
            let is_last = at + 1 == count;
            Frame { message, permit: permit.take_if(|_| is_last), class }
        });
        let down = &mut self.down;
        let emit = |frame| down.emit(frame);
        match (kind, cause) {
            (Kind::Error, _) => self.delivery.error(event, outputs, emit),
            (Kind::Push, _) | (_, Cause::Push) => self.delivery.push(outputs, emit),
            (Kind::Reply | Kind::Request, _) => self.delivery.reply(event, outputs, emit),
        }
    }

    // --- Outcomes

    fn take_acks(&mut self, task: Option<&task::Context<'_>>) {
        let eager = !matches!(self.state, State::Open) || self.delivery.unsettled() >= self.max_in_flight;
        for note in self.tracker.take_acks(task.map(|task| task.waker()), eager) {
            match note {
                Ack::Settled { event, cause, status } => self.acked(event, cause, status),
                Ack::PipelineDied(name) => self.pipeline_died(&name),
            }
        }
    }

    fn acked(&mut self, event: u64, cause: Cause, status: AckStatus) {
        let down = &mut self.down;
        let emit = |frame| down.emit(frame);
        match (status, cause) {
            (AckStatus::Copied, Cause::Message) => self.delivery.copied(event),
            (AckStatus::Delivered, Cause::Message) => self.delivery.settle(event, Outcome::Delivered, emit),
            (AckStatus::Dropped, Cause::Message) => self.delivery.settle(event, Outcome::Dropped, emit),
            (AckStatus::Dropped, Cause::Error) => {
                self.delivery.error_dropped(event, emit);
                self.down.forget_notice(event);
            }
            (AckStatus::Failed(failure), cause) => self.fail(event, cause, *failure, None),
            (AckStatus::Lost, Cause::Message | Cause::Error) => self.fail(event, cause, Failure::Lost, None),
            // Nobody awaits a push.
            (AckStatus::Copied | AckStatus::Delivered | AckStatus::Dropped | AckStatus::Lost, _) => {}
        }
    }

    /// A dead pipeline cannot serve its session, and what it held has been reported as lost.
    fn pipeline_died(&mut self, name: &str) {
        log::error!("pipeline died session={self} pipeline={name}");
        self.ending = Some(Box::new(CloseFrame::new(1011, "internal error")));
    }
}

impl Driven for Session {
    fn turn(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        self.take_acks(Some(task));
        if self.deadline.has_passed() {
            self.due(ctx);
        }
        self.read(ctx, task);
        self.flush_batch();
        self.check_liveness(task);
        let done = self.progress(ctx, task);
        self.deadline.arm(task.waker());
        done
    }
}

impl Actor for Session {
    type Context = Context<Self>;
}

impl Drop for Session {
    /// A session that ends in a panic, or with its worker, leaves no connection behind either.
    fn drop(&mut self) {
        if !matches!(self.state, State::Over) {
            if std::thread::panicking() {
                log::error!("session died session={self}");
            }
            if let Some(supervisor) = &self.links.supervisor {
                supervisor.over.notify(SessionOver(CloseIntent::Gone(Side::Downstream).to_upstream()));
            }
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracker.fmt(f)
    }
}

impl Handler<DataMessage> for Session {
    type Result = ();

    fn handle(&mut self, flow: DataMessage, _: &mut Context<Self>) {
        self.arrive(flow);
    }
}

impl Handler<Attach> for Session {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Context<Self>) {
        self.links.incoming.attach(attach);
    }
}

impl Handler<Drain> for Session {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Context<Self>) {
        if matches!(self.state, State::Open) {
            // Deadlines pass one and a half ticks late on average. Earlier by that, the closes are spread evenly.
            self.deadline.set(drain.delay.saturating_sub(TICK * 3 / 2));
            self.drain = Some(Box::new(drain));
        }
    }
}
