//! Checks JSON text in one pass, and finds the fields of an object on the way.
//!
//! It accepts exactly the texts that [`json::check`](super::json::check) accepts (property test there), so a text that
//! it accepts can be parsed. It has no error texts: those of serde_json are shown to clients.

use std::{borrow::Cow, ops::Range};

/// Maximum nesting of arrays and objects, the same as that of serde_json.
pub(crate) const DEPTH_MAX: u32 = 127;

/// Maximum number of fields of a document that are noted; of larger objects, none is. Messages have fewer fields at
/// their outermost level, and the notes take 16 bytes each.
const FIELDS_MAX: usize = 64;

/// Where a field of the outermost object is: its key without quotes, and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    key: (u32, u32),
    value: (u32, u32),
}

/// A key without its quotes, as it is written.
struct Key {
    range: Range<usize>,
    /// Whether it has escapes.
    escaped: bool,
}

/// Reads a text from its start to its end.
struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
}

/// Checks a document. Returns the fields of the outermost object; none of them when the document is not an object, has
/// too many fields, or has keys with escapes. `None` if the text is not one JSON document, or nests too deeply.
#[expect(clippy::option_option, reason = "a text that is refused, and one that has no list of fields")]
pub(crate) fn check(text: &str) -> Option<Option<Box<[Field]>>> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.space();
    if scanner.peek() != Some(b'{') {
        scanner.value(0)?;
        return scanner.end().map(|()| None);
    }
    let mut fields = Vec::with_capacity(8);
    let mut plain = u32::try_from(text.len()).is_ok();
    scanner.object(1, &mut |key, value| {
        plain &= !key.escaped && fields.len() < FIELDS_MAX;
        if plain {
            fields.push(Field { key: short(&key.range), value: short(&value) });
        }
    })?;
    scanner.end().map(|()| plain.then(|| fields.into()))
}

/// Calls `note` with each field of an object in turn: its key, and the text of its value. The text must be that of a
/// JSON object, without white space around it; other texts have no fields.
pub(crate) fn each_field<'t>(text: &'t str, mut note: impl FnMut(Cow<'t, str>, &'t str)) {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    if scanner.peek() == Some(b'{') {
        // What follows an error, which does not occur in a checked text, has no fields.
        let _ = scanner.object(1, &mut |key: Key, value| {
            let Range { start, end } = key.range;
            let decoded = if key.escaped { serde_json::from_str(&text[start - 1..=end]).ok() } else { None };
            let key = decoded.map_or(Cow::Borrowed(&text[start..end]), Cow::<str>::Owned);
            note(key, &text[value]);
        });
    }
}

fn short(range: &Range<usize>) -> (u32, u32) {
    // `check` notes no fields in a text that is longer than 32 bits can say.
    (range.start as u32, range.end as u32)
}

fn ignore(_: Key, _: Range<usize>) {}

// === impl Field ===

impl Field {
    /// The key as it is written, which is the key itself: keys with escapes are not noted.
    pub(crate) fn key<'t>(&self, text: &'t str) -> &'t str {
        &text[self.key.0 as usize..self.key.1 as usize]
    }

    /// The text of the value.
    pub(crate) fn value<'t>(&self, text: &'t str) -> &'t str {
        &text[self.value.0 as usize..self.value.1 as usize]
    }
}

// === impl Scanner ===

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether only white space follows.
    fn end(&mut self) -> Option<()> {
        self.space();
        self.peek().is_none().then_some(())
    }

    /// Reads a value in `depth` arrays and objects.
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object(depth + 1, &mut ignore),
            b'[' => self.array(depth + 1),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: u32, note: &mut impl FnMut(Key, Range<usize>)) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at + 1;
            let escaped = self.string()?;
            let key = Key { range: start..self.at - 1, escaped };
            self.space();
            self.expect(b':')?;
            self.space();
            let start = self.at;
            self.value(depth)?;
            note(key, start..self.at);
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads a string. Returns whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.next()? {
                b'"' => return Some(escaped),
                b'\\' => self.escape()?,
                // A control character.
                _ => return None,
            }
            escaped = true;
        }
    }

    /// Reads the rest of an escape. Half of a surrogate pair is refused.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex()? {
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    (0xDC00..=0xDFFF).contains(&self.hex()?).then_some(())
                }
                0xDC00..=0xDFFF => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let mut number = 0;
        for _ in 0..4 {
            number = number * 16 + char::from(self.next()?).to_digit(16)?;
        }
        Some(number)
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }
}

