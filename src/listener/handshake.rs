//! The client's handshake, checked closely (RFC 6455 section 4.2.1).
//!
//! What passes here is what RFC 6455 asks for and nothing else.

use actix_http::{
    Method, RequestHead, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::answer::Refusal;
use crate::header_list::{elements, has_token, is_token};

/// Subprotocols a client may offer; each is passed on to the upstream.
const PROTOCOLS_MAX: usize = 64;

/// Checks a request for an upgrade; gives the subprotocols that the client offers, in its order.
pub(super) fn check(head: &RequestHead) -> Result<Vec<String>, Refusal> {
    if head.method != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket handshake is a GET request");
        return Err(refusal.with(header::ALLOW, "GET"));
    }
    check_upgrade(head.headers())?;
    check_body(head.headers())?;
    check_version(head.headers())?;
    check_key(head.headers())?;
    protocols(head.headers())
}

fn check_upgrade(headers: &HeaderMap) -> Result<(), Refusal> {
    if !has_token(headers, &header::UPGRADE, "websocket")
        || !has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Err(no_websocket());
    }
    Ok(())
}

/// For a request that asks for something else than a WebSocket (RFC 9110 section 15.5.22).
fn no_websocket() -> Refusal {
    let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket");
    refusal.with(header::UPGRADE, "websocket")
}

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

/// A body would be read as frames, or frames as a body.
fn check_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH);
    if headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0") {
        return Err(bad("a WebSocket handshake has no body"));
    }
    Ok(())
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match one(headers, &header::SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => Ok(()),
        _ => {
            let refusal =
                Refusal::new(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is spoken here");
            Err(refusal.with(header::SEC_WEBSOCKET_VERSION, "13"))
        }
    }
}

fn check_key(headers: &HeaderMap) -> Result<(), Refusal> {
    let key = one(headers, &header::SEC_WEBSOCKET_KEY).map(|key| STANDARD.decode(key.as_bytes()));
    match key {
        Some(Ok(key)) if key.len() == 16 => Ok(()),
        _ => Err(bad("Sec-WebSocket-Key is not 16 bytes of base64, once")),
    }
}

/// The subprotocols in the client's order. Empty elements of the list are ignored (RFC 9110 section 5.6.1.2).
fn protocols(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let wrong = || bad("Sec-WebSocket-Protocol is not a list of different tokens");
    let mut protocols: Vec<String> = Vec::new();
    for element in elements(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
        let protocol = str::from_utf8(element).map_err(|_| wrong())?;
        if !is_token(element) || protocols.iter().any(|known| known == protocol) {
            return Err(wrong());
        }
        if protocols.len() == PROTOCOLS_MAX {
            return Err(bad("too many subprotocols"));
        }
        protocols.push(protocol.to_owned());
    }
    Ok(protocols)
}

/// The value of a header that stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
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

    fn status(headers: &[(&'static str, &'static str)]) -> Result<Vec<String>, u16> {
        let mut request = TestRequest::default();
        for header in headers {
            request.append_header(*header);
        }
        check(request.finish().head()).map_err(|refusal| refusal.status.as_u16())
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
    fn a_good_handshake_passes() {
        assert_eq!(status(&good()), Ok(vec![]));
        assert_eq!(status(&with("content-length", "0")), Ok(vec![]));
        let offered = with("sec-websocket-protocol", "graphql-ws, chat.v2");
        assert_eq!(status(&offered), Ok(vec!["graphql-ws".to_owned(), "chat.v2".to_owned()]));
    }

    /// RFC 9110 section 5.6.1.2.
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
    fn anything_else_is_refused() {
        let cases = [
            (without("upgrade"), 426),
            (instead("upgrade", "h2c"), 426),
            (without("connection"), 426),
            (instead("connection", "close"), 426),
            (without("sec-websocket-version"), 426),
            (instead("sec-websocket-version", "8"), 426),
            (with("sec-websocket-version", "13"), 426),
            (without("sec-websocket-key"), 400),
            (instead("sec-websocket-key", ""), 400),
            (instead("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"), 400),
            (instead("sec-websocket-key", "c2hvcnQ="), 400),
            (instead("sec-websocket-key", "not base64 at all!!!!!!!"), 400),
            (with("sec-websocket-key", KEY), 400),
            (with("transfer-encoding", "chunked"), 400),
            (with("content-length", "5"), 400),
            (with("sec-websocket-protocol", "a, a"), 400),
            (with("sec-websocket-protocol", "a b"), 400),
            (with("sec-websocket-protocol", "a,,b c"), 400),
        ];
        for (headers, expected) in cases {
            assert_eq!(status(&headers), Err(expected), "{headers:?}");
        }
        let post = TestRequest::default().method(Method::POST).finish();
        assert_eq!(check(post.head()).map_err(|refusal| refusal.status.as_u16()), Err(405));
    }
}
