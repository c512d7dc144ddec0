//! `/api/drain`: ends the process in order.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde_json::json;
use tokio::time::sleep;

use super::actions::log_action;
use crate::admin::{AdminState, answer, error::ApiError, routes::action};

/// How long the answer to the order has before the process begins to end.
const ANSWERING_TIME: Duration = Duration::from_millis(100);

/// Adds the page.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(action("/api/drain", drain));
}

/// Drains the process, as SIGTERM does.
async fn drain(state: web::Data<AdminState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let status = state.server.registry.status();
    if status.is_draining() {
        return Err(ApiError::new(StatusCode::CONFLICT, "the process drains already"));
    }
    let sessions = status.live();
    log_action(&request, "drain", "process", "");
    actix_web::rt::spawn(async move {
        // The admin server ends with the process, which may take no time.
        sleep(ANSWERING_TIME).await;
        state.server.shutdown.notify_one();
    });
    Ok(answer::accepted(&json!({ "sessions": sessions })))
}
