//! The processor `lines`: splits messages into one chunk per line, and appends a line feed to each outgoing
//! chunk.
//!
//! Lines end at a line feed, `\n`; a carriage return before it, `\r`, belongs to the line. As a preprocessor,
//! `lines` also ends a line at the end of a WebSocket message, so that a browser gets an answer to `hello`
//! without a newline. With `buffered = true` it does not, and a line may span messages:
//!
//! | messages | lines | lines, buffered |
//! |---|---|---|
//! | `hello` | `hello` | (waits) |
//! | `hel`, `lo\n` | `hel`, `lo` | `hello` |
//! | `a\n\nb` | `a`, empty, `b` | `a`, empty (`b` waits) |
//! | `\n` | one empty | one empty |
//! | an empty message | one empty | none |
//!
//! An empty message gives one empty line, because every message gets an outcome (guarantee C1). When the peer
//! closes, an incomplete buffered line is the last line, as at the end of a file. When the connection ends in
//! any other way, the line may be truncated, so it is an error.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::{Postprocessor, Preprocessor};
use crate::format_error::{FormatError, FormatErrorKind};

/// Maximum length of a line in bytes, without its newline. It is fixed for compatibility, and bounds what a
/// connection with `buffered = true` may hold (guarantee C4).
const LINE_BYTES_MAX: usize = 1_048_576;

/// The preprocessor `lines`.
///
/// It returns slices of its input. Only a line that spans two chunks is copied.
#[derive(Debug)]
pub(super) struct Split {
    /// Whether a line may span messages.
    buffered: bool,
    line_bytes_max: usize,
    /// Input that is not split yet.
    chunk: Bytes,
    /// Whether `chunk` is the last of its message.
    ends_message: bool,
    /// Whether the current message has had any bytes so far. If it has, and its last byte is a newline, the
    /// end of the message ends no further line.
    begun: bool,
    /// The start of an incomplete line. It uses no memory while empty.
    partial: BytesMut,
    /// Whether the bytes up to the next line end belong to a refused line.
    skipping: bool,
    /// Whether the peer has closed, so that the rest of the input is the last line.
    finished: bool,
}

/// The postprocessor `lines`.
#[derive(Debug)]
pub(super) struct Join;

// === impl Split ===

impl Split {
    pub(super) fn new(buffered: bool) -> Self {
        Self {
            buffered,
            line_bytes_max: LINE_BYTES_MAX,
            chunk: Bytes::new(),
            ends_message: false,
            begun: false,
            partial: BytesMut::new(),
            skipping: false,
            finished: false,
        }
    }

    /// Ends a line and returns it. `tail` is its last part.
    fn complete(&mut self, tail: Bytes) -> Result<Bytes, FormatError> {
        if self.is_too_long_with(&tail) {
            self.partial = BytesMut::new();
            return Err(self.too_long());
        }
        if self.partial.is_empty() {
            return Ok(tail);
        }
        self.partial.extend_from_slice(&tail);
        Ok(mem::take(&mut self.partial).freeze())
    }

    /// Keeps the start of a line as a copy, because a slice would keep the whole chunk in memory.
    fn keep(&mut self, head: &Bytes) -> Result<(), FormatError> {
        if self.skipping {
            return Ok(());
        }
        if self.is_too_long_with(head) {
            self.partial = BytesMut::new();
            self.skipping = true;
            return Err(self.too_long());
        }
        self.partial.extend_from_slice(head);
        Ok(())
    }

    /// Ends the message. `tail` is what follows its last newline. Returns the line that it ends, if any.
    fn end_message(&mut self, tail: Bytes) -> Option<Result<Bytes, FormatError>> {
        let begun = mem::take(&mut self.begun);
        let ended_by_newline = begun && tail.is_empty() && self.partial.is_empty();
        if mem::take(&mut self.skipping) || ended_by_newline {
            return None;
        }
        Some(self.complete(tail))
    }

    fn is_too_long_with(&self, more: &Bytes) -> bool {
        self.partial.len() + more.len() > self.line_bytes_max
    }

    fn too_long(&self) -> FormatError {
        let max = self.line_bytes_max;
        FormatError::new(
            FormatErrorKind::TooLarge,
            format!("line discarded: it is longer than the {max} bytes that a line may have"),
        )
    }
}

impl Preprocessor for Split {
    fn feed(&mut self, chunk: Bytes, ends_message: bool) {
        debug_assert!(self.chunk.is_empty(), "fed before `next` returned None");
        self.begun |= !chunk.is_empty();
        self.chunk = chunk;
        self.ends_message = ends_message;
    }

