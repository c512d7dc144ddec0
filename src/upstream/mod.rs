//! Upstreams: the servers that sessions connect to.
//!
//! ```text
//! Upstream (one per [upstream.NAME], shared by all threads)
//!  ├─ Pool: its endpoints, their states, and which one is dialed next
//!  │   └─ Endpoint: a server and its sessions; with a ClientPath it gives the Destination
//!  └─ Pacer: when reconnects of all sessions together may begin
//! Monitor (one per upstream) probes endpoints that are down, and publishes into the pool
//! Follow (one per upstream) reads the file of endpoints and looks up names, and changes the endpoints of the pool
//! Dialer (one per upstream and thread) ─► DialPlan (one per session) ─► Dialing
//! ```
//!
//! The first dial of a session and its supervisor get from the [`Upstream`] where to dial and when, and
//! report to it the result of a dial and the end of a connection.
//!
//! * [`dial`]: connects to a server and completes the WebSocket handshake; `request` prepares the handshake's
//!   request and checks the response.
//! * `http`: connects to a server for a request that is no handshake.
//! * [`moves`]: which sessions move to another connection; `mover` has the messages for that.
//! * [`refused`]: the response of an upstream that refuses the handshake.
//! * `check`: probes a server.
//! * `operator`: what operators see and change.
//! * [`pool`], [`balance`], [`health`], [`breaker`], [`probe`]: the pure decisions about endpoints.
//! * `named`: servers that events name by `$url`, and their limits.
//! * `restarts`: the last restarts of connectors.
//! * [`discovery`]: which endpoints there are; `own_urls`: their URLs.

pub mod balance;
pub mod breaker;
mod check;
mod client_path;
pub mod dial;
pub mod discovery;
mod endpoint;
mod error;
mod follow;
mod handshake;
mod handshake_headers;
pub mod health;
mod http;
mod key;
mod monitor;
mod mover;
pub mod moves;
mod named;
mod operator;
mod own_urls;
mod pacer;
pub mod pool;
pub mod probe;
pub mod queue;
pub mod refused;
mod request;
mod restarts;
mod shared;

use std::{future::Future, sync::Arc, time::Instant};

use tokio::{
    sync::Semaphore,
    time::{sleep_until, timeout, timeout_at},
};

pub use client_path::{ClientPath, PathError};
pub use dial::{DialPlan, Dialed, Dialer, Dialers, Dialing, First};
pub use endpoint::{Destination, Endpoint, Lease};
pub use error::DialError;
pub use handshake_headers::HandshakeHeaders;
pub use http::{HttpConnection, HttpTarget};
pub use key::SessionKey;
pub use monitor::Monitors;
pub use mover::{Announced, IdleFlag, Movable, Move, MoveSlot};
pub use pacer::Pacer;
pub use restarts::{ConnectionChange, ConnectionChangeKind, ConnectionChanges, ConnectionLoss, LossSequel};

use self::{
    named::Room,
    pool::{Begin, EndpointState, Pick},
    shared::{BUSY_PAUSE, Shared, lock},
};
use crate::{
    failure::Failure,
    log::{Quoted, Suppressed},
    net::Network,
    reply,
    settings::{self, UpstreamUrl},
};

/// A configured upstream, with the state that all sessions share. Each configuration has one instance for each
/// section `[upstream.NAME]`; the instances of a section share the pool.
pub struct Upstream {
    settings: Arc<settings::Upstream>,
    shared: Arc<Shared>,
    pacer: Arc<Pacer>,
    /// Name look-ups and connecting, shared by all upstreams.
    network: Arc<Network>,
}

/// A wait until a session may dial. It holds the session's place in the queue.
pub struct DialTurn(shared::QueuePlaces);

// === impl Upstream ===

impl Upstream {
    /// Creates an upstream without connections.
    pub fn new(settings: Arc<settings::Upstream>, network: Arc<Network>) -> Arc<Self> {
        let shared = Shared::new(&settings);
        let pacer = Arc::new(Pacer::new(settings.restart.rate));
        Arc::new(Self { settings, shared, pacer, network })
    }

