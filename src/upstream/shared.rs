//! What all threads and all configurations share about one upstream: its pool, and who waits for it.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    DialError, Endpoint, Lease, Suppressed,
    lines::Lines,
    pool::{Change, EndpointState, Pick, Pool, ProbeStep, Wait},
};
use crate::{
    failure::Failure,
    log::Quoted,
    reply,
    settings::{self, UpstreamUrl},
};

/// A dial that waits for room at an endpoint asks again after this long.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What all threads and all configurations share about one upstream.
pub(super) struct Shared {
    /// The settings in force.
    settings: Mutex<Arc<settings::Upstream>>,
    pool: Mutex<Pool>,
    /// Changes when sessions that wait may dial again.
    ready: watch::Sender<()>,
    /// The number of probes that have ended.
    probed: watch::Sender<usize>,
    /// Wakes the monitor.
    pub(super) news: Arc<Notify>,
    /// Whether a monitor probes the endpoints.
    is_watched: AtomicBool,
    /// The number of sessions that wait.
    waiting: Arc<AtomicUsize>,
    /// The log lines about restarts.
    lines: Mutex<Lines>,
}

/// Counts a session that waits.
struct Waiting(Arc<AtomicUsize>);

// === impl Shared ===

impl Shared {
    pub(super) fn new(settings: &Arc<settings::Upstream>) -> Arc<Self> {
        Arc::new(Self {
            pool: Mutex::new(Pool::new(settings.pool.clone(), &settings.endpoints)),
            settings: Mutex::new(Arc::clone(settings)),
            ready: watch::Sender::new(()),
            probed: watch::Sender::new(0),
            news: Arc::default(),
            is_watched: AtomicBool::new(false),
            waiting: Arc::default(),
            lines: Mutex::default(),
        })
    }

    // --- Configuration

    pub(super) fn configure(&self, settings: &Arc<settings::Upstream>) {
        *lock(&self.settings) = Arc::clone(settings);
        let mut pool = self.pool();
        pool.set_policy(settings.pool.clone());
        pool.set_endpoints(&settings.endpoints);
        drop(pool);
        self.news.notify_one();
    }

