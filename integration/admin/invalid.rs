//! Tests of malformed and endless requests.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use super::*;

#[test]
fn answers_are_json_and_say_what_is_allowed() {
    let upstream = TestUpstream::echo();
    let (_proxy, operator) = operated(&upstream);
    operator.get("/nowhere").expect_error(404, "no page /nowhere");
    operator.get("/api/%22%3Cb%3E").expect_error(404, "no page");
    let reply = operator.act("/healthz");
    reply.expect_error(405, "GET, HEAD");
    assert_eq!(reply.head.get("allow").as_deref(), Some("GET, HEAD"));
    for header in ["cache-control", "x-content-type-options", "content-security-policy"] {
        assert!(operator.get("/nowhere").head.get(header).is_some(), "{header}");
    }
}

#[test]
fn heads_that_are_malformed_or_too_long_end_the_connection() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    for request in
        ["\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", &long]
    {
        let mut raw = Raw::connect(proxy.admin());
        raw.write(request.as_bytes());
        let (answer, _) = raw.rest();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(get(proxy.admin(), "/healthz").0, 200);
}

/// Requests with these heads whose bodies never end, more than the server has connections. They do not keep others out.
fn hold(proxy: &Proxy, head: &str) -> Vec<Raw> {
    let slow = (0..300).map(|_| {
        let mut raw = Raw::connect(proxy.admin());
        raw.write(format!("{head}Host: localhost\r\nContent-Length: 100\r\n\r\n{{").as_bytes());
        raw
    });
    let slow = slow.collect();
    wait_for("the health page", 2 * PATIENCE, || get(proxy.admin(), "/healthz").0 == 200);
    slow
}

#[test]
fn a_body_that_nobody_reads_holds_no_connection() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect("admin request refused").expect("admin connection closed");
    for (head, status) in [
        ("POST /api/reload HTTP/1.1\r\n", "HTTP/1.1 401"),
        ("GET /api/sessions HTTP/1.1\r\n", "HTTP/1.1 200"),
        ("GET /healthz HTTP/1.1\r\n", "HTTP/1.1 200"),
    ] {
        // The first ones are closed for the last ones.
        for mut raw in hold(&proxy, head).into_iter().rev().take(10) {
            let (answer, _) = raw.rest();
            assert!(answer.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&answer));
        }
    }
}

#[test]
fn a_body_of_an_action_that_never_ends_is_answered_with_408() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let request = format!(
        "POST /api/sessions/close HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\n{{"
    );
    let slow = (0..20).map(|_| {
        let mut stream = TcpStream::connect(proxy.admin()).unwrap();
        // The server waits for half a minute.
        stream.set_read_timeout(Some(6 * PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    });
    let slow: Vec<_> = slow.collect();
    assert_eq!(operator.json("/api/sessions")["total"], 0, "others are served meanwhile");
    for mut stream in slow {
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 408");
    }
}

/// Many clients that never finish their head do not keep others out.
#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect("admin connection closed");
    let slow: Vec<_> = (0..300)
        .map(|_| {
            let mut raw = Raw::connect(proxy.admin());
            raw.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
            raw
        })
        .collect();
    let begin = Instant::now();
    wait_for("the health page", PATIENCE, || get(proxy.admin(), "/healthz").0 == 200);
    println!("after {:?}", begin.elapsed());
    // The first ones are closed for the last ones.
    for mut raw in slow.into_iter().rev().take(10) {
        assert!(raw.rest().0.starts_with(b"HTTP/1.1 408"), "a request timeout");
    }
}