/// The number of bytes before the first quote, backslash or control character.
fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk() {
        let special = special(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Sets the highest bit of the first byte, from the lowest on, that is a quote, a backslash or a control character.
/// Returns 0 if there is no such byte. Ignore the bits above the lowest one: subtractions carry into them.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (is(b'"') | is(b'\\') | below(word, 0x20)) & HIGHEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    fn fields(text: &str) -> Vec<(String, String)> {
        let mut list = Vec::new();
        each_field(text, |key, value| list.push((key.into_owned(), value.to_owned())));
        list
    }

    #[test]
    fn fields_of_the_outermost_object_are_noted() {
        let text = " {\"a\" : [1, {\"b\":2}] ,\"c\":\"d\\\"\",\"a\":{}} ";
        let noted = check(text).unwrap().unwrap();
        let noted: Vec<_> = noted.iter().map(|field| (field.key(text), field.value(text))).collect();
        assert_eq!(noted, [("a", "[1, {\"b\":2}]"), ("c", "\"d\\\"\""), ("a", "{}")]);
        for text in ["[{}]", "1", "{\"\\u0061\":1}"] {
            assert!(check(text).unwrap().is_none(), "{text}");
        }
        assert!(check("{}").unwrap().unwrap().is_empty());
        let many = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(","));
        assert!(check(&many(FIELDS_MAX)).unwrap().is_some());
        assert!(check(&many(FIELDS_MAX + 1)).unwrap().is_none());
    }

    #[test]
    fn keys_with_escapes_are_decoded() {
        let expected = [("a\n".to_owned(), "1".to_owned()), ("b".to_owned(), "\"\\n\"".to_owned())];
        assert_eq!(fields(r#"{"\u0061\n":1, "b": "\n" }"#), expected);
        assert!(fields("[1]").is_empty());
    }

    #[test]
    fn special_bytes_are_found_at_each_position() {
        for at in 0..24 {
            for special in [b'"', b'\\', 0x1F, 0] {
                let mut bytes = vec![b'a'; 24];
                (bytes[at], bytes[(at + 1) % 24]) = (special, 0xFF);
                assert_eq!(plain_len(&bytes), at, "{special} at {at}");
            }
        }
        for plain in [b' ', b'!', b'#', b'[', b']', 0x7F, 0x80, 0xA2, 0xDC, 0xFF] {
            assert_eq!(plain_len(&[plain; 13]), 13, "{plain}");
        }
    }

    #[test]
    fn the_limit_on_nesting_is_that_of_serde_json() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [DEPTH_MAX, DEPTH_MAX + 1] {
                let text = format!("{}1{}", open.repeat(depth as usize), close.repeat(depth as usize));
                assert_eq!(check(&text).is_some(), depth == DEPTH_MAX);
                assert_eq!(json::check(&text).is_ok(), depth == DEPTH_MAX);
            }
        }
    }

    /// Texts that are JSON, or nearly.
    fn nearly_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?",
            r#""([a-zé !]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud8[0-9a-f]{2}\\udc[0-9a-f]{2}){0,12}""#,
            prop::sample::select(vec![
                "true",
                "false",
                "null",
                "nul",
                "01",
                "1.",
                "\"\\x\"",
                "\"\t\"",
                "\"\\ud800\""
            ])
            .prop_map(str::to_owned),
        ];
        let space = prop::sample::select(vec!["", "", "", " ", "\n\t\r "]);
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let spaced = (space.clone(), inner, space.clone()).prop_map(|(a, b, c)| format!("{a}{b}{c}"));
            let field =
                (r#""(a|b|\\u0061|\\n)""#, spaced.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
            prop_oneof![
                prop::collection::vec(spaced, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_accepts_the_texts_that_serde_json_accepts(text in nearly_json(), at in any::<prop::sample::Index>()) {
            prop_assert_eq!(check(&text).is_some(), json::check(&text).is_ok(), "{}", text);
            // And with one character less.
            let mut less: Vec<char> = text.chars().collect();
            if !less.is_empty() {
                less.remove(at.index(less.len()));
            }
            let less: String = less.into_iter().collect();
            prop_assert_eq!(check(&less).is_some(), json::check(&less).is_ok(), "{}", less);
        }

        #[test]
        fn any_text_is_accepted_by_both_or_by_neither(text in r#"[\[\]{}",:0-9eE.\\u +-]{0,40}|\PC{0,20}"#) {
            prop_assert_eq!(check(&text).is_some(), json::check(&text).is_ok());
        }

        #[test]
        fn fields_are_those_of_the_parsed_record(text in nearly_json()) {
            if let Ok(crate::Value::Record(record)) = json::parse(&text) {
                let text = text.trim_matches([' ', '\n', '\t', '\r']);
                let mut found = crate::Record::new();
                each_field(text, |key, value| {
                    found.insert(key.into_owned().into(), json::parse(value).unwrap());
                });
                prop_assert_eq!(&found, &*record);
                if let Some(fields) = check(text).unwrap() {
                    let noted: Vec<_> = fields.iter().map(|field| (field.key(text), field.value(text))).collect();
                    let mut each = Vec::new();
                    each_field(text, |key, value| each.push((key, value)));
                    prop_assert!(noted.iter().zip(&each).all(|(a, b)| *a == (&*b.0, b.1)) && noted.len() == each.len());
                }
            }
        }
    }
}
