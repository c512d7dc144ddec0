//! Tests of the end of a client's connection: its upstream connection ends with the same code and reason
//! (guarantee C9).

use crate::harness::*;

#[test]
fn code_and_reason_of_the_client_reach_the_upstream() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let reason = "é".repeat(61);
    for (session, (code, reason)) in
        [(1000, ""), (1001, "leaving"), (3000, "registered"), (4999, reason.as_str())].into_iter().enumerate()
    {
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        client.close(code, reason);
        client.expect_closed(code);
        assert_eq!(upstream.conn(session).wait_end(), End::Close(code, reason.into()));
        proxy.wait_log(&format!("session closed session=1:{session} *code={code}"));
    }
    assert_eq!(upstream.live(), 0);
}

#[test]
fn a_close_without_code_is_passed_without_code() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::client(CLOSE, ""));
    let answer = raw.frame().unwrap();
    assert_eq!(answer.opcode, CLOSE);
    assert!(matches!(answer.close_parts().0, 1005 | 1000), "{answer:?}");
    assert_eq!(raw.frame(), None);
    // 1005 is never sent (RFC 6455 section 7.4.1).
    match upstream.conn(0).wait_end() {
        End::Close(1005 | 1000, reason) => assert_eq!(reason, ""),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_vanishes_ends_its_upstream_connection() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    client.vanish();
    upstream.conn(0).wait_end();
    proxy.wait_log("session closed session=1:0");
}

#[test]
fn a_client_that_resets_ends_its_upstream_connection() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    client.reset();
    upstream.conn(0).wait_end();
    proxy.wait_log("session closed session=1:0");
}

#[test]
fn a_client_that_disconnects_while_the_upstream_is_down_leaves_nothing() {
    let upstream = TestUpstream::stopped(|_, _| ());
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=2");
    client.close(1000, "");
    client.expect_closed(1000);
    proxy.wait_log("session closed session=1:0");
    upstream.start();
    // The other session's connection is made, and the first one's is not.
    let mut other = proxy.client();
    other.text("hello");
    upstream.conn(0).wait_messages(1);
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn unsettled_events_of_a_client_that_disconnects_are_counted() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    client.text("a");
    client.text("b");
    upstream.conn(0).wait_messages(2);
    client.vanish();
    let line = proxy.wait_log("session closed session=1:0 *accepted=2 answered=0");
    assert!(!line.contains("answered=1"));
}

#[test]
fn a_hundred_sessions_leave_nothing_behind() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    for number in 0..100 {
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        match number % 3 {
            0 => client.close(1000, ""),
            1 => client.vanish(),
            _ => client.reset(),
        }
    }
    wait_for("the end of all upstream connections", PATIENCE, || upstream.live() == 0);
    wait_for("a line for each session", PATIENCE, || proxy.count_log("session closed") == 100);
    assert_eq!(upstream.connections(), 100);
}

#[test]
fn a_client_that_never_answers_a_close_is_disconnected() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.close_timeout = "200ms""#);
    let mut proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    proxy.wait_log("session opened session=1:0");
    proxy.signal("TERM");
    // The client does not answer the close frame, and the connection ends nevertheless.
    raw.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// The client disconnects after n bytes of handshake and message, for each n.
#[test]
fn a_disconnect_at_any_byte_leaves_nothing() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("handshake");
    let mut bytes = request("/", &[]).into_bytes();
    let handshake = bytes.len();
    bytes.extend(Frame::client(TEXT, "hello").bytes());
    for cut in (0..handshake).step_by(9).chain(handshake..=bytes.len()) {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&bytes[..cut]);
        raw.finish();
        let mut rest = Vec::new();
        // Any end of the connection is fine.
        let _ = std::io::Read::read_to_end(&mut raw.stream(), &mut rest)
            .map_err(|error| assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "at byte {cut}"));
    }
    wait_for("the end of all upstream connections", PATIENCE, || upstream.live() == 0);
    assert_eq!(proxy.client().ask("hello"), "hello");
}
