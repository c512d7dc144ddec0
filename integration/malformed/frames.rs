//! Tests of frame headers that RFC 6455 or the limits forbid.

use super::{Case, speak};
use crate::harness::*;

/// A masked frame with these header bits.
fn frame(fin: bool, rsv: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    Frame { fin, rsv, opcode, masked: true, payload: payload.to_vec() }.bytes()
}

/// A header with a length of two bytes (`marker` 126) or eight bytes (`marker` 127).
fn long_form(opcode: u8, marker: u8, length: u64) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let length = if marker == 126 { &bytes[6..] } else { &bytes[..] };
    [&[0x80 | opcode, 0x80 | marker], length, &[1, 2, 3, 4]].concat()
}

/// A header that declares a length, with a mask and no payload.
fn declared(fin: bool, opcode: u8, length: u64) -> Vec<u8> {
    [Frame::header(fin, 0, opcode, true, length), vec![1, 2, 3, 4]].concat()
}

const RESERVED: &str = "reserved bits are set";
const LENGTH: &str = "length out of range";

#[test]
fn reserved_bits() {
    speak(&[
        Case::new("RSV1, as compression has it (5.2)", frame(true, 4, TEXT, b"a"), 1002, RESERVED),
        Case::new("RSV2", frame(true, 2, TEXT, b"a"), 1002, RESERVED),
        Case::new("RSV3", frame(true, 1, BINARY, b"a"), 1002, RESERVED),
        Case::new("all three", frame(true, 7, TEXT, b"a"), 1002, RESERVED),
        Case::new("RSV1 of a ping", frame(true, 4, PING, b"a"), 1002, RESERVED),
        Case::new("RSV2 of a close", frame(true, 2, CLOSE, b""), 1002, RESERVED),
        Case::new(
            "RSV1 of a continuation",
            [frame(false, 0, TEXT, b"a"), frame(true, 4, CONTINUATION, b"b")].concat(),
            1002,
            RESERVED,
        ),
        Case::new(
            "behind a good message",
            [frame(true, 0, TEXT, b"good"), frame(true, 4, TEXT, b"bad")].concat(),
            1002,
            RESERVED,
        )
        .delivering(&["good"]),
    ]);
}

#[test]
fn reserved_opcodes() {
    let cases = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15_u8].map(|opcode| {
        let name: &'static str = format!("opcode {opcode} (5.2)").leak();
        let reason = format!("unknown opcode {opcode}").leak();
        Case::new(name, frame(true, 0, opcode, b"a"), 1002, reason)
    });
    speak(&cases);
}

#[test]
fn masks() {
    const UNMASKED: &str = "unmasked frame from a client";
    let bare = |opcode| Frame::server(opcode, "a").bytes();
    speak(&[
        Case::new("unmasked text (5.1)", bare(TEXT), 1002, UNMASKED),
        Case::new("unmasked ping", bare(PING), 1002, UNMASKED),
        Case::new("unmasked close", Frame::server(CLOSE, [3, 232]).bytes(), 1002, UNMASKED),
        Case::new("unmasked and empty", Frame::server(TEXT, "").bytes(), 1002, UNMASKED),
        Case::new(
            "a continuation that is unmasked",
            [frame(false, 0, TEXT, b"a"), bare(CONTINUATION)].concat(),
            1002,
            UNMASKED,
        ),
    ]);
}

#[test]
fn control_frames() {
    const PIECES: &str = "fragmented control frame";
    const LONG: &str = "control frame too long";
    speak(&[
        Case::new("a ping in fragments (5.5)", frame(false, 0, PING, b"a"), 1002, PIECES),
        Case::new("a pong in fragments", frame(false, 0, PONG, b"a"), 1002, PIECES),
        Case::new("a close in fragments", frame(false, 0, CLOSE, b""), 1002, PIECES),
        Case::new("a ping of 126 bytes (5.5)", frame(true, 0, PING, &[7; 126]), 1002, LONG),
        Case::new("a pong of 126 bytes", frame(true, 0, PONG, &[7; 126]), 1002, LONG),
        Case::new("a close of 126 bytes", frame(true, 0, CLOSE, &[7; 126]), 1002, LONG),
        Case::new("a ping that declares 4 GiB", declared(true, PING, 1 << 32), 1002, LONG),
    ]);
}

#[test]
fn lengths() {
    speak(&[
        Case::new("5 in two bytes (5.2)", long_form(TEXT, 126, 5), 1002, LENGTH),
        Case::new("125 in two bytes", long_form(TEXT, 126, 125), 1002, LENGTH),
        Case::new("0 in two bytes", long_form(TEXT, 126, 0), 1002, LENGTH),
        Case::new("5 in eight bytes", long_form(TEXT, 127, 5), 1002, LENGTH),
        Case::new("65,535 in eight bytes", long_form(BINARY, 127, 65_535), 1002, LENGTH),
        Case::new("a ping's length in two bytes", long_form(PING, 126, 5), 1002, LENGTH),
        Case::new("the top bit of eight bytes (5.2)", long_form(TEXT, 127, 1 << 63), 1002, LENGTH),
        Case::new("all bits of eight bytes", long_form(TEXT, 127, u64::MAX), 1002, LENGTH),
    ]);
}

/// A frame that is too large is rejected because of its header (guarantee C4), so the payload is not sent.
#[test]
fn sizes() {
    const FRAME: &str = "frame larger than the limit of 4096 bytes";
    const MESSAGE: &str = "message larger than the limit of 10240 bytes";
    let full = |fin, opcode| frame(fin, 0, opcode, &[b'x'; 4096]);
    speak(&[
        Case::new("a byte above `max_frame`", declared(true, BINARY, 4097), 1009, FRAME),
        Case::new("4 GiB", declared(true, BINARY, 1 << 32), 1009, FRAME),
        Case::new("as much as 63 bits can say", declared(true, TEXT, u64::MAX >> 1), 1009, FRAME),
        Case::new("a fragment above `max_frame`", declared(false, TEXT, 4097), 1009, FRAME),
        Case::new(
            "a byte above `max_message`",
            [full(false, TEXT), full(false, CONTINUATION), declared(true, CONTINUATION, 2049)].concat(),
            1009,
            MESSAGE,
        ),
        Case::new(
            "the same in a fragment that is not the last",
            [full(false, BINARY), full(false, CONTINUATION), declared(false, CONTINUATION, 2049)].concat(),
            1009,
            MESSAGE,
        ),
        Case::new(
            "the same with a ping between",
            [
                full(false, BINARY),
                full(false, CONTINUATION),
                frame(true, 0, PONG, b"unasked"),
                declared(true, CONTINUATION, 4096),
            ]
            .concat(),
            1009,
            MESSAGE,
        ),
    ]);
}
