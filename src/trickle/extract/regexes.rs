//! `re` and `rerg`: regular expressions with named captures.

use regex::{Regex, RegexBuilder};

use crate::event::{Record, Value};

/// The largest compiled expression, in bytes: what one of some pages needs.
pub(super) const REGEX_BYTES_MAX: usize = 1 << 20;

/// The longest text that all matches are looked for in: each of them may look at all that is left, so that
/// the time grows with the square of the length.
const ALL_BYTES_MAX: usize = 64 << 10;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Captures(Regex);

/// Compiles an expression, whose time is linear in what it is run over.
pub(super) fn regex(format: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(format).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| format!("is no regular expression: {error}"))
}

impl Captures {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        regex(format).map(Self)
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// `{"year":"2026"}`: the named captures of the first match; those that took no part are not there.
    pub(super) fn first(&self, text: &str) -> Option<Value> {
        let captures = self.0.captures(text)?;
        let named = self.0.capture_names().flatten();
        let pairs =
            named.filter_map(|name| Some((name.to_owned(), Value::string(captures.name(name)?.as_str()))));
        Some(Value::record(pairs))
    }

    /// `{"word":["a","b"]}`: the named captures of all matches, in a text of 64 KiB at most.
    pub(super) fn all(&self, text: &str) -> Option<Value> {
        if text.len() > ALL_BYTES_MAX {
            return None;
        }
        let names: Vec<&str> = self.0.capture_names().flatten().collect();
        let mut found = vec![Vec::new(); names.len()];
        let mut matched = false;
        for captures in self.0.captures_iter(text) {
            matched = true;
            for (name, list) in names.iter().zip(&mut found) {
                list.extend(captures.name(name).map(|part| Value::string(part.as_str())));
            }
        }
        let lists = names.into_iter().zip(found).filter(|(_, list)| !list.is_empty());
        let record: Record = lists.map(|(name, list)| (name.into(), Value::array(list))).collect();
        matched.then(|| Value::Record(record.into()))
    }
}
