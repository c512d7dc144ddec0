//! Finds the bytes of values in a JSON document, without parsing the rest of it.
//!
//! A patch replaces exactly these bytes, so that everything else reaches the peer as it was written. The scan
//! looks at keys on the way to a wanted value only; it skips other values by their brackets and quotes.

use std::{borrow::Cow, ops::Range};

use memchr::memchr2;

use super::path::{Path, Segment};

/// Paths per scan: one bit each.
pub(crate) const MAX_PATHS: usize = u64::BITS as usize;

/// The bytes of the value at each of `paths` (at most [`MAX_PATHS`]), in the order of `paths`.
///
/// Of equal keys in an object, the last one counts, as in most JSON parsers. Malformed text may give any result,
/// or `None` where the scan notices.
pub(crate) fn scan(text: &[u8], paths: &[Path]) -> Option<Box<[Option<Range<usize>>]>> {
    debug_assert!(paths.len() <= MAX_PATHS);
    let mut found = vec![None; paths.len()].into_boxed_slice();
    let all = if paths.len() == MAX_PATHS { u64::MAX } else { (1 << paths.len()) - 1 };
    let mut scanner = Scanner { text, at: 0, paths, found: &mut found };
    scanner.value(all, 0)?;
    scanner.end()?;
    Some(found)
}

/// The elements of the array that `text` is; `None` when it is not an array.
pub(crate) fn elements(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut scanner = Scanner { text, at: 0, paths: &[], found: &mut [] };
    scanner.space();
    if scanner.peek()? != b'[' {
        return None;
    }
    let mut elements = Vec::new();
    scanner.array(|scanner, _| {
        let start = scanner.at;
        scanner.skip()?;
        elements.push(start..scanner.at);
        Some(())
    })?;
    scanner.end()?;
    Some(elements)
}

/// The content of the JSON string `token`; `None` when it is not a string.
pub(crate) fn decoded(token: &[u8]) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice::<String>(token).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// One way to write `token`: equal ids are equal bytes, whatever escapes their writer used.
pub(crate) fn canonical(token: &[u8]) -> Cow<'_, [u8]> {
    if token.first() == Some(&b'"') && token.contains(&b'\\') {
        let text = decoded(token).and_then(|text| serde_json::to_vec(text.as_ref()).ok());
        return text.map_or(Cow::Borrowed(token), Cow::Owned);
    }
    Cow::Borrowed(token)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    paths: &'a [Path],
    found: &'a mut [Option<Range<usize>>],
}

impl Scanner<'_> {
    /// One value. `active`: the paths whose first `depth` segments lead here.
    fn value(&mut self, active: u64, depth: usize) -> Option<()> {
        let start = self.at_value();
        let longer = self.select(active, |path| path.segment(depth).is_some());
        match self.peek()? {
            b'{' if longer != 0 => self.object(longer, depth)?,
            b'[' if longer != 0 => self.array(|scanner, position| {
                let inside = scanner.select(longer, |path| is_position(path.segment(depth), position));
                scanner.inner(inside, depth)
            })?,
            _ => self.skip()?,
        }
        for index in bits(active & !longer) {
            self.found[index] = Some(start..self.at);
        }
        Some(())
    }

    /// A value inside an object or array. Recursion is as deep as the longest path.
    fn inner(&mut self, active: u64, depth: usize) -> Option<()> {
        if active == 0 {
            return self.skip();
        }
        for index in bits(active) {
            self.found[index] = None;
        }
        self.value(active, depth + 1)
    }

    fn object(&mut self, active: u64, depth: usize) -> Option<()> {
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let start = self.at;
            self.string()?;
            let key = decoded(&self.text[start..self.at]);
            let is_key = |segment: &Segment| key.as_deref() == Some(&*segment.key);
            let inside = self.select(active, |path| path.segment(depth).is_some_and(is_key));
            self.space();
            self.expect(b':')?;
            self.at_value();
            self.inner(inside, depth)?;
            if self.is_last(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        for position in 0.. {
            self.at_value();
            element(self, position)?;
            if self.is_last(b']')? {
                break;
            }
        }
        Some(())
    }

    /// Moves behind a value of any kind.
    fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' | b'[' => self.brackets(),
            _ => self.literal(),
        }
    }

    fn brackets(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            self.at += memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += length;
        (length > 0).then_some(())
    }

    /// Whether the container ends here; otherwise moves behind the comma.
    fn is_last(&mut self, end: u8) -> Option<bool> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        (byte == end || byte == b',').then_some(byte == end)
    }

    fn at_value(&mut self) -> usize {
        self.space();
        self.at
    }

    fn space(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_space = |byte: &u8| b" \t\r\n".contains(byte);
        self.at += rest.iter().position(|byte| !is_space(byte)).unwrap_or(rest.len());
    }

    fn end(&mut self) -> Option<()> {
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek()? == byte;
        self.at += 1;
        is_there.then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn select(&self, active: u64, wanted: impl Fn(&Path) -> bool) -> u64 {
        bits(active).filter(|&index| wanted(&self.paths[index])).fold(0, |set, index| set | 1 << index)
    }
}

