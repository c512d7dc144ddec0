//! Probes the endpoints of an upstream, and orders its sessions to move: one actor for each upstream and process, above
//! the supervisors of sessions.
//!
//! It runs on another thread than the workers, so that probes are on time while those are busy. It publishes into the
//! pool that dials ask, and gets no messages: [`Shared::news`] wakes it. Sessions whose turn it is to move get a
//! message.

use std::{
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, SpawnHandle, fut::wrap_future};
use actix_rt::Arbiter;
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout_at},
};

use super::{Endpoint, Upstream, check::check, follow::follow, pool::ProbeStep, shared::Shared};
use crate::net::Network;

/// The time between the end of a monitor that panicked and the start of the next.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// The thread on which the monitors of all upstreams run.
pub struct Monitors {
    thread: Arbiter,
}

/// Probes the endpoints of one upstream.
struct Monitor {
    shared: Weak<Shared>,
    network: Arc<Network>,
    news: Arc<Notify>,
    /// Waits for the next probe or for news.
    waiting: Option<SpawnHandle>,
    /// Reports the end of this monitor when it is dropped, in a panic too.
    _alive: oneshot::Sender<()>,
}

// === impl Monitors ===

impl Monitors {
    /// Starts the thread. Call it on an actix system.
    ///
    /// # Errors
    /// When the thread or its event loop cannot be created.
    pub fn start() -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot start the thread that probes upstreams: {error}"))
        };
        Ok(Self { thread: Arbiter::try_new().map_err(failed)? })
    }

    /// Has the endpoints of this upstream probed, and its file and its names followed, for as long as a configuration
    /// has it. Does nothing for an upstream that is watched already.
    pub fn watch(&self, upstream: &Upstream) {
        if upstream.shared.watch() {
            return;
        }
        let (shared, network) = (Arc::downgrade(&upstream.shared), Arc::clone(&upstream.network));
        self.thread.spawn(follow(shared.clone(), Arc::clone(&network)));
        self.thread.spawn(supervise(shared, network));
    }

    /// Stops the thread and all monitors.
    pub fn stop(&self) {
        self.thread.stop();
    }
}

/// Starts a monitor, and another one whenever the last one has panicked.
async fn supervise(shared: Weak<Shared>, network: Arc<Network>) {
    while let Some(upstream) = shared.upgrade() {
        let (alive, end) = oneshot::channel::<()>();
        let (shared, network, news) = (shared.clone(), Arc::clone(&network), Arc::clone(&upstream.news));
        drop(upstream);
        Monitor { shared: shared.clone(), network, news, waiting: None, _alive: alive }.start();
        let _ = end.await;
        let Some(upstream) = shared.upgrade() else { return };
        log::error!("upstream monitor restart upstream={}", upstream.settings().name);
        upstream.pool().abandon_probes();
        drop(upstream);
        sleep(RESTART_PAUSE).await;
    }
}

// === impl Monitor ===

impl Monitor {
    /// Starts the probes and the moves that are due, and waits for the next one.
    fn step(&mut self, ctx: &mut Context<Self>) {
        if let Some(waiting) = self.waiting.take() {
            ctx.cancel_future(waiting);
        }
        let Some(shared) = self.shared.upgrade() else { return ctx.stop() };
        let next = loop {
            match shared.probe_step() {
                ProbeStep::Probe(endpoint) => self.probe(endpoint, &shared, ctx),
                ProbeStep::At(next) => break Some(next),
                ProbeStep::Never => break None,
            }
        };
        let next = next.into_iter().chain(shared.move_sessions()).min();
        let waiting = wrap_future(wait(Arc::clone(&self.news), next));
        self.waiting = Some(ctx.spawn(waiting.map(|(), monitor: &mut Self, ctx| monitor.step(ctx))));
    }

    fn probe(&self, endpoint: Arc<Endpoint>, shared: &Shared, ctx: &mut Context<Self>) {
        let checking = check(Arc::clone(&self.network), shared.settings(), endpoint.url().clone());
        let probing = wrap_future(checking);
        ctx.spawn(probing.map(move |result, monitor: &mut Self, ctx| {
            if let Some(shared) = monitor.shared.upgrade() {
                shared.probed(&endpoint, result);
            }
            monitor.step(ctx);
        }));
    }
}

impl Actor for Monitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.step(ctx);
    }
}

/// Waits for news, at most until then.
async fn wait(news: Arc<Notify>, until: Option<Instant>) {
    match until {
        Some(until) => _ = timeout_at(until.into(), news.notified()).await,
        None => news.notified().await,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::time::timeout;

    use super::*;
    use crate::{
        failure::{ConnectFailure, Failure, FailureKind},
        policy::PoolPolicy,
        settings::{EndpointConfig, UpstreamUrl, fixture},
    };

    #[actix::test]
    async fn a_monitor_that_panics_is_started_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = fixture::upstream();
        settings.url = UpstreamUrl::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
        settings.endpoints = vec![EndpointConfig::new(settings.url.clone())];
        // The time of the second check cannot be represented.
        settings.pool.health.interval = Some(Duration::MAX);
        let upstream = Upstream::new(Arc::new(settings), Network::system());
        actix_rt::spawn(supervise(Arc::downgrade(&upstream.shared), Network::system()));
        while !upstream.shared.has_panicked() {
            sleep(Duration::from_millis(1)).await;
        }
        upstream.shared.pool().set_policy(PoolPolicy::default());
        let ready = upstream.turn().ready();
        let refused = Failure::connection(FailureKind::Connect(ConnectFailure::Refused), "");
        upstream.report_end(&upstream.endpoint(), &refused);
        timeout(Duration::from_secs(10), ready).await.expect("the next monitor probes");
    }
}
