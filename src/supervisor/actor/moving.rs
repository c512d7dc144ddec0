//! Moves of the session to another connection of the route's own upstream, while its client stays.
//!
//! The monitor of the upstream orders a move. `supervisor::moving` has its states.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use super::Supervisor;
use crate::{
    connector::{Generation, Start, Yield, dismiss},
    flow::{Edge, Mark},
    log::Quoted,
    supervisor::{
        child::{Child, Redial},
        moving::MoveStep,
    },
    upstream::{DialError, Dialed, Endpoint, MoveSlot, moves::Cause},
};

/// The slot of a move, with what its log line says.
#[derive(Debug)]
pub(super) struct Place {
    slot: MoveSlot,
    /// When the output was switched to the supervisor.
    switched: Option<Instant>,
}

impl Supervisor {
    /// From now on the session moves when its turn comes, if its client stays.
    pub(super) fn join_moves(&mut self, endpoint: &Arc<Endpoint>, ctx: &Context<Self>) {
        if self.links.keeps_client {
            let session = Edge::rare(&ctx.address());
            let movable = self.plan.upstream().movable(endpoint, session, &self.idle);
            if let Some(announced) = &self.links.announced {
                announced.set(&movable);
            }
            self.movable = Some(movable);
        }
    }

    /// The session can move from now on, if its connection is up.
    pub(super) fn join_moves_again(&mut self, ctx: &Context<Self>) {
        let own = self.children.own().filter(|own| own.redial() == Redial::Automatic && own.is_up());
        if let Some(endpoint) = own.map(|own| Arc::clone(&own.destination().endpoint)) {
            self.join_moves(&endpoint, ctx);
        }
    }

    /// The session stays from now on, because it cannot continue at another connection. A move that has only begun to dial
    /// is called off.
    pub(super) fn leave_moves(&mut self) {
        self.movable = None;
        if let Some(announced) = &self.links.announced {
            announced.clear();
        }
        self.moving.call_off();
    }

    /// Begins a move. A session whose connection is not up, or not to the endpoint that it should leave, stays.
    pub(super) fn move_away(&mut self, slot: MoveSlot, ctx: &mut Context<Self>) {
        let own = self.children.own().filter(|own| own.redial() == Redial::Automatic && own.is_up());
        // A connector at its gate would not get the mark of the output.
        let can = |own: &Child<_>| {
            Arc::ptr_eq(&own.destination().endpoint, slot.from()) && self.held.serves(own.generation())
        };
        let is_over = self.children.is_stopped() || self.is_given_up;
        if !own.is_some_and(can) || is_over || !self.links.keeps_client {
            return;
        }
        let Some(lease) = self.plan.upstream().pick_for_move(&slot, self.plan.key.get()) else {
            return self.log_stay(slot.cause(), "no endpoint takes it");
        };
        // An old connection, or one whose end was announced, may be replaced by one to the same endpoint.
        let may_stay = matches!(slot.cause(), Cause::Age | Cause::Announced);
        let besides = (!may_stay).then(|| Arc::clone(slot.from()));
        let cause = slot.cause();
        if self.moving.begin(Box::new(Place { slot, switched: None })).is_ok() {
            let dialing = wrap_future(self.plan.dial_besides(lease, besides));
            ctx.spawn(dialing.map(move |result, supervisor: &mut Self, ctx| {
                supervisor.other_dialed(result, cause, ctx);
            }));
        }
    }

    fn other_dialed(&mut self, result: Result<Dialed, DialError>, cause: Cause, ctx: &mut Context<Self>) {
        if let Err(error) = &result {
            self.log_stay(cause, &error.to_string());
        }
        let step = self.moving.dialed(result.ok().map(Box::new));
        if !self.take_step(step, ctx)
            && let Some(generation) = self.children.own().map(Child::generation)
        {
            // The session's connection was lost meanwhile.
            self.redial_soon(generation, ctx);
        }
    }

    /// The output's mark has arrived behind all events that it sent to the connector. It may come from the output
    /// itself, if the connector's mailbox did not take it.
    pub(super) fn mark_arrived(&mut self, mark: Mark, ctx: &mut Context<Self>) {
        let step = self.moving.marked(mark);
        self.take_step(step, ctx);
    }

    /// The connector could not yield in time.
    pub(super) fn connector_stayed(&mut self, ctx: &mut Context<Self>) {
        let step = self.moving.stayed();
        if matches!(step, MoveStep::Return(_)) {
            self.log_stay_busy();
        }
        self.take_step(step, ctx);
    }

