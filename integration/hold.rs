//! `recovery.hold`: messages wait for the next connection to the upstream instead of failing.

use std::time::{Duration, Instant};

use crate::harness::*;

const HOLD: &str = r#"upstream.echo.recovery.hold = "10s""#;

/// Settings in request mode that hold messages.
fn request(upstream: &TestUpstream) -> Settings {
    Settings::request(&upstream.url()).with(HOLD)
}

/// Settings in stream mode that hold messages.
fn stream(upstream: &TestUpstream) -> Settings {
    Settings::stream(&upstream.url()).with(HOLD)
}

/// Sends texts, and returns when the proxy has read them.
fn send(client: &mut Client, texts: impl IntoIterator<Item = usize>) {
    texts.into_iter().for_each(|text| client.text(&text.to_string()));
    client.ping(b"read?");
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Stops the upstream, and waits until the proxy has lost its connection.
fn stop(upstream: &TestUpstream, proxy: &Proxy, restarts: usize) {
    upstream.stop(Death::Reset);
    wait_for("the loss", PATIENCE, || proxy.count_log("connector restart") >= restarts);
}

fn sending(upstream: &TestUpstream) -> String {
    format!("Error sending event to server {}: Trying to work with closed connection", upstream.url())
}

#[test]
fn messages_sent_while_the_upstream_is_away_arrive_in_order() {
    for pipelines in [false, true] {
        let upstream = TestUpstream::echo();
        let settings = match pipelines {
            false => request(&upstream),
            true => request(&upstream)
                .pipeline("one", "select event from in into out;")
                .pipeline("two", "select event from in into out;")
                .on_route(r#"incoming = ["one", "two"]"#),
        };
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        assert_eq!(client.ask("before"), "before");
        stop(&upstream, &proxy, 1);
        send(&mut client, 0..50);
        assert_eq!(upstream.received(), 1);
        upstream.start();
        send(&mut client, 50..60);
        for text in numbers(0..60) {
            assert_eq!(client.recv_text(), text);
        }
        assert_eq!(upstream.conn(1).texts(), numbers(0..60));
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert_eq!((account.accepted, account.answered), (61, 61), "{account:?}");
    }
}

#[test]
fn a_stream_holds_messages_too() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&stream(&upstream)).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0);
    stop(&upstream, &proxy, 1);
    send(&mut client, 0..100);
    upstream.start();
    assert_eq!(upstream.conn(1).wait_messages(100).len(), 100);
    assert_eq!(upstream.conn(1).texts(), numbers(0..100));
    upstream.conn(1).text("push");
    assert_eq!(client.recv_text(), "push", "no message has failed");
}

#[test]
fn a_client_that_comes_before_the_upstream_is_served() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let proxy = Proxy::start(&request(&upstream)).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..20);
    upstream.start();
    for text in numbers(0..20) {
        assert_eq!(client.recv_text(), text);
    }
    assert_eq!(upstream.conn(0).texts(), numbers(0..20));
}

#[test]
fn messages_that_waited_for_a_failed_dial_are_held() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Wait);
    let proxy =
        Proxy::start(&request(&upstream).on_route(r#"dial_before_accept = "50ms""#)).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..10);
    upstream.set_answer(Answer::Refuse(503));
    proxy.wait_log("connector restart session=1:0");
    send(&mut client, 10..20);
    upstream.set_answer(Answer::Accept);
    for text in numbers(0..20) {
        assert_eq!(client.recv_text(), text);
    }
    assert_eq!(upstream.conn(0).texts(), numbers(0..20));
}

#[test]
fn what_was_written_fails_at_the_loss_and_is_not_sent_again() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&request(&upstream)).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..3);
    upstream.conn(0).wait_messages(3);
    upstream.set(|conn, message| conn.send(message));
    stop(&upstream, &proxy, 1);
    send(&mut client, 3..6);
    upstream.start();
    for event in ["1:0:0", "1:0:1", "1:0:2"] {
        let (error, id) = client.recv_error();
        assert!(error.starts_with("Error receiving reply from server"), "{error}");
        assert_eq!(id, event);
    }
    for text in numbers(3..6) {
        assert_eq!(client.recv_text(), text);
    }
    assert_eq!(upstream.conn(1).texts(), numbers(3..6));
}

#[test]
fn a_message_that_is_held_too_long_fails_with_its_id() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.recovery.hold = "300ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let start = Instant::now();
    send(&mut client, 0..3);
    for event in ["1:0:0", "1:0:1", "1:0:2"] {
        assert_eq!(client.recv_error(), (sending(&upstream), event.to_owned()));
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(250), "{took:?}");
    upstream.start();
    assert_eq!(client.ask("next"), "next");
    assert_eq!(upstream.conn(0).texts(), ["next"]);
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.answered, account.errored), (1, 3), "{account:?}");
}
