//! Finds the values of secret keys in texts that are no JSON: fields such as `password=x` and `Cookie: a=b`, and elements
//! of XML.
//!
//! # Security
//! Where it is not clear how far a value goes, more of the text is masked, not less.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{Redaction, json::value_end, normal};

/// The length to which a key is looked for before a separator, in bytes.
const KEY_MAX: usize = 256;

/// The number of words that a key may have, such as `api key`.
const KEY_WORDS_MAX: usize = 3;

/// Ends of keys whose values go to the end of the line.
const LINE_KEYS: &[&str] = &["authorization", "cookie", "passcode"];

/// The next field, with what separates it from the value before.
static NEXT_FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"[\s,;&]\s*["']?[A-Za-z_][\w.-]{0,63}["'\]]?\s*[:=]"#).ok());

/// An element of XML with its text.
static ELEMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)(?:\s[^<>]*)?>(?:<!\[CDATA\[)?([^<]+)").ok()
});

/// A key before a separator.
struct Key {
    normal: String,
    /// Whether it begins its line.
    begins_line: bool,
}

/// The line of the last value. It is looked at once for all of its fields, so that the time is linear.
#[derive(Default)]
struct Line {
    end: usize,
    /// Whether the line may be a form, whose fields have `&` between them.
    has_ampersand: bool,
}

/// Finds the values of secret keys.
pub(super) fn find(text: &str, rules: &Redaction, mut mask: impl FnMut(Range<usize>)) {
    let (mut at, mut line) = (0, Line::default());
    while let Some(found) = memchr::memchr2(b':', b'=', &text.as_bytes()[at..]) {
        let separator = at + found;
        let signs = text[separator..].trim_start_matches([':', '=', '>']);
        let value = text.len() - signs.trim_start().len();
        at = value;
        let Some(key) = secret_key(text, separator, rules) else { continue };
        line.move_to(text, value);
        let range = value_range(text, value, separator, &key, &line);
        at = at.max(range.end);
        mask(range);
    }
    elements(text, rules, mask);
}

impl Line {
    /// Makes it the line of this place.
    fn move_to(&mut self, text: &str, at: usize) {
        if at < self.end {
            return;
        }
        let rest = &text.as_bytes()[at..];
        self.end = at + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        self.has_ampersand = memchr::memchr(b'&', &text.as_bytes()[at..self.end]).is_some();
    }
}

/// The key before a separator, if its values are masked.
fn secret_key(text: &str, separator: usize, rules: &Redaction) -> Option<Key> {
    let begin = text.floor_char_boundary(separator.saturating_sub(KEY_MAX));
    let before = text[begin..separator].trim_end();
    let key = |start: usize, key: &str| {
        if !rules.has_key(key) {
            return None;
        }
        let indent = |letter: char| {
            letter != '\n' && letter.is_whitespace() || matches!(letter, '-' | '*' | '>' | '"' | '\'')
        };
        let line = text[..begin + start].trim_end_matches(indent);
        let begins_line = line.is_empty() || line.ends_with('\n');
        Some(Key { normal: normal(key), begins_line })
    };
    if let Some(quote @ ('"' | '\'' | '`')) = before.chars().next_back() {
        let content = before[..before.len() - 1].trim_end_matches('\\');
        if let Some(found) = content.rfind(quote).and_then(|start| key(start, &content[start + 1..])) {
            return Some(found);
        }
    }
    let words = before.trim_end_matches(['"', '\'', '`', '\\', ']', ')']);
    let words = ["%5D", "%5d"].iter().find_map(|bracket| words.strip_suffix(bracket)).unwrap_or(words);
    let mut start = words.len();
    for _ in 0..KEY_WORDS_MAX {
        let rest = words[..start].trim_end_matches([' ', '\t']);
        let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        start = rest.trim_end_matches(is_letter).len();
        // The hexadecimal digits of an encoded bracket.
        let is_encoded = rest[..start].ends_with('%') && words[start..].len() > 2;
        let skipped = start + if is_encoded { 2 } else { 0 };
        let found = words.get(skipped..).and_then(|words| key(start, words));
        if found.is_some() || start == rest.len() {
            return found;
        }
    }
    None
}

/// The range of the value that begins at `start`.
fn value_range(text: &str, start: usize, separator: usize, key: &Key, line: &Line) -> Range<usize> {
    let value = &text[start..];
    // A prefix as in `b'x'`.
    let prefix = usize::from(value.starts_with(['b', 'B', 'r', 'R', 'u', 'U', 'f', 'F']));
    for skipped in [0, prefix] {
        let quoted = &value[skipped..];
        if let Some(quote @ ('"' | '\'' | '`')) = quoted.chars().next() {
            let content = start + skipped + 1;
            return content..content + quoted_length(&quoted[1..], quote);
        }
    }
    // Quotes of a string within a string.
    let slashes = value.len() - value.trim_start_matches('\\').len();
    if slashes > 0 && value[slashes..].starts_with(['"', '\'', '`']) {
        let (quote, content) = value.split_at(slashes + 1);
        let length = content.find(quote).unwrap_or(content.len());
        return start + quote.len()..start + quote.len() + length;
    }
    if value.starts_with(['{', '[']) {
        return start..value_end(text, start);
    }
    let is_form = text[separator..].starts_with('=') && line.has_ampersand;
    if LINE_KEYS.iter().any(|end| key.normal.ends_with(end)) || key.begins_line && !is_form {
        return start..line.end;
    }
    let next = NEXT_FIELD.as_ref().and_then(|next| Some(start + next.find(&text[start..line.end])?.start()));
    start..next.unwrap_or(line.end)
}

/// The length of a text up to the closing quote. A quote with a backslash, or twice, does not close.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at;
        }
    }
    text.len()
}

/// Finds elements of XML. The text of `auth` is a credential of SASL.
fn elements(text: &str, rules: &Redaction, mut mask: impl FnMut(Range<usize>)) {
    let Some(element) = ELEMENT.as_ref().filter(|_| text.contains('<')) else { return };
    for found in element.captures_iter(text) {
        let is_secret = |name: &str| name.eq_ignore_ascii_case("auth") || rules.has_key(name);
        if let (Some(name), Some(content)) = (found.get(1), found.get(2))
            && is_secret(name.as_str())
        {
            mask(content.range());
        }
    }
}
