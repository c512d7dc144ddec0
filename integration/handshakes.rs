//! Tests of invalid handshakes of clients and upstreams (RFC 6455 sections 4.2.1 and 4.1).

use std::time::{Duration, Instant};

use crate::harness::*;

/// Sends a request head that consists of `lines`. Returns the head of the response, and the connection.
fn send_head(proxy: &Proxy, lines: &[&str]) -> (Head, Raw) {
    let mut raw = Raw::connect(proxy.addr());
    raw.write(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    (raw.head(), raw)
}

const GET: &str = "GET / HTTP/1.1";
const HOST: &str = "Host: towline.test";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";

/// A proxy whose log may contain warnings about refusals.
fn start(upstream: &TestUpstream) -> Proxy {
    Proxy::start(&Settings::request(&upstream.url())).expect("client refused")
}

/// Checks that the upstream got no handshake, and that the proxy still serves clients.
fn nothing_happened(proxy: &Proxy, upstream: &TestUpstream) {
    assert_eq!(upstream.handshakes(), 0);
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn a_request_without_upgrade_gets_426() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for lines in [vec![GET, HOST], vec![GET, HOST, KEY, VERSION], vec![GET, HOST, CONNECTION, KEY, VERSION]] {
        let (head, _) = send_head(&proxy, &lines);
        assert_eq!(head.status(), 426, "{lines:?}");
        assert_eq!(head.get("upgrade").unwrap().to_ascii_lowercase(), "websocket");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn another_version_gets_426_with_the_supported_one() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for version in ["8", "7", "14", "x"] {
        let version = format!("Sec-WebSocket-Version: {version}");
        let (head, _) = send_head(&proxy, &[GET, HOST, UPGRADE, CONNECTION, KEY, &version]);
        assert_eq!(head.status(), 426, "{version}");
        assert_eq!(head.get("sec-websocket-version").as_deref(), Some("13"), "RFC 6455, 4.4");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn an_invalid_key_is_a_bad_request() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for keys in [
        vec![],
        vec!["Sec-WebSocket-Key: "],
        vec!["Sec-WebSocket-Key: c2hvcnQ="],
        vec!["Sec-WebSocket-Key: dGhpcyBpcyB0b28gbG9uZyBmb3IgYSBrZXk="],
        vec!["Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="],
        vec![KEY, KEY],
    ] {
        let lines = [vec![GET, HOST, UPGRADE, CONNECTION, VERSION], keys].concat();
        let (head, _) = send_head(&proxy, &lines);
        assert_eq!(head.status(), 400, "{lines:?}");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_handshake_requires_get() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "DELETE"] {
        let line = format!("{method} / HTTP/1.1");
        let (head, _) = send_head(&proxy, &[&line, HOST, UPGRADE, CONNECTION, KEY, VERSION]);
        assert_eq!(head.status(), 405, "{method}");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_handshake_with_a_body_is_refused() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for (header, body) in
        [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut raw = Raw::connect(proxy.addr());
        let lines = [GET, HOST, UPGRADE, CONNECTION, KEY, VERSION, header];
        raw.write(format!("{}\r\n\r\n{body}", lines.join("\r\n")).as_bytes());
        assert_eq!(raw.head().status(), 400, "{header}");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for (bytes, status) in [
        // Refused before the rest of the request arrives.
        (b"\x16\x03\x01".as_slice(), 400),
        (b"SSH-2.0-OpenSSH_9.9\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: towline.test\r\nno colon here\r\n\r\n", 400),
    ] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(bytes);
        let head = raw.head();
        assert_eq!(head.status(), status, "{}", String::from_utf8_lossy(bytes));
        raw.body(&head);
        assert_eq!(raw.frame(), None, "the connection ends");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn http_1_0_cannot_be_upgraded() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    let (head, _) = send_head(&proxy, &["GET / HTTP/1.0", HOST, UPGRADE, CONNECTION, KEY, VERSION]);
    assert_eq!(head.status(), 505);
    nothing_happened(&proxy, &upstream);
}

/// These are requests that two servers may interpret differently (RFC 9112 sections 2.2, 5, 5.2 and 6.3).
#[test]
fn ambiguous_requests_are_refused() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for odd in [
        "X-Odd: a\nX-Smuggled: b\r\n",
        "X-Odd: a\rb\r\n",
        "X-Odd: a\0b\r\n",
        "X-Odd: a\r\n folded\r\n",
        "X-Odd : a\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n",
    ] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(request("/", &[]).replace("Upgrade: ", &format!("{odd}Upgrade: ")).as_bytes());
        assert_eq!(raw.head().status(), 400, "{odd:?}");
    }
    let bare = request("/", &[]).replace("\r\n", "\n");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(bare.as_bytes());
    assert_eq!(raw.head().status(), 400, "bare LF");
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_request_after_a_refused_one_gets_no_answer() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for refused in ["GET / HTTP/1.1\r\nHost: towline.test\r\n\r\n", "GET /\r\n\r\n"] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(refused.as_bytes());
        raw.write(request("/", &[]).as_bytes());
        let head = raw.head();
        assert!([400, 426].contains(&head.status()), "{head:?}");
        let body = raw.body(&head);
        assert_eq!(body.len(), head.get("content-length").unwrap().parse::<usize>().unwrap());
        assert_eq!(raw.read_to_end(), "");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_head_may_arrive_in_pieces_and_after_empty_lines() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::connect(proxy.addr());
    for byte in format!("\r\n\r\n{}", request("/", &[])).bytes() {
        raw.write(&[byte]);
    }
    assert_eq!(raw.head().status(), 101);
    raw.send(&Frame::client(TEXT, "hello"));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "hello")));
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.max_header = "4KiB""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let padding = |length: usize| ("X-Padding", "x".repeat(length));
    let of = |length: usize| {
        let (name, value) = padding(length);
        request("/", &[(name, &value)])
    };
    let fits = 4096 - of(0).len();
    let mut raw = Raw::connect(proxy.addr());
    raw.write(of(fits).as_bytes());
    assert_eq!(raw.head().status(), 101);
    drop(raw);
    // More than the sockets hold before the client reads the answer, and without an end.
    for text in [of(fits + 1), of(100_000), of(100_000).replace("\r\n\r\n", "")] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(text.as_bytes());
        assert_eq!(raw.head().status(), 431);
    }
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"GET / HTTP/1.1\r\nHost: towline.test\r\n");
    raw.write("X: y\r\n".repeat(101).as_bytes());
    assert_eq!(raw.head().status(), 431);
    drop(raw);
    proxy.wait_log("session closed session=1:0");
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn a_slow_handshake_is_ended() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.handshake_timeout = "2s""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let beginnings = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: towline.test\r\n"];
    let slow = beginnings.map(|beginning| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(beginning.as_bytes());
        (beginning, raw)
    });
    for (beginning, mut raw) in slow {
        assert!(raw.read_to_end().starts_with("HTTP/1.1 408 "), "after {beginning:?}");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_handshake_byte_by_byte_is_ended_in_time() {
    let upstream = TestUpstream::echo();
    let timeout = Duration::from_secs(1);
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.handshake_timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let begun = Instant::now();
    let mut raw = Raw::connect(proxy.addr());
    raw.stream().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answer = Vec::new();
    for byte in request("/", &[]).bytes().cycle() {
        raw.write(&[byte]);
        let mut some = [0; 1000];
        match std::io::Read::read(&mut raw.stream(), &mut some) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&some[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        // The proxy answers after the timeout, and disconnects a client that keeps sending one second later.
        assert!(begun.elapsed() < timeout + PATIENCE, "the connection does not end");
    }
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    nothing_happened(&proxy, &upstream);
}

#[test]
fn the_shortest_handshake_timeout_is_enough_for_fast_clients() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.handshake_timeout = "100ms""#);
    // On a slow machine some handshakes may take longer than the timeout.
    let proxy = Proxy::start(&settings).expect("client refused*status=408");
    let served = (0..100).filter(|_| Opening::new(proxy.addr()).try_open().is_ok()).count();
    assert!(served > 0, "{served}");
}

#[test]
fn header_names_are_case_insensitive() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let lines = [
        GET,
        "host: towline.test",
        "UPGRADE: WebSocket",
        "connection: keep-alive, upgrade",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "SEC-WEBSOCKET-VERSION: 13",
    ];
    let (head, _) = send_head(&proxy, &lines);
    assert_eq!(head.status(), 101);
    assert_eq!(head.get("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.get("connection").unwrap().to_ascii_lowercase(), "upgrade");
}

#[test]
fn a_message_may_arrive_with_the_handshake() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::connect(proxy.addr());
    let mut bytes =
        format!("{}\r\n\r\n", [GET, HOST, UPGRADE, CONNECTION, KEY, VERSION].join("\r\n")).into_bytes();
    bytes.extend(Frame::client(TEXT, "early").bytes());
    raw.write(&bytes);
    assert_eq!(raw.head().status(), 101);
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "early")));
}

