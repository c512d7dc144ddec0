//! Reads JSON text without building values: to check it, or to find where its parts are.
//!
//! A strict scanner accepts exactly the documents that serde_json accepts. A lenient one looks only for the ends of
//! values: for text that is known to be JSON, and for messages that the proxy passes on whether they are JSON or not.
//! It skips arrays and objects in a loop, without recursion, so the depth of nesting is unlimited.
//!
//! ```
//! use towline_event::JsonScanner;
//!
//! // Finds `id` in the outermost object.
//! let text = r#"{"method": "subscribe", "id": [7, 1]}"#;
//! let mut id = None;
//! let mut scanner = JsonScanner::lenient(text.as_bytes());
//! scanner.object(|scanner, key| {
//!     let start = scanner.position();
//!     scanner.value()?;
//!     if key.text().as_deref() == Some("id") {
//!         id = Some(&text[start..scanner.position()]);
//!     }
//!     Some(())
//! });
//! assert_eq!(id, Some("[7, 1]"));
//! ```

use std::{borrow::Cow, ops::Range};

/// Maximum nesting of arrays and objects for a strict scanner, the same as that of serde_json.
pub(crate) const DEPTH_MAX: u32 = 127;

/// The number of bytes of a string that are looked at together. Shorter strings are read by words.
const BLOCK: usize = 32;

/// Reads JSON text from its start to its end. After `None`, which means that the text is not JSON, its position has no
/// meaning.
#[derive(Debug)]
pub struct JsonScanner<'t> {
    text: &'t [u8],
    at: usize,
    mode: Mode,
    /// The number of arrays and objects around the position.
    depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    Lenient,
}

/// The key of a field.
#[derive(Debug)]
pub struct JsonKey<'t> {
    /// The key as it is written, with its quotes.
    quoted: &'t [u8],
    start: usize,
    escaped: bool,
}

// === impl JsonKey ===

impl<'t> JsonKey<'t> {
    /// Where the key is in the text, without its quotes.
    pub fn range(&self) -> Range<usize> {
        self.start + 1..self.start + self.quoted.len() - 1
    }

    /// Whether the key has escapes, so that its text differs from what is written.
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// The text of the key; `None` if it is not UTF-8, or has malformed escapes.
    pub fn text(&self) -> Option<Cow<'t, str>> {
        if self.escaped {
            return serde_json::from_slice::<String>(self.quoted).ok().map(Cow::Owned);
        }
        std::str::from_utf8(&self.quoted[1..self.quoted.len() - 1]).ok().map(Cow::Borrowed)
    }
}

// === impl JsonScanner ===

impl<'t> JsonScanner<'t> {
    /// A scanner that checks what it reads.
    pub fn strict(text: &'t [u8]) -> Self {
        Self::new(text, Mode::Strict)
    }

    /// A scanner that looks only for the ends of values.
    pub fn lenient(text: &'t [u8]) -> Self {
        Self::new(text, Mode::Lenient)
    }

    fn new(text: &'t [u8], mode: Mode) -> Self {
        Self { text, at: space_end(text, 0), mode, depth: 0 }
    }

    /// The number of bytes before the next one. Before a value, white space is among them.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte: that of a value tells its type.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Moves behind the white space at the end of the text. `None` if something else follows.
    pub fn end(&mut self) -> Option<()> {
        self.at = space_end(self.text, self.at);
        self.peek().is_none().then_some(())
    }

    /// Reads a value.
    pub fn value(&mut self) -> Option<()> {
        self.at = match self.mode {
            Mode::Strict => checked_end(self.text, self.at, DEPTH_MAX - self.depth)?,
            Mode::Lenient => lenient_end(self.text, self.at)?,
        };
        Some(())
    }

    /// Reads an array, which begins at the position. `element` reads each element in turn.
    pub fn array(&mut self, element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.parts(b"[]", element)
    }

