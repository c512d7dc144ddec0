//! The names in the configuration in force: they determine which series exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    figures::{Cells, Known},
    listener::Routing,
    upstream::{Endpoint, Upstream, pool::EndpointState},
};

/// The names in the configuration in force, and the states of its endpoints.
pub(super) struct InForce {
    /// Each listener with each of its routes.
    pub(super) routes: BTreeSet<(String, String)>,
    pub(super) upstreams: BTreeSet<String>,
    /// The endpoints of each upstream, in the order of the pool.
    endpoints: BTreeMap<String, Vec<(String, State)>>,
    /// All endpoints, by upstream and label.
    labels: BTreeSet<(String, String)>,
    /// When the first certificate of each listener expires, in seconds since the Unix epoch.
    pub(super) certificates: BTreeMap<String, i64>,
}

/// The state of an endpoint, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Whether it is up; for several, whether all are.
    pub(super) is_up: bool,
    /// Connections that are up, and dials in progress.
    pub(super) sessions: usize,
}

impl InForce {
    pub(super) fn new(routing: &Routing) -> Self {
        let mut in_force = Self {
            routes: routing
                .names()
                .map(|(listener, route)| (listener.to_owned(), route.to_owned()))
                .collect(),
            upstreams: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            labels: BTreeSet::new(),
            certificates: BTreeMap::new(),
        };
        for upstream in routing.upstreams() {
            if in_force.upstreams.insert(upstream.settings().name.clone()) {
                in_force.add_endpoints(upstream);
            }
        }
        for listener in routing.listeners() {
            let expiry = listener.tls.as_ref().and_then(|tls| tls.expires());
            expiry.into_iter().for_each(|time| _ = in_force.certificates.insert(listener.name.clone(), time));
        }
        in_force
    }

    fn add_endpoints(&mut self, upstream: &Upstream) {
        let name = &upstream.settings().name;
        let endpoints = upstream.endpoints(Instant::now()).into_iter();
        let endpoints: Vec<_> = endpoints
            .map(|(endpoint, state)| (endpoint.url().label(), State::new(&endpoint, state)))
            .collect();
        self.labels.extend(endpoints.iter().map(|(label, _)| (name.clone(), label.clone())));
        self.endpoints.insert(name.clone(), endpoints);
    }

    /// The states by upstream and series. Endpoints without their own series are one, and so are those with the same
    /// label.
    pub(super) fn series(&self, cells: &Cells) -> BTreeMap<(String, String), State> {
        let mut states = BTreeMap::new();
        for (upstream, endpoints) in &self.endpoints {
            let labels: Vec<_> = endpoints.iter().map(|(label, _)| label.clone()).collect();
            let series = cells.endpoint_series(upstream, &labels);
            for (series, (_, state)) in series.into_iter().zip(endpoints) {
                let empty = State { is_up: true, sessions: 0 };
                let together = states.entry((upstream.clone(), series)).or_insert(empty);
                together.is_up &= state.is_up;
                together.sessions += state.sessions;
            }
        }
        states
    }
}

impl State {
    fn new(endpoint: &Endpoint, state: EndpointState) -> Self {
        let is_up = !matches!(state, EndpointState::Down | EndpointState::Ejected);
        Self { is_up, sessions: endpoint.sessions().saturating_sub(endpoint.reserved()) }
    }
}

impl Known for InForce {
    fn has_route(&self, listener: &str, route: &str) -> bool {
        self.routes.contains(&(listener.to_owned(), route.to_owned()))
    }

    fn has_upstream(&self, upstream: &str) -> bool {
        self.upstreams.contains(upstream)
    }

    fn has_endpoint(&self, upstream: &str, endpoint: &str) -> bool {
        self.labels.contains(&(upstream.to_owned(), endpoint.to_owned()))
    }
}
