//! The part of a configuration that listeners use: their settings, and the routes.

use std::{
    collections::HashMap,
    mem,
    rc::{Rc, Weak},
    sync::Arc,
    time::Instant,
};

use super::admission::KeyLimits;
use crate::{
    access::LineFormat,
    authenticator::{Authenticator, Clients},
    net::Network,
    router::Router,
    server::{Configuration, SessionId},
    settings::{self, Listener, Route, Settings},
    tap::{Redaction, SessionLabels, SessionTap, Taps},
    upstream::{Dialer, Upstream},
};

/// The listeners and routes of one configuration, which all threads share.
pub struct Routing {
    listeners: Vec<Arc<Listener>>,
    /// The routes of all listeners, each with its upstream.
    routes: Vec<(Arc<Route>, Option<Arc<Upstream>>)>,
    /// The methods of authentication that routes name.
    authenticators: Vec<Arc<Authenticator>>,
    /// The limits of each of these routes by claim or header.
    limits: Vec<Arc<KeyLimits>>,
    /// The format of the access log; `None` when it is off.
    access: Option<Arc<LineFormat>>,
    /// What taps mask; `None` if there are no taps.
    tap_redaction: Option<Arc<Redaction>>,
}

/// A configuration in the form that one listener uses on one worker thread.
pub struct WorkerConfiguration {
    /// The configuration itself.
    pub shared: Arc<Configuration<Routing>>,
    /// The listener's settings.
    pub listener: Arc<Listener>,
    /// The routes, with the means to reach their upstreams from this thread.
    pub router: Router<WorkerRoute>,
}

/// The configurations that one listener uses on one worker thread.
pub struct WorkerConfigurations {
    /// The latest one.
    latest: Rc<WorkerConfiguration>,
    /// Earlier ones, as long as a connection uses them.
    earlier: Vec<Weak<WorkerConfiguration>>,
}

/// A route in the form that one worker thread uses.
pub struct WorkerRoute {
    /// The route's settings.
    pub route: Arc<Route>,
    /// The dialer of the route's upstream, if it has one. The routes of a worker share one dialer for each
    /// upstream.
    pub dialer: Option<Dialer>,
    /// The methods of authentication, in order: those of `route.auth`. If that is empty, everybody is accepted.
    pub auth: Vec<Arc<Authenticator>>,
    /// The limits of the route by claim or header.
    pub limits: Arc<KeyLimits>,
    /// The HTTP clients of this thread, which the methods use.
    pub auth_clients: Rc<Clients>,
}

// === impl Routing ===

impl Routing {
    /// The listeners and routes of these settings. Routes with the same upstream share its state, including
    /// routes of the `previous` configuration. A route that stays keeps the clients that its limits count.
    pub fn new(settings: &Settings, network: &Arc<Network>, previous: Option<&Self>) -> Self {
        let mut upstreams: HashMap<&str, Arc<Upstream>> = HashMap::new();
        let routes = settings.routes.iter().map(|route| {
            let upstream = route.upstream.as_ref().map(|settings| {
                let new = || match previous.and_then(|previous| previous.upstream(&settings.name)) {
                    Some(known) => known.with_settings(Arc::clone(settings)),
                    None => Upstream::new(Arc::clone(settings), Arc::clone(network)),
                };
                Arc::clone(upstreams.entry(&settings.name).or_insert_with(new))
            });
            (Arc::clone(route), upstream)
        });
        let limits = settings.routes.iter().map(|route| {
            let known = previous.and_then(|previous| previous.limits_of(route));
            match known {
                Some(known) => known.with_settings(&route.limits, Instant::now()),
                None => KeyLimits::new(&route.limits),
            }
        });
        let (routes, limits) = (routes.collect(), limits.collect());
        let authenticators = settings.auth.values().map(|config| {
            let known = previous.and_then(|previous| previous.authenticator(&config.name));
            Authenticator::new(Arc::clone(config), known.map(|known| &**known), network)
        });
        let authenticators = authenticators.collect();
        let (listeners, access) = (settings.listeners.clone(), settings.access.clone());
        let tap_redaction = settings.admin.as_ref().and_then(|admin| admin.tap.clone());
        Self { listeners, routes, authenticators, limits, access, tap_redaction }
    }

    /// The format of the access log; `None` when it is off.
    pub fn access(&self) -> Option<&Arc<LineFormat>> {
        self.access.as_ref()
    }

