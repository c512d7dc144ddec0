//! Dials a server: awc's WebSocket handshake over a socket of [`net::Connect`](crate::net::Connect).

use std::{future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use awc::{BoxedSocket, Client};
use bytes::Bytes;

use super::{
    DialError,
    refused::KeepRefusals,
    request::{chosen_protocol, prepare},
};
use crate::{
    net::{Connect, Network, TcpOptions},
    settings::{Upstream, UpstreamUrl},
};

/// Longer than any connection lasts. It disables awc's time limit, so that `connect_timeout` is the only one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How a session reaches its upstream: the same for each of its connections.
#[derive(Clone)]
pub struct DialPlan {
    /// The upstream's settings.
    pub upstream: Arc<Upstream>,
    /// Where the upstream is: the settings' URL with the client's path and query.
    pub url: UpstreamUrl,
    /// Whether a program of the route reads the origin of events.
    pub reads_origin: bool,
    /// Headers of the handshake: the client's that are forwarded, and the configured ones.
    pub headers: Rc<[(HeaderName, HeaderValue)]>,
    /// Subprotocols to offer: the client's whole list until the client is answered, afterwards the one it was
    /// answered with.
    pub protocols: Rc<[String]>,
    /// The worker's client for this upstream.
    pub client: Client,
}

/// A connection whose handshake is complete.
pub struct Dialed {
    /// The upgraded socket.
    pub socket: BoxedSocket,
    /// Bytes that were received after the handshake's answer.
    pub rest: Bytes,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
    /// The headers of the server's answer.
    pub headers: HeaderMap,
}

/// A dial in progress. Dropping it ends it.
pub type Dialing = Pin<Box<dyn Future<Output = Result<Dialed, DialError>>>>;

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

/// The client of one worker thread for one upstream. Its sockets have these options.
pub fn client(network: &Arc<Network>, options: TcpOptions) -> Client {
    let connector = awc::Connector::new()
        .connector(Connect::new(Arc::clone(network), options))
        .timeout(FOREVER)
        // A WebSocket keeps its place in awc's pool for life. The number of sessions is bounded instead.
        .limit(0);
    let client = Client::builder().connector(connector).disable_timeout().disable_redirects();
    client.no_default_headers().wrap(KeepRefusals).finish()
}

/// Connects to `url` as planned, within the upstream's `connect_timeout` from the first poll on.
pub fn dial(plan: DialPlan, url: String) -> Dialing {
    let limit = plan.upstream.connect_timeout;
    Box::pin(async move {
        let connecting = handshake(&plan, &url);
        tokio::time::timeout(limit, connecting).await.unwrap_or(Err(DialError::Timeout(limit)))
    })
}

/// Continues a dial after the client has been answered with the subprotocol `promised`. A connection with
/// another subprotocol is an error.
pub fn with_promise(dialing: Dialing, promised: Option<String>) -> Dialing {
    Box::pin(async move {
        match dialing.await {
            Ok(Dialed { protocol: Some(chosen), .. }) if Some(&chosen) != promised.as_ref() => {
                Err(DialError::Promised)
            }
            other => other,
        }
    })
}

async fn handshake(plan: &DialPlan, url: &str) -> Result<Dialed, DialError> {
    let (response, framed) = prepare(plan, url).connect().await?;
    let headers = response.headers().clone();
    let protocol = chosen_protocol(&headers, &plan.protocols)?;
    let parts = framed.into_parts();
    // Copied, because otherwise one byte would keep the handshake's buffer of 8 KiB alive.
    let rest = Bytes::copy_from_slice(&parts.read_buf);
    Ok(Dialed { socket: parts.io, rest, protocol, headers })
}
