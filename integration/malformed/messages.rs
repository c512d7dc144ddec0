//! Tests of frames in a wrong order, text that is not UTF-8, and invalid close frames.

use super::{Case, speak};
use crate::harness::*;

fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    Frame::client(opcode, payload).bytes()
}

fn more(opcode: u8, payload: &[u8]) -> Vec<u8> {
    Frame::client(opcode, payload).more().bytes()
}

#[test]
fn fragments() {
    const NOTHING: &str = "continuation frame outside a fragmented message";
    const INSIDE: &str = "new message before the fragmented one has ended";
    speak(&[
        Case::new("a continuation of nothing (5.4)", whole(CONTINUATION, b"a"), 1002, NOTHING),
        Case::new("one that is not the last", more(CONTINUATION, b"a"), 1002, NOTHING),
        Case::new(
            "a continuation of a message that has ended",
            [more(TEXT, b"go"), whole(CONTINUATION, b"od"), whole(CONTINUATION, b"bad")].concat(),
            1002,
            NOTHING,
        )
        .delivering(&["good"]),
        Case::new("text inside a text (5.4)", [more(TEXT, b"a"), whole(TEXT, b"b")].concat(), 1002, INSIDE),
        Case::new("binary inside a text", [more(TEXT, b"a"), whole(BINARY, b"b")].concat(), 1002, INSIDE),
        Case::new("a beginning inside a text", [more(TEXT, b"a"), more(TEXT, b"b")].concat(), 1002, INSIDE),
        Case::new(
            "text behind a ping inside a text",
            [more(TEXT, b"a"), whole(PONG, b""), whole(TEXT, b"b")].concat(),
            1002,
            INSIDE,
        ),
    ]);
}

#[test]
fn text() {
    const NO_TEXT: &str = "text is not UTF-8";
    let one = |name, payload: &[u8]| Case::new(name, whole(TEXT, payload), 1007, NO_TEXT);
    speak(&[
        one("a byte that never occurs (8.1)", b"a\xff"),
        one("the other one", b"a\xfeb"),
        one("a continuation byte alone", b"\x80"),
        one("a slash in two bytes, overlong", b"\xc0\xaf"),
        one("a slash in three bytes, overlong", b"\xe0\x80\xaf"),
        one("a slash in four bytes, overlong", b"\xf0\x80\x80\xaf"),
        one("NUL in two bytes, overlong", b"\xc0\x80"),
        one("half a surrogate pair", b"\xed\xa0\x80"),
        one("a surrogate pair", b"\xed\xa0\xbd\xed\xb8\x80"),
        one("above U+10FFFF", b"\xf4\x90\x80\x80"),
        one("five bytes", b"\xf8\x88\x80\x80\x80"),
        one("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
        one("cut after two of three bytes", b"a\xe2\x82"),
        one("cut after three of four bytes", b"\xf0\x9f\x98"),
        one("Latin-1", b"gr\xfc\xdfe"),
        one("UTF-16", b"\xff\xfea\0"),
        Case::new(
            "a character that breaks between two frames",
            [more(TEXT, b"\xe2\x82"), whole(CONTINUATION, b"\x28")].concat(),
            1007,
            NO_TEXT,
        ),
        Case::new(
            "a character that the last frame leaves open",
            [more(TEXT, b"a"), more(CONTINUATION, b"\xe2"), whole(CONTINUATION, b"\x82")].concat(),
            1007,
            NO_TEXT,
        ),
        Case::new(
            "behind a good message",
            [whole(TEXT, "gr\u{fc}\u{df}e".as_bytes()), whole(TEXT, b"\xff")].concat(),
            1007,
            NO_TEXT,
        )
        .delivering(&["gr\u{fc}\u{df}e"]),
    ]);
}

#[test]
fn closes() {
    let mut cases = vec![Case::new(
        "a close with one byte (5.5.1)",
        whole(CLOSE, &[3]),
        1002,
        "close frame with a payload of one byte",
    )];
    // RFC 6455 sections 7.4.1 and 7.4.2
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65_535_u16] {
        let name = format!("a close with code {code} (7.4)").leak();
        let reason = format!("close code {code} must not be sent").leak();
        cases.push(Case::new(name, whole(CLOSE, &code.to_be_bytes()), 1002, reason));
    }
    let no_text = "close reason is not UTF-8";
    for (name, reason) in [
        ("a reason that is not UTF-8 (5.5.1)", &b"\xff"[..]),
        ("a reason that is cut", b"so long\xe2\x82"),
        ("a reason with a surrogate", b"\xed\xa0\x80"),
    ] {
        let payload = [&1000_u16.to_be_bytes()[..], reason].concat();
        cases.push(Case::new(name, whole(CLOSE, &payload), 1007, no_text));
    }
    cases.push(Case::new(
        "a bad code inside a fragmented message",
        [more(TEXT, b"a"), whole(CLOSE, &[0, 0])].concat(),
        1002,
        "close code 0 must not be sent",
    ));
    speak(&cases);
}
