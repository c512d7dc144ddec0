//! Dials a server: a WebSocket handshake over a socket of [`net::Connect`](crate::net::Connect).

use std::{
    cell::OnceCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use awc::Client;
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::Semaphore,
    time::{timeout, timeout_at},
};

use super::{
    ClientPath, Destination, DialError, Endpoint, HandshakeHeaders, Lease, SessionKey, Upstream,
    handshake::{Request, Upgraded, upgrade},
};
use crate::{
    net::{Connect, Network, Socket, TcpOptions},
    settings::{self, UpstreamUrl},
};

/// A time longer than any connection attempt. It disables awc's time limit, so that `connect_timeout` is the
/// only one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A dialer connects to one upstream.
#[derive(Clone)]
pub struct Dialer {
    upstream: Arc<Upstream>,
}

/// The dialers of all configurations in use.
pub trait Dialers {
    /// The dialer of the upstream with these settings; `None` if no configuration has them.
    fn dialer(&self, upstream: &Arc<settings::Upstream>) -> Option<Dialer>;
}

/// The facts that a session needs to reach its upstream, the same for each of its connections.
#[derive(Clone)]
pub struct DialPlan {
    /// Where the session gets its dialer when it adopts a configuration; `None` if it keeps the one that it has.
    pub dialers: Option<Rc<dyn Dialers>>,
    /// The dialer of the upstream.
    pub dialer: Dialer,
    /// The path and query that the client's request adds to the URL of an endpoint.
    pub path: ClientPath,
    /// The first endpoint of the upstream. Error replies name it until the session is connected.
    pub destination: Destination,
    /// The value that selects the endpoint, if the settings select it by a hash.
    pub key: SessionKey,
    /// Headers of the handshake.
    pub headers: HandshakeHeaders,
    /// Subprotocols to offer: the client's whole list until the client is answered, and the one in the
    /// response to it afterwards.
    pub protocols: Rc<[String]>,
}

/// A connection whose handshake is complete.
pub struct Dialed {
    /// The upgraded socket.
    pub socket: Socket,
    /// Bytes that were received after the response to the handshake.
    pub rest: Bytes,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
    /// The headers of the server's response.
    pub headers: HeaderMap,
    /// The server.
    pub destination: Destination,
    /// Counts the session at its endpoint.
    pub lease: Lease,
}

/// Maximum number of bytes that are read from a connection before a connector serves it.
const REST_MAX: usize = 64 << 10;

/// A dial in progress. Dropping it ends it.
pub struct Dialing {
    dial: Pin<Box<dyn Future<Output = Result<Dialed, DialError>>>>,
    promise: Promise,
}

/// The subprotocol in the response to a client that was answered before the dial had ended. Not set while the
/// client waits.
type Promise = Rc<OnceCell<Option<String>>>;

/// The state of a session's first dial when its client is accepted.
pub enum First {
    /// The connection is up.
    Up(Box<Dialed>),
    /// The dial continues, and events wait for it.
    Pending(Dialing),
    /// The dial failed, and the route keeps its client.
    Failed(DialError),
    /// There was no dial, because every event names its server by `$url`.
    NotNeeded,
}

impl Dialer {
    /// Creates a dialer.
    pub fn new(upstream: &Arc<Upstream>) -> Self {
        Self { upstream: Arc::clone(upstream) }
    }

    /// The upstream of the dialer.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

/// A client for one HTTP request to this URL. All its requests go there, because awc passes only host and port to its
/// connector.
pub(super) fn client_to(url: &UpstreamUrl, network: &Arc<Network>, settings: &settings::Upstream) -> Client {
    let connect = connector_to(url, network, settings);
    match url.place() {
        Some(place) => client(connect.to(place.clone())),
        None => client(connect),
    }
}

/// The connector for this URL, with TLS if the URL requires it.
pub(super) fn connector_to(
    url: &UpstreamUrl,
    network: &Arc<Network>,
    settings: &settings::Upstream,
) -> Connect {
    let connect = Connect::new(Arc::clone(network), settings.tcp);
    match url.is_secure() {
        true => connect.secured(&settings.tls, url.host().unwrap_or_default()),
        false => connect,
    }
}

fn client(connect: Connect) -> Client {
    let connector = awc::Connector::new().connector(connect).timeout(FOREVER).limit(0);
    let client = Client::builder().connector(connector).disable_timeout().disable_redirects();
    client.no_default_headers().finish()
}

/// Connects to the server, and completes a handshake with these headers. The caller bounds the time. The socket does not have
/// the options of the settings: they are for connections that last.
pub(super) async fn open_websocket(
    (network, settings): (&Arc<Network>, &settings::Upstream),
    url: &UpstreamUrl,
    headers: &[(HeaderName, HeaderValue)],
    protocols: &[String],
) -> Result<Upgraded, DialError> {
    let place = url.place().ok_or(DialError::Handshake("request not sent"))?;
    let connector = connector_to(url, network, settings).with_options(TcpOptions::OFF);
    let socket = connector.open(place).await?;
    upgrade(socket, Request::new(settings, url, headers, protocols), protocols).await
}

impl DialPlan {
    /// The upstream of the plan.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.dialer.upstream
    }

