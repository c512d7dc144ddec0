//! The state of one upstream that all threads and configurations share: its pool, and the sessions that wait for it.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    ClientPath, DialError, Endpoint, Lease,
    breaker::TRIALS_MAX,
    discovery::{Difference, Discovery, LeftOut},
    mover::Mover,
    moves::Moves,
    named::NamedServers,
    own_urls::OwnUrls,
    pool::{Begin, Change, EndpointState, Pick, Pool, ProbeStep, Wait},
    queue::{Queue, Waiter},
    restarts::Restarts,
};
use crate::{
    failure::Failure,
    log::{LimitedLine, LineLimit, Quoted, Suppressed},
    reply,
    settings::{self, EndpointConfig, UpstreamUrl},
};

/// A dial that waits for room asks again after this long, in case the session that was woken has no use for the room.
pub(super) const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Most lines a second of one level about the connections of sessions to one upstream.
const LINES_MAX: u32 = 500;

/// The time between two looks at sessions that wait for the rate of an endpoint.
const RATE_PAUSE: Duration = Duration::from_millis(10);

/// The state of one upstream that all threads and configurations share.
pub(super) struct Shared {
    /// The settings in force.
    settings: Mutex<Arc<settings::Upstream>>,
    /// Where the endpoints come from. Locked before the pool.
    discovery: Mutex<Discovery>,
    pool: Mutex<Pool>,
    /// The servers that events name by `$url`.
    pub(super) named: Mutex<NamedServers>,
    /// The URLs of the endpoints in the pool, for events, which must not wait for the pool. Changed while the pool is
    /// locked.
    own_urls: RwLock<OwnUrls>,
    /// Changes when the settings have changed.
    configured: watch::Sender<()>,
    /// The sessions that can move. The pool is locked before this, never after it.
    pub(super) moves: Mutex<Moves<Mover>>,
    /// Sessions that wait for an endpoint to come up.
    ready: Arc<Queue>,
    /// Sessions that wait for room at an endpoint. The pool has it too.
    room: Arc<Queue>,
    /// Changes when a probe ends.
    probed: watch::Sender<()>,
    /// Whether the next probe is wanted soon. It is cleared when a probe begins.
    is_probe_wanted: AtomicBool,
    /// Wakes the monitor.
    pub(super) news: Arc<Notify>,
    /// Whether a monitor probes the endpoints.
    is_watched: AtomicBool,
    /// The log lines about connections of sessions that came up again.
    ups: Mutex<LineLimit>,
    /// The log lines about connections of sessions that were lost.
    losses: Mutex<LineLimit>,
    /// The last restarts of connectors.
    pub(super) restarts: Mutex<Restarts>,
}

/// A wait until a session may dial.
pub(super) struct QueuePlaces {
    ready: Waiter,
    room: Waiter,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(settings: &Arc<settings::Upstream>) -> Arc<Self> {
        let pool = Pool::new(settings.pool.clone(), &settings.endpoints);
        Arc::new(Self {
            room: Arc::clone(pool.room()),
            own_urls: RwLock::new(OwnUrls::of(pool.urls())),
            pool: Mutex::new(pool),
            named: Mutex::default(),
            discovery: Mutex::new(Discovery::new(settings)),
            settings: Mutex::new(Arc::clone(settings)),
            configured: watch::Sender::new(()),
            moves: Mutex::default(),
            ready: Arc::default(),
            probed: watch::Sender::new(()),
            is_probe_wanted: AtomicBool::new(false),
            news: Arc::default(),
            is_watched: AtomicBool::new(false),
            ups: Mutex::new(LineLimit::new(LINES_MAX)),
            losses: Mutex::new(LineLimit::new(LINES_MAX)),
            restarts: Mutex::default(),
        })
    }

    // --- Configuration

