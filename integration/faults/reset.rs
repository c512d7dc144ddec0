//! Fault: a peer resets the connection.

use super::*;

/// After the client's reset, the upstream gets a close frame. Events in flight are counted as unsettled.
#[test]
fn downstream() {
    let scene = Scene::new(quick);
    let mut client = scene.proxy.client();
    three_in_flight(&scene, |text| client.text(text));
    client.reset();
    assert_eq!(scene.conn().wait_end(), gone());
    let account = scene.account();
    assert_eq!((account.accepted, account.answered), (3, 0), "{account:?}");
    scene.nothing_is_left();
}

/// The client keeps its connection and gets an error reply for each event.
#[test]
fn upstream() {
    let scene = Scene::new(quick);
    let reason = "IO error: Connection reset by peer (os error 104)";
    recovers_from(&scene, |conn| conn.die(Death::Reset), reason);
    scene.nothing_is_left();
}
