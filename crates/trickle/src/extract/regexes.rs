//! `re` and `rerg`: regular expressions with named captures.

use regex::{Regex, RegexBuilder};

use super::Wrong;
use towline_event::{Record, Value};

/// The largest compiled expression, in bytes: what one of some pages needs.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The longest expression, in bytes. One of plain letters is too large when it is compiled, from about that
/// length on; one of classes such as `\w` takes thousands of times its length while it is compiled.
pub(super) const EXPRESSION_MAX: usize = 64 << 10;

/// How large all expressions of a program may be when they are compiled, in bytes: some half a second of
/// compiling, and some thousand small ones or a hundred large ones.
const BUDGET: usize = 64 << 20;

/// With which size the search for the size of an expression begins, in bytes; few are smaller.
const SMALLEST: usize = 1 << 10;

/// How many bytes a letter of an expression counts at least: as many as it mostly takes when compiled.
const BYTES_OF_LETTER: usize = 16;

/// The longest text that all matches are looked for in: each of them may look at all that is left, so that
/// the time grows with the square of the length.
const ALL_BYTES_MAX: usize = 64 << 10;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Captures(Regex);

/// What is left for the expressions of a program.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    spent: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: BUDGET, spent: false }
    }
}

impl Budget {
    /// Whether more was wanted than there was: then nothing is compiled any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    fn take(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.spent |= bytes > self.left;
        self.left = self.left.saturating_sub(bytes);
        match self.spent {
            true => Err(Wrong::TooMuch(format!(
                "the regular expressions of this program come to more than {} MiB",
                BUDGET >> 20
            ))),
            false => Ok(()),
        }
    }
}

/// Compiles an expression, whose time is linear in what it is run over. Nobody tells how large a compiled one
/// is, only whether it is too large: so it is tried with one size after the other, and counts as large as the
/// first that will do.
pub(super) fn regex(expression: &str, budget: &mut Budget) -> Result<Regex, Wrong> {
    if expression.len() > EXPRESSION_MAX {
        return Err(format!("takes a regular expression of at most {} KiB", EXPRESSION_MAX >> 10).into());
    }
    let mut size = (expression.len() * BYTES_OF_LETTER).clamp(SMALLEST, REGEX_BYTES_MAX);
    loop {
        match RegexBuilder::new(expression).size_limit(size).build() {
            Err(regex::Error::CompiledTooBig(_)) if size < REGEX_BYTES_MAX => {
                size = (size * 4).min(REGEX_BYTES_MAX);
            }
            built => {
                budget.take(size)?;
                return built.map_err(|error| none(&error));
            }
        }
    }
}

/// Why a text is no expression. The error has several lines, with a picture; the last says what is wrong.
fn none(error: &regex::Error) -> Wrong {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return "takes a smaller regular expression: this one is too large when it is compiled".into();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    let words = format!("takes a regular expression, and this is none: {why}");
    Wrong::Format { words, letters: marked(&text) }
}

/// Which letters the picture marks: a line of them, four blanks further in, and carets below. An expression of
/// several lines has another picture.
fn marked(picture: &str) -> Option<std::ops::Range<usize>> {
    let carets = picture.lines().nth(2)?.strip_prefix("    ")?;
    let start = carets.find('^')?;
    let count = carets[start..].bytes().take_while(|byte| *byte == b'^').count();
    carets[..start].trim().is_empty().then_some(start..start + count)
}

impl Captures {
    pub(super) fn compile(format: &str, budget: &mut Budget) -> Result<Self, Wrong> {
        regex(format, budget).map(Self)
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
