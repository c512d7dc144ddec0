//! Probes a server: whether it accepts connections, answers an HTTP request, or completes a WebSocket handshake and
//! answers a ping.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_http::Uri;
use bytes::Bytes;
use tokio::time::{timeout, timeout_at};

use super::{
    DialError,
    dial::{client_to, connector_to, open_websocket},
    request::{authorization, own_headers},
};
use crate::{
    failure::{ConnectFailure, Failure, FailureKind},
    net::{Network, Socket},
    policy::{CheckKind, ProbeCheck, Range},
    settings::{Upstream, UpstreamUrl},
    wire::{CloseFrame, Incoming, Link, LinkError, LivenessConfig, Role},
};

/// Maximum number of bytes of messages that a server sends before the pong. They are not kept.
const RECEIVED_MAX: usize = 16 * 1024 * 1024;

/// The payload of the ping.
const PAYLOAD: Bytes = Bytes::from_static(b"health");

/// A connection to a server that is probed. The proxy sends no messages on it.
type ProbeLink = Link<Socket, ()>;

/// Why a probe failed. The texts contain neither addresses nor credentials.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    /// There is no connection, or the handshake failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The HTTP response has a status that is not expected.
    #[error("health check failed: status {0}")]
    Status(u16),
    /// There was no HTTP response within the time.
    #[error("health check failed: no answer within {}", humantime::format_duration(*.0))]
    NoAnswer(Duration),
    /// There was no pong within the time.
    #[error("health check failed: no pong within {}", humantime::format_duration(*.0))]
    NoPong(Duration),
    /// The server closed the connection, with this code, before the pong.
    #[error("health check failed: closed with code {0} before the pong")]
    Closed(u16),
    /// The connection ended before the pong.
    #[error("health check failed: {0}")]
    Ended(#[from] LinkError),
    /// The server sent messages without end.
    #[error("health check failed: more than {RECEIVED_MAX} bytes before the pong")]
    Flooded,
}

/// Probes the server at `url` within the time of the settings: `health.timeout`, or else `connect_timeout`.
///
/// # Errors
/// The failure, in the words of the log.
pub(super) async fn check(
    network: Arc<Network>,
    settings: Arc<Upstream>,
    url: UpstreamUrl,
) -> Result<(), Failure> {
    let ProbeCheck { kind, path, timeout } = &settings.pool.check;
    let limit = timeout.unwrap_or(settings.connect_timeout);
    let url = match path {
        Some(path) => at(&url, path),
        None => url,
    };
    let checked = match kind {
        CheckKind::Tcp => connect(&network, &settings, &url, limit).await,
        CheckKind::Http(expected) => http(network, &settings, &url, expected, limit).await,
        CheckKind::Websocket => websocket_and_ping(network, &settings, &url, limit).await,
    };
    checked.map_err(|error| error.failure())
}

/// The same server with another path and query.
fn at(url: &UpstreamUrl, path: &str) -> UpstreamUrl {
    match path.split_once('?') {
        Some((path, query)) => url.at(path, Some(query)),
        None => url.at(path, None),
    }
}

