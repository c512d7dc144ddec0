//! A listener on one worker thread.

use std::{
    cell::RefCell,
    fmt,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use actix::Addr;
use actix_rt::task::JoinHandle;
use tokio::sync::watch;

use super::{
    admission::SessionPermit,
    answer::Refusal,
    configuration::{Routing, WorkerConfiguration, WorkerConfigurations},
    log_throttle::{LineDecision, PAUSE},
    refusals::RefusalKind,
    renewal::renewal,
    state::{ListenerState, ServerState},
};
use crate::{
    auth::Identity,
    figures::SessionFigures,
    flow::Edge,
    log::Quoted,
    server::{Configuration, Loaded, Registration, SessionId, SessionInfo, WorkerLoad},
    session::{Adopting, Adoption, Control, KnownClient, Session, SessionGuard},
    settings::{self, Listener, Route},
    upstream::{Dialer, Dialers},
};

/// A listener on one worker thread.
pub struct ListenerWorker {
    /// The state that the listener shares between its threads.
    pub state: Arc<ListenerState>,
    /// The state that all listeners share.
    pub server: Arc<ServerState>,
    /// The configuration in force, and those that connections use.
    configurations: RefCell<WorkerConfigurations>,
    /// The connections of the thread, of all listeners.
    load: WorkerLoad,
    /// See [`follow`].
    following: JoinHandle<()>,
}

/// What a session holds until its end: its registration, its permit, its place on the thread, and its configuration.
struct Entry {
    figures: Arc<SessionFigures>,
    registration: Registration,
    _permit: SessionPermit,
    _load: Loaded,
    /// Of this thread, so that the session's supervisor finds there what the session has adopted.
    configuration: Rc<WorkerConfiguration>,
    route: Arc<Route>,
    worker: Rc<ListenerWorker>,
}

// === impl ListenerWorker ===

impl ListenerWorker {
    /// Opens the listener with these settings on the current thread.
    pub fn open(
        listener: &Arc<Listener>,
        state: Arc<ListenerState>,
        server: Arc<ServerState>,
        load: WorkerLoad,
    ) -> Rc<Self> {
        let changes = server.configurations.subscribe();
        let configurations = WorkerConfigurations::new(server.configurations.current(), listener);
        let configurations = RefCell::new(configurations);
        Rc::new_cyclic(|worker| {
            let following = actix_rt::spawn(follow(Weak::clone(worker), changes));
            Self { state, server, configurations, load, following }
        })
    }

    /// The configuration in force.
    pub fn configuration(&self) -> Rc<WorkerConfiguration> {
        self.configurations.borrow_mut().follow(self.server.configurations.current())
    }

    /// The configuration with which a connection was accepted.
    pub fn accepted_with(&self, shared: Arc<Configuration<Routing>>) -> Rc<WorkerConfiguration> {
        let latest = self.configuration();
        match Arc::ptr_eq(&latest.shared, &shared) {
            true => latest,
            false => self.configurations.borrow_mut().earlier(shared),
        }
    }

    /// The id of the next session.
    pub fn next_session(&self) -> SessionId {
        let number = self.state.next_stream.fetch_add(1, Relaxed);
        SessionId { listener: self.state.number, number }
    }

    /// Registers a session. Until the guard is dropped, the session holds its permit and its configuration;
    /// see [`ListenerWorker::attach`]. Returns the session's figures too.
    pub fn enter(
        self: &Rc<Self>,
        configuration: &Rc<WorkerConfiguration>,
        id: SessionId,
        route: &Arc<Route>,
        (peer, known): (SocketAddr, Option<KnownClient>),
        permit: SessionPermit,
    ) -> (Box<dyn SessionGuard>, Arc<SessionFigures>) {
        let (listener, route) = (Arc::clone(&configuration.listener), Arc::clone(route));
        let log = Arc::clone(&self.server.failures);
        let figures = SessionFigures::new(&self.server.cells, (&listener.name, &route.name), Some(log));
        let figures = Arc::new(figures);
        figures.opened();
        let (since, known) = (Instant::now(), known.map(Box::new));
        let route_of_session = Arc::clone(&route);
        let info = SessionInfo { id, listener, route, peer, known, since, figures: Arc::clone(&figures) };
        let entry = Entry {
            figures: Arc::clone(&figures),
            registration: self.server.registry.enter(info),
            _permit: permit,
            _load: self.load.add(),
            configuration: Rc::clone(configuration),
            route: route_of_session,
            worker: Rc::clone(self),
        };
        (Box::new(entry), figures)
    }

    /// Logs a refusal. At most one line for each reason is written within [`PAUSE`]; the next line has the
    /// number of the others as `suppressed`.
    pub(super) fn log_refusal(self: &Rc<Self>, refusal: &Refusal, peer: SocketAddr, path: &str, route: &str) {
        let (status, cause) = (refusal.status.as_u16(), Cause(refusal.cause.as_deref()));
        let total = self.server.refusals.count(refusal.kind);
        self.log_throttled(refusal.text, |listener, reason, suppressed| {
            log::warn!(
                "client refused listener={listener} peer={peer} path={} route={route} status={status} reason={reason}{cause} kind={} total={total} suppressed={suppressed}",
                Quoted(path),
                refusal.kind,
            );
        });
    }

    /// Logs that a connection is closed without an answer, as often as [`log_refusal`](Self::log_refusal) does.
    pub(super) fn log_closed(
        self: &Rc<Self>,
        kind: RefusalKind,
        reason: &'static str,
        cause: Option<&str>,
        peer: SocketAddr,
    ) {
        let (total, cause) = (self.server.refusals.count(kind), Cause(cause));
        self.log_throttled(reason, |listener, reason, suppressed| {
            log::warn!(
                "client closed before its request listener={listener} peer={peer} reason={reason}{cause} kind={kind} total={total} suppressed={suppressed}"
            );
        });
    }

    /// Logs that a client got only a part of an upstream's response, as often as [`log_refusal`](Self::log_refusal) does.
    pub(super) fn log_incomplete(self: &Rc<Self>, cause: &str, peer: SocketAddr, path: &str, route: &str) {
        self.log_throttled("response incomplete", |listener, reason, suppressed| {
            log::warn!(
                "response cut off listener={listener} peer={peer} path={} route={route} reason={reason} cause={} suppressed={suppressed}",
                Quoted(path),
                Quoted(cause)
            );
        });
    }

    fn log_throttled(self: &Rc<Self>, reason: &'static str, write: impl FnOnce(&str, Quoted<'_>, u64)) {
        let line = self.state.log_throttle().line(reason, Instant::now());
        match line {
            LineDecision::Written(suppressed) => write(&self.state.name, Quoted(reason), suppressed),
            LineDecision::First => {
                let worker = Rc::clone(self);
                actix_rt::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    let suppressed = worker.state.log_throttle().suppressed(reason, Instant::now());
                    if suppressed > 0 {
                        let (listener, reason) = (&worker.state.name, Quoted(reason));
                        log::warn!(
                            "client refused again listener={listener} reason={reason} suppressed={suppressed}"
                        );
                    }
                });
            }
            LineDecision::More => {}
        }
    }

    /// Registers the actor of a session, so that the process can send to it. A session whose configuration was replaced
    /// during its handshake adopts the one in force.
    pub fn attach(&self, id: SessionId, session: &Addr<Session>, configuration: &WorkerConfiguration) {
        let control = Edge::rare(session);
        self.server.registry.attach(id, control.clone());
        // Read after the session is registered: a later one is announced to all that are.
        if self.server.configurations.current().number() != configuration.shared.number() {
            control.notify(Control::Adopt(Adopting::one()));
        }
    }
}

