//! Escapes in the formats of extractors.
//!
//! `\|` is a `|`, and `\\` a backslash. Any other backslash stands for itself, so `\d` and `\\d` are the
//! same. After a backslash at the end of a line, the format continues on the next line. The common
//! indentation of its lines is removed, as are the leading spaces of a format of one line.

use std::ops::Range;

/// The format with its escapes replaced by the characters they stand for.
pub(super) fn unescaped(format: &str) -> String {
    letters(format).map(|(_, letter)| letter).collect()
}

/// Maps a range of the unescaped format to the range in the source text.
pub(crate) fn written(format: &str, range: &Range<usize>) -> Range<usize> {
    let starts: Vec<usize> = letters(format).map(|(at, _)| at).collect();
    let place = |letter: usize| starts.get(letter).copied().unwrap_or(format.len());
    place(range.start)..place(range.end)
}

/// The characters of the unescaped format, each with its offset in the source text.
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

/// The number of leading spaces of a line.
fn indentation(line: &[(usize, char)]) -> usize {
    line.iter().take_while(|(_, letter)| letter.is_whitespace()).count()
}

/// Replaces the escapes `\n`, `\r`, `\t` and `\\` in a part of a format, as in strings.
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
    format!("has a backslash before {found}; the escapes are \\n, \\r, \\t and \\\\")
}
