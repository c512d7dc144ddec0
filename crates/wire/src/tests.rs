//! Tests of decoder, outbox and link against each other and against RFC 6455.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Limits, LivenessConfig};
use super::{frame::HEADER_MAX, *};

const LIMITS: Limits = Limits { max_message: 100_000, max_frame: 50_000, buffer: 64 * 1024 };

/// Decodes bytes that are cut into pieces of the given sizes, repeated. Returns the messages, and the error
/// if any.
fn decode(role: Role, bytes: &[u8], pieces: &[usize]) -> (Vec<Incoming>, Option<WireError>) {
    let mut decoder = Decoder::new(role, LIMITS);
    let mut got = Vec::new();
    let mut rest = bytes;
    for size in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut piece, behind) = rest.split_at((*size).clamp(1, rest.len()));
        rest = behind;
        loop {
            match decoder.decode(&mut piece, &mut { usize::MAX }) {
                Ok(Some(incoming)) => got.push(incoming),
                Ok(None) => break,
                Err(error) => return (got, Some(error)),
            }
        }
        assert!(piece.is_empty(), "the decoder consumes all input");
    }
    (got, None)
}

fn error(role: Role, bytes: &[u8]) -> Option<WireError> {
    let whole = decode(role, bytes, &[usize::MAX]);
    assert_eq!(decode(role, bytes, &[1]), whole, "the pieces do not matter");
    whole.1
}

/// A frame of a client, with a mask of zeros.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn each_violation_has_its_error_and_close_code() {
    let cases: Vec<(Vec<u8>, WireError, u16)> = vec![
        (client(0xc1, b""), WireError::ReservedBits, 1002),
        (client(0xa1, b""), WireError::ReservedBits, 1002),
        (client(0x91, b""), WireError::ReservedBits, 1002),
        (client(0x83, b""), WireError::Opcode(3), 1002),
        (client(0x87, b""), WireError::Opcode(7), 1002),
        (client(0x8b, b""), WireError::Opcode(11), 1002),
        (client(0x8f, b""), WireError::Opcode(15), 1002),
        (vec![0x81, 0x05, b'h', b'e', b'l', b'l', b'o'], WireError::Unmasked, 1002),
        (client(0x09, b""), WireError::ControlFragmented, 1002),
        (client(0x08, b""), WireError::ControlFragmented, 1002),
        (vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0], WireError::ControlTooLong, 1002),
        (client(0x80, b"x"), WireError::NothingToContinue, 1002),
        ([client(0x01, b"a"), client(0x81, b"b")].concat(), WireError::Unfinished, 1002),
        ([client(0x02, b"a"), client(0x01, b"b")].concat(), WireError::Unfinished, 1002),
        (vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0], WireError::Length, 1002),
        (vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], WireError::Length, 1002),
        (client(0x88, b"\x03"), WireError::CloseBody, 1002),
        (client(0x88, b"\x03\xed"), WireError::CloseCode(1005), 1002),
        (client(0x88, b"\x03\xe8\xff"), WireError::CloseReason, 1007),
        (client(0x81, b"\xff"), WireError::NotUtf8, 1007),
        ([client(0x01, b"\xc3"), client(0x80, b"x")].concat(), WireError::NotUtf8, 1007),
    ];
    for (bytes, expected, code) in cases {
        assert_eq!(error(Role::Server, &bytes), Some(expected), "{bytes:02x?}");
        assert_eq!(expected.close_code(), code, "{expected}");
    }
    assert_eq!(error(Role::Client, &client(0x81, b"")), Some(WireError::Masked));
}

#[test]
fn a_character_may_span_fragments_with_control_frames_between() {
    let bytes = [client(0x01, b"\xc3"), client(0x89, b"p"), client(0x80, b"\xa4")].concat();
    let (got, error) = decode(Role::Server, &bytes, &[1]);
    assert_eq!(error, None);
    assert_eq!(got, [Incoming::Ping(Bytes::from_static(b"p")), Incoming::Message(Message::Text("ä".into()))]);
}

