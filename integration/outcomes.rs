//! Tests of guarantees C1 and C2 in request mode: each message has one outcome, in order.

use crate::harness::*;

/// Settings in request mode with a reply timeout of a second.
fn impatient(url: &str) -> Settings {
    Settings::request(url).with(r#"upstream.echo.reply_timeout = "1s""#)
}

/// The error text `Error receiving reply from server URL: REASON`.
fn receiving(upstream: &TestUpstream, reason: &str) -> String {
    format!("Error receiving reply from server {}: {reason}", upstream.url())
}

/// The error text `Error sending event to server URL: REASON`.
fn sending(url: &str, reason: &str) -> String {
    format!("Error sending event to server {url}: {reason}")
}

#[test]
fn replies_arrive_in_order() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    for number in 0..100 {
        client.text(&format!("message {number}"));
    }
    for number in 0..100 {
        assert_eq!(client.recv_text(), format!("message {number}"));
    }
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=100 answered=100 delivered=0 errored=0 dropped=0");
}

#[test]
fn text_stays_text_and_binary_stays_binary() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    for message in [Message::text("grüße"), binary("grüße"), Message::text(""), binary("")] {
        client.send(message.clone());
        assert_eq!(client.recv(), message);
    }
    assert_eq!(upstream.conn(0).messages()[..2], [Message::text("grüße"), binary("grüße")]);
}

/// Sends three messages to an upstream that answers only the first, ends the upstream by `death`, and checks
/// that the other two get an error reply with `reason`. Then the upstream starts again, and the session
/// works.
fn loss_in_flight(death: Death, reason: &str) {
    let upstream = TestUpstream::with(|conn, message| {
        if conn.messages().len() == 1 {
            conn.send(message);
        }
    });
    let settings = Settings::request(&upstream.url()).with("upstream.echo.on_upstream_close.pass = []");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    for text in ["a", "b", "c"] {
        client.text(text);
    }
    assert_eq!(client.recv_text(), "a");
    upstream.conn(0).wait_messages(3);
    upstream.stop(death);
    assert_eq!(client.recv_error(), (receiving(&upstream, reason), "1:0:1".into()));
    assert_eq!(client.recv_error(), (receiving(&upstream, reason), "1:0:2".into()));
    client.text("d");
    let closed = sending(&upstream.url(), "Trying to work with closed connection");
    assert_eq!(client.recv_error(), (closed, "1:0:3".into()));
    upstream.set(|conn, message| conn.send(message));
    upstream.start();
    proxy.wait_ups(2);
    assert_eq!(client.ask("e"), "e");
    assert_eq!(
        upstream.conn(1).texts(),
        ["e"],
        "no message of the old connection is sent on the new one (C6)"
    );
}

#[test]
fn an_end_without_closing_handshake_is_reported() {
    loss_in_flight(Death::Fin, "WebSocket protocol error: Connection reset without closing handshake");
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_reported() {
    loss_in_flight(Death::MidFrame, "WebSocket protocol error: Connection reset without closing handshake");
}

#[test]
fn a_reset_is_reported() {
    loss_in_flight(Death::Reset, "IO error: Connection reset by peer (os error 104)");
}

#[test]
fn a_close_frame_is_reported() {
    loss_in_flight(Death::Close(1000, ""), "Connection closed by server with code 1000");
}

#[test]
fn a_close_frame_with_a_reason_is_reported() {
    loss_in_flight(
        Death::Close(1001, "moving house"),
        "Connection closed by server with code 1001: moving house",
    );
}

#[test]
fn a_close_frame_of_the_application_is_reported() {
    loss_in_flight(Death::Close(4321, "x"), "Connection closed by server with code 4321: x");
}

#[test]
fn an_upstream_that_never_ran_does_not_refuse_the_client() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    for event in 0..3 {
        client.text("question");
        let closed = sending(&upstream.url(), "Trying to work with closed connection");
        assert_eq!(client.recv_error(), (closed, format!("1:0:{event}")));
    }
    upstream.start();
    proxy.wait_log("connector up session=1:0 upstream=echo");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(upstream.conn(0).texts(), ["hello"]);
}

#[test]
fn a_message_without_reply_is_an_error_and_the_late_reply_a_push() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&impatient(&upstream.url()));
    let mut client = proxy.client();
    client.text("a");
    let error = receiving(&upstream, "no reply within 1s");
    assert_eq!(client.recv_error(), (error.clone(), "1:0:0".into()));
    let conn = upstream.conn(0);
    client.text("b");
    conn.wait_messages(2);
    conn.text("late a");
    conn.text("b");
    // Both texts are equal. The proxy knows that the first is the late reply to `a`.
    assert_eq!(client.recv_text(), "late a");
    assert_eq!(client.recv_text(), "b");
    // The push has number 2, so this event has number 3.
    client.text("c");
    assert_eq!(client.recv_error(), (error, "1:0:3".into()));
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=3 answered=1 delivered=0 errored=2 dropped=0");
}

#[test]
fn errors_keep_the_order_of_the_messages() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::json(&upstream.url()));
    let mut client = proxy.client();
    for text in ["[1]", "no json", "[2]"] {
        client.text(text);
    }
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    // The second message has failed. Its error reply must not overtake the reply to the first.
    client.ping(b"read?");
    conn.text("[1]");
    assert_eq!(client.recv_text(), "[1]");
    assert_eq!(client.recv_error().1, "1:0:1");
    conn.text("[2]");
    assert_eq!(client.recv_text(), "[2]");
}

