//! Tests of guarantees C1 and C5 by policy: what a client gets when its upstream ends (`on_upstream_loss`,
//! `on_upstream_close`, `on_refused`), and that the proxy adds no messages without `error_replies`.

use crate::harness::*;

/// A proxy that closes its client when the upstream is lost, and sends no error replies.
fn plain(upstream: &TestUpstream) -> Proxy {
    Proxy::start(&Settings::plain(&upstream.url())).expect_restarts()
}

/// Checks that all events of a session are settled and the counts add up.
#[track_caller]
fn settled(proxy: &Proxy, session: &str) -> Account {
    let account = proxy.account(session);
    assert!(account.is_balanced() && account.unsettled == 0, "{account:?}");
    account
}

/// Checks that no connector was restarted and the upstream got one connection.
#[track_caller]
fn expect_no_restart(proxy: &Proxy, upstream: &TestUpstream) {
    assert_eq!(proxy.count_log("connector restart"), 0);
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn a_stream_is_closed_with_1012_after_everything_the_upstream_sent() {
    for death in [Death::Fin, Death::Reset, Death::Close(1001, "bye"), Death::Close(1011, "")] {
        let upstream = TestUpstream::silent();
        let proxy = plain(&upstream);
        let mut client = proxy.client();
        ["a", "b", "c"].iter().for_each(|text| client.text(text));
        let conn = upstream.conn(0);
        conn.wait_messages(3);
        (0..50).for_each(|number| conn.text(&format!("push {number}")));
        if matches!(death, Death::Reset) {
            // A reset discards bytes that have not been read yet.
            assert_eq!(client.recv_text(), "push 0");
            (1..50).for_each(|number| assert_eq!(client.recv_text(), format!("push {number}")));
            conn.die(death);
            let reason = client.expect_closed(1012);
            assert_eq!(reason, "upstream connection lost; last event sent 1:0:2");
        } else {
            conn.die(death);
            let (pushes, code, reason) = client.read_to_end();
            let all: Vec<_> = (0..50).map(|number| Message::text(format!("push {number}"))).collect();
            assert_eq!(pushes, all);
            assert_eq!(code, Some(1012));
            assert_eq!(reason, "upstream connection lost; last event sent 1:0:2");
        }
        let account = settled(&proxy, "1:0");
        assert_eq!((account.accepted, account.delivered), (3, 3));
        proxy.wait_log("session closed session=1:0 code=1012 side=upstream");
        expect_no_restart(&proxy, &upstream);
    }
}

#[test]
fn a_stream_that_sent_nothing_is_closed_with_a_plain_reason() {
    let upstream = TestUpstream::silent();
    let proxy = plain(&upstream);
    let mut client = proxy.client();
    upstream.conn(0).die(Death::Fin);
    assert_eq!(client.expect_closed(1012), "upstream connection lost");
    expect_no_restart(&proxy, &upstream);
}

#[test]
fn the_reason_names_the_first_event_that_was_not_written() {
    expect_first_unwritten_named(Frame::client(TEXT, "x".repeat(60_000)).bytes());
}

/// Sends these frames again and again until the connection is lost. The upstream reads nothing, so some messages are written
/// then, and others are not. Checks that the reason of the close names the first one that was not.
pub fn expect_first_unwritten_named(frames: Vec<u8>) {
    let latch = std::sync::Arc::new(Latch::default());
    let wait = std::sync::Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| wait.wait());
    let settings = Settings::plain(&upstream.url()).with(r#"upstream.echo.slow_consumer_timeout = "300ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        while sender.write_all(&frames).is_ok() {}
    });
    let (messages, code, reason) = client.read_to_end();
    latch.open();
    assert_eq!((messages, code), (Vec::new(), Some(1012)));
    sending.join().unwrap();
    let account = settled(&proxy, "1:0");
    assert!(account.errored > 0, "{account:?}");
    assert_eq!(account.delivered + account.errored, account.accepted);
    let (first, last) = (account.delivered, account.delivered - 1);
    assert_eq!(
        reason,
        format!("upstream connection lost; first lost event 1:0:{first}; last event sent 1:0:{last}")
    );
    expect_no_restart(&proxy, &upstream);
}

#[test]
fn with_error_replies_each_lost_event_has_one_before_the_close() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .on_route("stateless = false")
        .on_route(r#"on_upstream_loss = "close""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(upstream.conn(0).messages(), []);
    ["a", "b", "c"].iter().for_each(|text| client.text(text));
    let conn = upstream.conn(0);
    conn.wait_messages(3);
    conn.text("A");
    conn.text("B");
    conn.die(Death::Fin);
    assert_eq!([client.recv_text(), client.recv_text()], ["A", "B"]);
    let (error, id) = client.recv_error();
    assert!(error.starts_with("Error receiving reply from server"), "{error}");
    assert_eq!(id, "1:0:2");
    assert_eq!(client.expect_closed(1012), "upstream connection lost; first lost event 1:0:2");
    let account = settled(&proxy, "1:0");
    assert_eq!((account.answered, account.errored), (2, 1));
    expect_no_restart(&proxy, &upstream);
}

