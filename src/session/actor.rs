//! The session actor: from the client and to the client. [`admitting`] decides what it takes, [`failing`]
//! reports failures, [`ending`] closes it.

mod admitting;
mod ending;
mod failing;

use std::{
    fmt,
    sync::{Arc, Mutex},
    task::{self, Poll},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use actix_rt::net::TcpStream;
use bytes::Bytes;

use self::{
    admitting::Limiters,
    ending::{Farewell, Side, State},
};
use super::{
    Drain,
    delivery::Delivery,
    downstream::{Class, Downstream, Frame},
    ledger::Outcome,
};
use crate::{
    assembly::Errors,
    deadline::Deadline,
    event::{Data, Event, Origin, Record},
    flow::{
        Batch, Budget, Cause, Edge, Flow, Hold, Kind, Loss, Note, Parcel, Permit, Pool, Stamp, Ticket,
        Tracker, mailbox_room, recycle,
    },
    format::{Inbound, Outbound},
    pipeline::{Attach, Outlet},
    rate::Limiter,
    reply::{Failure, error_data},
    settings::{Listener, OnClientClose, Upstream},
    supervisor::{SessionOver, Withdraw},
    ticker::TICK,
    turn::{Driven, TURN_STEPS, drive, yield_turn},
    wire::{CloseFrame, Incoming, Link, LinkError, Message, Role},
};

/// Events a session may have under way when it has no upstream whose settings say so.
const MAX_IN_FLIGHT: usize = 128;

/// A client's session.
pub struct Session {
    tracker: Arc<Tracker>,
    listener: Arc<Listener>,
    down: Downstream,
    inbound: Inbound,
    outbound: Outbound,
    delivery: Delivery<Frame>,
    /// The listener's `buffer`: what was read from the client and is not written to the upstream yet.
    budget: Arc<Budget>,
    hold: Hold,
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
    ties: Ties,
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
    _presence: Box<dyn Presence>,
}

/// The actors that a session is tied to.
pub struct Ties {
    /// The first incoming pipeline, or the upstream side.
    pub incoming: Outlet,
    /// The errors pipelines.
    pub errors: Errors,
    /// The supervisor, if the route has an upstream.
    pub supervisor: Option<SupervisorEdge>,
    /// The budget of the upstream side.
    pub upstream_budget: Option<Arc<Budget>>,
    /// Whether failures become messages to the client.
    pub replies_errors: bool,
}

/// The ways to a session's supervisor.
pub struct SupervisorEdge {
    /// At the end.
    pub over: Edge<SessionOver>,
    /// Before the end.
    pub withdraw: Edge<Withdraw>,
}

/// Whatever counts the session as live; dropping it ends that.
pub trait Presence {}

/// What a session is made of.
pub struct Parts {
    /// Its event numbers and notes.
    pub tracker: Arc<Tracker>,
    /// Where the client came in.
    pub listener: Arc<Listener>,
    /// Where it is served.
    pub upstream: Option<Arc<Upstream>>,
    /// The upgraded socket.
    pub socket: TcpStream,
    /// Bytes that came behind the handshake.
    pub rest: Bytes,
    /// `$request` and `$session`, when a pipeline looks at metadata.
    pub meta: Option<Arc<Record>>,
    /// Where the client's events come from, when a pipeline asks.
    pub origin: Option<Arc<Origin>>,
    /// What all sessions may hold together.
    pub pool: Arc<Pool>,
    /// What the sessions of the client's address may send together; none where that is not limited.
    pub address: Option<Arc<Mutex<Limiter>>>,
    /// Counts the session as live.
    pub presence: Box<dyn Presence>,
}

impl Session {
    /// Starts a session; `ties` starts the actors it is tied to.
    pub fn start(parts: Parts, ties: impl FnOnce(&Addr<Self>) -> Ties) -> Addr<Self> {
        Self::create(|ctx: &mut Context<Self>| {
            let upstream_buffer = parts.upstream.as_ref().map_or(0, |upstream| upstream.limits.buffer);
            ctx.set_mailbox_capacity(mailbox_room(parts.listener.limits.buffer + upstream_buffer));
            let ties = ties(&ctx.address());
            drive(ctx);
            Self::new(parts, ties)
        })
    }

    fn new(parts: Parts, mut ties: Ties) -> Self {
        let Parts { tracker, listener, upstream, socket, rest, meta, origin, pool, address, presence } =
            parts;
        let link = Link::new(socket, Role::Server, listener.limits, &listener.health, rest);
        let budget = Budget::new(listener.limits.buffer, &pool);
        Self {
            tracker,
            down: Downstream::new(link, listener.slow_consumer),
            inbound: Inbound::new(&listener.format),
            outbound: Outbound::new(&listener.format),
            delivery: Delivery::new(upstream.as_ref().is_none_or(|upstream| upstream.answers_in_order())),
            hold: Hold::new(&budget),
            budget,
            upstream_budget: ties.upstream_budget.take(),
            max_in_flight: upstream.as_ref().map_or(MAX_IN_FLIGHT, |upstream| upstream.max_in_flight),
            limiters: Limiters::new(&listener, address),
            reading: true,
            meta,
            origin,
            ties,
            state: State::Open,
            deadline: Deadline::new(),
            drain: None,
            ending: None,
            loss: None,
            last_sent: None,
            batch: Batch::default(),
            frames: Vec::new(),
            opened: Instant::now(),
            _presence: presence,
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
        yield_turn(task);
        true
    }

    /// Whether another event can be taken; when not, the session is woken once it can.
    fn has_room(&mut self, task: &mut task::Context<'_>) -> bool {
        if self.delivery.unsettled() >= self.max_in_flight {
            // Wakes the session at the next outcome from now on, good ones included.
            self.take_notes(Some(task));
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
                self.client_ended(Farewell::Close(frame));
            }
        }
    }

    /// The client sends nothing more: what it sent has a while to settle, or not.
    fn client_ended(&mut self, farewell: Farewell) {
        let wait = match self.listener.on_client_close {
            OnClientClose::Finish => self.listener.close_timeout,
            OnClientClose::Cancel => Duration::ZERO,
        };
        self.wind(farewell, true, Side::Downstream, wait);
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
        self.batch.push(Parcel { event, kind: Kind::Request, ticket, permit });
    }

    /// A message that does not become an event of its own kind is one that fails at once.
    fn refuse(&mut self, failure: Failure) {
        let ticket = self.tracker.issue(Cause::Message);
        self.delivery.accept(ticket.event());
        self.fail(ticket.redeem(), Cause::Message, failure, None);
    }

    fn hand_on(&mut self) {
        if let Some(parcels) = self.batch.take() {
            self.ties.incoming.push(Flow::Events(parcels));
        }
    }

    fn link_failed(&mut self, error: LinkError) {
        match error {
            LinkError::Wire(error) => {
                let frame = CloseFrame::new(error.close_code(), error.to_string());
                self.close(Some(frame), false, false, Side::Proxy);
            }
            LinkError::Eof | LinkError::Io(_) => self.client_ended(Farewell::Nobody),
        }
    }

    // --- To the client

    fn arrive(&mut self, flow: Flow) {
        self.take_notes(None);
        match flow {
            Flow::Events(mut parcels) => {
                parcels.drain(..).for_each(|parcel| self.deliver(parcel));
                recycle(parcels);
            }
            Flow::Failed(failed) => failed.into_iter().for_each(|failed| self.failed(failed)),
            Flow::Ended(end) => self.upstream_ended(*end),
        }
    }

    fn deliver(&mut self, Parcel { event, kind, ticket, permit }: Parcel) {
        let cause = ticket.cause();
        if kind == Kind::Error && cause != Cause::Error {
            return self.refused_by_pipeline(event, ticket);
        }
        let Event { data, meta, .. } = event;
        match self.outbound.encode(data, &meta, &mut self.frames) {
            Ok(()) => self.hand_over(kind, ticket, permit),
            Err(words) if kind == Kind::Error => {
                // The listener's format cannot write a record: plain JSON can.
                let data = error_data(&Failure::Encode(words), ticket.id(), None);
                self.frames.push(Message::Text(data.to_json().into()));
                self.hand_over(kind, ticket, permit);
            }
            Err(words) => self.fail(ticket.redeem(), cause, Failure::Encode(words), meta.get("correlation")),
        }
    }

    fn hand_over(&mut self, kind: Kind, ticket: Ticket, permit: Option<Permit>) {
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

    fn take_notes(&mut self, task: Option<&task::Context<'_>>) {
        let eager = !matches!(self.state, State::Open) || self.delivery.unsettled() >= self.max_in_flight;
        for note in self.tracker.take_notes(task.map(|task| task.waker()), eager) {
            match note {
                Note::Stamped { event, cause, stamp } => self.stamped(event, cause, stamp),
                Note::PipelineDied(name) => self.pipeline_died(&name),
            }
        }
    }

    fn stamped(&mut self, event: u64, cause: Cause, stamp: Stamp) {
        let down = &mut self.down;
        let emit = |frame| down.emit(frame);
        match (stamp, cause) {
            (Stamp::Copied, Cause::Message) => self.delivery.copied(event),
            (Stamp::Delivered, Cause::Message) => self.delivery.settle(event, Outcome::Delivered, emit),
            (Stamp::Dropped, Cause::Message) => self.delivery.settle(event, Outcome::Dropped, emit),
            (Stamp::Dropped, Cause::Error) => {
                self.delivery.error_dropped(event, emit);
                self.down.forget_notice(event);
            }
            (Stamp::Failed(failure), cause) => self.fail(event, cause, *failure, None),
            (Stamp::Lost, Cause::Message | Cause::Error) => self.fail(event, cause, Failure::Lost, None),
            // Nobody awaits a push.
            (Stamp::Copied | Stamp::Delivered | Stamp::Dropped | Stamp::Lost, _) => {}
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
        self.take_notes(Some(task));
        if self.deadline.has_passed() {
            self.due(ctx);
        }
        self.read(ctx, task);
        self.hand_on();
        self.look_after(task);
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
            if let Some(supervisor) = &self.ties.supervisor {
                supervisor.over.tell(SessionOver(Farewell::Nobody.to_upstream()));
            }
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracker.fmt(f)
    }
}

impl Handler<Flow> for Session {
    type Result = ();

    fn handle(&mut self, flow: Flow, _: &mut Context<Self>) {
        self.arrive(flow);
    }
}

impl Handler<Attach> for Session {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Context<Self>) {
        self.ties.incoming.attach(attach);
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
