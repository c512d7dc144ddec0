//! Frames: what RFC 6455, section 5, allows and what it does not, on both sides.

use std::net::Shutdown;

use crate::harness::*;

fn frame(fin: bool, rsv: u8, opcode: u8, payload: &[u8]) -> Frame {
    Frame { fin, rsv, opcode, masked: true, payload: payload.to_vec() }
}

/// Clients that break the protocol are ended; that may be logged as a warning.
fn start(origin: &Origin) -> Proxy {
    let settings = Settings::request(&origin.url()).with(r#"listener.ws.close_timeout = "200ms""#);
    Proxy::start(&settings).expect("protocol")
}

/// Each of `cases` on a connection of its own ends it with `code`, and nobody else's.
#[track_caller]
fn refused(code: u16, cases: Vec<(&str, Vec<Vec<u8>>)>) {
    let origin = Origin::echo();
    let proxy = start(&origin);
    let mut bystander = proxy.client();
    for (name, parts) in cases {
        println!("{name}");
        let mut raw = Raw::upgraded(proxy.addr());
        for part in parts {
            raw.write(&part);
        }
        raw.expect_closed(code);
        assert_eq!(bystander.ask(name), name);
    }
    assert_eq!(origin.conn(0).messages().len(), origin.received(), "nothing of it reaches the upstream");
}

#[test]
fn protocol_errors_close_with_1002() {
    let unmasked = Frame::server(TEXT, "a").bytes();
    let long_ping = frame(true, 0, PING, &[b'x'; 126]);
    let close = |payload: &[u8]| vec![frame(true, 0, CLOSE, payload).bytes()];
    refused(
        1002,
        vec![
            ("unmasked (5.1)", vec![unmasked]),
            ("RSV1 without extension (5.2)", vec![frame(true, 4, TEXT, b"a").bytes()]),
            ("RSV2", vec![frame(true, 2, TEXT, b"a").bytes()]),
            ("RSV3", vec![frame(true, 1, TEXT, b"a").bytes()]),
            ("opcode 3 (5.2)", vec![frame(true, 0, 3, b"a").bytes()]),
            ("opcode 7", vec![frame(true, 0, 7, b"").bytes()]),
            ("opcode 11", vec![frame(true, 0, 11, b"").bytes()]),
            ("opcode 15", vec![frame(true, 0, 15, b"").bytes()]),
            ("fragmented ping (5.5)", vec![frame(false, 0, PING, b"a").bytes()]),
            ("fragmented close", vec![frame(false, 0, CLOSE, b"").bytes()]),
            ("ping of 126 bytes (5.5)", vec![long_ping.bytes()]),
            ("continuation of nothing (5.4)", vec![frame(true, 0, CONTINUATION, b"a").bytes()]),
            (
                "message within a message (5.4)",
                vec![frame(false, 0, TEXT, b"a").bytes(), frame(true, 0, TEXT, b"b").bytes()],
            ),
            ("close with one byte (5.5.1)", close(&[3])),
            ("close with 0 (7.4.2)", close(&[0, 0])),
            ("close with 999", close(&999_u16.to_be_bytes())),
            ("close with 1004 (7.4.1)", close(&1004_u16.to_be_bytes())),
            ("close with 1005 (7.4.1)", close(&1005_u16.to_be_bytes())),
            ("close with 1006 (7.4.1)", close(&1006_u16.to_be_bytes())),
            ("close with 1015 (7.4.1)", close(&1015_u16.to_be_bytes())),
            ("close with 2999 (7.4.2)", close(&2999_u16.to_be_bytes())),
            ("close with 5000", close(&5000_u16.to_be_bytes())),
        ],
    );
}

/// RFC 6455, section 7.1.1: the server is to end the connection first.
#[test]
fn who_broke_the_protocol_sees_the_end_at_once() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url()).with(r#"listener.ws.close_timeout = "10m""#);
    let proxy = Proxy::start(&settings).expect("protocol");
    let mut raw = Raw::upgraded(proxy.addr());
    raw.write(&frame(true, 2, TEXT, b"a").bytes());
    // reads the close frame and the end behind it, and neither answers nor ends anything itself
    raw.expect_closed(1002);
}

#[test]
fn invalid_text_closes_with_1007() {
    let close = [&1000_u16.to_be_bytes()[..], &[0xff]].concat();
    refused(
        1007,
        vec![
            ("invalid byte (8.1)", vec![frame(true, 0, TEXT, &[b'a', 0xff]).bytes()]),
            ("a surrogate", vec![frame(true, 0, TEXT, &[0xed, 0xa0, 0x80]).bytes()]),
            ("overlong", vec![frame(true, 0, TEXT, &[0xc0, 0xaf]).bytes()]),
            ("cut at the end", vec![frame(true, 0, TEXT, &[0xe2, 0x82]).bytes()]),
            (
                "invalid across frames",
                vec![
                    frame(false, 0, TEXT, &[0xe2, 0x82]).bytes(),
                    frame(true, 0, CONTINUATION, &[0x28]).bytes(),
                ],
            ),
            ("a close's reason (5.5.1)", vec![frame(true, 0, CLOSE, &close).bytes()]),
        ],
    );
}

