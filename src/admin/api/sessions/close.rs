//! Closes sessions.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    filter::{Claims, Conditions},
    show::find_running,
    time,
};
use crate::{
    admin::{
        AdminState, answer,
        api::actions::{Plain, body, log_action, object},
        error::ApiError,
    },
    server::{CloseManner, CloseProgress},
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
    #[serde(default, rename = "where", deserialize_with = "object")]
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
    Ok(answer::accepted(&json!({ "matched": 1 })))
}

/// Orders to close many sessions, at a pace. The answer comes before the last one is closed.
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
    let filter = conditions.check(&state.server, Claims::All)?;
    let ids = state.server.registry.pick(|info, stage| filter.takes(info, stage).then_some(info.id));
    let matched = ids.len();
    let detail = format!("code={} reason={} sessions={matched} rate={rate}", frame.code, frame.reason);
    let given = state.server.close_orders.give(ids, CloseManner { frame, rate });
    given.map_err(|error| ApiError::new(StatusCode::CONFLICT, error.to_string()))?;
    log_action(&request, "close", "sessions", &detail);
    let seconds = matched as f64 / f64::from(rate);
    Ok(answer::accepted(&json!({ "matched": matched, "seconds": seconds })))
}

/// Shows the order in progress.
pub(super) async fn show(state: web::Data<AdminState>) -> HttpResponse {
    let order = state.server.close_orders.progress().as_ref().map(row);
    answer::ok(&json!({ "order": order }))
}

/// Calls off the order in progress. The sessions that it has not closed stay open.
pub(super) async fn abort(
    state: web::Data<AdminState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Plain {} = body(payload).await?;
    let left = state.server.close_orders.end("aborted").map_or(0, |progress| progress.left);
    log_action(&request, "abort", "sessions", &format!("sessions={left}"));
    Ok(answer::accepted(&json!({ "sessions": left })))
}

fn row(progress: &CloseProgress) -> Value {
    let CloseProgress { manner: CloseManner { frame, rate }, since, matched, closed, ended, left } = progress;
    json!({
        "code": frame.code,
        "reason": &*frame.reason,
        "rate": rate,
        "since": time(*since),
        "matched": matched,
        "closed": closed,
        "ended": ended,
        "left": left,
        "seconds": *left as f64 / f64::from(*rate),
    })
}
