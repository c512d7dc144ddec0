//! Handshakes of clients (RFC 6455 section 4.2): from the first byte of a connection to a session or a
//! refusal.
//!
//! ```text
//! PROXY header ─► TLS ─► head ─► context ─► checks ─► router ─► origin ─► auth ─► target ─► admission ─► first_dial ─► answer
//!                                              │                                                      │            └► session
//!                                              │                                                      └─ relay: the upstream's refusal
//!                                              └─ plain: no handshake, but an answer or an exchange
//! ```

mod affinity;
mod auth;
mod checks;
mod context;
mod first_dial;
mod forward;
mod head;
mod plain;
mod relay;
mod renewed;
mod secure;
mod target;
mod traced;

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::SystemTime};

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use self::{
    context::RequestContext,
    first_dial::{dial_first, preferred},
    forward::{SessionNames, with_added},
    head::{End, ReceivedRequest},
    plain::Plain,
    target::target,
};
use super::{
    admission::{Full, KeyLimits, SessionPermit, Slot},
    answer::{self, Refusal},
    configuration::WorkerConfiguration,
    exchange::{Ended, HttpExchange},
    proxy_header::{self, Beginning},
    refusals::RefusalKind,
    worker::ListenerWorker,
};
use crate::{
    access::Entry as AccessEntry,
    certificate::TlsFacts,
    client_address::{Chain, ProxyProtocol},
    event::EventNumber,
    figures::SessionFigures,
    flow::AckTracker,
    log::Quoted,
    net::Stream,
    rate::SharedLimit,
    router::AmbiguousPath,
    server::{Pending, SessionId, Unanswered},
    session::{Lifetime, LoggedClaims, Moment, Parts, Renewal, SessionGuard},
    settings::Route,
    template::{Facts, TooLong},
    upstream::{ClientPath, Destination, DialPlan, Dialer, Dialers, First},
    wiring::{self, UpstreamStart},
};

/// A connection whose WebSocket handshake is in progress.
pub(super) struct Handshake {
    /// The listener on this thread.
    pub(super) worker: Rc<ListenerWorker>,
    /// The configuration in force when the connection was accepted.
    pub(super) configuration: Rc<WorkerConfiguration>,
    /// The connection, from its first byte.
    pub(super) stream: Stream,
    /// What is known of the TLS connection; `None` without TLS, or before its handshake.
    pub(super) tls: Option<Arc<TlsFacts>>,
    /// The client's address, or that of the last proxy before it, until the request has been read.
    pub(super) peer: SocketAddr,
    /// The address that the client connected to, if the PROXY header has it; otherwise it is that of the socket.
    pub(super) local: Option<SocketAddr>,
    /// A slot for the handshake, or for a connection that is turned away; `None` when no slot of either kind
    /// is free.
    pub(super) slot: Option<Slot>,
    /// The guard that counts the connection until its session has started or it has been refused.
    pub(super) pending: Pending,
}

/// The route and upstream chosen for an admitted client.
struct Target {
    route: Arc<Route>,
    /// The subprotocol for the response.
    protocol: Option<String>,
    /// The connection to the upstream; `None` on a route without upstream.
    upstream_start: Option<UpstreamStart>,
    /// Headers that the settings add to the response.
    added: Vec<(HeaderName, HeaderValue)>,
}

/// The result of an admitted request.
enum Accepted {
    Session(Box<Target>),
    /// A request that is forwarded.
    Exchange(Box<HttpExchange>),
}

/// What a request needs at the route's upstream.
struct Prepared {
    /// Headers that the settings add to the response.
    added: Vec<(HeaderName, HeaderValue)>,
    /// Headers of the request to the upstream.
    headers: Vec<(HeaderName, HeaderValue)>,
    path: ClientPath,
    destination: Destination,
}

/// The session's registration at its listener.
struct Admitted {
    id: SessionId,
    guard: Box<dyn SessionGuard>,
    figures: Arc<SessionFigures>,
    /// The rate limits that the session shares with others.
    rates: Vec<SharedLimit>,
}

// === impl Handshake ===

impl Handshake {
    /// Reads the PROXY header and completes the TLS handshake, if the listener has them. Reads the request, answers it,
    /// and starts the session or refuses it. The request must be complete by `deadline`.
    pub(super) async fn run(mut self, deadline: Instant) {
        let Some(early) = self.begin(deadline).await else { return };
        if self.configuration.listener.tls.is_none() {
            return self.read(early, deadline).await;
        }
        if let Some(secured) = Box::pin(secure::secured(self, &early, deadline)).await {
            secured.read(Vec::new(), deadline).await;
        }
    }

