//! The session actor. This file reads the client's messages and turns them into events.
//!
//! * [`adopting`]: continues with other settings.
//! * [`admitting`]: rate limits, and the liveness of the client.
//! * [`bursts`]: passes on small messages in a row as one.
//! * [`delivering`]: sends messages to the client and records outcomes.
//! * [`failing`]: reports failed events.
//! * [`ending`]: drains and closes the session.
//! * [`expiring`]: the end of the session's lifetime.
//! * [`inspecting`]: answers questions of operators.
//! * [`renewing`]: the renewal of the client's credential.
//! * [`tapping`]: what taps see.
//! * [`tracing`]: what traces show.

mod admitting;
mod adopting;
mod bursts;
mod delivering;
mod ending;
mod expiring;
mod failing;
mod inspecting;
mod renewing;
mod tapping;
mod tracing;

use std::{
    fmt,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler};

use self::{
    admitting::Limiters,
    ending::{CloseIntent, SessionState},
    expiring::Expiry,
    tapping::{Tapping, Undecoded},
};
use super::{
    delivery::Delivery,
    downstream::{ClientFrame, Downstream},
    end_cause::EndCause,
    known::KnownClient,
    messages::{Control, Drain, Parts, SessionGuard, SessionLinks},
    renewal::Renewals,
};
use crate::{
    access::Entry as AccessEntry,
    channel::{Channel, Received},
    deadline::Deadline,
    event::{Data, Event, EventNumber, Origin, Record},
    failure::{Failure, FailureLocation},
    figures::SessionFigures,
    flow::{AckTracker, Batch, Budget, Cause, DataMessage, Envelope, Kind, Loss, mailbox_room},
    format_error::FormatError,
    pipeline::Attach,
    settings::{Listener, OnClientClose},
    traces::SessionTrace,
    turn::{Driven, drive},
    wire::{CloseFrame, LinkError, Role},
};

/// Maximum number of unsettled events of a session without upstream. With an upstream, the upstream's
/// `max_in_flight` applies.
const MAX_IN_FLIGHT: usize = 128;

/// A client's session.
pub struct Session {
    tracker: Arc<AckTracker>,
    figures: Arc<SessionFigures>,
    listener: Arc<Listener>,
    /// Boxed, so that the actor and the connection each take a small block of the allocator.
    down: Box<Downstream>,
    delivery: Delivery<ClientFrame>,
    /// Maximum number of unsettled events. At this number the proxy stops reading from the client.
    max_in_flight: usize,
    /// Whether the upstream's settings need each message as an event. Those of a session without upstream do.
    upstream_reads_each: bool,
    /// Rate limits on the client's messages; `None` without limits.
    limiters: Option<Box<Limiters>>,
    /// `$request` and `$session`; `None` when no pipeline reads metadata.
    meta: Option<Arc<Record>>,
    /// The `tremor::origin` of the client's events; `None` when no pipeline reads it.
    origin: Option<Arc<Origin>>,
    links: SessionLinks,
    state: SessionState,
    /// The deadline of the current state; see [`Session::due`].
    deadline: Deadline,
    /// The identity of the client; `None` on a route without authentication.
    known: Option<Box<KnownClient>>,
    /// The renewals of the client's credential; `None` if there can be none.
    renewals: Option<Box<Renewals>>,
    /// The session's lifetime; `None` if nothing limits it.
    expiry: Option<Box<Expiry>>,
    /// The order to drain, until its delay has passed.
    drain: Option<Box<Drain>>,
    /// The close frame for the client and the cause, if the session must end in this turn because a pipeline died, or
    /// because an event failed on a route without error replies.
    ending: Option<Box<(CloseFrame, EndCause)>>,
    /// The lost events that the close reason names, if the session ends because its upstream connection was
    /// lost, or because it drains on a route without error replies.
    loss: Option<Box<Loss>>,
    /// The server of the stream connection that was lost last, and the last event sent on it.
    last_sent: Option<Box<(Arc<str>, EventNumber)>>,
    /// The events accepted in the current turn.
    batch: Batch,
    /// The error events of the current turn, for the errors pipelines; `None` if there are none.
    errors: Option<Box<Batch>>,
    /// What taps see of the session; `None` if the settings forbid taps.
    tapping: Option<Box<Tapping>>,
    /// The session's trace; `None` if it is not traced.
    trace: Option<Box<SessionTrace>>,
    opened: Instant,
    /// The line of the access log; `None` without one.
    access: Option<Box<AccessEntry>>,
    /// The guard that counts the session as live.
    guard: Box<dyn SessionGuard>,
}

