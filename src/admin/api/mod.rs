//! The pages below `/api`, as JSON.

mod actions;
mod description;
mod events;
mod names;
mod process;
mod reloads;
mod sessions;
mod tap;
mod upstreams;

use actix_web::web;

use super::error::ApiError;

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(
        web::resource("/api/tap")
            .route(web::get().to(tap::tap))
            .default_service(web::to(|| async { Err::<String, _>(ApiError::method("GET")) })),
    );
    description::configure(routes);
    sessions::configure(routes);
    events::configure(routes);
    upstreams::configure(routes);
    process::configure(routes);
    reloads::configure(routes);
}
