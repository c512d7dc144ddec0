//! The wait for the next connection to the route's own upstream (C7).
//!
//! It ends after the delay of the policy, or when an endpoint of the upstream comes up or has room. While all endpoints
//! are down, an attempt that is due fails without a dial: the probes of the upstream's monitor dial for all sessions.
//! While the limits of all endpoints are reached, it fails as well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};
use tokio::time::{sleep, sleep_until, timeout_at};

use super::{Lost, Supervisor};
use crate::{
    connector::Generation,
    failure::{ConnectFailure, Failure, FailureKind},
    log::Quoted,
    reply,
    settings::OnGiveUp,
    supervisor::{
        Verdict,
        child::{Due, Redial},
        children::Next,
    },
    turn::now_ns,
    upstream::{
        ConnectionChange, ConnectionChangeKind, ConnectionLoss, LossSequel,
        pool::{Begin, Pick, Wait},
    },
};

/// Maximum number of dials that begin early, because an endpoint came up or had room, until a connection proves good.
/// Without a limit, an upstream that ends each connection at once would be dialed without backoff.
const EARLY_MAX: u32 = 3;

impl Supervisor {
    /// Logs the loss, and has the server dialed again: after the verdict's delay or when an endpoint comes up, or by
    /// an event after the delay.
    pub(super) fn redial_later(&mut self, lost: &Lost<'_>, ctx: &mut Context<Self>) {
        let ready = self.plan.upstream().turn().ready();
        self.redial_when(lost, ready, ctx);
    }

    /// Does what [`Self::redial_later`] does, with a `ready` that was created before the loss was found. An endpoint
    /// that came up in between then ends the wait at once.
    fn redial_when(
        &mut self,
        lost: &Lost<'_>,
        ready: impl Future<Output = ()> + 'static,
        ctx: &mut Context<Self>,
    ) {
        if lost.redial == Redial::OnDemand {
            self.count_restart(lost.kind);
            return self.log_pause(lost);
        }
        let ends = lost.verdict.gives_up && self.plan.settings().on_give_up == OnGiveUp::Close;
        self.log_restart(lost, if ends { LossSequel::End } else { LossSequel::Restart });
        if ends {
            return self.close_given_up();
        }
        self.count_restart(lost.kind);
        if lost.verdict.attempt == 1 {
            // The policy counts the lost connection as good.
            self.forget_early();
        }
        self.await_endpoint(lost.generation, later(lost.verdict.delay), ready, ctx);
    }

    /// Makes an attempt after the shortest delay.
    pub(super) fn redial_soon(&mut self, generation: Generation, ctx: &mut Context<Self>) {
        let (delay, turn) = (self.plan.settings().restart.min, self.plan.upstream().turn());
        self.await_endpoint(generation, later(delay), turn.ready(), ctx);
    }

    /// Makes the attempt at `end`, or earlier, when an endpoint comes up and `ready` resolves.
    fn await_endpoint(
        &mut self,
        generation: Generation,
        end: Instant,
        ready: impl Future<Output = ()> + 'static,
        ctx: &mut Context<Self>,
    ) {
        let early = self.outage.as_ref().map_or(0, |outage| outage.early);
        let ready = (early < EARLY_MAX).then_some(ready);
        let waiting = async move {
            match ready {
                Some(ready) => timeout_at(end.into(), ready).await.is_ok(),
                None => {
                    sleep_until(end.into()).await;
                    false
                }
            }
        };
        let due = wrap_future(waiting).map(move |is_early, supervisor: &mut Self, ctx| {
            supervisor.due(generation, is_early.then_some(end), ctx);
        });
        self.set_timer(due, ctx);
    }

    fn set_timer(
        &mut self,
        timer: impl actix::ActorFuture<Self, Output = ()> + 'static,
        ctx: &mut Context<Self>,
    ) {
        if let Some(earlier) = self.outage().timer.replace(ctx.spawn(timer)) {
            ctx.cancel_future(earlier);
        }
    }

    /// Starts an attempt that is due: reserves a place at an endpoint, waits for a slot of the pacer, and dials.
    /// `early` is the end of the delay if an endpoint seemed to come up or to have room before it: where none takes the
    /// session after all, it waits on, and no attempt is counted.
    fn due(&mut self, generation: Generation, early: Option<Instant>, ctx: &mut Context<Self>) {
        self.outage().timer = None;
        if !self.children.is_waiting(generation) {
            return;
        }
        let upstream = Arc::clone(self.plan.upstream());
        if self.outage().lease.is_none() {
            // Before the choice, so that an endpoint that comes up after it ends the wait.
            let turn = upstream.turn();
            match upstream.reserve(self.plan.key.get()) {
                Pick::Endpoint(lease) => {
                    let outage = self.outage();
                    outage.lease = Some(lease);
                    outage.early += u32::from(early.is_some());
                }
                Pick::Wait(Wait::Busy) => {
                    upstream.expect_room();
                    if let Some(end) = early {
                        return self.await_endpoint(generation, end, turn.room(), ctx);
                    }
                    return self.fail_attempt(generation, &busy(), turn.room(), ctx);
                }
                Pick::Wait(wait) => {
                    upstream.want_probe();
                    if let Some(end) = early {
                        return self.await_endpoint(generation, end, turn.ready(), ctx);
                    }
                    let reason = match wait {
                        Wait::Down(reason) => reason,
                        Wait::Busy | Wait::Exhausted => Failure::not_connected(),
                    };
                    return self.fail_attempt(generation, &reason, turn.ready(), ctx);
                }
            }
        }
        match self.children.due(generation, Instant::now(), |now| upstream.reserve_reconnect(now)) {
            Due::Ignore => drop(self.take_lease()),
            Due::Wait(delay) => self.due_after(delay, generation, ctx),
            Due::Dial(generation) => self.begin_dial(generation, ctx),
        }
    }