    /// What taps mask; `None` if the settings forbid taps.
    pub fn tap_redaction(&self) -> Option<&Arc<Redaction>> {
        self.tap_redaction.as_ref()
    }

    /// The method of authentication of that name; `None` if the settings have none.
    pub fn authenticator(&self, name: &str) -> Option<&Arc<Authenticator>> {
        self.authenticators.iter().find(|method| *method.config().name == *name)
    }

    /// The methods of a route, in order.
    fn methods(&self, route: &Route) -> Vec<Arc<Authenticator>> {
        route.auth.iter().filter_map(|config| self.authenticator(&config.name)).cloned().collect()
    }

    /// The limits of that route.
    fn limits_of(&self, route: &Route) -> Option<&Arc<KeyLimits>> {
        let at = self.routes.iter().position(|(known, _)| known.is(route))?;
        self.limits.get(at)
    }

    /// The upstreams of all routes. An upstream that several routes use occurs several times.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.routes.iter().filter_map(|(_, upstream)| upstream.as_ref())
    }

    /// The settings of all listeners.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// The settings of all routes.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().map(|(route, _)| route)
    }

    /// The name of each listener with that of each of its routes.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.listeners.iter().flat_map(|listener| {
            let served = self.routes.iter().filter(|(route, _)| route.pattern.serves(&listener.name));
            served.map(|(route, _)| (listener.name.as_str(), route.name.as_str()))
        })
    }

    /// The settings of the listener of that name; `None` if the configuration has none.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// All methods of authentication in the settings.
    pub fn authenticators(&self) -> &[Arc<Authenticator>] {
        &self.authenticators
    }

    /// The upstream of that name; `None` if no route uses it.
    fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams().find(|upstream| upstream.settings().name == name)
    }

    /// The routes of one listener for one worker thread.
    fn router(&self, listener: &str) -> Router<WorkerRoute> {
        let mut dialers: HashMap<&str, Dialer> = HashMap::new();
        let auth_clients = Rc::<Clients>::default();
        // A dialer has an HTTP client, so a listener has none for the routes of others.
        let routes = self.routes.iter().zip(&self.limits);
        let routes = routes.filter(|((route, _), _)| route.pattern.serves(listener));
        let routes = routes.map(|((route, upstream), limits)| {
            let dialer = upstream.as_ref().map(|upstream| {
                let new = || Dialer::new(upstream);
                dialers.entry(&upstream.settings().name).or_insert_with(new).clone()
            });
            (
                route.pattern.clone(),
                WorkerRoute {
                    auth: self.methods(route),
                    auth_clients: Rc::clone(&auth_clients),
                    route: Arc::clone(route),
                    dialer,
                    limits: Arc::clone(limits),
                },
            )
        });
        routes.collect()
    }
}

// === impl WorkerConfiguration ===

impl WorkerConfiguration {
    /// The configuration for the listener whose settings were `listener` so far. If the configuration no
    /// longer has that listener, it keeps these settings until it is closed.
    pub fn new(shared: Arc<Configuration<Routing>>, listener: &Arc<Listener>) -> Rc<Self> {
        let listener = Arc::clone(shared.listener(&listener.name).unwrap_or(listener));
        let router = shared.router(&listener.name);
        Rc::new(Self { shared, listener, router })
    }

    /// The tap of a new session; `None` if the settings forbid taps.
    pub fn tap_of(&self, id: SessionId, taps: &Arc<Taps>, route: &Route) -> Option<Arc<SessionTap>> {
        self.shared.tap_redaction()?;
        let (listener, route) = (self.listener.name.clone(), route.name.clone());
        let labels = SessionLabels { source: id.listener, stream: id.number, listener, route };
        Some(SessionTap::new(taps, labels))
    }

    /// The dialer of the upstream with these settings; `None` if the configuration has other ones.
    fn dialer(&self, upstream: &Arc<settings::Upstream>) -> Option<&Dialer> {
        let mut dialers = self.router.values().filter_map(|route| route.dialer.as_ref());
        dialers.find(|dialer| Arc::ptr_eq(dialer.upstream().settings(), upstream))
    }
}

// === impl WorkerConfigurations ===

impl WorkerConfigurations {
    /// The configuration of a listener with these settings.
    pub fn new(shared: Arc<Configuration<Routing>>, listener: &Arc<Listener>) -> Self {
        Self { latest: WorkerConfiguration::new(shared, listener), earlier: Vec::new() }
    }