#[test]
fn pushes_are_delivered_and_counted() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(r#"listener.ws.codec = "string""#));
    let mut client = proxy.client();
    let conn = upstream.conn(0);
    conn.text("news");
    assert_eq!(client.recv_text(), "news");
    assert_eq!(client.ask("hello"), "hello");
    conn.text("more news");
    assert_eq!(client.recv_text(), "more news");
    // Numbers so far: 0 push, 1 `hello`, 2 push.
    client.send(binary([0xff]));
    assert_eq!(client.recv_error().1, "1:0:3");
    client.close(1000, "");
    proxy.wait_log(
        "session closed session=1:0 *accepted=2 answered=1 delivered=0 errored=1 dropped=0 *pushed=2",
    );
}

#[test]
fn control_frames_of_the_upstream_settle_nothing() {
    let upstream = TestUpstream::with(|conn, message| {
        conn.frame(&Frame::server(PING, "before"));
        conn.frame(&Frame::server(PONG, "unasked"));
        conn.send(message);
    });
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let (mut one, mut other) = (proxy.client(), proxy.client());
    for number in 0..5 {
        assert_eq!(one.ask(&format!("one {number}")), format!("one {number}"));
        assert_eq!(other.ask(&format!("other {number}")), format!("other {number}"));
    }
    wait_for("pongs", PATIENCE, || upstream.conn(0).pongs().len() == 5);
    assert!(upstream.conn(0).pongs().iter().all(|pong| pong == b"before"));
}

#[test]
fn an_idle_upstream_gets_its_pongs() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let _client = proxy.client();
    let conn = upstream.conn(0);
    conn.frame(&Frame::server(PING, "alive?"));
    wait_for("the pong", PATIENCE, || conn.pongs() == [b"alive?"]);
}

#[test]
fn invalid_text_in_a_binary_frame_is_an_error_reply() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(r#"listener.ws.codec = "string""#));
    let mut client = proxy.client();
    client.send(binary([b'a', 0xff, 0xfe]));
    let reply = client.recv_json();
    assert_eq!(reply["event_id"], "1:0:0");
    assert_eq!(reply["source_id"], "listener.ws");
    assert!(reply["error"].as_str().unwrap().contains("utf-8"), "{reply}");
    let keys: Vec<_> = reply.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(client.ask("still here"), "still here");
    assert_eq!(upstream.received(), 1);
}

#[test]
fn error_replies_begin_with_the_error() {
    let upstream = TestUpstream::stopped(|_, _| ());
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let text = proxy.client().ask("a");
    assert!(text.starts_with(r#"{"error":"Error sending"#), "{text}");
    assert!(text.ends_with(r#","event_id":"1:0:0"}"#), "{text}");
}

#[test]
fn an_undecodable_reply_is_an_error_with_the_id_of_its_event() {
    let upstream = TestUpstream::with(|conn, message| match message.to_text().unwrap() {
        "bad" => conn.send(binary([0xff])),
        _ => conn.send(message),
    });
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(r#"upstream.echo.codec = "string""#));
    let mut client = proxy.client();
    assert_eq!(client.ask("good"), "good");
    client.text("bad");
    let (error, id) = client.recv_error();
    assert!(error.starts_with("Error deserializing Response message (codec/preprocessors): "), "{error}");
    assert_eq!(id, "1:0:1");
    assert_eq!(client.ask("good again"), "good again");
}

#[test]
fn more_messages_than_may_be_in_flight_are_all_answered() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with("upstream.echo.max_in_flight = 4"));
    let mut client = proxy.client();
    for number in 0..12 {
        client.text(&format!("{number}"));
    }
    let conn = upstream.conn(0);
    assert_eq!(conn.wait_messages(4).len(), 4, "no more than four may be in flight");
    for number in 0..12 {
        conn.wait_messages(number + 1);
        assert!(conn.messages().len() <= number + 4);
        conn.text(&format!("re {number}"));
        assert_eq!(client.recv_text(), format!("re {number}"));
    }
}

#[test]
fn ids_count_sessions_and_events_from_zero() {
    let upstream = TestUpstream::stopped(|_, _| ());
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    for session in 0..3 {
        let mut client = proxy.client();
        for event in 0..2 {
            client.text("a");
            assert_eq!(client.recv_error().1, format!("1:{session}:{event}"));
        }
    }
}

#[test]
fn a_secret_in_the_upstreams_url_is_masked() {
    let port = Port::take();
    let url = format!("ws://admin:hunter2@{}/chat?token=s3cr3t", port.addr());
    let proxy = Proxy::start(&Settings::request(&url)).expect_restarts();
    let text = proxy.client().ask("a");
    let log = proxy.log().join("\n");
    for secret in ["hunter2", "s3cr3t"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!log.contains(secret), "{log}");
    }
    assert!(text.contains(&port.addr().to_string()), "{text}");
}

#[test]
fn each_failed_event_is_in_the_log_at_debug() {
    let upstream = TestUpstream::stopped(|_, _| ());
    for error_replies in [true, false] {
        let settings = Settings::request(&upstream.url())
            .on_route(&format!("error_replies = {error_replies}"))
            .with(r#"log.level = "info,session=debug""#);
        // Without error replies, a line about the close follows.
        let proxy = Proxy::start(&settings).expect_restarts().expect("event failed *close=1012");
        let mut client = proxy.client();
        client.text("a");
        proxy.wait_log("event failed session=1:0 event=1:0:0 error=\"Error sending event to server *\"");
    }
}
