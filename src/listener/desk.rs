//! What one listener has on one worker thread.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix::Addr;
use awc::Client;
use tokio::sync::watch;

use crate::{
    connector::dial,
    drain::Order,
    flow::{Edge, Pool},
    session::{Drain, Presence, Session},
    settings::{Listener, Route, Settings},
    status::{Live, Status},
    supervisor::Pacer,
};

/// What all listeners share on all threads.
pub struct Shared {
    /// The routes of all listeners.
    pub routes: Vec<Arc<Route>>,
    /// The pace of reconnects, by upstream.
    pub pacers: HashMap<String, Arc<Pacer>>,
    /// The number of the next session, by listener.
    pub streams: HashMap<String, AtomicU64>,
    /// What all sessions may hold together.
    pub pool: Arc<Pool>,
    /// Live sessions and the end.
    pub status: Arc<Status>,
    /// The order to drain, when it has been given.
    pub drain: watch::Receiver<Option<Order>>,
}

/// What one listener has on one worker thread.
pub struct Desk {
    /// Its settings.
    pub listener: Arc<Listener>,
    /// What it shares.
    pub shared: Arc<Shared>,
    /// The thread's client.
    pub client: Client,
    /// Its live sessions, by number.
    sessions: RefCell<HashMap<u64, Edge<Drain>>>,
}

/// A live session's entry at its desk, and in the count of the process.
struct Entry {
    desk: Rc<Desk>,
    stream: u64,
    _live: Live,
}

impl Shared {
    /// What the listeners of these settings share.
    pub fn new(settings: &Settings, status: Arc<Status>, drain: watch::Receiver<Option<Order>>) -> Self {
        let pacers = settings.upstreams.iter();
        let streams = settings.listeners.iter();
        Self {
            routes: settings.routes.clone(),
            pacers: pacers.map(|(name, up)| (name.clone(), Arc::new(Pacer::new(up.restart.rate)))).collect(),
            streams: streams.map(|listener| (listener.name.clone(), AtomicU64::new(0))).collect(),
            pool: Pool::new(settings.server.buffer),
            status,
            drain,
        }
    }
}

impl Desk {
    /// Opens the desk on this thread; from the order to drain on it tells its sessions.
    pub fn open(listener: Arc<Listener>, shared: Arc<Shared>) -> Rc<Self> {
        let mut drain = shared.drain.clone();
        let client = dial::client();
        let desk = Rc::new(Self { listener, shared, client, sessions: RefCell::default() });
        let weak = Rc::downgrade(&desk);
        actix_rt::spawn(async move {
            let order = drain.wait_for(Option::is_some).await.ok().and_then(|order| order.clone());
            if let (Some(desk), Some(order)) = (weak.upgrade(), order) {
                desk.drain(&order);
            }
        });
        desk
    }

    /// The number of the next session.
    pub fn next_stream(&self) -> u64 {
        self.shared.streams.get(&self.listener.name).map_or(0, |next| next.fetch_add(1, Relaxed))
    }

    /// The route of a request.
    pub fn route(&self, path: &str) -> Option<&Arc<Route>> {
        self.shared.routes.iter().find(|route| route.matches(&self.listener.name, path))
    }

    /// Counts a session from here on; see [`Desk::register`].
    pub fn enter(self: &Rc<Self>, stream: u64) -> Box<dyn Presence> {
        Box::new(Entry { desk: Rc::clone(self), stream, _live: self.shared.status.enter() })
    }

    /// Knows the session from here on, so that it can be told to drain. One that came while the order was
    /// given gets it at once.
    pub fn register(&self, stream: u64, session: &Addr<Session>) {
        let edge = Edge::rare(session);
        if let Some(order) = &*self.shared.drain.borrow() {
            edge.tell(order.for_one());
        }
        self.sessions.borrow_mut().insert(stream, edge);
    }

    fn drain(&self, order: &Order) {
        for session in self.sessions.borrow().values() {
            session.tell(order.for_one());
        }
    }
}

impl Presence for Entry {}

impl Drop for Entry {
    fn drop(&mut self) {
        self.desk.sessions.borrow_mut().remove(&self.stream);
    }
}
