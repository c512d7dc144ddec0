//! Finds the bytes of values in a JSON document, without parsing the rest of it.
//!
//! A patch replaces exactly these bytes, so that everything else reaches the peer as it was written. The search
//! looks at keys on the way to a wanted value only, and skips other values.

use std::ops::Range;

use towline_event::JsonScanner;

use super::path::{Path, Segment};

/// Maximum number of paths of one search: one bit each.
pub(crate) const MAX_PATHS: usize = u64::BITS as usize;

/// The bytes of the value at each of `paths` (at most [`MAX_PATHS`]), in the order of `paths`.
///
/// Of equal keys in an object, the last one counts, as in most JSON parsers. Malformed text may give any result,
/// or `None` where the scanner notices.
pub(crate) fn find(text: &[u8], paths: &[Path]) -> Option<Box<[Option<Range<usize>>]>> {
    debug_assert!(paths.len() <= MAX_PATHS);
    let mut found = vec![None; paths.len()].into_boxed_slice();
    let all = if paths.len() == MAX_PATHS { u64::MAX } else { (1 << paths.len()) - 1 };
    let mut scanner = JsonScanner::lenient(text);
    Search { paths, found: &mut found }.value(&mut scanner, all, 0)?;
    scanner.end()?;
    Some(found)
}

/// The elements of the array in `text`; `None` if it is not an array.
pub(crate) fn elements(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut elements = Vec::new();
    let mut scanner = JsonScanner::lenient(text);
    scanner.array(|scanner| {
        let start = scanner.position();
        scanner.value()?;
        elements.push(start..scanner.position());
        Some(())
    })?;
    scanner.end()?;
    Some(elements)
}

struct Search<'a> {
    paths: &'a [Path],
    found: &'a mut [Option<Range<usize>>],
}

impl Search<'_> {
    /// Reads a value. `active`: the paths whose first `depth` segments lead to it.
    fn value(&mut self, scanner: &mut JsonScanner<'_>, active: u64, depth: usize) -> Option<()> {
        let start = scanner.position();
        let longer = self.select(active, |path| path.segment(depth).is_some());
        match scanner.peek()? {
            b'{' if longer != 0 => self.object(scanner, longer, depth)?,
            b'[' if longer != 0 => self.array(scanner, longer, depth)?,
            _ => scanner.value()?,
        }
        for index in bits(active & !longer) {
            self.found[index] = Some(start..scanner.position());
        }
        Some(())
    }

    fn object(&mut self, scanner: &mut JsonScanner<'_>, active: u64, depth: usize) -> Option<()> {
        scanner.object(|scanner, key| {
            let key = key.text();
            let is_key = |segment: &Segment| key.as_deref() == Some(&*segment.key);
            let inside = self.select(active, |path| path.segment(depth).is_some_and(is_key));
            self.inner(scanner, inside, depth)
        })
    }

    fn array(&mut self, scanner: &mut JsonScanner<'_>, active: u64, depth: usize) -> Option<()> {
        let mut position = 0;
        scanner.array(|scanner| {
            let inside = self.select(active, |path| is_position(path.segment(depth), position));
            position += 1;
            self.inner(scanner, inside, depth)
        })
    }

    /// Reads a value inside an object or array. Recursion is as deep as the longest path.
    fn inner(&mut self, scanner: &mut JsonScanner<'_>, active: u64, depth: usize) -> Option<()> {
        if active == 0 {
            return scanner.value();
        }
        for index in bits(active) {
            self.found[index] = None;
        }
        self.value(scanner, active, depth + 1)
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
    use crate::json::token;

    const PATHS: [&str; 8] = ["a", "a.b", "a.0", "b.1.a", "id", "params.subscription", "", "é\"."];

    fn found<'a>(text: &'a str, path: &str) -> Option<&'a str> {
        let found = find(text.as_bytes(), &[Path::new(path)])?;
        found[0].clone().map(|span| &text[span])
    }

    #[test]
    fn values_are_found_by_key_and_position() {
        let text = r#" {"id" : 7, "params":{"subscription":"0x1","result":[{"a":"]}"}, 5]} , "x":{}} "#;
        assert_eq!(found(text, "id"), Some("7"));
        assert_eq!(found(text, "params.subscription"), Some(r#""0x1""#));
        assert_eq!(found(text, "params.result.0.a"), Some(r#""]}""#));
        assert_eq!(found(text, "params.result.1"), Some("5"));
        assert_eq!(found(text, "params.result.2"), None);
        assert_eq!(found(text, "x"), Some("{}"));
        assert_eq!(found(text, "id.x"), None);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(found(r#"{"a":1,"a":2}"#, "a"), Some("2"));
        assert_eq!(found(r#"{"a":{"b":1},"a":2}"#, "a.b"), None);
        assert_eq!(found(r#"{"a":{"b":1},"a":{"b":[]}}"#, "a.b"), Some("[]"));
        assert_eq!(found(r#"{"a":1,"\u0061":2}"#, "a"), Some("2"));
    }

    #[test]
    fn text_after_the_document_is_refused() {
        for text in ["{}{}", "", "{", "[1,]x", r#"{"a""#, r#""\"#, "{]", "]", "{\"a\":}"] {
            assert_eq!(find(text.as_bytes(), &[Path::new("a.b")]), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_not_recurse() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(found(&text, "b").is_none());
        assert_eq!(found(&text, "a").map(str::len), Some(1 << 21));
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
            let found = find(text.as_bytes(), &paths).unwrap();
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
            let _ = find(&bytes, &PATHS.map(Path::new));
            let _ = elements(&bytes);
            let _ = token::canonical(&bytes);
        }
    }
}