    /// The settings of the upstream.
    pub fn settings(&self) -> &Arc<settings::Upstream> {
        &self.dialer.upstream.settings
    }

    /// Uses these settings of the upstream from the next connection on: those that the session adopts, which may be
    /// older than those in force. Returns false if no configuration has them. Then the session adopts others next.
    pub fn adopt(&mut self, upstream: &Arc<settings::Upstream>) -> bool {
        let dialer = self.dialers.as_ref().and_then(|dialers| dialers.dialer(upstream));
        let is_known = dialer.is_some();
        if let Some(dialer) = dialer {
            self.dialer = dialer;
        }
        is_known
    }

    /// Connects to the upstream within `connect_timeout`. A reconnect has the lease of the endpoint that is dialed
    /// first; for the first dial of a session the pool chooses it. If an endpoint fails, the next one is tried, each at
    /// most once: by a reconnect at the pace of `restart.rate`. An endpoint that does not answer has half of the time
    /// that is left, as long as there is another one.
    pub fn dial(&self, lease: Option<Lease>) -> Dialing {
        let promise = Promise::default();
        let (plan, promised) = (self.clone(), Rc::clone(&promise));
        let dial = Box::pin(async move {
            if lease.is_none() && plan.key.is_awaited() {
                // A client that sends nothing gets an endpoint as if it had no key.
                _ = timeout(plan.settings().connect_timeout, plan.key.wait()).await;
            }
            let end = plan.end();
            dial_pool(plan, lease, Vec::new(), end, promised).await
        });
        Dialing { dial, promise }
    }

    /// Connects to the endpoint of the lease. If it fails, the next one is tried, except for `besides`.
    pub fn dial_besides(&self, lease: Lease, besides: Option<Arc<Endpoint>>) -> Dialing {
        let promise = Promise::default();
        let tried = besides.into_iter().collect();
        let dial = Box::pin(dial_pool(self.clone(), Some(lease), tried, self.end(), Rc::clone(&promise)));
        Dialing { dial, promise }
    }

    /// Connects again without a lease, because an event names the upstream: within `connect_timeout`, and at the pace
    /// of `restart.rate`.
    pub fn dial_again(&self) -> Dialing {
        let promise = Promise::default();
        let (plan, promised) = (self.clone(), Rc::clone(&promise));
        let dial = Box::pin(async move {
            let end = plan.end();
            let lease = next_lease(&plan, &[], end, true).await?;
            dial_pool(plan, Some(lease), Vec::new(), end, promised).await
        });
        Dialing { dial, promise }
    }

    /// Connects to a server that an event names, and that is not in the pool, within `connect_timeout` and the limits
    /// of one endpoint; with `pacing`, at the pace of `restart.rate`; see `Upstream::acquire_named`.
    pub fn dial_at(&self, url: &UpstreamUrl, pacing: Option<Rc<Semaphore>>) -> Dialing {
        let promise = Promise::default();
        let (plan, url, promised) = (self.clone(), url.clone(), Rc::clone(&promise));
        let dial = Box::pin(async move {
            let (time, end) = (plan.settings().connect_timeout, plan.end());
            let turn = plan.upstream().acquire_named(&url, pacing.as_deref(), end);
            let Ok(Some(lease)) = timeout_at(end.into(), turn).await else {
                return Err(DialError::Timeout(time));
            };
            let left = end.saturating_duration_since(Instant::now());
            let destination = Destination { endpoint: Arc::clone(lease.endpoint()), url };
            connect(&plan, lease, destination, &promised, DialLimit { time: left, shown: time }).await
        });
        Dialing { dial, promise }
    }

    /// The end of a dial that begins now.
    fn end(&self) -> Instant {
        Instant::now() + self.settings().connect_timeout
    }
}

impl Dialed {
    /// Whether the server has ended the connection, which no connector serves yet. Reads what the server has sent, up
    /// to `REST_MAX` bytes.
    pub fn has_ended(&mut self) -> bool {
        let mut task = Context::from_waker(Waker::noop());
        let mut bytes = [0; 4096];
        while self.rest.len() < REST_MAX {
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(&mut task, &mut read) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.rest = [&self.rest, read.filled()].concat().into();
                }
                Poll::Ready(_) => return true,
            }
        }
        false
    }
}

