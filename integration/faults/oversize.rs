//! Fault: a frame or a message exceeds the limits. The connection ends before the payload is read.

use super::*;

/// A header that declares 4 GiB, and a message whose fragments never end.
fn beyond(masked: bool) -> [Vec<u8>; 2] {
    let header = [Frame::header(true, 0, BINARY, masked, 1 << 32), vec![0; 4]].concat();
    let fragment = |opcode| Frame { masked, ..Frame::client(opcode, vec![7; 1 << 18]).more() }.bytes();
    let mut endless = fragment(BINARY);
    (0..8).for_each(|_| endless.extend(fragment(CONTINUATION)));
    [header, endless]
}

fn words(bytes: &str) -> String {
    format!("{bytes} larger than the limit of 1048576 bytes")
}

/// Client and upstream get a close frame with 1009 and the reason.
#[test]
fn downstream() {
    for (bytes, what) in beyond(true).into_iter().zip(["frame", "message"]) {
        let scene = Scene::new(quick);
        let mut raw = Raw::upgraded(scene.proxy.addr());
        three_in_flight(&scene, |text| raw.send(&Frame::client(TEXT, text)));
        raw.write(&bytes);
        raw.expect_closed(1009);
        scene.memory_is_bounded();
        assert_eq!(scene.conn().wait_end(), End::Close(1009, words(what)));
        let account = scene.account();
        assert_eq!((account.accepted, account.unsettled), (3, 3), "{account:?}");
        scene.nothing_is_left();
    }
}

/// The upstream gets a close frame with 1009 and the reason. The client gets error replies with the reason.
#[test]
fn upstream() {
    for (bytes, what) in beyond(false).into_iter().zip(["frame", "message"]) {
        let scene = Scene::new(quick);
        let mut client = scene.proxy.client();
        three_in_flight(&scene, |text| client.text(text));
        scene.conn().write(&bytes);
        recovers_from_a_loss(&scene, client, &format!("WebSocket protocol error: {}", words(what)));
        assert_eq!(scene.conn().wait_end(), End::Close(1009, words(what)));
        scene.nothing_is_left();
    }
}
