//! Fault: the connection ends in the middle of a frame.

use super::*;

/// The complete message before the incomplete one is answered. The incomplete message is not forwarded.
#[test]
fn downstream() {
    let scene = Scene::with(quick, |conn, message| conn.send(message));
    let mut raw = Raw::upgraded(scene.proxy.addr());
    let half = Frame::client(TEXT, "half of it").bytes();
    raw.write(&[&Frame::client(TEXT, "whole").bytes(), &half[..10]].concat());
    raw.finish();
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "whole")));
    assert_eq!(raw.frame(), None);
    assert_eq!(scene.conn().wait_end(), gone());
    assert_eq!(scene.conn().texts(), ["whole"]);
    let account = scene.account();
    assert_eq!((account.accepted, account.answered), (1, 1), "{account:?}");
    scene.nothing_is_left();
}

/// An incomplete reply does not settle its event.
#[test]
fn upstream() {
    let scene = Scene::new(quick);
    let reason = "WebSocket protocol error: Connection reset without closing handshake";
    recovers_from(&scene, |conn| conn.die(Death::MidFrame), reason);
    scene.nothing_is_left();
}
