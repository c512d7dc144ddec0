//! The connector's handshake: awc's, on a TCP socket with options of ours.

use std::{
    borrow::Cow,
    error::Error,
    future::Future,
    io::{self, ErrorKind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{
    error::ParseError,
    header::{
        AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
        UPGRADE,
    },
};
use awc::{
    BoxedSocket, Client,
    error::{ConnectError, SendRequestError, WsClientError},
};
use bytes::Bytes;

use super::refused::{KeepRefusals, Refused};
use crate::{
    header_list::elements,
    net::{Connect, LookupError, Network, TcpOptions},
    reply::Reason,
    settings::{Upstream, UpstreamUrl},
    userinfo,
};

/// awc's own limits on time are switched off by this: `connect_timeout` is the only one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How a session reaches its upstream: the same for each of its connections.
#[derive(Clone)]
pub struct DialPlan {
    /// The upstream's settings.
    pub upstream: Arc<Upstream>,
    /// Where the upstream is: the settings' URL with the client's path and query.
    pub url: UpstreamUrl,
    /// Whether a program of the route asks where events come from.
    pub reads_origin: bool,
    /// Headers of the handshake: the client's that are passed on, and the configured ones.
    pub headers: Rc<[(HeaderName, HeaderValue)]>,
    /// Subprotocols to offer: the client's whole list before it was answered, the one it was answered
    /// with afterwards.
    pub protocols: Rc<[String]>,
    /// The worker's client for this upstream.
    pub client: Client,
}

/// A connection whose handshake is done.
pub struct Dialed {
    /// The upgraded socket.
    pub socket: BoxedSocket,
    /// Bytes that came behind the handshake.
    pub rest: Bytes,
    /// The subprotocol that the upstream chose.
    pub protocol: Option<String>,
    /// The headers of the upstream's answer.
    pub headers: HeaderMap,
}

/// A dial in progress. Dropping it ends it.
pub type Dialing = Pin<Box<dyn Future<Output = Result<Dialed, DialError>>>>;

/// What has become of a session's first dial when its client is let in.
pub enum First {
    /// The connection is up.
    Up(Box<Dialed>),
    /// The dial goes on; events wait for it.
    Pending(Dialing),
    /// The dial failed, and the route keeps its client.
    Failed(DialError),
    /// There was none: every event names its server by `$url`.
    NotNeeded,
}

/// Why an upstream could not be reached. The texts name neither address nor credentials.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The upstream answered the handshake with another status than 101.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The upstream chose a subprotocol that was not offered.
    #[error("handshake failed: subprotocol was not offered")]
    Subprotocol,
    /// The upstream chose a subprotocol after the client was answered with another one, or with none.
    #[error("handshake failed: client was answered with another subprotocol")]
    Promised,
    /// The upstream agreed to an extension: none was offered, so its frames could not be read.
    #[error("handshake failed: extension was not offered")]
    Extension,
    /// The connection ended in the middle of the answer or before it.
    #[error("handshake failed: connection closed before the answer")]
    Closed,
    /// What came was no handshake.
    #[error("handshake failed: {0}")]
    Handshake(&'static str),
    /// The name of the host has no address.
    #[error("host name cannot be resolved: {0}")]
    Resolve(LookupError),
    /// The socket failed.
    #[error("IO error: {0}")]
    Io(io::Error),
    /// It took longer than it may.
    #[error("no connection within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

impl DialError {
    /// Why events are not sent, for logs and error replies.
    pub fn reason(&self) -> Reason {
        if let Self::Refused(refused) = self {
            return Reason::Refused(refused.status.as_u16());
        }
        let words = self.to_string();
        if self.is_unreachable() { Reason::Unreachable(words) } else { Reason::Dial(words) }
    }

    /// Whether TCP says that nothing listens, or the connection ended before the answer: what a server that
    /// is stopped looks like.
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ),
            _ => false,
        }
    }
}