    pub(super) fn configure(&self, settings: &Arc<settings::Upstream>) {
        *lock(&self.settings) = Arc::clone(settings);
        let has_new_policy = self.pool().set_policy(settings.pool.clone());
        self.discover(|discovery| discovery.configure(settings));
        self.configured.send_replace(());
        if has_new_policy {
            // There may be a limit that admits more sessions.
            self.wake_all();
        }
        self.news.notify_one();
    }

    /// Notified when the settings have changed. It ends with the upstream.
    pub(super) fn configured(&self) -> watch::Receiver<()> {
        self.configured.subscribe()
    }

    /// Replaces the endpoints by those that the file of the upstream lists.
    pub(super) fn list(&self, endpoints: Vec<EndpointConfig>) {
        self.discover(|discovery| discovery.list(endpoints));
    }

    /// The names whose addresses are endpoints.
    pub(super) fn names(&self) -> Arc<HashSet<Arc<str>>> {
        Arc::clone(lock(&self.discovery).names())
    }

    /// Takes the addresses of a name.
    pub(super) fn resolved(&self, name: &str, addresses: &[SocketAddr]) {
        self.discover(|discovery| discovery.resolved(name, addresses));
    }

    /// Changes what is known about the endpoints, and then the endpoints. Sessions that wait try a new one at once.
    fn discover(&self, change: impl FnOnce(&mut Discovery)) {
        let mut discovery = lock(&self.discovery);
        let before = Arc::clone(discovery.endpoints());
        change(&mut discovery);
        let after = Arc::clone(discovery.endpoints());
        if Arc::ptr_eq(&before, &after) {
            return;
        }
        let difference = Difference::between(&before, &after);
        if difference.is_empty() {
            drop(discovery);
            return self.warn_of_left_out(before.left_out, after.left_out);
        }
        let mut pool = self.pool();
        let drains = pool.set_endpoints(&after.endpoints);
        self.publish(&pool);
        drop((pool, discovery));
        let name = &self.settings().name;
        log::info!("endpoints changed upstream={name} {difference}");
        self.log_drains(&drains);
        self.warn_of_left_out(before.left_out, after.left_out);
        self.wake_all();
        self.news.notify_one();
    }

    fn warn_of_left_out(&self, before: LeftOut, now: LeftOut) {
        for (count, reason) in now.begun(before) {
            let name = &self.settings().name;
            log::warn!("endpoints left out upstream={name} left_out={count} reason={}", Quoted(&reason));
        }
    }

    /// Publishes the URLs of the endpoints in the pool.
    pub(super) fn publish(&self, pool: &Pool) {
        *self.own_urls.write().unwrap_or_else(PoisonError::into_inner) = OwnUrls::of(pool.urls());
    }

