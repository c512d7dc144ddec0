//! Errors of a program, at compile time ([`Diagnostics`]) and at run time ([`RuntimeError`]).

use std::{error::Error, fmt, sync::Arc};

use crate::source::{Annotation, Position, Sources, Span};

/// Maximum number of errors kept for one program. Lexer and parser stop at this number, because the first
/// errors usually cause the later ones.
pub(crate) const ERRORS_MAX: usize = 50;

/// One error in a program's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

/// All errors of a program, or all warnings, in source order.
///
/// The `Display` form has one block for each error, separated by empty lines:
///
/// ```text
/// error: there is no stream `ou`
///  --> demo.trickle:1:27
///   |
/// 1 | select event from in into ou;
///   |                           ^^ not a stream or script of this program
///   = help: did you mean `out`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    severity: &'static str,
    list: Vec<Diagnostic>,
}

/// Why a program failed on an event, with the position in its text.
///
/// The `Display` form is one line, `message at name:line:column`; [`RuntimeError::highlighted`] has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeError {
    sources: Arc<Sources>,
    fault: Box<Fault>,
}

/// A run-time failure with its span. It becomes a [`RuntimeError`] when the engine returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) span: Span,
    /// A line of advice, shown only by [`RuntimeError::highlighted`].
    pub(crate) help: Option<&'static str>,
}

// === impl Diagnostic ===

impl Diagnostic {
    pub(crate) fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into(), help: None }
    }

    /// Adds a line of advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean …` if one of the known names is similar.
    pub(crate) fn nearest<'n>(self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        match nearest(name, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The error for a construct that the parser accepts but the engine does not support yet.
    pub(crate) fn not_yet(span: Span, what: &str) -> Self {
        Self::new(span, format!("{what} not supported yet"), "")
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    /// The given errors, sorted by position.
    pub(crate) fn new(sources: Arc<Sources>, list: Vec<Diagnostic>) -> Self {
        Self::of(sources, "error", list)
    }

    /// The given warnings, sorted by position; `None` if the list is empty.
    pub(crate) fn warnings(sources: Arc<Sources>, list: Vec<Diagnostic>) -> Option<Self> {
        (!list.is_empty()).then(|| Self::of(sources, "warning", list))
    }

    fn of(sources: Arc<Sources>, severity: &'static str, mut list: Vec<Diagnostic>) -> Self {
        // A script that is created twice is compiled twice and reports its errors twice.
        list.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        list.dedup();
        list.truncate(ERRORS_MAX);
        Self { sources, severity, list }
    }

    /// The number of errors or warnings, at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The position of each error.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.list.iter().map(|diagnostic| self.sources.position(diagnostic.span))
    }

    /// One line for each error: `message at name:line:column`.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.list.iter().map(|diagnostic| {
            let Position { line, column } = self.sources.position(diagnostic.span);
            let name = self.sources.name(diagnostic.span);
            format!("{} at {name}:{line}:{column}", diagnostic.message)
        })
    }

    /// The message of each error, without its position.
    pub fn messages(&self) -> impl Iterator<Item = &str> + '_ {
        self.list.iter().map(|diagnostic| diagnostic.message.as_str())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            let note = Annotation {
                severity: self.severity,
                message: &diagnostic.message,
                span: diagnostic.span,
                label: &diagnostic.label,
                help: diagnostic.help.as_deref(),
            };
            self.sources.write_note(f, &note)?;
        }
        if self.list.len() == ERRORS_MAX {
            write!(f, "\n\nthese are the first {ERRORS_MAX} {}s, there may be more", self.severity)?;
        }
        Ok(())
    }
}

impl Error for Diagnostics {}

// === impl RuntimeError ===

impl RuntimeError {
    pub(crate) fn new(sources: Arc<Sources>, fault: Box<Fault>) -> Self {
        Self { sources, fault }
    }

    /// The error message, without the position.
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// The position in the program.
    pub fn position(&self) -> Position {
        self.sources.position(self.fault.span)
    }

    /// The name of the text that contains the position: a file or a settings key.
    pub fn program(&self) -> &str {
        self.sources.name(self.fault.span)
    }

    /// Message and position, with the whole name of the text. [`Display`](fmt::Display) is for clients, and has the last part
    /// of a path only.
    pub fn located(&self) -> String {
        self.at(self.program())
    }

    fn at(&self, program: &str) -> String {
        let Position { line, column } = self.position();
        format!("{} at {program}:{line}:{column}", self.fault.message)
    }

    /// The long form, several lines: message, position, source line, carets.
    pub fn highlighted(&self) -> String {
        let Fault { message, span, help } = &*self.fault;
        let note = Annotation { severity: "error", message, span: *span, label: "", help: *help };
        let mut text = String::new();
        self.sources.write_note(&mut text, &note).expect("writing to a string does not fail");
        text
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program();
        // Clients need not know the folders of this machine.
        f.write_str(&self.at(program.rsplit('/').next().unwrap_or(program)))
    }
}

impl Error for RuntimeError {}

// === impl Fault ===

impl Fault {
    /// Creates a fault. It is boxed to keep `Result<Value, _>` small.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { message: message.into(), span, help: None })
    }

    /// Adds a line of advice.
    pub(crate) fn help(mut self: Box<Self>, help: &'static str) -> Box<Self> {
        self.help = Some(help);
        self
    }
}

/// Names joined for a sentence: `` `a`, `b` and `c` ``
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}

/// The known name most similar to a mistyped one, with at most one edit per three characters; `None` if none
/// is. Of equally similar names, the alphabetically first.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len().abs_diff(name.len()) <= allowed * 4)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .filter(|(distance, candidate)| *distance < name.chars().count().min(candidate.chars().count()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The known word most similar to a mistyped one, regardless of case; `None` if no word is similar.
pub(crate) fn similar<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let lower = word.to_lowercase();
    let same = known.iter().copied().find(|known| *known == lower);
    same.or_else(|| nearest(&lower, known.iter().copied()))
}

/// The number of single-letter edits between two words: insertions, deletions, replacements, swaps of
/// neighbours.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(older[j - 1] + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_found() {
        let known = ["in", "out", "err", "reply"];
        assert_eq!(nearest("ou", known), Some("out"));
        assert_eq!(nearest("rpely", known), Some("reply"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("g", ["f", "gg"]), None);
        assert_eq!(nearest("aa", ["ab", "a", "ac"]), Some("ab"));
        assert_eq!(nearest("selct", ["select", "create"]), Some("select"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_carets() {
        let text = format!("{}x", "(".repeat(5_000));
        let mut sources = Sources::default();
        sources.add("long", &text);
        let all = Diagnostics::new(
            Arc::new(sources),
            vec![Diagnostic::new(Span::new(5_000, 5_001), "bad", "here")],
        );
        let printed = all.to_string();
        assert!(printed.contains("long:1:5001"), "{printed}");
        assert!(printed.len() < 500, "{printed}");
        assert!(printed.ends_with("^ here"), "{printed}");
    }
}
