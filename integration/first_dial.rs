//! Tests of a first dial that takes longer than `dial_before_accept`: the client is accepted, the dial
//! continues, and the client's messages wait for it.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Settings in which the client is accepted after 50 ms, and the dial takes as long as a test needs.
fn patient(settings: Settings) -> Settings {
    settings.with(r#"upstream.echo.connect_timeout = "1m""#).on_route(r#"dial_before_accept = "50ms""#)
}

/// An upstream that accepts TCP connections, but answers no handshake until the test sets an answer.
fn undecided() -> TestUpstream {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Wait);
    upstream
}

fn sending(upstream: &TestUpstream, reason: &str) -> String {
    format!("Error sending event to server {}: {reason}", upstream.url())
}

/// Sends texts, and returns when the proxy has read them.
fn send(client: &mut Client, texts: &[&str]) {
    texts.iter().for_each(|text| client.text(text));
    client.ping(b"read?");
}

#[test]
fn messages_wait_for_a_slow_upgrade_and_there_is_one_handshake() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url()).incoming("select event from in into out;"));
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    let texts = ["a", "b", "c", "d", "e"];
    send(&mut client, &texts);
    assert_eq!(upstream.received(), 0);
    upstream.set_answer(Answer::Accept);
    for text in texts {
        assert_eq!(client.recv_text(), text);
    }
    assert_eq!(upstream.conn(0).texts(), texts);
    assert_eq!((upstream.handshakes(), upstream.connections()), (1, 1));
    assert_eq!(client.ask("and on"), "and on");
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.answered), (6, 6), "{account:?}");
    assert!(!proxy.has_log("connector restart", Duration::ZERO));
}

#[test]
fn messages_in_stream_mode_wait_for_the_dial() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::stream(&upstream.url())));
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    upstream.set_answer(Answer::Greet("welcome"));
    assert_eq!(client.recv_text(), "welcome");
    assert_eq!(client.recv_text(), "a");
    assert_eq!(client.recv_text(), "b");
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn each_message_gets_the_reason_when_the_dial_fails() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::request(&upstream.url()))).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, &["a", "b", "c"]);
    upstream.set_answer(Answer::Refuse(503));
    let error = sending(&upstream, "handshake refused with status 503");
    for event in ["1:0:0", "1:0:1", "1:0:2"] {
        assert_eq!(client.recv_error(), (error.clone(), event.to_owned()));
    }
    let line = proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1 ");
    assert!(line.contains("reason=\"handshake refused with status 503\" unsettled=3"), "{line}");
    client.text("d");
    assert_eq!(
        client.recv_error(),
        (error, "1:0:3".to_owned()),
        "the same reason until the next dial succeeds"
    );
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(1);
    assert_eq!(client.ask("e"), "e");
    assert_eq!(upstream.received(), 1, "what was reported as not sent is not sent");
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.answered, account.errored), (5, 1, 4), "{account:?}");
}

#[test]
fn the_dial_has_connect_timeout_from_its_start() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Silent);
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.connect_timeout = "600ms""#)
        .on_route(r#"dial_before_accept = "300ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let begun = Instant::now();
    let mut client = proxy.client();
    client.text("a");
    let error = sending(&upstream, "no connection within 600ms");
    assert_eq!(client.recv_error(), (error, "1:0:0".to_owned()));
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
}

/// The proxy stops reading from the client when its messages fill `buffer`. All messages that were read are
/// delivered in order.
#[test]
fn a_full_buffer_stops_the_client_until_the_upstream_answers() {
    const MUCH: usize = 64 << 20;
    let upstream = undecided();
    upstream.set(|_, _| ());
    let settings = patient(Settings::stream(&upstream.url())).with(r#"listener.ws.buffer = "64KiB""#);
    let proxy = Proxy::start(&settings).expect("session");
    let before = proxy.resident_kib();
    let mut raw = Raw::upgraded(proxy.addr());
    let taken = raw.flood(10_000, MUCH);
    assert!(taken < MUCH, "the client is not read");
    assert!(proxy.resident_kib() < before + (16 << 10));
    assert_eq!(upstream.received(), 0);
    upstream.set_answer(Answer::Accept);
    let whole = taken / Frame::client(BINARY, vec![7; 10_000]).bytes().len();
    assert!(upstream.conn(0).wait_messages(whole).iter().all(|message| message.len() == 10_000));
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn at_most_max_in_flight_events_wait() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url())).with("upstream.echo.max_in_flight = 4");
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for number in 0..20 {
        client.text(&number.to_string());
    }
    upstream.set_answer(Answer::Accept);
    for number in 0..20 {
        assert_eq!(client.recv_text(), number.to_string());
    }
}

