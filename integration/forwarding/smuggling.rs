//! Requests that two servers could read differently (request smuggling). Nothing of a refused request reaches the
//! upstream, and what follows a request never becomes another one.

use super::*;

const SECRET: &str = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_ambiguous_request_never_reaches_the_upstream() {
    let upstream = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&forwarding(&upstream.url())).expect("client refused");
    for (lines, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length: \r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        (" Content-Length: 5\r\n", 400),
        ("Content-Length: 5\n", 400),
        ("Content-Length: 5\rX: y\r\n", 400),
        ("X: a\r\n Transfer-Encoding: chunked\r\n", 400),
        ("X: a\r\n\tTransfer-Encoding: chunked\r\n", 400),
        ("X: a\nTransfer-Encoding: chunked\r\n", 400),
        ("X: a\rTransfer-Encoding: chunked\r\n", 400),
        ("X: a\0b\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: chunked, identity\r\n", 501),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding:\r\n", 501),
        ("Transfer-Encoding: \"chunked\"\r\n", 501),
        ("Transfer-Encoding: chunked;x\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Transfer_Encoding\0: chunked\r\n", 400),
        ("Host: b\r\n", 400),
        ("Expect: 200-ok\r\nContent-Length: 5\r\n", 417),
        ("Expect: 100-continue, x\r\nContent-Length: 5\r\n", 417),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n0\r\n\r\n{SECRET}");
        let (head, _) = ask(&proxy, &request);
        assert_eq!(head.status(), status, "{lines:?}");
    }
    for (line, status) in [
        ("TRACE / HTTP/1.1", 405),
        ("CONNECT a:80 HTTP/1.1", 400),
        ("POST / HTTP/1.0", 505),
        ("POST  / HTTP/1.1", 400),
        ("POST / HTTP/1.1 ", 400),
        ("POST /../admin HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 400),
        ("POST /a#b HTTP/1.1", 400),
    ] {
        let (head, _) = ask(&proxy, &format!("{line}\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(head.status(), status, "{line}");
    }
    assert_eq!(upstream.connections(), 0, "{}", upstream.connections());
}

/// The head is on its way when the body turns out to be malformed. The upstream gets neither an end of the body nor what
/// follows it.
#[test]
fn a_malformed_body_gets_no_end_at_the_upstream() {
    let (ended, ends) = std::sync::mpsc::channel();
    let upstream = HttpUpstream::start(move |conn| {
        conn.head();
        conn.wait_end();
        ended.send(()).unwrap();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url())).expect("client refused");
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "\r\n0\r\n\r\n",
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SECRET}");
        let (head, text) = ask(&proxy, &request);
        assert_eq!((head.status(), text.as_str()), (400, "malformed chunked body\n"), "{body:?}");
        ends.recv_timeout(PATIENCE).expect("the connection ends");
        let received = upstream.received(number);
        let (_, sent) = received.split_once("\r\n\r\n").unwrap();
        assert!(!sent.contains("0\r\n\r\n") && !sent.contains("/admin"), "{received:?}");
    }
}

#[test]
fn what_follows_a_request_is_not_forwarded() {
    let upstream = HttpUpstream::start(|conn| {
        let head = conn.head();
        match head.get("content-length") {
            Some(length) => _ = conn.read(length.parse().unwrap()),
            None if head.get("transfer-encoding").is_some() => _ = conn.chunks(),
            None => {}
        }
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for (number, request) in requests.into_iter().enumerate() {
        for rest in [SECRET, "garbage\r\n\r\n"] {
            let (head, body) = ask(&proxy, &format!("{request}{rest}"));
            assert_eq!((head.status(), body.as_str()), (200, "ok"), "{request:?}");
        }
        for at in [2 * number, 2 * number + 1] {
            let received = upstream.received(at);
            assert!(!received.contains("/admin") && !received.contains("garbage"), "{received:?}");
        }
    }
    assert_eq!(upstream.connections(), 2 * requests.len());
}

/// The same for responses: what follows one is not passed on, and an ambiguous one is 502.
#[test]
fn an_ambiguous_response_never_reaches_the_client() {
    for (answer, status, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 200, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\nbody", 204, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502, "malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            502,
            "malformed",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502, "malformed"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", 502, "malformed"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 502, "malformed"),
        ("SSH-2.0-OpenSSH\r\n\r\n", 502, "malformed"),
    ] {
        let upstream = HttpUpstream::answering(answer);
        let proxy = Proxy::start(&forwarding(&upstream.url())).expect("client refused");
        let (head, text) = ask(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.status(), status, "{answer:?}");
        match body {
            "malformed" => assert_eq!(text, "the upstream's answer is malformed\n", "{answer:?}"),
            body => assert_eq!(text, body, "{answer:?}"),
        }
    }
}
