//! Responds to a client whose upstream refused the handshake or cannot be reached.

use actix_http::{
    StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::forward;
use crate::{
    authority::host,
    header_list::is_named_by_connection,
    listener::{answer::Refusal, refusals::RefusalKind},
    settings::Upstream,
    upstream::{
        DialError, DialPlan,
        refused::{BodyError, Refused},
    },
};

/// The reason in the log, and the text of the response when the upstream's body is not passed on.
const REFUSED: &str = "refused by the upstream";

/// Headers that the client needs to react to the refusal. All others are dropped, for example
/// `Proxy-Authenticate`, which applies to the next hop only.
const PASSED: [HeaderName; 5] = [
    // required with 401 (RFC 9110 section 15.5.2)
    header::WWW_AUTHENTICATE,
    // with 429, 503 and 3xx (section 10.2.3)
    header::RETRY_AFTER,
    // required with 405 (section 15.5.6)
    header::ALLOW,
    header::LOCATION,
    // with 426 (RFC 6455 section 4.4)
    header::SEC_WEBSOCKET_VERSION,
];

/// Headers that describe the body. They are passed on together with the body.
const OF_BODY: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];

/// Whether a failed dial refuses the client. A 4xx response always does. On a route that closes its clients
/// when the upstream is lost (`keeps_client` is false), every failure does. Otherwise the client is accepted.
pub(super) fn is_answer(error: &DialError, keeps_client: bool) -> bool {
    match error {
        DialError::Refused(refused) => {
            !keeps_client || (refused.status.is_client_error() && is_for_client(refused.status))
        }
        _ => !keeps_client,
    }
}

/// The refusal for a client whose upstream could not be connected, with the status codes of a gateway: 502,
/// 504, or the upstream's own. `deadline` limits the wait for the body of the upstream's response.
pub(super) async fn answer(error: DialError, plan: &DialPlan, deadline: Instant) -> Refusal {
    let cause = error.to_string();
    let refusal = match error {
        DialError::Refused(refused) if is_for_client(refused.status) => {
            refusal(*refused, plan, deadline).await
        }
        error if error.is_timeout() => {
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time")
        }
        _ => Refusal::new(StatusCode::BAD_GATEWAY, "the upstream is not available"),
    };
    Refusal { cause: Some(cause), ..refusal }
}

/// Whether a status is meaningful to the client. A 407 asks for credentials for a proxy, and a 1xx or 2xx
/// does not refuse a handshake.
fn is_for_client(status: StatusCode) -> bool {
    status.as_u16() >= 300 && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED
}

/// The upstream's refusal as the response to the client: its status, the [`PASSED`] headers, and its body if
/// the body is complete by `deadline` and has at most [`BODY_MAX`](crate::upstream::refused::BODY_MAX) bytes.
/// Otherwise a text that gives the reason replaces the body.
async fn refusal(refused: Refused, plan: &DialPlan, deadline: Instant) -> Refusal {
    let (status, headers) = (refused.status, refused.headers.clone());
    let mut refusal = Refusal::new(status, REFUSED).of_kind(RefusalKind::Upstream);
    refusal.headers = passed(&headers, &plan.destination.url.request());
    let removed = &plan.settings().remove_response_headers;
    refusal.headers.retain(|(name, _)| !removed.iter().any(|other| *name == other.as_str()));
    refusal.headers.extend(listed(&headers, plan.settings()));
    if status == StatusCode::UPGRADE_REQUIRED {
        // required with 426; the upstream's own is for its connection to us (RFC 9110 sections 7.8, 15.5.22)
        refusal.headers.push((header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    let missing = match timeout_at(deadline, refused.body()).await {
        Ok(Ok(body)) => return with_body(refusal, &headers, body),
        Ok(Err(BodyError::TooLarge)) => "its answer has more than 16 KiB and is not passed on",
        Ok(Err(BodyError::Incomplete)) => "its answer was incomplete and is not passed on",
        Err(_) => "its answer was not complete in time and is not passed on",
    };
    Refusal { note: Some(missing), ..refusal }
}

fn with_body(mut refusal: Refusal, headers: &HeaderMap, body: Bytes) -> Refusal {
    if !body.is_empty() {
        let described = OF_BODY.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
        refusal.headers.extend(described);
    }
    refusal.body = Some(body);
    refusal
}

fn passed(headers: &HeaderMap, upstream: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut passed = Vec::new();
    for name in PASSED.iter().filter(|name| !is_named_by_connection(headers, name)) {
        let values = headers.get_all(name);
        let values = values.filter(|value| *name != header::LOCATION || is_location(value, upstream));
        passed.extend(values.map(|value| (name.clone(), value.clone())));
    }
    passed
}

/// The headers listed in `forward_response_headers`, without those that the response has in any case.
fn listed(headers: &HeaderMap, upstream: &Upstream) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let (listed, left_out) = forward::response(headers, upstream);
    if left_out > 0 {
        log::debug!("response headers left out upstream={} headers={left_out}", upstream.name);
    }
    let known = |name: &HeaderName| PASSED.contains(name) || OF_BODY.contains(name) || *name == header::DATE;
    listed.into_iter().filter(move |(name, _)| !known(name))
}

/// Whether a client can use a `Location`. A `Location` at the upstream's own host is unreachable for clients
/// and reveals an internal name.
fn is_location(value: &HeaderValue, upstream: &str) -> bool {
    let Ok(location) = value.to_str() else { return false };
    host(location).is_none_or(|named| !host(upstream).is_some_and(|own| own.eq_ignore_ascii_case(named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::LookupError;

    const UPSTREAM: &str = "ws://chat.internal:8139/ws";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn names(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        passed(&headers(pairs), UPSTREAM).into_iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn only_headers_that_concern_the_client_are_passed_on() {
        let given = [
            ("www-authenticate", "Basic realm=\"a\""),
            ("www-authenticate", "Bearer"),
            ("retry-after", "7"),
            ("proxy-authenticate", "Basic"),
            ("server", "secret/1.0"),
            ("connection", "close"),
            ("content-length", "7"),
        ];
        assert_eq!(names(&given), ["www-authenticate", "www-authenticate", "retry-after"]);
    }

    #[test]
    fn a_header_that_connection_names_is_not_passed_on() {
        assert_eq!(names(&[("connection", "close, Retry-After"), ("retry-after", "7")]), [""; 0]);
    }

    #[test]
    fn a_location_at_the_upstreams_host_is_not_passed_on() {
        for (location, expected) in [
            ("/login?next=/chat", true),
            ("https://login.example.com/", true),
            ("http://chat.internal/login", false),
            ("ws://CHAT.internal:9000/", false),
            ("//chat.internal/login", false),
            ("https://user@chat.internal:81?a", false),
            ("login", true),
            ("https://login.example.com?next=ws://chat.internal", true),
        ] {
            assert_eq!(is_location(&HeaderValue::from_static(location), UPSTREAM), expected, "{location}");
        }
    }

    #[test]
    fn a_failed_dial_refuses_the_client_unless_the_route_keeps_it() {
        let error = DialError::Resolve(LookupError::NotFound);
        assert!(is_answer(&error, false));
        assert!(!is_answer(&error, true));
    }

    #[test]
    fn statuses_from_300_except_407_are_passed_on() {
        let meant = [301, 401, 403, 404, 429, 500, 503, 599].map(|code| StatusCode::from_u16(code).unwrap());
        assert!(meant.into_iter().all(is_for_client));
        let others = [103, 200, 204, 407].map(|code| StatusCode::from_u16(code).unwrap());
        assert!(!others.into_iter().any(is_for_client));
    }
}
