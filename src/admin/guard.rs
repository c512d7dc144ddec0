//! Applies [`access`](super::access) to each request.

use std::{io, path::Path, time::Instant};

use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode},
    middleware::Next,
    web,
};
use tokio::time::timeout;

use super::{
    AdminState,
    access::{self, Denied},
    connections::{self, Holder},
    error::ApiError,
    routes::ANSWER_TIME,
};
use crate::{
    auth::{Secret, operator_token},
    files,
    log::{PlaceLimit, Quoted},
};

/// Limits the log lines about refusals: everybody who reaches the address can cause them.
#[derive(Debug)]
pub(super) struct Refusals {
    refused: PlaceLimit,
    unusable: PlaceLimit,
}

/// Checks a request, and passes it on. Every method other than GET and HEAD is an action.
pub(super) async fn check(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = request.extract::<web::Data<AdminState>>().await?;
    state.turns.wait().await;
    let is_action = !matches!(*request.method(), Method::GET | Method::HEAD);
    let allowed = match access::check_site(request.headers(), &state.settings.allowed_hosts) {
        Ok(()) if is_action => check_token(request.request(), &state).await,
        other => other,
    };
    if let Err(denied) = allowed {
        state.refusals.log(request.request(), denied);
        return Err(ApiError::from(denied).into());
    }
    let slow = || ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request took too long");
    timeout(ANSWER_TIME, next.call(request)).await.map_err(|_| slow())?
}

/// Checks the token of a request.
///
/// # Errors
/// When the request does not have the operator's token.
pub(crate) async fn check_token(request: &HttpRequest, state: &AdminState) -> Result<(), Denied> {
    let file = state.settings.token_file.clone().ok_or(Denied::ActionsOff)?;
    let given = access::bearer(request.headers())?;
    // The file may be on a slow disk.
    let read = web::block(move || token_of(&file)).await.map_err(|_| Denied::Unreadable)?;
    let token = read.map_err(|error| {
        state.refusals.log_unusable(&error);
        Denied::Unreadable
    })?;
    access::check_token(given, &token)?;
    connections::keep(request, Holder::Operator);
    Ok(())
}

/// Reads the token. The file may have changed since the start.
fn token_of(file: &Path) -> io::Result<Secret> {
    let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let (text, mode) = files::read_with_mode(file).map_err(|error| named(&error))?;
    operator_token::parse(&text, mode).map_err(|error| named(&error))
}

// === impl Refusals ===

impl Default for Refusals {
    fn default() -> Self {
        Self { refused: PlaceLimit::new(1), unusable: PlaceLimit::new(1) }
    }
}

impl Refusals {
    /// Logs that the file with the token cannot be used, at most once a second.
    fn log_unusable(&self, error: &io::Error) {
        if let Some(suppressed) = self.unusable.line(Instant::now()) {
            let error = error.to_string();
            log::error!(
                "token file cannot be used key=admin.token_file error={}{suppressed}",
                Quoted(&error)
            );
        }
    }

    /// Logs a refusal, at most one a second.
    pub(super) fn log(&self, request: &HttpRequest, denied: Denied) {
        let Some(suppressed) = self.refused.line(Instant::now()) else { return };
        let suppressed = suppressed.count();
        let peer = request.peer_addr().map_or_else(String::new, |peer| peer.to_string());
        log::warn!(
            "admin request refused peer={peer} method={} path={} reason={} suppressed={suppressed}",
            request.method(),
            Quoted(request.path()),
            Quoted(&denied.to_string()),
        );
    }
}
