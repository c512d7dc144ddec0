//! The checks of a client's handshake (RFC 6455 section 4.2.1), as a list.
//!
//! A request that passes all checks is exactly what RFC 6455 requires.

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::context::RequestContext;
use crate::{
    header_list::{elements, has_token, is_token},
    listener::{answer::Refusal, refusals::RefusalKind},
    settings::Route,
};

/// Maximum number of subprotocols that a client may offer, because all of them are passed on to the upstream.
const SUBPROTOCOLS_MAX: usize = 64;

/// A check of the handshake, and the refusal of a request that fails it.
struct Check {
    /// The name of the check, for the log and for tests.
    name: &'static str,
    run: fn(&mut RequestContext) -> Result<(), Refusal>,
}

/// All checks, in the order in which they run. The first one that fails refuses the request.
const CHECKS: [Check; 6] = [
    Check { name: "method", run: method },
    Check { name: "upgrade", run: upgrade },
    Check { name: "body", run: body },
    Check { name: "version", run: version },
    Check { name: "key", run: key },
    Check { name: "subprotocols", run: subprotocols },
];

/// Runs all checks, and records the subprotocols that the client offers in `context`.
pub(super) fn run(context: &mut RequestContext) -> Result<(), Refusal> {
    first_failure(context).map_or(Ok(()), |(name, refusal)| {
        log::debug!("handshake check failed check={name} peer={}", context.peer);
        Err(refusal)
    })
}

/// The first check that the request fails, by name; `None` if it passes all.
fn first_failure(context: &mut RequestContext) -> Option<(&'static str, Refusal)> {
    CHECKS.iter().find_map(|check| (check.run)(context).err().map(|refusal| (check.name, refusal)))
}

fn method(context: &mut RequestContext) -> Result<(), Refusal> {
    if context.head.method == Method::GET {
        return Ok(());
    }
    let refusal =
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket handshake requires the method GET");
    Err(refusal.with(header::ALLOW, "GET"))
}

/// Checks that the client requests a WebSocket. Any other request gets 426 (RFC 9110 section 15.5.22).
fn upgrade(context: &mut RequestContext) -> Result<(), Refusal> {
    let headers = context.head.headers();
    if has_token(headers, &header::UPGRADE, "websocket") && has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Ok(());
    }
    let refusal =
        Refusal::new(StatusCode::UPGRADE_REQUIRED, "this address accepts only WebSocket handshakes");
    Err(refusal.with(header::UPGRADE, "websocket"))
}

/// Checks that the request has no body. The upstream could read a body as frames, or frames as a body.
fn body(context: &mut RequestContext) -> Result<(), Refusal> {
    let headers = context.head.headers();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH);
    if headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0") {
        return Err(bad("a WebSocket handshake must not have a body"));
    }
    Ok(())
}

fn version(context: &mut RequestContext) -> Result<(), Refusal> {
    match one(context.head.headers(), &header::SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => Ok(()),
        _ => {
            let refusal =
                Refusal::new(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is supported");
            Err(refusal.with(header::SEC_WEBSOCKET_VERSION, "13"))
        }
    }
}

fn key(context: &mut RequestContext) -> Result<(), Refusal> {
    let key = one(context.head.headers(), &header::SEC_WEBSOCKET_KEY);
    match key.map(|key| STANDARD.decode(key.as_bytes())) {
        Some(Ok(key)) if key.len() == 16 => Ok(()),
        _ => Err(bad("expected exactly one Sec-WebSocket-Key with 16 base64-encoded bytes")),
    }
}

/// Checks and records the offered subprotocols. Empty elements of the list are ignored (RFC 9110 section
/// 5.6.1.2).
pub(super) fn subprotocols(context: &mut RequestContext) -> Result<(), Refusal> {
    let malformed = || bad("Sec-WebSocket-Protocol must be a list of distinct tokens");
    let mut offered: Vec<String> = Vec::new();
    for element in elements(context.head.headers(), &header::SEC_WEBSOCKET_PROTOCOL) {
        let protocol = str::from_utf8(element).map_err(|_| malformed())?;
        if !is_token(element) || offered.iter().any(|known| known == protocol) {
            return Err(malformed());
        }
        if offered.len() == SUBPROTOCOLS_MAX {
            return Err(bad("more than 64 subprotocols"));
        }
        offered.push(protocol.to_owned());
    }
    context.subprotocols = offered;
    Ok(())
}

/// Maximum length of an origin in the log, in bytes.
const ORIGIN_LOGGED_MAX: usize = 256;

/// Checks that the route accepts the request's origin. The log line has the origin.
pub(super) fn origin(context: &RequestContext, route: &Route) -> Result<(), Refusal> {
    let headers = context.head.headers();
    if route.origins.as_ref().is_none_or(|origins| origins.accept(headers)) {
        return Ok(());
    }
    let sent: Vec<_> =
        headers.get_all(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes())).collect();
    let sent = match sent.is_empty() {
        true => "none".to_owned(),
        false => sent.join(", "),
    };
    let end = sent.floor_char_boundary(ORIGIN_LOGGED_MAX);
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "origin not allowed").of_kind(RefusalKind::Origin);
    Err(Refusal { cause: Some(format!("origin {}", &sent[..end])), ..refusal })
}

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

