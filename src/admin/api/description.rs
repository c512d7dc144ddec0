//! `/api/openapi.json`: the description of the API. A test compares it with the pages and their answers.

use actix_web::{HttpResponse, web};

use crate::admin::routes::page;

/// The document.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Adds the page.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/api/openapi.json", show));
}

async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(DESCRIPTION)
}
