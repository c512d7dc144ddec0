//! Fault: a peer does not answer the proxy's close frame.

use std::time::{Duration, Instant};

use super::*;

/// The proxy stops restarting the upstream and closes the client, which neither answers nor disconnects.
#[test]
fn downstream() {
    let closes = |url: &str| {
        quick(url).with(r#"upstream.echo.on_give_up = "close""#).with(
            r#"upstream.echo.restart = { min = "10ms", max = "20ms", max_restarts = 1, window = "60s" }"#,
        )
    };
    let mut scene = Scene::new(closes);
    scene.proxy = scene.proxy.expect("connector gave up session=1:1");
    let mut raw = Raw::upgraded(scene.proxy.addr());
    scene.upstream.set_answer(Answer::Garbage);
    let start = Instant::now();
    scene.conn().die(Death::Fin);
    raw.expect_closed(1013);
    assert!(start.elapsed() >= Duration::from_secs(1), "the peer has `close_timeout` to answer");
    assert_eq!(scene.account().accepted, 0);
    scene.nothing_is_left();
}

/// The client has closed the connection. Its upstream neither answers the close frame nor disconnects.
#[test]
fn upstream() {
    let scene = Scene::with(quick, |conn, message| conn.send(message));
    scene.upstream.ignore_closes();
    let mut client = scene.proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    let conn = scene.conn();
    let start = Instant::now();
    scene.goodbye(client);
    assert_eq!(conn.wait_end(), End::Eof);
    assert_eq!(conn.closes(), [(1000, String::new())]);
    assert!(start.elapsed() >= Duration::from_secs(1), "the peer has `close_timeout` to answer");
    scene.nothing_is_left();
}

/// The error reply for an event in flight precedes the close frame, and the session ends without an answer to
/// that frame.
#[test]
fn downstream_with_an_event_in_flight() {
    let settings = |url: &str| quick(url).with(r#"drain.window = "1ms""#).with(r#"drain.grace = "200ms""#);
    let scene = Scene::new(settings);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    raw.send(&Frame::client(TEXT, "question"));
    scene.conn().wait_messages(1);
    let Scene { mut proxy, upstream, .. } = scene;
    proxy.signal("TERM");
    let reply = raw.frame().expect("an error");
    let (error, id) = error_reply(&Message::text(String::from_utf8(reply.payload).unwrap()));
    assert!(error.ends_with("Connection is closing"), "{error}");
    assert_eq!(id, "1:1:0");
    raw.expect_closed(1001);
    let account = proxy.account("1:1");
    assert_eq!((account.accepted, account.errored, account.unsettled), (1, 1, 0), "{account:?}");
    assert_eq!(proxy.exit_code(), Some(0));
    assert_eq!(upstream.live(), 0);
}
