//! The registry of live sessions, through which the process reaches each of them.
//!
//! A session is registered before its handshake is answered and removed when its guard is dropped, even after
//! a panic. Admission limits the number of sessions.

use std::{
    collections::HashMap,
    fmt, mem,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    drain::Order,
    status::{Live, Status},
};
use crate::{
    auth::Identity,
    figures::SessionFigures,
    flow::Edge,
    session::{Adopting, Control, KnownClient},
    settings::{Listener, Route},
};

/// The number of parts with separate locks. Consecutive sessions of a listener go to different parts, so that
/// worker threads hardly ever wait for each other.
const PARTS: usize = 16;

/// Number of sessions that adopt a configuration at a time. They take a millisecond or two, and other work goes on
/// between them.
const ADOPTING_MAX: usize = 32;

/// The pause between the sessions that adopt a configuration at a time.
const ADOPTING_PAUSE: Duration = Duration::from_millis(2);

/// The live sessions of the process.
pub struct Registry {
    parts: [Mutex<Part>; PARTS],
    status: Arc<Status>,
}

#[derive(Default)]
struct Part {
    /// Boxed, so that unused slots of the table stay small.
    sessions: HashMap<SessionId, Box<LiveSession>>,
    /// The order to drain; `None` until it has been given.
    order: Option<Order>,
}

/// The entry of one session.
struct LiveSession {
    info: SessionInfo,
    /// The edge to the session's actor; `None` until the actor has started.
    control: Option<Edge<Control>>,
}

/// Identifies a session within the process: the first two parts of its event ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The listener's number, from 1.
    pub listener: u32,
    /// The session's number on that listener, from 0.
    pub number: u64,
}

/// The facts about a session that are known outside of it.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// The session's id.
    pub id: SessionId,
    /// The listener that accepted the session.
    pub listener: Arc<Listener>,
    /// The route of the session.
    pub route: Arc<Route>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The identity of the client, by its latest credential; `None` on a route without authentication.
    pub known: Option<Box<KnownClient>>,
    /// When the session's handshake was accepted.
    pub since: Instant,
    /// What the session has done so far. Reading it wakes nobody.
    pub figures: Arc<SessionFigures>,
}

/// Whether the actor of a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The handshake is being answered.
    Starting,
    /// The actor runs.
    Running,
}

/// The state of a session in the registry.
#[derive(Debug, Clone)]
pub enum SessionState {
    /// The handshake is being answered.
    Starting,
    /// The actor runs, and accepts control messages.
    Running(Edge<Control>),
}

/// A guard that keeps a session registered and counted as live.
pub struct Registration {
    registry: Arc<Registry>,
    id: SessionId,
    _live: Live,
}

// === impl Registry ===

impl Registry {
    /// Creates a registry without sessions. It counts its sessions in `status`.
    pub fn new(status: Arc<Status>) -> Arc<Self> {
        Arc::new(Self { parts: Default::default(), status })
    }

    /// The number of live sessions, and whether the process is draining.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Registers a session that has passed admission; see [`Registry::attach`].
    pub fn enter(self: &Arc<Self>, info: SessionInfo) -> Registration {
        let (id, live) = (info.id, self.status.enter());
        let previous = self.part(id).sessions.insert(id, Box::new(LiveSession { info, control: None }));
        debug_assert!(previous.is_none(), "session {id} is registered twice");
        Registration { registry: Arc::clone(self), id, _live: live }
    }

    /// Connects the actor of a registered session. If the order to drain has been given, the session receives
    /// it at once. A session that has already ended is ignored.
    pub fn attach(&self, id: SessionId, control: Edge<Control>) {
        let mut part = self.part(id);
        let Part { sessions, order } = &mut *part;
        let Some(entry) = sessions.get_mut(&id) else { return };
        if let Some(order) = order {
            control.notify(Control::Drain(order.for_session(rand::random())));
        }
        entry.control = Some(control);
    }

    /// Sends the order to drain to each session. Sessions whose actors run receive it now, the others when
    /// their actors are attached.
    ///
    /// # Correctness
    /// The order is stored and sent under the same lock that [`Registry::attach`] takes, so each session
    /// receives it exactly once.
    pub fn drain(&self, order: &Order) {
        for part in &self.parts {
            let mut part = lock(part);
            part.order = Some(order.clone());
            for control in part.sessions.values().filter_map(|entry| entry.control.as_ref()) {
                control.notify(Control::Drain(order.for_session(rand::random())));
            }
        }
    }

