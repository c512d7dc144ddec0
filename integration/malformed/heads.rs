//! Tests of request heads that are malformed, too long, or never complete (RFC 9112).

use super::{RefusedRequest, Request, expect_refused};
use crate::harness::*;

fn good() -> Request {
    Request::good()
}

fn bad(name: &'static str, bytes: impl Into<Vec<u8>>) -> RefusedRequest {
    RefusedRequest::new(name, bytes, 400)
}

#[test]
fn ends_of_lines() {
    let end = |name, end| bad(name, good().ended_by(end));
    let mut last_line = good().ended_by("\r\n");
    last_line.drain(last_line.len() - 2..);
    expect_refused(&[
        end("bare LF (RFC 9112, 2.2)", "\n"),
        end("bare CR", "\r"),
        end("CR CR LF", "\r\r\n"),
        end("LF CR", "\n\r"),
        bad("a bare LF in one place", good().with("X: a\nX: b")),
        bad("a bare CR in a value (RFC 9112, 2.2)", good().with("X: a\rX: b")),
        bad("a bare CR at the end of a value", good().with("X: a\r")),
        bad("a bare LF for the empty line", [&last_line[..], b"\n"].concat()),
        bad(
            "a bare LF behind the first line",
            [b"GET / HTTP/1.1\n", &good().ended_by("\r\n")[16..]].concat(),
        ),
    ]);
}

#[test]
fn headers() {
    let header = |name, line: &[u8]| bad(name, good().with(line));
    expect_refused(&[
        header("no colon (RFC 9112, 5)", b"X-Header value"),
        header("no name", b": value"),
        header("a space before the colon (RFC 9112, 5.1)", b"X-Header : value"),
        header("a tab before the colon", b"X-Header\t: value"),
        header("a space in the name", b"X Header: value"),
        header("a name that is no token", b"X(Header): value"),
        header("a name that is not ASCII", "X-H\u{e4}der: value".as_bytes()),
        header("NUL in a name", b"X-\0: value"),
        header("NUL in a value (RFC 9110, 5.5)", b"X: a\0b"),
        header("a control character in a value", b"X: a\x01b"),
        header("ESC in a value", b"X: \x1b[2J"),
        header("DEL in a value", b"X: a\x7f"),
        header("a folded line (RFC 9112, 5.2)", b"X: a\r\n b"),
        header("a line folded by a tab", b"X: a\r\n\tb"),
        header("a folded line without beginning", b" X: a"),
        bad(
            "a space before the first header (RFC 9112, 2.2)",
            b"GET / HTTP/1.1\r\n Host: towline.test\r\n\r\n".as_slice(),
        ),
        bad("a folded Host", good().instead("Host", "\r\n towline.test")),
        bad("Upgrade with a space before its colon", good().without("Upgrade").with("Upgrade : websocket")),
    ]);
}

#[test]
fn first_lines() {
    let line = |name, line: &str| bad(name, good().line(line));
    expect_refused(&[
        line("no version (HTTP/0.9)", "GET /"),
        line("no target", "GET HTTP/1.1"),
        line("nothing", "GET"),
        line("no method", "/ HTTP/1.1"),
        line("a space in front", " GET / HTTP/1.1"),
        line("two spaces (RFC 9112, 3)", "GET  / HTTP/1.1"),
        line("two spaces behind the target", "GET /  HTTP/1.1"),
        line("a tab for a space", "GET\t/\tHTTP/1.1"),
        line("a space at the end", "GET / HTTP/1.1 "),
        line("a fourth word", "GET / HTTP/1.1 x"),
        line("a space in the target", "GET /a b HTTP/1.1"),
        line("NUL in the target", "GET /\0 HTTP/1.1"),
        line("a control character in the target", "GET /\x01 HTTP/1.1"),
        line("a target that is not ASCII", "GET /\u{e4} HTTP/1.1"),
        line("a fragment (RFC 9112, 3.2)", "GET /#here HTTP/1.1"),
        line("no slash in front", "GET chat HTTP/1.1"),
        line("authority form", "GET towline.test:80 HTTP/1.1"),
        line("asterisk form", "GET * HTTP/1.1"),
        line("absolute form without host", "GET http:///chat HTTP/1.1"),
        line("a method that is no token", "G(T / HTTP/1.1"),
        line("a small version (RFC 9112, 2.3)", "GET / http/1.1"),
        line("a version without point", "GET / HTTP/1"),
        line("a version with two digits", "GET / HTTP/1.10"),
        line("another protocol", "GET / ICAP/1.0"),
        line("no digits", "GET / HTTP/x.y"),
    ]);
}

