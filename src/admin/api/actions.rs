//! What all actions share: the body of the request, and the line in the log.

use actix_web::{HttpRequest, http::StatusCode, web};
use serde::de::DeserializeOwned;

use crate::{admin::error::ApiError, log::Quoted};

/// Maximum size of a request's body, in bytes: more than any action needs.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads the body of an action as JSON. An empty body is `{}`.
///
/// # Errors
/// When the body is too long, is not JSON, or has something that the action does not take.
pub(super) async fn body<T: DeserializeOwned>(payload: web::Payload) -> Result<T, ApiError> {
    let bytes = match payload.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(ApiError::invalid(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let text = format!("the body has more than {BODY_BYTES_MAX} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
    };
    let json = if bytes.is_empty() { b"{}" } else { &*bytes };
    serde_json::from_slice(json).map_err(|error| ApiError::invalid(format!("wrong body: {error}")))
}

/// Logs an action. `target` is what it concerns, `detail` what it does.
pub(super) fn log_action(request: &HttpRequest, action: &str, target: &str, detail: &str) {
    let peer = request.peer_addr().map_or_else(String::new, |peer| peer.to_string());
    log::info!("admin action={action} peer={peer} target={} detail={}", Quoted(target), Quoted(detail));
}