impl Dialing {
    /// Continues the dial after the response to the client has named the subprotocol `promised`. The dial fails if
    /// the server chooses another one.
    pub fn promise(self, promised: Option<String>) -> Self {
        // A client is answered once.
        let _ = self.promise.set(promised);
        self
    }
}

impl Future for Dialing {
    type Output = Result<Dialed, DialError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.dial.as_mut().poll(task)
    }
}

/// Tries the endpoints until `end`, first that of the lease, and none of `tried`.
async fn dial_pool(
    plan: DialPlan,
    mut lease: Option<Lease>,
    mut tried: Vec<Arc<Endpoint>>,
    end: Instant,
    promise: Promise,
) -> Result<Dialed, DialError> {
    let (upstream, is_reconnect) = (plan.upstream(), lease.is_some());
    let mut last = None;
    loop {
        let lease = match lease.take() {
            Some(lease) => lease,
            None => match next_lease(&plan, &tried, end, is_reconnect && last.is_some()).await {
                Ok(lease) => lease,
                Err(error) => return Err(last.unwrap_or(error)),
            },
        };
        let endpoint = Arc::clone(lease.endpoint());
        tried.push(Arc::clone(&endpoint));
        // The client's path makes this endpoint's URL too long. The handshake has checked the first endpoint's.
        let Ok(url) = plan.path.at(endpoint.url()) else { continue };
        let left = end.saturating_duration_since(Instant::now());
        let limit = match upstream.has_another(&tried) {
            true => DialLimit::part(left / 2, plan.settings().connect_timeout),
            false => DialLimit { time: left, shown: plan.settings().connect_timeout },
        };
        match connect(&plan, lease, Destination { endpoint, url }, &promise, limit).await {
            Err(error) if error.concerns_endpoint() => last = Some(error),
            result => return result,
        }
    }
}

/// Waits for an endpoint that can be dialed, and then for the pace of reconnects if `is_paced`.
async fn next_lease(
    plan: &DialPlan,
    tried: &[Arc<Endpoint>],
    end: Instant,
    is_paced: bool,
) -> Result<Lease, DialError> {
    let (upstream, key) = (plan.upstream(), plan.key.get());
    match is_paced {
        true => upstream.acquire_paced(key, tried, end).await,
        false => upstream.acquire(key, tried, end).await,
    }
}

/// How long one dial may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DialLimit {
    time: Duration,
    /// The time as texts show it.
    shown: Duration,
}

impl DialLimit {
    /// A part of `connect_timeout`. Texts show it in twentieths of that time, so that each dial with the same limit has
    /// the same text.
    fn part(time: Duration, connect_timeout: Duration) -> Self {
        let step = (connect_timeout / 20).max(Duration::from_millis(1));
        let steps = (time + step / 2).as_nanos() / step.as_nanos();
        Self { time, shown: step * u32::try_from(steps).unwrap_or(u32::MAX) }
    }
}

/// Connects within `limit`, and reports the result to the upstream.
async fn connect(
    plan: &DialPlan,
    mut lease: Lease,
    destination: Destination,
    promise: &OnceCell<Option<String>>,
    limit: DialLimit,
) -> Result<Dialed, DialError> {
    let dialed = timeout(limit.time, handshake(plan, &destination, promise)).await;
    match dialed.unwrap_or(Err(DialError::Timeout(limit.shown))) {
        Ok(Upgraded { socket, rest, protocol, headers }) => {
            plan.upstream().report_up(&mut lease);
            Ok(Dialed { socket, rest, protocol, headers, destination, lease })
        }
        Err(error) => {
            drop(lease);
            plan.upstream().report_end(&destination.endpoint, &error.failure());
            Err(error)
        }
    }
}

async fn handshake(
    plan: &DialPlan,
    destination: &Destination,
    promise: &OnceCell<Option<String>>,
) -> Result<Upgraded, DialError> {
    let (upstream, headers) = (plan.upstream(), plan.headers.get());
    let server = (&upstream.network, &*upstream.settings);
    let upgraded = open_websocket(server, &destination.url, &headers, &plan.protocols).await?;
    if upgraded.protocol.is_some() && promise.get().is_some_and(|promised| *promised != upgraded.protocol) {
        return Err(DialError::Promised);
    }
    Ok(upgraded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_limit_has_the_same_text() {
        let ms = Duration::from_millis;
        let shown = |time| DialLimit::part(time, ms(600)).shown;
        assert_eq!([ms(300), Duration::from_micros(299_100), ms(290)].map(shown), [ms(300); 3]);
        assert_eq!(shown(ms(150)), ms(150));
        assert_eq!(DialLimit::part(ms(1), ms(2)).shown, ms(1));
    }
}
