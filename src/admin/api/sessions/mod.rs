//! `/api/sessions`: lists, shows, closes and renews sessions.

mod close;
mod filter;
mod list;
mod renew;
mod show;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::web;

use crate::admin::routes::{action, page};

/// The last second that a date can show: the end of the year 9999.
const SECONDS_LAST: u64 = 253_402_300_799;

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

/// The time that many seconds after 1970. A later one than a date can show is the last one: a client's token has it.
fn time_of(seconds: u64) -> String {
    time(UNIX_EPOCH + Duration::from_secs(seconds.min(SECONDS_LAST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_after_all_dates_is_the_last_one() {
        assert_eq!(time_of(1_796_031_239), "2026-11-30T09:33:59.000Z");
        assert_eq!(time_of(u64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