    /// The same upstream with other settings. It keeps the state and the counters of each endpoint whose URL stays
    /// the same. It keeps the reserved slots for reconnects if the rate stays the same, because connections under
    /// the old settings continue.
    pub fn with_settings(&self, settings: Arc<settings::Upstream>) -> Arc<Self> {
        self.shared.configure(&settings);
        let pacer = match self.settings.restart.rate == settings.restart.rate {
            true => Arc::clone(&self.pacer),
            false => Arc::new(Pacer::new(settings.restart.rate)),
        };
        let (shared, network) = (Arc::clone(&self.shared), Arc::clone(&self.network));
        Arc::new(Self { settings, shared, pacer, network })
    }

    /// The settings of the upstream.
    pub fn settings(&self) -> &Arc<settings::Upstream> {
        &self.settings
    }

    /// The first endpoint. Error replies name it while nothing is connected.
    pub fn endpoint(&self) -> Arc<Endpoint> {
        self.shared.first(&self.settings.url)
    }

    /// All endpoints and their states.
    pub fn endpoints(&self, now: Instant) -> Vec<(Arc<Endpoint>, EndpointState)> {
        self.shared.pool().endpoints(now).map(|(endpoint, state)| (Arc::clone(endpoint), state)).collect()
    }

    /// The first endpoint as a destination. `path` is what the client's request adds to the URL.
    ///
    /// # Errors
    /// When the URL would be too long.
    pub fn destination(&self, path: &ClientPath) -> Result<Destination, PathError> {
        let endpoint = self.endpoint();
        Ok(Destination { url: path.at(endpoint.url())?, endpoint })
    }

    /// Whether `url` names one of the endpoints, for a client that requested `path`.
    pub fn is_own(&self, url: &str, path: &ClientPath) -> bool {
        self.shared.is_own(url, path)
    }

