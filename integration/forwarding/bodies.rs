//! Bodies of requests and responses.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

/// Answers with the body of the request, in chunks if it came in chunks.
fn echo(conn: &mut HttpConn) {
    let head = conn.head();
    match head.get("content-length") {
        Some(length) => {
            let body = conn.read(length.parse().unwrap());
            conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            conn.write(body);
        }
        None => {
            let body = conn.chunks();
            conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(100_000) {
                conn.write(format!("{:X};ext\r\n", chunk.len()));
                conn.write(chunk);
                conn.write("\r\n");
            }
            conn.write("0\r\nTrailer: dropped\r\n\r\n");
        }
    }
    conn.wait_end();
}

#[test]
fn bodies_of_both_framings_pass_unchanged() {
    let upstream = HttpUpstream::start(echo);
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let body: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut raw = Raw::connect(proxy.addr());
    raw.write(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    raw.write(&body);
    let head = raw.head();
    assert_eq!((head.status(), head.get("content-length").as_deref()), (200, Some("1000000")));
    assert!(raw.rest().0 == body, "the sized body is changed");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(65_537) {
        raw.write(format!("{:x};name=\"value\"\r\n", chunk.len()).as_bytes());
        raw.write(chunk);
        raw.write(b"\r\n");
    }
    raw.write(b"0\r\nA: b\r\n\r\n");
    let head = raw.head();
    assert_eq!(
        (head.get("transfer-encoding").as_deref(), head.get("content-length")),
        (Some("chunked"), None)
    );
    assert_eq!(head.get("trailer"), None);
    let (rest, _) = raw.rest();
    assert!(chunks(&mut &rest[..]) == body, "the chunked body is changed");
    assert!(!upstream.received(1).contains("name=\"value\""), "extensions are dropped");
}

#[test]
fn a_body_that_ends_with_the_connection_becomes_chunks() {
    let upstream =
        HttpUpstream::answering("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let (head, rest) = ask(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.get("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(chunks(&mut rest.as_bytes()), b"until the end");
}

#[test]
fn some_responses_have_no_body() {
    for (method, answer, status, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, Some("5")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n", 304, Some("5")),
        ("DELETE", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nno part of it", 200, Some("0")),
    ] {
        // The upstream keeps its connection open.
        let upstream = HttpUpstream::start(move |conn| {
            conn.head();
            conn.write(answer);
            conn.wait_end();
        });
        let proxy = Proxy::start(&forwarding(&upstream.url()));
        let (head, rest) = ask(&proxy, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((head.status(), rest.as_str()), (status, ""), "{answer}");
        assert_eq!(head.get("content-length").as_deref(), length, "{answer}");
    }
}

/// Neither side waits for the end of the other: the client sends the second half when it has the first one back.
#[test]
fn both_bodies_are_streamed_at_once() {
    let upstream = HttpUpstream::start(|conn| {
        conn.head();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        for _ in 0..2 {
            let part = conn.read(4);
            conn.write(part);
        }
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\none.");
    let mut head = raw.head();
    head.headers = vec![("content-length".to_owned(), "4".to_owned())];
    assert_eq!(raw.body(&head), "one.");
    raw.write(b"two.");
    assert_eq!(raw.read_to_end(), "two.");
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_upstream() {
    let upstream = HttpUpstream::start(|conn| {
        let head = conn.head();
        assert_eq!(head.get("expect").as_deref(), Some("100-continue"));
        if head.line.starts_with("PUT /large") {
            conn.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong");
        } else {
            conn.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
            let body = conn.read(5);
            conn.write("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n");
            conn.write(body);
        }
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let request = |path: &str| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(
            format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
                .as_bytes(),
        );
        raw
    };
    let mut raw = request("/");
    let hints = raw.head();
    assert_eq!((hints.status(), hints.get("link").as_deref()), (103, Some("</a.css>")));
    assert_eq!(raw.head().status(), 100);
    raw.write(b"hello");
    assert_eq!(raw.head().status(), 201);
    assert_eq!(raw.read_to_end(), "hello");
    let mut raw = request("/large");
    let head = raw.head();
    assert_eq!((head.status(), raw.body(&head).as_str()), (413, "long"), "without a byte of the body");
}

/// A response that comes before the end of the request ends both.
#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let upstream = HttpUpstream::start(|conn| {
        conn.head();
        conn.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong");
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    raw.write(&[7; 50_000]);
    let head = raw.head();
    assert_eq!((head.status(), raw.body(&head).as_str()), (413, "long"));
}

/// A client that does not read stops the upstream: only the buffers of the sockets and 8 KiB fill up.
#[test]
fn memory_for_a_slow_client_is_bounded() {
    const BODY: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = HttpUpstream::start(move |conn| {
        conn.head();
        conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
        for _ in 0..BODY / 65_536 {
            conn.write([7; 65_536]);
            count.fetch_add(65_536, Ordering::SeqCst);
        }
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let before = proxy.resident_kib();
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(raw.head().status(), 200);
    // Nothing moves any more.
    wait_for("the upstream has to wait", PATIENCE, || {
        measure_for(std::time::Duration::from_millis(300), || sent.load(Ordering::SeqCst)) == 0
    });
    assert!(sent.load(Ordering::SeqCst) < BODY / 2, "{} bytes", sent.load(Ordering::SeqCst));
    assert!(proxy.resident_kib() < before + 4096, "{} KiB, before {before}", proxy.resident_kib());
    let (rest, is_reset) = raw.rest();
    assert_eq!((rest.len(), is_reset), (BODY, false));
}
