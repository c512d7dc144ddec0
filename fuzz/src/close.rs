//! Fuzzes decoding and building of close frames.
//!
//! An input is the payload of a close frame: two bytes of code, then the reason.

use bytes::Bytes;
use towline::wire::{
    CloseFrame, Decoder, Incoming, Limits, Outbox, REASON_MAX, Role, WireError, is_sendable,
};

use super::socket::{self, Socket};

const LIMITS: Limits = Limits { max_message: 1, max_frame: 1, buffer: 0 };

/// A close frame is decoded correctly or refused with the right error. A close frame built from any code and
/// reason is valid, and decodes to the same code and reason.
pub fn run(payload: &[u8]) {
    let read = decode(&frame(payload));
    match payload.split_first_chunk() {
        None if payload.is_empty() => assert_eq!(read, Ok(Some(Incoming::Close(None)))),
        None => assert_eq!(read, Err(WireError::CloseBody)),
        Some((code, reason)) => with_code(u16::from_be_bytes(*code), reason, read),
    }
}

fn with_code(code: u16, reason: &[u8], read: Result<Option<Incoming>, WireError>) {
    if reason.len() > REASON_MAX {
        assert_eq!(read, Err(WireError::ControlTooLong));
    } else if !is_sendable(code) {
        assert_eq!(read, Err(WireError::CloseCode(code)));
    } else if std::str::from_utf8(reason).is_err() {
        assert_eq!(read, Err(WireError::CloseReason));
        assert_eq!(WireError::CloseReason.close_code(), 1007);
    } else {
        let Ok(Some(Incoming::Close(Some(frame)))) = read else { panic!("refused: {read:?}") };
        assert_eq!((frame.code, frame.reason.as_bytes().as_ref()), (code, reason));
    }
    make(code, &String::from_utf8_lossy(reason));
}

/// Builds a close frame, and checks that it is valid.
fn make(code: u16, reason: &str) {
    let frame = CloseFrame::new(code, reason);
    assert!(is_sendable(frame.code) && frame.reason.len() <= REASON_MAX);
    assert!(frame.code == code || !is_sendable(code), "a code that may be sent is unchanged");
    let is_cut = frame.reason.len() < reason.len();
    assert!(reason.starts_with(&*frame.reason));
    assert!(!is_cut || frame.reason.len() + 4 > REASON_MAX, "the reason is cut only as much as necessary");
    let socket = Socket::new(&[], 1);
    let output = socket.output();
    let mut link = socket::link(socket, Role::Server, LIMITS);
    link.close(Some(&frame));
    queue_more(link.outbox());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while link.poll_flush(&mut cx, drop).is_pending() {
        link.end_turn();
    }
    let written = output.take();
    assert_eq!(decode(&written), Ok(Some(Incoming::Close(Some(frame)))), "nothing follows the close frame");
}

/// Tries to queue more frames after the close frame, which must not be sent.
fn queue_more(outbox: &mut Outbox<usize>) {
    outbox.ping(Bytes::new());
    outbox.pong(Bytes::new());
    outbox.close(None);
}

/// An unmasked close frame with a payload of any length.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        len @ 0..126 => vec![len as u8],
        len => [&[126][..], &(len.min(0xffff) as u16).to_be_bytes()].concat(),
    };
    [&[0x88][..], &length, payload].concat()
}

/// Decodes a single frame, `bytes`.
fn decode(mut bytes: &[u8]) -> Result<Option<Incoming>, WireError> {
    let decoded = Decoder::new(Role::Client, LIMITS).decode(&mut bytes, &mut { usize::MAX });
    assert!(decoded.is_err() || bytes.is_empty(), "{bytes:?} is left");
    decoded
}