#[test]
fn invalid_utf8_is_refused_at_the_end_of_its_fragment() {
    let begin = client(0x01, b"ab\xce");
    for (rest, expected) in [(b"\xba", None), (b"\xff", Some(WireError::NotUtf8))] {
        let (_, error) = decode(Role::Server, &[begin.clone(), client(0x00, rest)].concat(), &[1]);
        assert_eq!(error, expected, "{rest:?}");
    }
    let binary = [client(0x02, b"\xff"), client(0x00, b"\xff")].concat();
    assert_eq!(error(Role::Server, &binary), None);
}

/// A decoder that checks the length only after buffering the frame can be made to use too much memory.
#[test]
fn a_declared_length_beyond_the_limit_is_refused_at_the_header() {
    let header = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(header.len(), HEADER_MAX);
    assert_eq!(error(Role::Server, &header), Some(WireError::FrameTooBig(LIMITS.max_frame)));
    let header = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(error(Role::Server, &header), Some(WireError::Length));
}

#[test]
fn fragments_are_counted_together() {
    let mut decoder = Decoder::new(Role::Server, LIMITS);
    let frame = |first: u8, len: u16| {
        let header = [&[first, 0xfe][..], &len.to_be_bytes(), &[0; 4]].concat();
        [header, vec![b'x'; len.into()]].concat()
    };
    for first in [0x02, 0x00, 0x00] {
        assert_eq!(decoder.decode(&mut &frame(first, 33_000)[..], &mut { usize::MAX }), Ok(None));
    }
    let over = frame(0x00, 1_001);
    assert_eq!(
        decoder.decode(&mut &over[..8], &mut { usize::MAX }),
        Err(WireError::MessageTooBig(LIMITS.max_message))
    );
}

#[test]
fn a_header_alone_takes_little_memory() {
    let mut decoder =
        Decoder::new(Role::Server, Limits { max_frame: 1 << 30, max_message: 1 << 30, ..LIMITS });
    let header = [0x82, 0xff, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decoder.decode(&mut &header[..], &mut { usize::MAX }), Ok(None));
    assert_eq!(decoder.direct(1), None);
    assert!(decoder.unfinished() <= 8 * 1024, "{}", decoder.unfinished());
}

/// A message waits for its receiver with all of its memory.
#[test]
fn a_message_that_arrives_in_pieces_takes_no_more_memory_than_its_length() {
    const SIZE: usize = 16 * 1024;
    for first in [SIZE - 1, SIZE - 20, SIZE / 2, 7_000] {
        let mut decoder = Decoder::new(Role::Client, LIMITS);
        let mut bytes = vec![0x82, 126];
        bytes.extend((SIZE as u16).to_be_bytes());
        bytes.resize(bytes.len() + SIZE, 7);
        let (mut one, mut two) = bytes.split_at(4 + first);
        assert_eq!(decoder.decode(&mut one, &mut { usize::MAX }), Ok(None));
        let Ok(Some(Incoming::Message(message))) = decoder.decode(&mut two, &mut { usize::MAX }) else {
            panic!("the message is complete");
        };
        assert_eq!(message.len(), SIZE);
        let capacity = message.into_bytes().try_into_mut().expect("nothing shares it").capacity();
        assert_eq!(capacity, SIZE, "after {first} bytes");
    }
}

/// Each growth copies what has arrived.
#[test]
fn memory_for_a_large_message_is_reserved_at_once_as_far_as_allowed() {
    const SIZE: usize = 1 << 20;
    let limits = Limits { max_message: SIZE, max_frame: SIZE, ..LIMITS };
    let header = [&[0x82, 127][..], &(SIZE as u64).to_be_bytes()].concat();
    for (first, ahead, reserved) in [
        (32 << 10, usize::MAX, SIZE),
        (48 << 10, SIZE, SIZE),
        (48 << 10, SIZE - 1, 64 << 10),
        (48 << 10, 0, 64 << 10),
        ((32 << 10) - 1, usize::MAX, 32 << 10),
        (0, usize::MAX, 4 << 10),
    ] {
        let mut decoder = Decoder::new(Role::Client, limits);
        decoder.reserve_ahead(ahead);
        let arrived = [&header[..], &vec![7; first]].concat();
        assert_eq!(decoder.decode(&mut &arrived[..], &mut { usize::MAX }), Ok(None));
        assert_eq!(decoder.unfinished(), reserved, "{first} bytes, {ahead}");
        let at = decoder.direct(1).map(|(payload, _)| payload.as_ptr());
        let rest = vec![7; SIZE - first];
        let Ok(Some(Incoming::Message(message))) = decoder.decode(&mut &rest[..], &mut { usize::MAX }) else {
            panic!("the message is complete");
        };
        assert_eq!(message.len(), SIZE);
        assert!(reserved < SIZE || Some(message.into_bytes().as_ptr()) == at, "nothing was copied");
    }
}

