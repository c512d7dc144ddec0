//! Events that the supervisor keeps while the route's own upstream has no connection, and the order in which a
//! connector gets them.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};
use tokio::time::sleep_until;

use super::Supervisor;
use crate::{
    connector::{Ended, Generation, Release},
    failure::Failure,
    flow::{Edge, Envelope, Run},
    supervisor::{
        child::{Child, Redial},
        held::{Held, Released},
    },
    turn::now_ns,
};

impl Supervisor {
    /// How long an event may wait for a connection; `None` if it fails at once.
    pub(super) fn hold(&self) -> Option<Duration> {
        let is_over = self.children.is_stopped() || self.is_given_up;
        self.plan.settings().recovery.hold.filter(|_| self.own_redial == Redial::Automatic && !is_over)
    }

    /// Keeps an event that the output has sent to the supervisor. Returns it if it fails instead.
    pub(super) fn keep(&mut self, envelope: Envelope, ctx: &mut Context<Self>) -> Option<Envelope> {
        let Some(deadline) = self.deadline_of(&envelope) else { return Some(envelope) };
        let failing = self.held.take(envelope, deadline).err();
        self.await_deadline(ctx);
        failing
    }

    /// Keeps the events of which a connection has written nothing. Those that fail instead stay in `ended`.
    pub(super) fn keep_left(&mut self, generation: Generation, ended: &mut Ended, ctx: &mut Context<Self>) {
        let unwritten = mem::take(&mut ended.unwritten);
        ended.unwritten = self
            .keep_each(unwritten, |held, event, deadline| held.unwritten(generation, event, deadline).err());
        let waiting = mem::take(&mut ended.waiting);
        ended.waiting = self.keep_unsent(generation, waiting, ctx);
    }

    /// Keeps events that waited at a connector or arrived after its end. Returns those that fail instead.
    pub(super) fn keep_unsent(
        &mut self,
        generation: Generation,
        envelopes: Vec<Envelope>,
        ctx: &mut Context<Self>,
    ) -> Vec<Envelope> {
        let failing =
            self.keep_each(envelopes, |held, event, deadline| held.back(generation, event, deadline).err());
        self.await_deadline(ctx);
        failing
    }

    /// Passes each event that may be kept to `keep`, which returns the event if it has no place. Returns the events
    /// that fail instead.
    fn keep_each(
        &mut self,
        envelopes: Vec<Envelope>,
        keep: impl Fn(&mut Held<Envelope>, Envelope, Instant) -> Option<Envelope>,
    ) -> Vec<Envelope> {
        let mut failing = Vec::new();
        for envelope in envelopes {
            failing.extend(match self.deadline_of(&envelope) {
                Some(deadline) => keep(&mut self.held, envelope, deadline),
                None => Some(envelope),
            });
        }
        failing
    }

    /// Keeps the events of a release that came too late. Returns those that fail instead.
    pub(super) fn keep_returned(
        &mut self,
        generation: Generation,
        envelopes: Vec<Envelope>,
        ctx: &mut Context<Self>,
    ) -> Vec<Envelope> {
        let (mut kept, mut failing) = (Vec::new(), Vec::new());
        for envelope in envelopes {
            match self.deadline_of(&envelope) {
                Some(deadline) => kept.push((envelope, deadline)),
                None => failing.push(envelope),
            }
        }
        failing.extend(self.held.returned(generation, kept).err().into_iter().flatten());
        self.await_deadline(ctx);
        failing
    }

    /// The time until which an event may be kept; `None` if it fails at once. For `hold`, the time since its arrival
    /// counts, so that an event which comes back from a connector does not begin anew.
    fn deadline_of(&self, envelope: &Envelope) -> Option<Instant> {
        let age = Duration::from_nanos(now_ns().saturating_sub(envelope.event.ingest_ns));
        let left = self.hold().and_then(|hold| hold.checked_sub(age)).filter(|left| !left.is_zero());
        Some(Instant::now() + left.max(self.hold_of_move()).max(self.hold_at_gate())?)
    }

    /// How long an event may be kept that the output sent before the connection came up, until the marks of the output
    /// have arrived; `None` unless the route's own upstream has such a connection.
    fn hold_at_gate(&self) -> Option<Duration> {
        let own = self.children.own().filter(|own| own.redial() == Redial::Automatic && own.is_up())?;
        let is_due = self.held.target() == Some(own.generation()) && !self.held.serves(own.generation());
        is_due.then_some(self.plan.settings().connect_timeout)
    }

    /// Sends the kept events to the attached connector, if it is time.
    pub(super) fn release(&mut self) {
        let Some(Released { generation, events }) = self.held.release() else { return };
        self.move_released(generation, events.len());
        let outcomes = self.fail_unworded();
        self.send_back(outcomes);
        if !events.is_empty() {
            log::debug!("events passed on session={} count={}", self.links.tracker, events.len());
        }
        if let Some(connector) = self.children.get(generation).and_then(Child::connector) {
            let replaces = self.outage.as_mut().and_then(|outage| outage.replaced.take());
            Edge::notify_at(connector, Release { events, replaces });
        }
    }

    /// Sets the timer for the earliest deadline, unless it is set for that or an earlier one.
    fn await_deadline(&mut self, ctx: &mut Context<Self>) {
        if self.held.is_empty() {
            return;
        }
        let Some(deadline) = self.held.deadline() else { return };
        if self.outage().hold_timer.is_some_and(|(due, _)| due <= deadline) {
            return;
        }
        let timer = wrap_future(sleep_until(deadline.into()));
        let timer = ctx.spawn(timer.map(|(), supervisor: &mut Self, ctx| {
            supervisor.outage().hold_timer = None;
            supervisor.expire(ctx);
        }));
        if let Some((_, later)) = self.outage().hold_timer.replace((deadline, timer)) {
            ctx.cancel_future(later);
        }
    }

    fn expire(&mut self, ctx: &mut Context<Self>) {
        let expired = self.held.expire(Instant::now());
        let outcomes = self.fail_unsent(expired);
        self.send_back(outcomes);
        self.await_deadline(ctx);
    }

    /// Makes the events fail that only a move has kept, because there is no connection to move to. Later events fail as
    /// they arrive.
    pub(super) fn fail_moving(&mut self) {
        if self.hold().is_none() {
            let outcomes = self.fail_kept();
            self.send_back(outcomes);
        }
    }

    /// Takes all kept events, which fail.
    pub(super) fn fail_kept(&mut self) -> Run {
        let kept = self.held.take_all();
        self.fail_unsent(kept)
    }

    /// The outcomes of events that were not sent, because the route's own upstream has no connection.
    fn fail_unsent(&mut self, envelopes: Vec<Envelope>) -> Run {
        let own = self.children.own();
        let destination = own.map_or(&self.plan.destination, Child::destination);
        let failure = match own {
            _ if self.children.is_stopped() => Failure::draining(),
            Some(child) => child.down(),
            None => Failure::not_connected(),
        };
        let server = Arc::clone(&destination.url.shown);
        let mut outcomes = Run::default();
        self.shape(envelopes, &server, &failure, &mut outcomes);
        outcomes
    }
}
