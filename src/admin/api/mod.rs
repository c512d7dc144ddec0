//! The pages below `/api`, as JSON.

mod tap;
mod actions;
mod events;
mod sessions;

use actix_web::web;

use super::error::ApiError;

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(
        web::resource("/api/tap")
            .route(web::get().to(tap::tap))
            .default_service(web::to(|| async { Err::<String, _>(ApiError::method("GET")) })),
    );
    sessions::configure(routes);
    events::configure(routes);
}
