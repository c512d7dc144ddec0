//! Observes the process: its counts, routes, upstreams, and what happened lately. It wakes no session, and what it
//! reads does not grow with the number of sessions.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant, UNIX_EPOCH},
};

use super::{
    counts::counts,
    observed::{
        EndpointView, FailureView, NEWS_MAX, News, Observed, ProcessView, RestartView, RouteCounts,
        RouteView, SupervisorView, UpstreamView,
    },
};
use crate::{
    admin::{AdminState, reloads},
    figures::{FailedEvent, FailureCursor, FailureLog, NewFailures},
    listener::Routing,
    policy::Balance,
    server::{Registry, SessionInfo},
    turn::now_ns,
    upstream::{self, ConnectionChange, ConnectionChangeKind, ConnectionLoss, LossSequel},
};

/// Number of endpoints that are shown, of all upstreams together. It bounds the size of a frame.
const ENDPOINTS_MAX: usize = 200;

/// Number of supervisors that are shown for each upstream.
const SUPERVISORS_MAX: usize = 8;

/// Number of sessions that are examined for supervisors to show, if fewer than [`SUPERVISORS_MAX`] lost a connection
/// lately.
const LOOKED_AT: usize = 64;

/// The state of a connector that has lost no connection.
const FIRST: &str = "first connection";

/// Number of reloads that are shown.
const RELOADS_SHOWN: usize = 16;

/// Number of changes or problems that are shown of each reload.
const LINES_SHOWN: usize = 40;

/// Observes the process, and keeps what the next observation needs of the earlier ones.
pub(super) struct Collector {
    started_ms: u64,
    /// The failed events that were seen.
    failures: FailureCursor,
    /// The recent changes of connections to each upstream.
    connections: HashMap<String, ConnectionLog>,
}

/// What is known of the connections to an upstream.
#[derive(Default)]
struct ConnectionLog {
    /// The number of changes that were seen.
    seen: u64,
    /// The number of losses since the start.
    losses: u64,
    /// The sessions whose connections changed last; the last one at the end.
    changed: VecDeque<ChangedConnection>,
}

/// What is known of the connection of a session to the route's upstream.
struct ChangedConnection {
    session: String,
    /// The state of its connector.
    connector: &'static str,
    endpoint: Option<String>,
    /// When it last lost a connection.
    lost: Option<u64>,
}

// === impl Collector ===

impl Collector {
    /// Creates a collector that has seen nothing.
    pub fn new() -> Self {
        Self { started_ms: now_ms(), failures: FailureCursor::default(), connections: HashMap::new() }
    }

    /// Observes the process. `elapsed` is the time since the observation before.
    pub fn observe(&mut self, admin: &AdminState, elapsed: Duration) -> Observed {
        let server = &admin.server;
        let configuration = server.configurations.current();
        let counts = counts(&server.cells);
        let mut observed = Observed { now_ms: now_ms(), elapsed, ..Observed::default() };
        observed.about = ProcessView {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started_ms,
            draining: server.registry.status().is_draining(),
            configuration: configuration.number(),
            alive: server.configurations.alive(),
            actions: admin.has_actions(),
            accepted: counts.opened,
        };
        observed.totals = counts.totals;
        observed.totals.sessions = server.registry.status().live() as u64;
        observed.routes = routes(&configuration, &counts.routes);
        let sessions = server.registry.sessions(LOOKED_AT);
        let sessions: Vec<_> = sessions.into_iter().map(|(info, _)| info).collect();
        let mut room = ENDPOINTS_MAX;
        let mut known = HashMap::new();
        for upstream in configuration.upstreams() {
            let name = &upstream.settings().name;
            if known.contains_key(name) {
                continue;
            }
            let mut connections = self.connections.remove(name).unwrap_or_default();
            connections.follow(upstream, &mut observed.restarts);
            observed.upstreams.push(describe(upstream, &connections, &sessions, &server.registry, &mut room));
            known.insert(name.clone(), connections);
        }
        self.connections = known;
        observed.restarts.limit(|restart| restart.at);
        observed.errors = self.failures(&server.failures);
        observed.reloads = reloads::reloads(&admin.reloads, RELOADS_SHOWN, LINES_SHOWN);
        observed.totals.restarts = self.connections.values().map(|connections| connections.losses).sum();
        observed
    }

    /// The events that failed since the observation before.
    fn failures(&mut self, log: &FailureLog) -> News<FailureView> {
        let NewFailures { events, missed } = log.news(&mut self.failures);
        let missed = missed + events.len().saturating_sub(NEWS_MAX) as u64;
        News { entries: events.iter().take(NEWS_MAX).map(failure).collect(), missed }
    }
}

/// A failed event as the page shows it.
fn failure(event: &FailedEvent) -> FailureView {
    FailureView {
        at: event.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
        id: event.id.to_string(),
        session: format!("{}:{}", event.id.source, event.id.stream),
        stage: event.stage,
        kind: event.kind,
        reason: event.reason.to_string(),
        upstream: event.upstream.as_ref().map(ToString::to_string),
    }
}

fn now_ms() -> u64 {
    now_ns() / 1_000_000
}

/// The routes of each listener.
fn routes(configuration: &Routing, counts: &HashMap<(String, String), RouteCounts>) -> Vec<RouteView> {
    let mut found = Vec::new();
    for listener in configuration.listeners() {
        for route in configuration.routes().filter(|route| route.pattern.serves(&listener.name)) {
            let names = |pipelines: &[std::sync::Arc<crate::settings::Pipeline>]| {
                pipelines.iter().map(|pipeline| pipeline.name.clone()).collect()
            };
            let key = (listener.name.clone(), route.name.clone());
            found.push(RouteView {
                listener: listener.name.clone(),
                name: route.name.clone(),
                incoming: names(&route.incoming),
                outgoing: names(&route.outgoing),
                upstream: route.upstream.as_ref().map(|upstream| upstream.name.clone()),
                counts: counts.get(&key).copied().unwrap_or_default(),
            });
        }
    }
    found
}

