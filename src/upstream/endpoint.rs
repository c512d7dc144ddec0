//! The servers of an upstream, with the sessions and failures of each.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use super::queue::Queue;
use crate::{
    failure::{Failure, FailureKind, FailureLocation},
    settings::UpstreamUrl,
};

/// The last number that an endpoint has got.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// A server that sessions connect to, with the counters that all sessions share.
#[derive(Debug)]
pub struct Endpoint {
    url: UpstreamUrl,
    id: u64,
    /// See [`Endpoint::number`].
    number: usize,
    /// Connections that are up, dials in progress, and places that are reserved for dials.
    sessions: AtomicUsize,
    /// Dials in progress.
    dials: AtomicUsize,
    /// Places that are reserved for dials which have not begun.
    reserved: AtomicUsize,
    /// The sessions that wait for room at any endpoint of the pool.
    room: Arc<Queue>,
    /// Number of failures since a connection was last established.
    failures: AtomicU32,
    /// The sessions that were woken to try it after an outage.
    tries: AtomicUsize,
}

/// A guard that counts a session at its endpoint: as a reserved place, a dial in progress, and a connection that is
/// up, in this order.
#[derive(Debug)]
pub struct Lease {
    endpoint: Arc<Endpoint>,
    stage: Stage,
}

/// The count in which a lease is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reserved,
    Dialing,
    Up,
}

/// The destination of a connection: a server, and the URL for the request to it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The server to connect to.
    pub endpoint: Arc<Endpoint>,
    /// The server's URL, with the client's path and query if the settings forward them.
    pub url: UpstreamUrl,
}

// === impl Endpoint ===

impl Endpoint {
    /// Creates an endpoint without connections that is in no pool.
    pub fn new(url: UpstreamUrl) -> Arc<Self> {
        Self::in_pool(url, 0, Arc::default())
    }

    /// Creates an endpoint without connections, with this number in its pool. When one of its dials or connections
    /// ends, it wakes the first session that waits for `room`.
    pub(super) fn in_pool(url: UpstreamUrl, number: usize, room: Arc<Queue>) -> Arc<Self> {
        let [sessions, dials, reserved, tries] = [0; 4].map(AtomicUsize::new);
        let (id, failures) = (LAST_ID.fetch_add(1, Relaxed) + 1, AtomicU32::new(0));
        Arc::new(Self { url, id, number, sessions, dials, reserved, room, failures, tries })
    }

    /// A number that no other endpoint of the process has. Labels of URLs can be the same, because they are without
    /// secrets.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its number among the endpoints of its upstream, from 1: no other one gets it while the process runs. 0 for an
    /// endpoint that is in no pool.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The server's URL, without a client's path and query.
    pub fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// The sessions that wait for room.
    pub(super) fn room(&self) -> &Arc<Queue> {
        &self.room
    }

    /// The number of connections that are up, of dials in progress, and of places that are reserved for dials.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    /// The number of dials in progress.
    pub fn dials(&self) -> usize {
        self.dials.load(Relaxed)
    }

    /// The number of places that are reserved for dials which have not begun.
    pub fn reserved(&self) -> usize {
        self.reserved.load(Relaxed)
    }

    /// The number of connections that are up.
    pub fn live(&self) -> usize {
        self.sessions().saturating_sub(self.dials() + self.reserved())
    }

    /// The number of failed dials and lost connections since a connection was last established.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// Records the number of sessions that were woken to try the endpoint, and whose dials have not ended. Returns the
    /// last one.
    pub(super) fn tried_by(&self, sessions: usize) -> usize {
        self.tries.swap(sessions, Relaxed)
    }

    /// The number of sessions that [`tried_by`](Self::tried_by) has recorded.
    #[cfg(test)]
    pub(super) fn tries(&self) -> usize {
        self.tries.load(Relaxed)
    }

    /// Counts a dial that begins.
    pub fn lease(self: &Arc<Self>) -> Lease {
        self.sessions.fetch_add(1, Relaxed);
        self.dials.fetch_add(1, Relaxed);
        Lease { endpoint: Arc::clone(self), stage: Stage::Dialing }
    }

    /// Reserves a place for a dial that begins later.
    pub(super) fn reserve(self: &Arc<Self>) -> Lease {
        self.sessions.fetch_add(1, Relaxed);
        self.reserved.fetch_add(1, Relaxed);
        Lease { endpoint: Arc::clone(self), stage: Stage::Reserved }
    }