    /// The same question, for as long as a session lives, whatever the settings are.
    pub fn owns(&self, path: ClientPath) -> impl Fn(&str) -> bool + 'static {
        let shared = Arc::clone(&self.shared);
        move |url| shared.is_own(url, &path)
    }

    /// Chooses the endpoint for a reconnect of a session with this key, and reserves a place there; see
    /// [`DialPlan::key`] and [`begin`](Self::begin).
    pub fn reserve(&self, key: Option<u64>) -> Pick {
        self.shared.reserve(key, &[])
    }

    /// Begins the dial for which a place was reserved.
    pub fn begin(&self, lease: &mut Lease) -> Begin {
        self.shared.begin(lease)
    }

    /// Counts a log line about a session's connection against the limit of lines per second. Returns the note about
    /// suppressed lines of its level; `None` if the line is suppressed.
    pub fn line(&self, level: log::Level) -> Option<Suppressed> {
        self.shared.line(level)
    }

    /// Records that a session lost its connection, or made another one.
    pub fn record(&self, change: ConnectionChange) {
        lock(&self.shared.restarts).push(change);
    }

    /// What was recorded after the first `seen` changes.
    pub fn changes(&self, seen: u64) -> ConnectionChanges {
        lock(&self.shared.restarts).after(seen)
    }

    /// Waits until `end` for an endpoint that can be dialed, other than those in `tried`.
    async fn acquire(
        &self,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        end: Instant,
    ) -> Result<Lease, DialError> {
        // Most dials find an endpoint at once, and wait in no queue.
        if Instant::now() < end
            && let Pick::Endpoint(lease) = self.shared.pick(key, tried)
        {
            return Ok(lease);
        }
        self.until(end, self.shared.available(|| self.shared.pick(key, tried))).await
    }

    /// Reserves a place at an endpoint that can be dialed, other than those in `tried`, and waits for the pace of
    /// reconnects, all until `end`. The order matters: when an outage ends, all sessions that wait find an endpoint at
    /// the same moment.
    async fn acquire_paced(
        &self,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        end: Instant,
    ) -> Result<Lease, DialError> {
        let reserve = || self.shared.available(|| self.shared.reserve(key, tried));
        let begun = async {
            let mut lease = reserve().await?;
            if !self.pace(end).await {
                return Err(self.late());
            }
            loop {
                let turn = self.turn();
                match self.begin(&mut lease) {
                    Begin::Now => return Ok(lease),
                    Begin::Wait => {
                        // Dials of new clients came first.
                        self.expect_room();
                        _ = timeout(BUSY_PAUSE, turn.room()).await;
                    }
                    Begin::Gone => lease = reserve().await?,
                }
            }
        };
        self.until(end, begun).await
    }

    async fn until(
        &self,
        end: Instant,
        lease: impl Future<Output = Result<Lease, DialError>>,
    ) -> Result<Lease, DialError> {
        // A lease that is ready would come too late as well.
        if Instant::now() >= end {
            return Err(self.late());
        }
        timeout_at(end.into(), lease).await.unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> DialError {
        DialError::Timeout(self.settings.connect_timeout)
    }

    /// Whether another endpoint than those in `tried` may be dialed.
    fn has_another(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.shared.has_another(tried)
    }

    /// The time, `now` or later, at which a reconnect that is due `now` may begin, so that all sessions
    /// together stay within `restart.rate`. Each call reserves a slot.
    pub fn reserve_reconnect(&self, now: Instant) -> Instant {
        self.pacer.reserve(now)
    }

    /// Waits for the time at which another reconnect may begin. Returns false if that is not before `end`.
    async fn pace(&self, end: Instant) -> bool {
        let slot = self.pacer.reserve_before(Instant::now(), end);
        match slot {
            Some(slot) => sleep_until(slot.into()).await,
            None => return false,
        }
        true
    }

    /// Reserves a place at a server that an event names, when it has room, and waits for its slots: with `pacing`, that
    /// of the pace of reconnects, and that of the server's rate. Returns `None` if a slot is not before `end`, which is
    /// also when the caller has to give up.
    ///
    /// `pacing` admits one dial of the session at a time to the wait for the pace, so that a session that names many
    /// servers delays the reconnects of others as little as one that names one. A server without room does not hold up
    /// the dials to the session's other servers.
    async fn acquire_named(
        &self,
        url: &UpstreamUrl,
        pacing: Option<&Semaphore>,
        end: Instant,
    ) -> Option<Lease> {
        let limits = || self.shared.settings().pool.breaker;
        let mut lease = loop {
            let room = lock(&self.shared.named).reserve(url, &limits(), Instant::now());
            match room {
                Room::Reserved(lease) => break lease,
                Room::Full(waiter) => _ = timeout(BUSY_PAUSE, waiter).await,
            }
        };
        if let Some(pacing) = pacing {
            // The semaphore is never closed.
            let _turn = pacing.acquire().await;
            if !self.pace(end).await {
                return None;
            }
        }
        let slot = lock(&self.shared.named).slot(url, &limits(), Instant::now(), end)?;
        sleep_until(slot.into()).await;
        lease.begin();
        Some(lease)
    }

    /// Waits from now on for the moment when the session may dial.
    pub fn turn(&self) -> DialTurn {
        DialTurn(self.shared.turn())
    }

    /// A session begins to wait for [`DialTurn::room`].
    pub fn expect_room(&self) {
        self.shared.expect_room();
    }

    /// Has the endpoints that are down probed soon, because a client waits or a message has failed.
    pub fn want_probe(&self) {
        self.shared.want_probe();
    }

    /// Reports that a connection was established. It counts as live until its lease is dropped.
    pub fn report_up(&self, lease: &mut Lease) {
        self.shared.established(lease);
    }

    /// Reports that a dial of `endpoint` failed, or that an established connection to it ended.
    pub fn report_end(&self, endpoint: &Arc<Endpoint>, failure: &Failure) {
        if endpoint.ended(failure) {
            log::debug!(
                "endpoint failed upstream={} url={} failures={} reason={}",
                self.settings.name,
                Quoted(&endpoint.url().shown),
                endpoint.failures(),
                Quoted(&reply::reason(failure)),
            );
            self.shared.failed(endpoint, failure);
        }
    }
}