#[test]
fn a_client_that_leaves_ends_the_dial() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::request(&upstream.url())));
    let before = proxy.descriptors_at_rest();
    let mut client = proxy.client();
    client.close(1000, "");
    client.expect_closed(1000);
    proxy.client().vanish();
    proxy.wait_idle(before);
    assert_eq!(upstream.connections(), 0);
}

/// Messages that a client sent before it left have `close_timeout` to be delivered.
#[test]
fn messages_sent_before_the_client_closes_are_delivered() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::stream(&upstream.url())));
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    client.close(1000, "bye");
    upstream.set_answer(Answer::Accept);
    assert_eq!(upstream.conn(0).wait_end(), End::Close(1000, "bye".into()));
    assert_eq!(upstream.conn(0).texts(), ["a", "b"]);
    assert_eq!(proxy.account("1:0").delivered, 2);
}

#[test]
fn messages_sent_before_the_client_closes_fail_after_close_timeout() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url())).with(r#"listener.ws.close_timeout = "200ms""#);
    let proxy = Proxy::start(&settings);
    let before = proxy.descriptors_at_rest();
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    client.close(1000, "");
    let (messages, code, _) = client.read_to_end();
    let error = sending(&upstream, "Connection is closing");
    let replies: Vec<_> = messages.iter().map(error_reply).collect();
    assert_eq!(replies, [(error.clone(), "1:0:0".to_owned()), (error, "1:0:1".to_owned())]);
    assert_eq!(code, Some(1000));
    assert_eq!(proxy.account("1:0").errored, 2);
    proxy.wait_idle(before);
    upstream.set_answer(Answer::Accept);
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(upstream.received(), 1, "failed events are not sent");
}

