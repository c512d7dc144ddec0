//! From a request for an upgrade to a session.

use std::{
    convert::Infallible, fmt, future::poll_fn, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc, time::Duration,
};

use actix_codec::Framed;
use actix_http::{
    Request, RequestHead, Response, StatusCode,
    body::BodySize,
    h1,
    header::{self, HeaderValue},
    ws,
};
use actix_rt::net::TcpStream;
use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::{
    desk::Desk,
    forward,
    handshake::{self, Refusal},
};
use crate::{
    assembly::{self, Upside},
    connector::dial::{self, DialError, Plan},
    flow::Tracker,
    log::Quoted,
    session::{Parts, Presence},
    settings::{Route, Upstream},
};

type Socket = Framed<TcpStream, h1::Codec>;

/// The client went away while it was being answered.
struct Gone;

/// Answers a client's handshake and starts its session, or refuses it.
pub(super) async fn accept(desk: Rc<Desk>, request: Request, mut socket: Socket) -> Result<(), Infallible> {
    let peer = socket.io_ref().peer_addr().ok();
    match admit(&desk, request.head(), peer).await {
        Ok(admitted) => {
            // From here on a drain waits for the session.
            let stream = desk.next_stream();
            let presence = desk.enter(stream);
            let response = accepted(request.head(), admitted.protocol.as_deref());
            match send(&mut socket, response, None).await {
                Ok(()) => open(&desk, request.head(), peer, admitted, (stream, presence), socket),
                Err(Gone) => log::debug!("client gone listener={} peer={}", desk.listener.name, Shown(peer)),
            }
        }
        Err(refusal) => {
            let (status, path) = (refusal.status.as_u16(), Quoted(request.path()));
            log::warn!(
                "client refused listener={} peer={} path={path} status={status} reason={}",
                desk.listener.name,
                Shown(peer),
                Quoted(refusal.text)
            );
            refuse(&mut socket, refusal).await;
        }
    }
    Ok(())
}

/// A client that may come in.
struct Admitted {
    route: Arc<Route>,
    protocol: Option<String>,
    upside: Option<Upside>,
}

async fn admit(desk: &Desk, head: &RequestHead, peer: Option<SocketAddr>) -> Result<Admitted, Refusal> {
    if desk.shared.status.is_draining() {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
        return Err(refusal.with(header::RETRY_AFTER, "5"));
    }
    let offered = handshake::check(head)?;
    let route = desk.route(head.uri.path());
    let route = Arc::clone(route.ok_or(Refusal::new(StatusCode::NOT_FOUND, "no route for this path"))?);
    match &route.upstream {
        None => {
            let protocol = preferred(&route, &offered);
            Ok(Admitted { route, protocol, upside: None })
        }
        Some(upstream) => {
            let plan = Plan {
                upstream: Arc::clone(upstream),
                headers: forward::headers(head, peer, upstream).into(),
                protocols: offered.into(),
                client: desk.client.clone(),
            };
            let (protocol, upside) = dial_first(desk, &route, upstream, plan).await?;
            Ok(Admitted { route, protocol, upside: Some(upside) })
        }
    }
}

/// Asks the upstream before the client is answered, so that its choice of subprotocol can be the answer.
///
/// An upstream that refuses this client (4xx) has its refusal passed on. One that is not there in time
/// does not keep the client out.
async fn dial_first(
    desk: &Desk,
    route: &Route,
    upstream: &Upstream,
    plan: Plan,
) -> Result<(Option<String>, Upside), Refusal> {
    let limit = route.dial_before_accept.min(upstream.connect_timeout);
    let dialed = match limit {
        Duration::ZERO => Err(DialError::Timeout(limit)),
        limit => dial::dial(&plan, &upstream.url.text, limit).await,
    };
    let (protocol, first) = match dialed {
        Err(DialError::Refused(status)) if status.is_client_error() => {
            return Err(Refusal::new(status, "refused by the upstream"));
        }
        Ok(dialed) => (dialed.protocol.clone(), Ok(dialed)),
        Err(error) => (preferred(route, &plan.protocols), Err(error.to_string())),
    };
    let pacer = Arc::clone(&desk.shared.pacers[&upstream.name]);
    // From now on the upstream has to choose what the client was told.
    let plan = Plan { protocols: protocol.iter().cloned().collect(), ..plan };
    Ok((protocol, Upside { plan, first, pacer }))
}

/// The first of the route's subprotocols that the client offered.
fn preferred(route: &Route, offered: &[String]) -> Option<String> {
    route.subprotocols.iter().find(|protocol| offered.contains(protocol)).cloned()
}

fn open(
    desk: &Rc<Desk>,
    head: &RequestHead,
    peer: Option<SocketAddr>,
    admitted: Admitted,
    (stream, presence): (u64, Box<dyn Presence>),
    socket: Socket,
) {
    let Admitted { route, protocol, upside } = admitted;
    let tracker = Tracker::new(desk.listener.number, stream);
    log::info!(
        "session opened session={tracker} listener={} peer={} path={} upstream={} subprotocol={}",
        desk.listener.name,
        Shown(peer),
        Quoted(head.uri.path()),
        route.upstream.as_ref().map_or("-", |upstream| &upstream.name),
        Quoted(protocol.as_deref().unwrap_or_default()),
    );
    let meta = route
        .reads_meta()
        .then(|| forward::meta(head, peer, protocol.as_deref(), tracker.id(0), &desk.listener.name));
    let parts = socket.into_parts();
    let parts = Parts {
        tracker,
        listener: Arc::clone(&desk.listener),
        upstream: route.upstream.clone(),
        socket: parts.io,
        rest: Bytes::copy_from_slice(&parts.read_buf),
        meta,
        pool: Arc::clone(&desk.shared.pool),
        address: None,
        presence,
    };
    desk.register(stream, &assembly::start(parts, &route, upside));
}

fn accepted(head: &RequestHead, protocol: Option<&str>) -> Response<()> {
    let mut response = ws::handshake_response(head);
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::try_from(protocol).ok()) {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    response.finish().drop_body()
}

async fn refuse(socket: &mut Socket, refusal: Refusal) {
    let response = refusal.response();
    let body = response.body().clone();
    if let Ok(()) = send(socket, response.drop_body(), Some(body)).await {
        // A client that is gone needs no end of ours.
        let _ = poll_fn(|cx| Pin::new(socket.io_mut()).poll_shutdown(cx)).await;
    }
}

async fn send(socket: &mut Socket, response: Response<()>, body: Option<Bytes>) -> Result<(), Gone> {
    let mut socket = Pin::new(socket);
    let size = body.as_ref().map_or(BodySize::None, |body| BodySize::Sized(body.len() as u64));
    let mut write = |message| socket.as_mut().write(message).map_err(|_| Gone);
    write(h1::Message::Item((response, size)))?;
    if body.is_some() {
        write(h1::Message::Chunk(body))?;
    }
    poll_fn(|cx| socket.as_mut().flush(cx)).await.map_err(|_| Gone)
}

/// The peer's address, as far as it is known.
struct Shown(Option<SocketAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(peer) => peer.fmt(f),
            None => f.write_str("-"),
        }
    }
}
