//! Upstreams: the servers that sessions connect to.
//!
//! ```text
//! Upstream (one per [upstream.NAME], shared by all threads)
//!  ├─ Endpoint: the server, its live connections and failures
//!  └─ Pacer: when reconnects of all sessions together may begin
//! Dialer (one per upstream and thread) ─► DialPlan (one per session) ─► Dialing
//! ```
//!
//! The first dial of a session and its supervisor ask the [`Upstream`] where to dial and when, and report what
//! happened to a connection.
//!
//! * [`dial`]: connects to a server and completes the WebSocket handshake; `request` prepares the handshake's
//!   request and checks the answer.
//! * [`refused`]: an upstream's answer that refuses the handshake.

pub mod dial;
mod endpoint;
mod error;
mod pacer;
pub mod refused;
mod request;

use std::{sync::Arc, time::Instant};

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

/// A configured upstream, with the state that all sessions share. There is one object per process for each
/// `[upstream.NAME]`.
pub struct Upstream {
    settings: Arc<settings::Upstream>,
    endpoint: Arc<Endpoint>,
    pacer: Pacer,
    /// Name look-ups and connecting, the same for all upstreams.
    network: Arc<Network>,
}

impl Upstream {
    /// An upstream to which nothing is connected.
    pub fn new(settings: Arc<settings::Upstream>, network: Arc<Network>) -> Arc<Self> {
        let endpoint = Endpoint::new(settings.url.clone());
        let pacer = Pacer::new(settings.restart.rate);
        Arc::new(Self { settings, endpoint, pacer, network })
    }

    /// Its settings.
    pub fn settings(&self) -> &Arc<settings::Upstream> {
        &self.settings
    }

    /// The endpoint for the next connection of a session.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// When a reconnect may begin that is due `now`: now or later, so that all sessions together keep to
    /// `restart.rate`. Each call reserves a slot.
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
        settings.restart.rate = 10;
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
}
