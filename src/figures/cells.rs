//! The figures of all threads. Each thread has separate cells, so that threads do not contend for them. A reader adds the
//! cells of all threads up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

use super::{
    closes::Closes,
    count::{Count, Traffic},
    errors::{Errors, Kinds},
    histogram::{self, Histogram},
    tally::Tally,
};

/// Maximum number of endpoints of an upstream that are counted separately. Files and name servers can list any number of
/// endpoints, and those beyond it count together as [`OTHER`]. It is well above the number of servers behind one name
/// that operators look at one by one.
pub const ENDPOINT_SERIES_MAX: usize = 64;

/// The name of the endpoints beyond [`ENDPOINT_SERIES_MAX`] together.
pub const OTHER: &str = "other";

/// The name of all servers that events choose by `$url` together. Clients may choose them, so they are not counted
/// separately.
pub const NAMED: &str = "named";

/// The sessions of a route on one thread.
#[derive(Debug)]
pub struct RouteFigures {
    /// What the sessions have done.
    pub tally: Tally,
    /// Sessions that have started.
    pub opened: Count,
    /// Sessions that have ended.
    pub gone: Count,
    /// The time from written events to their replies.
    pub replies: Histogram,
}

/// The connections to an upstream on one thread.
#[derive(Debug)]
pub struct UpstreamFigures {
    /// Lost connections and failed dials after which another attempt follows, by kind.
    pub restarts: Kinds,
    /// The time from the loss of a session's connection to the next one.
    pub outages: Histogram,
    /// Moves of sessions to another connection.
    pub moves: Count,
    /// Journals that were replayed at a new connection.
    pub replays: Count,
}

/// The connections to an endpoint on one thread.
#[derive(Debug, Default)]
pub struct EndpointFigures {
    /// Connections that came up.
    pub connections: Count,
    /// The server's complete data messages, as they were read.
    pub received: Traffic,
    /// The complete data messages to the server, as they were written to its socket.
    pub sent: Traffic,
}

/// What one thread counts of all sessions.
#[derive(Debug, Default)]
pub struct WorkerFigures {
    /// The failures that were reported.
    pub errors: Errors,
    /// The closes of clients' connections.
    pub closes: Closes,
}

/// The figures of all threads.
#[derive(Debug, Default)]
pub struct Cells {
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    routes: Group<(String, String), RouteFigures>,
    upstreams: Group<String, UpstreamFigures>,
    endpoints: Group<(String, String), EndpointFigures>,
    workers: Group<(), WorkerFigures>,
}

/// The cells of one kind. Each series has one cell for each thread that has used it.
#[derive(Debug)]
struct Group<K, V> {
    cells: BTreeMap<K, Vec<(ThreadId, Arc<V>)>>,
    /// The series whose numbers are final. They are listed once more, so that the last increase is seen.
    ended: BTreeSet<K>,
}

/// The series that the configuration in force has. Others end when nothing uses them.
pub trait Known {
    /// Whether the listener has this route.
    fn has_route(&self, listener: &str, route: &str) -> bool;
    /// Whether there is this upstream.
    fn has_upstream(&self, upstream: &str) -> bool;
    /// Whether the upstream has this endpoint.
    fn has_endpoint(&self, upstream: &str, endpoint: &str) -> bool;
}

/// A series, and its cells on all threads.
pub type Series<K, V> = (K, Vec<Arc<V>>);

/// The cells of all series.
#[derive(Debug)]
pub struct CellList {
    /// By listener and route.
    pub routes: Box<[Series<(String, String), RouteFigures>]>,
    /// By upstream.
    pub upstreams: Box<[Series<String, UpstreamFigures>]>,
    /// By upstream and endpoint.
    pub endpoints: Box<[Series<(String, String), EndpointFigures>]>,
    /// Those of all sessions.
    pub workers: Box<[Arc<WorkerFigures>]>,
}

// === impl Cells ===

impl Cells {
    /// The cell of a route for the current thread.
    pub fn route(&self, listener: &str, route: &str) -> Arc<RouteFigures> {
        self.groups().routes.cell((listener.to_owned(), route.to_owned()))
    }

