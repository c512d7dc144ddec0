//! Fault: a peer sends a frame that RFC 6455 forbids.

use super::*;

/// Client and upstream get a close frame with 1002 and the reason. Events in flight are counted as unsettled.
#[test]
fn downstream() {
    let scene = Scene::new(quick);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    three_in_flight(&scene, |text| raw.send(&Frame::client(TEXT, text)));
    raw.send(&Frame::client(3, "what is this"));
    raw.expect_closed(1002);
    assert_eq!(scene.conn().wait_end(), End::Close(1002, "unknown opcode 3".into()));
    let account = scene.account();
    assert_eq!((account.accepted, account.unsettled), (3, 3), "{account:?}");
    scene.nothing_is_left();
}

/// The upstream gets a close frame with 1002 and the reason. The client keeps its connection.
#[test]
fn upstream() {
    let scene = Scene::new(quick);
    let fault = |conn: &Conn| conn.frame(&Frame::server(3, "what is this"));
    recovers_from(&scene, fault, "WebSocket protocol error: unknown opcode 3");
    assert_eq!(scene.conn().wait_end(), End::Close(1002, "unknown opcode 3".into()));
    scene.nothing_is_left();
}