#[test]
fn requests_and_stateless_streams_keep_their_client() {
    for (exchange, stateless) in [("request", "false"), ("stream", "true")] {
        let upstream = TestUpstream::silent();
        let settings = Settings::plain(&upstream.url())
            .with(&format!("upstream.echo.exchange = {exchange:?}"))
            .on_route(&format!("stateless = {stateless}"));
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        upstream.conn(0).die(Death::Fin);
        proxy.wait_ups(2);
        client.text("again");
        assert_eq!(upstream.conn(1).wait_messages(1), [Message::text("again")]);
        upstream.conn(1).text("answer");
        assert_eq!(client.recv_text(), "answer");
    }
}

#[test]
fn keep_without_error_replies_covers_losses_without_lost_events() {
    let upstream = TestUpstream::silent();
    let settings = Settings::plain(&upstream.url()).on_route(r#"on_upstream_loss = "keep""#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("event failed");
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).die(Death::Fin);
    proxy.wait_ups(2);
    upstream.conn(1).text("the loss is not reported");
    assert_eq!(client.recv_text(), "the loss is not reported");
    upstream.stop(Death::Fin);
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1 *");
    wait_for("the loss", PATIENCE, || proxy.count_log("connector restart") > 1);
    client.text("b");
    // The push has the number 1:0:1.
    let reason = client.expect_closed(1012);
    assert_eq!(
        reason, "event cannot be sent to the upstream; first lost event 1:0:2; last event sent 1:0:0",
        "an event that was written before the loss may be lost too"
    );
    assert_eq!(settled(&proxy, "1:0").errored, 1);
}

#[test]
fn an_application_close_reaches_the_client() {
    for settings in [Settings::plain, Settings::request] {
        let upstream = TestUpstream::silent();
        let proxy = Proxy::start(&settings(&upstream.url()));
        for (number, (code, reason)) in [(4401, "token expired"), (4000, ""), (1008, "no")].iter().enumerate()
        {
            let mut client = proxy.client();
            upstream.conn(number).text("last words");
            upstream.conn(number).die(Death::Close(*code, reason));
            assert_eq!(client.recv_text(), "last words");
            assert_eq!(client.expect_closed(*code), *reason);
            proxy.wait_log(&format!("session closed session=1:{number} code={code} side=upstream"));
        }
        assert_eq!(upstream.handshakes(), 3, "the upstream is not dialed again");
    }
}

/// The upstream closes with 4401 right after its handshake.
#[test]
fn requests_in_flight_fail_before_an_application_close() {
    let upstream = TestUpstream::with(|conn, _| conn.die(Death::Close(4401, "who are you")));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    client.text("a");
    let (error, id) = client.recv_error();
    assert!(error.ends_with("Connection closed by server with code 4401: who are you"), "{error}");
    assert_eq!(id, "1:0:0");
    assert_eq!(client.expect_closed(4401), "who are you");
    assert_eq!(settled(&proxy, "1:0").errored, 1);
}

#[test]
fn other_closes_follow_the_loss_policy_or_are_passed_by_setting() {
    for code in [1000, 1001, 1011] {
        let upstream = TestUpstream::silent();
        let settings =
            Settings::plain(&upstream.url()).with(r#"upstream.echo.on_upstream_close.else = "pass""#);
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        upstream.conn(0).die(Death::Close(code, "the end"));
        assert_eq!(client.expect_closed(code), "the end");
        expect_no_restart(&proxy, &upstream);
        // Without a close frame there is nothing to pass on.
        let mut client = proxy.client();
        upstream.conn(1).die(Death::Fin);
        assert_eq!(client.expect_closed(1012), "upstream connection lost");
    }
}

#[test]
fn a_listed_close_code_is_passed_on_and_others_are_not() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with("upstream.echo.on_upstream_close.pass = [1000]");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0).die(Death::Close(4401, ""));
    proxy.wait_ups(2);
    upstream.conn(1).die(Death::Close(1000, "done"));
    assert_eq!(client.expect_closed(1000), "done");
}

/// For example, the client's token has expired when the connector reconnects.
#[test]
fn a_refused_reconnect_closes_the_client_with_1008() {
    for status in [401, 403] {
        let upstream = TestUpstream::echo();
        let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        upstream.set_answer(Answer::Refuse(status));
        upstream.conn(0).die(Death::Fin);
        let reason = client.expect_closed(1008);
        assert_eq!(reason, format!("upstream refused the connection with status {status}"));
        assert_eq!(upstream.handshakes(), 2, "the upstream is not dialed again");
        proxy.wait_log("session closed session=1:0 code=1008 side=upstream");
    }
}