#[test]
fn other_versions() {
    let version =
        |name, version: &str| RefusedRequest::new(name, good().line(&format!("GET / {version}")), 505);
    expect_refused(&[
        version("HTTP/1.0", "HTTP/1.0"),
        version("HTTP/1.2", "HTTP/1.2"),
        version("HTTP/0.9", "HTTP/0.9"),
        version("HTTP/2.0", "HTTP/2.0"),
        version("HTTP/9.9", "HTTP/9.9"),
        RefusedRequest::new("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), 505),
    ]);
}

#[test]
fn other_protocols() {
    // The start of a TLS ClientHello: record type, version and length.
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[0x5a; 505]].concat();
    expect_refused(&[
        bad("TLS", hello),
        bad("SSH", b"SSH-2.0-OpenSSH_9.9\r\n\r\n".as_slice()),
        bad("a frame", Frame::client(TEXT, "no handshake").bytes()),
        bad("zeros", vec![0; 64]),
        bad("ones", vec![0xff; 64]),
        bad("PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r\n".as_slice()),
        bad("PROXY protocol 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice()),
        bad("SMTP", b"EHLO towline.test\r\n\r\n".as_slice()),
        bad("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".as_slice()),
        bad("JSON", b"{\"event\":1}\r\n\r\n".as_slice()),
    ]);
}

#[test]
fn sizes() {
    let long = "x".repeat(17 << 10);
    let many = |count| (0..count).fold(good(), |request, number| request.with(format!("X-{number}: a")));
    expect_refused(&[
        RefusedRequest::new("a header above `max_header`", good().with(format!("X: {long}")), 431),
        RefusedRequest::new("a name above it", good().with(format!("{long}: x")), 431),
        RefusedRequest::new("a target above it", good().line(&format!("GET /{long} HTTP/1.1")), 431),
        RefusedRequest::new("a method above it", good().line(&format!("{long} / HTTP/1.1")), 431),
        RefusedRequest::new(
            "headers above it together",
            (0..10).fold(good(), |request, _| request.with(format!("X: {}", &long[..2000]))),
            431,
        ),
        RefusedRequest::new("more than 100 headers", many(101), 431),
        RefusedRequest::new("many more than 100 headers", many(1500), 431),
    ]);
}

/// A head that never ends is refused as soon as it is too long.
#[test]
fn a_head_that_never_ends() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("client refused");
    let before = proxy.resident_kib();
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"GET / HTTP/1.1\r\nHost: towline.test\r\n");
    let header = format!("X-Padding: {}\r\n", "x".repeat(8000));
    (0..1000).for_each(|_| raw.write(header.as_bytes()));
    // A reset may have overtaken the answer. The log has the refusal in any case.
    let (bytes, _) = raw.rest();
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&bytes));
    proxy.wait_log("client refused *status=431");
    assert!(proxy.resident_kib() < before + 4096);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// A proxy with a `handshake_timeout` of a second.
fn hasty(upstream: &TestUpstream) -> Proxy {
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.handshake_timeout = "1s""#);
    Proxy::start(&settings).expect("client refused")
}

#[test]
fn never_complete() {
    let upstream = TestUpstream::echo();
    let proxy = hasty(&upstream);
    let whole = request("/", &[]);
    let beginnings = [
        "G",
        "GET / HT",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: towline.te",
        &whole[..whole.len() - 1],
    ];
    let slow = beginnings.map(|beginning| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(beginning.as_bytes());
        (RefusedRequest { name: "never complete", bytes: beginning.into(), status: 408 }, raw)
    });
    for (case, mut raw) in slow {
        case.check_answer(&mut raw);
    }
    assert_eq!(upstream.handshakes(), 0);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// A client that sends nothing gets a 408, too.
#[test]
fn silence() {
    let upstream = TestUpstream::echo();
    let proxy = hasty(&upstream);
    let (bytes, reset) = Raw::connect(proxy.addr()).rest();
    assert!(bytes.starts_with(b"HTTP/1.1 408 ") && !reset, "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// The timeout is for the whole head, so single bytes do not extend it.
#[test]
fn single_bytes_do_not_extend_the_timeout() {
    let upstream = TestUpstream::echo();
    let proxy = hasty(&upstream);
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"GET / HTTP/1.1\r\nX: ");
    // If a byte extended the timeout, this loop would not end.
    wait_for("the end", PATIENCE, || {
        raw.write(b"x");
        proxy.count_log("client refused *status=408") == 1
    });
    assert_eq!(proxy.client().ask("hello"), "hello");
}
