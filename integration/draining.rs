//! Tests of the drain (guarantee C9), readiness and health.

use std::time::{Duration, Instant};

use crate::harness::*;

#[test]
fn a_drain_answers_events_in_flight_and_refuses_new_clients() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"drain.grace = "8s""#);
    let mut proxy = Proxy::start(&settings).expect("client refused");
    let (addr, admin) = (proxy.addr(), proxy.admin());
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    assert_eq!(get(admin, "/healthz").0, 200);
    assert_eq!(get(admin, "/readyz").0, 200);
    proxy.signal("TERM");
    wait_for("readiness to turn", PATIENCE, || get(admin, "/readyz").0 == 503);
    assert_eq!(get(admin, "/healthz").0, 200, "the process is healthy while it drains");
    let refusal = Opening::new(addr).refused();
    assert_eq!(refusal.status(), 503);
    let seconds: u32 = refusal.head.get("retry-after").expect("Retry-After").parse().unwrap();
    assert!(seconds > 0);
    upstream.conn(0).text("answer to a");
    assert_eq!(client.recv_text(), "answer to a");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
    assert!(matches!(upstream.conn(0).wait_end(), End::Close(1001, _)), "{:?}", upstream.conn(0).end());
}

/// The client has no session yet, so the drain does not wait for it.
#[test]
fn a_client_that_waits_for_its_upstream_is_refused_when_a_drain_begins() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Wait);
    let settings = Settings::request(&upstream.url()).on_route(r#"dial_before_accept = "1h""#);
    let mut proxy = Proxy::start(&settings).expect("client refused");
    let addr = proxy.addr();
    let waiting = std::thread::spawn(move || Opening::new(addr).refused());
    upstream.head(0);
    proxy.signal("TERM");
    let refusal = waiting.join().expect("an answer");
    assert_eq!(refusal.status(), 503);
    assert_eq!(refusal.head.get("retry-after").as_deref(), Some("5"));
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn clients_are_closed_over_the_window() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"drain.window = "3s""#);
    let mut proxy = Proxy::start(&settings);
    let clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    wait_for("all sessions", PATIENCE, || proxy.count_log("session opened") == 20);
    let start = Instant::now();
    proxy.signal("INT");
    let ends: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                client.expect_closed(1001);
                start.elapsed()
            })
        })
        .collect();
    let ends: Vec<_> = ends.into_iter().map(|end| end.join().unwrap()).collect();
    assert_eq!(proxy.exit_code(), Some(0));
    let (first, last) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
    // 20 points drawn uniformly from three seconds lie this close together in 1 of 10^19 runs.
    assert!(*last - *first > Duration::from_millis(250), "{ends:?}");
}

#[test]
fn events_without_reply_fail_after_the_grace_period() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"drain.grace = "500ms""#);
    let mut proxy = Proxy::start(&settings).expect("drain").expect("grace");
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    proxy.signal("TERM");
    let (error, id) = client.recv_error();
    assert!(error.starts_with("Error receiving reply from server"), "{error}");
    assert_eq!(id, "1:0:0");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// A client counts as accepted from the moment it is answered with 101.
#[test]
fn a_client_accepted_just_before_the_drain_is_closed_like_the_others() {
    let upstream = TestUpstream::echo();
    for _ in 0..10 {
        let mut proxy = Proxy::start(&Settings::request(&upstream.url()));
        let mut client = proxy.client();
        proxy.signal("TERM");
        client.expect_closed(1001);
        assert_eq!(proxy.exit_code(), Some(0));
    }
}

