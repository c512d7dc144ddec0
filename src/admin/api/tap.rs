//! `/api/tap`: lines of a tap, as long as the operator reads.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{StatusCode, header::CONTENT_TYPE},
    web,
};
use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep};

use super::names;
use crate::{
    admin::{
        AdminState,
        connections::{self, Holder},
        error::ApiError,
        guard,
    },
    listener::ServerState,
    server::SessionId,
    tap::{TapReader, TapRequest},
};

/// The time between two empty lines while there are no others. Writing shows that a reader is gone.
const ALIVE: Duration = Duration::from_secs(1);

/// The time between two looks at lines while few arrive. Without it, each line would wake this thread, which costs the
/// threads of the sessions more than the line.
const PAUSE: Duration = Duration::from_millis(5);

/// After a chunk of at least this size, the reader continues without a pause.
const FULL: usize = 8 * 1024;

/// The body of an answer: lines until the reader is gone, the tap ends, or the settings allow no taps.
struct TapBody {
    server: Arc<ServerState>,
    reader: TapReader,
    peer: String,
    alive: Interval,
    pause: Pin<Box<Sleep>>,
}

/// Opens a tap. It shows what clients send, so it needs the token.
pub(super) async fn tap(
    request: HttpRequest,
    state: web::Data<AdminState>,
) -> Result<HttpResponse, ApiError> {
    if let Err(denied) = guard::check_token(&request, &state).await {
        state.refusals.log(&request, denied);
        return Err(denied.into());
    }
    let configuration = state.server.configurations.current();
    let off = || ApiError::new(StatusCode::FORBIDDEN, "taps are off: set admin.tap = true");
    let redaction = configuration.tap_redaction().ok_or_else(off)?;
    let wanted = TapRequest::parse(request.query_string());
    let wanted = wanted.map_err(|error| ApiError::invalid(error.to_string()))?;
    names::check(&state.server, wanted.filter.listener(), wanted.filter.route())?;
    if let Some((listener, number)) = wanted.filter.session() {
        names::check_session(&state.server, SessionId { listener, number })?;
    }
    let has_payloads = wanted.payload.is_some();
    let reader = state.server.taps.open(wanted, Arc::clone(redaction));
    let reader = reader.map_err(|error| ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()))?;
    connections::keep(&request, Holder::Reader);
    let peer = request.peer_addr().map_or_else(String::new, |peer| peer.to_string());
    log::info!("admin action=tap peer={peer} payload={has_payloads}");
    let mut alive = interval(ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let server = Arc::clone(&state.server);
    let body = TapBody { server, reader, peer, alive, pause: Box::pin(sleep(Duration::ZERO)) };
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/x-ndjson")).body(body))
}

impl MessageBody for TapBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let Some(redaction) = self.server.configurations.current().tap_redaction().cloned() else {
            log::info!("tap ended, admin.tap is off peer={}", self.peer);
            return Poll::Ready(None);
        };
        self.reader.set_redaction(redaction);
        if let Poll::Ready(chunk) = self.reader.poll_chunk(cx) {
            if chunk.as_ref().is_some_and(|chunk| chunk.len() < FULL) {
                self.pause.as_mut().reset(Instant::now() + PAUSE);
            }
            self.alive.reset();
            return Poll::Ready(chunk.map(Ok));
        }
        // The first tick is at once: the reader sees that the tap is open.
        self.alive.poll_tick(cx).map(|_| Some(Ok(Bytes::from_static(b"\n"))))
    }
}
