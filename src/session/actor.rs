//! The session actor, and what it does with a client's messages. [`admitting`] decides which of them it takes,
//! [`delivering`] hands the client its replies, [`failing`] reports failures, [`ending`] closes it.

mod admitting;
mod delivering;
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
    downstream::{Downstream, Frame},
    messages::{Control, Drain, Parts, SessionGuard, SessionLinks, Snapshot},
};
use crate::{
    channel::{Channel, Received},
    deadline::Deadline,
    event::{Data, Event, Origin, Record},
    flow::{AckTracker, Batch, Budget, Cause, DataMessage, Envelope, Kind, Loss, mailbox_room},
    pipeline::Attach,
    reply::Failure,
    settings::{Listener, OnClientClose},
    supervisor::SessionOver,
    turn::{Driven, drive},
    wire::{CloseFrame, LinkError, Role},
};

/// Events a session may have under way when it has no upstream whose settings say so.
const MAX_IN_FLIGHT: usize = 128;

/// A client's session.
pub struct Session {
    tracker: Arc<AckTracker>,
    listener: Arc<Listener>,
    down: Downstream,
    delivery: Delivery<Frame>,
    /// The upstream's `buffer`: the error replies for what it sent take room there, so that it is not read
    /// while they are not.
    upstream_budget: Option<Arc<Budget>>,
    max_in_flight: usize,
    /// What the client may send in a time; none where nothing is limited.
    limiters: Option<Box<Limiters>>,
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
        let budget = Budget::new(listener.limits.buffer, &global_budget);
        let limits = (listener.limits, &listener.liveness);
        let channel = Channel::new(socket, Role::Server, limits, &listener.format, &budget, rest);
        Self {
            tracker,
            down: Downstream::new(channel, listener.slow_consumer),
            delivery: Delivery::new(upstream.as_ref().is_none_or(|upstream| upstream.answers_in_order())),
            upstream_budget: links.upstream_budget.take(),
            max_in_flight: upstream.as_ref().map_or(MAX_IN_FLIGHT, |upstream| upstream.max_in_flight),
            limiters: Limiters::new(&listener, address),
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
            opened: Instant::now(),
            _guard: guard,
            listener,
        }
    }

    // --- From the client

    /// Takes one event or message at a time, as long as there is room for another event.
    fn read(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) {
        self.down.channel.begin_turn();
        while matches!(self.state, State::Open) && self.ending.is_none() {
            if !self.has_room(task) || self.is_held_back(ctx, task) {
                self.down.channel.hold_back();
                break;
            }
            match self.down.channel.poll_event(task) {
                Poll::Pending => break,
                Poll::Ready(Ok(received)) => self.received(received),
                Poll::Ready(Err(error)) => self.link_failed(error),
            }
        }
        self.down.channel.end_turn();
    }

    /// Whether another event may be under way; when not, the session is woken once it may.
    fn has_room(&mut self, task: &mut task::Context<'_>) -> bool {
        if self.delivery.unsettled() >= self.max_in_flight {
            // Wakes the session at the next outcome from now on, good ones included.
            self.take_acks(Some(task));
        }
        self.delivery.unsettled() < self.max_in_flight
    }

    fn received(&mut self, received: Received) {
        match received {
            Received::Event(decoded) => self.accept(decoded),
            Received::Message(message) => self.admit(message),
            Received::Control => {}
            Received::Close(frame) => {
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
        let permit = Some(self.down.channel.permit(&data));
        let meta = self.down.channel.meta(&data, self.meta.clone());
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

impl Handler<Control> for Session {
    type Result = ();

    fn handle(&mut self, control: Control, _: &mut Context<Self>) {
        match control {
            Control::Drain(drain) => self.schedule_drain(drain),
            Control::Inspect(reply) => {
                let snapshot = Snapshot { state: self.state.name(), unsettled: self.delivery.unsettled() };
                // The process may have stopped waiting for the answer.
                let _ = reply.send(snapshot);
            }
        }
    }
}
