//! Tests of frames that RFC 6455 section 5 allows. `malformed` and `upstreams` test frames that it forbids.

use crate::harness::*;

fn frame(fin: bool, rsv: u8, opcode: u8, payload: &[u8]) -> Frame {
    Frame { fin, rsv, opcode, masked: true, payload: payload.to_vec() }
}

/// By RFC 6455 section 7.1.1, the server ends the TCP connection first.
#[test]
fn a_client_that_broke_the_protocol_sees_the_end_at_once() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.close_timeout = "10m""#);
    let proxy = Proxy::start(&settings).expect("protocol");
    let mut raw = Raw::upgraded(proxy.addr());
    raw.write(&frame(true, 2, TEXT, b"a").bytes());
    // The client reads the close frame and the end of the stream. It neither answers nor closes.
    raw.expect_closed(1002);
}

#[test]
fn a_message_of_the_maximum_size_passes_in_frames() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
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
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    // A character is split between two frames, which RFC 6455 section 5.4 allows.
    raw.send(&frame(false, 0, TEXT, &[b'a', 0xe2]));
    raw.send(&Frame::client(PING, "one"));
    raw.send(&frame(false, 0, CONTINUATION, &[]));
    raw.send(&frame(false, 0, CONTINUATION, &[0x82]));
    raw.send(&Frame::client(PONG, "unasked"));
    raw.send(&frame(true, 0, CONTINUATION, &[0xac]));
    assert_eq!(raw.frame(), Some(Frame::server(PONG, "one")));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "a€")));
    assert_eq!(upstream.conn(0).messages(), [Message::text("a€")]);
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
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
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    for payload in [vec![], b"x".to_vec(), vec![0xff; 125]] {
        raw.send(&Frame::client(PING, &payload));
        assert_eq!(raw.frame(), Some(Frame::server(PONG, &payload)));
    }
}

#[test]
fn a_close_frame_is_answered_and_what_follows_is_ignored() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::client(CLOSE, Frame::close_payload(1000, "bye")));
    raw.send(&Frame::client(TEXT, "too late"));
    raw.expect_closed(1000);
    upstream.conn(0).wait_end();
    assert_eq!(upstream.received(), 0);
}
