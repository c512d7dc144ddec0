//! What one listener has on one worker thread.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use actix::Addr;

use super::{
    admission::{Admission, SessionPermit, Slots},
    answer::Refusal,
    log_throttle::{Line, LogThrottle, PAUSE},
};
use crate::{
    flow::{Edge, GlobalBudget},
    log::Quoted,
    net::Network,
    router::Router,
    server::{Registration, Registry, SessionId, SessionInfo},
    session::{Session, SessionGuard},
    settings::{Listener, Route, Settings},
    upstream::{Dialer, Upstream},
};

/// What all listeners share on all threads.
pub struct ServerState {
    /// The listeners, in the order of the settings.
    pub listeners: Vec<Arc<ListenerState>>,
    /// The routes of all listeners, each with its upstream.
    routes: Vec<(Arc<Route>, Option<Arc<Upstream>>)>,
    /// Slots for handshakes in progress.
    pub handshakes: Arc<Slots>,
    /// Slots for connections that are refused because all handshake slots are taken.
    pub turned_away: Arc<Slots>,
    /// The bytes that all sessions together may hold.
    pub global_budget: Arc<GlobalBudget>,
    /// Live sessions, and whether the process is draining.
    pub registry: Arc<Registry>,
}

/// What one listener shares between its threads.
#[derive(Debug)]
pub struct ListenerState {
    /// The listener's settings.
    pub listener: Arc<Listener>,
    /// The number of the next session.
    next_stream: AtomicU64,
    /// The limits on sessions.
    pub admission: Admission,
    log_throttle: Mutex<LogThrottle>,
}

/// What one listener has on one worker thread.
pub struct ListenerWorker {
    /// The listener's settings.
    pub listener: Arc<Listener>,
    /// What it shares with the listener's other threads.
    pub state: Arc<ListenerState>,
    /// What it shares with all listeners.
    pub server: Arc<ServerState>,
    /// The routes, with the means to reach their upstreams from this thread.
    pub router: Router<WorkerRoute>,
}

/// A route as one worker thread uses it.
pub struct WorkerRoute {
    /// The route's settings.
    pub route: Arc<Route>,
    /// Dials the route's upstream, if it has one. The routes of a worker share one dialer for each upstream.
    pub dialer: Option<Dialer>,
}

/// Keeps a session registered, and holds its permit, until dropped.
struct Entry {
    _registration: Registration,
    _permit: SessionPermit,
}

// === impl ServerState ===

impl ServerState {
    /// The state of the listeners in these settings, with at most `sessions` sessions at a time.
    pub fn new(settings: &Settings, sessions: usize, registry: Arc<Registry>) -> Self {
        let (sessions, now) = (Slots::new(sessions), Instant::now());
        let listeners =
            settings.listeners.iter().map(|listener| ListenerState::new(listener, &sessions, now));
        let network = Network::system();
        let mut upstreams: HashMap<&str, Arc<Upstream>> = HashMap::new();
        let routes = settings.routes.iter().map(|route| {
            let upstream = route.upstream.as_ref().map(|settings| {
                let new = || Upstream::new(Arc::clone(settings), Arc::clone(&network));
                Arc::clone(upstreams.entry(&settings.name).or_insert_with(new))
            });
            (Arc::clone(route), upstream)
        });
        Self {
            listeners: listeners.collect(),
            routes: routes.collect(),
            handshakes: Slots::new(settings.server.max_handshakes),
            turned_away: Slots::new(settings.server.max_handshakes),
            global_budget: GlobalBudget::new(settings.server.buffer),
            registry,
        }
    }

    /// The routes for one worker thread.
    fn router(&self) -> Router<WorkerRoute> {
        let mut dialers: HashMap<&str, Dialer> = HashMap::new();
        let routes = self.routes.iter().map(|(route, upstream)| {
            let dialer = upstream.as_ref().map(|upstream| {
                let new = || Dialer::new(upstream);
                dialers.entry(&upstream.settings().name).or_insert_with(new).clone()
            });
            (route.pattern.clone(), WorkerRoute { route: Arc::clone(route), dialer })
        });
        routes.collect()
    }
}

// === impl ListenerState ===

impl ListenerState {
    /// The state of a listener without sessions; `process` are the process's slots for sessions.
    fn new(listener: &Arc<Listener>, process: &Arc<Slots>, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            listener: Arc::clone(listener),
            next_stream: AtomicU64::new(0),
            admission: Admission::new(listener, process, now),
            log_throttle: Mutex::default(),
        })
    }
}

// === impl ListenerWorker ===

impl ListenerWorker {
    /// Opens the worker on this thread.
    pub fn open(state: Arc<ListenerState>, server: Arc<ServerState>) -> Rc<Self> {
        let (listener, router) = (Arc::clone(&state.listener), server.router());
        Rc::new(Self { listener, state, server, router })
    }

    /// The id of the next session.
    pub fn next_session(&self) -> SessionId {
        let number = self.state.next_stream.fetch_add(1, Relaxed);
        SessionId { listener: self.listener.number, number }
    }

    /// Registers a session and holds its permit, until the guard is dropped; see [`ListenerWorker::attach`].
    pub fn enter(
        &self,
        id: SessionId,
        route: &Arc<Route>,
        peer: SocketAddr,
        permit: SessionPermit,
    ) -> Box<dyn SessionGuard> {
        let listener = Arc::clone(&self.listener);
        let info = SessionInfo { id, listener, route: Arc::clone(route), peer, since: Instant::now() };
        Box::new(Entry { _registration: self.server.registry.enter(info), _permit: permit })
    }

    /// Logs a refusal. At most one line for each reason and [`PAUSE`] is written; the next line counts the
    /// others as `suppressed`.
    pub(super) fn log_refusal(self: &Rc<Self>, refusal: &Refusal, peer: SocketAddr, path: &str) {
        let reason = refusal.text;
        let line = self.log_throttle().line(reason, Instant::now());
        match line {
            Line::Written(suppressed) => log::warn!(
                "client refused listener={} peer={peer} path={} status={} reason={}{} suppressed={suppressed}",
                self.listener.name,
                Quoted(path),
                refusal.status.as_u16(),
                Quoted(reason),
                Cause(refusal.cause.as_deref())
            ),
            Line::First => {
                let worker = Rc::clone(self);
                actix_rt::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    let suppressed = worker.log_throttle().suppressed(reason, Instant::now());
                    if suppressed > 0 {
                        let (listener, reason) = (&worker.listener.name, Quoted(reason));
                        log::warn!(
                            "client refused again listener={listener} reason={reason} suppressed={suppressed}"
                        );
                    }
                });
            }
            Line::More => {}
        }
    }

    fn log_throttle(&self) -> MutexGuard<'_, LogThrottle> {
        self.state.log_throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects the actor of a registered session with the process.
    pub fn attach(&self, id: SessionId, session: &Addr<Session>) {
        self.server.registry.attach(id, Edge::rare(session));
    }
}

/// ` cause="…"` in a line of the log, where there is one.
struct Cause<'a>(Option<&'a str>);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |cause| write!(f, " cause={}", Quoted(cause)))
    }
}

impl SessionGuard for Entry {}
