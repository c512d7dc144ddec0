//! Program text, and places in it.

use std::fmt;

/// How many columns of a source line an error shows; a generated line may be megabytes long.
const SHOWN_COLUMNS: usize = 120;

/// Where a thing stands in its source: byte offsets, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A place as people count: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A named program text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    name: Box<str>,
    text: Box<str>,
}

/// What an error says about a place: the parts of its long form.
pub(crate) struct Note<'n> {
    pub(crate) message: &'n str,
    pub(crate) span: Span,
    /// Stands beside the carets.
    pub(crate) label: &'n str,
    /// A line of its own below.
    pub(crate) help: Option<&'n str>,
}

// === impl Span ===

impl Span {
    /// From one offset to another. Offsets fit because [`super::Program::compile`] refuses longer texts.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// From the start of this to the end of the other.
    pub(crate) fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end.max(self.end) }
    }
}

// === impl Source ===

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Line and column of the start of a span.
    pub(crate) fn position(&self, span: Span) -> Position {
        let before = self.text.get(..span.start as usize).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Writes the long form of an error: message, place, source line, carets, help.
    pub(crate) fn write_note(&self, f: &mut dyn fmt::Write, note: &Note<'_>) -> fmt::Result {
        let position = self.position(note.span);
        let gutter = " ".repeat(position.line.to_string().len());
        writeln!(f, "error: {}", note.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.name, position.line, position.column)?;
        writeln!(f, "{gutter} |")?;
        let (shown, indent, carets) = self.shown_line(note.span, position.column);
        writeln!(f, "{} | {shown}", position.line)?;
        let label = if note.label.is_empty() { String::new() } else { format!(" {}", note.label) };
        write!(f, "{gutter} | {}{}{label}", " ".repeat(indent), "^".repeat(carets))?;
        if let Some(help) = note.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }

    /// The part of the line to show, how far the carets stand in, and how many they are.
    fn shown_line(&self, span: Span, column: usize) -> (String, usize, usize) {
        let line = self.text.lines().nth(self.position(span).line - 1).unwrap_or("");
        let skipped = if column > SHOWN_COLUMNS { column - SHOWN_COLUMNS / 2 } else { 0 };
        // A tab or control character would move the carets away from what they point at.
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(SHOWN_COLUMNS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let indent = column - 1 - skipped;
        let marked = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let wanted = marked.lines().next().unwrap_or("").chars().count();
        let room = shown.chars().count().saturating_sub(indent);
        (shown.trim_end().to_owned(), indent, wanted.min(room).max(1))
    }
}