/// Moves a worker to each new configuration. Without this, a worker without connections would keep a replaced
/// configuration alive.
async fn follow(worker: Weak<ListenerWorker>, mut changes: watch::Receiver<Arc<Configuration<Routing>>>) {
    while changes.changed().await.is_ok() {
        let Some(worker) = worker.upgrade() else { return };
        worker.configuration();
    }
}

impl Drop for ListenerWorker {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// ` cause="…"` in a line of the log, where there is one.
struct Cause<'a>(Option<&'a str>);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |cause| write!(f, " cause={}", Quoted(cause)))
    }
}

impl Dialers for ListenerWorker {
    fn dialer(&self, upstream: &Arc<settings::Upstream>) -> Option<Dialer> {
        self.configurations.borrow().dialer(upstream)
    }
}

impl SessionGuard for Entry {
    fn adopt(&mut self) -> Option<Adoption> {
        let latest = self.worker.configuration();
        let current = &self.configuration;
        if Rc::ptr_eq(&latest, current) || latest.listener.shape != current.listener.shape {
            return None;
        }
        let found = latest.router.values().find(|other| other.route.is(&self.route))?;
        if !found.route.continues(&self.route) {
            return None;
        }
        self.registration.adopt(&latest.listener, &found.route);
        self.route = Arc::clone(&found.route);
        self.configuration = Rc::clone(&latest);
        Some(Adoption {
            listener: Arc::clone(&latest.listener),
            route: Arc::clone(&self.route),
            renewals: found
                .auth
                .iter()
                .filter_map(|method| renewal(method, &self.route, &self.worker.server))
                .collect(),
        })
    }