/// Connects as a dial does, and closes the connection.
async fn connect(
    network: &Arc<Network>,
    settings: &Upstream,
    url: &UpstreamUrl,
    limit: Duration,
) -> Result<(), CheckError> {
    let Some(place) = url.place() else { return Ok(()) };
    match timeout(limit, connector_to(url, network, settings).open(place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(DialError::from(error).into()),
        Err(_) => Err(DialError::Timeout(limit).into()),
    }
}

/// Sends a GET request and compares the status. The body is not read.
async fn http(
    network: Arc<Network>,
    settings: &Upstream,
    url: &UpstreamUrl,
    expected: &[Range],
    limit: Duration,
) -> Result<(), CheckError> {
    let text = url.request();
    let (text, secret) = authorization(settings, &text);
    let uri: Uri = text.replacen("ws://", "http://", 1).parse().map_err(|_| unsent())?;
    let mut request = client_to(url, &network, settings).get(uri).force_close().camel_case();
    for (name, value) in own_headers(settings).into_iter().chain(secret) {
        request = request.insert_header((name, value));
    }
    let response = timeout(limit, request.send()).await.map_err(|_| CheckError::NoAnswer(limit))?;
    let status = response.map_err(DialError::from)?.status().as_u16();
    match expected.iter().any(|range| range.contains(status)) {
        true => Ok(()),
        false => Err(CheckError::Status(status)),
    }
}

fn unsent() -> CheckError {
    DialError::Handshake("request not sent").into()
}

/// Completes a handshake, and sends a ping. The connection is closed in the background, so that the result is known as
/// soon as the pong has arrived.
async fn websocket_and_ping(
    network: Arc<Network>,
    settings: &Upstream,
    url: &UpstreamUrl,
    limit: Duration,
) -> Result<(), CheckError> {
    let end = Instant::now() + limit;
    let headers = own_headers(settings);
    let opening = open_websocket((&network, settings), url, &headers, &[]);
    let upgraded = timeout_at(end.into(), opening).await.map_err(|_| DialError::Timeout(limit))??;
    let (limits, liveness) = (settings.limits, LivenessConfig::OFF);
    let mut link = ProbeLink::new(upgraded.socket, Role::Client, limits, &liveness, upgraded.rest);
    link.outbox().ping(PAYLOAD);
    let mut received = 0;
    let pong = poll_fn(|task| poll_pong(&mut link, &mut received, task));
    timeout_at(end.into(), pong).await.map_err(|_| CheckError::NoPong(limit))??;
    let _closing = actix_rt::spawn(timeout(settings.close_timeout, close(link)));
    Ok(())
}

/// Waits for the pong, and answers pings.
fn poll_pong(
    link: &mut ProbeLink,
    received: &mut usize,
    task: &mut Context<'_>,
) -> Poll<Result<(), CheckError>> {
    loop {
        if let Poll::Ready(Err(error)) = link.poll_flush(task, drop) {
            return Poll::Ready(Err(LinkError::Io(error).into()));
        }
        match link.poll_next(task) {
            Poll::Pending => {
                link.end_turn();
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(Incoming::Pong(payload))) if payload == PAYLOAD => return Poll::Ready(Ok(())),
            // The link allows no bursts.
            Poll::Ready(Ok(Incoming::Pong(_) | Incoming::Burst(_))) => {}
            Poll::Ready(Ok(Incoming::Ping(payload))) => link.outbox().pong(payload),
            Poll::Ready(Ok(Incoming::Close(frame))) => {
                let code = frame.map_or(1005, |frame| frame.code);
                return Poll::Ready(Err(CheckError::Closed(code)));
            }
            Poll::Ready(Ok(Incoming::Message(message))) => {
                *received += message.len();
                if *received > RECEIVED_MAX {
                    return Poll::Ready(Err(CheckError::Flooded));
                }
            }
        }
    }
}

/// Completes the closing handshake. The caller bounds the time.
fn close(mut link: ProbeLink) -> impl Future<Output = ()> {
    link.close(Some(&CloseFrame::new(1000, "")));
    let mut is_closed = false;
    poll_fn(move |task| {
        if let Poll::Ready(Err(_)) = link.poll_flush(task, drop) {
            return Poll::Ready(());
        }
        is_closed = is_closed || link.poll_peer_close(task).is_ready();
        // The server ends the TCP connection first, so that no port of the proxy stays in use.
        if is_closed { link.poll_end(task) } else { Poll::Pending }
    })
}

// === impl CheckError ===

impl CheckError {
    fn failure(&self) -> Failure {
        let kind = match self {
            Self::Dial(error) => return error.failure(),
            Self::NoAnswer(_) | Self::NoPong(_) => ConnectFailure::Timeout,
            Self::Status(_) | Self::Closed(_) | Self::Ended(_) | Self::Flooded => ConnectFailure::Handshake,
        };
        Failure::connection(FailureKind::Connect(kind), self.to_string())
    }
}