    fn next(&mut self) -> Option<Result<Bytes, FormatError>> {
        while let Some(end) = memchr::memchr(b'\n', &self.chunk) {
            let tail = self.chunk.split_to(end);
            self.chunk.advance(1);
            if !mem::take(&mut self.skipping) {
                return Some(self.complete(tail));
            }
        }
        let rest = mem::take(&mut self.chunk);
        if mem::take(&mut self.ends_message) && !self.buffered {
            return self.end_message(rest);
        }
        if mem::take(&mut self.finished) && !self.partial.is_empty() {
            return Some(self.complete(rest));
        }
        self.keep(&rest).err().map(Err)
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn abandon(&mut self) -> Option<FormatError> {
        let partial = mem::take(&mut self.partial);
        let words = "line discarded: the connection ended before the end of the line";
        (!partial.is_empty()).then(|| FormatError::new(FormatErrorKind::Truncated, words))
    }

    fn held(&self) -> usize {
        self.chunk.len() + self.partial.capacity()
    }

    fn splits(&self, message: &[u8]) -> bool {
        let is_within = self.skipping || !self.partial.is_empty();
        self.buffered && (is_within || message.last().is_some_and(|last| *last != b'\n'))
    }
}

// === impl Join ===

impl Postprocessor for Join {
    fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), FormatError> {
        let mut line = BytesMut::with_capacity(chunk.len() + 1);
        line.extend_from_slice(&chunk);
        line.extend_from_slice(b"\n");
        out.push(line.freeze());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_that_begins_or_ends_within_a_line_splits_it() {
        let mut stage = Split::new(true);
        stage.line_bytes_max = 4;
        for (message, splits) in [
            (&b"a\n"[..], false),
            (b"", false),
            (b"b", true),
            (b"c\n", true),
            (b"d\n", false),
            // too long, and refused
            (b"efghij", true),
            (b"k\n", true),
            (b"l\n", false),
        ] {
            assert_eq!(stage.splits(message), splits, "{message:?}");
            stage.feed(Bytes::copy_from_slice(message), true);
            while stage.next().is_some() {}
        }
        assert!(!Split::new(false).splits(b"a"));
    }

    /// The texts of messages or lines.
    type Texts = &'static [&'static [u8]];

    /// The lines of whole messages. A line that is too long appears as `!`.
    fn split(mut stage: Split, messages: &[&[u8]]) -> Vec<Vec<u8>> {
        let parts: Vec<_> = messages.iter().map(|message| (message.to_vec(), true)).collect();
        split_parts(&mut stage, &parts)
    }

    fn split_parts(stage: &mut Split, parts: &[(Vec<u8>, bool)]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for (part, ends_message) in parts {
            stage.feed(Bytes::from(part.clone()), *ends_message);
            while let Some(line) = stage.next() {
                lines.push(line.map_or_else(|_| b"!".to_vec(), |line| line.to_vec()));
            }
        }
        lines
    }

    fn short(buffered: bool) -> Split {
        Split { line_bytes_max: 4, ..Split::new(buffered) }
    }

    #[test]
    fn a_message_ends_a_line() {
        let table: [(Texts, Texts); 10] = [
            (&[b"hello"], &[b"hello"]),
            (&[b"hello\n"], &[b"hello"]),
            (&[b"a\nb\n"], &[b"a", b"b"]),
            (&[b"hel", b"lo\n"], &[b"hel", b"lo"]),
            (&[b"x\r\n"], &[b"x\r"]),
            (&[b"\n"], &[b""]),
            (&[b"a\n\nb"], &[b"a", b"", b"b"]),
            (&[b"\n\n"], &[b"", b""]),
            (&[b""], &[b""]),
            (&[b"", b"a", b""], &[b"", b"a", b""]),
        ];
        for (messages, lines) in table {
            assert_eq!(split(Split::new(false), messages), lines, "{messages:?}");
        }
    }

    #[test]
    fn a_buffered_line_spans_messages() {
        let table: [(Texts, Texts); 6] = [
            (&[b"hello"], &[]),
            (&[b"hello", b"\n"], &[b"hello"]),
            (&[b"hel", b"lo\nwo", b"", b"rld\n"], &[b"hello", b"world"]),
            (&[b"a\n\nb\n"], &[b"a", b"", b"b"]),
            (&[b"x\r", b"\n"], &[b"x\r"]),
            (&[b""], &[]),
        ];
        for (messages, lines) in table {
            assert_eq!(split(Split::new(true), messages), lines, "{messages:?}");
        }
    }

