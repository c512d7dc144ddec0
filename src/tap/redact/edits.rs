//! The ranges of a text to mask. Several rules find them, in any order, and they may overlap.

use std::{borrow::Cow, cmp::Reverse, ops::Range};

use super::{MASK, unescape::Unescaped};

/// The ranges of a text that are masked.
#[derive(Debug)]
pub(super) struct Edits {
    list: Vec<Edit>,
    /// Whether the end of the text is known.
    end: End,
}

/// Whether the end of a text is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The text is whole.
    Seen,
    /// The text is cut, so what follows is not known, such as the name of a value.
    Unseen,
}

#[derive(Debug, Clone)]
struct Edit {
    range: Range<usize>,
    with: Replacement,
}

/// The replacement of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    /// The mask.
    Plain,
    /// The mask as a string of JSON, within this number of other strings.
    Quoted(u32),
}

/// A text after masking.
#[derive(Debug)]
pub(super) struct Applied<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether the text contains a mask.
    pub(super) is_changed: bool,
    /// Whether the text was cut.
    pub(super) is_cut: bool,
}

// === impl Edits ===

impl Edits {
    /// Creates an empty list of edits.
    pub(super) fn new(end: End) -> Self {
        Self { list: Vec::new(), end }
    }

    /// Whether the end of the text is known.
    pub(super) fn end(&self) -> End {
        self.end
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Masks a range.
    pub(super) fn mask(&mut self, range: Range<usize>) {
        self.add(range, Replacement::Plain);
    }

    /// Masks a value of JSON, with its quotes if it has some.
    pub(super) fn mask_value(&mut self, range: Range<usize>) {
        self.add(range, Replacement::Quoted(0));
    }

    /// Adds the edits of the text behind the escapes. `offset` is the place of the escaped text in this one.
    pub(super) fn add_unescaped(&mut self, inner: Self, text: &Unescaped<'_>, offset: usize) {
        for Edit { range, with } in inner.list {
            let with = match with {
                Replacement::Plain => Replacement::Plain,
                Replacement::Quoted(level) => Replacement::Quoted(level + 1),
            };
            self.add(offset + text.origin(range.start)..offset + text.origin(range.end), with);
        }
    }

    /// Adds the edits of the text behind the escapes of URLs or of XML, as [`add_unescaped`](Self::add_unescaped).
    pub(super) fn add_decoded(&mut self, inner: Self, text: &Unescaped<'_>, offset: usize) {
        for Edit { range, .. } in inner.list {
            self.mask(offset + text.origin(range.start)..offset + text.origin(range.end));
        }
    }

    fn add(&mut self, range: Range<usize>, with: Replacement) {
        if !range.is_empty() {
            self.list.push(Edit { range, with });
        }
    }

    /// Masks the first `max` bytes of a text. A range that begins before this limit is masked as a whole, and nothing
    /// that follows the limit is shown. The result has at most `max` bytes too.
    pub(super) fn apply(mut self, text: &str, max: usize) -> Applied<'_> {
        let end = text.floor_char_boundary(max);
        let mut is_cut = end < text.len();
        self.merge();
        let (mut out, mut copied) = (String::new(), 0);
        for Edit { range, with } in self.list.into_iter().take_while(|edit| edit.range.start < end) {
            out.push_str(&text[copied..range.start]);
            with.push(&mut out);
            copied = range.end;
        }
        let text = match copied {
            0 => Cow::Borrowed(&text[..end]),
            _ => {
                out.push_str(text.get(copied..end).unwrap_or_default());
                is_cut |= out.len() > max;
                out.truncate(out.floor_char_boundary(max));
                Cow::Owned(out)
            }
        };
        Applied { text, is_changed: copied > 0, is_cut }
    }

    /// Orders the edits, and joins those that overlap or touch.
    fn merge(&mut self) {
        self.list.sort_by_key(|edit| (edit.range.start, Reverse(edit.range.end)));
        let mut merged: Vec<Edit> = Vec::with_capacity(self.list.len());
        for edit in self.list.drain(..) {
            match merged.last_mut() {
                Some(last) if edit.range.end <= last.range.end => {}
                Some(last) if edit.range.start <= last.range.end => {
                    last.range.end = edit.range.end;
                    last.with = Replacement::Plain;
                }
                _ => merged.push(edit),
            }
        }
        self.list = merged;
    }
}

impl Replacement {
    fn push(self, out: &mut String) {
        match self {
            Self::Plain => out.push_str(MASK),
            Self::Quoted(level) => {
                let escapes = "\\".repeat((1 << level) - 1);
                out.extend([&escapes, "\"", MASK, &escapes, "\""]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(ranges: &[(usize, usize)], text: &str, max: usize) -> (String, bool) {
        let mut edits = Edits::new(End::Seen);
        ranges.iter().for_each(|(start, end)| edits.mask(*start..*end));
        let applied = edits.apply(text, max);
        (applied.text.into_owned(), applied.is_cut)
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_one() {
        assert_eq!(
            applied(&[(4, 6), (1, 3), (2, 5), (8, 9), (3, 3)], "0123456789", 10),
            ("0***67***9".to_owned(), false)
        );
        assert_eq!(applied(&[(1, 2), (2, 3)], "abcd", 9), ("a***d".to_owned(), false));
    }

    #[test]
    fn nothing_behind_the_limit_is_shown() {
        assert_eq!(applied(&[(0, 5)], "secret and more", 8), ("***t a".to_owned(), true));
        assert_eq!(applied(&[(2, 6)], "ab1234cd", 5), ("ab***".to_owned(), true));
        assert_eq!(applied(&[(1, 2)], "a1bc", 4), ("a***".to_owned(), true));
        assert_eq!(applied(&[(5, 6)], "ab123cd", 4), ("ab12".to_owned(), true));
        assert_eq!(applied(&[], "h\u{e4}", 2), ("h".to_owned(), true));
    }
}
