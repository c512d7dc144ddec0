//! Tests of invalid or closing frames of an upstream while an event awaits its reply: the event gets an error
//! reply, the upstream a close frame with the reason, and the connection is replaced.

use super::{finish, receiving};
use crate::harness::*;

/// The bytes that the upstream sends instead of a reply, the reason in error reply and log, and the close
/// frame that the upstream gets.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    reason: String,
    end: End,
}

// === impl Case ===

impl Case {
    /// A case that violates the protocol. The close frame for the upstream names the violation.
    fn new(name: &'static str, bytes: Vec<u8>, code: u16, reason: &str) -> Self {
        let end = End::Close(code, reason.into());
        Self { name, bytes, reason: format!("WebSocket protocol error: {reason}"), end }
    }

    /// A case in which the upstream sends a close frame. The proxy answers with the same close frame.
    fn closes(name: &'static str, code: u16, reason: &'static str) -> Self {
        let words = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let bytes = frame(true, 0, CLOSE, &Frame::close_payload(code, reason));
        let end = End::Close(code, reason.into());
        Self { name, bytes, reason: format!("Connection closed by server with code {code}{words}"), end }
    }
}

/// An unmasked frame with these header bits.
fn frame(fin: bool, rsv: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    Frame { fin, rsv, opcode, masked: false, payload: payload.to_vec() }.bytes()
}

fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, 0, opcode, payload)
}

/// Runs each case in a new session, and checks the results.
#[track_caller]
fn answered(cases: Vec<Case>) {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.max_message = "10KiB""#)
        .with("upstream.echo.on_upstream_close.pass = []")
        .with(r#"upstream.echo.max_frame = "4KiB""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let before = proxy.descriptors_at_rest();
    for (session, Case { name, bytes, reason, end }) in cases.into_iter().enumerate() {
        println!("{name}");
        let mut client = proxy.client();
        client.text("question");
        let conn = upstream.conn(2 * session);
        conn.wait_messages(1);
        conn.write(&bytes);
        assert_eq!(client.recv_error(), (receiving(&upstream, &reason), format!("1:{session}:0")), "{name}");
        let line = format!("connector restart session=1:{session} upstream=echo attempt=");
        let line = proxy.wait_log(&line);
        assert!(line.ends_with(&format!("reason=\"{reason}\" unsettled=1")), "{name}: {line}");
        assert_eq!(conn.wait_end(), end, "{name}");
        proxy.wait_ups_of(&format!("1:{session}"), 2);
        client.text("again");
        let conn = upstream.conn(2 * session + 1);
        assert_eq!(conn.wait_messages(1), [Message::text("again")], "{name}");
        conn.text("answer");
        assert_eq!(client.recv_text(), "answer", "{name}");
        finish(client, &proxy, session, 2);
    }
    proxy.wait_idle(before);
}

#[test]
fn headers() {
    const RESERVED: &str = "reserved bits are set";
    const LENGTH: &str = "length out of range";
    const FRAME: &str = "frame larger than the limit of 4096 bytes";
    let declared = |length| Frame::header(true, 0, BINARY, false, length);
    answered(vec![
        Case::new(
            "a masked frame (5.1)",
            Frame::client(TEXT, "a").bytes(),
            1002,
            "masked frame from a server",
        ),
        Case::new("a masked ping", Frame::client(PING, "a").bytes(), 1002, "masked frame from a server"),
        Case::new("RSV1, as compression has it (5.2)", frame(true, 4, TEXT, b"a"), 1002, RESERVED),
        Case::new("RSV2", frame(true, 2, TEXT, b"a"), 1002, RESERVED),
        Case::new("RSV3", frame(true, 1, TEXT, b"a"), 1002, RESERVED),
        Case::new("opcode 3 (5.2)", whole(3, b"a"), 1002, "unknown opcode 3"),
        Case::new("opcode 15", whole(15, b"a"), 1002, "unknown opcode 15"),
        Case::new("a ping in fragments (5.5)", frame(false, 0, PING, b"a"), 1002, "fragmented control frame"),
        Case::new("a ping of 126 bytes (5.5)", whole(PING, &[7; 126]), 1002, "control frame too long"),
        Case::new(
            "a length in more bytes than it needs (5.2)",
            b"\x81\x7e\0\x05hello".to_vec(),
            1002,
            LENGTH,
        ),
        Case::new("a length of 64 bits (5.2)", declared(u64::MAX), 1002, LENGTH),
        Case::new("a frame of 4 GiB", declared(1 << 32), 1009, FRAME),
        Case::new("a byte above `max_frame`", declared(4097), 1009, FRAME),
        Case::new("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), 1002, RESERVED),
    ]);
}

#[test]
fn messages() {
    const NO_TEXT: &str = "text is not UTF-8";
    let full = |fin, opcode| frame(fin, 0, opcode, &[b'x'; 4096]);
    let too_long = [full(false, TEXT), full(false, CONTINUATION), full(true, CONTINUATION)].concat();
    let inside = [frame(false, 0, TEXT, b"a"), whole(TEXT, b"b")].concat();
    let broken = [frame(false, 0, TEXT, b"\xe2\x82"), whole(CONTINUATION, b"\x28")].concat();
    answered(vec![
        Case::new(
            "a continuation of nothing (5.4)",
            whole(CONTINUATION, b"a"),
            1002,
            "continuation frame outside a fragmented message",
        ),
        Case::new(
            "a message inside another (5.4)",
            inside,
            1002,
            "new message before the fragmented one has ended",
        ),
        Case::new("above `max_message`", too_long, 1009, "message larger than the limit of 10240 bytes"),
        Case::new("text that is not UTF-8 (8.1)", whole(TEXT, b"\xff"), 1007, NO_TEXT),
        Case::new("a surrogate", whole(TEXT, b"\xed\xa0\x80"), 1007, NO_TEXT),
        Case::new("a character that breaks between two frames", broken, 1007, NO_TEXT),
    ]);
}

#[test]
fn closes() {
    let close = |payload: &[u8]| whole(CLOSE, payload);
    let mut cases = vec![
        Case::closes("1000", 1000, ""),
        Case::closes("1001 with a reason", 1001, "moving house"),
        Case::closes("1002", 1002, "what was that"),
        Case::closes("1009", 1009, ""),
        Case::closes("1011", 1011, "out of order"),
        Case::closes("1013", 1013, ""),
        Case::closes("4000, the application's", 4000, "gr\u{fc}\u{df}e"),
        Case {
            name: "no code",
            bytes: close(b""),
            reason: "Connection closed by server".into(),
            end: End::Close(1005, String::new()),
        },
        Case::new("half a code (5.5.1)", close(&[3]), 1002, "close frame with a payload of one byte"),
        Case::new("a reason that is not UTF-8", close(b"\x03\xe8\xff"), 1007, "close reason is not UTF-8"),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
        let words = format!("close code {code} must not be sent");
        cases.push(Case::new("a code that must not be sent (7.4)", close(&code.to_be_bytes()), 1002, &words));
    }
    answered(cases);
}

/// A message before the fault is a reply. The fault makes the next event fail.
#[test]
fn a_reply_and_a_fault_at_once() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("one");
    client.text("two");
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    conn.write(&[whole(TEXT, b"answer to one"), whole(3, b"")].concat());
    assert_eq!(client.recv_text(), "answer to one");
    let reason = receiving(&upstream, "WebSocket protocol error: unknown opcode 3");
    assert_eq!(client.recv_error(), (reason, "1:0:1".into()));
    finish(client, &proxy, 0, 2);
}