    /// Takes the next step of a move. Returns false if the move does not handle the loss of the connection.
    pub(super) fn take_step(&mut self, step: MoveStep<Box<Dialed>>, ctx: &mut Context<Self>) -> bool {
        match step {
            MoveStep::Nothing => {}
            MoveStep::Turn => {
                if let Some(mark) = self.attach(None) {
                    self.moving.turn(mark);
                }
                if let Some(place) = self.moving.slot_mut() {
                    place.switched = Some(Instant::now());
                }
            }
            MoveStep::Yield => {
                let until = Instant::now() + self.grace();
                if let Some(connector) = self.children.own().and_then(Child::connector) {
                    Edge::to(connector).notify(Yield { until });
                }
            }
            MoveStep::Start(other) => self.start_other(*other, ctx),
            MoveStep::Return(other) => {
                self.dismiss(*other);
                let generation = self.children.own().map(Child::generation);
                // What it has not written yet precedes what it gets next.
                generation.into_iter().for_each(|generation| self.held.settled(generation));
                self.attach(generation);
                generation.into_iter().for_each(|generation| self.held.up(generation));
                self.release();
            }
            MoveStep::Dismiss(other) => self.dismiss(*other),
            MoveStep::Redial => return false,
        }
        true
    }

    /// Starts a connector on the other connection, or on a new one if that has ended.
    fn start_other(&mut self, mut other: Dialed, ctx: &mut Context<Self>) {
        let own = self.children.own().map(Child::generation);
        match own.and_then(|own| self.children.replace(own)) {
            Some(generation) => {
                // Nothing has answered its pings since its dial, so its server may have closed it.
                let start = match other.has_ended() {
                    true => Start::Dialing(self.plan.dial(None)),
                    false => Start::With(Box::new(other)),
                };
                self.start_connector(generation, start, ctx);
            }
            None => self.dismiss(other),
        }
    }

    /// The attached connector has been released: a move is over.
    pub(super) fn move_released(&mut self, generation: Generation, held: usize) {
        if let Some(place) = self.moving.released() {
            if !self.links.figures.is_over() {
                self.figures.moves.add(1);
                self.links.figures.count(|tally| tally.moves.add(1));
            }
            self.log_move(&place, generation, held);
            place.slot.moved();
        }
    }

    /// Ends a move because the session ends.
    pub(super) fn stop_moving(&mut self) {
        self.movable = None;
        if let Some(other) = self.moving.stop() {
            self.dismiss(*other);
        }
    }

    /// Closes a connection that no connector serves.
    fn dismiss(&self, other: Dialed) {
        dismiss(other, self.plan.settings());
    }

    /// How long a connector may take to become quiet.
    fn grace(&self) -> Duration {
        self.plan.settings().moves.grace
    }

    /// How long an event may be kept because the session moves; `None` while it does not.
    pub(super) fn hold_of_move(&self) -> Option<Duration> {
        let settings = self.plan.settings();
        // The connector becomes quiet, and closes its connection, which takes up to `grace` each.
        let longest = settings.moves.grace * 2 + settings.close_timeout + settings.connect_timeout;
        self.moving.keeps_events().then_some(longest)
    }

    fn log_move(&self, place: &Place, generation: Generation, held: usize) {
        let detail = format!("cause={} from={}", place.slot.cause(), place.slot.from().url().label());
        self.links.figures.history.changed("session moved", &detail);
        let Some(suppressed) = place.slot.line() else { return };
        let pause = place.switched.map(|since| since.elapsed()).unwrap_or_default();
        log::info!(
            "session moved session={} upstream={} from={} to={} cause={} generation={generation} pause={}ms \
             held={held}{suppressed}",
            self.links.tracker,
            self.plan.settings().name,
            Quoted(&place.slot.from().url().label()),
            Quoted(&self.destination(generation).endpoint.url().label()),
            place.slot.cause(),
            pause.as_millis(),
        );
    }

    fn log_stay_busy(&self) {
        let text = format!("messages in flight for {}ms", self.grace().as_millis());
        log::debug!("session stays session={} reason={}", self.links.tracker, Quoted(&text));
    }

    fn log_stay(&self, cause: Cause, reason: &str) {
        log::debug!(
            "session stays session={} upstream={} cause={cause} reason={}",
            self.links.tracker,
            self.plan.settings().name,
            Quoted(reason),
        );
    }
}