/// The client of one worker thread for one upstream, whose options its sockets have.
pub fn client(network: &Arc<Network>, options: TcpOptions) -> Client {
    let connector = awc::Connector::new()
        .connector(Connect::new(Arc::clone(network), options))
        .timeout(FOREVER)
        // A WebSocket keeps its place in awc's pool for life; the sessions are what is bounded.
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

/// Goes on with a dial after the client has been answered with `promised`: a connection with another
/// subprotocol is of no use.
pub fn go_on(dialing: Dialing, promised: Option<String>) -> Dialing {
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
    let (url, credentials) = credentials(plan, url);
    // Names are spelled by the stream; this is for the value of `Connection`.
    let mut request = plan.client.ws(&*url).set_camel_case_headers(true);
    for (name, value) in &*plan.headers {
        if *name != AUTHORIZATION || credentials.is_none() {
            request = request.header(name.clone(), value.clone());
        }
    }
    if let Some(value) = credentials {
        request = request.header(AUTHORIZATION, value);
    }
    if !plan.protocols.is_empty() {
        request = request.protocols(&*plan.protocols);
    }
    let (response, framed) = request.connect().await?;
    let headers = response.headers().clone();
    let protocol = chosen(&headers, &plan.protocols)?;
    let parts = framed.into_parts();
    // Copied, because the handshake's buffer of 8 KiB would stay for as long as a byte of it does.
    let rest = Bytes::copy_from_slice(&parts.read_buf);
    Ok(Dialed { socket: parts.io, rest, protocol, headers })
}

/// The URL without user and password, and the header that they become. They replace what the client sent, but
/// not what `headers` says.
fn credentials<'a>(plan: &DialPlan, url: &'a str) -> (Cow<'a, str>, Option<HeaderValue>) {
    let (url, secret) = userinfo::split(url);
    let is_configured = plan.upstream.headers.iter().any(|(name, _)| name == AUTHORIZATION.as_str());
    let secret = secret.filter(|_| !is_configured);
    let value = secret.and_then(|secret| userinfo::authorization(secret).ok().flatten());
    let mut value = value.and_then(|value| HeaderValue::try_from(value).ok());
    value.iter_mut().for_each(|value| value.set_sensitive(true));
    (url, value)
}

/// The subprotocol that the upstream chose. awc looks at neither subprotocol nor extensions, and takes any
/// `Upgrade` in which `websocket` occurs (RFC 6455 section 4.1, numbers 2, 5 and 6 of the client's checks).
/// Empty elements of lists are ignored (RFC 9110 section 5.6.1.2); the subprotocol of an answer is no list.
fn chosen(headers: &HeaderMap, protocols: &[String]) -> Result<Option<String>, DialError> {
    let mut upgrade = elements(headers, &UPGRADE);
    match (upgrade.next(), upgrade.next()) {
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(DialError::Handshake("no upgrade to websocket")),
    }
    if elements(headers, &SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
        return Err(DialError::Extension);
    }
    let mut values = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => offered(value, protocols).map(Some).ok_or(DialError::Subprotocol),
        (Some(_), Some(_)) => Err(DialError::Subprotocol),
    }
}

fn offered(value: &HeaderValue, protocols: &[String]) -> Option<String> {
    let chosen = value.to_str().ok()?;
    protocols.iter().find(|protocol| *protocol == chosen).cloned()
}

impl From<WsClientError> for DialError {
    fn from(error: WsClientError) -> Self {
        match error {
            // `KeepRefusals` has made an error of any other status before.
            WsClientError::InvalidResponseStatus(_) => Self::Handshake("no upgrade to websocket"),
            WsClientError::InvalidUpgradeHeader => Self::Handshake("no upgrade to websocket"),
            WsClientError::InvalidConnectionHeader(_) | WsClientError::MissingConnectionHeader => {
                Self::Handshake("connection is not upgraded")
            }
            WsClientError::MissingWebSocketAcceptHeader | WsClientError::InvalidChallengeResponse(..) => {
                Self::Handshake("wrong accept key")
            }
            WsClientError::Protocol(_) => Self::Handshake("no WebSocket"),
            WsClientError::SendRequest(error) => error.into(),
        }
    }
}

impl From<SendRequestError> for DialError {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
                Self::Io(error)
            }
            SendRequestError::Connect(ConnectError::Disconnected) => Self::Closed,
            SendRequestError::Connect(ConnectError::Resolver(error)) => Self::Resolve(looked_up(&*error)),
            SendRequestError::Connect(_) => Self::Resolve(LookupError::NotFound),
            SendRequestError::Response(ParseError::Io(error)) if error.raw_os_error().is_some() => {
                Self::Io(error)
            }
            // The end came in the middle of the head.
            SendRequestError::Response(ParseError::Io(_)) => Self::Closed,
            SendRequestError::Response(_) => Self::Handshake("no HTTP answer"),
            SendRequestError::Custom(error, _) => match error.downcast::<Refused>() {
                Ok(refused) => Self::Refused(refused),
                Err(_) => Self::Handshake("request not sent"),
            },
            _ => Self::Handshake("request not sent"),
        }
    }
}

/// What our own connector has made of a look-up's failure.
fn looked_up(error: &(dyn Error + 'static)) -> LookupError {
    error.downcast_ref().cloned().unwrap_or(LookupError::NotFound)
}
