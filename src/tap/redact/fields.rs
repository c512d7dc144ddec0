//! Finds the values of secret keys in texts other than JSON: fields such as `password=x` and `Cookie: a=b`, and fields
//! next to the name of a secret, such as `name: password` and `value: x`.
//!
//! # Security
//! If the end of a value is not certain, more of the text is masked, not less.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{
    Redaction,
    edits::End,
    json::{is_container, value_end},
    normal,
    pairs::{is_name_key, is_secret_name, is_value_key},
};

/// Maximum length of a key before a separator, in bytes.
const KEY_MAX: usize = 256;

/// Maximum number of words in a key, such as `api key`.
const KEY_WORDS_MAX: usize = 3;

/// Ends of keys whose values extend to the end of the line.
const LINE_KEYS: &[&str] = &["authorization", "cookie", "passcode"];

/// The next field, with what separates it from the value before.
static NEXT_FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"[ \t\r\n,;&][ \t\r\n]*["']?[A-Za-z_][A-Za-z0-9_.-]{0,63}["'\]]?[ \t\r\n]*[:=]"#).ok()
});

/// A name with its quotes.
static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\A["'`]?([A-Za-z0-9_./-]{1,64})["'`]?"#).ok());

/// What may follow a name.
static AFTER_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\A(?:[ \t\r\n]*(?:[,;&})\]/>\n]|\z)|[ \t\r\n]+["']?[A-Za-z_][A-Za-z0-9_.-]{0,63}["']?[ \t\r\n]*[:=])"#).ok()
});

/// A key before a separator.
struct Key {
    normal: String,
    /// The number of characters before it in its line, if only signs of a list and spaces are there.
    column: Option<usize>,
}

/// The line of the last value. It is looked at once for all of its fields, so that the time is linear.
#[derive(Default, Clone, Copy)]
struct Line {
    end: usize,
    /// Whether the line may be a form, whose fields have `&` between them.
    has_ampersand: bool,
}

/// The name and the value that have been found so far.
#[derive(Default)]
struct Named {
    /// Where the last field ends.
    end: usize,
    /// Whether the name is that of a secret.
    is_secret: bool,
    /// The value before its name.
    value: Option<Value>,
}

/// Where the value of a field begins.
#[derive(Clone, Copy)]
struct Value {
    separator: usize,
    start: usize,
    column: Option<usize>,
    line: Line,
}

/// Finds the values of secret keys.
pub(super) fn find(text: &str, end: End, rules: &Redaction, mut mask: impl FnMut(Range<usize>)) {
    let (mut at, mut line, mut named) = (0, Line::default(), Named::default());
    while let Some(found) = memchr::memchr2(b':', b'=', &text.as_bytes()[at..]) {
        let separator = at + found;
        let signs = text[separator..].trim_start_matches([':', '=', '>']);
        let value = text.len() - signs.trim_start().len();
        at = value;
        line.move_to(text, value);
        let range = match secret_key(text, separator, value, rules) {
            Some(key) => {
                Value { separator, start: value, column: key.column, line }.range_of(text, &key.normal)
            }
            None => match named.field(text, separator, value, &line, rules) {
                Some(range) => range,
                None => continue,
            },
        };
        at = at.max(range.end);
        mask(range);
    }
    // The name of the last value may follow.
    let unnamed = named.value.filter(|_| end == End::Unseen);
    unnamed.into_iter().for_each(|value| mask(value.range(text)));
}

