//! Where tokens stand on their lines. Only asked when something is wrong, and at each `end`.

use super::cursor::Parser;
use crate::{source::Span, token::Token};

impl Parser<'_> {
    /// The text of the source between two places.
    fn text_between(&self, start: u32, end: u32) -> &str {
        let offset = |place: u32| place.saturating_sub(self.base) as usize;
        self.text.get(offset(start)..offset(end)).unwrap_or("")
    }

    /// What was written from one token up to another, the other not included.
    pub(super) fn written(&self, from: usize, to: usize) -> &str {
        self.text_between(self.tokens[from].span.start, self.tokens[to.max(1) - 1].span.end)
    }

    /// Whether a token is the first one on its line.
    pub(super) fn begins_line(&self, token: usize) -> bool {
        token == 0
            || self
                .text_between(self.tokens[token - 1].span.end, self.tokens[token].span.start)
                .contains('\n')
    }

    /// Whether nothing at all stands between a token and the one before.
    pub(super) fn touches_last(&self, token: usize) -> bool {
        token > 0 && self.tokens[token - 1].span.end == self.tokens[token].span.start
    }

    /// How far the line of a token is indented.
    pub(super) fn indentation(&self, token: usize) -> usize {
        let before = self.text_between(self.base, self.tokens[token].span.start);
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        line.chars().take_while(|c| c.is_whitespace()).count()
    }

    /// The number of a token's line.
    pub(super) fn line(&self, token: usize) -> usize {
        self.text_between(self.base, self.tokens[token].span.start).matches('\n').count() + 1
    }

    /// The place right behind the token just taken.
    pub(super) fn gap(&self) -> Span {
        let end = self.last_span().end.min(self.span().end);
        Span { start: end, end }
    }

    /// Whether a place is behind what the lexer cannot read, on the same line, or touches it.
    pub(super) fn is_behind_unread(&self, span: Span) -> bool {
        self.unread.iter().any(|unread| unread.start <= span.end && span.start <= unread.end)
    }

    /// Whether a token is a word that can be a name by itself: neither a key of a path nor a keyword.
    pub(super) fn free_word(&self, token: usize) -> Option<&str> {
        let member = token > 0 && matches!(self.tokens[token - 1].token, Token::Symbol("." | "$" | "::"));
        match self.tokens[token].token {
            Token::Word(word) if !member => Some(word),
            _ => None,
        }
    }
}

/// From each of some places to the end of its line.
pub(super) fn rests_of_lines(text: &str, starts: impl Iterator<Item = Span>) -> Vec<Span> {
    starts
        .map(|span| {
            let rest = &text[span.start as usize..];
            Span { end: span.start + rest.find('\n').unwrap_or(rest.len()) as u32, ..span }
        })
        .collect()
}
