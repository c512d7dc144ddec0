//! Fault: a peer disappears without a trace: it sends no frame and no pong, and does not end the connection
//! (guarantee C8).

use super::*;

const REASON: &str = "no answer to a ping within 2s";

/// The proxy pings the client, and closes the connection when nothing arrives. The client's events get error
/// replies, in case it still reads, and the upstream gets a close frame.
#[test]
fn downstream() {
    let watched = |url: &str| {
        quick(url).with(r#"listener.ws.ping_interval = "300ms""#).with(r#"listener.ws.ping_timeout = "2s""#)
    };
    let mut scene = Scene::new(watched);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    three_in_flight(&scene, |text| raw.send(&Frame::client(TEXT, text)));
    let silent = std::thread::spawn(move || {
        assert_eq!(raw.frame(), Some(Frame::server(PING, "")));
        for event in 0..3 {
            let reply = Message::text(String::from_utf8(raw.frame().expect("an error").payload).unwrap());
            assert_eq!(error_reply(&reply).1, format!("1:1:{event}"));
        }
        raw.expect_closed(1011);
    });
    wait_for("the end of the silent client", PATIENCE, || {
        scene.neighbour_is_served();
        silent.is_finished()
    });
    silent.join().unwrap();
    assert_eq!(scene.conn().wait_end(), End::Close(1011, REASON.into()));
    let account = scene.account();
    assert_eq!((account.accepted, account.errored), (3, 3), "{account:?}");
    scene.nothing_is_left();
}

/// The proxy pings the upstream, and replaces the connection when nothing arrives. The client gets error
/// replies.
#[test]
fn upstream() {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    // Its reader stops at the third message, so it answers no pings.
    let scene = Scene::with(pinged, move |_, message| {
        if message == Message::text("c") {
            wait.wait();
        }
    });
    recovers_from(&scene, |_| (), REASON);
    latch.open();
    scene.nothing_is_left();
}