    /// Ends all sessions whose actors run.
    pub fn cut_off(&self) {
        for part in &self.parts {
            let part = lock(part);
            for control in part.sessions.values().filter_map(|entry| entry.control.as_ref()) {
                control.notify(Control::CutOff);
            }
        }
    }

    /// The live sessions, at most `limit` of them.
    pub fn sessions(&self, limit: usize) -> Vec<(SessionInfo, SessionState)> {
        let mut found = Vec::new();
        for part in &self.parts {
            let part = lock(part);
            found.extend(part.sessions.values().take(limit - found.len()).map(|session| session.describe()));
        }
        found
    }

    /// Has each session whose actor runs adopt the configuration in force, some at a time, and waits until each has done
    /// so or has ended. The others receive the order when their actors are attached.
    pub async fn adopt(&self) {
        let (order, mut adopted) = Adopting::several();
        for part in &self.parts {
            let controls: Vec<_> =
                lock(part).sessions.values().filter_map(|entry| entry.control.clone()).collect();
            for some in controls.chunks(ADOPTING_MAX) {
                some.iter().for_each(|control| control.notify(Control::Adopt(order.clone())));
                sleep(ADOPTING_PAUSE).await;
            }
        }
        drop(order);
        let _ = adopted.recv().await;
    }

    /// Picks something of each live session, for which `pick` returns it. The sessions of a part cannot start or end
    /// meanwhile, so `pick` is quick.
    pub fn pick<T>(&self, mut pick: impl FnMut(&SessionInfo, Stage) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for part in &self.parts {
            let part = lock(part);
            found.extend(part.sessions.values().filter_map(|session| {
                let stage = if session.control.is_some() { Stage::Running } else { Stage::Starting };
                pick(&session.info, stage)
            }));
        }
        found
    }

    /// Whether any live session is one that `is_it` wants, which is quick as in [`Registry::pick`].
    pub fn has(&self, is_it: impl Fn(&SessionInfo) -> bool) -> bool {
        self.parts.iter().any(|part| lock(part).sessions.values().any(|session| is_it(&session.info)))
    }

    /// A live session.
    pub fn session(&self, id: SessionId) -> Option<(SessionInfo, SessionState)> {
        self.part(id).sessions.get(&id).map(|session| session.describe())
    }

    fn part(&self, id: SessionId) -> MutexGuard<'_, Part> {
        let part = (id.number % PARTS as u64) as usize;
        lock(&self.parts[part])
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl LiveSession ===

impl LiveSession {
    fn describe(&self) -> (SessionInfo, SessionState) {
        let state = self.control.clone().map_or(SessionState::Starting, SessionState::Running);
        (self.info.clone(), state)
    }
}

// === impl Registration ===

impl Registration {
    /// Records the settings with which the session continues.
    pub fn adopt(&self, listener: &Arc<Listener>, route: &Arc<Route>) {
        let mut part = self.registry.part(self.id);
        let Some(entry) = part.sessions.get_mut(&self.id) else { return };
        let before = (
            mem::replace(&mut entry.info.listener, Arc::clone(listener)),
            mem::replace(&mut entry.info.route, Arc::clone(route)),
            entry.info.known.as_mut().map(|known| known.adopt(route)),
        );
        // Dropped after the lock is released, as below.
        drop(part);
        drop(before);
    }

