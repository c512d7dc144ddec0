//! From a request for an upgrade to a session.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
};

use actix_http::{
    Method, RequestHead, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use actix_rt::net::TcpStream;
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    admission::{Full, Place, Slots},
    answer::{self, Refusal},
    desk::Desk,
    forward, handshake,
    head::{self, End, Request},
    relay,
    target::target,
};
use crate::{
    assembly::{self, Upside},
    connector::dial::{self, First, Plan},
    event::Origin,
    flow::Tracker,
    log::Quoted,
    net,
    rate::Limiter,
    session::{Parts, Presence},
    settings::{Route, Upstream},
};

/// What the server hears of a client: nothing.
type Served = Result<(), Infallible>;

/// A client that knocks.
struct Caller {
    desk: Rc<Desk>,
    socket: TcpStream,
    peer: SocketAddr,
    /// Its place among the handshakes, or among those who got none.
    place: Option<Place>,
}

/// Reads a client's handshake, answers it and starts its session, or refuses it.
///
/// The future is on the heap, and so are its parts that come after the head: the server would keep it twice,
/// and thousands of handshakes that never come so far shall not have room for all of it.
pub(super) fn accept(desk: Rc<Desk>, socket: TcpStream) -> Pin<Box<dyn Future<Output = Served>>> {
    let deadline = Instant::now() + desk.listener.handshake_timeout;
    // A socket without peer is one whose client has gone.
    let Ok(peer) = socket.peer_addr().map(net::canonical) else { return Box::pin(ready(Ok(()))) };
    let place = desk.shared.handshakes.take();
    let in_turn = place.is_some();
    let place = place.or_else(|| desk.shared.turned_away.take());
    let caller = Caller { desk, socket, peer, place };
    if in_turn { Box::pin(caller.knock(deadline)) } else { Box::pin(caller.turn_away()) }
}

// === impl Caller ===

impl Caller {
    async fn knock(self, deadline: Instant) -> Served {
        let max = self.desk.listener.max_header;
        let end = match timeout_at(deadline, head::read(&self.socket, max)).await {
            Ok(Ok(request)) => {
                Box::pin(self.answer(request)).await;
                return Ok(());
            }
            Ok(Err(end)) => end,
            Err(_) => {
                let text = "the handshake took too long";
                End::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, text))
            }
        };
        match end {
            End::Gone => self.gone(),
            End::Refused(refusal) => Box::pin(self.refuse(refusal, None)).await,
        }
        Ok(())
    }

    async fn answer(self, Request { head, mut rest }: Request) {
        let _unanswered = self.desk.shared.status.answer();
        let admitted = tokio::select! {
            biased;
            admitted = admit(&self.desk, &head, self.peer) => admitted,
            () = head::gone(&self.socket, &mut rest, self.desk.listener.max_header) => return self.gone(),
            // A client that waits for its upstream is refused like a new one.
            () = self.desk.shared.draining() => Err(shutting_down()),
        };
        match admitted {
            Ok((way, slots)) => self.let_in(&head, rest, way, slots).await,
            Err(refusal) => self.refuse(refusal, Some(&head)).await,
        }
    }

    async fn let_in(mut self, head: &RequestHead, rest: Vec<u8>, way: Way, slots: Slots) {
        let accepted = answer::accepted(head, way.protocol.as_deref(), &self.response_headers(&way));
        let stream = self.desk.next_stream();
        let address = slots.visit.as_ref().and_then(|visit| visit.limiter.clone());
        // From here on a drain waits for the session.
        let presence = self.desk.enter(stream, slots);
        match answer::send(&mut self.socket, &accepted).await {
            Ok(()) => self.open(head, rest, way, Entered { stream, presence, address }),
            Err(_) => self.gone(),
        }
    }

    /// What of the upstream's answer the client gets, if the upstream has answered by now.
    fn response_headers(&self, way: &Way) -> Vec<(HeaderName, HeaderValue)> {
        let Some(Upside { plan, first: First::Up(dialed), .. }) = &way.upside else { return Vec::new() };
        let (headers, left_out) = forward::response(&dialed.headers, &plan.upstream);
        if left_out > 0 {
            log::warn!(
                "response headers left out listener={} peer={} upstream={} headers={left_out}",
                self.desk.listener.name,
                self.peer,
                plan.upstream.name,
            );
        }
        headers
    }

    fn open(self, head: &RequestHead, rest: Vec<u8>, way: Way, entered: Entered) {
        // Its handshake is over: the place is free.
        let Self { desk, socket, peer, place: _ } = self;
        let Way { route, protocol, upside } = way;
        let Entered { stream, presence, address } = entered;
        if let Err(error) = net::tune(&socket, &desk.listener.tcp) {
            // The session will see the same.
            log::debug!("socket takes no options listener={} peer={peer}: {error}", desk.listener.name);
        }
        let tracker = Tracker::new(desk.listener.number, stream);
        log::info!(
            "session opened session={tracker} listener={} peer={peer} path={} upstream={} subprotocol={}",
            desk.listener.name,
            Quoted(head.uri.path()),
            route.upstream.as_ref().map_or("-", |upstream| &upstream.name),
            Quoted(protocol.as_deref().unwrap_or_default()),
        );
        let meta = route
            .reads_meta()
            .then(|| forward::meta(head, peer, protocol.as_deref(), tracker.id(0), &desk.listener.name));
        let origin = match socket.local_addr() {
            Ok(local) if route.reads_origin() => Some(Arc::new(Origin::of_client(peer, local.port()))),
            _ => None,
        };
        let parts = Parts {
            tracker,
            listener: Arc::clone(&desk.listener),
            upstream: route.upstream.clone(),
            socket,
            // Copied: the room that it was read to would stay for as long as the session lives.
            rest: Bytes::copy_from_slice(&rest),
            meta,
            origin,
            pool: Arc::clone(&desk.shared.pool),
            address,
            presence,
        };
        desk.register(stream, &assembly::start(parts, &route, upside));
    }

    async fn refuse(self, refusal: Refusal, head: Option<&RequestHead>) {
        self.desk.tell_refusal(&refusal, self.peer, head.map_or("-", |head| head.uri.path()));
        let with_body = head.is_none_or(|head| head.method != Method::HEAD);
        answer::refuse(self.socket, &refusal.answer(with_body)).await;
    }

    /// For a client that got no place among the handshakes: nothing of it is read. Where too many are told so
    /// already, it is closed without waiting for it to read that.
    async fn turn_away(self) -> Served {
        let refusal = Refusal::from(Full::Handshakes);
        if self.place.is_some() {
            self.refuse(refusal, None).await;
            return Ok(());
        }
        self.desk.tell_refusal(&refusal, self.peer, "-");
        // What does not fit at once is not sent.
        let _ = self.socket.try_write(&refusal.answer(true));
        Ok(())
    }

    fn gone(&self) {
        log::debug!("client gone listener={} peer={}", self.desk.listener.name, self.peer);
    }
}

