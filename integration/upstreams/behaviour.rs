//! Tests of upstreams that follow the protocol and still misbehave.

use std::{sync::Arc, time::Instant};

use super::{finish, receiving, sending};
use crate::harness::*;

/// Number of bytes that is more than the loopback sockets on both sides of the proxy hold.
const MUCH: usize = 64 << 20;

/// Maximum growth of the process's memory, in KiB: far below [`MUCH`], far above what one session may hold.
const LITTLE_KIB: u64 = 16 << 10;

#[test]
fn an_upstream_that_answers_twice() {
    let upstream = TestUpstream::with(|conn, message| {
        conn.send(message.clone());
        conn.send(message);
    });
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    for text in ["one", "two"] {
        assert_eq!(client.ask(text), text);
        assert_eq!(client.recv_text(), text, "the second answer is a push");
    }
    finish(client, &proxy, 0, 2);
    proxy.wait_log("session closed session=1:0 *answered=2 *pushed=2");
}

#[test]
fn an_upstream_that_sends_before_any_request() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    upstream.conn(0).text("answer");
    assert_eq!(client.recv_text(), "answer");
    assert_eq!(client.ask("question"), "question");
    finish(client, &proxy, 0, 1);
    proxy.wait_log("session closed session=1:0 *answered=1 *pushed=1");
}

#[test]
fn an_upstream_that_never_answers() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.reply_timeout = "100ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("question");
    assert_eq!(client.recv_error(), (receiving(&upstream, "no reply within 100ms"), "1:0:0".into()));
    assert_eq!(upstream.live(), 1, "one overdue reply does not end the connection");
    assert_eq!(proxy.count_log("connector restart"), 0);
    finish(client, &proxy, 0, 1);
}

#[test]
fn an_upstream_that_never_reads() {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| wait.wait());
    // Without pings: after the overdue reply a ping could fail as well, and either reason could be first.
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.reply_timeout = "300ms""#)
        .with(r#"upstream.echo.ping_interval = "never""#)
        .with(r#"listener.ws.max_message = "20MiB""#)
        .with(r#"listener.ws.max_frame = "20MiB""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("it reads this one and stops");
    upstream.conn(0).wait_messages(1);
    assert_eq!(client.recv_error().1, "1:0:0");
    client.send(binary(vec![7; 16_000_000]));
    let (error, id) = client.recv_error();
    assert_eq!((error, id), (sending(&upstream, "not read within 300ms"), "1:0:1".into()));
    proxy.wait_log("connector restart session=1:0 *reason=\"not read within 300ms\" unsettled=1");
    latch.open();
    proxy.wait_ups(2);
    finish(client, &proxy, 0, 2);
}

/// A client that reads gets the whole flood. If the client does not read, the proxy stops reading from the
/// upstream. Neither case needs much memory.
#[test]
fn an_upstream_that_floods() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let before = proxy.resident_kib();
    let mut client = proxy.client();
    let stalled = proxy.client();
    let (conn, other) = (upstream.conn(0), upstream.conn(1));
    // The client reads, however slowly, so that all of it is written.
    let frame = Frame::server(BINARY, vec![7; 50_000]);
    let frames = (MUCH / 4).div_ceil(frame.bytes().len());
    let flood = std::thread::spawn(move || (0..frames).for_each(|_| conn.frame(&frame)));
    let stuck = std::thread::spawn(move || other.flood(50_000, MUCH));
    let mut bystander = proxy.client();
    for _ in 0..frames {
        assert_eq!(bystander.ask("hello"), "hello");
        assert_eq!(client.recv().len(), 50_000);
    }
    flood.join().unwrap();
    assert!(stuck.join().unwrap() < MUCH);
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < LITTLE_KIB, "{grown} KiB");
    drop(stalled);
}

/// The proxy answers pings while the upstream reads. Pongs that the upstream does not read are not buffered.
#[test]
fn an_upstream_that_pings_without_end() {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let before = proxy.resident_kib();
    let mut client = proxy.client();
    let mut bystander = proxy.client();
    upstream.set(move |conn, _| {
        // The upstream does not read while it sends pings, so the pongs cannot be written.
        let pings = Frame::server(PING, [7; 125]).bytes().repeat(1000);
        (0..100).for_each(|_| conn.write(&pings));
        wait.wait();
        conn.text("at last");
    });
    client.text("question");
    wait_for("the pings to be read", PATIENCE, || proxy.is_quiet());
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < LITTLE_KIB, "{grown} KiB");
    latch.open();
    assert_eq!(client.recv_text(), "at last");
    let conn = upstream.conn(0);
    wait_for("pongs", PATIENCE, || !conn.pongs().is_empty());
    assert!(conn.pongs().iter().all(|pong| pong == &[7; 125]));
    bystander.ping(b"still here");
    finish(client, &proxy, 0, 1);
}