    pub(super) fn settings(&self) -> Arc<settings::Upstream> {
        Arc::clone(&lock(&self.settings))
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// The endpoint with this URL. One that is no longer in the pool has no sessions.
    pub(super) fn first(&self, url: &UpstreamUrl) -> Arc<Endpoint> {
        let pool = self.pool();
        let mut endpoints = pool.endpoints(Instant::now()).map(|(endpoint, _)| endpoint);
        endpoints
            .find(|endpoint| endpoint.url() == url)
            .map_or_else(|| Endpoint::new(url.clone()), Arc::clone)
    }

    /// Whether a thread has panicked while it used the pool.
    #[cfg(test)]
    pub(super) fn has_panicked(&self) -> bool {
        self.pool.is_poisoned()
    }

    /// A monitor begins to probe the endpoints. Returns whether one did before.
    pub(super) fn watch(&self) -> bool {
        self.is_watched.swap(true, Relaxed)
    }

    // --- Dials

    pub(super) fn pick(&self, key: Option<u64>, tried: &[Arc<Endpoint>]) -> Pick {
        let now = Instant::now();
        let mut pool = self.pool();
        match pool.pick(now, key, tried, rand::random()) {
            // Without probes only a dial can find out.
            Pick::Wait(Wait::Down(_)) if !self.is_watched.load(Relaxed) => pool.pick_any(now, tried),
            pick => pick,
        }
    }

    /// Waits until an endpoint can be dialed. If all are down, their next probes decide.
    ///
    /// # Errors
    /// When all endpoints are down or tried, or there was no room for `limit`.
    pub(super) async fn acquire(
        &self,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        limit: Duration,
    ) -> Result<Lease, DialError> {
        let waiting = timeout(limit, self.available(key, tried));
        waiting.await.unwrap_or(Err(DialError::Timeout(limit)))
    }

    async fn available(&self, key: Option<u64>, tried: &[Arc<Endpoint>]) -> Result<Lease, DialError> {
        let (mut ready, mut probed) = (self.ready.subscribe(), self.probed.subscribe());
        let mut awaited = None;
        loop {
            ready.mark_unchanged();
            match self.pick(key, tried) {
                Pick::Endpoint(lease) => return Ok(lease),
                Pick::Wait(Wait::Exhausted) => return Err(DialError::Down(Failure::not_connected())),
                Pick::Wait(Wait::Busy) => _ = timeout(BUSY_PAUSE, ready.changed()).await,
                Pick::Wait(Wait::Down(reason)) => {
                    let ended = *probed.borrow_and_update();
                    let awaited = *awaited.get_or_insert_with(|| ended + self.want_probe());
                    if ended >= awaited {
                        return Err(DialError::Down(reason));
                    }
                    // The senders live as long as this object.
                    tokio::select! {
                        _ = ready.changed() => {}
                        _ = probed.changed() => {}
                    }
                }
            }
        }
    }

    /// Resolves when sessions that wait may dial again. The session counts as waiting until then.
    pub(super) fn ready(&self) -> impl Future<Output = ()> + 'static {
        let mut ready = self.ready.subscribe();
        self.waiting.fetch_add(1, Relaxed);
        let waiting = Waiting(Arc::clone(&self.waiting));
        async move {
            let _waiting = waiting;
            if ready.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn can_dial(&self, endpoint: &Arc<Endpoint>) -> bool {
        let pool = self.pool();
        let mut endpoints = pool.endpoints(Instant::now());
        let state = endpoints.find(|(known, _)| Arc::ptr_eq(known, endpoint)).map(|(_, state)| state);
        state.is_some_and(|state| !matches!(state, EndpointState::Down | EndpointState::Draining))
    }

    // --- Reports

    pub(super) fn restart_line(&self, important: bool) -> Option<Suppressed> {
        lock(&self.lines).line(important, Instant::now())
    }

    pub(super) fn established(&self, lease: &mut Lease) {
        lease.established();
        let change = self.pool().established(lease.endpoint(), Instant::now());
        self.changed(lease.endpoint(), &change, None);
    }

    pub(super) fn failed(&self, endpoint: &Arc<Endpoint>, failure: &Failure) {
        let change = self.pool().failed(endpoint, failure, Instant::now());
        self.changed(endpoint, &change, Some(failure));
        self.news.notify_one();
    }

    // --- Probes

    /// Has the endpoints that are down probed soon. Returns how many probes end until each has been probed.
    pub(super) fn want_probe(&self) -> usize {
        let (ends, is_news) = self.pool().want_probe();
        if is_news {
            self.news.notify_one();
        }
        ends
    }

    pub(super) fn probe_step(&self) -> ProbeStep {
        self.pool().probe_step(Instant::now())
    }

    pub(super) fn probed(&self, endpoint: &Arc<Endpoint>, result: Result<(), Failure>) {
        let failure = result.as_ref().err().cloned();
        let change = self.pool().probed(endpoint, result, Instant::now());
        self.changed(endpoint, &change, failure.as_ref());
        self.probed.send_modify(|ended| *ended += 1);
    }

    /// Logs a change, and wakes the sessions that it concerns.
    fn changed(&self, endpoint: &Endpoint, change: &Change, reason: Option<&Failure>) {
        // Most reports change nothing.
        if *change == Change::Nothing {
            return;
        }
        let settings = self.settings();
        let (upstream, url) = (&settings.name, Quoted(&endpoint.url().shown));
        let reason = reason.map(reply::reason).unwrap_or_default();
        match change {
            Change::Nothing => {}
            Change::Down => {
                log::warn!("endpoint down upstream={upstream} endpoint={url} reason={}", Quoted(&reason));
            }
            Change::Ejected(duration) => log::warn!(
                "endpoint ejected upstream={upstream} endpoint={url} for={}ms reason={}",
                duration.as_millis(),
                Quoted(&reason)
            ),
            Change::Trial => {
                log::debug!("endpoint reachable upstream={upstream} endpoint={url}");
                self.ready.send_replace(());
            }
            Change::Up(outage) => {
                let waiting = self.waiting.load(Relaxed);
                let (outage, suppressed) = (outage.as_millis(), lock(&self.lines).take());
                log::info!(
                    "endpoint up upstream={upstream} endpoint={url} outage={outage}ms waiting={waiting}{suppressed}"
                );
                self.ready.send_replace(());
            }
        }
    }
}

impl Drop for Shared {
    /// Wakes the monitor, which then ends.
    fn drop(&mut self) {
        self.news.notify_one();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
