//! The health pages. Every host and every site may ask for them: they say only whether the process runs and accepts
//! sessions.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};

use super::{AdminState, routes::page};

/// The pages `/healthz` and `/readyz`.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/healthz", healthz)).service(page("/readyz", readyz));
}

async fn healthz() -> HttpResponse {
    text(StatusCode::OK, "ok\n")
}

async fn readyz(state: web::Data<AdminState>) -> HttpResponse {
    match state.server.registry.status().is_draining() {
        false => text(StatusCode::OK, "ready\n"),
        true => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::plaintext()).body(text)
}