    async fn read(mut self, early: Vec<u8>, deadline: Instant) {
        let max = self.configuration.listener.max_header;
        let end = match timeout_at(deadline, head::read(&mut self.stream, early, max)).await {
            Ok(Ok(request)) => return Box::pin(self.answer(request)).await,
            Ok(Err(end)) => end,
            Err(_) => End::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, "handshake timeout")),
        };
        match end {
            End::Gone => self.log_disconnect(),
            End::Refused(refusal) => Box::pin(self.refuse(refusal, None)).await,
        }
    }

    /// Reads the PROXY header, if the listener has one. Returns bytes that were read after it; `None` if the connection
    /// has to be closed, without an answer, because the peer may be a balancer that takes it for its own.
    async fn begin(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        if self.configuration.listener.proxy_protocol == ProxyProtocol::Off {
            return Some(Vec::new());
        }
        let reading = proxy_header::read(&mut self.stream, self.peer.ip(), &self.configuration.listener);
        let reason = match timeout_at(deadline, reading).await {
            Ok(Ok(Beginning { addresses, early })) => {
                if let Some(addresses) = addresses {
                    (self.peer, self.local) = (addresses.client, Some(addresses.local));
                }
                return Some(early);
            }
            Ok(Err(error)) => error.reason(),
            Err(_) => Some("PROXY header timeout"),
        };
        match reason {
            Some(reason) => self.worker.log_closed(RefusalKind::Connection, reason, None, self.peer),
            None => self.log_disconnect(),
        }
        None
    }

    async fn answer(mut self, ReceivedRequest { head, mut rest }: ReceivedRequest) {
        let unanswered = self.worker.server.registry.status().answer();
        let listener = &self.configuration.listener;
        let chain = Chain::new(self.peer, self.stream.is_secure(), &head.headers, &listener.trusted_proxies);
        let chain = match chain {
            Ok(chain) => chain,
            Err(error) => {
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, "malformed Forwarded header");
                return self.refuse(Refusal { cause: Some(error.to_string()), ..refusal }, None).await;
            }
        };
        self.peer = chain.client;
        let mut context = RequestContext::new(head, chain, self.local);
        context.tls = self.tls.take();
        let admitted = tokio::select! {
            biased;
            admitted = admit(&self.worker, &self.configuration, &mut context) => admitted,
            () = head::gone(&mut self.stream, &mut rest, self.configuration.listener.max_header) => {
                return self.log_disconnect();
            }
            // During a drain, a client that waits for its upstream is refused like a new one.
            () = self.worker.server.registry.status().draining() => Err(shutting_down()),
        };
        match admitted {
            Ok((Accepted::Session(target), permit)) => self.accept(context, rest, *target, permit).await,
            Ok((Accepted::Exchange(exchange), permit)) => {
                Box::pin(self.forward(&context, rest, *exchange, permit, unanswered)).await;
            }
            Err(refusal) => self.refuse(refusal, Some(&context)).await,
        }
    }

    /// Sends a 101 and starts the session.
    async fn accept(mut self, context: RequestContext, rest: Vec<u8>, target: Target, permit: SessionPermit) {
        let headers = self.response_headers(&target);
        let accepted = answer::accepted(&context.head, target.protocol.as_deref(), &headers);
        let id = self.worker.next_session();
        let rates = permit.rates();
        // From here on, a drain waits for the session.
        let client = (self.peer, context.known());
        let (guard, figures) = self.worker.enter(&self.configuration, id, &target.route, client, permit);
        self.pending.unassign();
        match answer::send(&mut self.stream, &accepted).await {
            Ok(()) => self.open(context, &rest, target, Admitted { id, guard, figures, rates }),
            Err(_) => self.log_disconnect(),
        }
    }

    /// Forwards a request that does not ask for a WebSocket. It counts as a session until it has ended.
    async fn forward(
        self,
        context: &RequestContext,
        rest: Vec<u8>,
        exchange: HttpExchange,
        permit: SessionPermit,
        unanswered: Option<Unanswered>,
    ) {
        let Self { worker, configuration, stream, peer, local: _, tls: _, slot, pending } = self;
        let (id, route) = (worker.next_session(), Arc::clone(&exchange.plan.route));
        let (_guard, _) = worker.enter(&configuration, id, &route, (peer, context.known()), permit);
        // A drain waits for the session from now on, and the handshake's slot is free.
        drop((slot, pending, unanswered));
        let (method, path) = (&context.head.method, context.path());
        match exchange.run(stream, &worker, method, &context.head.headers, &rest).await {
            Ok(Ended { status, cause }) => {
                let status = status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
                log::debug!(
                    "request forwarded listener={} peer={peer} method={method} path={} route={} status={status}",
                    worker.state.name,
                    Quoted(path),
                    route.name,
                );
                if let Some(cause) = cause {
                    worker.log_incomplete(&cause, peer, path, &route.name);
                }
            }
            Err((stream, refusal)) => {
                worker.log_refusal(&refusal, peer, path, &route.name);
                answer::refuse(stream, &refusal.answer(*method != Method::HEAD)).await;
            }
        }
    }

    /// The headers of the upstream's response that are passed on to the client, unless it has not responded yet, and
    /// those that the settings add.
    fn response_headers(&self, target: &Target) -> Vec<(HeaderName, HeaderValue)> {
        let Some(UpstreamStart { plan, first: First::Up(dialed) }) = &target.upstream_start else {
            return target.added.clone();
        };
        let (headers, left_out) = forward::response(&dialed.headers, plan.settings());
        let headers = with_added(headers, target.added.clone());
        if left_out > 0
            && let Some(suppressed) = forward::LEFT_OUT.line(Instant::now().into_std())
        {
            log::warn!(
                "response headers left out listener={} peer={} upstream={} headers={left_out}{suppressed}",
                self.configuration.listener.name,
                self.peer,
                plan.settings().name,
            );
        }
        headers
    }

    fn open(self, context: RequestContext, rest: &[u8], target: Target, admitted: Admitted) {
        // The handshake is complete: its slot is free, and the session counts as live.
        let Self { worker, configuration, stream, tls: _, peer, local: _, slot: _, pending: _ } = self;
        let listener = &configuration.listener;
        let Target { route, protocol, upstream_start, added: _ } = target;
        let Admitted { id, guard, figures, rates } = admitted;
        let tracker = AckTracker::new(id.listener, id.number);
        let known = context.known();
        let expires = known.as_ref().and_then(|known| known.identity.expires);
        log::info!(
            "session opened session={tracker} listener={} peer={peer} path={} route={} upstream={} subprotocol={}{}",
            listener.name,
            Quoted(context.path()),
            route.name,
            route.upstream.as_ref().map_or("-", |upstream| &upstream.name),
            Quoted(protocol.as_deref().unwrap_or_default()),
            LoggedClaims(known.as_ref()),
        );
        let access = configuration.shared.access().map(|format| {
            let opening = context.opening(&listener.name, &route, protocol.as_deref());
            Box::new(AccessEntry::new(format, &opening, SystemTime::now()))
        });
        let names =
            SessionNames { id: tracker.id(EventNumber(0)), listener: &listener.name, route: &route.name };
        let trace = traced::open(&context, &names, &route, protocol.as_deref());
        let meta = route.reads_meta().then(|| forward::meta(&context, protocol.as_deref(), names));
        let origin = route.reads_origin().then(|| context.origin(&stream)).flatten();
        let renewal = context.renewal(&worker.server).map(|renewal| match &upstream_start {
            Some(start) => {
                let announce = Some(renewed::announce(context, &listener.name, &start.plan));
                Renewal { announce, ..renewal }
            }
            None => renewal,
        });
        let parts = Parts {
            tracker,
            figures,
            tap: configuration.tap_of(id, &worker.server.taps, &route),
            trace,
            listener: Arc::clone(listener),
            upstream: route.upstream.clone(),
            socket: stream,
            // Copied, so that the session does not keep the whole buffer of the request head.
            rest: Bytes::copy_from_slice(rest),
            meta,
            known,
            renewal,
            origin,
            global_budget: Arc::clone(&worker.server.global_budget),
            rates,
            lifetime: Lifetime::new(&route.lifetime, expires, Moment::now(), rand::random()),
            access,
            guard,
        };
        worker.attach(id, &wiring::start(parts, &route, upstream_start), &configuration);
    }

    async fn refuse(self, refusal: Refusal, context: Option<&RequestContext>) {
        let Self { worker, stream, peer, slot: _slot, pending: _pending, .. } = self;
        let (path, route) = context.map_or(("-", "-"), |context| (context.path(), context.route_name()));
        if refusal.is_configured {
            let (listener, status) = (&worker.state.name, refusal.status.as_u16());
            log::debug!(
                "request answered listener={listener} peer={peer} path={} route={route} status={status}",
                Quoted(path)
            );
        } else {
            worker.log_refusal(&refusal, peer, path, route);
        }
        let with_body = context.is_none_or(|context| context.head.method != Method::HEAD);
        answer::refuse(stream, &refusal.answer(with_body)).await;
    }

    /// Refuses a connection for which no handshake slot was free, without reading from it. If too many
    /// connections are being refused in this way, closes it without waiting for the client to read the
    /// response. With TLS, there is no response: its handshake would cost as much as one that is served.
    pub(super) async fn turn_away(self) {
        let refusal = Refusal::from(Full::Handshakes);
        if self.configuration.listener.tls.is_some() {
            return self.worker.log_closed(refusal.kind, refusal.text, None, self.peer);
        }
        if self.slot.is_some() {
            return self.refuse(refusal, None).await;
        }
        self.worker.log_refusal(&refusal, self.peer, "-", "-");
        // Best effort: only what the socket takes at once is sent.
        let _ = self.stream.try_write(&refusal.answer(true));
    }

    fn log_disconnect(&self) {
        log::debug!("client gone listener={} peer={}", self.configuration.listener.name, self.peer);
    }
}