/// The value of a header that occurs exactly once; otherwise `None`.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_http::test::TestRequest;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("host", "example"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ]
    }

    fn status(headers: &[(&'static str, &'static str)]) -> Result<Vec<String>, (&'static str, u16)> {
        let mut request = TestRequest::default();
        for header in headers {
            request.append_header(*header);
        }
        let mut context = context(request);
        match first_failure(&mut context) {
            None => Ok(context.subprotocols),
            Some((name, refusal)) => Err((name, refusal.status.as_u16())),
        }
    }

    fn context(mut request: TestRequest) -> RequestContext {
        RequestContext::direct(request.finish().head().clone(), SocketAddr::from(([192, 0, 2, 1], 50_000)))
    }

    fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut headers = good();
        headers.push((name, value));
        headers
    }

    fn instead(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut headers = good();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        headers
    }

    fn without(name: &str) -> Vec<(&'static str, &'static str)> {
        let mut headers = good();
        headers.retain(|(known, _)| *known != name);
        headers
    }

    #[test]
    fn a_valid_handshake_passes() {
        assert_eq!(status(&good()), Ok(vec![]));
        assert_eq!(status(&with("content-length", "0")), Ok(vec![]));
        let offered = with("sec-websocket-protocol", "graphql-ws, chat.v2");
        assert_eq!(status(&offered), Ok(vec!["graphql-ws".to_owned(), "chat.v2".to_owned()]));
    }

    /// RFC 9110 section 5.6.1.2 requires this.
    #[test]
    fn empty_elements_of_lists_are_ignored() {
        for (list, expected) in [
            ("", vec![]),
            (", ,", vec![]),
            ("chat, ", vec!["chat"]),
            (",chat", vec!["chat"]),
            ("chat,,x", vec!["chat", "x"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(status(&with("sec-websocket-protocol", list)), Ok(expected), "{list:?}");
        }
        assert_eq!(status(&instead("connection", ", ,upgrade,")), Ok(vec![]));
        assert_eq!(status(&instead("upgrade", ",websocket, ")), Ok(vec![]));
    }

    #[test]
    fn other_handshakes_are_refused() {
        let cases = [
            (without("upgrade"), ("upgrade", 426)),
            (instead("upgrade", "h2c"), ("upgrade", 426)),
            (without("connection"), ("upgrade", 426)),
            (instead("connection", "close"), ("upgrade", 426)),
            (without("sec-websocket-version"), ("version", 426)),
            (instead("sec-websocket-version", "8"), ("version", 426)),
            (with("sec-websocket-version", "13"), ("version", 426)),
            (without("sec-websocket-key"), ("key", 400)),
            (instead("sec-websocket-key", ""), ("key", 400)),
            (instead("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"), ("key", 400)),
            (instead("sec-websocket-key", "c2hvcnQ="), ("key", 400)),
            (instead("sec-websocket-key", "not base64 at all!!!!!!!"), ("key", 400)),
            (with("sec-websocket-key", KEY), ("key", 400)),
            (with("transfer-encoding", "chunked"), ("body", 400)),
            (with("content-length", "5"), ("body", 400)),
            (with("sec-websocket-protocol", "a, a"), ("subprotocols", 400)),
            (with("sec-websocket-protocol", "a b"), ("subprotocols", 400)),
            (with("sec-websocket-protocol", "a,,b c"), ("subprotocols", 400)),
        ];
        for (headers, expected) in cases {
            assert_eq!(status(&headers), Err(expected), "{headers:?}");
        }
        let mut post = TestRequest::default();
        post.method(Method::POST);
        let failure =
            first_failure(&mut context(post)).map(|(name, refusal)| (name, refusal.status.as_u16()));
        assert_eq!(failure, Some(("method", 405)));
    }
}
