//! Program texts, and positions in them.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// Maximum number of columns of a source line shown in an error, because a generated line may be megabytes
/// long.
const SHOWN_COLUMNS: usize = 120;

/// A range of byte offsets, without its end. All texts of a program share one range of offsets; see
/// [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A line and column, both counted from 1.
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

/// The text of a program and those of its modules, concatenated in one range of offsets, so that an offset
/// also identifies the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The texts in order, each with the offset of its first byte.
    list: Vec<(u32, Source)>,
    /// The offset at which the next text begins.
    next: u32,
}

/// The parts of an error or a warning as it is shown to users.
pub(crate) struct Annotation<'n> {
    /// The severity, `error` or `warning`.
    pub(crate) severity: &'static str,
    pub(crate) message: &'n str,
    pub(crate) span: Span,
    /// The text after the carets.
    pub(crate) label: &'n str,
    /// A line of advice, shown below the source line.
    pub(crate) help: Option<&'n str>,
}

// === impl Span ===

impl Span {
    /// The span from one offset to another. Offsets fit 32 bits because [`super::Program::compile`] refuses
    /// longer texts.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The same span in a text that begins at `base`.
    pub(crate) fn shifted(self, base: u32) -> Self {
        Self { start: self.start + base, end: self.end + base }
    }

    /// The span from the start of this span to the end of another.
    pub(crate) fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end.max(self.end) }
    }
}

// === impl Sources ===

impl Sources {
    /// Adds a text, and returns the offset of its first byte.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u32 {
        let base = self.next;
        // One more offset than bytes, because the end of a text is a position too.
        self.next += text.len() as u32 + 1;
        self.list.push((base, Source::new(name, text)));
        base
    }

    /// The name of the text that contains a span.
    pub(crate) fn name(&self, span: Span) -> &str {
        self.find(span).map_or("", |(source, _)| source.name())
    }

    /// Line and column of the start of a span.
    pub(crate) fn position(&self, span: Span) -> Position {
        self.find(span).map_or(Position { line: 1, column: 1 }, |(source, span)| source.position(span))
    }

    /// Writes an error as it is shown to users: message, position, source line, carets, help.
    pub(crate) fn write_note(&self, f: &mut dyn fmt::Write, note: &Annotation<'_>) -> fmt::Result {
        match self.find(note.span) {
            Some((source, span)) => source.write_note(f, &Annotation { span, ..*note }),
            None => write!(f, "{}: {}", note.severity, note.message),
        }
    }

    /// The text that contains a span, and the span relative to that text; `None` if the span is outside of
    /// all texts.
    fn find(&self, span: Span) -> Option<(&Source, Span)> {
        let after = self.list.partition_point(|(base, _)| *base <= span.start);
        let (base, source) = self.list.get(after.checked_sub(1)?)?;
        Some((source, Span { start: span.start - base, end: span.end - base }))
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

    /// Writes an error as it is shown to users: message, position, source line, carets, help.
    pub(crate) fn write_note(&self, f: &mut dyn fmt::Write, note: &Annotation<'_>) -> fmt::Result {
        let position = self.position(note.span);
        let gutter = " ".repeat(position.line.to_string().len());
        writeln!(f, "{}: {}", note.severity, note.message)?;
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

    /// The part of the line to show, the indentation of the carets, and their number.
    fn shown_line(&self, span: Span, column: usize) -> (String, usize, usize) {
        let line = self.text.lines().nth(self.position(span).line - 1).unwrap_or("");
        let skipped = if column > SHOWN_COLUMNS { column - SHOWN_COLUMNS / 2 } else { 0 };
        // A tab or control character would misalign the carets.
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(SHOWN_COLUMNS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let before = shown.char_indices().nth(column - 1 - skipped).map_or(shown.len(), |(at, _)| at);
        let marked = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let letters = marked.lines().next().unwrap_or("").chars().count();
        let marked: String = shown[before..].chars().take(letters).collect();
        let (indent, carets) = (shown[..before].width(), marked.width().max(1));
        (shown.trim_end().to_owned(), indent, carets)
    }
}
