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
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    admission::{Full, SessionPermit, Slot},
    answer::{self, Refusal},
    forward, handshake,
    head::{self, End, Request},
    relay,
    target::target,
    worker::ListenerWorker,
};
use crate::{
    connector::dial::{self, DialPlan, First},
    event::Origin,
    flow::AckTracker,
    log::Quoted,
    net::Stream,
    rate::Limiter,
    session::{Parts, SessionGuard},
    settings::{Route, Upstream},
    wiring::{self, UpstreamStart},
};

/// What the server hears of a client: nothing.
type Served = Result<(), Infallible>;

/// A client that knocks.
struct Handshake {
    worker: Rc<ListenerWorker>,
    stream: Stream,
    peer: SocketAddr,
    /// Its place among the handshakes, or among those who got none.
    slot: Option<Slot>,
}

/// Reads a client's handshake, answers it and starts its session, or refuses it.
///
/// The future is on the heap, and so are its parts that come after the head: the server would keep it twice,
/// and thousands of handshakes that never come so far shall not have room for all of it.
pub(super) fn accept(worker: Rc<ListenerWorker>, stream: Stream) -> Pin<Box<dyn Future<Output = Served>>> {
    let deadline = Instant::now() + worker.listener.handshake_timeout;
    // A socket has no peer when the client has disconnected.
    let Ok(peer) = stream.peer_addr() else { return Box::pin(ready(Ok(()))) };
    let slot = worker.shared.handshakes.take();
    let in_turn = slot.is_some();
    let slot = slot.or_else(|| worker.shared.turned_away.take());
    let handshake_in_progress = Handshake { worker, stream, peer, slot };
    if in_turn {
        Box::pin(handshake_in_progress.run(deadline))
    } else {
        Box::pin(handshake_in_progress.turn_away())
    }
}

// === impl Handshake ===