    /// The cell of an upstream for the current thread.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamFigures> {
        self.groups().upstreams.cell(name.to_owned())
    }

    /// The cell of an endpoint for the current thread. The endpoints beyond `ENDPOINT_SERIES_MAX` share one.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Arc<EndpointFigures> {
        let mut groups = self.groups();
        let key = groups.endpoint_series(upstream, endpoint);
        groups.endpoints.cell(key)
    }

    /// The series of each of these endpoints of an upstream: the endpoint's own, or `OTHER`. An endpoint keeps its own
    /// series, so that all its metrics have the same label.
    pub fn endpoint_series(&self, upstream: &str, endpoints: &[String]) -> Vec<String> {
        let mut groups = self.groups();
        let series = endpoints.iter().map(|endpoint| {
            let key = groups.endpoint_series(upstream, endpoint);
            groups.endpoints.cells.entry(key.clone()).or_default();
            key.1
        });
        series.collect()
    }

    /// The cell of the current thread for all sessions.
    pub fn worker(&self) -> Arc<WorkerFigures> {
        self.groups().workers.cell(())
    }

    /// Removes the series that `known` does not have and that nothing uses, once their last numbers have been listed: call
    /// it before each [`Cells::list`]. A series ends as a whole, so its numbers never fall.
    pub fn retain(&self, known: &impl Known) {
        let mut groups = self.groups();
        groups.routes.retain(|(listener, route)| known.has_route(listener, route));
        groups.upstreams.retain(|upstream| known.has_upstream(upstream));
        groups.endpoints.retain(|(upstream, endpoint)| match endpoint.as_str() {
            OTHER | NAMED => known.has_upstream(upstream),
            endpoint => known.has_endpoint(upstream, endpoint),
        });
    }

    /// The cells of all series.
    pub fn list(&self) -> CellList {
        let groups = self.groups();
        let workers = groups.workers.list().into_iter().flat_map(|((), cells)| cells);
        CellList {
            workers: workers.collect(),
            routes: groups.routes.list(),
            upstreams: groups.upstreams.list(),
            endpoints: groups.endpoints.list(),
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Groups ===

impl Groups {
    /// The series of an endpoint: its own if it has one, or if fewer than [`ENDPOINT_SERIES_MAX`] of the upstream's
    /// endpoints have one.
    fn endpoint_series(&self, upstream: &str, endpoint: &str) -> (String, String) {
        let own = (upstream.to_owned(), endpoint.to_owned());
        let is_shared = [OTHER, NAMED].contains(&endpoint);
        let is_of_one =
            |(of, endpoint): &&(String, String)| of == upstream && ![OTHER, NAMED].contains(&&**endpoint);
        let has_room = || self.endpoints.cells.keys().filter(is_of_one).count() < ENDPOINT_SERIES_MAX;
        if is_shared || self.endpoints.cells.contains_key(&own) || has_room() {
            return own;
        }
        (own.0, OTHER.to_owned())
    }
}

// === impl Group ===

impl<K: Ord + Clone, V: Default> Group<K, V> {
    /// The cell of a series for the current thread.
    fn cell(&mut self, key: K) -> Arc<V> {
        let (cells, id) = (self.cells.entry(key).or_default(), thread::current().id());
        match cells.iter().find(|(thread, _)| *thread == id) {
            Some((_, cell)) => Arc::clone(cell),
            None => {
                let cell = Arc::<V>::default();
                cells.push((id, Arc::clone(&cell)));
                cell
            }
        }
    }

    /// Removes the series that are not known and that nothing uses, if that was so at the last call too.
    fn retain(&mut self, is_known: impl Fn(&K) -> bool) {
        let is_used =
            |cells: &[(ThreadId, Arc<V>)]| cells.iter().any(|(_, cell)| Arc::strong_count(cell) > 1);
        let before = std::mem::take(&mut self.ended);
        self.cells.retain(|key, cells| {
            if is_known(key) || is_used(cells) {
                return true;
            }
            let is_first = !before.contains(key);
            if is_first {
                self.ended.insert(key.clone());
            }
            is_first
        });
    }

    fn list(&self) -> Box<[Series<K, V>]> {
        let cells = |cells: &[(ThreadId, Arc<V>)]| cells.iter().map(|(_, cell)| Arc::clone(cell)).collect();
        self.cells.iter().map(|(key, of_threads)| (key.clone(), cells(of_threads))).collect()
    }
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self { cells: BTreeMap::new(), ended: BTreeSet::new() }
    }
}

impl Default for RouteFigures {
    fn default() -> Self {
        let [opened, gone] = [(); 2].map(|()| Count::default());
        Self { tally: Tally::default(), opened, gone, replies: Histogram::new(histogram::REPLY) }
    }
}

impl Default for UpstreamFigures {
    fn default() -> Self {
        let [moves, replays] = [(); 2].map(|()| Count::default());
        Self { restarts: Kinds::default(), outages: Histogram::new(histogram::OUTAGE), moves, replays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with one route, and one endpoint of upstream `echo`.
    struct One;

    impl Known for One {
        fn has_route(&self, listener: &str, route: &str) -> bool {
            (listener, route) == ("ws", "kept")
        }

        fn has_upstream(&self, upstream: &str) -> bool {
            upstream == "echo"
        }

        fn has_endpoint(&self, upstream: &str, endpoint: &str) -> bool {
            (upstream, endpoint) == ("echo", "ws://a/")
        }
    }

    fn routes(cells: &Cells) -> Vec<(String, u64)> {
        cells.retain(&One);
        let list = cells.list().routes.into_iter();
        list.map(|((_, route), cells)| (route, cells.iter().map(|cell| cell.opened.get()).sum())).collect()
    }

    #[test]
    fn a_series_is_the_sum_of_its_threads() {
        let cells = Cells::default();
        cells.route("ws", "kept").opened.add(1);
        std::thread::scope(|threads| {
            threads.spawn(|| cells.route("ws", "kept").opened.add(2));
        });
        assert!(Arc::ptr_eq(&cells.route("ws", "kept"), &cells.route("ws", "kept")));
        assert_eq!(routes(&cells), [("kept".to_owned(), 3)]);
    }

    #[test]
    fn a_series_that_the_configuration_does_not_have_ends_with_its_last_user() {
        let cells = Cells::default();
        cells.route("ws", "kept").opened.add(1);
        let used = cells.route("ws", "removed");
        // The cell of a thread whose sessions have ended stays as long as that of another thread is used.
        std::thread::scope(|threads| {
            threads.spawn(|| cells.route("ws", "removed").opened.add(5));
        });
        assert_eq!(routes(&cells), [("kept".to_owned(), 1), ("removed".to_owned(), 5)]);
        used.opened.add(2);
        drop(used);
        assert_eq!(routes(&cells), [("kept".to_owned(), 1), ("removed".to_owned(), 7)], "the last numbers");
        assert_eq!(routes(&cells), [("kept".to_owned(), 1)]);
    }

    #[test]
    fn endpoints_beyond_the_limit_share_a_series() {
        let cells = Cells::default();
        let held: Vec<_> = (0..2 * ENDPOINT_SERIES_MAX)
            .map(|number| cells.endpoint("echo", &format!("ws://{number}/")))
            .collect();
        held.iter().for_each(|cell| cell.connections.add(1));
        let another = cells.endpoint("chat", "ws://a/");
        let named = cells.endpoint("echo", NAMED);
        let list = cells.list().endpoints;
        assert_eq!(
            list.len(),
            ENDPOINT_SERIES_MAX + 3,
            "those, the other ones, those that events name, and that of the other upstream"
        );
        let (_, other) = list.iter().find(|((_, endpoint), _)| endpoint == OTHER).unwrap();
        assert_eq!(other[0].connections.get(), ENDPOINT_SERIES_MAX as u64);
        drop((held, another, named, list));
        cells.retain(&One);
        cells.retain(&One);
        let names: Vec<_> = cells.list().endpoints.into_iter().map(|((_, endpoint), _)| endpoint).collect();
        assert_eq!(names, [NAMED, OTHER]);
    }

    #[test]
    fn all_metrics_of_an_endpoint_have_the_same_series() {
        let cells = Cells::default();
        let urls: Vec<_> = (0..2 * ENDPOINT_SERIES_MAX).map(|number| format!("ws://{number}/")).collect();
        // A session uses an endpoint at the end of the list before the first scrape.
        let used = cells.endpoint("echo", &urls[100]);
        let series = cells.endpoint_series("echo", &urls);
        assert_eq!(series[100], urls[100]);
        assert_eq!(series.iter().filter(|series| *series != OTHER).count(), ENDPOINT_SERIES_MAX);
        assert!(Arc::ptr_eq(&cells.endpoint("echo", &urls[127]), &cells.endpoint("echo", OTHER)));
        drop(used);
        assert_eq!(cells.endpoint_series("echo", &urls), series);
    }
}