#[test]
fn a_message_may_arrive_with_the_answer_of_the_upstream() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    // In the same segment as the answer to the handshake.
    upstream.set_answer(Answer::Greet("greetings"));
    let mut client = proxy.client();
    assert_eq!(client.recv_text(), "greetings");
}

#[test]
fn the_upstreams_refusal_is_passed_to_the_client() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("refused").expect("403");
    for status in [400, 401, 403, 404, 429] {
        upstream.set_answer(Answer::Refuse(status));
        assert_eq!(Opening::new(proxy.addr()).refused().status(), status);
    }
    upstream.set_answer(Answer::Accept);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// Checks an upstream that answers handshakes wrongly: the client gets error replies until the upstream
/// answers correctly.
fn not_an_upstream(answer: Answer) {
    let upstream = TestUpstream::echo();
    upstream.set_answer(answer);
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.connect_timeout = "300ms""#)
        .on_route(r#"dial_before_accept = "200ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    for event in ["1:0:0", "1:0:1"] {
        client.text("question");
        let (error, id) = client.recv_error();
        assert!(error.starts_with("Error sending event to server"), "{error}");
        assert_eq!(id, event);
    }
    upstream.set_answer(Answer::Accept);
    proxy.wait_log("connector up session=1:0 upstream=echo");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(upstream.received(), 1);
}