/// Growth by doubling would take up to twice as much memory.
#[test]
fn an_incomplete_message_takes_at_most_max_message() {
    for size in [1, 100, 5_000, 40_000] {
        let mut decoder = Decoder::new(Role::Client, LIMITS);
        for number in 0..LIMITS.max_message / size {
            let mut bytes = vec![if number == 0 { 0x02 } else { 0x00 }];
            match size {
                0..126 => bytes.push(size as u8),
                _ => bytes.extend([&[126][..], &(size as u16).to_be_bytes()].concat()),
            }
            bytes.resize(bytes.len() + size, 0);
            assert_eq!(decoder.decode(&mut &bytes[..], &mut { usize::MAX }), Ok(None));
            assert!(decoder.unfinished() <= LIMITS.max_message, "{} bytes", decoder.unfinished());
        }
    }
}

#[test]
fn a_flood_of_pings_has_its_first_and_latest_answered() {
    let mut outbox: Outbox<()> = Outbox::new(Role::Server);
    for number in 0..1000_u32 {
        outbox.pong(number.to_be_bytes().to_vec().into());
    }
    let mut written = Vec::new();
    while let Some(bytes) = outbox.front().map(<[u8]>::to_vec).filter(|bytes| !bytes.is_empty()) {
        outbox.advance(bytes.len(), drop);
        written.extend(bytes);
    }
    let (got, error) = decode(Role::Client, &written, &[usize::MAX]);
    assert_eq!(error, None);
    let pong = |number: u32| Incoming::Pong(number.to_be_bytes().to_vec().into());
    assert_eq!(got, (0..16).chain([999]).map(pong).collect::<Vec<_>>());
}

#[test]
fn nothing_follows_a_close_frame() {
    let mut outbox = Outbox::new(Role::Server);
    outbox.close(Some(&CloseFrame::new(1000, "bye")));
    assert_eq!(outbox.push(Message::Text("late".into()), 7), Err(7));
    outbox.ping(Bytes::new());
    outbox.pong(Bytes::new());
    outbox.close(None);
    assert_eq!(outbox.front(), Some(&b"\x88\x05\x03\xe8bye"[..]));
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![8 => 0..300_usize, 2 => 16_000..17_000_usize, 1 => 40_000..50_000_usize];
    (size, any::<bool>(), any::<u8>()).prop_map(|(size, binary, byte)| match binary {
        true => Message::Binary(vec![byte; size].into()),
        false => Message::Text("é".repeat(size / 2).into()),
    })
}

/// A socket that moves the given number of bytes per call, and returns pending between calls.
struct Choppy {
    input: Vec<u8>,
    output: Vec<u8>,
    sizes: Vec<usize>,
    turn: usize,
}

impl Choppy {
    fn size(&mut self, cx: &Context<'_>) -> Poll<usize> {
        self.turn += 1;
        let size = self.sizes[self.turn % self.sizes.len()];
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(size)
    }
}

impl AsyncRead for Choppy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Poll::Ready(size) = self.size(cx) else { return Poll::Pending };
        let count = size.min(buf.remaining()).min(self.input.len());
        buf.put_slice(&self.input[..count]);
        self.input.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Poll::Ready(size) = self.size(cx) else { return Poll::Pending };
        let count = size.min(buf.len());
        self.output.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(mut size) = self.size(cx) else { return Poll::Pending };
        let before = self.output.len();
        for slice in slices {
            let count = size.min(slice.len());
            self.output.extend_from_slice(&slice[..count]);
            size -= count;
        }
        Poll::Ready(Ok(self.output.len() - before))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn link(role: Role, input: Vec<u8>, sizes: &[usize]) -> Link<Choppy, usize> {
    let socket = Choppy { input, output: Vec::new(), sizes: sizes.to_vec(), turn: 0 };
    Link::new(socket, role, LIMITS, &LivenessConfig::OFF, Bytes::new())
}

