//! The connector actor. This file has its start, its dial and its turns.
//!
//! * [`sending`], [`reading`], [`traffic`]: send events; read messages; write and count both.
//! * [`bursts`]: passes on small messages in a row as one.
//! * [`returning`]: sends messages towards the client.
//! * [`overdue`]: makes events fail whose reply is overdue.
//! * [`recovering`]: passes messages through the session's journal.
//! * [`replacing`]: reports that the connection replaces another one.
//! * [`announced`]: makes the session move when the upstream announces that it closes.
//! * [`adopting`]: continues with other settings.
//! * [`options`]: sets the options of the socket.
//! * [`ending`], [`yielding`]: end the connection, at once or when nothing is in flight.

mod adopting;
mod announced;
mod bursts;
mod ending;
mod options;
mod overdue;
mod reading;
mod recovering;
mod replacing;
mod returning;
mod sending;
mod traffic;
mod yielding;

use std::{
    sync::Arc,
    task::{self, Poll},
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, fut::wrap_future};

use self::{recovering::Recovering, yielding::Yielding};
use super::{
    exchange::InFlight,
    linger::Open,
    messages::{Close, ConnectorLinks, Fact, Generation, Release, Report, Start, Yield},
    unwritten::Unwritten,
    waiting::Waiting,
};
use crate::{
    channel::Channel,
    deadline::Deadline,
    event::{Data, Event, Origin, Value},
    failure::Failure,
    figures::{EndpointFigures, SessionFigures},
    flow::{AckTracker, Batch, Budget, DataMessage, Edge, Envelope, Permit, Run, Ticket, mailbox_room},
    net::Socket,
    settings::Upstream,
    tap::SessionTap,
    turn::{Driven, drive},
    upstream::{Announced, Destination, DialError, Dialed, Dialing, IdleFlag, Lease},
    wire::{Role, ticker::Tick},
};

/// The actor that owns one connection to an upstream.
pub struct Connector {
    upstream: Arc<Upstream>,
    generation: Generation,
    supervisor: Edge<Report>,
    /// The first outgoing pipeline, or the session. It gets replies and pushes.
    back: Edge<DataMessage>,
    /// Whether `back` is a pipeline.
    has_outgoing: bool,
    tracker: Arc<AckTracker>,
    figures: Arc<SessionFigures>,
    /// The figures of the endpoint; `None` before the connection is up.
    traffic: Option<Arc<EndpointFigures>>,
    /// Whether the endpoint is counted separately.
    counts_endpoint: bool,
    /// What taps see of the session; `None` if the settings forbid taps.
    tap: Option<Arc<SessionTap>>,
    /// The upstream's `buffer`: the bytes that were read from the upstream and are not written to the client
    /// yet.
    budget: Arc<Budget>,
    exchange: InFlight<Ticket>,
    state: ConnectorState,
    /// The events that wait for the connection or at the gate.
    waiting: Waiting<Envelope>,
    /// The events that are queued for the socket; `None` if they fail when the connection is lost.
    unwritten: Option<Box<Unwritten<Queued>>>,
    /// The journal through which all messages pass; `None` if the session has none.
    recovering: Option<Box<Recovering>>,
    /// The progress of yielding; `None` unless the session moves to another connection.
    yielding: Option<Box<Yielding>>,
    /// Has the session move when the upstream announces the end of the connection.
    announced: Option<Announced>,
    /// Whether nothing is in flight, for the upstream's monitor.
    idle: IdleFlag,
    /// Whether [`Fact::Proved`] has been reported to the supervisor.
    proved: bool,
    dialing: Option<SpawnHandle>,
    /// The deadline at the time of [`InFlight::next_deadline`].
    deadline: Deadline,
    /// When the socket gets its options; [`Tick::NEVER`] if it has them.
    options_due: Tick,
    /// The guard that counts the connection as open in the process.
    open: Option<Open>,
    /// Counts the session at its endpoint.
    lease: Option<Lease>,
    /// The replies and pushes read in the current turn.
    batch: Batch,
    /// What goes back in the current turn, before the batch.
    outgoing: Run,
    /// The server's name in error replies: its masked URL.
    server: Arc<str>,
    /// Whether the client gets gap notices.
    has_notices: bool,
    /// Whether a program reads the origin of its events.
    reads_origin: bool,
    /// The `tremor::origin` of the upstream's events; `None` when no program reads it.
    origin: Option<Arc<Origin>>,
}

/// A message or burst that is queued for the socket.
struct Sending {
    part: Part,
    /// The length of the payload, or of all payloads.
    bytes: usize,
    /// The bytes of the event or events in the listener's budget, returned when the message or burst is written.
    _permit: Option<Permit>,
}

/// An event that is queued for the socket, and its bytes in the listener's budget.
type Queued = (Event, Option<Permit>);

/// The event to which a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is the last message of its event.
    Last,
    /// It is another message of an event.
    Inner,
    /// It belongs to no event: the journal sends it.
    None,
}

type UpstreamChannel = Channel<Socket, Sending>;

