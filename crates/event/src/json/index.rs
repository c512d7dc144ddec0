//! Checks JSON text in one pass, and notes the fields of the outermost object on the way.
//!
//! It accepts exactly the texts that [`parse::check`](super::parse::check) accepts (property test below), so a text that
//! it accepts can be parsed. It has no error texts: those of serde_json are shown to clients.

use std::{borrow::Cow, ops::Range};

use super::scanner::{JsonKey, JsonScanner};

/// Maximum number of fields that are noted; of an object with more fields, none is. Messages have fewer fields at their
/// outermost level, and each takes 16 bytes.
const FIELDS_MAX: usize = 64;

/// The number of fields for which memory is allocated at once: most messages have no more.
const FIELDS_USUAL: usize = 8;

/// The fields of the outermost object of a document, in order.
///
/// A document that is not an object has none, nor has an object with too many fields, or with escapes in a key.
#[derive(Debug, Default)]
pub(crate) struct Index(Option<Vec<Field>>);

/// A field: its key without quotes, and its value, each as start and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    key: (u32, u32),
    value: (u32, u32),
}

// === impl Index ===

impl Index {
    /// Checks a document. `None` if the text is not one JSON document, or nests too deeply.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut scanner = JsonScanner::strict(text.as_bytes());
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return scanner.end().map(|()| Self(None));
        }
        let mut index = Self::new();
        scanner.object(|scanner, key| {
            let start = scanner.position();
            scanner.value()?;
            index.add(key.range(), key.is_escaped(), start..scanner.position());
            Some(())
        })?;
        scanner.end().map(|()| index)
    }

    /// The index of an object, to which the fields are added in their order.
    pub(crate) fn new() -> Self {
        Self(Some(Vec::with_capacity(FIELDS_USUAL)))
    }

    /// Adds a field: its key without quotes, whether that has escapes, and its value.
    pub(crate) fn add(&mut self, key: Range<usize>, is_escaped: bool, value: Range<usize>) {
        let Some(fields) = &mut self.0 else { return };
        // The places in a text of 4 GiB or more do not fit.
        if is_escaped || fields.len() == FIELDS_MAX || u32::try_from(value.end).is_err() {
            self.0 = None;
        } else {
            fields.push(Field { key: short(&key), value: short(&value) });
        }
    }

    /// The memory of the fields in bytes.
    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |fields| fields.capacity() * size_of::<Field>())
    }

    /// The fields of the outermost object; `None` if they are not noted.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        self.0.as_deref()
    }
}

fn short(range: &Range<usize>) -> (u32, u32) {
    (range.start as u32, range.end as u32)
}

// === impl Field ===

impl Field {
    /// The key as it is written, which is the key itself: it has no escapes.
    pub(crate) fn key<'t>(&self, text: &'t str) -> &'t str {
        &text[self.key.0 as usize..self.key.1 as usize]
    }

    /// The text of the value.
    pub(crate) fn value<'t>(&self, text: &'t str) -> &'t str {
        &text[self.value.0 as usize..self.value.1 as usize]
    }
}

