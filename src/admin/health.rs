//! The health pages. Every host and every site may ask for them: they say only whether the process runs and accepts
//! sessions.

use actix_web::{HttpResponse, web};

use super::{AdminState, routes::page};

/// The pages `/healthz` and `/readyz`.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/healthz", healthz)).service(page("/readyz", readyz));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn readyz(state: web::Data<AdminState>) -> HttpResponse {
    match state.server.registry.status().is_draining() {
        false => HttpResponse::Ok().body("ready\n"),
        true => HttpResponse::ServiceUnavailable().body("draining\n"),
    }
}
