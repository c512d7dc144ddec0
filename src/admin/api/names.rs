//! The names of listeners, routes and sessions in requests. One that nothing has is an error: an empty answer would look like
//! a session that does nothing.

use crate::{admin::error::ApiError, listener::ServerState, server::SessionId};

/// Maximum number of names in an error.
const NAMED_MAX: usize = 20;

/// Checks the names of a listener and of a route. Those of live sessions are known too: a reload may have removed them.
///
/// # Errors
/// 404 when neither the settings nor a live session have one.
pub(super) fn check(
    server: &ServerState,
    listener: Option<&str>,
    route: Option<&str>,
) -> Result<(), ApiError> {
    let configuration = server.configurations.current();
    if let Some(wanted) = listener {
        let names = || configuration.listeners().iter().map(|listener| listener.name.as_str());
        let is_live = || server.registry.has(|info| info.listener.name == wanted);
        if !names().any(|name| name == wanted) && !is_live() {
            return Err(unknown("listener", wanted, names()));
        }
    }
    if let Some(wanted) = route {
        let names = || configuration.routes().map(|route| route.name.as_str());
        let is_live = || server.registry.has(|info| info.route.name == wanted);
        if !names().any(|name| name == wanted) && !is_live() {
            return Err(unknown("route", wanted, names()));
        }
    }
    Ok(())
}

/// Checks that a session is live.
///
/// # Errors
/// 404 when it is not.
pub(super) fn check_session(server: &ServerState, id: SessionId) -> Result<(), ApiError> {
    match server.registry.session(id) {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found(format!("no session {id}: it has ended, or never began"))),
    }
}

fn unknown<'a>(what: &str, wanted: &str, known: impl Iterator<Item = &'a str>) -> ApiError {
    let known: Vec<_> = known.collect();
    let shown = &known[..known.len().min(NAMED_MAX)];
    let more = match known.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    ApiError::not_found(format!("no {what} {wanted:?}; known: {}{more}", shown.join(", ")))
}
