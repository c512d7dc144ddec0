//! Forwarding of requests that do not ask for a WebSocket (`forward_http`): one request and its response, on a
//! separate connection to the upstream.
//!
//! ```text
//! prepare (framing, headers) ─► open (a connection to the upstream) ─► relay (both bodies at once) ─► end
//! ```
//! The client's connection ends after the response, and so does the upstream's: no byte of one request can become a
//! part of another one.

mod head;
mod relay;

use std::{future::pending, rc::Rc, sync::Arc};

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::sleep;

use self::{
    head::{RequestHead, ResponsePolicy},
    relay::{Relay, RelayEnd},
};
use super::{
    answer::{self, Refusal},
    refusals::RefusalKind,
    worker::ListenerWorker,
};
use crate::{
    http1::{BadFraming, BodyLength},
    net::Stream,
    session::{Due, Lifetime, LifetimeEnd, Moment},
    settings::Route,
    upstream::{ClientPath, DialError, Dialer, HttpConnection},
};

/// A checked request that can be forwarded.
pub(super) struct Plan {
    pub(super) route: Arc<Route>,
    pub(super) dialer: Dialer,
    /// What the request adds to the upstream's URL.
    pub(super) path: ClientPath,
    /// What selects the endpoint, if the settings select it by a hash.
    pub(super) key: Option<u64>,
    /// The headers that the settings forward and add.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that the settings add to the response.
    pub(super) added: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
    /// How long the request may last; `None` for no limit.
    pub(super) lifetime: Option<Lifetime>,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body {
    length: BodyLength,
    /// Whether the client waits for a 100 before it sends the body.
    expects_continue: bool,
}

/// A request with a connection for it.
pub(super) struct HttpExchange {
    pub(super) plan: Plan,
    connection: HttpConnection,
}

/// How an exchange has ended, for the log.
#[derive(Debug)]
pub(super) struct Ended {
    /// The status that the client got; `None` if it got none.
    pub(super) status: Option<StatusCode>,
    /// Why the response is incomplete; `None` if it is complete.
    pub(super) cause: Option<String>,
}

// === impl Body ===

impl Body {
    /// The body of a request with these headers.
    ///
    /// # Errors
    /// When the end of the body is uncertain, or the request cannot be forwarded.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Result<Self, Refusal> {
        if *method == Method::TRACE || *method == Method::CONNECT {
            // RFC 9110 section 9.3.8: a TRACE would show the client headers that the proxy adds.
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method cannot be forwarded"));
        }
        let length = BodyLength::of_request(headers).map_err(|error| match error {
            BadFraming::Both => {
                Refusal::new(StatusCode::BAD_REQUEST, "both Content-Length and Transfer-Encoding")
            }
            BadFraming::Length => Refusal::new(StatusCode::BAD_REQUEST, "malformed Content-Length"),
            BadFraming::Coding => {
                Refusal::new(StatusCode::NOT_IMPLEMENTED, "a Transfer-Encoding other than chunked")
                    .of_kind(RefusalKind::Request)
            }
        })?;
        let mut expected = headers.get_all(header::EXPECT);
        let expects_continue = match (expected.next(), expected.next()) {
            (None, _) => false,
            (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                !matches!(length, BodyLength::None | BodyLength::Sized(0))
            }
            _ => return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "unknown expectation")),
        };
        Ok(Self { length, expects_continue })
    }
}

// === impl Plan ===

impl Plan {
    /// Connects to the upstream.
    ///
    /// # Errors
    /// When it cannot be reached: 502, or 504 if it did not answer in time.
    pub(super) async fn open(self) -> Result<HttpExchange, Refusal> {
        match self.dialer.open(&self.path, self.key).await {
            Ok(connection) => Ok(HttpExchange { plan: self, connection }),
            Err(error) => Err(Refusal { headers: self.added, ..unreachable(&error) }),
        }
    }
}

fn unreachable(error: &DialError) -> Refusal {
    let refusal = match error.is_timeout() {
        true => Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time"),
        false => Refusal::new(StatusCode::BAD_GATEWAY, "the upstream is not available"),
    };
    Refusal { cause: Some(error.to_string()), ..refusal }
}

// === impl HttpExchange ===

impl HttpExchange {
    /// Forwards the request and its response, and ends the client's connection. `early` has the bytes that were received
    /// after the head of the request.
    ///
    /// Returns how it ended, or the refusal of a request to which nothing has been answered yet, with the connection.
    pub(super) async fn run(
        self,
        mut stream: Stream,
        worker: &Rc<ListenerWorker>,
        method: &Method,
        received: &HeaderMap,
        early: &[u8],
    ) -> Result<Ended, (Stream, Refusal)> {
        let Self { mut plan, mut connection } = self;
        // Without a length, the end of the connection is the end of the response.
        connection.socket.report_cut();
        let lifetime = plan.lifetime.take();
        let Some(target) = connection.target(&plan.dialer) else {
            return Err((stream, Refusal::new(StatusCode::BAD_GATEWAY, "the upstream is not available")));
        };
        let Body { length, expects_continue } = plan.body;
        let head = RequestHead { method, received, headers: &plan.headers, body: length, expects_continue };
        let head = head.bytes(&target);
        let upstream = plan.dialer.upstream().settings();
        let policy = ResponsePolicy { upstream, host: &target.host, added: &plan.added };
        let relay = Relay::new(method, &policy, plan.route.http_timeout);
        let end = tokio::select! {
            biased;
            end = over(lifetime) => RelayEnd::Over(end),
            end = relay.run(&mut stream, connection.socket, &head, length, early) => end,
            () = drained(worker) => RelayEnd::Draining,
        };
        match (relay.status(), end.refusal()) {
            (None, Some(refusal)) => {
                Err((stream, Refusal { headers: [refusal.headers, plan.added].concat(), ..refusal }))
            }
            (status, refusal) => {
                if !matches!(end, RelayEnd::Gone) {
                    answer::end(&mut stream).await;
                }
                let cause = refusal.map(|refusal| refusal.cause.unwrap_or_else(|| refusal.text.to_owned()));
                Ok(Ended { status, cause })
            }
        }
    }
}

/// Resolves when the client's credential has expired, or when the request is as old as a session may get.
async fn over(lifetime: Option<Lifetime>) -> LifetimeEnd {
    let Some(mut lifetime) = lifetime else { return pending().await };
    loop {
        let now = Moment::now();
        match (lifetime.due(now), lifetime.wait(now)) {
            (Some(Due::End(end)), _) => return end,
            // The response has no place for a notice.
            (Some(Due::Notice(_)), _) => {}
            (None, Some(wait)) => sleep(wait).await,
            (None, None) => pending().await,
        }
    }
}

/// Resolves when a drain has begun, and its window and grace are over.
async fn drained(worker: &ListenerWorker) {
    worker.server.registry.status().draining().await;
    sleep(worker.server.drain_time()).await;
}