/// Admits or refuses a client. It is admitted if its handshake is valid, a route matches, the limits on sessions are
/// not reached, and the upstream does not refuse it.
async fn admit(
    worker: &Rc<ListenerWorker>,
    configuration: &WorkerConfiguration,
    context: &mut RequestContext,
) -> Result<(Accepted, SessionPermit), Refusal> {
    if worker.server.registry.status().is_draining() {
        return Err(shutting_down());
    }
    match plain::find(configuration, context) {
        Some(Plain::Answer(answer)) => return Err(answer),
        Some(Plain::Forward(routed, dialer)) => {
            let opening = plain::open(worker, configuration, context, routed, dialer);
            let (exchange, permit) = Box::pin(opening).await?;
            return Ok((Accepted::Exchange(Box::new(exchange)), permit));
        }
        None => {}
    }
    checks::run(context)?;
    traced::begin(&worker.server, context);
    let routed = configuration.router.find(&context.routed_by(&configuration.listener.name));
    let routed = routed.map_err(ambiguous)?;
    let routed = routed.ok_or(Refusal::new(StatusCode::NOT_FOUND, "no route for this request"))?;
    let route = Arc::clone(&routed.route);
    context.route = Some(Arc::clone(&route));
    checks::origin(context, &route)?;
    auth::check(routed, context, &worker.state).await?;
    let Some(dialer) = &routed.dialer else {
        let permit = enter(worker, &routed.limits, context)?;
        let protocol = preferred(&route, &context.subprotocols);
        let target = Target { route, protocol, upstream_start: None, added: Vec::new() };
        return Ok((Accepted::Session(Box::new(target)), permit));
    };
    let Prepared { added, headers, path, destination } =
        prepared(context, &configuration.listener.name, &route, dialer)?;
    let permit = enter(worker, &routed.limits, context)?;
    let dialers: Rc<dyn Dialers> = Rc::<ListenerWorker>::clone(worker);
    let plan = DialPlan {
        dialers: Some(dialers),
        dialer: dialer.clone(),
        path,
        destination,
        key: affinity::key(context, &dialer.upstream().settings().pool),
        headers: headers.into(),
        protocols: context.subprotocols.as_slice().into(),
    };
    match dial_first(&route, plan).await {
        Ok((protocol, upstream_start)) => {
            let protocol = protocol.or_else(|| answered(context, &route));
            let target = Target { route, protocol, upstream_start: Some(upstream_start), added };
            Ok((Accepted::Session(Box::new(target)), permit))
        }
        Err(refusal) => Err(Refusal { headers: with_added(refusal.headers, added), ..refusal }),
    }
}

