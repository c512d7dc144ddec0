//! `recovery.hold`: messages wait for the next connection to the upstream instead of failing.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use crate::harness::*;

const HOLD: &str = r#"upstream.echo.recovery.hold = "1m""#;

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

/// Sends three messages, which fail in their order because they were not sent. Returns the time that this took.
fn expect_three_to_fail(client: &mut Client, upstream: &TestUpstream) -> Duration {
    let start = Instant::now();
    send(client, 0..3);
    for event in ["1:0:0", "1:0:1", "1:0:2"] {
        assert_eq!(client.recv_error(), (sending(upstream), event.to_owned()));
    }
    start.elapsed()
}

#[test]
fn a_message_that_is_held_too_long_fails_with_its_id() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.recovery.hold = "300ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let took = expect_three_to_fail(&mut client, &upstream);
    assert!(took >= Duration::from_millis(250), "{took:?}");
    upstream.start();
    proxy.wait_ups(1);
    assert_eq!(client.ask("next"), "next");
    assert_eq!(upstream.conn(0).texts(), ["next"]);
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.answered, account.errored), (1, 3), "{account:?}");
}

/// A dial that takes longer is no exception.
#[test]
fn a_message_that_waits_too_long_for_the_first_connection_fails() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Wait);
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.recovery.hold = "300ms""#)
        .with(r#"upstream.echo.connect_timeout = "1h""#)
        .on_route(r#"dial_before_accept = "50ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let took = expect_three_to_fail(&mut client, &upstream);
    assert!(took >= Duration::from_millis(250), "{took:?}");
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(1);
    assert_eq!(client.ask("next"), "next");
    assert_eq!(upstream.conn(0).texts(), ["next"]);
}

#[test]
fn a_drain_fails_held_messages_before_the_close() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = request(&upstream).with(r#"drain.grace = "200ms""#);
    let mut proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..2);
    proxy.signal("TERM");
    let error = format!("Error sending event to server {}: Connection is closing", upstream.url());
    for event in ["1:0:0", "1:0:1"] {
        assert_eq!(client.recv_error(), (error.clone(), event.to_owned()));
    }
    client.expect_closed(1001);
    assert_eq!(proxy.account("1:0").errored, 2);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// A notification has no answer in JSON-RPC, so it gets an error reply of the route.
#[test]
fn held_messages_fail_in_their_order_whether_or_not_their_protocol_has_words_for_it() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), r#"preset = "json-rpc""#)
        .with(r#"upstream.echo.recovery.hold = "300ms""#)
        .on_route("error_replies = true");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0);
    stop(&upstream, &proxy, 1);
    for id in [r#""#, r#""id":1,"#, r#""#, r#""id":3,"#] {
        client.text(&format!(r#"{{"jsonrpc":"2.0",{id}"method":"eth_chainId"}}"#));
    }
    for event in [0, 2] {
        assert_eq!(client.recv_error(), (sending(&upstream), format!("1:0:{event}")));
        assert_eq!(client.recv_json()["id"], event + 1);
    }
}

#[test]
fn a_drain_waits_for_held_messages_within_its_grace() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let mut proxy = Proxy::start(&request(&upstream).with(r#"drain.grace = "1m""#)).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..2);
    proxy.signal("TERM");
    proxy.wait_log("draining");
    upstream.start();
    for text in numbers(0..2) {
        assert_eq!(client.recv_text(), text);
    }
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_client_that_leaves_takes_its_held_messages_with_it() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = request(&upstream).with(r#"listener.ws.on_client_close = "cancel""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..5);
    client.reset();
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.errored, account.unsettled), (5, 5, 0), "{account:?}");
    upstream.start();
    assert_eq!(proxy.client().ask("next"), "next");
    assert_eq!(upstream.received(), 1);
}

#[test]
fn giving_up_fails_held_messages_where_it_closes_the_client() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = request(&upstream)
        .with(r#"upstream.echo.on_give_up = "close""#)
        .with(r#"upstream.echo.restart = { min = "500ms", max = "500ms", max_restarts = 3 }"#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    send(&mut client, 0..2);
    for event in ["1:0:0", "1:0:1"] {
        assert_eq!(client.recv_error(), (sending(&upstream), event.to_owned()));
    }
    client.expect_closed(1013);
    assert_eq!(proxy.account("1:0").errored, 2);
}

#[test]
fn giving_up_keeps_held_messages_where_it_keeps_the_client() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let restart =
        r#"upstream.echo.restart = { min = "50ms", max = "50ms", max_restarts = 3, probe = "100ms" }"#;
    let proxy = Proxy::start(&request(&upstream).with(restart)).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    send(&mut client, 0..2);
    proxy.wait_log("connector gave up");
    upstream.start();
    for text in numbers(0..2) {
        assert_eq!(client.recv_text(), text);
    }
}

/// Without error replies, a message that is held too long closes the client.
#[test]
fn on_a_route_without_error_replies_held_messages_arrive_and_expired_ones_close() {
    let upstream = TestUpstream::echo();
    let settings = Settings::plain(&upstream.url())
        .with(r#"upstream.echo.recovery.hold = "2s""#)
        .on_route(r#"on_upstream_loss = "keep""#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("event failed");
    let mut client = proxy.client();
    upstream.conn(0);
    stop(&upstream, &proxy, 1);
    send(&mut client, 0..2);
    upstream.start();
    assert_eq!([client.recv_text(), client.recv_text()], ["0", "1"]);
    let restarts = proxy.count_log("connector restart");
    stop(&upstream, &proxy, restarts + 1);
    client.text("late");
    let reason = client.expect_closed(1012);
    assert!(reason.contains("first lost event 1:0:"), "{reason}");
}

#[test]
fn messages_for_a_server_that_a_program_names_are_not_held() {
    let (upstream, other) = (TestUpstream::echo(), Port::take());
    let program = format!(
        "define script choose script match event of case \"other\" => let $url = \"{0}\" case _ => null end; \
         event end; create script choose; \
         select event from in into choose; select event from choose into out;",
        other.url()
    );
    let settings = request(&upstream)
        .with(&format!("upstream.echo.allow_urls = [\"{}\"]", other.url()))
        .with(r#"upstream.echo.codec = "string""#)
        .with(r#"listener.ws.codec = "string""#)
        .incoming(&program);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector lost");
    let mut client = proxy.client();
    client.text("other");
    let (error, _) = client.recv_error();
    assert!(error.starts_with(&format!("Error sending event to server {}", other.url())), "{error}");
    assert_eq!(client.ask("own"), "own");
}

/// Above the listener's `buffer`, the proxy stops reading from the client.
#[test]
fn the_client_is_not_read_when_the_buffer_is_used_up() {
    let upstream = TestUpstream::stopped(|_, _| ());
    let settings = request(&upstream)
        .with(r#"listener.ws.buffer = "256KiB""#)
        .with("upstream.echo.max_in_flight = 10000");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("first");
    client.ping(b"read?");
    let before = proxy.resident_kib();
    let frame = Frame::client(TEXT, "x".repeat(32 * 1024)).bytes();
    let mut sender = client.sender();
    sender.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let sent = (0..2000).take_while(|_| sender.write_all(&frame).is_ok()).count();
    assert!(sent < 1000, "{sent} messages of 32 KiB were read");
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} KiB");
}

/// Two pipelines stand between the session and the switch, and the upstream dies again and again under load. Whatever
/// way an event takes, the upstream gets the events in the order of their numbers, and each at most once.
#[test]
fn order_survives_kills_under_load() {
    const MESSAGES: usize = 6000;
    let upstream = TestUpstream::echo();
    let settings = request(&upstream)
        .pipeline("one", "select event from in into out;")
        .pipeline("two", "select event from in into out;")
        .on_route(r#"incoming = ["one", "two"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            sender.write_all(&Frame::client(TEXT, number.to_string()).bytes()).unwrap();
            if number % 20 == 0 {
                pause(Duration::from_millis(5));
            }
        }
    });
    let (mut answered, mut errored) = (0, 0);
    let mut kills = 0;
    for number in 0..MESSAGES {
        let text = client.recv_text();
        match text.parse::<usize>() {
            Ok(answer) => {
                assert_eq!(answer, number, "outcomes are in the order of the messages");
                answered += 1;
            }
            // What was not written is held, and does not fail.
            Err(_) => {
                assert!(text.contains("Error receiving reply from server"), "{text}");
                errored += 1;
            }
        }
        if number / 500 > kills {
            kills += 1;
            match kills % 2 {
                0 => upstream.kill_all(Death::Reset),
                _ => {
                    upstream.stop(Death::Fin);
                    upstream.start();
                }
            }
        }
    }
    sending.join().unwrap();
    let seen: Vec<usize> = (0..upstream.connections())
        .flat_map(|at| upstream.conn(at).texts())
        .map(|text| text.parse().unwrap())
        .collect();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
    println!("{answered} answered, {errored} errored, {kills} kills, {} arrived", seen.len());
    assert_eq!(answered + errored, MESSAGES);
    assert!(seen.len() >= answered && kills >= 10);
    // Only what was under way at a kill may fail.
    assert!(errored <= kills * 128, "{errored}");
}

/// The time for a reply begins when the message is written.
#[test]
fn the_wait_for_a_connection_is_no_part_of_the_reply_timeout() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = request(&upstream).with(r#"upstream.echo.reply_timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    send(&mut client, 0..3);
    pause(Duration::from_millis(1500));
    upstream.start();
    for text in numbers(0..3) {
        assert_eq!(client.recv_text(), text);
    }
}

/// A stream under load: no message fails, because those that were queued for a lost connection are held too. Messages
/// that were written may be lost with it.
#[test]
fn a_stream_keeps_its_order_over_kills_under_load() {
    const MESSAGES: usize = 4000;
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&stream(&upstream)).expect_restarts();
    let mut client = proxy.client();
    for number in 0..MESSAGES {
        client.text(&number.to_string());
        if number % 500 == 250 {
            upstream.stop(Death::Reset);
            upstream.start();
        }
        if number % 20 == 0 {
            pause(Duration::from_millis(3));
        }
    }
    let last = (MESSAGES - 1).to_string();
    let texts = || (0..upstream.connections()).flat_map(|at| upstream.conn(at).texts()).collect::<Vec<_>>();
    wait_for("the last message", PATIENCE, || texts().last() == Some(&last));
    let seen: Vec<usize> = texts().iter().map(|text| text.parse().unwrap()).collect();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.delivered), (MESSAGES, MESSAGES), "{account:?}");
    println!("{} of {MESSAGES} arrived, {account:?}", seen.len());
}

/// The proxy reads nothing from a client whose messages use up the buffer, so that only a ping shows that it is gone.
#[test]
fn a_client_that_resets_with_its_buffer_used_up_does_not_stay_until_hold_ends() {
    let upstream = TestUpstream::echo();
    let settings = Settings::stream(&upstream.url())
        .with(r#"upstream.echo.recovery.hold = "10m""#)
        .with(r#"listener.ws.ping_interval = "200ms""#)
        .with(r#"listener.ws.ping_timeout = "5s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("before"), "before");
    stop(&upstream, &proxy, 1);
    let mut sender = client.sender();
    sender.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let frame = Frame::client(TEXT, "x".repeat(8 << 10)).bytes();
    while sender.write_all(&frame).is_ok() {}
    drop(sender);
    client.reset();
    proxy.wait_log("session closed session=1:0");
}
