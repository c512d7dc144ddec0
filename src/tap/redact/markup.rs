//! Finds the values of secret keys in XML and HTML: elements such as `<password>x</password>`, and elements and
//! attributes next to the name of a secret, such as `<key>password</key><string>x</string>` and `<entry
//! name="password">x</entry>`. Attributes such as `password="x"` are fields.
//!
//! It accepts incomplete markup, and markup within other text.

use std::ops::Range;

use super::{
    Redaction,
    pairs::{is_name_key, is_secret_name, is_value_key},
};

/// An element that has no content and needs no end tag.
const EMPTY_ELEMENT: &str = "input";

/// Finds the ranges to mask.
pub(super) fn find(text: &str, rules: &Redaction, mask: impl FnMut(Range<usize>)) {
    if text.contains('<') {
        Scan { text, rules, mask, at: 0, last: None, is_named: false }.run();
    }
}

struct Scan<'a, F> {
    text: &'a str,
    rules: &'a Redaction,
    mask: F,
    at: usize,
    /// The last start tag, if nothing but text has followed: the element's name, and where its content begins.
    last: Option<(&'a str, usize)>,
    /// Whether the element that ended last has the name of a secret.
    is_named: bool,
}

/// A start tag.
struct StartTag<'a> {
    /// The name of the element, without its prefix.
    name: &'a str,
    /// Where the tag ends.
    end: usize,
    /// Whether the element ends with the tag.
    is_whole: bool,
    /// Whether an attribute is the name of a secret.
    is_named: bool,
    /// Whether an attribute is the namespace of SASL.
    is_sasl: bool,
    /// The values of attributes that belong to a name.
    values: Vec<Range<usize>>,
}

// === impl Scan ===

impl<'a, F: FnMut(Range<usize>)> Scan<'a, F> {
    fn run(&mut self) {
        while let Some(found) = memchr::memchr(b'<', &self.text.as_bytes()[self.at..]) {
            let start = self.at + found;
            self.at = start + 1;
            if self.text[self.at..].starts_with('/') {
                self.end_tag(start);
            } else if let Some(tag) = start_tag(self.text, start, self.rules) {
                self.element(tag);
            }
        }
    }

    /// Handles an end tag: the content of its element may be a name.
    fn end_tag(&mut self, start: usize) {
        let (name, _) = name(self.text, start + 2);
        let content = self.last.take().filter(|(last, _)| *last == name).map(|(_, begin)| begin..start);
        self.is_named = is_name_key(name)
            && content.is_some_and(|content| is_secret_name(self.text[content].trim(), self.rules));
    }

    fn element(&mut self, tag: StartTag<'a>) {
        let StartTag { name, end, is_whole, is_named, is_sasl, values } = tag;
        self.at = end;
        let was_named = std::mem::take(&mut self.is_named);
        let has_values = !values.is_empty();
        if is_named {
            values.into_iter().for_each(&mut self.mask);
        }
        // The texts of these are credentials of SASL.
        let is_sasl = name.eq_ignore_ascii_case("auth") || name.eq_ignore_ascii_case("response") && is_sasl;
        let is_secret = is_sasl || self.rules.has_key(name) || self.rules.has_plural(name);
        self.last = (!is_whole).then_some((name, end));
        if !is_whole && (is_secret || was_named || is_named && !has_values) {
            self.last = None;
            let content = end..content_end(self.text, end, name);
            self.at = content.end;
            (self.mask)(content);
        }
    }
}

/// The end of an element's content. Without an end tag, it is the end of the text.
fn content_end(text: &str, start: usize, element: &str) -> usize {
    let (mut at, mut depth) = (start, 1);
    while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[at..]) {
        let start = at + found;
        at = start + 1;
        let rest = &text[at..];
        if rest.starts_with("![CDATA[") {
            let Some(end) = rest.find("]]>") else { break };
            at += end;
        } else if rest.starts_with('/') {
            depth -= u32::from(name(text, at + 1).0 == element);
            if depth == 0 {
                return start;
            }
        } else if name(text, at).0 == element {
            let end = at + tag_length(rest);
            depth += u32::from(!text[..end].ends_with("/>"));
            at = end;
        }
    }
    text.len()
}

