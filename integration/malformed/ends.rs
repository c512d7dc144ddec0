//! Tests of connections that end in the middle of a message, and of bytes after a close frame.

use super::narrow;
use crate::harness::*;

/// The bytes before the end of a connection, and the complete messages among them.
type Cut = (&'static str, Vec<u8>, &'static [&'static str]);

fn cuts() -> Vec<Cut> {
    let text = |payload: &str| Frame::client(TEXT, payload).bytes();
    let long = Frame::client(BINARY, [7; 300]).bytes();
    let huge = Frame::header(true, 0, BINARY, true, 4096);
    let begun = Frame::client(TEXT, "a").more().bytes();
    let ping = Frame::client(PING, "a").bytes();
    let close = Frame::client(CLOSE, [3, 232]).bytes();
    vec![
        ("between two frames", text("good"), &["good"]),
        ("in the first byte's frame", text("a")[..1].into(), &[]),
        ("in the mask", text("a")[..4].into(), &[]),
        ("before the payload", text("a")[..6].into(), &[]),
        ("in the payload", text("abc")[..7].into(), &[]),
        ("in a length of two bytes", long[..3].into(), &[]),
        ("in a length of eight bytes", Frame::header(true, 0, BINARY, true, 1 << 20)[..7].into(), &[]),
        ("in a payload of 300 bytes", long[..200].into(), &[]),
        ("after a header that declares 4 KiB", [huge, vec![1, 2, 3, 4]].concat(), &[]),
        ("between two fragments", begun.clone(), &[]),
        (
            "in the second fragment",
            [begun.clone(), Frame::client(CONTINUATION, "abc").bytes()[..7].into()].concat(),
            &[],
        ),
        ("in a ping", ping[..6].into(), &[]),
        ("in a close", close[..7].into(), &[]),
        ("in a ping between two fragments", [begun, ping[..6].into()].concat(), &[]),
        ("in the frame behind a good one", [text("good"), text("bad")[..7].into()].concat(), &["good"]),
    ]
}

/// Checks that the upstream gets the complete messages and a close frame, and nothing of the incomplete
/// message. `end` ends the connection.
#[track_caller]
fn ended(end: impl Fn(Raw) -> Option<Raw>) {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&narrow(&upstream));
    for (session, (name, bytes, delivered)) in cuts().into_iter().enumerate() {
        println!("{name}");
        let mut raw = Raw::upgraded(proxy.addr());
        raw.write(&bytes);
        upstream.conn(session).wait_messages(delivered.len());
        if let Some(mut raw) = end(raw) {
            let closes = |frame: &Frame| frame.opcode == CLOSE;
            assert!(!std::iter::from_fn(|| raw.frame()).any(|frame| closes(&frame)), "{name}");
        }
        let conn = upstream.conn(session);
        assert_eq!(conn.wait_end(), End::Close(1001, "client is gone".into()), "{name}");
        assert_eq!(conn.texts(), delivered, "{name}");
        let account = proxy.account(&format!("1:{session}"));
        assert_eq!((account.accepted, account.is_balanced()), (delivered.len(), true), "{name}: {account:?}");
    }
    let gone = proxy.count_log("session closed session=1:*code=1006 side=downstream");
    assert_eq!(gone, cuts().len());
}

#[test]
fn by_fin() {
    ended(|mut raw| {
        raw.finish();
        Some(raw)
    });
}

#[test]
fn by_reset() {
    ended(|raw| {
        raw.reset();
        None
    });
}

/// The proxy does not read bytes after a close frame, whether valid or not (RFC 6455 section 5.5.1).
#[test]
fn bytes_after_a_close_frame() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&narrow(&upstream));
    let behind = [
        ("text", Frame::client(TEXT, "too late").bytes()),
        ("a ping", Frame::client(PING, "too late").bytes()),
        ("another close", Frame::client(CLOSE, [3, 233]).bytes()),
        ("a frame without mask", Frame::server(TEXT, "too late").bytes()),
        ("garbage", vec![0xff; 100]),
        ("a request", request("/", &[]).into_bytes()),
    ];
    for (session, (name, bytes)) in behind.into_iter().enumerate() {
        println!("{name}");
        let mut raw = Raw::upgraded(proxy.addr());
        raw.write(&[Frame::client(CLOSE, Frame::close_payload(4000, "bye")).bytes(), bytes].concat());
        assert_eq!(raw.frame(), Some(Frame::server(CLOSE, Frame::close_payload(4000, "bye"))), "{name}");
        assert_eq!(raw.frame(), None, "{name}");
        assert_eq!(upstream.conn(session).wait_end(), End::Close(4000, "bye".into()), "{name}");
        assert_eq!(upstream.conn(session).messages(), [], "{name}");
    }
}

/// A rejected client that does not disconnect is disconnected by the proxy.
#[test]
fn a_rejected_client_that_stays_connected() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&narrow(&upstream));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::server(TEXT, "unmasked"));
    raw.expect_closed(1002);
    // The session does not wait for the client.
    proxy.wait_log("session closed session=1:0 code=1002 side=proxy");
    assert_eq!(upstream.conn(0).wait_end(), End::Close(1002, "unmasked frame from a client".into()));
    assert_eq!(upstream.conn(0).messages(), []);
}