    /// Reads an object, which begins at the position. `field` gets each key in turn, and reads its value.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, JsonKey<'t>) -> Option<()>) -> Option<()> {
        self.parts(b"{}", |scanner| {
            let (text, start) = (scanner.text, scanner.at);
            let first = byte_end(text, start, b'"')?;
            let plain = plain_string_end(text, first);
            let end = plain.or_else(|| string_end(text, first, scanner.mode))?;
            let quoted = &text[start..end];
            let key = JsonKey { quoted, start, escaped: plain.is_none() && quoted.contains(&b'\\') };
            scanner.at = colon_end(text, end)?;
            field(scanner, key)
        })
    }

    /// Reads the parts between two brackets.
    #[inline]
    fn parts(&mut self, brackets: &[u8; 2], mut part: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let [open, close] = *brackets;
        byte_end(self.text, self.at, open)?;
        if self.depth == DEPTH_MAX && self.mode == Mode::Strict {
            return None;
        }
        self.depth += 1;
        self.at = parts_end(self.text, self.at, close, |at| {
            self.at = at;
            part(self)?;
            Some(self.at)
        })?;
        self.depth -= 1;
        Some(())
    }
}

// The functions below take the position of a part, and return the position behind it.

/// Checks a value that contains at most `levels` arrays and objects inside each other.
#[inline]
fn checked_end(text: &[u8], at: usize, levels: u32) -> Option<usize> {
    match *text.get(at)? {
        b'"' => string_end(text, at + 1, Mode::Strict),
        b'{' | b'[' => nested_end(text, at, levels.checked_sub(1)?),
        b't' => literal_end(text, at, b"true"),
        b'f' => literal_end(text, at, b"false"),
        b'n' => literal_end(text, at, b"null"),
        _ => number_end(text, at),
    }
}

/// Checks an array or object, whose parts contain at most `levels` arrays and objects inside each other.
fn nested_end(text: &[u8], at: usize, levels: u32) -> Option<usize> {
    match text[at] {
        b'{' => parts_end(text, at, b'}', |at| checked_end(text, key_end(text, at)?, levels)),
        _ => parts_end(text, at, b']', |at| checked_end(text, at, levels)),
    }
}

/// Reads the parts between two brackets, with commas between them. `part` returns the position behind a part.
#[inline]
fn parts_end(
    text: &[u8],
    at: usize,
    close: u8,
    mut part: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    let mut at = space_end(text, at + 1);
    if *text.get(at)? == close {
        return Some(at + 1);
    }
    loop {
        at = space_end(text, part(at)?);
        match *text.get(at)? {
            b',' => at = space_end(text, at + 1),
            byte => return (byte == close).then_some(at + 1),
        }
    }
}

/// Checks a key and the colon behind it. Returns the position of the value.
fn key_end(text: &[u8], at: usize) -> Option<usize> {
    colon_end(text, string_end(text, byte_end(text, at, b'"')?, Mode::Strict)?)
}

/// Reads a colon, and white space around it.
fn colon_end(text: &[u8], at: usize) -> Option<usize> {
    Some(space_end(text, byte_end(text, space_end(text, at), b':')?))
}

/// Finds the end of a value, which is not checked. Arrays and objects end with as many brackets as they begin.
fn lenient_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut open) = (start, 0_usize);
    if !matches!(text.get(at)?, b'"' | b'{' | b'[') {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let len = text[at..].iter().take_while(|byte| is_part(byte)).count();
        return (len > 0).then_some(at + len);
    }
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' => at = string_end(text, at, Mode::Lenient)?,
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            return Some(at);
        }
    }
}

/// The end of a string whose first quote is before `at`.
#[inline]
fn string_end(text: &[u8], at: usize, mode: Mode) -> Option<usize> {
    plain_string_end(text, at).or_else(|| long_string_end(text, at, mode))
}

/// The same for a string that ends within one word, as most keys do, and has no escapes; `None` for others.
#[inline]
fn plain_string_end(text: &[u8], at: usize) -> Option<usize> {
    let end = at + first_special(*text.get(at..)?.first_chunk()?);
    byte_end(text, end, b'"')
}

fn long_string_end(text: &[u8], mut at: usize, mode: Mode) -> Option<usize> {
    loop {
        at += plain_len(text.get(at..)?);
        at = match (text.get(at)?, mode) {
            (b'"', _) => return Some(at + 1),
            (b'\\', Mode::Strict) => escape_end(text, at + 1)?,
            // The escaped byte may be a quote, or the first byte of a character.
            (b'\\', Mode::Lenient) => at + 2,
            // A control character.
            (_, Mode::Strict) => return None,
            (_, Mode::Lenient) => at + 1,
        }
    }
}

