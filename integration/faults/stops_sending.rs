//! Fault: a peer stops sending in the middle of a frame and stays connected.

use super::*;

/// The client stops in the middle of a frame. It still receives messages. When it sends the rest, its message
/// reaches the upstream whole.
#[test]
fn downstream() {
    let mut scene = Scene::new(quick);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    let bytes = Frame::client(TEXT, "in two halves").bytes();
    let (half, rest) = bytes.split_at(9);
    raw.write(half);
    let conn = scene.conn();
    conn.text("push");
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "push")));
    scene.neighbour_is_served();
    assert_eq!(conn.messages(), []);
    raw.write(rest);
    assert_eq!(conn.wait_messages(1), [Message::text("in two halves")]);
    conn.text("answer");
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "answer")));
    raw.send(&Frame::client(CLOSE, [3, 232]));
    raw.expect_closed(1000);
    let account = scene.account();
    assert_eq!((account.accepted, account.answered), (1, 1), "{account:?}");
    scene.nothing_is_left();
}

/// The event gets an error reply after `reply_timeout`. If the upstream continues within a second, the late reply is a
/// push, and the connection stays.
#[test]
fn upstream() {
    let scene = Scene::new(|url| quick(url).with(r#"upstream.echo.reply_timeout = "1s""#));
    let mut client = scene.proxy.client();
    client.text("question");
    let conn = scene.conn();
    conn.wait_messages(1);
    // The upstream cannot send a pong in the middle of a frame.
    conn.ignore_pings();
    let bytes = Frame::server(TEXT, "in two halves").bytes();
    let (half, rest) = bytes.split_at(5);
    conn.write(half);
    assert_eq!(client.recv_error(), (scene.receiving("no reply within 1s"), "1:1:0".into()));
    conn.write(rest);
    assert_eq!(client.recv_text(), "in two halves");
    assert_eq!(scene.proxy.count_log("connector restart"), 0);
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.errored), (1, 1), "{account:?}");
    scene.nothing_is_left();
}

/// A client that sends nothing for `ping_timeout` after a ping is closed, also in the middle of a frame.
#[test]
fn downstream_for_too_long() {
    let watched = |url: &str| {
        quick(url).with(r#"listener.ws.ping_interval = "300ms""#).with(r#"listener.ws.ping_timeout = "2s""#)
    };
    let mut scene = Scene::new(watched);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    raw.write(&Frame::client(TEXT, "in two halves").bytes()[..9]);
    let stopped = std::thread::spawn(move || {
        assert_eq!(raw.frame(), Some(Frame::server(PING, "")));
        raw.expect_closed(1011);
    });
    wait_for("its end", PATIENCE, || {
        scene.neighbour_is_served();
        stopped.is_finished()
    });
    stopped.join().unwrap();
    assert_eq!(scene.conn().wait_end(), End::Close(1011, "no answer to a ping within 2s".into()));
    assert_eq!(scene.conn().messages(), []);
    scene.nothing_is_left();
}

/// An upstream that sends nothing for `ping_timeout` after a ping is lost. Its incomplete reply does not
/// settle the event.
#[test]
fn upstream_for_too_long() {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let scene = Scene::with(pinged, move |conn, message| {
        if message == Message::text("c") {
            conn.write(&Frame::server(TEXT, "in two halves").bytes()[..5]);
            wait.wait();
        }
    });
    recovers_from(&scene, |_| (), "no answer to a ping within 2s");
    latch.open();
    scene.nothing_is_left();
}