#[test]
fn a_drain_waits_for_the_dial_within_the_grace_period() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url())).with(r#"drain.grace = "30s""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    send(&mut client, &["a"]);
    proxy.signal("TERM");
    proxy.wait_log("drain");
    upstream.set_answer(Answer::Accept);
    assert_eq!(client.recv_text(), "a");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_drain_ends_a_dial_that_takes_longer() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url())).with(r#"drain.grace = "200ms""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    proxy.signal("TERM");
    let error = sending(&upstream, "Connection is closing");
    assert_eq!(client.recv_error(), (error.clone(), "1:0:0".to_owned()));
    assert_eq!(client.recv_error(), (error, "1:0:1".to_owned()));
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// On a route without error replies, only the close frame reports lost events (guarantee C1).
#[test]
fn a_drain_that_ends_a_dial_names_the_first_lost_event() {
    let upstream = undecided();
    let settings = patient(Settings::plain(&upstream.url())).with(r#"drain.grace = "200ms""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    proxy.signal("TERM");
    assert_eq!(client.expect_closed(1001), "shutting down; first lost event 1:0:0");
    assert_eq!(proxy.account("1:0").errored, 2);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn events_for_another_server_do_not_wait() {
    let (upstream, other) = (undecided(), TestUpstream::echo());
    let settings = patient(Settings::request(&upstream.url()))
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .with(r#"upstream.echo.correlation = "id""#)
        .with(&format!(r#"upstream.echo.allow_urls = ["{}"]"#, other.url()))
        .incoming(
            "define script route script match event of case %{ present url } => let $url = event.url case _ => null end; \
             event end; create script route; select event from in into route; select event from route into out;",
        );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    send(&mut client, &[r#"{"id":1}"#, &format!(r#"{{"id":2,"url":"{}"}}"#, other.url()), r#"{"id":3}"#]);
    assert_eq!(client.recv_json()["id"], 2);
    upstream.set_answer(Answer::Accept);
    assert_eq!(client.recv_json()["id"], 1);
    assert_eq!(client.recv_json()["id"], 3);
    assert_eq!((upstream.handshakes(), other.handshakes()), (1, 1));
}

#[test]
fn an_upstream_that_chooses_the_answered_subprotocol_is_accepted() {
    let upstream = undecided();
    let settings = patient(Settings::request(&upstream.url())).on_route(r#"subprotocols = ["b"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).protocols("a, b").open();
    assert_eq!(client.protocol().as_deref(), Some("b"));
    send(&mut client, &["hello"]);
    upstream.set_answer(Answer::Choose("b"));
    assert_eq!(client.recv_text(), "hello");
    assert_eq!(upstream.handshakes(), 1);
}

/// The dial in progress offered the whole list of subprotocols, but the client has already been answered with
/// one.
#[test]
fn an_upstream_that_chooses_another_subprotocol_is_rejected() {
    for (known, promised) in [(r#"subprotocols = ["b"]"#, Some("b")), ("subprotocols = []", None)] {
        let upstream = undecided();
        let settings = patient(Settings::request(&upstream.url())).on_route(known);
        let proxy = Proxy::start_with(&settings, &[("RUST_LOG", "info,upstream=debug")]).expect_restarts();
        let mut client = Opening::new(proxy.addr()).protocols("a, b").open();
        assert_eq!(client.protocol().as_deref(), promised);
        send(&mut client, &["hello"]);
        upstream.set_answer(Answer::Choose("a"));
        let reason = "handshake failed: client was answered with another subprotocol";
        assert_eq!(client.recv_error(), (sending(&upstream, reason), "1:0:0".to_owned()));
        proxy.wait_log("endpoint failed upstream=echo *failures=1 reason=\"handshake failed");
        upstream.set_answer(promised.map_or(Answer::Accept, Answer::Choose));
        proxy.wait_ups(1);
        assert_eq!(upstream.head(1).get("sec-websocket-protocol").as_deref(), promised);
        assert_eq!(client.ask("again"), "again");
        assert_eq!(upstream.received(), 1);
    }
}

#[test]
fn the_shortest_dial_before_accept_works() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).on_route(r#"dial_before_accept = "1ms""#);
    let proxy = Proxy::start(&settings);
    for _ in 0..20 {
        assert_eq!(proxy.client().ask("hello"), "hello");
    }
    assert_eq!(upstream.handshakes(), 20);
}

/// A reconnect is not a first dial: while a reconnect is in progress, events fail at once, as in the
/// reference system.
#[test]
fn messages_do_not_wait_for_a_reconnect() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&patient(Settings::request(&upstream.url()))).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.set_answer(Answer::Wait);
    upstream.conn(0).die(Death::Fin);
    upstream.head(1);
    client.text("b");
    let closed = sending(&upstream, "Trying to work with closed connection");
    assert_eq!(client.recv_error(), (closed, "1:0:1".to_owned()));
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(2);
    assert_eq!(client.ask("c"), "c");
}

/// On a route that closes its client on a loss, a dial that fails after the accept closes the client. Its events fail,
/// and the close reason names the first one.
#[test]
fn a_client_that_is_not_kept_is_closed_with_1013_when_the_dial_fails() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::plain(&upstream.url()))).expect("upstream ended");
    let before = proxy.descriptors_at_rest();
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    upstream.set_answer(Answer::Refuse(503));
    let (messages, code, reason) = client.read_to_end();
    assert_eq!((messages, code), (vec![], Some(1013)), "the proxy adds no text to a stream");
    assert!(reason.ends_with("first lost event 1:0:0"), "{reason}");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.errored), (2, 2), "{account:?}");
    proxy.wait_idle(before);
    assert_eq!(upstream.handshakes(), 1, "the upstream is not dialed again");
}

#[test]
fn a_silent_client_that_is_not_kept_is_closed_with_1013_when_the_dial_fails() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Silent);
    let settings = Settings::plain(&upstream.url())
        .with(r#"upstream.echo.connect_timeout = "300ms""#)
        .on_route(r#"dial_before_accept = "50ms""#);
    let proxy = Proxy::start(&settings).expect("upstream ended");
    let mut client = proxy.client();
    client.expect_closed(1013);
    proxy.wait_log("upstream ended session=1:0 *close=1013 *reason=\"no connection within 300ms\"");
}

/// A response of 401 or 403 ends the session because of `on_refused`.
#[test]
fn a_refusal_closes_a_client_that_was_accepted_before() {
    for settings in [Settings::plain, Settings::request] {
        let upstream = undecided();
        let proxy = Proxy::start(&patient(settings(&upstream.url())));
        let mut client = proxy.client();
        upstream.set_answer(Answer::Refuse(401));
        client.expect_closed(1008);
    }
}

#[test]
fn a_client_that_is_not_kept_is_served_when_its_slow_upstream_answers() {
    let upstream = undecided();
    let proxy = Proxy::start(&patient(Settings::plain(&upstream.url())));
    let mut client = proxy.client();
    send(&mut client, &["a", "b"]);
    upstream.set_answer(Answer::Accept);
    assert_eq!(client.recv_text(), "a");
    assert_eq!(client.recv_text(), "b");
    assert_eq!(upstream.handshakes(), 1);
}