    #[test]
    fn an_over_long_line_is_one_error_in_its_place() {
        let table: [(bool, Texts, Texts); 9] = [
            (false, &[b"abcd\n"], &[b"abcd"]),
            (false, &[b"abcde\n"], &[b"!"]),
            (false, &[b"abcde"], &[b"!"]),
            (false, &[b"a\nabcde\nb"], &[b"a", b"!", b"b"]),
            (false, &[b"abcdefghijkl", b"b"], &[b"!", b"b"]),
            (true, &[b"a\nabc", b"de", b"f", b"gh\nb\n"], &[b"a", b"!", b"b"]),
            (true, &[b"abcde\nb\n"], &[b"!", b"b"]),
            (true, &[b"abcd", b"e\nb\n"], &[b"!", b"b"]),
            (true, &[b"abcde", b"fghijk", b"\n", b"\n"], &[b"!", b""]),
        ];
        for (buffered, messages, lines) in table {
            assert_eq!(split(short(buffered), messages), lines, "buffered {buffered}, {messages:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let line = vec![b'a'; LINE_BYTES_MAX];
        let longer = vec![b'a'; LINE_BYTES_MAX + 1];
        let mut stage = Split::new(false);
        stage.feed(Bytes::from(line), true);
        assert_eq!(stage.next().unwrap().unwrap().len(), 1_048_576);
        stage.feed(Bytes::from(longer), true);
        let error = stage.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "line discarded: it is longer than the 1048576 bytes that a line may have"
        );
        assert!(stage.next().is_none());
    }

    #[test]
    fn parts_of_one_message_are_one_message() {
        let part = |text: &str, last| (text.as_bytes().to_vec(), last);
        let lines = split_parts(&mut Split::new(false), &[part("a\n", false), part("", true)]);
        assert_eq!(lines, [b"a"], "the newline has ended the line already");
        let lines = split_parts(&mut Split::new(false), &[part("a\nb", false), part("c", true)]);
        assert_eq!(lines, [&b"a"[..], b"bc"]);
        let mut stage = Split::new(false);
        assert_eq!(split_parts(&mut stage, &[part("a", false), part("", true)]), [b"a"]);
        assert_eq!(split_parts(&mut stage, &[part("", true)]), [b""], "the next message is empty");
    }

    #[test]
    fn lines_within_a_chunk_are_slices_of_it() {
        let chunk = Bytes::from(b"one\ntwo".to_vec());
        let mut stage = Split::new(false);
        stage.feed(chunk.clone(), true);
        assert_eq!(stage.next().unwrap().unwrap().as_ptr(), chunk.as_ptr());
        assert_eq!(stage.next().unwrap().unwrap().as_ptr(), chunk[4..].as_ptr());
    }

    #[test]
    fn nothing_is_kept_when_no_line_is_open() {
        let mut stage = Split::new(true);
        assert_eq!(stage.partial.capacity(), 0);
        assert_eq!(split_parts(&mut stage, &[(b"ab".to_vec(), true), (b"c\n".to_vec(), true)]), [b"abc"]);
        assert_eq!(stage.partial.capacity(), 0, "after a line");
        let _ = split_parts(&mut stage, &[(vec![b'a'; LINE_BYTES_MAX + 1], true)]);
        assert_eq!(stage.partial.capacity(), 0, "after a line that was too long");
    }

    #[test]
    fn a_chunk_gets_one_newline() {
        let mut out = vec![Bytes::from_static(b"before")];
        for chunk in ["hello", "", "a\n"] {
            Join.process(Bytes::from_static(chunk.as_bytes()), &mut out).unwrap();
        }
        assert_eq!(out, ["before", "hello\n", "\n", "a\n\n"]);
    }

    /// Cuts `text` at the given places, each modulo the length of the rest.
    fn cut(text: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        let mut rest = text;
        for cut in cuts {
            let (part, tail) = rest.split_at(cut % (rest.len() + 1));
            parts.push(part.to_vec());
            rest = tail;
        }
        parts.push(rest.to_vec());
        parts
    }

    /// The expected result, by a simple implementation of the rules: `!` stands for a line of more than four
    /// bytes.
    fn plainly(text: &[u8]) -> Vec<Vec<u8>> {
        let lines = text.split(|byte| *byte == b'\n');
        lines.map(|line| if line.len() > 4 { b"!".to_vec() } else { line.to_vec() }).collect()
    }

    proptest! {
        #[test]
        fn buffered_lines_do_not_depend_on_how_the_text_is_cut(
            text in "[ab\r\n]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..8)
        ) {
            let mut expected = plainly(text.as_bytes());
            let open = expected.pop();
            let messages: Vec<_> = cut(text.as_bytes(), &cuts).into_iter().map(|part| (part, true)).collect();
            let mut stage = short(true);
            let mut lines = split_parts(&mut stage, &messages);
            if open.is_some_and(|open| open == b"!") {
                prop_assert_eq!(lines.pop(), Some(b"!".to_vec()), "reported before the end of the line arrives");
            }
            prop_assert_eq!(lines, expected);
        }

        #[test]
        fn a_message_in_parts_gives_the_lines_of_the_whole(
            text in "[ab\n]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..8)
        ) {
            let mut expected = plainly(text.as_bytes());
            if text.ends_with('\n') {
                expected.pop();
            }
            let parts = cut(text.as_bytes(), &cuts);
            let last = parts.len() - 1;
            let parts: Vec<_> = parts.into_iter().enumerate().map(|(at, part)| (part, at == last)).collect();
            prop_assert_eq!(split_parts(&mut short(false), &parts), expected);
        }

        #[test]
        fn joined_lines_are_split_again(lines in prop::collection::vec("[^\n]{0,20}", 0..10)) {
            let mut joined = Vec::new();
            for line in &lines {
                Join.process(Bytes::from(line.clone()), &mut joined).unwrap();
            }
            let mut stage = Split::new(true);
            let again = split_parts(&mut stage, &[(joined.concat(), true)]);
            prop_assert_eq!(again, lines.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        }
    }
}