impl Session {
    /// Starts a session. `links` gets the session's address, and starts the actors that the session sends to.
    pub fn start(parts: Parts, links: impl FnOnce(&Addr<Self>) -> SessionLinks) -> Addr<Self> {
        Self::create(|ctx: &mut Context<Self>| {
            let upstream_buffer = parts.upstream.as_ref().map_or(0, |upstream| upstream.limits.buffer);
            ctx.set_mailbox_capacity(mailbox_room(parts.listener.limits.buffer + upstream_buffer));
            let links = links(&ctx.address());
            drive(ctx);
            Self::new(parts, links)
        })
    }

    fn new(parts: Parts, links: SessionLinks) -> Self {
        let Parts {
            tracker,
            figures,
            listener,
            upstream,
            socket,
            rest,
            meta,
            known,
            renewal,
            origin,
            global_budget,
            rates,
            lifetime,
            access,
            tap,
            trace,
            guard,
        } = parts;
        let budget = Budget::new(listener.limits.buffer, &global_budget);
        let limits = (listener.limits, &listener.liveness);
        let channel = Channel::new(socket, Role::Server, limits, &listener.format, &budget, rest);
        Self {
            tracker,
            down: Box::new(Downstream::new(channel, listener.slow_consumer, Arc::clone(&figures))),
            delivery: Delivery::new(
                upstream.as_ref().is_none_or(|upstream| upstream.answers_in_order()),
                Arc::clone(&figures),
            ),
            figures,
            max_in_flight: upstream.as_ref().map_or(MAX_IN_FLIGHT, |upstream| upstream.max_in_flight),
            upstream_reads_each: upstream.as_ref().is_none_or(|upstream| upstream.reads_each()),
            limiters: Limiters::new(&listener, rates),
            meta,
            origin,
            links,
            state: SessionState::Open,
            deadline: Deadline::new(),
            known: known.map(Box::new),
            renewals: renewal.map(|renewal| Renewals::new(renewal, Instant::now())),
            expiry: lifetime.map(Expiry::new),
            drain: None,
            ending: None,
            loss: None,
            last_sent: None,
            batch: Batch::default(),
            errors: None,
            tapping: tap.map(Tapping::new),
            trace,
            opened: Instant::now(),
            access,
            guard,
            listener,
        }
    }

    // --- From the client

    /// Reads from the client until it has sent nothing more, the turn's steps are used up, or a limit is reached.
    fn read(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) {
        if matches!(self.state, SessionState::Open) && self.down.channel.skip_turn() {
            return;
        }
        self.down.channel.begin_turn();
        let reads_each = self.reads_each();
        while matches!(self.state, SessionState::Open) && self.ending.is_none() {
            if !self.has_room(task) || self.is_held_back(ctx, task) {
                self.down.channel.hold_back();
                break;
            }
            if !reads_each {
                self.down.channel.allow_bursts(self.max_in_flight - self.delivery.unsettled());
            }
            match self.down.channel.poll_event(task) {
                Poll::Pending => break,
                Poll::Ready(Ok(received)) => self.received(received),
                Poll::Ready(Err(error)) => self.link_failed(error),
            }
        }
        self.down.channel.end_turn();
    }

    /// Whether there are fewer unsettled events than `max_in_flight`. If not, the task is woken when there
    /// are.
    fn has_room(&mut self, task: &mut task::Context<'_>) -> bool {
        if self.delivery.unsettled() >= self.max_in_flight {
            // Asks to be woken by the next ack of any kind.
            self.take_acks(Some(task));
        }
        self.delivery.unsettled() < self.max_in_flight
    }