// === impl DialTurn ===

impl DialTurn {
    /// Resolves when an endpoint has come up: for a session that found all of them down.
    pub fn ready(self) -> impl Future<Output = ()> + 'static {
        self.0.ready()
    }

    /// Resolves when an endpoint has come up or has room: for a session that found all of them busy.
    pub fn room(self) -> impl Future<Output = ()> + 'static {
        self.0.room()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        task::{Context, Waker},
        time::Duration,
    };

    use super::*;
    use crate::{
        failure::{ConnectFailure, FailureKind},
        settings::{UpstreamUrl, fixture},
        wire::LinkError,
    };

    #[test]
    fn all_sessions_share_the_endpoint_and_the_pace_of_reconnects() {
        let mut settings = fixture::upstream();
        Arc::make_mut(&mut settings.restart).rate = 10;
        let upstream = Upstream::new(Arc::new(settings), Network::system());
        let mut lease = upstream.endpoint().lease();
        upstream.report_up(&mut lease);
        upstream.report_end(&upstream.endpoint(), &Failure::from(&LinkError::Eof));
        assert_eq!((upstream.endpoint().live(), upstream.endpoint().failures()), (1, 1));
        drop(lease);
        assert_eq!(upstream.endpoint().live(), 0);
        let now = Instant::now();
        let slots = [(); 3].map(|()| upstream.reserve_reconnect(now).duration_since(now).as_millis());
        assert_eq!(slots, [0, 100, 200]);
    }

    /// All that wait for the end of an outage find the endpoint up at the same moment, so the slot is taken after that.
    #[test]
    fn a_reconnect_that_waits_for_the_end_of_an_outage_keeps_the_pace_after_it() {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let mut settings = fixture::upstream();
        Arc::make_mut(&mut settings.restart).rate = 1;
        let upstream = Upstream::new(Arc::new(settings), Network::system());
        upstream.shared.watch();
        let refused = Failure::connection(FailureKind::Connect(ConnectFailure::Refused), "");
        let (endpoint, now) = (upstream.endpoint(), Instant::now());
        let end = now + HOUR;
        let mut task = Context::from_waker(Waker::noop());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _context = runtime.enter();
        let mut after_an_outage = || {
            upstream.report_end(&endpoint, &refused);
            let mut reconnect = Box::pin(upstream.acquire_paced(None, &[], end));
            assert!(reconnect.as_mut().poll(&mut task).is_pending(), "all endpoints are down");
            upstream.report_up(&mut endpoint.lease());
            runtime.block_on(reconnect)
        };
        let lease = after_an_outage().expect("the first slot is free");
        assert_eq!((endpoint.dials(), endpoint.reserved()), (1, 0));
        drop(lease);
        while upstream.reserve_reconnect(now) < end {}
        assert!(matches!(after_an_outage(), Err(DialError::Timeout(_))), "no slot is before the end");
        assert_eq!(endpoint.sessions(), 0);
    }

    #[test]
    fn counters_and_slots_survive_a_change_of_other_settings() {
        let settings = fixture::upstream();
        let upstream = Upstream::new(Arc::new(settings.clone()), Network::system());
        let mut lease = upstream.endpoint().lease();
        upstream.report_up(&mut lease);
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
        let endpoints = vec![settings::EndpointConfig::new(url.clone())];
        let moved = same.with_settings(Arc::new(settings::Upstream { url, endpoints, restart, ..settings }));
        assert_eq!((moved.endpoint().live(), moved.reserve_reconnect(now)), (0, now));
    }
}