    /// Records the end of a connection or dial, and returns whether it is a failure of the server. A close
    /// frame from either side is not a failure, and neither is an error in the proxy.
    pub(super) fn ended(&self, failure: &Failure) -> bool {
        let is_close = matches!(failure.kind, FailureKind::Closed(_));
        let is_failure = failure.location == FailureLocation::Upstream && !is_close;
        if is_failure {
            self.failures.fetch_add(1, Relaxed);
        }
        is_failure
    }
}

// === impl Lease ===

impl Lease {
    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The dial for which the place was reserved begins.
    pub(super) fn begin(&mut self) {
        self.enter(Stage::Dialing);
    }

    /// The dial has succeeded: the session counts as a connection that is up.
    pub(super) fn established(&mut self) {
        self.endpoint.failures.store(0, Relaxed);
        if self.stage != Stage::Up {
            self.enter(Stage::Up);
            // One dial less is in progress.
            self.endpoint.room.wake(1);
        }
    }

    fn enter(&mut self, stage: Stage) {
        let count = |stage| match stage {
            Stage::Reserved => Some(&self.endpoint.reserved),
            Stage::Dialing => Some(&self.endpoint.dials),
            Stage::Up => None,
        };
        if let Some(entered) = count(stage) {
            entered.fetch_add(1, Relaxed);
        }
        if let Some(left) = count(self.stage) {
            left.fetch_sub(1, Relaxed);
        }
        self.stage = stage;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.enter(Stage::Up);
        self.endpoint.sessions.fetch_sub(1, Relaxed);
        self.endpoint.room.wake(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::ConnectFailure;

    fn endpoint() -> Arc<Endpoint> {
        Endpoint::new(UpstreamUrl::parse("ws://h:1").unwrap())
    }

    fn counts(endpoint: &Endpoint) -> (usize, usize, usize) {
        (endpoint.sessions(), endpoint.dials(), endpoint.live())
    }

    #[test]
    fn a_session_counts_until_its_lease_is_dropped() {
        let endpoint = endpoint();
        let (mut one, two) = (endpoint.lease(), endpoint.lease());
        assert_eq!(counts(&endpoint), (2, 2, 0));
        one.established();
        one.established();
        assert_eq!(counts(&endpoint), (2, 1, 1));
        drop(two);
        assert_eq!(counts(&endpoint), (1, 0, 1));
        drop(one);
        assert_eq!(counts(&endpoint), (0, 0, 0));
    }

    #[test]
    fn a_reserved_place_is_no_dial_until_it_begins() {
        let endpoint = endpoint();
        let (mut one, two) = (endpoint.reserve(), endpoint.reserve());
        assert_eq!((counts(&endpoint), endpoint.reserved()), ((2, 0, 0), 2));
        one.begin();
        assert_eq!((counts(&endpoint), endpoint.reserved()), ((2, 1, 0), 1));
        one.established();
        drop(two);
        assert_eq!((counts(&endpoint), endpoint.reserved()), ((1, 0, 1), 0));
    }

    #[test]
    fn the_end_of_a_dial_or_connection_wakes_one_session_that_waits() {
        let room = Arc::<Queue>::default();
        let endpoint = Endpoint::in_pool(UpstreamUrl::parse("ws://h:1").unwrap(), 1, Arc::clone(&room));
        let (mut one, two) = (endpoint.lease(), endpoint.lease());
        let _waiters = [(); 4].map(|()| room.wait());
        one.established();
        assert_eq!(room.len(), 3);
        drop(one);
        assert_eq!(room.len(), 2);
        drop(two);
        assert_eq!(room.len(), 1);
    }

    #[test]
    fn failures_count_from_the_last_established_connection() {
        let endpoint = endpoint();
        let refused = Failure::connection(FailureKind::Connect(ConnectFailure::Status(503)), "");
        assert!(endpoint.ended(&refused) && endpoint.ended(&refused));
        assert_eq!(endpoint.failures(), 2);
        endpoint.lease().established();
        assert_eq!(endpoint.failures(), 0);
    }

    #[test]
    fn a_close_frame_is_not_a_failure_of_the_server() {
        let endpoint = endpoint();
        assert!(!endpoint.ended(&Failure::connection(FailureKind::Closed(Some(1000)), "")));
        assert!(!endpoint.ended(&Failure::draining()));
        let local = Failure::connection(FailureKind::Connect(ConnectFailure::Local), "");
        assert!(!endpoint.ended(&local), "the proxy lacked something");
        assert_eq!(endpoint.failures(), 0);
    }
}
