//! Finds the values of secret keys in JSON, and secrets in its strings, without building a tree. It accepts incomplete
//! JSON, and JSON behind other text.

use std::ops::Range;

use super::{
    Redaction,
    edits::Edits,
    normal,
    pairs::{Inside, Pairs},
    unescape::Unescaped,
};
use crate::event::JsonScanner;

/// The depth to which paths are followed. Keys are found at any depth.
const DEPTH_MAX: usize = 128;

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A document of JSON.
    Json,
    /// Another text, which may contain JSON.
    Other,
}

impl TextKind {
    pub(super) fn of(text: &str) -> Self {
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Self::Json,
            Err(_) => Self::Other,
        }
    }
}

/// Finds what is masked in a text. `nesting` is the number of texts within texts that are searched.
pub(super) fn find(text: &str, kind: TextKind, rules: &Redaction, nesting: u32, edits: &mut Edits) {
    let mut scan = Scan { text, kind, rules, nesting, at: 0, levels: Vec::new(), depth: 0, edits };
    scan.run();
}

struct Scan<'a> {
    text: &'a str,
    kind: TextKind,
    rules: &'a Redaction,
    nesting: u32,
    at: usize,
    /// The open brackets.
    levels: Vec<Level>,
    /// The number of open brackets, also of those beyond `DEPTH_MAX`.
    depth: usize,
    edits: &'a mut Edits,
}

/// An open bracket.
struct Level {
    /// The last key in it.
    key: Option<String>,
    pairs: Pairs,
}

impl Scan<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth <= DEPTH_MAX {
                        let inside = if *byte == b'{' { Inside::Object } else { Inside::List };
                        self.levels.push(Level { key: None, pairs: Pairs::new(inside) });
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.levels.truncate(self.depth);
                    self.at += 1;
                }
                b',' => {
                    let end = self.text[..self.at].trim_end().len();
                    if let Some(pairs) = self.pairs() {
                        pairs.comma(end);
                    }
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' if self.kind == TextKind::Json => self.number(),
                _ => self.at += 1,
            }
        }
    }

    /// Handles a string: a key if a colon follows, otherwise a value.
    fn string(&mut self) {
        let start = self.at;
        let complete_end = complete_end(self.text, start);
        let end = complete_end.unwrap_or(self.text.len());
        let content = start + 1..complete_end.map_or(end, |end| end - 1);
        let after = self.skip_space(end);
        self.at = end;
        if complete_end.is_some() && self.text.as_bytes().get(after) == Some(&b':') {
            self.at = after + 1;
            let key = Unescaped::new(&self.text[content.clone()]).text;
            let value = self.skip_space(after + 1);
            let is_paired = self.pairs().is_some_and(|pairs| pairs.key(&key, value));
            if self.is_masked(&key) || is_paired {
                // Other quotes are handled with the fields.
                if !self.text[value..].starts_with(['\'', '`']) {
                    self.at = value_end(self.text, value);
                    self.edits.mask_value(value..self.at);
                }
            }
        } else if self.pairs().is_some_and(|pairs| pairs.wants_string()) {
            let value = Unescaped::new(&self.text[content.clone()]).text;
            let rules = self.rules;
            let masked = self.pairs().and_then(|pairs| pairs.string(&value, start..end, rules));
            if let Some(masked) = masked {
                self.edits.mask_value(masked);
            }
        }
        self.within(content);
    }

    /// The names and values of the innermost bracket; `None` beyond `DEPTH_MAX`.
    fn pairs(&mut self) -> Option<&mut Pairs> {
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.levels.last_mut().map(|level| &mut level.pairs)
    }

    /// Searches the content of a string.
    fn within(&mut self, content: Range<usize>) {
        let text = &self.text[content.clone()];
        // Only a string with an escape can contain a string of JSON.
        if !text.contains('\\') {
            return self.rules.find_plain(text, TextKind::Other, content.start, self.edits);
        }
        let unescaped = Unescaped::new(text);
        match self.nesting.checked_sub(1) {
            Some(nesting) => {
                let mut inner = Edits::default();
                self.rules.find(&unescaped.text, nesting, &mut inner);
                self.edits.add_unescaped(inner, &unescaped, content.start);
            }
            // What cannot be examined is not shown.
            None => self.edits.mask(content),
        }
    }

    /// Handles a number, which a pattern may match.
    fn number(&mut self) {
        let end = value_end(self.text, self.at);
        if self.rules.has_match(&self.text[self.at..end]) {
            self.edits.mask_value(self.at..end);
        }
        self.at = end;
    }

    /// Notes the key, and returns whether its value is masked.
    fn is_masked(&mut self, key: &str) -> bool {
        if self.rules.has_key(key) {
            return true;
        }
        if !self.rules.has_paths() || self.depth > DEPTH_MAX {
            return false;
        }
        if let Some(last) = self.levels.last_mut() {
            last.key = Some(normal(key));
        }
        let path: Vec<_> = self.levels.iter().filter_map(|level| level.key.clone()).collect();
        self.rules.has_path(&path)
    }

    fn skip_space(&self, from: usize) -> usize {
        let space = self.text.as_bytes()[from..].iter().take_while(|byte| byte.is_ascii_whitespace());
        from + space.count()
    }
}

/// The end of the string, array or object that begins at `start`; `None` if it is incomplete.
fn complete_end(text: &str, start: usize) -> Option<usize> {
    let mut scanner = JsonScanner::lenient(&text.as_bytes()[start..]);
    scanner.value().map(|()| start + scanner.position())
}

/// The end of the value that begins at `start`. An incomplete value ends with the text.
pub(super) fn value_end(text: &str, start: usize) -> usize {
    let rest = &text.as_bytes()[start..];
    if let Some(b'"' | b'{' | b'[') = rest.first() {
        return complete_end(text, start).unwrap_or(text.len());
    }
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
    rest.iter().position(ends).map_or(text.len(), |length| start + length)
}