/// The subprotocol for the response if the upstream has chosen none: a browser that offers one as its credential closes
/// the connection if the response has none.
fn answered(context: &RequestContext, route: &Route) -> Option<String> {
    context.answers_subprotocol().then(|| preferred(route, &context.subprotocols)).flatten()
}

/// Admits a session within all limits.
fn enter(
    worker: &ListenerWorker,
    limits: &KeyLimits,
    context: &RequestContext,
) -> Result<SessionPermit, Refusal> {
    let now = Instant::now().into_std();
    let keys = limits.enter(|key| context.limit_key(key), now)?;
    Ok(worker.state.admission.enter(context.peer.ip(), keys, now)?)
}

/// What the request needs at the route's upstream.
fn prepared(
    context: &RequestContext,
    listener: &str,
    route: &Route,
    dialer: &Dialer,
) -> Result<Prepared, Refusal> {
    let settings = dialer.upstream().settings();
    let request = context.routed_by(listener);
    let facts = Facts { request, route: &route.name, identity: context.identity.as_deref() };
    let added = forward::added(&settings.response_headers, &facts).map_err(too_long)?;
    let headers = forward::headers(context, settings, &facts).map_err(too_long)?;
    let (path, destination) = target(route, dialer.upstream(), &context.head.uri)?;
    Ok(Prepared { added, headers, path, destination })
}

/// Refuses a path that does not surely belong to one route.
fn ambiguous(_: AmbiguousPath) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "ambiguous path")
}

fn too_long(error: TooLong) -> Refusal {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Refusal {
        cause: Some(error.to_string()),
        ..Refusal::new(status, "request too long for a configured header")
    }
}

fn shutting_down() -> Refusal {
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
    refusal.of_kind(RefusalKind::Draining).with(header::RETRY_AFTER, "5")
}