/// Calls `field` with each field of an object in turn: its key, and the text of its value. The text must be that of a
/// JSON object, with nothing before it; other texts have no fields.
pub(crate) fn each_field<'t>(text: &'t str, mut field: impl FnMut(Cow<'t, str>, &'t str)) {
    // What follows an error, which does not occur in a checked text, has no fields.
    let _ = JsonScanner::lenient(text.as_bytes()).object(|scanner, key: JsonKey<'t>| {
        let start = scanner.position();
        scanner.value()?;
        field(key.text()?, &text[start..scanner.position()]);
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{parse, scanner::DEPTH_MAX};

    fn fields(text: &str) -> Vec<(String, String)> {
        let mut list = Vec::new();
        each_field(text, |key, value| list.push((key.into_owned(), value.to_owned())));
        list
    }

    #[test]
    fn fields_of_the_outermost_object_are_noted() {
        let text = " {\"a\" : [1, {\"b\":2}] ,\"c\":\"d\\\"\",\"a\":{}} ";
        let noted = Index::of(text).unwrap();
        let noted: Vec<_> =
            noted.fields().unwrap().iter().map(|field| (field.key(text), field.value(text))).collect();
        assert_eq!(noted, [("a", "[1, {\"b\":2}]"), ("c", "\"d\\\"\""), ("a", "{}")]);
        for text in ["[{}]", "1", "{\"\\u0061\":1}"] {
            assert!(Index::of(text).unwrap().fields().is_none(), "{text}");
        }
        assert!(Index::of("{}").unwrap().fields().unwrap().is_empty());
        let many = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(","));
        let noted = |count: usize| Index::of(&many(count)).unwrap().fields().map(<[Field]>::len);
        for count in [FIELDS_USUAL, FIELDS_USUAL + 1, FIELDS_MAX] {
            assert_eq!(noted(count), Some(count));
        }
        assert_eq!(noted(FIELDS_MAX + 1), None);
    }

    #[test]
    fn keys_with_escapes_are_decoded() {
        let expected = [("a\n".to_owned(), "1".to_owned()), ("b".to_owned(), "\"\\n\"".to_owned())];
        assert_eq!(fields(r#"{"\u0061\n":1, "b": "\n" }"#), expected);
        assert!(fields("[1]").is_empty());
    }

    #[test]
    fn the_limit_on_nesting_is_that_of_serde_json() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [DEPTH_MAX, DEPTH_MAX + 1] {
                let text = format!("{}1{}", open.repeat(depth as usize), close.repeat(depth as usize));
                assert_eq!(Index::of(&text).is_some(), depth == DEPTH_MAX);
                assert_eq!(parse::check(&text).is_ok(), depth == DEPTH_MAX);
            }
        }
    }

    fn scanners(text: &str) -> (JsonScanner<'_>, JsonScanner<'_>) {
        (JsonScanner::strict(text.as_bytes()), JsonScanner::lenient(text.as_bytes()))
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
            prop_assert_eq!(Index::of(&text).is_some(), parse::check(&text).is_ok(), "{}", text);
            // And with one character less.
            let mut less: Vec<char> = text.chars().collect();
            if !less.is_empty() {
                less.remove(at.index(less.len()));
            }
            let less: String = less.into_iter().collect();
            prop_assert_eq!(Index::of(&less).is_some(), parse::check(&less).is_ok(), "{}", less);
            // A lenient scanner finds the end of what a strict one accepts.
            for text in [text, less] {
                let (mut strict, mut lenient) = scanners(&text);
                if strict.value().and_then(|()| strict.end()).is_some() {
                    prop_assert!(lenient.value().and_then(|()| lenient.end()).is_some(), "{}", text);
                }
            }
        }

        #[test]
        fn any_text_is_accepted_by_both_or_by_neither(text in r#"[\[\]{}",:0-9eE.\\u +-]{0,40}|\PC{0,20}"#) {
            prop_assert_eq!(Index::of(&text).is_some(), parse::check(&text).is_ok());
        }

        #[test]
        fn fields_are_those_of_the_parsed_record(text in nearly_json()) {
            if let Ok(crate::Value::Record(record)) = parse::parse(&text) {
                let text = text.trim_matches([' ', '\n', '\t', '\r']);
                let mut found = crate::Record::new();
                each_field(text, |key, value| {
                    found.insert(key.into_owned().into(), parse::parse(value).unwrap());
                });
                prop_assert_eq!(&found, &*record);
                if let Some(fields) = Index::of(text).unwrap().fields() {
                    let noted: Vec<_> = fields.iter().map(|field| (field.key(text), field.value(text))).collect();
                    let mut each = Vec::new();
                    each_field(text, |key, value| each.push((key, value)));
                    prop_assert!(noted.iter().zip(&each).all(|(a, b)| *a == (&*b.0, b.1)) && noted.len() == each.len());
                }
            }
        }
    }
}