impl Named {
    /// Records a field. Returns the range that is masked because of it.
    fn field(
        &mut self,
        text: &str,
        separator: usize,
        value: usize,
        line: &Line,
        rules: &Redaction,
    ) -> Option<Range<usize>> {
        let before = text.get(self.end..separator).unwrap_or_default();
        self.end = value;
        if is_other_record(before) {
            (self.is_secret, self.value) = (false, None);
        }
        let words = before
            .trim_end_matches(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`'));
        let start = words.trim_end_matches(|letter: char| letter.is_alphanumeric() || letter == '_').len();
        let key = &words[start..];
        if is_name_key(key) {
            self.is_secret = name_at(text, value).is_some_and(|name| is_secret_name(name, rules));
            return self.value.take().filter(|_| self.is_secret).map(|value| value.range(text));
        }
        if !is_value_key(key) {
            return None;
        }
        let column = column(text, separator - (before.len() - start));
        let value = Value { separator, start: value, column, line: *line };
        if self.is_secret {
            return Some(value.range(text));
        }
        self.value = Some(value);
        None
    }
}

/// Whether another object, list item or paragraph has begun.
fn is_other_record(between: &str) -> bool {
    between.contains(['{', '}', '<'])
        || between.lines().skip(1).any(|line| line.trim().is_empty() || line.trim_start().starts_with("- "))
}

/// The name that is the value of a field; `None` if more words follow.
fn name_at(text: &str, start: usize) -> Option<&str> {
    let found = NAME.as_ref()?.captures(&text[start..])?;
    let after = &text[start + found.get(0)?.end()..];
    AFTER_NAME.as_ref()?.is_match(after).then_some(found.get(1)?.as_str())
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
fn secret_key(text: &str, separator: usize, value: usize, rules: &Redaction) -> Option<Key> {
    let begin = text.floor_char_boundary(separator.saturating_sub(KEY_MAX));
    let before = text[begin..separator].trim_end();
    let key = |start: usize, key: &str| {
        let is_secret = rules.has_key(key) || rules.has_plural(key) && is_container(&text[value..]);
        if !is_secret {
            return None;
        }
        Some(Key { normal: normal(key), column: column(text, begin + start) })
    };
    if let Some(quote @ ('"' | '\'' | '`')) = before.chars().next_back() {
        let content = before[..before.len() - 1].trim_end_matches('\\');
        if let Some(found) = content.rfind(quote).and_then(|start| key(start, &content[start + 1..])) {
            return Some(found);
        }
    }
    let words = before.trim_end_matches(['"', '\'', '`', '\\', ']', ')']);
    // The index of a list: `token[0]`.
    let words =
        words.trim_end_matches(|letter: char| letter.is_ascii_digit()).strip_suffix('[').unwrap_or(words);
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

impl Value {
    /// The range of the value of a key that has no rule for its end.
    fn range(self, text: &str) -> Range<usize> {
        self.range_of(text, "")
    }

    /// The range of the value of this key.
    fn range_of(self, text: &str, key: &str) -> Range<usize> {
        let Self { separator, start, column, line } = self;
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
        match column.filter(|_| !is_form) {
            Some(column) => return start..block_end(text, start, separator, column, line.end),
            None if LINE_KEYS.iter().any(|end| key.ends_with(end)) => return start..line.end,
            None => {}
        }
        let next =
            NEXT_FIELD.as_ref().and_then(|next| Some(start + next.find(&text[start..line.end])?.start()));
        start..next.unwrap_or(line.end)
    }
}

/// The number of characters before a key in its line; `None` if there are others than spaces and signs of lists.
fn column(text: &str, key: usize) -> Option<usize> {
    let is_indent = |letter: char| {
        letter != '\n' && letter.is_whitespace() || matches!(letter, '-' | '*' | '>' | '"' | '\'')
    };
    let line = text[..key].trim_end_matches(is_indent);
    let indent = text[line.len()..key].trim_end_matches(['"', '\'']).len();
    (line.is_empty() || line.ends_with('\n')).then_some(indent)
}

/// The end of a value that extends to the end of its line and over the following lines that are indented more than its
/// key, as in YAML and in folded headers. `line_end` is the end of the line in which the value begins.
fn block_end(text: &str, start: usize, separator: usize, column: usize, line_end: usize) -> usize {
    let is_below = text[separator..start].contains('\n');
    let is_block = text[start..].starts_with(['|', '>']);
    let (mut end, mut at) = (line_end, line_end);
    while let Some(length) = text.get(at..).filter(|rest| !rest.is_empty()).map(line_break) {
        let begin = at + length;
        let rest = &text[begin..];
        let content = rest.trim_start_matches([' ', '\t']);
        let indent = rest.len() - content.len();
        let is_item = is_below && indent == column && content.starts_with("- ");
        let is_empty = content.starts_with(['\r', '\n']) || content.is_empty();
        at = begin + rest.find(['\r', '\n']).unwrap_or(rest.len());
        match is_empty {
            true if is_block => {}
            false if indent > column || is_item => end = at,
            _ => break,
        }
    }
    end
}

/// The length of the line break with which a text begins.
fn line_break(text: &str) -> usize {
    if text.starts_with("\r\n") { 2 } else { usize::from(text.starts_with(['\r', '\n'])) }
}

/// The length of a text up to the closing quote. A quote with a backslash, or twice, does not close.
pub(super) fn quoted_length(text: &str, quote: char) -> usize {
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

/// Whether all patterns are valid.
#[cfg(test)]
pub(super) fn is_ready() -> bool {
    [&NEXT_FIELD, &NAME, &AFTER_NAME].iter().all(|pattern| pattern.is_some())
}
