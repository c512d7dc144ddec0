//! Closes sessions.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::OwnedSemaphorePermit, time::interval};

use super::{
    filter::{Claims, Conditions},
    show::find_running,
};
use crate::{
    admin::{
        AdminState,
        api::actions::{body, log_action},
        error::ApiError,
    },
    server::{Registry, SessionId, SessionState},
    session::Control,
    wire::CloseFrame,
};

/// The code of a close whose request has none: the client may come again.
const CODE: u16 = 1001;

/// The reason of a close whose request has none.
const REASON: &str = "closed by an operator";

/// Maximum length of a reason in a close frame, in bytes (RFC 6455 section 5.5).
const REASON_MAX: usize = 123;

/// Sessions that are closed per second if the request does not say. Their clients may reconnect at once.
const RATE: u32 = 200;

/// Maximum number of sessions that are closed per second.
const RATE_MAX: u32 = 10_000;

/// The time between two groups of closes.
const STEP: Duration = Duration::from_millis(50);

/// How to close a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    code: Option<u16>,
    reason: Option<String>,
}

/// Which sessions to close, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Many {
    #[serde(default, rename = "where")]
    conditions: Conditions,
    /// Whether an order without conditions is meant.
    #[serde(default)]
    all: bool,
    code: Option<u16>,
    reason: Option<String>,
    rate: Option<u32>,
}

/// The close frame for the client.
fn frame(code: Option<u16>, reason: Option<String>) -> Result<CloseFrame, ApiError> {
    let code = code.unwrap_or(CODE);
    if !matches!(code, 1000 | 1001 | 1003 | 1007..=1014 | 3000..=4999) {
        let text =
            format!("code = {code}: takes a code that a server may send, such as 1001, 1008, 1012 or 4000");
        return Err(ApiError::invalid(text));
    }
    let reason = reason.unwrap_or_else(|| REASON.to_owned());
    if reason.len() > REASON_MAX {
        return Err(ApiError::invalid(format!("reason: takes at most {REASON_MAX} bytes")));
    }
    Ok(CloseFrame::new(code, reason))
}

/// Closes one session.
pub(super) async fn close_one(
    state: web::Data<AdminState>,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let One { code, reason } = body(payload).await?;
    let frame = frame(code, reason)?;
    let (info, control) = find_running(&state, &id)?;
    let detail = format!("code={} reason={}", frame.code, frame.reason);
    log_action(&request, "close", &info.id.to_string(), &detail);
    control.notify(Control::Close(frame));
    Ok(HttpResponse::Accepted().json(json!({ "matched": 1 })))
}

/// Closes many sessions, at a pace. The answer comes before the last one is closed.
pub(super) async fn close_many(
    state: web::Data<AdminState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Many { conditions, all, code, reason, rate } = body(payload).await?;
    let frame = frame(code, reason)?;
    let rate = rate.unwrap_or(RATE);
    if !(1..=RATE_MAX).contains(&rate) {
        return Err(ApiError::invalid(format!("rate = {rate}: takes 1 to {RATE_MAX} sessions a second")));
    }
    if conditions.is_empty() != all {
        let text = "takes conditions in `where`, or `all`: true for all sessions, not both";
        return Err(ApiError::invalid(text));
    }
    let filter = conditions.check(Claims::All)?;
    let busy = "another order to close sessions is in progress";
    let slot = Arc::clone(&state.closing).try_acquire_owned();
    let slot = slot.map_err(|_| ApiError::new(StatusCode::CONFLICT, busy))?;
    let registry = Arc::clone(&state.server.registry);
    let ids = registry.pick(|info, stage| filter.takes(info, stage).then_some(info.id));
    let detail = format!("code={} reason={} sessions={} rate={rate}", frame.code, frame.reason, ids.len());
    log_action(&request, "close", "sessions", &detail);
    let matched = ids.len();
    actix_web::rt::spawn(close_paced(registry, ids, frame, rate, slot));
    let seconds = matched as f64 / f64::from(rate);
    Ok(HttpResponse::Accepted().json(json!({ "matched": matched, "seconds": seconds })))
}

/// Closes these sessions, at most `rate` a second. Those that have ended meanwhile are passed over.
async fn close_paced(
    registry: Arc<Registry>,
    ids: Vec<SessionId>,
    frame: CloseFrame,
    rate: u32,
    _slot: OwnedSemaphorePermit,
) {
    let steps_a_second = STEP.as_secs_f64().recip();
    let per_step = (f64::from(rate) / steps_a_second).max(1.0) as usize;
    // A low rate has fewer than one session a step.
    let pause = Duration::from_secs_f64(per_step as f64 / f64::from(rate));
    let mut ticks = interval(pause);
    for ids in ids.chunks(per_step) {
        ticks.tick().await;
        for (_, session) in ids.iter().filter_map(|id| registry.session(*id)) {
            if let SessionState::Running(control) = session {
                control.notify(Control::Close(frame.clone()));
            }
        }
    }
}