enum ConnectorState {
    Dialing,
    Up(Box<UpstreamChannel>),
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
                Start::Attached(dialed) => connector.attached(*dialed, ctx),
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
            has_outgoing: links.has_outgoing,
            tracker: links.tracker,
            figures: links.figures,
            traffic: None,
            counts_endpoint: links.counts_endpoint,
            tap: links.tap,
            budget: links.budget,
            exchange: InFlight::new(
                upstream.exchange,
                upstream.correlation.is_some(),
                upstream.reply_timeout,
                upstream.max_overdue,
            ),
            state: ConnectorState::Dialing,
            waiting: Waiting::new(links.is_gated),
            // A journal determines the outcomes of its events itself.
            unwritten: (upstream.recovery.hold.is_some() && links.is_gated && !links.has_journal)
                .then(Box::default),
            recovering: links.has_journal.then(Box::default),
            yielding: None,
            announced: links.announced,
            idle: links.idle,
            proved: false,
            dialing: None,
            deadline: Deadline::new(),
            options_due: Tick::NEVER,
            open: None,
            lease: None,
            batch: Batch::default(),
            outgoing: Run::default(),
            server: Arc::default(),
            has_notices: links.has_notices,
            reads_origin: links.reads_origin,
            origin: None,
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
            _ if matches!(connector.state, ConnectorState::Ended) => {}
            Ok(dialed) => connector.up(dialed, ctx),
            Err(error) => connector.end(error.failure()),
        }
    }

    // --- Up

    fn up(&mut self, dialed: Dialed, ctx: &mut Context<Self>) {
        let destination = self.serve(dialed);
        self.report(Fact::Up(destination));
        self.send_waiting();
        drive(ctx);
    }

    fn attached(&mut self, dialed: Dialed, ctx: &mut Context<Self>) {
        self.serve(dialed);
        self.waiting.release(Vec::new());
        // No loss precedes it, so that nothing changes when it proves good.
        self.proved = true;
        drive(ctx);
    }

    /// Begins to serve the connection. Returns where it goes.
    fn serve(&mut self, dialed: Dialed) -> Destination {
        let Upstream { limits, liveness, .. } = &*self.upstream;
        let channel = Channel::new(
            dialed.socket,
            Role::Client,
            (*limits, liveness),
            &self.upstream.format,
            &self.budget,
            dialed.rest,
        );
        self.state = ConnectorState::Up(Box::new(channel));
        self.open = Some(Open::new());
        self.lease = Some(dialed.lease);
        self.count_connection(&dialed.destination);
        let url = &dialed.destination.url;
        self.server = Arc::clone(&url.shown);
        self.origin = self.reads_origin.then(|| url.origin()).flatten().map(Arc::new);
        self.plan_options();
        dialed.destination
    }

    /// The session's tap, if any tap is open.
    fn open_tap(&self) -> Option<&SessionTap> {
        self.tap.as_deref().filter(|tap| tap.is_open())
    }
}

impl Driven for Connector {
    fn turn(&mut self, _: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if self.deadline.has_passed() {
            self.expire();
        }
        if let ConnectorState::Up(_) = self.state {
            self.read(task);
            self.replay_in_time();
            self.flush_back();
            self.flush(task);
            self.await_replies();
            self.continue_to_yield();
            self.set_options();
        }
        if let ConnectorState::Ended = self.state {
            return Poll::Ready(());
        }
        // While the peer is silent, nothing but these alarms wakes the connector.
        self.arm(task.waker());
        Poll::Pending
    }
}

impl Actor for Connector {
    type Context = Context<Self>;
}

impl Drop for Connector {
    /// Reports the end of the connection when the connector panics.
    fn drop(&mut self) {
        if std::thread::panicking() {
            if !matches!(self.state, ConnectorState::Ended) {
                self.end(Failure::lost());
            }
            self.report(Fact::Died);
        }
    }
}

impl Handler<DataMessage> for Connector {
    type Result = ();

    fn handle(&mut self, message: DataMessage, _: &mut Context<Self>) {
        self.take(message);
    }
}

impl Connector {
    fn take(&mut self, message: DataMessage) {
        let is_ended = matches!(self.state, ConnectorState::Ended);
        match message {
            DataMessage::Events(envelopes) if is_ended => self.report(Fact::Unsent(envelopes)),
            DataMessage::Events(envelopes) if self.can_send() => self.send_all(envelopes),
            DataMessage::Events(envelopes) => self.wait(envelopes),
            DataMessage::Burst(burst) if !is_ended && self.writes_bursts() => self.send_burst(*burst),
            DataMessage::Burst(burst) => self.take(DataMessage::Events(burst.into_envelopes())),
            DataMessage::Mark(mark) if is_ended || self.can_send() => self.report(Fact::Marked(mark)),
            DataMessage::Mark(mark) => self.waiting.end_with(mark),
            DataMessage::Several(messages) => {
                messages.into_iter().for_each(|message| self.take(message));
            }
            DataMessage::Adopt(adopt) => self.adopt(&adopt),
            DataMessage::Failed(_) | DataMessage::Ended(_) | DataMessage::Notice(_) => {}
        }
    }
}

impl Handler<Release> for Connector {
    type Result = ();

    fn handle(&mut self, release: Release, _: &mut Context<Self>) {
        if let ConnectorState::Ended = self.state {
            return self.report(Fact::Returned(release));
        }
        self.replace(release.replaces);
        self.waiting.release(release.events);
        self.send_waiting();
    }
}

impl Handler<Yield> for Connector {
    type Result = ();

    fn handle(&mut self, order: Yield, _: &mut Context<Self>) {
        self.begin_to_yield(&order);
    }
}

impl Handler<Close> for Connector {
    type Result = ();

    fn handle(&mut self, Close(frame): Close, ctx: &mut Context<Self>) {
        self.closing(frame.as_ref(), ctx);
    }
}

/// The value at a path of the data; `None` if it is missing or null.
fn lookup(data: &Data, path: &[String]) -> Option<Value> {
    let value = data.to_value();
    let found = path.iter().try_fold(&value, |value, key| value.get(key))?;
    (!matches!(found, Value::Null)).then(|| found.clone())
}