    pub(super) fn settings(&self) -> Arc<settings::Upstream> {
        Arc::clone(&lock(&self.settings))
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// The first endpoint: the one with this URL, or another one if none has it. It is one without sessions if there is
    /// none at all.
    pub(super) fn first(&self, url: &UpstreamUrl) -> Arc<Endpoint> {
        let pool = self.pool();
        let mut used = pool.endpoints(Instant::now()).filter(|(_, state)| *state != EndpointState::Draining);
        let mut first = None;
        let same = used.find_map(|(endpoint, _)| {
            first = first.or(Some(endpoint));
            (endpoint.url().text == url.text).then_some(endpoint)
        });
        same.or(first).map_or_else(|| Endpoint::new(url.clone()), Arc::clone)
    }

    /// Whether `url` is that of a connection to an endpoint, those included that are draining.
    pub(super) fn is_own(&self, url: &str, path: &ClientPath) -> bool {
        self.own_urls.read().unwrap_or_else(PoisonError::into_inner).has(url, path)
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

    /// Chooses an endpoint for a dial that begins now.
    pub(super) fn pick(&self, key: Option<u64>, tried: &[Arc<Endpoint>]) -> Pick {
        let (now, mut pool) = (Instant::now(), self.pool());
        match pool.pick(now, key, tried, rand::random()) {
            // Without probes only a dial can find out.
            Pick::Wait(Wait::Down(_)) if !self.is_watched.load(Relaxed) => pool.pick_any(now, tried),
            pick => pick,
        }
    }

    /// Chooses an endpoint for a dial that begins later, and reserves a place there.
    pub(super) fn reserve(&self, key: Option<u64>, tried: &[Arc<Endpoint>]) -> Pick {
        let (now, mut pool) = (Instant::now(), self.pool());
        match pool.reserve(now, key, tried, rand::random()) {
            // As above.
            Pick::Wait(Wait::Down(_)) if !self.is_watched.load(Relaxed) => pool.pick_any(now, tried),
            pick => pick,
        }
    }

    /// Begins a dial for which a place was reserved.
    pub(super) fn begin(&self, lease: &mut Lease) -> Begin {
        match self.pool().begin(lease, Instant::now()) {
            // As above.
            Begin::Gone if !self.is_watched.load(Relaxed) => {
                lease.begin();
                Begin::Now
            }
            begin => begin,
        }
    }

    /// Whether another endpoint than those in `tried` may be dialed.
    pub(super) fn has_another(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.pool().has_another(tried, Instant::now())
    }

    /// Waits until `pick` chooses an endpoint. If all are down, their next probes decide.
    ///
    /// # Errors
    /// When all endpoints are down or tried.
    pub(super) async fn available(&self, pick: impl Fn() -> Pick) -> Result<Lease, DialError> {
        let mut probed = self.probed.subscribe();
        let begun = Instant::now();
        loop {
            // Before the pick, so that nothing that happens after it is missed.
            let turn = self.turn();
            probed.mark_unchanged();
            match pick() {
                Pick::Endpoint(lease) => return Ok(lease),
                Pick::Wait(Wait::Exhausted) => return Err(DialError::Down(Failure::not_connected())),
                Pick::Wait(Wait::Busy) => {
                    self.expect_room();
                    _ = timeout(BUSY_PAUSE, turn.room()).await;
                }
                Pick::Wait(Wait::Down(reason)) => {
                    if self.pool().is_probed_since(begun) {
                        return Err(DialError::Down(reason));
                    }
                    self.want_probe();
                    // The sender lives as long as this object.
                    tokio::select! {
                        () = turn.ready() => {}
                        _ = probed.changed() => {}
                    }
                }
            }
        }
    }

    /// Waits in both queues.
    pub(super) fn turn(&self) -> QueuePlaces {
        QueuePlaces { ready: self.ready.wait(), room: self.room.wait() }
    }

    /// A session begins to wait for room.
    pub(super) fn expect_room(&self) {
        if self.pool().rate_room(Instant::now()).is_some() {
            // The monitor wakes it at the pace of the rates.
            self.news.notify_one();
        }
    }

    // --- Reports

    /// Counts a log line about a connection. Returns what it says about suppressed ones; `None` if it is suppressed.
    pub(super) fn line(&self, level: log::Level) -> Option<Suppressed> {
        let lines = if level == log::Level::Info { &self.ups } else { &self.losses };
        let line = lock(lines).line(Instant::now());
        match line {
            LimitedLine::Write(suppressed) => Some(suppressed),
            LimitedLine::Suppress { is_first } => {
                if is_first {
                    // The monitor writes how many there were, if no other line does.
                    self.news.notify_one();
                }
                None
            }
        }
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

    /// Has the endpoints that are down probed soon. It is cheap: each message that fails calls it.
    pub(super) fn want_probe(&self) {
        if !self.is_probe_wanted.swap(true, SeqCst) {
            self.news.notify_one();
        }
    }

    /// The next step of the monitor.
    pub(super) fn probe_step(&self) -> ProbeStep {
        let now = Instant::now();
        let mut pool = self.pool();
        let trials = pool.check_trials(now);
        if self.is_probe_wanted.load(SeqCst) {
            pool.want_probe();
        }
        let step = pool.probe_step(now);
        let room = pool.rate_room(now);
        drop(pool);
        for (endpoint, change) in trials {
            self.changed(&endpoint, &change, None);
        }
        let next = match step {
            ProbeStep::Probe(_) => {
                self.is_probe_wanted.store(false, SeqCst);
                return step;
            }
            ProbeStep::At(next) => Some(next),
            ProbeStep::Never => None,
        };
        let more = [
            self.wake_by_rate(room, now),
            self.summarize(&self.ups, log::Level::Info, now),
            self.summarize(&self.losses, log::Level::Warn, now),
        ];
        next.into_iter().chain(more.into_iter().flatten()).min().map_or(ProbeStep::Never, ProbeStep::At)
    }

    /// Wakes as many sessions as the rates of the endpoints admit. Returns when they admit the next one.
    fn wake_by_rate(&self, room: Option<(Instant, usize)>, now: Instant) -> Option<Instant> {
        let (since, count) = room.filter(|_| !self.room.is_empty())?;
        if since > now {
            return Some(since);
        }
        self.room.wake(count);
        // Those that are woken have not dialed yet.
        (!self.room.is_empty()).then_some(now + RATE_PAUSE)
    }

    /// Logs how many lines were suppressed, once a second is over. Returns when it is over.
    fn summarize(&self, lines: &Mutex<LineLimit>, level: log::Level, now: Instant) -> Option<Instant> {
        let mut lines = lock(lines);
        let due = lines.summary_due()?;
        if due > now {
            return Some(due);
        }
        let suppressed = lines.take();
        drop(lines);
        log::log!(level, "connector lines suppressed upstream={}{suppressed}", self.settings().name);
        None
    }

    pub(super) fn probed(&self, endpoint: &Arc<Endpoint>, result: Result<(), Failure>) {
        let failure = result.as_ref().err().cloned();
        let change = self.pool().probed(endpoint, result, Instant::now());
        self.changed(endpoint, &change, failure.as_ref());
        self.probed.send_replace(());
    }

    /// Logs a change, and wakes the sessions that it concerns.
    fn changed(&self, endpoint: &Endpoint, change: &Change, reason: Option<&Failure>) {
        // Most reports change nothing.
        if *change == Change::Nothing {
            return;
        }
        let settings = self.settings();
        let label = endpoint.url().label();
        let (upstream, url) = (&settings.name, Quoted(&label));
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
                let woken = self.room.wake(TRIALS_MAX);
                endpoint.tried_by(woken + self.ready.wake(TRIALS_MAX - woken));
            }
            Change::Open => {
                log::debug!("endpoint slow upstream={upstream} endpoint={url}");
                self.wake_all();
            }
            Change::Up(outage) => {
                // Those that were woken to try another endpoint may have come to this one.
                let waiting = self.pool().take_tries() + self.ready.len() + self.room.len();
                let outage = outage.as_millis();
                log::info!(
                    "endpoint up upstream={upstream} endpoint={url} outage={outage}ms waiting={waiting}"
                );
                self.wake_all();
            }
        }
    }

    /// Endpoints may take connections that they did not take before.
    pub(super) fn room_changed(&self) {
        self.wake_all();
        self.news.notify_one();
    }

    fn wake_all(&self) {
        self.ready.wake_all();
        self.room.wake_all();
    }
}

// === impl QueuePlaces ===

impl QueuePlaces {
    /// Resolves when an endpoint has come up.
    pub(super) async fn ready(self) {
        let Self { ready, room } = self;
        drop(room);
        ready.await;
    }

    /// Resolves when an endpoint has come up, or has room for this session.
    pub(super) async fn room(self) {
        let Self { ready, room } = self;
        tokio::select! {
            () = ready => {}
            () = room => {}
        }
    }
}

impl Drop for Shared {
    /// Wakes the monitor, which then ends.
    fn drop(&mut self) {
        self.news.notify_one();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
