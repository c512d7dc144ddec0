//! `/api/sessions`: lists, shows, closes and renews sessions.

mod close;
mod filter;
mod list;
mod renew;
mod show;

use std::time::SystemTime;

use actix_web::web;

use crate::admin::routes::{action, page};

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(page("/api/sessions", list::list))
        .service(action("/api/sessions/close", close::close_many))
        .service(page("/api/sessions/closing", close::show))
        .service(action("/api/sessions/closing/abort", close::abort))
        .service(page("/api/sessions/{id}", show::show))
        .service(action("/api/sessions/{id}/close", close::close_one))
        .service(action("/api/sessions/{id}/renew", renew::renew));
}

/// A time as in the log.
pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