/// Where a client goes that may come in.
struct Way {
    route: Arc<Route>,
    protocol: Option<String>,
    upside: Option<Upside>,
}

/// What a session has of its listener.
struct Entered {
    stream: u64,
    presence: Box<dyn Presence>,
    /// What all sessions of its address may send together.
    address: Option<Arc<Mutex<Limiter>>>,
}

async fn admit(desk: &Desk, head: &RequestHead, peer: SocketAddr) -> Result<(Way, Slots), Refusal> {
    if desk.shared.status.is_draining() {
        return Err(shutting_down());
    }
    let offered = handshake::check(head)?;
    let route = desk.route(head.uri.path());
    let route = Arc::clone(route.ok_or(Refusal::new(StatusCode::NOT_FOUND, "no route for this path"))?);
    let target = route.upstream.as_ref().map(|upstream| target(&route, upstream, &head.uri)).transpose()?;
    let slots = desk.front.gate.enter(peer.ip(), Instant::now().into_std())?;
    let (protocol, upside) = match route.upstream.as_ref().zip(target) {
        None => (preferred(&route, &offered), None),
        Some((upstream, url)) => {
            let plan = Plan {
                upstream: Arc::clone(upstream),
                url,
                reads_origin: route.reads_origin(),
                headers: forward::headers(head, peer, upstream).into(),
                protocols: offered.into(),
                client: desk.clients[&upstream.name].clone(),
            };
            let (protocol, upside) = dial_first(desk, &route, upstream, plan).await?;
            (protocol, Some(upside))
        }
    };
    Ok((Way { route, protocol, upside }, slots))
}

fn shutting_down() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down").with(header::RETRY_AFTER, "5")
}

/// Dials the upstream before the client is answered, so that its choice of subprotocol can be the answer.
///
/// An upstream that refuses this client (4xx) has its refusal passed on, and where the loss of the upstream
/// closes the client, any failure is an answer. `dial_before_accept` bounds the client's wait and not the
/// dial: after it the client is let in, and the same dial goes on in the session.
async fn dial_first(
    desk: &Desk,
    route: &Route,
    upstream: &Upstream,
    plan: Plan,
) -> Result<(Option<String>, Upside), Refusal> {
    let pacer = Arc::clone(&desk.shared.pacers[&upstream.name]);
    // A client that offers subprotocols needs the upstream's choice.
    if plan.protocols.is_empty() && route.routed_by_url {
        return Ok((None, Upside { plan, first: First::NotNeeded, pacer }));
    }
    let deadline = Instant::now() + route.dial_before_accept;
    let mut dialing = dial::dial(plan.clone(), plan.url.text.clone());
    let dialed = timeout_at(deadline, &mut dialing).await;
    let (protocol, first) = match dialed {
        Ok(Err(error)) if relay::is_answer(&error, route.keeps_client()) => {
            return Err(relay::answer(error, &plan, deadline).await);
        }
        Ok(Ok(dialed)) => (dialed.protocol.clone(), First::Up(Box::new(dialed))),
        Ok(Err(error)) => (preferred(route, &plan.protocols), First::Failed(error)),
        Err(_) => {
            let promised = preferred(route, &plan.protocols);
            (promised.clone(), First::Pending(dial::go_on(dialing, promised)))
        }
    };
    // From now on the upstream has to choose what the client was told.
    let plan = Plan { protocols: protocol.iter().cloned().collect(), ..plan };
    Ok((protocol, Upside { plan, first, pacer }))
}

/// The first of the route's subprotocols that the client offered. Where the route names none, a client that
/// offers one gets it: without it a browser closes the connection, and the upstream has no other choice.
fn preferred(route: &Route, offered: &[String]) -> Option<String> {
    match offered {
        [only] if route.subprotocols.is_empty() => Some(only.clone()),
        _ => route.subprotocols.iter().find(|protocol| offered.contains(protocol)).cloned(),
    }
}
