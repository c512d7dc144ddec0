//! The pages below `/api`, as JSON.

use actix_web::web;

/// Adds the pages.
pub(super) fn configure(_routes: &mut web::ServiceConfig) {}