/// The length of the rest of a tag, up to the sign that ends it. A sign within quotes does not.
fn tag_length(rest: &str) -> usize {
    let mut quote = None;
    for (at, letter) in rest.char_indices() {
        match (letter, quote) {
            ('>', None) => return at + 1,
            ('<', None) => return at,
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed is a part of a text, such as an apostrophe.
    rest.find(['<', '>']).map_or(rest.len(), |at| at + usize::from(rest[at..].starts_with('>')))
}

/// The start tag whose sign is at `start`; `None` if it is not one.
fn start_tag<'a>(text: &'a str, start: usize, rules: &Redaction) -> Option<StartTag<'a>> {
    let (name, mut at) = name(text, start + 1);
    if name.is_empty() {
        return None;
    }
    let mut tag = StartTag {
        name,
        end: text.len(),
        is_whole: false,
        is_named: false,
        is_sasl: false,
        values: Vec::new(),
    };
    loop {
        at = skip(text, at, |letter| letter.is_whitespace() || letter == '/');
        match text[at..].chars().next() {
            Some('>') => {
                tag.end = at + 1;
                tag.is_whole = text[..at].ends_with('/') || name.eq_ignore_ascii_case(EMPTY_ELEMENT);
                return Some(tag);
            }
            Some('<') | None => {
                tag.end = at;
                return Some(tag);
            }
            Some(letter) => {
                let key = at..skip(text, at, is_part_of_key);
                at = if key.is_empty() { at + letter.len_utf8() } else { key.end };
                let Some(value) = attribute_value(text, at) else { continue };
                tag.is_sasl |= text[value.clone()].ends_with("xmpp-sasl");
                let key = text[key].rsplit(':').next().unwrap_or_default();
                if is_name_key(key) {
                    tag.is_named |= is_secret_name(&text[value.clone()], rules);
                } else if is_value_key(key) {
                    tag.values.push(value.clone());
                }
                let quotes = text[value.end..].starts_with(['"', '\'']);
                at = value.end + usize::from(quotes);
            }
        }
    }
}

/// The value of the attribute whose name ends here. One without its closing quote goes to the end of the tag.
fn attribute_value(text: &str, from: usize) -> Option<Range<usize>> {
    let sign = skip(text, from, char::is_whitespace);
    let after = text[sign..].strip_prefix('=')?;
    let start = text.len() - after.trim_start().len();
    let end = |at: usize, ends: fn(char) -> bool| text[at..].find(ends).map_or(text.len(), |end| at + end);
    Some(match text[start..].chars().next() {
        Some('"') => start + 1..end(start + 1, |letter| matches!(letter, '"' | '<')),
        Some('\'') => start + 1..end(start + 1, |letter| matches!(letter, '\'' | '<')),
        _ => start..end(start, |letter| letter.is_whitespace() || matches!(letter, '>' | '<')),
    })
}

/// The name that begins here, without its prefix, and where it ends.
fn name(text: &str, start: usize) -> (&str, usize) {
    let is_first = |letter: char| letter.is_alphabetic() || letter == '_';
    let Some(rest) = text.get(start..).filter(|rest| rest.starts_with(is_first)) else { return ("", start) };
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | ':');
    let whole = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
    (whole.rsplit(':').next().unwrap_or_default(), start + whole.len())
}

fn is_part_of_key(letter: char) -> bool {
    !letter.is_whitespace() && !matches!(letter, '=' | '>' | '<' | '/')
}

fn skip(text: &str, from: usize, is_skipped: fn(char) -> bool) -> usize {
    text[from..].find(|letter| !is_skipped(letter)).map_or(text.len(), |length| from + length)
}
