//! Upstreams: the servers that sessions connect to.
//!
//! ```text
//! Upstream (one per [upstream.NAME], shared by all threads)
//!  ├─ Endpoint: the server, its live connections and failures; with a ClientPath it gives the Destination
//!  └─ Pacer: when reconnects of all sessions together may begin
//! Dialer (one per upstream and thread) ─► DialPlan (one per session) ─► Dialing
//! ```
//!
//! The first dial of a session and its supervisor get from the [`Upstream`] where to dial and when, and
//! report to it the result of a dial and the end of a connection.
//!
//! * [`dial`]: connects to a server and completes the WebSocket handshake; `request` prepares the handshake's
//!   request and checks the response.
//! * [`refused`]: the response of an upstream that refuses the handshake.

mod client_path;
pub mod dial;
mod endpoint;
mod error;
mod pacer;
pub mod refused;
mod request;

use std::{sync::Arc, time::Instant};

pub use client_path::{ClientPath, PathError};
pub use dial::{DialPlan, Dialed, Dialer, Dialing, First};
pub use endpoint::{Destination, Endpoint, Live};
pub use error::DialError;
pub use pacer::Pacer;

use crate::{
    failure::Failure,
    log::Quoted,
    net::Network,
    reply,
    settings::{self, UpstreamUrl},
};

/// A configured upstream, with the state that all sessions share. The process has one instance for each
/// section `[upstream.NAME]`.
pub struct Upstream {
    settings: Arc<settings::Upstream>,
    endpoint: Arc<Endpoint>,
    pacer: Arc<Pacer>,
    /// Name look-ups and connecting, shared by all upstreams.
    network: Arc<Network>,
}

impl Upstream {
    /// Creates an upstream without connections.
    pub fn new(settings: Arc<settings::Upstream>, network: Arc<Network>) -> Arc<Self> {
        let endpoint = Endpoint::new(settings.url.clone());
        let pacer = Arc::new(Pacer::new(settings.restart.rate));
        Arc::new(Self { settings, endpoint, pacer, network })
    }

    /// The same upstream with other settings. It keeps the endpoint's counters if the URL stays the same, and
    /// the reserved slots for reconnects if the rate stays the same, because connections under the old
    /// settings continue.
    pub fn with_settings(&self, settings: Arc<settings::Upstream>) -> Arc<Self> {
        let endpoint = match *self.endpoint.url() == settings.url {
            true => Arc::clone(&self.endpoint),
            false => Endpoint::new(settings.url.clone()),
        };
        let pacer = match self.settings.restart.rate == settings.restart.rate {
            true => Arc::clone(&self.pacer),
            false => Arc::new(Pacer::new(settings.restart.rate)),
        };
        Arc::new(Self { settings, endpoint, pacer, network: Arc::clone(&self.network) })
    }

    /// The settings of the upstream.
    pub fn settings(&self) -> &Arc<settings::Upstream> {
        &self.settings
    }

    /// The endpoint of the upstream.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The destination of the next connection of a session. `path` is what the client's request adds to the
    /// URL.
    ///
    /// # Errors
    /// When the URL would be too long.
    pub fn destination(&self, path: &ClientPath) -> Result<Destination, PathError> {
        let endpoint = Arc::clone(&self.endpoint);
        Ok(Destination { url: path.at(endpoint.url())?, endpoint })
    }

    /// Whether `url` names one of the endpoints, for a client that requested `path`.
    pub fn is_own(&self, url: &str, path: &ClientPath) -> bool {
        path.is_at(self.endpoint.url(), url)
    }

    /// The time, `now` or later, at which a reconnect that is due `now` may begin, so that all sessions
    /// together stay within `restart.rate`. Each call reserves a slot.
    pub fn reserve_reconnect(&self, now: Instant) -> Instant {
        self.pacer.reserve(now)
    }

    /// Reports that a connection to `endpoint` was established. It counts as live until the guard is dropped.
    pub fn report_up(&self, endpoint: &Arc<Endpoint>) -> Live {
        endpoint.connected()
    }

    /// Reports that a dial of `endpoint` failed, or that an established connection to it ended.
    pub fn report_end(&self, endpoint: &Endpoint, failure: &Failure) {
        if endpoint.ended(failure) {
            let UpstreamUrl { shown, .. } = endpoint.url();
            log::debug!(
                "endpoint failed upstream={} url={} failures={} reason={}",
                self.settings.name,
                Quoted(shown),
                endpoint.failures(),
                Quoted(&reply::reason(failure)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::fixture, wire::LinkError};

    #[test]
    fn all_sessions_share_the_endpoint_and_the_pace_of_reconnects() {
        let mut settings = fixture::upstream();
        Arc::make_mut(&mut settings.restart).rate = 10;
        let upstream = Upstream::new(Arc::new(settings), Network::system());
        let live = upstream.report_up(upstream.endpoint());
        upstream.report_end(upstream.endpoint(), &Failure::from(&LinkError::Eof));
        assert_eq!((upstream.endpoint().live(), upstream.endpoint().failures()), (1, 1));
        drop(live);
        assert_eq!(upstream.endpoint().live(), 0);
        let now = Instant::now();
        let slots = [(); 3].map(|()| upstream.reserve_reconnect(now).duration_since(now).as_millis());
        assert_eq!(slots, [0, 100, 200]);
    }

    #[test]
    fn counters_and_slots_survive_a_change_of_other_settings() {
        let settings = fixture::upstream();
        let upstream = Upstream::new(Arc::new(settings.clone()), Network::system());
        let _live = upstream.report_up(upstream.endpoint());
        let now = Instant::now();
        upstream.reserve_reconnect(now);

        let max_in_flight = settings.max_in_flight + 1;
        let changed = settings::Upstream { max_in_flight, ..settings.clone() };
        let same = upstream.with_settings(Arc::new(changed));
        assert_eq!((same.settings().max_in_flight, same.endpoint().live()), (max_in_flight, 1));
        assert!(same.reserve_reconnect(now) > now);

        let url = UpstreamUrl::parse("ws://other:1").unwrap();
        let restart = settings::Restart { rate: settings.restart.rate + 1, ..*settings.restart };
        let restart = Arc::new(restart);
        let moved = same.with_settings(Arc::new(settings::Upstream { url, restart, ..settings }));
        assert_eq!((moved.endpoint().live(), moved.reserve_reconnect(now)), (0, now));
    }
}