fn describe(
    upstream: &upstream::Upstream,
    connections: &ConnectionLog,
    sessions: &[SessionInfo],
    registry: &Registry,
    room: &mut usize,
) -> UpstreamView {
    let settings = upstream.settings();
    let all = upstream.endpoints(Instant::now());
    let sessions_of_all = all.iter().map(|(endpoint, _)| endpoint.sessions()).sum();
    let shown = all.len().min(*room);
    *room -= shown;
    let moving = upstream.ordered_moves();
    let endpoints = all.iter().take(shown).map(|(endpoint, state)| EndpointView {
        id: endpoint.id(),
        number: endpoint.number(),
        url: endpoint.url().label(),
        state: state.name(),
        moving: moving.get(&endpoint.id()).copied().unwrap_or_default(),
        sessions: endpoint.sessions(),
        dials: endpoint.dials(),
        failures: endpoint.failures(),
    });
    UpstreamView {
        name: settings.name.clone(),
        balance: balance(settings.pool.balance),
        sessions: sessions_of_all,
        restarts: connections.losses,
        left_out: all.len() - shown,
        endpoints: endpoints.collect(),
        supervisors: connections.supervisors(&settings.name, sessions, registry),
    }
}

fn balance(balance: Balance) -> &'static str {
    match balance {
        Balance::LeastSessions => "least_sessions",
        Balance::RoundRobin => "round_robin",
        Balance::Random => "random",
        Balance::Hash => "hash",
    }
}

/// The loss of a session's connection, with the words of the log.
fn restart(change: &ConnectionChange, loss: &ConnectionLoss, upstream: &str) -> RestartView {
    RestartView {
        at: change.at_ms,
        session: change.session.clone(),
        upstream: upstream.to_owned(),
        kind: match loss.sequel {
            LossSequel::Restart => "connector restart",
            LossSequel::OnDemand => "connector lost",
            LossSequel::Probes | LossSequel::End => "connector gave up",
        },
        attempt: loss.attempt,
        delay: loss.delay_ms,
        reason: loss.reason.clone(),
    }
}

// === impl ConnectionLog ===

impl ConnectionLog {
    /// Takes the changes since the last look.
    fn follow(&mut self, upstream: &upstream::Upstream, restarts: &mut News<RestartView>) {
        let news = upstream.changes(self.seen);
        (self.seen, self.losses) = (news.next, news.losses);
        restarts.missed += news.missed;
        for change in news.changes {
            if let ConnectionChangeKind::Lost(loss) = &change.kind {
                restarts.entries.push(restart(&change, loss, &upstream.settings().name));
            }
            self.note(change);
        }
    }

    fn note(&mut self, change: ConnectionChange) {
        let at = self.changed.iter().position(|known| known.session == change.session);
        let mut known = at.and_then(|at| self.changed.remove(at)).unwrap_or(ChangedConnection {
            session: change.session,
            connector: FIRST,
            endpoint: None,
            lost: None,
        });
        match change.kind {
            // The connection to the route's upstream is another one.
            ConnectionChangeKind::Lost(ConnectionLoss { sequel: LossSequel::OnDemand, .. }) => {
                known.lost = Some(change.at_ms);
            }
            ConnectionChangeKind::Lost(_) => {
                (known.connector, known.endpoint, known.lost) = ("backoff", None, Some(change.at_ms));
            }
            ConnectionChangeKind::Up { endpoint } => {
                (known.connector, known.endpoint) = ("up", Some(endpoint));
            }
        }
        if self.changed.len() == SUPERVISORS_MAX {
            self.changed.pop_front();
        }
        self.changed.push_back(known);
    }

    /// The supervisors to show: those whose connections changed last, then others of `sessions`. Those of sessions that
    /// have ended are left out.
    fn supervisors(
        &self,
        upstream: &str,
        sessions: &[SessionInfo],
        registry: &Registry,
    ) -> Vec<SupervisorView> {
        let changed = self.changed.iter().rev().filter_map(|known| {
            let (info, _) = registry.session(known.session.parse().ok()?)?;
            let (last, connector, endpoint) = (known.lost, known.connector, known.endpoint.clone());
            Some(SupervisorView { last, connector, endpoint, ..supervisor(&info) })
        });
        let mut found: Vec<_> = changed.collect();
        let is_of = |info: &&SessionInfo| info.route.upstream.as_ref().is_some_and(|of| of.name == upstream);
        let is_known =
            |other: &SupervisorView| self.changed.iter().any(|known| known.session == other.session);
        let others = sessions.iter().filter(is_of).map(supervisor);
        let others = others.filter(|other| other.restarts == 0 && !is_known(other));
        found.extend(others.take(SUPERVISORS_MAX - found.len()));
        found
    }
}

/// The supervisor of a session whose connection never changed.
fn supervisor(info: &SessionInfo) -> SupervisorView {
    SupervisorView {
        session: info.id.to_string(),
        route: info.route.name.clone(),
        restarts: info.figures.totals().restarts,
        connector: FIRST,
        ..SupervisorView::default()
    }
}

// === impl News ===

impl<T> News<T> {
    /// Sorts the entries, newest first, and leaves the oldest ones out when there are too many.
    fn limit(&mut self, at: impl Fn(&T) -> u64) {
        self.entries.sort_by_key(|entry| std::cmp::Reverse(at(entry)));
        self.missed += self.entries.len().saturating_sub(NEWS_MAX) as u64;
        self.entries.truncate(NEWS_MAX);
    }
}
