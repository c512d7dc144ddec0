//! The servers of an upstream, with the sessions and failures of each.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    failure::{Failure, FailureKind, FailureLocation},
    settings::UpstreamUrl,
};

/// A server that sessions connect to, with the counters that all sessions share.
#[derive(Debug)]
pub struct Endpoint {
    url: UpstreamUrl,
    /// Connections that are up, and dials in progress.
    sessions: AtomicUsize,
    /// Dials in progress.
    dials: AtomicUsize,
    /// Number of failures since a connection was last established.
    failures: AtomicU32,
}

/// A guard that counts a session at its endpoint: as a dial in progress, then as a connection that is up.
#[derive(Debug)]
pub struct Lease {
    endpoint: Arc<Endpoint>,
    is_up: bool,
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
    /// Creates an endpoint without connections.
    pub fn new(url: UpstreamUrl) -> Arc<Self> {
        let (sessions, dials, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU32::new(0));
        Arc::new(Self { url, sessions, dials, failures })
    }

    /// The server's URL, without a client's path and query.
    pub fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// The number of connections that are up, and of dials in progress.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    /// The number of dials in progress.
    pub fn dials(&self) -> usize {
        self.dials.load(Relaxed)
    }

    /// The number of connections that are up.
    pub fn live(&self) -> usize {
        self.sessions().saturating_sub(self.dials())
    }

    /// The number of failed dials and lost connections since a connection was last established.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// Counts a dial that begins.
    pub fn lease(self: &Arc<Self>) -> Lease {
        self.sessions.fetch_add(1, Relaxed);
        self.dials.fetch_add(1, Relaxed);
        Lease { endpoint: Arc::clone(self), is_up: false }
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

    /// The dial has succeeded: the session counts as a connection that is up.
    pub(super) fn established(&mut self) {
        self.endpoint.failures.store(0, Relaxed);
        if !self.is_up {
            self.is_up = true;
            self.endpoint.dials.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_up {
            self.endpoint.dials.fetch_sub(1, Relaxed);
        }
        self.endpoint.sessions.fetch_sub(1, Relaxed);
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
