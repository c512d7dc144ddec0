//! `/api/tap`: lines of a tap, as long as the operator reads.

use std::{
    convert::Infallible,
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
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    admin::{AdminState, error::ApiError, guard},
    tap::{TapReader, TapRequest},
};

/// The time between two empty lines while there are no others. Writing shows that a reader is gone.
const ALIVE: Duration = Duration::from_secs(1);

/// The body of an answer: lines until the reader is gone, or the tap ends.
struct TapBody {
    reader: TapReader,
    alive: Interval,
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
    let has_payloads = wanted.payload.is_some();
    let reader = state.server.taps.open(wanted, Arc::clone(redaction));
    let reader = reader.map_err(|error| ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()))?;
    let peer = request.peer_addr().map_or_else(String::new, |peer| peer.to_string());
    log::info!("admin action=tap peer={peer} payload={has_payloads}");
    let mut alive = interval(ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = TapBody { reader, alive };
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/x-ndjson")).body(body))
}

impl MessageBody for TapBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Poll::Ready(chunk) = self.reader.poll_chunk(cx) {
            self.alive.reset();
            return Poll::Ready(chunk.map(Ok));
        }
        // The first tick is at once: the reader sees that the tap is open.
        self.alive.poll_tick(cx).map(|_| Some(Ok(Bytes::from_static(b"\n"))))
    }
}