fn is_position(segment: Option<&Segment>, position: usize) -> bool {
    segment.is_some_and(|segment| segment.position == Some(position))
}

/// The positions of the bits in `set`, from the lowest.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (index < MAX_PATHS).then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::Value;

    use super::*;

    const PATHS: [&str; 8] = ["a", "a.b", "a.0", "b.1.a", "id", "params.subscription", "", "é\"."];

    fn find<'a>(text: &'a str, path: &str) -> Option<&'a str> {
        let found = scan(text.as_bytes(), &[Path::new(path)])?;
        found[0].clone().map(|span| &text[span])
    }

    #[test]
    fn values_are_found_by_key_and_position() {
        let text = r#" {"id" : 7, "params":{"subscription":"0x1","result":[{"a":"]}"}, 5]} , "x":{}} "#;
        assert_eq!(find(text, "id"), Some("7"));
        assert_eq!(find(text, "params.subscription"), Some(r#""0x1""#));
        assert_eq!(find(text, "params.result.0.a"), Some(r#""]}""#));
        assert_eq!(find(text, "params.result.1"), Some("5"));
        assert_eq!(find(text, "params.result.2"), None);
        assert_eq!(find(text, "x"), Some("{}"));
        assert_eq!(find(text, "id.x"), None);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(find(r#"{"a":1,"a":2}"#, "a"), Some("2"));
        assert_eq!(find(r#"{"a":{"b":1},"a":2}"#, "a.b"), None);
        assert_eq!(find(r#"{"a":{"b":1},"a":{"b":[]}}"#, "a.b"), Some("[]"));
        assert_eq!(find(r#"{"a":1,"\u0061":2}"#, "a"), Some("2"));
    }

    #[test]
    fn text_after_the_document_is_refused() {
        for text in ["{}{}", "", "{", "[1,]x", r#"{"a""#, r#""\"#, "{]", "]", "{\"a\":}"] {
            assert_eq!(scan(text.as_bytes(), &[Path::new("a.b")]), None, "{text}");
        }
    }

    #[test]
    fn equal_strings_are_one_id() {
        assert_eq!(canonical(br#""\u0061\/""#), canonical(br#""a/""#));
        assert_ne!(canonical(b"\"1\""), canonical(b"1"));
    }

    #[test]
    fn deep_nesting_does_not_recurse() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(find(&text, "b").is_none());
        assert_eq!(find(&text, "a").map(str::len), Some(1 << 21));
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f32>()
                .prop_filter("JSON has finite numbers", |n| n.is_finite())
                .prop_map(|n| n.to_string()),
            ".{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\ud83d\ude00\\\"\/""#.to_owned()),
        ];
        let key = prop_oneof![
            prop::sample::select(vec!["a", "b", "id", "params", "subscription", "0", "é\"", r"\"]),
            prop::sample::select(vec!["c", ""]),
        ];
        let key = (key, any::<bool>()).prop_map(|(key, escaped)| match (key, escaped) {
            ("a", true) => r#""\u0061""#.to_owned(),
            _ => serde_json::to_string(key).unwrap(),
        });
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                vec((key.clone(), inner), 0..5).prop_map(|pairs| {
                    let pairs: Vec<_> =
                        pairs.iter().map(|(key, value)| format!("{key} :\t{value}")).collect();
                    format!("{{ {} }}", pairs.join(","))
                }),
            ]
        })
    }

    fn expected<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
        let segments = path.split('.').filter(|_| !path.is_empty());
        segments.into_iter().try_fold(value, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            _ => value.get(key),
        })
    }

    proptest! {
        /// All paths at once find what a full parse finds.
        #[test]
        fn spans_are_those_of_a_full_parse(text in json()) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let paths = PATHS.map(Path::new);
            let found = scan(text.as_bytes(), &paths).unwrap();
            for (path, span) in PATHS.iter().zip(&found) {
                let got = span.clone().map(|span| serde_json::from_str::<Value>(&text[span]).unwrap());
                prop_assert_eq!(got.as_ref(), expected(&value, path), "{} in {}", path, text);
            }
        }

        #[test]
        fn elements_are_those_of_a_full_parse(text in json()) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let found = elements(text.as_bytes());
            prop_assert_eq!(found.is_some(), value.is_array());
            let parsed = found.into_iter().flatten().map(|span| serde_json::from_str::<Value>(&text[span]).unwrap());
            prop_assert_eq!(parsed.collect::<Vec<_>>(), value.as_array().cloned().unwrap_or_default());
        }

        #[test]
        fn no_bytes_make_the_scan_panic(bytes in vec(prop::sample::select(&b"{}[]\",:\\a0 .-tu\xff"[..]), 0..60)) {
            let _ = scan(&bytes, &PATHS.map(Path::new));
            let _ = elements(&bytes);
            let _ = canonical(&bytes);
        }
    }
}