    fn renewed(&mut self, identity: &Arc<Identity>) {
        self.registration.renew(identity);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.figures.gone();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::Duration,
    };

    use actix_http::header::HeaderMap;

    use super::*;
    use crate::{
        listener::{admission::KeyPermits, configuration::WorkerRoute},
        router,
        server::Registry,
        settings::{
            Settings,
            fixture::{MINIMAL, load},
        },
    };

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Settings with one route, for `path`.
    fn settings(path: &str) -> Settings {
        load(&MINIMAL.replace("[[route]]", &format!("[[route]]\npath = \"{path}\"")), &[]).unwrap()
    }

    /// The worker of the only listener in these settings.
    fn worker(settings: &Settings) -> Rc<ListenerWorker> {
        let listener = &settings.listeners[0];
        let server = ServerState::new(settings, 9, Registry::new(Arc::default()));
        ListenerWorker::open(listener, ListenerState::new(listener, &server), server, WorkerLoad::default())
    }

    fn route_at<'a>(configuration: &'a WorkerConfiguration, path: &str) -> Option<&'a WorkerRoute> {
        let (listener, uri) = (&configuration.listener.name, path.parse().unwrap());
        let headers = HeaderMap::new();
        let request = router::Request {
            listener,
            uri: &uri,
            headers: &headers,
            subprotocols: &[],
            peer: CLIENT,
            tls_name: None,
            is_plain: false,
        };
        configuration.router.find(&request).unwrap()
    }

    fn has_route(configuration: &WorkerConfiguration, path: &str) -> bool {
        route_at(configuration, path).is_some()
    }

    #[actix::test]
    async fn a_session_keeps_its_configuration_and_a_new_connection_uses_the_current_one() {
        let worker = worker(&settings("/old"));
        let configurations = &worker.server.configurations;
        let first = worker.configuration();
        let route = Arc::clone(&route_at(&first, "/old").unwrap().route);
        let permit = worker.state.admission.enter(CLIENT, KeyPermits::default(), Instant::now()).unwrap();
        let session = worker.enter(&first, worker.next_session(), &route, ((CLIENT, 9).into(), None), permit);

        worker.server.configure(&settings("/new"), 9);
        let second = worker.configuration();
        assert_eq!((first.shared.number(), second.shared.number()), (1, 2));
        assert!(has_route(&first, "/old") && !has_route(&first, "/new"));
        assert!(has_route(&second, "/new") && !has_route(&second, "/old"));
        assert!(Rc::ptr_eq(&second, &worker.configuration()));

        drop(first);
        assert_eq!(configurations.alive(), 2);
        drop(session);
        assert_eq!(configurations.alive(), 1);
    }

    /// A session with a route of the configuration in force.
    fn enter(worker: &Rc<ListenerWorker>, path: &str) -> Box<dyn SessionGuard> {
        let configuration = worker.configuration();
        let route = Arc::clone(&route_at(&configuration, path).unwrap().route);
        let permit = worker.state.admission.enter(CLIENT, KeyPermits::default(), Instant::now()).unwrap();
        worker.enter(&configuration, worker.next_session(), &route, ((CLIENT, 9).into(), None), permit).0
    }

    /// Another configuration may be in force before all actors of a session have adopted the last one.
    #[actix::test]
    async fn the_dialer_is_that_of_the_configuration_that_the_session_adopts() {
        let with = |key: &str| {
            let text = MINIMAL.replace("[upstream.echo]", &format!("[upstream.echo]\n{key}"));
            load(&text.replace("[[route]]", "[[route]]\nname = \"chat\""), &[]).unwrap()
        };
        let worker = worker(&with(""));
        let mut session = enter(&worker, "/");
        worker.server.configure(&with("max_in_flight = 5"), 9);
        let adoption = session.adopt().expect("the session continues");
        worker.server.configure(&with("max_in_flight = 6"), 9);
        worker.configuration();
        let upstream = adoption.route.upstream.as_ref().unwrap();
        let dialer = worker.dialer(upstream).expect("its configuration is in use");
        assert_eq!(dialer.upstream().settings().max_in_flight, 5);
        session.adopt().expect("the session continues");
        assert!(worker.dialer(upstream).is_none(), "nothing uses the configuration any more");
    }

    #[actix::test]
    async fn a_session_of_a_route_without_a_name_continues_with_that_route_at_another_position() {
        let with = |routes: &str| load(&MINIMAL.replace("[[route]]", routes), &[]).unwrap();
        let other = "[[route]]\npath = \"/b\"\nmax_session_age = \"1h\"\nupstream = \"echo\"\n";
        let worker = worker(&with("[[route]]\npath = \"/a\""));
        let mut session = enter(&worker, "/a");
        let settings = with(&format!("{other}[[route]]\npath = \"/a\"\nstateless = true"));
        worker.server.configure(&settings, 9);
        let adoption = session.adopt().expect("the session continues");
        assert_eq!((&*adoption.route.name, adoption.route.stateless), ("route[2]", true));
        worker.server.configure(&with("[[route]]\npath = \"/b\""), 9);
        assert!(session.adopt().is_none(), "the route at its position is another one");
    }

    #[actix::test]
    async fn a_connection_is_served_with_the_configuration_with_which_it_was_accepted() {
        let worker = worker(&settings("/old"));
        let accepted = worker.server.configurations.current();
        worker.server.configure(&settings("/new"), 9);
        let configuration = worker.accepted_with(Arc::clone(&accepted));
        assert!(has_route(&configuration, "/old") && !has_route(&configuration, "/new"));
        let same = worker.accepted_with(accepted);
        assert!(Rc::ptr_eq(&same, &configuration), "all connections share it");
        assert!(has_route(&worker.accepted_with(worker.server.configurations.current()), "/new"));
        drop((same, configuration));
        assert_eq!(worker.server.configurations.alive(), 1);
    }

    #[actix::test]
    async fn a_worker_without_connections_releases_a_replaced_configuration() {
        let worker = worker(&settings("/old"));
        worker.server.configure(&settings("/new"), 9);
        let released = async {
            while worker.server.configurations.alive() > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), released).await.expect("the old one is released");
    }

    #[actix::test]
    async fn a_closed_worker_stops_following_the_configuration() {
        let worker = worker(&settings("/"));
        let server = Arc::clone(&worker.server);
        assert_eq!(server.configurations.subscribers(), 1);
        drop(worker);
        let stopped = async {
            while server.configurations.subscribers() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), stopped).await.expect("the task ends");
    }

    #[actix::test]
    async fn a_listener_that_is_opened_again_continues_with_its_session_numbers() {
        let settings = settings("/");
        let first = worker(&settings);
        let old = first.next_session();
        let state = ListenerState::new(&settings.listeners[0], &first.server);
        let server = Arc::clone(&first.server);
        let again = ListenerWorker::open(&settings.listeners[0], state, server, WorkerLoad::default());
        assert_ne!(again.next_session(), old);
    }

    #[actix::test]
    async fn a_listener_that_a_configuration_does_not_have_keeps_its_settings() {
        let worker = worker(&settings("/old"));
        let text = MINIMAL.replace("listener.ws", "listener.other");
        worker.server.configure(&load(&text, &[]).unwrap(), 9);
        let configuration = worker.configuration();
        assert_eq!((configuration.shared.number(), &*configuration.listener.name), (2, "ws"));
    }
}
