//! `/api/events/{id}`: why an event failed.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::sessions::time;
use crate::{
    admin::{AdminState, error::ApiError, routes::page},
    event::EventId,
    figures::FailedEvent,
};

/// Adds the page.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/api/events/{id}", show));
}

async fn show(state: web::Data<AdminState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id: EventId = id.parse().map_err(|_| ApiError::invalid("an event id is like 1:42:7"))?;
    let found = state.server.failures.find(id);
    let event = found.ok_or_else(|| {
        ApiError::not_found(format!("event {id} has not failed, or is no longer kept: see the log"))
    })?;
    Ok(HttpResponse::Ok().json(failed(&event)))
}

/// A failed event as JSON.
pub(super) fn failed(event: &FailedEvent) -> Value {
    json!({
        "id": event.id.to_string(),
        "session": format!("{}:{}", event.id.source, event.id.stream),
        "at": time(event.at),
        "stage": event.stage,
        "kind": event.kind,
        "reason": event.reason,
        "upstream": event.upstream.as_deref(),
    })
}
