//! Lets the credential of a session's client expire later.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    show::{NO_ANSWER, ask, find_running},
    time_of,
};
use crate::{
    admin::{
        AdminState, answer,
        api::actions::{body, log_action},
        error::ApiError,
    },
    clock,
    session::{Control, Extension},
};

/// Maximum time by which an order extends a session, in seconds: a year.
const SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

/// The body of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    /// Who the client must be, so that an order never extends the session of somebody else.
    subject: String,
    /// The time from now until the credential expires.
    seconds: u64,
}

/// Extends the credential until this many seconds from now.
///
/// # Errors
/// 409 when the client is another subject, has no credential that expires, or has one that expires later.
pub(super) async fn renew(
    state: web::Data<AdminState>,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Renew { subject, seconds } = body(payload).await?;
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(ApiError::invalid(format!("seconds = {seconds}: takes 1 to {SECONDS_MAX}")));
    }
    let (info, control) = find_running(&state, &id)?;
    let expires = (clock::since_1970() + Duration::from_secs(seconds)).as_secs();
    let detail = format!("subject={subject} seconds={seconds}");
    let extend = |reply| Control::Extend(Extension { subject, expires, reply });
    match ask(&state, &control, extend).await? {
        Some(Ok(())) => {
            log_action(&request, "renew", &info.id.to_string(), &detail);
            Ok(answer::ok(&json!({ "expires": time_of(expires) })))
        }
        Some(Err(error)) => Err(ApiError::new(StatusCode::CONFLICT, error.to_string())),
        None => Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, NO_ANSWER)),
    }
}
