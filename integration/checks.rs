//! Health checks of endpoints: by a connection, an HTTP request, or a WebSocket handshake and a ping.

use crate::harness::*;

/// Two upstreams that answer with their number. The second is used while the first cannot be.
fn two() -> [TestUpstream; 2] {
    [0, 1].map(|number: usize| TestUpstream::with(move |conn, _| conn.text(&number.to_string())))
}

/// Settings in which the first upstream is checked often, with more keys of `health`.
fn settings([first, second]: &[TestUpstream; 2], health: &str) -> Settings {
    let list = format!("[{:?}, {{ url = {:?}, priority = 1 }}]", first.url(), second.url());
    Settings::request("ws://unused")
        .endpoints(&list)
        .with(&format!("upstream.echo.health = {{ interval = \"100ms\", unhealthy = 1, {health} }}"))
}

fn serves(proxy: &Proxy, number: &str) -> bool {
    proxy.client().ask("who") == number
}

#[test]
fn an_http_check_expects_a_status() {
    let upstreams = two();
    let settings = settings(&upstreams, r#"probe = "http", path = "/health?full=1""#)
        .with(r#"upstream.echo.host = "chat.example""#)
        .with(r#"upstream.echo.headers.x-token = "secret""#);
    upstreams.iter().for_each(|it| it.set_answer_at("/health?full=1", Answer::Refuse(204)));
    let proxy = Proxy::start(&settings).expect("endpoint down");
    wait_for("two checks", PATIENCE, || upstreams[0].heads_at("/health?full=1").len() > 1);
    assert!(serves(&proxy, "0"));
    let head = &upstreams[0].heads_at("/health?full=1")[0];
    assert_eq!(head.line, "GET /health?full=1 HTTP/1.1");
    assert_eq!(head.get("host").as_deref(), Some("chat.example"));
    assert_eq!(head.get("x-token").as_deref(), Some("secret"));
    upstreams[0].set_answer_at("/health?full=1", Answer::Refuse(500));
    proxy.wait_log("endpoint down upstream=echo *reason=\"health check failed: status 500\"");
    assert!(serves(&proxy, "1"));
    upstreams[0].set_answer_at("/health?full=1", Answer::Refuse(200));
    // No session has to dial: it was up for its clients all the time.
    proxy.wait_log("endpoint up upstream=echo");
    assert!(serves(&proxy, "0"));
}

#[test]
fn the_expected_statuses_are_settings() {
    let upstreams = two();
    upstreams.iter().for_each(|it| it.set_answer_at("/", Answer::Refuse(302)));
    let settings = settings(&upstreams, r#"probe = "http", status = [200, "300-399"]"#);
    let proxy = Proxy::start(&settings).expect("endpoint down");
    wait_for("two checks", PATIENCE, || upstreams[0].heads_at("/").len() > 1);
    assert_eq!(proxy.count_log("endpoint down"), 0);
    upstreams[0].set_answer_at("/", Answer::Refuse(204));
    proxy.wait_log("endpoint down upstream=echo *reason=\"health check failed: status 204\"");
}

#[test]
fn a_websocket_check_is_a_handshake_a_ping_and_a_close() {
    let upstreams = two();
    let settings = settings(&upstreams, r#"probe = "websocket", path = "/probe""#)
        .with(r#"upstream.echo.host = "chat.example""#)
        .with(r#"upstream.echo.headers.x-token = "secret""#);
    let proxy = Proxy::start(&settings);
    wait_for("two checks", PATIENCE, || upstreams[0].conns_at("/probe").len() > 1);
    let conn = &upstreams[0].conns_at("/probe")[0];
    assert_eq!(conn.wait_end(), End::Close(1000, String::new()));
    assert_eq!((conn.pings(), conn.messages().len()), (1, 0));
    assert_eq!(conn.head().get("host").as_deref(), Some("chat.example"));
    assert_eq!(conn.head().get("x-token").as_deref(), Some("secret"));
    assert!(serves(&proxy, "0"));
}

#[test]
fn the_log_says_what_a_websocket_check_missed() {
    let cases = [
        (Answer::Accept, "1s", "health check failed: no pong within 1s"),
        (Answer::Refuse(500), "1m", "handshake refused with status 500"),
        (Answer::Silent, "1s", "no connection within 1s"),
        (Answer::WrongKey, "1m", "handshake failed: wrong accept key"),
        (
            Answer::AcceptWith("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "1m",
            "handshake failed: extension was not offered",
        ),
    ];
    for (answer, timeout, reason) in cases {
        let upstreams = two();
        upstreams[0].ignore_pings();
        upstreams[0].set_answer_at("/probe", answer);
        let health = format!(r#"probe = "websocket", path = "/probe", timeout = "{timeout}""#);
        let proxy = Proxy::start(&settings(&upstreams, &health)).expect("endpoint down");
        proxy.wait_log(&format!("endpoint down upstream=echo *reason=\"{reason}\""));
        assert!(serves(&proxy, "1"), "{reason}");
    }
}

#[test]
fn a_check_that_gets_no_answer_ends_in_time() {
    let upstreams = two();
    upstreams[0].set_answer_at("/health", Answer::Silent);
    let health = r#"probe = "http", path = "/health", timeout = "1s""#;
    let proxy = Proxy::start(&settings(&upstreams, health)).expect("endpoint down");
    proxy.wait_log("endpoint down upstream=echo *reason=\"health check failed: no answer within 1s\"");
}

/// A server that listens and refuses all handshakes while it starts is dialed by no session.
#[test]
fn sessions_wait_until_the_probe_of_the_settings_succeeds() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.health = { probe = "websocket", path = "/probe" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    upstream.stop(Death::Reset);
    proxy.wait_log("endpoint down upstream=echo");
    upstream.set_answer_at("/probe", Answer::Refuse(503));
    let dials = || upstream.heads_at("/").len();
    let before = dials();
    upstream.start();
    wait_for("five probes", PATIENCE, || upstream.heads_at("/probe").len() >= 5);
    assert_eq!(dials(), before);
    upstream.set_answer_at("/probe", Answer::Accept);
    wait_for("all to be back", PATIENCE, || clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(dials(), before + 20);
    proxy.wait_log("endpoint up upstream=echo");
}