/// Checks an escape whose backslash is before `at`. Half of a surrogate pair is refused.
fn escape_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => match hex(text, at + 1)? {
            0xD800..=0xDBFF => {
                let low = byte_end(text, byte_end(text, at + 5, b'\\')?, b'u')?;
                (0xDC00..=0xDFFF).contains(&hex(text, low)?).then_some(low + 4)
            }
            0xDC00..=0xDFFF => None,
            _ => Some(at + 5),
        },
        _ => None,
    }
}

/// The number of four hexadecimal digits.
fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = byte_end(text, at, b'-').unwrap_or(at);
    at = match text.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits_end(text, at)?,
        _ => return None,
    };
    if let Some(fraction) = byte_end(text, at, b'.') {
        at = digits_end(text, fraction)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(text, at + 1 + usize::from(sign))?;
    }
    Some(at)
}

/// The end of one or more digits.
fn digits_end(text: &[u8], at: usize) -> Option<usize> {
    let len = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (len > 0).then_some(at + len)
}

fn literal_end(text: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

fn byte_end(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*text.get(at)? == byte).then_some(at + 1)
}

fn space_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The number of bytes before the first quote, backslash or control character.
fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk() {
        let plain = first_special(*word);
        at += plain;
        if plain < 8 {
            return at;
        }
        if at == BLOCK {
            at += plain_blocks_len(&bytes[at..]);
        }
    }
    at + bytes[at..].iter().take_while(|byte| !is_special(**byte)).count()
}

/// The length of the blocks before the first one that has a quote, backslash or control character.
fn plain_blocks_len(bytes: &[u8]) -> usize {
    // A fold, which has no branches, becomes vector instructions.
    let is_plain = |block: &&[u8; BLOCK]| !block.iter().fold(false, |found, byte| found | is_special(*byte));
    bytes.as_chunks::<BLOCK>().0.iter().take_while(is_plain).count() * BLOCK
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The number of bytes in a word before the first quote, backslash or control character.
fn first_special(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    // Set the highest bit of the first byte that fits. The bits above mean nothing, because subtractions carry.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let special = (is(b'"') | is(b'\\') | below(word, 0x20)) & HIGHEST;
    special.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Option<String>> {
        let mut keys = Vec::new();
        JsonScanner::lenient(text.as_bytes()).object(|scanner, key| {
            keys.push(key.text().map(Cow::into_owned));
            scanner.value()
        });
        keys
    }

    #[test]
    fn keys_are_decoded() {
        let decoded = ["a\n", "é", ""].map(|key| Some(key.to_owned()));
        assert_eq!(keys(r#" {"\u0061\n":1, "é" :{"x":2},"":[]}"#), decoded);
        assert_eq!(keys(r#"{"\ud800":1,"a":2}"#), [None, Some("a".to_owned())]);
    }

    #[test]
    fn a_lenient_scanner_finds_the_ends_of_values() {
        for (text, len) in [
            (r#""a\"b" c"#, 6),
            ("\"\t\u{0}\"]", 4),
            (r#"{"a":[}"}"]} ]"#, 11),
            ("-1.5e+3,", 7),
            ("nul}", 3),
            (r#" [" \\"]"#, 8),
        ] {
            let mut scanner = JsonScanner::lenient(text.as_bytes());
            assert_eq!((scanner.value(), scanner.position()), (Some(()), len), "{text}");
        }
        for text in ["", "{", "\"", "\"\\", "\"\\\"", "]", "[\"]", ":"] {
            assert_eq!(JsonScanner::lenient(text.as_bytes()).value(), None, "{text}");
        }
    }

    #[test]
    fn special_bytes_are_found_at_each_position() {
        for at in 0..100 {
            for special in [b'"', b'\\', 0x1F, 0] {
                let mut bytes = vec![b'a'; 100];
                (bytes[at], bytes[(at + 1) % 100]) = (special, 0xFF);
                assert_eq!(plain_len(&bytes), at, "{special} at {at}");
            }
        }
        for plain in [b' ', b'!', b'#', b'[', b']', 0x7F, 0x80, 0xA2, 0xDC, 0xFF] {
            assert_eq!(plain_len(&[plain; 77]), 77, "{plain}");
        }
    }
}
