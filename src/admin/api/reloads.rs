//! `/api/reload`, `/api/reloads` and `/api/configuration`: the settings of the running process.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde_json::{Value, json};

use super::{actions::log_action, sessions::time};
use crate::{
    admin::{
        AdminState, answer,
        error::ApiError,
        reloads::{self, ReloadView},
        routes::{action, page},
    },
    reload::{By, CHANGES_MAX, HISTORY_MAX, NotServed},
};

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(action("/api/reload", reload));
    routes.service(page("/api/reloads", list));
    routes.service(page("/api/configuration", configuration));
}

/// Reloads the settings, as SIGHUP does. The answer has what has changed.
///
/// # Errors
/// 422 with the problems when the settings are wrong or cannot be put in force; nothing has changed then. 409 when a
/// reload is waiting already, or the process drains.
async fn reload(state: web::Data<AdminState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let unknown = || ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the connection has no address");
    let peer = request.peer_addr().ok_or_else(unknown)?;
    log_action(&request, "reload", "settings", "");
    let not_served = |error: NotServed| ApiError::new(StatusCode::CONFLICT, error.to_string());
    let record = state.reloads.reload(By::Admin(peer)).await.map_err(not_served)?;
    let view = reloads::reload(&record, CHANGES_MAX);
    match record.is_done() {
        true => Ok(answer::ok(&row(&view))),
        false => {
            let text = format!("nothing has changed:\n{}", view.problems.join("\n"));
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, text))
        }
    }
}

/// The latest reloads, the last one first.
async fn list(state: web::Data<AdminState>) -> HttpResponse {
    let reloads = reloads::reloads(&state.reloads, HISTORY_MAX, CHANGES_MAX);
    let reloads: Vec<_> = reloads.iter().map(row).collect();
    answer::ok(&json!({ "reloads": reloads }))
}

/// A reload as JSON.
fn row(view: &ReloadView) -> Value {
    let ReloadView { number, at, by, configuration, changes, problems, left_out } = view;
    json!({
        "number": number,
        "at": time(UNIX_EPOCH + Duration::from_millis(*at)),
        "by": by,
        "configuration": configuration,
        "changes": changes,
        "problems": problems,
        "left_out": left_out,
    })
}

/// The settings in force, as TOML with secrets masked.
async fn configuration(state: web::Data<AdminState>) -> Result<HttpResponse, ApiError> {
    // The report reads the files that the settings name.
    let handle = state.reloads.clone();
    let lost = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the settings cannot be reported");
    let text = web::block(move || handle.configuration()).await.map_err(lost)?;
    Ok(HttpResponse::Ok().content_type("application/toml").body(text))
}