#[test]
fn other_refusals_are_retried_or_close_by_setting() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0);
    upstream.set_answer(Answer::Refuse(503));
    upstream.kill_all(Death::Fin);
    wait_for("attempts", PATIENCE, || upstream.handshakes() > 3);
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(2);
    assert_eq!(client.ask("again"), "again");

    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.on_refused.else = "pass""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    upstream.set_answer(Answer::Refuse(503));
    upstream.kill_all(Death::Fin);
    assert_eq!(client.expect_closed(1008), "upstream refused the connection with status 503");
}

/// A connection to a server that `$url` names has state as well.
#[test]
fn the_loss_of_a_chosen_server_closes_the_client_too() {
    let (main, other) = (TestUpstream::silent(), TestUpstream::silent());
    let settings = Settings::plain(&main.url())
        .with(&format!("upstream.echo.allow_urls = [{:?}]", other.url()))
        .incoming(&format!(
            "define script choose script let $url = {:?}; event end; create script choose; \
             select event from in into choose; select event from choose into out;",
            other.url()
        ));
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("a");
    other.conn(0).wait_messages(1);
    other.conn(0).die(Death::Fin);
    assert_eq!(client.expect_closed(1012), "upstream connection lost; last event sent 1:0:0");
    wait_for("the end of the main connection", PATIENCE, || main.live() == 0);
}

/// Each failure of a client's or an upstream's message closes the client with the listed code and reason.
#[test]
fn without_error_replies_a_failure_closes_the_client() {
    let cases: &[(&str, &str, Message, u16, &str)] = &[
        (
            r#"listener.ws.codec = "json""#,
            "",
            Message::text("{"),
            1007,
            "message cannot be decoded; event 1:0:0",
        ),
        (
            r#"listener.ws.codec = "json""#,
            "",
            binary([0xff]),
            1003,
            "binary message cannot be decoded; event 1:0:0",
        ),
        (
            r#"upstream.echo.codec = "string""#,
            "select {\"a\": event} from in into err;",
            Message::text("x"),
            1011,
            "refused by a pipeline; event 1:0:0",
        ),
        (
            r#"upstream.echo.codec = "string""#,
            "select event + 1 from in into out;",
            Message::text("x"),
            1011,
            "pipeline failed; event 1:0:0",
        ),
    ];
    for (setting, program, message, code, reason) in cases {
        let upstream = TestUpstream::echo();
        let mut settings = Settings::plain(&upstream.url()).with(setting);
        if !program.is_empty() {
            settings = settings.incoming(program);
        }
        let proxy = Proxy::start(&settings).expect("event failed");
        let mut client = proxy.client();
        client.send(message.clone());
        assert_eq!(client.expect_closed(*code), *reason, "{message:?}");
        assert_eq!(settled(&proxy, "1:0").errored, 1);
        proxy.wait_log(&format!("event failed session=1:0 event=1:0:0 close={code}"));
    }
}

#[test]
fn without_error_replies_too_many_messages_close_with_1008() {
    let upstream = TestUpstream::silent();
    let settings = Settings::plain(&upstream.url()).with("listener.ws.rate.messages = 1");
    let proxy = Proxy::start(&settings).expect("event failed");
    let mut client = proxy.client();
    // All at once, so that none comes a second later.
    let frames = Frame::client(TEXT, "x").bytes().repeat(3);
    std::io::Write::write_all(&mut client.sender(), &frames).unwrap();
    let reason = client.expect_closed(1008);
    assert_eq!(reason, "rate limit exceeded; event 1:0:1");
    let account = settled(&proxy, "1:0");
    assert_eq!((account.delivered, account.errored), (1, 1));
}

#[test]
fn without_error_replies_a_late_reply_closes_with_1012() {
    let upstream = TestUpstream::silent();
    let settings = Settings::plain(&upstream.url())
        .with(r#"upstream.echo.exchange = "request""#)
        .with(r#"upstream.echo.reply_timeout = "100ms""#)
        .on_route("error_replies = false");
    let proxy = Proxy::start(&settings).expect("event failed").expect_restarts();
    let mut client = proxy.client();
    client.text("x");
    assert_eq!(client.expect_closed(1012), "no reply from the upstream; first lost event 1:0:0");
    assert_eq!(settled(&proxy, "1:0").errored, 1);
}

#[test]
fn without_error_replies_an_undecodable_message_of_the_upstream_closes_with_1011() {
    let upstream = TestUpstream::silent();
    let settings = Settings::plain(&upstream.url()).with(r#"upstream.echo.codec = "json""#);
    let proxy = Proxy::start(&settings).expect("event failed");
    let mut client = proxy.client();
    upstream.conn(0).text("1");
    upstream.conn(0).text("{");
    assert_eq!(client.recv_text(), "1");
    let reason = client.expect_closed(1011);
    assert_eq!(reason, "message of the upstream cannot be decoded; event 1:0:1");
}
