//! Fault: a peer sends one byte at a time, which is slow but valid.

use super::*;

/// The client's handshake, messages and close frame arrive byte by byte.
#[test]
fn downstream() {
    let scene = Scene::with(quick, |conn, message| conn.send(message));
    let mut raw = Raw::connect(scene.proxy.addr());
    let trickle = |raw: &mut Raw, bytes: &[u8]| bytes.iter().for_each(|byte| raw.write(&[*byte]));
    trickle(&mut raw, request("/", &[]).as_bytes());
    assert_eq!(raw.head().status(), 101);
    for message in [Frame::client(TEXT, "gr\u{fc}\u{df}e"), Frame::client(BINARY, [7; 300])] {
        trickle(&mut raw, &message.bytes());
        assert_eq!(raw.frame(), Some(Frame { masked: false, ..message }));
    }
    trickle(&mut raw, &Frame::client(CLOSE, Frame::close_payload(1000, "bye")).bytes());
    raw.expect_closed(1000);
    assert_eq!(scene.conn().wait_end(), End::Close(1000, "bye".into()));
    let account = scene.account();
    assert_eq!((account.accepted, account.answered), (2, 2), "{account:?}");
    scene.nothing_is_left();
}

/// The upstream's replies arrive byte by byte.
#[test]
fn upstream() {
    let scene = Scene::with(quick, |conn, message| {
        let reply = match message {
            Message::Text(text) => Frame::server(TEXT, text.as_bytes()),
            other => Frame::server(BINARY, other.into_data()),
        };
        reply.bytes().iter().for_each(|byte| conn.write(&[*byte]));
    });
    let mut client = scene.proxy.client();
    for message in [Message::text("gr\u{fc}\u{df}e"), binary([7; 300])] {
        client.send(message.clone());
        assert_eq!(client.recv(), message);
    }
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.answered), (2, 2), "{account:?}");
    scene.nothing_is_left();
}

/// A client that never completes a message is idle, even if its bytes keep arriving.
#[test]
fn downstream_for_too_long() {
    let watched = |url: &str| {
        quick(url).with(r#"listener.ws.idle_timeout = "2s""#).with(r#"listener.ws.ping_interval = "100ms""#)
    };
    let mut scene = Scene::new(watched);
    let mut raw = Raw::upgraded(scene.proxy.addr());
    raw.write(&[Frame::header(true, 0, BINARY, true, 1 << 20), vec![0; 4]].concat());
    wait_for("its end", PATIENCE, || {
        raw.write(&[7]);
        scene.neighbour_is_served();
        scene.proxy.count_log("session closed session=1:1 code=1001 side=proxy") == 1
    });
    assert_eq!(scene.conn().wait_end(), End::Close(1001, "no message within 2s".into()));
    assert_eq!(scene.account().accepted, 0);
    scene.nothing_is_left();
}
