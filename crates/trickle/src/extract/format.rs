//! Formats as they are written, and what they are without their escapes.
//!
//! `\|` is a `|`, and `\\` a backslash; any other backslash is one, so that `\d` and `\\d` are the same. Behind
//! a backslash at the end of a line the format goes on in the next. What all of its lines are indented by is not
//! part of it, nor are the blanks that a format of one line begins with.

use std::ops::Range;

/// A format without its escapes.
pub(super) fn unescaped(format: &str) -> String {
    letters(format).map(|(_, letter)| letter).collect()
}

/// The letters of a format as it is written that become some letters of it without its escapes.
pub(crate) fn written(format: &str, range: &Range<usize>) -> Range<usize> {
    let starts: Vec<usize> = letters(format).map(|(at, _)| at).collect();
    let place = |letter: usize| starts.get(letter).copied().unwrap_or(format.len());
    place(range.start)..place(range.end)
}

/// The letters of a format without its escapes, each with where it is written.
fn letters(format: &str) -> impl Iterator<Item = (usize, char)> {
    let lines = lines(format);
    let indented = lines.iter().filter(|line| !line.is_empty());
    let indent = indented.map(|line| indentation(line)).min().unwrap_or(0);
    lines.into_iter().flat_map(move |line| line.into_iter().skip(indent))
}

fn lines(format: &str) -> Vec<Vec<(usize, char)>> {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    let mut rest = format.char_indices().peekable();
    while let Some((at, letter)) = rest.next() {
        let escaped = |(_, next): &(usize, char)| letter == '\\' && ['|', '\\', '\n'].contains(next);
        match rest.next_if(escaped) {
            Some((_, '\n')) => lines.push(std::mem::take(&mut line)),
            Some((_, escaped)) => line.push((at, escaped)),
            None => line.push((at, letter)),
        }
    }
    lines.push(line);
    lines
}

/// How many blanks a line begins with.
fn indentation(line: &[(usize, char)]) -> usize {
    line.iter().take_while(|(_, letter)| letter.is_whitespace()).count()
}

/// A text of a format in which `\n`, `\r`, `\t` and `\\` stand for what they do in strings.
pub(super) fn escapes(text: &str) -> Result<String, String> {
    let mut found = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        found.push(match letter {
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('\\') => '\\',
                other => return Err(unknown_escape(other)),
            },
            other => other,
        });
    }
    Ok(found)
}

fn unknown_escape(letter: Option<char>) -> String {
    let found = letter.map_or_else(|| "nothing".to_owned(), |letter| format!("{letter:?}"));
    format!("has a backslash before {found}; there are \\n, \\r, \\t and \\\\")
}
