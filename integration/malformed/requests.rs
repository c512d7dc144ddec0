//! Tests of well-formed requests that are not valid handshakes (RFC 6455 section 4.2.1; RFC 9112).

use super::{RefusedRequest, Request, expect_refused};

fn good() -> Request {
    Request::good()
}

#[test]
fn methods() {
    let cases = ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get"]
        .map(|method| RefusedRequest::new(method, good().line(&format!("{method} / HTTP/1.1")), 405));
    expect_refused(&cases);
}

#[test]
fn versions() {
    let version =
        |name, value| RefusedRequest::new(name, good().instead("Sec-WebSocket-Version", value), 426);
    expect_refused(&[
        RefusedRequest::new("no version", good().without("Sec-WebSocket-Version"), 426),
        version("version 7", "7"),
        version("version 8", "8"),
        version("version 12", "12"),
        version("version 14", "14"),
        version("version 130", "130"),
        version("version 013", "013"),
        version("version -13", "-13"),
        version("version x", "x"),
        version("no number", ""),
        version("a list (4.1)", "13, 13"),
        version("a list with another", "13, 8"),
        RefusedRequest::new("twice", good().with("Sec-WebSocket-Version: 13"), 426),
        RefusedRequest::new("another one besides", good().with("Sec-WebSocket-Version: 8"), 426),
    ]);
}

#[test]
fn keys() {
    let key = |name, value| RefusedRequest::new(name, good().instead("Sec-WebSocket-Key", value), 400);
    expect_refused(&[
        RefusedRequest::new("no key", good().without("Sec-WebSocket-Key"), 400),
        RefusedRequest::new("twice", good().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        RefusedRequest::new(
            "another one besides",
            good().with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
            400,
        ),
        key("empty", ""),
        key("15 bytes", "AAAAAAAAAAAAAAAAAAAA"),
        key("17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        key("5 bytes", "c2hvcnQ="),
        key("without padding", "dGhlIHNhbXBsZSBub25jZQ"),
        key("with half the padding", "dGhlIHNhbXBsZSBub25jZQ="),
        key("bits behind the end", "dGhlIHNhbXBsZSBub25jZR=="),
        key("the alphabet for URLs", "-_-_-_-_-_-_-_-_-_-_-w=="),
        key("no base64", "!!!!!!!!!!!!!!!!!!!!!!=="),
        key("a space inside", "dGhlIHNhbXBs ZSBub25jZQ=="),
        key("a list", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
    ]);
}

#[test]
fn upgrades() {
    expect_refused(&[
        RefusedRequest::new("no Upgrade", good().without("Upgrade"), 426),
        RefusedRequest::new("Upgrade to something else", good().instead("Upgrade", "h2c"), 426),
        RefusedRequest::new("an empty Upgrade", good().instead("Upgrade", ""), 426),
        RefusedRequest::new("websocket as a part", good().instead("Upgrade", "websockets"), 426),
        RefusedRequest::new("no Connection", good().without("Connection"), 426),
        RefusedRequest::new("Connection: close", good().instead("Connection", "close"), 426),
        RefusedRequest::new("Connection: keep-alive", good().instead("Connection", "keep-alive"), 426),
        RefusedRequest::new("upgrade as a part", good().instead("Connection", "no-upgrade"), 426),
        RefusedRequest::new(
            "a plain GET",
            Request { lines: good().lines[..2].to_vec(), body: Vec::new() },
            426,
        ),
    ]);
}

#[test]
fn hosts() {
    let host = |name, value| RefusedRequest::new(name, good().instead("Host", value), 400);
    expect_refused(&[
        RefusedRequest::new("no Host (RFC 9112, 3.2)", good().without("Host"), 400),
        RefusedRequest::new("two Hosts", good().with("Host: other.test"), 400),
        RefusedRequest::new("the same Host twice", good().with("Host: towline.test"), 400),
        host("a Host with a space", "tow line.test"),
        host("a Host with a path", "towline.test/x"),
        host("a Host with a user", "me@towline.test"),
    ]);
}

#[test]
fn bodies() {
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let length =
        |name, value: &str| RefusedRequest::new(name, good().with(format!("Content-Length: {value}")), 400);
    expect_refused(&[
        RefusedRequest::new("Content-Length", good().with("Content-Length: 5").body("hello"), 400),
        RefusedRequest::new("chunks", good().with("Transfer-Encoding: chunked").body(chunks), 400),
        RefusedRequest::new(
            "chunks, doubly",
            good().with("Transfer-Encoding: chunked, chunked").body(chunks),
            400,
        ),
        RefusedRequest::new("some other encoding", good().with("Transfer-Encoding: gzip"), 400),
        RefusedRequest::new("no encoding", good().with("Transfer-Encoding: identity"), 400),
        RefusedRequest::new(
            "both (RFC 9112, 6.1)",
            good().with("Content-Length: 0").with("Transfer-Encoding: chunked").body("0\r\n\r\n"),
            400,
        ),
        RefusedRequest::new(
            "two lengths (RFC 9112, 6.3)",
            good().with("Content-Length: 0").with("Content-Length: 5").body("hello"),
            400,
        ),
        RefusedRequest::new(
            "the same length twice",
            good().with("Content-Length: 5").with("Content-Length: 5").body("hello"),
            400,
        ),
        length("lengths in a list", "0, 5"),
        length("a length below nought", "-1"),
        length("a length with a sign", "+0"),
        length("a length that is none", "x"),
        length("no length", ""),
        length("a length above 64 bits", "18446744073709551616"),
        // It would be read as frames, or never.
        RefusedRequest::new(
            "a request as body",
            good().with("Content-Length: 40").body("GET /admin HTTP/1.1\r\nHost: towline.test\r\n\r\n"),
            400,
        ),
    ]);
}

#[test]
fn subprotocols() {
    let offer = |name, value: &'static str| {
        RefusedRequest::new(name, good().with(format!("Sec-WebSocket-Protocol: {value}")), 400)
    };
    let many: Vec<_> = (0..65).map(|number| format!("p{number}")).collect();
    expect_refused(&[
        offer("a space inside", "a b"),
        offer("a quote", "\"a\""),
        offer("a brace", "a{"),
        offer("a slash", "a/b"),
        offer("the same twice (4.1)", "a, a"),
        offer("no ASCII", "\u{e4}"),
        RefusedRequest::new(
            "the same in two headers",
            good().with("Sec-WebSocket-Protocol: a").with("Sec-WebSocket-Protocol: a"),
            400,
        ),
        RefusedRequest::new(
            "too many",
            good().with(format!("Sec-WebSocket-Protocol: {}", many.join(","))),
            400,
        ),
    ]);
}
