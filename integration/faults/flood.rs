//! Fault: a peer sends as fast as it can while the other side does not read.

use super::*;

/// The client floods an echo server and never reads. When the replies fill the buffers, the proxy stops
/// reading from the client.
#[test]
fn downstream() {
    let mut scene = Scene::with(quick, |conn, message| conn.send(message));
    let mut raw = Raw::upgraded(scene.proxy.addr());
    assert!(raw.flood(10_000, MUCH) < MUCH);
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    let conn = scene.conn();
    raw.reset();
    conn.wait_end();
    let account = scene.account();
    assert_eq!(conn.messages().len(), account.accepted, "{account:?}");
    scene.nothing_is_left();
}

/// The upstream floods a client that never reads.
#[test]
fn upstream() {
    let mut scene = Scene::new(quick);
    let client = scene.proxy.client();
    let conn = scene.conn();
    assert!(conn.flood(10_000, MUCH) < MUCH);
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    client.reset();
    conn.wait_end();
    assert_eq!(scene.account().accepted, 0);
    scene.nothing_is_left();
}