    /// Records who the client is since it has renewed its credential.
    pub fn renew(&self, identity: &Arc<Identity>) {
        let mut part = self.registry.part(self.id);
        let known = part.sessions.get_mut(&self.id).and_then(|entry| entry.info.known.as_mut());
        let before = known.map(|known| mem::replace(&mut known.identity, Arc::clone(identity)));
        // Dropped after the lock is released, as below.
        drop(part);
        drop(before);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Dropped after the lock is released: it may hold the last reference to its listener and route.
        let session = self.registry.part(self.id).sessions.remove(&self.id);
        drop(session);
    }
}

/// The error for a text that is not of the form `listener:number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id has the form listener:number, such as 1:42")]
pub struct SessionIdError;

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let (listener, number) = text.split_once(':').ok_or(SessionIdError)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(listener) || !is_number(number) {
            return Err(SessionIdError);
        }
        let (listener, number) = (listener.parse(), number.parse());
        listener
            .ok()
            .zip(number.ok())
            .map(|(listener, number)| Self { listener, number })
            .ok_or(SessionIdError)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.listener, self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, panic::catch_unwind};

    use actix::{Actor, Context, Handler};
    use tokio::sync::mpsc;

    use super::*;
    use crate::settings::{
        Settings,
        fixture::{MINIMAL, load},
    };

    /// An actor in place of a session. It passes on the messages that it receives.
    struct Recorder(mpsc::UnboundedSender<Control>);

    impl Actor for Recorder {
        type Context = Context<Self>;
    }

    impl Handler<Control> for Recorder {
        type Result = ();

        fn handle(&mut self, control: Control, _: &mut Context<Self>) {
            self.0.send(control).unwrap();
        }
    }

    fn settings() -> Settings {
        load(MINIMAL, &[]).unwrap()
    }

    fn info(settings: &Settings, number: u64) -> SessionInfo {
        SessionInfo {
            id: SessionId { listener: 1, number },
            listener: Arc::clone(&settings.listeners[0]),
            route: Arc::clone(&settings.routes[0]),
            peer: (Ipv4Addr::LOCALHOST, 9).into(),
            known: None,
            since: Instant::now(),
            figures: Arc::default(),
        }
    }

    fn registry() -> Arc<Registry> {
        Registry::new(Arc::default())
    }

    fn ids(registry: &Registry, limit: usize) -> Vec<u64> {
        let mut ids: Vec<_> = registry.sessions(limit).into_iter().map(|(info, _)| info.id.number).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_session_is_listed_while_its_registration_lives() {
        let (settings, registry) = (settings(), registry());
        let mut held: Vec<_> = (0..40).map(|number| registry.enter(info(&settings, number))).collect();
        assert_eq!(ids(&registry, usize::MAX), (0..40).collect::<Vec<_>>());
        assert_eq!(registry.sessions(7).len(), 7);
        assert_eq!(registry.status().live(), 40);
        held.truncate(2);
        assert_eq!(ids(&registry, usize::MAX), [0, 1]);
        assert_eq!(registry.status().live(), 2);
    }

    #[test]
    fn the_figures_of_a_session_are_read_without_its_actor() {
        let (settings, registry) = (settings(), registry());
        let info = info(&settings, 0);
        let figures = Arc::clone(&info.figures);
        let _registration = registry.enter(info);
        figures.count(|tally| tally.received.message(7));
        let (info, _) = registry.sessions(1).remove(0);
        assert_eq!(info.figures.totals().received.bytes, 7);
    }

    #[test]
    fn a_session_that_panics_is_removed() {
        let (settings, registry) = (settings(), registry());
        let registration = registry.enter(info(&settings, 3));
        let died = catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _registration = registration;
            panic!("the session dies");
        }));
        assert!(died.is_err());
        assert_eq!(ids(&registry, usize::MAX), [0_u64; 0]);
        assert_eq!(registry.status().live(), 0);
    }

    #[actix::test]
    async fn each_session_receives_the_order_to_drain_once() {
        let (settings, registry) = (settings(), registry());
        let (sent, mut received) = mpsc::unbounded_channel();
        let [running, starting, late] = [0, 1, 2].map(|number| info(&settings, number));
        let attach = |info: &SessionInfo| {
            registry.attach(info.id, Edge::to(&Recorder(sent.clone()).start()));
        };
        let _running = registry.enter(running.clone());
        attach(&running);
        let _starting = registry.enter(starting.clone());
        registry.drain(&Order::new(&settings.drain));
        attach(&starting);
        let _late = registry.enter(late.clone());
        attach(&late);
        drop(sent);
        for _ in 0..3 {
            let Some(Control::Drain(drain)) = received.recv().await else { panic!("no order") };
            assert!(drain.delay < settings.drain.window);
            assert_eq!(drain.grace, settings.drain.grace);
        }
        drop((_running, _starting, _late));
        assert!(received.recv().await.is_none());
    }

    #[actix::test]
    async fn a_session_that_has_ended_is_not_attached() {
        let (settings, registry) = (settings(), registry());
        let (sent, mut received) = mpsc::unbounded_channel();
        let ended = info(&settings, 0);
        drop(registry.enter(ended.clone()));
        registry.attach(ended.id, Edge::to(&Recorder(sent).start()));
        registry.drain(&Order::new(&settings.drain));
        assert!(received.recv().await.is_none());
        assert_eq!(ids(&registry, usize::MAX), [0_u64; 0]);
    }

    #[test]
    fn a_session_id_reads_like_the_start_of_its_event_ids() {
        let id = SessionId { listener: 2, number: 17 };
        assert_eq!((id.to_string(), "2:17".parse()), ("2:17".to_owned(), Ok(id)));
        for wrong in ["", "1", "1:", ":1", "1:+1", "1:2:3", "4294967296:1", "a:1"] {
            assert_eq!(wrong.parse::<SessionId>(), Err(SessionIdError), "{wrong}");
        }
    }
}