#[test]
fn what_is_too_big_closes_with_1009_before_it_is_read() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url())
        .with(r#"listener.ws.max_message = "10KiB""#)
        .with(r#"listener.ws.max_frame = "4KiB""#);
    let proxy = Proxy::start(&settings).expect("session").expect("limit");
    let full = |fin, opcode| frame(fin, 0, opcode, &[b'x'; 4096]).bytes();
    // only the header: the declared length alone is too much (C4)
    let header = |opcode, length| [Frame::header(true, 0, opcode, true, length), vec![0; 4]].concat();
    for parts in [
        vec![header(BINARY, 4097)],
        vec![header(BINARY, u64::MAX >> 1)],
        vec![full(false, TEXT), full(false, CONTINUATION), header(CONTINUATION, 2049)],
    ] {
        let mut raw = Raw::upgraded(proxy.addr());
        parts.iter().for_each(|part| raw.write(part));
        raw.expect_closed(1009);
    }
    let mut client = proxy.client();
    let text = "x".repeat(4096);
    assert_eq!(client.ask(&text), text);
}

#[test]
fn a_message_as_big_as_the_limit_passes_in_frames() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url())
        .with(r#"listener.ws.max_message = "10KiB""#)
        .with(r#"listener.ws.max_frame = "4KiB""#);
    let proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    for (fin, opcode, length) in
        [(false, BINARY, 4096), (false, CONTINUATION, 4096), (true, CONTINUATION, 2048)]
    {
        raw.send(&frame(fin, 0, opcode, &vec![b'x'; length]));
    }
    let mut length = 0;
    loop {
        let frame = raw.frame().expect("the echo");
        length += frame.payload.len();
        if frame.fin {
            break;
        }
    }
    assert_eq!(length, 10 * 1024);
}

#[test]
fn fragments_are_one_message_with_control_frames_between() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    // a character is split between the frames (5.4: fragments need no character boundaries)
    raw.send(&frame(false, 0, TEXT, &[b'a', 0xe2]));
    raw.send(&Frame::client(PING, "one"));
    raw.send(&frame(false, 0, CONTINUATION, &[]));
    raw.send(&frame(false, 0, CONTINUATION, &[0x82]));
    raw.send(&Frame::client(PONG, "unasked"));
    raw.send(&frame(true, 0, CONTINUATION, &[0xac]));
    assert_eq!(raw.frame(), Some(Frame::server(PONG, "one")));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "a€")));
    assert_eq!(origin.conn(0).messages(), [Message::text("a€")]);
}

#[test]
fn a_message_byte_by_byte_is_a_message() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    let bytes = [Frame::client(TEXT, "slow").bytes(), Frame::client(BINARY, [7; 300]).bytes()].concat();
    for byte in bytes {
        raw.write(&[byte]);
    }
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "slow")));
    assert_eq!(raw.frame(), Some(Frame::server(BINARY, [7; 300])));
}

#[test]
fn pings_are_answered_with_their_payload() {
    let origin = Origin::silent();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    for payload in [vec![], b"x".to_vec(), vec![0xff; 125]] {
        raw.send(&Frame::client(PING, &payload));
        assert_eq!(raw.frame(), Some(Frame::server(PONG, &payload)));
    }
}

#[test]
fn a_close_frame_is_answered_and_what_follows_is_ignored() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::client(CLOSE, Frame::close_payload(1000, "bye")));
    raw.send(&Frame::client(TEXT, "too late"));
    raw.expect_closed(1000);
    origin.conn(0).wait_end();
    assert_eq!(origin.received(), 0);
}

#[test]
fn frames_of_the_upstream_that_break_the_protocol_are_a_loss() {
    let origin = Origin::silent();
    let proxy = Proxy::start(&Settings::request(&origin.url())).expect_restarts();
    let mut client = proxy.client();
    let masked = Frame::client(TEXT, "a").bytes();
    let bad_text = Frame::server(TEXT, [0xff]).bytes();
    let rsv = Frame { rsv: 4, ..Frame::server(TEXT, "a") }.bytes();
    let opcode = Frame::server(3, "a").bytes();
    let big = Frame::header(true, 0, BINARY, false, 2 << 20);
    for (number, bytes) in [masked, bad_text, rsv, opcode, big].into_iter().enumerate() {
        let conn = origin.conn(number);
        client.text("a");
        conn.wait_messages(1);
        conn.write(&bytes);
        let (error, id) = client.recv_error();
        assert!(error.starts_with("Error receiving reply from server"), "{error}");
        assert_eq!(id, format!("1:0:{number}"));
        assert_ne!(conn.wait_end(), End::Close(1000, String::new()), "case {number}");
        proxy.wait_ups(number + 2);
    }
}

#[test]
fn a_half_close_of_the_client_ends_the_session() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::client(TEXT, "a"));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "a")));
    raw.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.frame().map(|frame| frame.opcode).filter(|opcode| *opcode != CLOSE), None);
    origin.conn(0).wait_end();
    proxy.wait_log("session closed session=1:0");
}