/// The upstream sends a close frame and does not disconnect. The connection counts as ended.
#[test]
fn an_upstream_that_closes_and_keeps_the_socket_open() {
    let upstream = TestUpstream::silent();
    upstream.ignore_closes();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("question");
    let conn = upstream.conn(0);
    conn.wait_messages(1);
    conn.frame(&Frame::server(CLOSE, Frame::close_payload(1001, "")));
    let reason = receiving(&upstream, "Connection closed by server with code 1001");
    assert_eq!(client.recv_error(), (reason, "1:0:0".into()));
    conn.wait_end();
    assert_eq!(conn.closes(), [(1001, String::new())], "its close frame is answered");
    proxy.wait_ups(2);
    assert_eq!(upstream.live(), 1);
}

/// The proxy does not read bytes after the upstream's close frame (RFC 6455 section 5.5.1).
#[test]
fn an_upstream_that_sends_after_its_close_frame() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("question");
    let conn = upstream.conn(0);
    conn.wait_messages(1);
    let close = Frame::server(CLOSE, Frame::close_payload(1000, "")).bytes();
    conn.write(&[close, Frame::server(TEXT, "an answer").bytes()].concat());
    let reason = receiving(&upstream, "Connection closed by server with code 1000");
    assert_eq!(client.recv_error(), (reason, "1:0:0".into()));
    proxy.wait_ups(2);
    client.text("question");
    upstream.conn(1).wait_messages(1);
    upstream.conn(1).text("another answer");
    assert_eq!(client.recv_text(), "another answer");
    finish(client, &proxy, 0, 2);
}

/// The session is over, and the upstream does not answer the close frame within `close_timeout`.
#[test]
fn an_upstream_that_never_completes_the_closing_handshake() {
    let upstream = TestUpstream::echo();
    upstream.ignore_closes();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.close_timeout = "200ms""#);
    let proxy = Proxy::start(&settings);
    let before = proxy.descriptors_at_rest();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    let start = Instant::now();
    finish(client, &proxy, 0, 1);
    let conn = upstream.conn(0);
    assert_eq!(conn.wait_end(), End::Eof);
    assert_eq!(conn.closes(), [(1000, String::new())]);
    assert!(
        start.elapsed() >= std::time::Duration::from_millis(200),
        "the upstream had less than `close_timeout`"
    );
    proxy.wait_idle(before);
}

/// The session is over, and the upstream keeps sending instead of answering the close frame.
#[test]
fn an_upstream_that_floods_instead_of_closing() {
    let upstream = TestUpstream::echo();
    upstream.ignore_closes();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.close_timeout = "200ms""#);
    let proxy = Proxy::start(&settings);
    let before = proxy.descriptors_at_rest();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    finish(client, &proxy, 0, 1);
    let conn = upstream.conn(0);
    conn.flood(10_000, 1 << 30);
    conn.wait_end();
    proxy.wait_idle(before);
}

/// A close reason is text from the peer and must not look like a log line of the proxy.
#[test]
fn a_close_reason_cannot_forge_a_log_line() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with("upstream.echo.on_upstream_close.pass = []");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("question");
    upstream.conn(0).wait_messages(1);
    let reason = "bye\"\r\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J";
    upstream.conn(0).frame(&Frame::server(CLOSE, Frame::close_payload(4000, reason)));
    let words = format!("Connection closed by server with code 4000: {reason}");
    assert_eq!(client.recv_error(), (receiving(&upstream, &words), "1:0:0".into()));
    proxy.wait_log("connector restart session=1:0 *forged");
    proxy.wait_ups(2);
    client.close(4000, reason);
    client.expect_closed(4000);
    proxy.wait_log("session closed session=1:0 code=4000 *forged");
    for line in proxy.log() {
        assert!(!line.contains('\u{1b}') && !line.starts_with("2026-01-01"), "{line:?}");
        assert!(!line.contains("forged") || line.contains("bye"), "{line:?}");
    }
}