#[test]
fn an_idle_process_ends_at_once() {
    let upstream = TestUpstream::echo();
    for signal in ["TERM", "INT"] {
        let settings =
            Settings::request(&upstream.url()).with(r#"drain.grace = "1h""#).with(r#"drain.window = "1h""#);
        let mut proxy = Proxy::start(&settings);
        proxy.signal(signal);
        assert_eq!(proxy.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let upstream = TestUpstream::silent();
    let settings =
        Settings::request(&upstream.url()).with(r#"drain.window = "1day""#).with(r#"drain.grace = "1day""#);
    let mut proxy = Proxy::start(&settings).expect("signal").expect("drain");
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    clients[0].text("a");
    upstream.conn(0).wait_messages(1);
    let admin = proxy.admin();
    proxy.signal("TERM");
    wait_for("the drain", PATIENCE, || get(admin, "/readyz").0 == 503);
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(1));
    // The exit comes before the closes that the window schedules: no client gets an error reply or a close frame.
    for mut client in clients {
        assert_eq!(client.read_to_end(), (vec![], None, String::new()));
    }
    assert_eq!(proxy.count_log("session closed"), 0);
}

#[test]
fn the_close_code_of_the_drain_may_be_1012() {
    let upstream = TestUpstream::echo();
    let mut proxy = Proxy::start(&Settings::request(&upstream.url()).with("drain.close_code = 1012"));
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    proxy.signal("TERM");
    client.expect_closed(1012);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_drain_ends_while_the_upstream_is_down() {
    let port = Port::take();
    let mut proxy = Proxy::start(&Settings::request(&port.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("a");
    assert_eq!(client.recv_error().1, "1:0:0");
    proxy.signal("TERM");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_client_that_never_reads_does_not_delay_the_end() {
    let upstream = TestUpstream::with(|conn, message| conn.send(message));
    let mut proxy = Proxy::start(&Settings::stream(&upstream.url())).expect("session").expect("drain");
    let mut raw = Raw::upgraded(proxy.addr());
    raw.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // Until the socket takes no more.
    let frame = Frame::client(BINARY, vec![0; 60_000]).bytes();
    while std::io::Write::write_all(&mut raw.stream(), &frame).is_ok() {}
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    raw.finish();
}

#[test]
fn the_health_command_reports_the_health() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let folder = std::env::temp_dir();
    for (page, code) in [("healthz", 0), ("readyz", 0), ("nowhere", 1)] {
        let url = format!("http://{}/{page}", proxy.admin());
        assert_eq!(Program::finish(&["health", &url], &[], &folder).code, Some(code), "{url}");
    }
    let port = Port::take();
    let nobody = format!("http://{}/healthz", port.addr());
    let finished = Program::finish(&["health", &nobody], &[], &folder);
    assert_eq!(finished.code, Some(1));
    assert!(!finished.stderr.is_empty());
}

#[test]
fn a_handshake_that_waits_for_its_upstream_does_not_delay_the_end() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Silent);
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.connect_timeout = "1h""#)
        .with(r#"drain.grace = "1h""#)
        .on_route(r#"dial_before_accept = "1h""#);
    let mut proxy = Proxy::start(&settings).expect("client refused");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request("/", &[]).as_bytes());
    upstream.head(0);
    proxy.signal("TERM");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut raw.stream(), &mut answer).expect("the connection ends");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_session_that_outlives_the_drain_is_cut_off_with_a_log_line() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.close_timeout = "1h""#)
        .with(r#"drain.window = "1ms""#)
        .with(r#"drain.grace = "1ms""#);
    let mut proxy = Proxy::start(&settings).expect("drain");
    // This client never answers the close frame.
    let raw = Raw::upgraded(proxy.addr());
    wait_for("the session", PATIENCE, || proxy.count_log("session opened") == 1);
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    proxy.wait_log("drain is over with sessions left sessions=1");
    proxy.wait_log(
        "drain cuts off session=1:0 listener=ws route=route[1] peer=127.0.0.1:*state=closing unsettled=0",
    );
    proxy.wait_log("session closed session=1:0 code=1006 side=proxy reason=\"\" cause=drain ");
    drop(raw);
}

/// The process is stopped while the clients connect, so that the signal and all connections reach it at once.
#[test]
fn clients_that_connect_just_before_the_signal_get_an_answer() {
    let upstream = TestUpstream::echo();
    let mut proxy = Proxy::start(&Settings::request(&upstream.url())).expect("client refused");
    proxy.signal("STOP");
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let mut raw = Raw::connect(proxy.addr());
            raw.write(request("/", &[]).as_bytes());
            raw
        })
        .collect();
    proxy.signal("TERM");
    proxy.signal("CONT");
    for raw in clients {
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut raw.stream(), &mut answer).expect("the connection is not reset");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 101"), "{answer}");
    }
    assert_eq!(proxy.exit_code(), Some(0));
}
