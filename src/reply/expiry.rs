//! The notice that a client's token expires, and the acknowledgement that it was renewed.

use std::time::{Duration, SystemTime};

use crate::event::{EventId, Value};

/// The text of the notice.
const TEXT: &str = "session expires";

/// The end of the year 9999, as the time since 1970. Later times have no form in RFC 3339.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// The data of the notice `event`: the client's token expires at `expires`, and the session is closed at `closes_at`
/// unless the token is renewed before. Both are times since 1970.
///
/// ```
/// # use {std::time::Duration, towline::{event::{EventId, EventNumber}, reply::expiry_data}};
/// let id = EventId { source: 1, stream: 0, event: EventNumber(12) };
/// let expires = Duration::from_secs(1_767_323_045);
/// assert_eq!(
///     expiry_data(id, expires, expires + Duration::from_secs(5)).to_json(),
///     r#"{"error":"session expires","event_id":"1:0:12","expiry":{"at":"2026-01-02T03:04:05Z","closes_at":"2026-01-02T03:04:10Z"}}"#,
/// );
/// ```
pub fn expiry_data(id: EventId, expires: Duration, closes_at: Duration) -> Value {
    let expiry = Value::record([("at", time(expires)), ("closes_at", time(closes_at))]);
    Value::record([
        ("error", Value::string(TEXT)),
        ("event_id", Value::string(id.to_string())),
        ("expiry", expiry),
    ])
}

/// The data of the acknowledgement of the renewal `event`. Without `expires`, the new token does not expire.
///
/// ```
/// # use {std::time::Duration, towline::{event::{EventId, EventNumber}, reply::renewal_data}};
/// let id = EventId { source: 1, stream: 0, event: EventNumber(13) };
/// let closes_at = Some(Duration::from_secs(1_767_323_050));
/// assert_eq!(
///     renewal_data(id, Some(1_767_323_045), closes_at).to_json(),
///     r#"{"notice":"session renewed","event_id":"1:0:13","expiry":{"at":"2026-01-02T03:04:05Z","closes_at":"2026-01-02T03:04:10Z"}}"#,
/// );
/// assert_eq!(
///     renewal_data(id, None, None).to_json(),
///     r#"{"notice":"session renewed","event_id":"1:0:13","expiry":null}"#,
/// );
/// ```
pub fn renewal_data(id: EventId, expires: Option<u64>, closes_at: Option<Duration>) -> Value {
    let expiry = expires.zip(closes_at).map_or(Value::Null, |(expires, closes_at)| {
        Value::record([("at", time(Duration::from_secs(expires))), ("closes_at", time(closes_at))])
    });
    let id = Value::string(id.to_string());
    Value::record([("notice", Value::string("session renewed")), ("event_id", id), ("expiry", expiry)])
}

fn time(since: Duration) -> Value {
    let at = SystemTime::UNIX_EPOCH + since.min(LAST);
    Value::string(humantime::format_rfc3339_seconds(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_has_no_form_is_the_last_one_that_has() {
        assert_eq!(time(Duration::MAX), Value::string("9999-12-31T23:59:59Z"));
        assert_eq!(time(Duration::ZERO), Value::string("1970-01-01T00:00:00Z"));
    }
}
