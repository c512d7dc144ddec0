//! Tests of guarantee C1 in stream mode: an event is settled when it is written, and every message of the
//! upstream is a push.

use crate::harness::*;

#[test]
fn messages_flow_both_ways_without_waiting() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let mut client = proxy.client();
    for number in 0..300 {
        client.text(&format!("{number}"));
    }
    let conn = upstream.conn(0);
    let all: Vec<_> = (0..300).map(|number| Message::text(number.to_string())).collect();
    assert_eq!(conn.wait_messages(300), all);
    for number in 0..300 {
        conn.text(&format!("push {number}"));
    }
    for number in 0..300 {
        assert_eq!(client.recv_text(), format!("push {number}"));
    }
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=300 answered=0 delivered=300 errored=0 dropped=0");
}

#[test]
fn the_upstream_may_send_first() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let mut client = proxy.client();
    upstream.conn(0).text("welcome");
    assert_eq!(client.recv_text(), "welcome");
}

#[test]
fn a_loss_reports_the_last_event_written() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    for text in ["a", "b", "c"] {
        client.text(text);
    }
    upstream.conn(0).wait_messages(3);
    upstream.stop(Death::Fin);
    let (error, id) = client.recv_error();
    assert!(error.contains(&upstream.url()), "{error}");
    assert!(
        error.ends_with("WebSocket protocol error: Connection reset without closing handshake"),
        "{error}"
    );
    assert_eq!(id, "1:0:2");
    // Each event that was not written gets an error reply.
    for event in ["1:0:3", "1:0:4"] {
        client.text("lost");
        let (error, id) = client.recv_error();
        let url = upstream.url();
        assert_eq!(
            error,
            format!("Error sending event to server {url}: Trying to work with closed connection")
        );
        assert_eq!(id, event);
    }
    upstream.start();
    proxy.wait_ups(2);
    client.text("d");
    assert_eq!(upstream.conn(1).wait_messages(1), [Message::text("d")]);
}

#[test]
fn a_loss_before_any_write_names_no_event() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0).die(Death::Fin);
    proxy.wait_ups(2);
    upstream.conn(1).text("welcome back");
    // No error reply names an event that was never sent.
    assert_eq!(client.recv_text(), "welcome back");
}

#[test]
fn a_close_frame_from_the_upstream_does_not_close_the_client() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).die(Death::Close(1001, "bye"));
    let (error, id) = client.recv_error();
    assert!(error.ends_with("Connection closed by server with code 1001: bye"), "{error}");
    assert_eq!(id, "1:0:0");
    proxy.wait_ups(2);
    client.text("b");
    assert_eq!(upstream.conn(1).wait_messages(1), [Message::text("b")]);
}

#[test]
fn a_message_of_the_upstream_that_is_undecodable_is_an_error_reply() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()).with(r#"upstream.echo.codec = "string""#));
    let mut client = proxy.client();
    let conn = upstream.conn(0);
    conn.send(binary([0xff]));
    let (error, id) = client.recv_error();
    assert!(error.starts_with("Error deserializing Response message (codec/preprocessors): "), "{error}");
    assert_eq!(id, "1:0:0");
    conn.text("fine");
    assert_eq!(client.recv_text(), "fine");
}

#[test]
fn a_large_message_passes_in_both_directions() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let mut client = proxy.client();
    let text = "0123456789abcdef".repeat(60_000);
    client.text(&text);
    assert_eq!(client.recv_text(), text);
}