#[test]
fn an_upstream_that_answers_500_is_waited_for() {
    not_an_upstream(Answer::Refuse(500));
}

#[test]
fn an_upstream_that_answers_503_is_waited_for() {
    not_an_upstream(Answer::Refuse(503));
}

#[test]
fn an_upstream_that_answers_200_is_waited_for() {
    not_an_upstream(Answer::Refuse(200));
}

#[test]
fn an_upstream_that_does_not_speak_http_is_waited_for() {
    not_an_upstream(Answer::Garbage);
}

#[test]
fn an_upstream_with_the_wrong_accept_key_is_waited_for() {
    not_an_upstream(Answer::WrongKey);
}

#[test]
fn an_upstream_that_never_answers_its_handshake_is_waited_for() {
    not_an_upstream(Answer::Silent);
}

#[test]
fn a_refusal_after_a_loss_does_not_end_the_session_where_no_status_is_passed_on() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with("upstream.echo.on_refused.pass = []");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    upstream.set_answer(Answer::Refuse(403));
    upstream.conn(0).die(Death::Fin);
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=2");
    client.text("a");
    assert_eq!(client.recv_error().1, "1:0:0");
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(2);
    assert_eq!(client.ask("b"), "b");
}

#[test]
fn a_client_that_disconnects_during_the_dial_ends_it() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.connect_timeout = "1h""#)
        .on_route(r#"dial_before_accept = "1h""#);
    let proxy = Proxy::start(&settings);
    assert_eq!(proxy.client().ask("hello"), "hello");
    wait_for("the end of the first session", PATIENCE, || upstream.live() == 0);
    let before = proxy.descriptors();
    upstream.set_answer(Answer::Silent);
    for number in 1..6 {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(request("/", &[]).as_bytes());
        upstream.head(number);
        // Also for a client that has already sent a message.
        raw.send(&Frame::client(TEXT, "early"));
    }
    wait_for("descriptors to be closed", PATIENCE, || proxy.descriptors() <= before);
}

#[test]
fn a_message_may_arrive_during_the_dial() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.max_header = "1KiB""#)
        .on_route(r#"dial_before_accept = "500ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    upstream.set_answer(Answer::Silent);
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request("/", &[]).as_bytes());
    upstream.head(0);
    // More than is read before the end of the handshake.
    let large = "x".repeat(100_000);
    raw.send(&Frame::client(TEXT, "early"));
    raw.send(&Frame::client(TEXT, &large));
    assert_eq!(raw.head().status(), 101);
    for event in ["1:0:0", "1:0:1"] {
        let frame = raw.frame().expect("an error reply");
        let (error, id) = error_reply(&Message::text(String::from_utf8(frame.payload).unwrap()));
        assert!(error.starts_with("Error sending event to server"), "{error}");
        assert_eq!(id, event);
    }
}

#[test]
fn a_subprotocol_that_is_not_a_token_is_a_bad_request() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for list in ["a b", "a,,b{", "\"x\"", "ä"] {
        let status = Opening::new(proxy.addr()).protocols(list).refused().status();
        assert_eq!(status, 400, "{list}");
    }
    nothing_happened(&proxy, &upstream);
}

#[test]
fn a_request_target_in_absolute_form_is_accepted() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).on_route(r#"path = "/chat""#);
    let proxy = Proxy::start(&settings);
    let line = format!("GET http://{}/chat/x HTTP/1.1", proxy.addr());
    let (head, _) = send_head(&proxy, &[&line, HOST, UPGRADE, CONNECTION, KEY, VERSION]);
    assert_eq!(head.status(), 101, "RFC 9112, 3.2.2");
}

#[test]
fn a_request_without_host_is_a_bad_request() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream);
    for hosts in [vec![], vec![HOST, "Host: other.test"]] {
        let lines = [vec![GET, UPGRADE, CONNECTION, KEY, VERSION], hosts].concat();
        let (head, _) = send_head(&proxy, &lines);
        assert_eq!(head.status(), 400, "{lines:?} (RFC 9112, 3.2)");
    }
    nothing_happened(&proxy, &upstream);
}