    fn due_after(&mut self, delay: Duration, generation: Generation, ctx: &mut Context<Self>) {
        let slot = wrap_future(sleep(delay));
        self.set_timer(
            slot.map(move |(), supervisor: &mut Self, ctx| supervisor.due(generation, None, ctx)),
            ctx,
        );
    }

    /// Dials the endpoint at which a place is reserved. The endpoint may have changed since.
    fn begin_dial(&mut self, generation: Generation, ctx: &mut Context<Self>) {
        let upstream = Arc::clone(self.plan.upstream());
        let turn = upstream.turn();
        match self.outage().lease.as_mut().map_or(Begin::Gone, |lease| upstream.begin(lease)) {
            Begin::Now => _ = self.dial(generation, ctx),
            // Dials of new clients came first.
            Begin::Wait => {
                upstream.expect_room();
                let end = later(self.plan.settings().restart.max);
                self.await_endpoint(generation, end, turn.room(), ctx);
            }
            Begin::Gone => {
                drop(self.take_lease());
                self.due_after(Duration::ZERO, generation, ctx);
            }
        }
    }

    /// An attempt fails because all endpoints are down or busy.
    fn fail_attempt(
        &mut self,
        generation: Generation,
        failure: &Failure,
        ready: impl Future<Output = ()> + 'static,
        ctx: &mut Context<Self>,
    ) {
        let next = self.children.lost(generation, failure, Instant::now(), rand::random());
        if let Next::Redial(redial, verdict) = next {
            let reason = &reply::reason(failure);
            let kind = failure.kind;
            self.redial_when(&Lost { generation, redial, verdict, kind, reason, unsettled: 0 }, ready, ctx);
        }
    }

    /// Counts a lost connection or a failed dial after which another attempt follows.
    pub(super) fn count_restart(&self, kind: FailureKind) {
        self.figures.restarts.count(kind);
        self.links.figures.count(|tally| tally.restarts.add(1));
    }

    /// Records what happened to the connection, for those who watch the upstream.
    pub(super) fn record(&self, kind: ConnectionChangeKind) {
        let (at_ms, session) = (now_ns() / 1_000_000, self.links.tracker.to_string());
        self.plan.upstream().record(ConnectionChange { at_ms, session, kind });
    }

    fn record_loss(&self, &Lost { verdict, reason, .. }: &Lost<'_>, sequel: LossSequel) {
        let (attempt, delay_ms) = (verdict.attempt, verdict.delay.as_millis() as u64);
        self.record(ConnectionChangeKind::Lost(ConnectionLoss {
            sequel,
            attempt,
            delay_ms,
            reason: reason.to_owned(),
        }));
    }

    /// Logs a loss, and records it with what follows. Attempts may follow in any case but [`LossSequel::End`].
    pub(super) fn log_restart(&self, lost: &Lost<'_>, sequel: LossSequel) {
        let &Lost { verdict, reason, unsettled, .. } = lost;
        let Verdict { delay, attempt, gives_up, .. } = verdict;
        let detail = format!("attempt={attempt} delay={}ms reason={reason}", delay.as_millis());
        let kind = if gives_up { "connector gave up" } else { "connector restart" };
        self.links.figures.history.changed(kind, &detail);
        let is_probe = gives_up && sequel == LossSequel::Restart;
        self.record_loss(lost, if is_probe { LossSequel::Probes } else { sequel });
        let (session, upstream) = (&self.links.tracker, &self.plan.settings().name);
        let (delay, reason) = (delay.as_millis(), Quoted(reason));
        let Some(suppressed) = self.plan.upstream().line(log::Level::Warn) else { return };
        if gives_up {
            log::error!(
                "connector gave up session={session} upstream={upstream} attempt={attempt} probe={delay}ms \
                 reason={reason} unsettled={unsettled}{suppressed}"
            );
        } else {
            log::warn!(
                "connector restart session={session} upstream={upstream} attempt={attempt} delay={delay}ms \
                 reason={reason} unsettled={unsettled}{suppressed}"
            );
        }
    }

    fn log_pause(&self, lost: &Lost<'_>) {
        let &Lost { generation, verdict, reason, unsettled, .. } = lost;
        let detail =
            format!("attempt={} pause={}ms reason={reason}", verdict.attempt, verdict.delay.as_millis());
        self.links.figures.history.changed("connector lost", &detail);
        self.record_loss(lost, LossSequel::OnDemand);
        let Some(suppressed) = self.plan.upstream().line(log::Level::Warn) else { return };
        log::warn!(
            "connector lost session={} upstream={} url={} attempt={} pause={}ms reason={} \
             unsettled={unsettled}{suppressed}",
            self.links.tracker,
            self.plan.settings().name,
            Quoted(&self.server(generation)),
            verdict.attempt,
            verdict.delay.as_millis(),
            Quoted(reason),
        );
    }
}

fn later(delay: Duration) -> Instant {
    Instant::now() + delay
}

/// The failure of an attempt while the limits of all endpoints are reached.
fn busy() -> Failure {
    let local = FailureKind::Connect(ConnectFailure::Local);
    Failure::connection(local, "no endpoint takes another connection now")
}
