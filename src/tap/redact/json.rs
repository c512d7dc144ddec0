//! Finds the values of secret keys in JSON, and secrets in its strings, without building a tree. It accepts incomplete
//! JSON, JSON after other text, and objects and lists of other languages, whose strings have other quotes.

use std::ops::Range;

use super::{
    Redaction,
    edits::{Edits, End},
    fields::quoted_length,
    normal,
    pairs::{Inside, Pairs},
    unescape::Unescaped,
};
use crate::event::JsonScanner;

/// The depth to which paths are followed. Keys are found at any depth.
const DEPTH_MAX: usize = 128;

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A JSON document.
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

/// Finds the secrets in a text. `nesting` is the number of texts within texts that are searched.
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
                _ if self.pairs().is_some_and(|pairs| pairs.has_name()) && self.list_value(*byte) => {}
                b'"' => {
                    let end = complete_end(self.text, self.at);
                    self.string(end.unwrap_or(self.text.len()), end.is_some());
                }
                b'\'' | b'`' if self.is_in_bracket() => match other_string_end(self.text, self.at) {
                    Some(end) => self.string(end, true),
                    None => self.at += 1,
                },
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
        if self.edits.end() == End::Unseen {
            self.mask_unnamed();
        }
    }

    /// Masks the values in open brackets whose names may follow.
    fn mask_unnamed(&mut self) {
        let unnamed: Vec<_> = self.levels.iter().flat_map(|level| level.pairs.unnamed()).collect();
        for (start, end) in unnamed {
            self.mask_range(start..end.unwrap_or(self.text.len()));
        }
    }

    /// Handles a value of a list after the name of a secret, unless it is a text. Returns whether there was one.
    fn list_value(&mut self, byte: u8) -> bool {
        let Some(rest) = self.text.get(self.at..) else { return false };
        match byte {
            b'"' | b'\'' | b'`' | b',' | b']' | b'}' => return false,
            _ if byte.is_ascii_whitespace() => return false,
            // The value may follow.
            b'n' if rest.starts_with("null") => {
                self.at += 4;
                return true;
            }
            _ => {}
        }
        if let Some(pairs) = self.pairs() {
            pairs.takes_value();
        }
        // The keys of an object are looked at one by one.
        if byte == b'{' {
            return false;
        }
        let start = self.at;
        self.at = value_end(self.text, start).max(start + 1);
        self.edits.mask_value(start..self.at);
        true
    }

    /// Whether strings in other quotes may be here: within brackets outside of documents of JSON.
    fn is_in_bracket(&self) -> bool {
        self.kind == TextKind::Other && self.depth > 0
    }

    /// Handles a string that ends at `end`: a key if a colon follows, otherwise a value.
    fn string(&mut self, end: usize, is_complete: bool) {
        let start = self.at;
        let content = start + 1..end - usize::from(is_complete);
        let after = self.skip_space(end);
        self.at = end;
        if is_complete && self.text.as_bytes().get(after) == Some(&b':') {
            self.at = after + 1;
            let key = Unescaped::new(&self.text[content.clone()]).text;
            let value = self.skip_space(after + 1);
            let is_paired = self.pairs().is_some_and(|pairs| pairs.key(&key, value));
            let is_plural = self.rules.has_plural(&key) && is_container(&self.text[value..]);
            if self.is_masked(&key) || is_paired || is_plural {
                self.mask_value(value);
            }
        } else if self.pairs().is_some_and(|pairs| pairs.wants_string()) {
            let value = Unescaped::new(&self.text[content.clone()]).text;
            let rules = self.rules;
            let masked = self.pairs().map(|pairs| pairs.string(&value, start..end, rules));
            masked.into_iter().flatten().for_each(|masked| self.mask_range(masked));
        }
        let end = if is_complete { End::Seen } else { self.edits.end() };
        self.within(content, end);
    }

    /// Masks the value that begins here.
    fn mask_value(&mut self, start: usize) {
        // A prefix as in `b'x'`.
        let prefix = self.text[start..].trim_start_matches(['b', 'r', 'u', 'f']);
        let start = if prefix.starts_with(['"', '\'', '`']) { self.text.len() - prefix.len() } else { start };
        self.at = match self.text[start..].chars().next() {
            Some(quote @ ('\'' | '`')) => {
                let length = quoted_length(&self.text[start + 1..], quote);
                self.text.len().min(start + length + 2)
            }
            _ => value_end(self.text, start),
        };
        self.mask_range(start..self.at);
    }

    /// Masks a value, and keeps its quotes if they are not those of JSON.
    fn mask_range(&mut self, range: Range<usize>) {
        let value = &self.text[range.clone()];
        match value.chars().next() {
            Some(quote @ ('\'' | '`')) => {
                let is_complete = value.len() > 1 && value.ends_with(quote);
                self.edits.mask(range.start + 1..range.end - usize::from(is_complete));
            }
            _ => self.edits.mask_value(range),
        }
    }

    /// The names and values of the innermost bracket; `None` beyond `DEPTH_MAX`.
    fn pairs(&mut self) -> Option<&mut Pairs> {
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.levels.last_mut().map(|level| &mut level.pairs)
    }

    /// Searches the content of a string.
    fn within(&mut self, content: Range<usize>, end: End) {
        let text = &self.text[content.clone()];
        // Only a string with an escape can contain a string of JSON.
        if !text.contains('\\') {
            self.rules.find_plain(text, TextKind::Other, (content.start, end), self.edits);
            return self.rules.find_encoded(text, self.nesting, (content.start, end), self.edits);
        }
        let unescaped = Unescaped::new(text);
        match self.nesting.checked_sub(1) {
            Some(nesting) => {
                let mut inner = Edits::new(end);
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

    /// Records the key, and returns whether its value is masked.
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

/// The end of the string of JSON that begins at `start`; `None` if it is incomplete.
fn complete_end(text: &str, start: usize) -> Option<usize> {
    let mut scanner = JsonScanner::lenient(&text.as_bytes()[start..]);
    scanner.value().map(|()| start + scanner.position())
}

/// Whether a value is a text, a list or an object.
pub(super) fn is_container(value: &str) -> bool {
    value.starts_with(['"', '\'', '`', '[', '{'])
}

/// The end of the string in other quotes that begins at `start`; `None` if the sign is an apostrophe. Such a string is
/// a key or a value: it follows a bracket, a comma or a colon, and precedes one.
fn other_string_end(text: &str, start: usize) -> Option<usize> {
    let quote = text[start..].chars().next()?;
    let before = text[..start].trim_end_matches(['b', 'r', 'u', 'f']).trim_end();
    if !before.ends_with(['{', '[', '(', ',', ':']) {
        return None;
    }
    let end = start + 1 + quoted_length(&text[start + 1..], quote) + 1;
    let after = text.get(end..)?.trim_start();
    (after.is_empty() || after.starts_with([',', ':', '}', ']', ')'])).then_some(end)
}

/// The end of the value that begins at `start`. An incomplete value ends with the text.
pub(super) fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(start) {
        Some(b'"') => complete_end(text, start).unwrap_or(text.len()),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (start, 0_usize);
            while let Some(byte) = bytes.get(at) {
                at = match byte {
                    b'"' => complete_end(text, at).unwrap_or(text.len()),
                    b'\'' | b'`' => other_string_end(text, at).unwrap_or(at + 1),
                    _ => at + 1,
                };
                match byte {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return at;
                }
            }
            text.len()
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            bytes[start..].iter().position(ends).map_or(text.len(), |length| start + length)
        }
    }
}
