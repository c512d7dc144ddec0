//! The extractors `re` and `rerg`: regular expressions with named captures.

use regex::{Regex, RegexBuilder};

use super::FormatError;
use crate::value::limits::Size;
use towline_event::{Record, Value};

/// Maximum size of a compiled expression, in bytes: enough for an expression of several pages.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Maximum length of an expression, in bytes. Literal text of about this length exceeds [`REGEX_BYTES_MAX`],
/// and classes such as `\w` take thousands of times their length during compilation.
pub(super) const EXPRESSION_MAX: usize = 64 << 10;

/// The first size limit tried when the size of an expression is determined, in bytes. Few expressions are
/// smaller.
const SMALLEST: usize = 1 << 10;

/// Minimum size that counts for each byte of an expression, in bytes. Most compiled expressions have this
/// size.
const BYTES_OF_LETTER: usize = 16;

/// Maximum length of a text that `rerg` searches for all matches, in bytes. Each match may scan the rest of
/// the text, so the time is quadratic in the length.
const ALL_BYTES_MAX: usize = 64 << 10;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Captures(Regex);

/// The remaining size for the expressions of a program.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    left: usize,
    spent: bool,
}

impl Budget {
    /// A budget of this many bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, left: max, spent: false }
    }

    /// Whether the limit was exceeded. No more expressions are compiled then.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    fn take(&mut self, bytes: usize) -> Result<(), FormatError> {
        self.spent |= bytes > self.left;
        self.left = self.left.saturating_sub(bytes);
        match self.spent {
            true => Err(FormatError::OverBudget(format!(
                "the compiled regular expressions of this program take more than {}",
                Size(self.max)
            ))),
            false => Ok(()),
        }
    }
}

/// Compiles an expression, which runs in linear time. The `regex` crate does not report the size of a
/// compiled expression, only whether it exceeds a limit. So the limit is increased until it fits, and that
/// limit counts as the size.
pub(super) fn regex(expression: &str, budget: &mut Budget) -> Result<Regex, FormatError> {
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

/// The error of an invalid expression. The error of the `regex` crate has several lines that quote the
/// expression; the last line is the message.
fn none(error: &regex::Error) -> FormatError {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return "takes a regular expression of at most 1 MiB when compiled".into();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    let message = format!("takes a regular expression, and this one is invalid: {why}");
    FormatError::Format { message, range: marked(&text) }
}

/// The range that the error text of the `regex` crate marks. The text quotes the expression, indented by four
/// spaces, with carets below. `None` for an expression of several lines, which is quoted differently.
fn marked(picture: &str) -> Option<std::ops::Range<usize>> {
    let carets = picture.lines().nth(2)?.strip_prefix("    ")?;
    let start = carets.find('^')?;
    let count = carets[start..].bytes().take_while(|byte| *byte == b'^').count();
    carets[..start].trim().is_empty().then_some(start..start + count)
}

impl Captures {
    pub(super) fn compile(format: &str, budget: &mut Budget) -> Result<Self, FormatError> {
        regex(format, budget).map(Self)
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The named captures of the first match, such as `{"year":"2026"}`, without groups that did not
    /// participate; `None` if the text does not match.
    pub(super) fn first(&self, text: &str) -> Option<Value> {
        let captures = self.0.captures(text)?;
        let named = self.0.capture_names().flatten();
        let pairs =
            named.filter_map(|name| Some((name.to_owned(), Value::string(captures.name(name)?.as_str()))));
        Some(Value::record(pairs))
    }

    /// The named captures of all matches, such as `{"word":["a","b"]}`; `None` if the text does not match, or
    /// if it is longer than 64 KiB.
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
