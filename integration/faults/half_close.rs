//! Fault: one direction of the connection ends, without a close frame.

use super::*;

/// The messages before the end are answered, then the upstream gets a close frame.
#[test]
fn downstream() {
    let scene = Scene::with(quick, |conn, message| conn.send(message));
    let mut raw = Raw::upgraded(scene.proxy.addr());
    for text in ["a", "b"] {
        raw.send(&Frame::client(TEXT, text));
    }
    raw.finish();
    for text in ["a", "b"] {
        assert_eq!(raw.frame(), Some(Frame::server(TEXT, text)));
    }
    assert_eq!(raw.frame(), None, "a client without a close frame gets none");
    assert_eq!(scene.conn().wait_end(), gone());
    let account = scene.account();
    assert_eq!((account.accepted, account.answered), (2, 2), "{account:?}");
    scene.nothing_is_left();
}

/// The client keeps its connection and gets an error reply for each event.
#[test]
fn upstream() {
    let scene = Scene::new(quick);
    let reason = "WebSocket protocol error: Connection reset without closing handshake";
    recovers_from(&scene, |conn| conn.die(Death::Fin), reason);
    scene.nothing_is_left();
}