    fn received(&mut self, received: Received) {
        match received {
            Received::Event(decoded) => self.accept(decoded),
            Received::Message(message) => {
                let bytes = message.len();
                self.figures.count(|tally| tally.received.message(bytes));
                self.figures.active(self.batch.now_ns());
                self.tap_message(&message);
                match self.has_outlived() {
                    true => self.reject(Failure::outlived()),
                    false => self.admit(message),
                }
            }
            Received::Burst(burst) => self.accept_burst(burst),
            Received::Control => {}
            Received::Close(frame) => {
                self.finish_input();
                self.client_ended(CloseIntent::Answer(frame));
            }
        }
    }

    /// Drains the session after the client has closed or disappeared. Depending on
    /// `on_client_close`, events in flight get time to settle or fail at once.
    fn client_ended(&mut self, intent: CloseIntent) {
        let wait = match self.listener.on_client_close {
            OnClientClose::Finish => self.listener.close_timeout,
            OnClientClose::Cancel => Duration::ZERO,
        };
        self.start_draining(intent, wait);
    }

    fn accept(&mut self, decoded: Result<Data, FormatError>) {
        let data = match decoded {
            Ok(data) => data,
            Err(error) => return self.reject(Failure::decode(FailureLocation::Downstream, error)),
        };
        if let Some(message) = self.renewals.as_ref().and_then(|renewals| renewals.recognise(&data)) {
            return self.renew(message);
        }
        if let Some(first_data) = self.links.first_data.take() {
            first_data(&data);
        }
        let ticket = self.tracker.issue(Cause::Message);
        self.accept_event(ticket.event());
        let permit = Some(self.down.channel.permit(&data));
        let meta = self.down.channel.meta(&data, self.meta.clone());
        let event = Event {
            id: ticket.id(),
            data,
            meta,
            origin: self.origin.clone(),
            ingest_ns: self.batch.now_ns(),
        };
        self.tap_event(&event);
        self.batch.push(Envelope { event, kind: Kind::Request, ticket, permit, class: None });
    }

    /// Rejects a message that cannot become an event. It is counted as an event, so that it gets an error
    /// reply.
    fn reject(&mut self, failure: Failure) {
        let ticket = self.tracker.issue(Cause::Message);
        self.accept_event(ticket.event());
        self.tap_undecoded(ticket.event(), Undecoded::Refused);
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
            LinkError::Eof | LinkError::Io(_) => self.client_ended(CloseIntent::Gone(EndCause::ClientGone)),
        }
    }
}

impl Driven for Session {
    fn turn(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        self.take_acks(Some(task));
        if self.deadline.has_passed() {
            self.due(ctx);
        }
        self.check_lifetime();
        self.read(ctx, task);
        self.flush_batch();
        self.check_renewal(task);
        self.check_liveness(task);
        let done = self.progress(ctx, task);
        self.flush_errors();
        self.figures.enter(self.state.phase());
        self.deadline.arm(task.waker());
        self.arm_lifetime(task);
        done
    }
}

impl Actor for Session {
    type Context = Context<Self>;
}

impl Drop for Session {
    /// Reports the end of a session that panicked.
    fn drop(&mut self) {
        if std::thread::panicking() && !matches!(self.state, SessionState::Over) {
            log::error!("session died session={self}");
            self.account_end(&CloseIntent::Gone(EndCause::Internal));
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

    fn handle(&mut self, message: DataMessage, _: &mut Context<Self>) {
        self.arrive(message);
    }
}

impl Handler<Attach> for Session {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Context<Self>) {
        match &self.links.last_incoming {
            Some(last) => last.notify(attach),
            None => self.links.incoming.attach(attach),
        }
    }
}

impl Handler<Control> for Session {
    type Result = ();

    fn handle(&mut self, control: Control, ctx: &mut Context<Self>) {
        match control {
            Control::Drain(drain) => self.schedule_drain(drain),
            Control::Adopt(_) => self.adopt(),
            Control::Close(frame) => self.close_by_operator(frame),
            Control::CutOff => self.cut_off(ctx),
            Control::Inspect(reply) => self.inspect(reply),
            Control::Extend(extension) => self.extend(extension),
        }
    }
}