    /// Continues with the configuration in force.
    pub fn follow(&mut self, in_force: Arc<Configuration<Routing>>) -> Rc<WorkerConfiguration> {
        if !Arc::ptr_eq(&in_force, &self.latest.shared) {
            let next = WorkerConfiguration::new(in_force, &self.latest.listener);
            let replaced = mem::replace(&mut self.latest, next);
            self.remember(&replaced);
        }
        Rc::clone(&self.latest)
    }

    /// An earlier configuration, for a connection that was accepted with it.
    pub fn earlier(&mut self, shared: Arc<Configuration<Routing>>) -> Rc<WorkerConfiguration> {
        let known = self.all().find(|known| Arc::ptr_eq(&known.shared, &shared));
        known.unwrap_or_else(|| {
            let earlier = WorkerConfiguration::new(shared, &self.latest.listener);
            self.remember(&earlier);
            earlier
        })
    }

    /// The dialer of the upstream with these settings, in any configuration that is in use.
    pub fn dialer(&self, upstream: &Arc<settings::Upstream>) -> Option<Dialer> {
        self.all().find_map(|configuration| configuration.dialer(upstream).cloned())
    }

    fn remember(&mut self, configuration: &Rc<WorkerConfiguration>) {
        self.earlier.retain(|known| known.strong_count() > 0);
        self.earlier.push(Rc::downgrade(configuration));
    }

    fn all(&self) -> impl Iterator<Item = Rc<WorkerConfiguration>> {
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        [Rc::clone(&self.latest)].into_iter().chain(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::{MINIMAL, load};

    #[test]
    fn routes_and_configurations_share_the_state_of_an_upstream() {
        let network = Network::system();
        let text = MINIMAL.replace("[[route]]", "[[route]]\npath = \"/a\"\nupstream = \"echo\"\n[[route]]");
        let first = Routing::new(&load(&text, &[]).unwrap(), &network, None);
        let next = Routing::new(&load(MINIMAL, &[]).unwrap(), &network, Some(&first));
        let endpoint = first.upstream("echo").unwrap().endpoint();
        let all = first.routes.iter().chain(&next.routes).map(|(_, upstream)| upstream.as_ref().unwrap());
        assert!(all.map(|upstream| upstream.endpoint()).all(|other| Arc::ptr_eq(&endpoint, &other)));
        assert!(first.upstream("other").is_none());
    }

    #[test]
    fn a_route_whose_limits_stay_keeps_the_clients_that_they_count() {
        let limited = |max: u32, name: &str| {
            let limits = format!(
                "[[route]]\nname = \"{name}\"\nlimits = [{{ by = \"header:a\", max_sessions = {max} }}]"
            );
            load(&MINIMAL.replace("[[route]]", &limits), &[]).unwrap()
        };
        let network = Network::system();
        let first = Routing::new(&limited(1, "chat"), &network, None);
        for (max, name, stays) in [(1, "chat", true), (2, "chat", false), (1, "other", false)] {
            let next = Routing::new(&limited(max, name), &network, Some(&first));
            assert_eq!(Arc::ptr_eq(&first.limits[0], &next.limits[0]), stays, "{max} {name}");
        }
    }

    #[test]
    fn a_route_without_a_name_keeps_its_limits_at_another_position() {
        let limits = "limits = [{ by = \"header:a\", max_sessions = 1 }]\n";
        let route = |path: &str| format!("[[route]]\npath = \"{path}\"\n{limits}upstream = \"echo\"\n");
        let with = |routes: &[&str]| {
            let routes: String = routes.iter().map(|path| route(path)).collect();
            load(&MINIMAL.replace("[[route]]", &format!("{routes}[[route]]")), &[]).unwrap()
        };
        let network = Network::system();
        let first = Routing::new(&with(&["/a"]), &network, None);
        let next = Routing::new(&with(&["/b", "/a"]), &network, Some(&first));
        assert!(
            Arc::ptr_eq(&first.limits[0], &next.limits[1]) && !Arc::ptr_eq(&first.limits[0], &next.limits[0])
        );
    }

    #[test]
    fn a_listener_has_its_own_routes_only() {
        let routes = r#"[listener.other]
bind = "127.0.0.1:0"
[[route]]
listener = "other"
upstream = "echo"
[[route]]
listener = "ws""#;
        let text = MINIMAL.replace("[[route]]", routes);
        let routing = Routing::new(&load(&text, &[]).unwrap(), &Network::system(), None);
        assert_eq!(["ws", "other"].map(|listener| routing.router(listener).count()), [1, 1]);
    }
}
