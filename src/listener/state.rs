//! The state that all listeners of the process share, and the state that one listener shares between its
//! threads.

use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    admission::{Admission, Slots},
    configuration::Routing,
    log_throttle::{LineDecision, LogThrottle},
    refusals::RefusalCounts,
};
use crate::{
    figures::{Cells, FailureLog},
    flow::GlobalBudget,
    net::{Network, tune_listening},
    server::{CloseOrders, Configurations, Registry, WorkerLoad},
    settings::{Listener, Settings},
    tap::Taps,
    traces::Tracer,
};

/// The state that all listeners share on all threads.
pub struct ServerState {
    /// Slots for the sessions of all listeners.
    sessions: Arc<Slots>,
    /// Slots for handshakes in progress.
    pub handshakes: Arc<Slots>,
    /// Slots for connections that are refused because all handshake slots are taken.
    pub turned_away: Arc<Slots>,
    /// The bytes that all sessions together may hold.
    pub global_budget: Arc<GlobalBudget>,
    /// Name look-ups and connecting, shared by all upstreams.
    network: Arc<Network>,
    /// The figures of all threads.
    pub cells: Arc<Cells>,
    /// The connections of each worker thread. The first listener that opens sets it.
    pub worker_loads: OnceLock<Box<[WorkerLoad]>>,
    /// How many handshakes were refused.
    pub refusals: RefusalCounts,
    /// The latest events that failed.
    pub failures: Arc<FailureLog>,
    /// Notified when an operator ends the process.
    pub shutdown: Notify,
    /// The order of an operator to close sessions.
    pub close_orders: CloseOrders,
    /// The time from the start of a drain until the sessions that are left are closed, in milliseconds.
    drain_time: AtomicU64,
    /// The open taps.
    pub taps: Arc<Taps>,
    /// Which sessions are traced; `None` if none is.
    pub tracer: Option<Arc<Tracer>>,
    /// Live sessions, and whether the process is draining.
    pub registry: Arc<Registry>,
    /// The configuration for new connections.
    pub configurations: Configurations<Routing>,
    /// Notified when live sessions are to adopt the configuration in force: the listeners use it by then.
    pub adopting: Notify,
    /// The next session number of each listener, by the listener's number. It outlives the listener, so that one that
    /// is opened again does not reuse the ids of sessions that still run.
    next_streams: Mutex<HashMap<u32, Arc<AtomicU64>>>,
}

/// The state that one listener shares between its threads.
#[derive(Debug)]
pub struct ListenerState {
    /// The listener's name.
    pub name: String,
    /// The listener's number, from 1: the `source` of its event ids.
    pub number: u32,
    /// The number of the next session.
    pub next_stream: Arc<AtomicU64>,
    /// The limits on sessions.
    pub admission: Admission,
    log_throttle: Mutex<LogThrottle>,
}

/// What an error of a socket prevents.
#[derive(Debug, Clone, Copy)]
pub(super) enum SocketTask {
    /// A listening socket accepts connections.
    Accept,
    /// A connection that was accepted is served.
    Serve,
}

// === impl ServerState ===

impl ServerState {
    /// Creates the state of a process with these settings and at most `sessions` sessions at a time.
    pub fn new(settings: &Settings, sessions: usize, registry: Arc<Registry>) -> Arc<Self> {
        let network = Network::system();
        Arc::new(Self {
            sessions: Slots::new(sessions),
            handshakes: Slots::new(settings.server.max_handshakes),
            turned_away: Slots::new(settings.server.max_handshakes),
            global_budget: GlobalBudget::new(settings.server.buffer),
            configurations: Configurations::new(Routing::new(settings, &network, None)),
            adopting: Notify::new(),
            network,
            cells: Arc::default(),
            worker_loads: OnceLock::new(),
            refusals: RefusalCounts::default(),
            failures: Arc::default(),
            shutdown: Notify::new(),
            close_orders: CloseOrders::new(Arc::clone(&registry)),
            drain_time: AtomicU64::new(drain_time(settings)),
            taps: Arc::default(),
            tracer: settings.traces.as_ref().map(|config| Tracer::new(Arc::clone(config))),
            registry,
            next_streams: Mutex::default(),
        })
    }

    /// Uses these settings for new connections, and their limits for all sessions. Sessions keep the other settings with
    /// which they started. `sessions` is the maximum number of sessions.
    ///
    /// Returns the number of the configuration.
    pub fn configure(&self, settings: &Settings, sessions: usize) -> u64 {
        self.sessions.resize(sessions);
        self.handshakes.resize(settings.server.max_handshakes);
        self.turned_away.resize(settings.server.max_handshakes);
        self.global_budget.resize(settings.server.buffer);
        self.drain_time.store(drain_time(settings), Relaxed);
        self.configurations.replace(|current| Routing::new(settings, &self.network, Some(current)))
    }

    /// The time from the start of a drain until the sessions that are left are closed.
    pub fn drain_time(&self) -> Duration {
        Duration::from_millis(self.drain_time.load(Relaxed))
    }

    /// Name look-ups and connecting, shared by all that connects.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    fn next_stream(&self, listener: u32) -> Arc<AtomicU64> {
        let mut next_streams = self.next_streams.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(next_streams.entry(listener).or_default())
    }
}

fn drain_time(settings: &Settings) -> u64 {
    u64::try_from((settings.drain.window + settings.drain.grace).as_millis()).unwrap_or(u64::MAX)
}

// === impl ListenerState ===

impl ListenerState {
    /// Creates the state of a listener without sessions.
    pub fn new(listener: &Listener, server: &ServerState) -> Arc<Self> {
        Arc::new(Self {
            name: listener.name.clone(),
            number: listener.number,
            next_stream: server.next_stream(listener.number),
            admission: Admission::new(listener, &server.sessions, Instant::now()),
            log_throttle: Mutex::default(),
        })
    }

    /// The throttle that selects which refusals are logged.
    pub(super) fn log_throttle(&self) -> MutexGuard<'_, LogThrottle> {
        self.log_throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the options of the connections that these sockets accept from now on.
    pub(super) fn tune<'a>(&self, listener: &Listener, sockets: impl Iterator<Item = &'a TcpListener>) {
        for socket in sockets {
            if let Err(error) = tune_listening(socket, &listener.tcp) {
                log::error!("cannot set socket options listener={}: {error}", self.name);
            }
        }
    }

    /// Logs an error of a listening socket or of the socket of a new connection. For each task, at most one line in
    /// [`PAUSE`](super::log_throttle::PAUSE) is written.
    pub(super) fn log_socket_error(&self, task: SocketTask, error: &io::Error) {
        let line = self.log_throttle().line(task.label(), Instant::now());
        let LineDecision::Written(suppressed) = line else { return };
        let name = &self.name;
        match task {
            SocketTask::Accept => {
                log::error!("cannot accept connections listener={name}: {error} suppressed={suppressed}");
            }
            SocketTask::Serve => {
                log::error!("cannot serve connections listener={name}: {error} suppressed={suppressed}");
            }
        }
    }
}

// === impl SocketTask ===

impl SocketTask {
    fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Serve => "serve",
        }
    }
}
