//! The servers of an upstream, with the live connections and failures of each.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    failure::{Failure, FailureKind, FailureLocation},
    settings::UpstreamUrl,
};

/// A server that sessions connect to, with the live connections and failures that all sessions have reported.
#[derive(Debug)]
pub struct Endpoint {
    url: UpstreamUrl,
    /// Number of connections that are up now.
    live: AtomicUsize,
    /// Number of failures since a connection was last established.
    failures: AtomicU32,
}

/// A guard that counts a connection as live at its endpoint.
#[derive(Debug)]
pub struct Live(Arc<Endpoint>);

/// The destination of a connection: a server, and the URL for the request to it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The server to connect to.
    pub endpoint: Arc<Endpoint>,
    /// The server's URL, with the client's path and query if the settings forward them.
    pub url: UpstreamUrl,
}

impl Endpoint {
    /// Creates an endpoint without connections.
    pub fn new(url: UpstreamUrl) -> Arc<Self> {
        Arc::new(Self { url, live: AtomicUsize::new(0), failures: AtomicU32::new(0) })
    }

    /// The server's URL, without a client's path and query.
    pub fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// The number of connections that are up now.
    pub fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// The number of failed dials and lost connections since a connection was last established.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// Records that a connection was established.
    pub(super) fn connected(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, Relaxed);
        self.failures.store(0, Relaxed);
        Live(Arc::clone(self))
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

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::ConnectFailure;

    fn endpoint() -> Arc<Endpoint> {
        Endpoint::new(UpstreamUrl::parse("ws://h:1").unwrap())
    }

    #[test]
    fn a_connection_counts_until_its_guard_is_dropped() {
        let endpoint = endpoint();
        let (one, two) = (endpoint.connected(), endpoint.connected());
        assert_eq!(endpoint.live(), 2);
        drop(one);
        assert_eq!(endpoint.live(), 1);
        drop(two);
        assert_eq!(endpoint.live(), 0);
    }

    #[test]
    fn failures_count_from_the_last_established_connection() {
        let endpoint = endpoint();
        let refused = Failure::connection(FailureKind::Connect(ConnectFailure::Status(503)), "");
        assert!(endpoint.ended(&refused) && endpoint.ended(&refused));
        assert_eq!(endpoint.failures(), 2);
        let _live = endpoint.connected();
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
