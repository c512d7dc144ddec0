//! What one listener has on one worker thread.

use std::{
    cell::RefCell,
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
use awc::Client;
use tokio::sync::watch;

use super::{
    admission::{Admission, SessionPermit, Slots},
    answer::Refusal,
    log_throttle::{Line, LogThrottle, PAUSE},
};
use crate::{
    connector::dial,
    drain::Order,
    flow::{Edge, GlobalBudget},
    log::Quoted,
    net::Network,
    session::{Drain, Session, SessionGuard},
    settings::{Listener, Route, Settings, Upstream},
    status::{Live, Status},
    supervisor::Pacer,
};

/// What all listeners share on all threads.
pub struct ServerState {
    /// The routes of all listeners.
    pub routes: Vec<Arc<Route>>,
    /// The pace of reconnects, by upstream.
    pub pacers: HashMap<String, Arc<Pacer>>,
    /// What all threads of a listener share, by its name.
    pub listeners: HashMap<String, Arc<ListenerState>>,
    /// Slots for handshakes in progress.
    pub handshakes: Arc<Slots>,
    /// Slots for clients who are told that there was none.
    pub turned_away: Arc<Slots>,
    /// What all sessions may hold together.
    pub global_budget: Arc<GlobalBudget>,
    /// How upstreams are reached.
    pub network: Arc<Network>,
    /// Live sessions and the end.
    pub status: Arc<Status>,
    /// The order to drain, when it has been given.
    pub drain: watch::Receiver<Option<Order>>,
}

/// What one listener has on all threads together.
#[derive(Debug)]
pub struct ListenerState {
    /// The number of the next session.
    next_stream: AtomicU64,
    /// Who is let in.
    pub admission: Admission,
    log_throttle: Mutex<LogThrottle>,
}

/// What one listener has on one worker thread.
pub struct ListenerWorker {
    /// Its settings.
    pub listener: Arc<Listener>,
    /// What it shares with its listener's other threads.
    pub front: Arc<ListenerState>,
    /// What it shares with all.
    pub shared: Arc<ServerState>,
    /// The thread's clients, by upstream.
    pub clients: HashMap<String, Client>,
    /// Its live sessions, by number.
    sessions: RefCell<HashMap<u64, Edge<Drain>>>,
}

/// A live session's entry at its worker, and in the count of the process.
struct Entry {
    worker: Rc<ListenerWorker>,
    stream: u64,
    _live: Live,
    _permit: SessionPermit,
}

impl ServerState {
    /// What the listeners of these settings share; `sessions` may live at a time.
    pub fn new(
        settings: &Settings,
        sessions: usize,
        status: Arc<Status>,
        drain: watch::Receiver<Option<Order>>,
    ) -> Self {
        let pacers = settings.upstreams.iter();
        let (sessions, now) = (Slots::new(sessions), Instant::now());
        let front = |listener: &Arc<Listener>| {
            let admission = Admission::new(listener, &sessions, now);
            let front =
                ListenerState { next_stream: AtomicU64::new(0), admission, log_throttle: Mutex::default() };
            (listener.name.clone(), Arc::new(front))
        };
        Self {
            routes: settings.routes.clone(),
            pacers: pacers.map(|(name, up)| (name.clone(), Arc::new(Pacer::new(up.restart.rate)))).collect(),
            listeners: settings.listeners.iter().map(front).collect(),
            handshakes: Slots::new(settings.server.max_handshakes),
            turned_away: Slots::new(settings.server.max_handshakes),
            global_budget: GlobalBudget::new(settings.server.buffer),
            network: Network::system(),
            status,
            drain,
        }
    }

    /// Waits for the order to drain.
    pub(super) async fn draining(&self) {
        let mut drain = self.drain.clone();
        // An error means that the sender is gone, at the end of the process.
        let _ = drain.wait_for(Option::is_some).await;
    }
}

impl ListenerWorker {
    /// Opens the worker on this thread; from the order to drain on it tells its sessions.
    pub fn open(listener: Arc<Listener>, shared: Arc<ServerState>) -> Rc<Self> {
        let mut drain = shared.drain.clone();
        let upstreams = shared.routes.iter().filter_map(|route| route.upstream.as_ref());
        let client = |upstream: &Arc<Upstream>| dial::client(&shared.network, upstream.tcp);
        let clients = upstreams.map(|upstream| (upstream.name.clone(), client(upstream))).collect();
        let front = Arc::clone(&shared.listeners[&listener.name]);
        let worker = Rc::new(Self { listener, front, shared, clients, sessions: RefCell::default() });
        let weak = Rc::downgrade(&worker);
        actix_rt::spawn(async move {
            let order = drain.wait_for(Option::is_some).await.ok().and_then(|order| order.clone());
            if let (Some(worker), Some(order)) = (weak.upgrade(), order) {
                worker.drain(&order);
            }
        });
        worker
    }

    /// The number of the next session.
    pub fn next_stream(&self) -> u64 {
        self.front.next_stream.fetch_add(1, Relaxed)
    }

    /// The route of a request.
    pub fn route(&self, path: &str) -> Option<&Arc<Route>> {
        self.shared.routes.iter().find(|route| route.matches(&self.listener.name, path))
    }

    /// Counts a session from here on, and keeps what it has taken; see [`ListenerWorker::register`].
    pub fn enter(self: &Rc<Self>, stream: u64, permit: SessionPermit) -> Box<dyn SessionGuard> {
        let live = self.shared.status.enter();
        Box::new(Entry { worker: Rc::clone(self), stream, _live: live, _permit: permit })
    }

    /// Writes to the log that a client was refused, if there has not been such a line just now.
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
        self.front.log_throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows the session from here on, so that it can be told to drain. One that came while the order was
    /// given gets it at once.
    pub fn register(&self, stream: u64, session: &Addr<Session>) {
        let edge = Edge::rare(session);
        if let Some(order) = &*self.shared.drain.borrow() {
            edge.notify(order.for_one());
        }
        self.sessions.borrow_mut().insert(stream, edge);
    }

    fn drain(&self, order: &Order) {
        for session in self.sessions.borrow().values() {
            session.notify(order.for_one());
        }
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

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.sessions.borrow_mut().remove(&self.stream);
    }
}