/// Reads everything until the end of the link's input, and ends turns at arbitrary points.
fn read_all(mut link: Link<Choppy, usize>, turns: usize) -> Vec<Incoming> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut got = Vec::new();
    for step in 1.. {
        match link.poll_next(&mut cx) {
            Poll::Ready(Ok(incoming)) => got.push(incoming),
            Poll::Ready(Err(LinkError::Eof)) => return got,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {}
        }
        if step % turns == 0 {
            link.end_turn();
        }
    }
    got
}

/// Writes all messages in bursts. Returns the bytes, and the tokens in the order of their return.
fn write_all(role: Role, messages: &[Message], sizes: &[usize], burst: usize) -> (Vec<u8>, Vec<usize>) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut link = link(role, Vec::new(), sizes);
    let mut done = Vec::new();
    for (token, message) in messages.iter().enumerate() {
        link.push(message.clone(), token).unwrap();
        if token % burst == 0 {
            let _ = link.poll_flush(&mut cx, |sent| done.extend(sent.into_token()));
        }
    }
    while link.poll_flush(&mut cx, |sent| done.extend(sent.into_token())).is_pending() {
        link.end_turn();
    }
    (std::mem::take(&mut link.socket_mut().output), done)
}

/// A socket may keep what it has taken, as TLS does.
#[test]
fn what_the_socket_keeps_is_passed_on_before_a_flush_is_ready() {
    let mut cx = Context::from_waker(Waker::noop());
    let (near, mut far) = tokio::io::duplex(8);
    let near = tokio::io::BufWriter::new(near);
    let mut link: Link<_, usize> = Link::new(near, Role::Server, LIMITS, &LivenessConfig::OFF, Bytes::new());
    link.push(Message::Text("twelve bytes".into()), 0).unwrap();
    let mut done = 0;
    assert!(link.poll_flush(&mut cx, |_| done += 1).is_pending(), "8 of 14 bytes fit");
    assert!((done, link.outbox().is_empty(), link.is_blocked()) == (1, true, true));
    let mut bytes = Vec::new();
    for expected in [8, 6] {
        let mut part = [0; 20];
        let mut buffer = ReadBuf::new(&mut part);
        assert!(Pin::new(&mut far).poll_read(&mut cx, &mut buffer).is_ready());
        assert_eq!(buffer.filled().len(), expected);
        bytes.extend_from_slice(buffer.filled());
        assert!(link.poll_flush(&mut cx, |_| done += 1).is_ready());
    }
    assert_eq!((&bytes[2..], link.is_blocked()), (&b"twelve bytes"[..], false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the socket splits bytes: each message arrives once, whole and in order, and each token is
    /// returned once and in order.
    #[test]
    fn messages_arrive_over_any_socket(
        messages in proptest::collection::vec(message(), 1..12),
        writes in proptest::collection::vec(0..20_000_usize, 1..6),
        reads in proptest::collection::vec(0..20_000_usize, 1..6),
        burst in 1..5_usize,
        turns in 1..5_usize,
        server: bool,
    ) {
        prop_assume!(writes.iter().any(|size| *size > 0) && reads.iter().any(|size| *size > 0));
        let (from, to) = if server { (Role::Server, Role::Client) } else { (Role::Client, Role::Server) };
        let (bytes, done) = write_all(from, &messages, &writes, burst);
        prop_assert_eq!(done, (0..messages.len()).collect::<Vec<_>>());
        let got = read_all(link(to, bytes, &reads), turns);
        prop_assert_eq!(got, messages.into_iter().map(Incoming::Message).collect::<Vec<_>>());
    }

    /// Arbitrary bytes are decoded or refused the same way, however they are split.
    #[test]
    fn the_split_into_pieces_does_not_matter(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        pieces in proptest::collection::vec(1..20_usize, 1..5),
        server: bool,
    ) {
        let role = if server { Role::Server } else { Role::Client };
        prop_assert_eq!(decode(role, &bytes, &pieces), decode(role, &bytes, &[usize::MAX]));
    }
}