impl Handshake {
    async fn run(mut self, deadline: Instant) -> Served {
        let max = self.worker.listener.max_header;
        let end = match timeout_at(deadline, head::read(&mut self.stream, max)).await {
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

    async fn answer(mut self, Request { head, mut rest }: Request) {
        let _unanswered = self.worker.shared.status.answer();
        let admitted = tokio::select! {
            biased;
            admitted = admit(&self.worker, &head, self.peer) => admitted,
            () = head::gone(&mut self.stream, &mut rest, self.worker.listener.max_header) => return self.gone(),
            // A client that waits for its upstream is refused like a new one.
            () = self.worker.shared.draining() => Err(shutting_down()),
        };
        match admitted {
            Ok((destination, permit)) => self.let_in(&head, rest, destination, permit).await,
            Err(refusal) => self.refuse(refusal, Some(&head)).await,
        }
    }

    async fn let_in(
        mut self,
        head: &RequestHead,
        rest: Vec<u8>,
        destination: Destination,
        permit: SessionPermit,
    ) {
        let accepted =
            answer::accepted(head, destination.protocol.as_deref(), &self.response_headers(&destination));
        let number = self.worker.next_stream();
        let address =
            permit.address_permit.as_ref().and_then(|address_permit| address_permit.limiter.clone());
        // From here on a drain waits for the session.
        let guard = self.worker.enter(number, permit);
        match answer::send(&mut self.stream, &accepted).await {
            Ok(()) => self.open(head, rest, destination, Admitted { number, guard, address }),
            Err(_) => self.gone(),
        }
    }

    /// What of the upstream's answer the client gets, if the upstream has answered by now.
    fn response_headers(&self, destination: &Destination) -> Vec<(HeaderName, HeaderValue)> {
        let Some(UpstreamStart { plan, first: First::Up(dialed), .. }) = &destination.upstream_start else {
            return Vec::new();
        };
        let (headers, left_out) = forward::response(&dialed.headers, &plan.upstream);
        if left_out > 0 {
            log::warn!(
                "response headers left out listener={} peer={} upstream={} headers={left_out}",
                self.worker.listener.name,
                self.peer,
                plan.upstream.name,
            );
        }
        headers
    }

    fn open(self, head: &RequestHead, rest: Vec<u8>, destination: Destination, admitted_session: Admitted) {
        // Its handshake is over: the place is free.
        let Self { worker, stream, peer, slot: _ } = self;
        let Destination { route, protocol, upstream_start } = destination;
        let Admitted { number, guard, address } = admitted_session;
        if let Err(error) = stream.tune(&worker.listener.tcp) {
            // The session will see the same.
            log::debug!("socket takes no options listener={} peer={peer}: {error}", worker.listener.name);
        }
        let tracker = AckTracker::new(worker.listener.number, number);
        log::info!(
            "session opened session={tracker} listener={} peer={peer} path={} upstream={} subprotocol={}",
            worker.listener.name,
            Quoted(head.uri.path()),
            route.upstream.as_ref().map_or("-", |upstream| &upstream.name),
            Quoted(protocol.as_deref().unwrap_or_default()),
        );
        let meta = route
            .reads_meta()
            .then(|| forward::meta(head, peer, protocol.as_deref(), tracker.id(0), &worker.listener.name));
        let origin = match stream.local_addr() {
            Ok(local) if route.reads_origin() => Some(Arc::new(Origin::of_client(peer, local.port()))),
            _ => None,
        };
        let parts = Parts {
            tracker,
            listener: Arc::clone(&worker.listener),
            upstream: route.upstream.clone(),
            socket: stream,
            // Copied: the room that it was read to would stay for as long as the session lives.
            rest: Bytes::copy_from_slice(&rest),
            meta,
            origin,
            global_budget: Arc::clone(&worker.shared.global_budget),
            address,
            guard,
        };
        worker.register(number, &wiring::start(parts, &route, upstream_start));
    }

    async fn refuse(self, refusal: Refusal, head: Option<&RequestHead>) {
        self.worker.log_refusal(&refusal, self.peer, head.map_or("-", |head| head.uri.path()));
        let with_body = head.is_none_or(|head| head.method != Method::HEAD);
        answer::refuse(self.stream, &refusal.answer(with_body)).await;
    }

    /// For a client that got no place among the handshakes: nothing of it is read. Where too many are told so
    /// already, it is closed without waiting for it to read that.
    async fn turn_away(self) -> Served {
        let refusal = Refusal::from(Full::Handshakes);
        if self.slot.is_some() {
            self.refuse(refusal, None).await;
            return Ok(());
        }
        self.worker.log_refusal(&refusal, self.peer, "-");
        // What does not fit at once is not sent.
        let _ = self.stream.try_write(&refusal.answer(true));
        Ok(())
    }

    fn gone(&self) {
        log::debug!("client gone listener={} peer={}", self.worker.listener.name, self.peer);
    }
}

/// Where a client goes that may come in.
struct Destination {
    route: Arc<Route>,
    protocol: Option<String>,
    upstream_start: Option<UpstreamStart>,
}

/// What a session has of its listener.
struct Admitted {
    /// The session's number on its listener.
    number: u64,
    guard: Box<dyn SessionGuard>,
    /// What all sessions of its address may send together.
    address: Option<Arc<Mutex<Limiter>>>,
}

async fn admit(
    worker: &ListenerWorker,
    head: &RequestHead,
    peer: SocketAddr,
) -> Result<(Destination, SessionPermit), Refusal> {
    if worker.shared.status.is_draining() {
        return Err(shutting_down());
    }
    let offered = handshake::check(head)?;
    let route = worker.route(head.uri.path());
    let route = Arc::clone(route.ok_or(Refusal::new(StatusCode::NOT_FOUND, "no route for this path"))?);
    let target = route.upstream.as_ref().map(|upstream| target(&route, upstream, &head.uri)).transpose()?;
    let permit = worker.front.admission.enter(peer.ip(), Instant::now().into_std())?;
    let (protocol, upstream_start) = match route.upstream.as_ref().zip(target) {
        None => (preferred(&route, &offered), None),
        Some((upstream, url)) => {
            let plan = DialPlan {
                upstream: Arc::clone(upstream),
                url,
                reads_origin: route.reads_origin(),
                headers: forward::headers(head, peer, upstream).into(),
                protocols: offered.into(),
                client: worker.clients[&upstream.name].clone(),
            };
            let (protocol, upstream_start) = dial_first(worker, &route, upstream, plan).await?;
            (protocol, Some(upstream_start))
        }
    };
    Ok((Destination { route, protocol, upstream_start }, permit))
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
    worker: &ListenerWorker,
    route: &Route,
    upstream: &Upstream,
    plan: DialPlan,
) -> Result<(Option<String>, UpstreamStart), Refusal> {
    let pacer = Arc::clone(&worker.shared.pacers[&upstream.name]);
    // A client that offers subprotocols needs the upstream's choice.
    if plan.protocols.is_empty() && route.routed_by_url {
        return Ok((None, UpstreamStart { plan, first: First::NotNeeded, pacer }));
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
    let plan = DialPlan { protocols: protocol.iter().cloned().collect(), ..plan };
    Ok((protocol, UpstreamStart { plan, first, pacer }))
}

/// The first of the route's subprotocols that the client offered. Where the route names none, a client that
/// offers one gets it: without it a browser closes the connection, and the upstream has no other choice.
fn preferred(route: &Route, offered: &[String]) -> Option<String> {
    match offered {
        [only] if route.subprotocols.is_empty() => Some(only.clone()),
        _ => route.subprotocols.iter().find(|protocol| offered.contains(protocol)).cloned(),
    }
}
