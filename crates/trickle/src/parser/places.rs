//! The layout of the source text around tokens, for errors and for the indentation of `end`.

use super::cursor::Parser;
use crate::{source::Span, token::Token};

impl Parser<'_> {
    /// The source text between two offsets.
    fn text_between(&self, start: u32, end: u32) -> &str {
        let offset = |place: u32| place.saturating_sub(self.base) as usize;
        self.text.get(offset(start)..offset(end)).unwrap_or("")
    }

    /// The source text from the token `from` up to the token `to`, without `to`.
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

    /// Whether a token follows the previous one without white space.
    pub(super) fn touches_last(&self, token: usize) -> bool {
        token > 0 && self.tokens[token - 1].span.end == self.tokens[token].span.start
    }

    /// The indentation of a token's line, in characters.
    pub(super) fn indentation(&self, token: usize) -> usize {
        let before = self.text_between(self.base, self.tokens[token].span.start);
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        line.chars().take_while(|c| c.is_whitespace()).count()
    }

    /// The line number of a token.
    pub(super) fn line(&self, token: usize) -> usize {
        self.text_between(self.base, self.tokens[token].span.start).matches('\n').count() + 1
    }

    /// The empty span right after the token that was read last.
    pub(super) fn end_of_last(&self) -> Span {
        let end = self.last_span().end.min(self.span().end);
        Span { start: end, end }
    }

    /// Whether a span touches text that the lexer could not read, or follows such text on the same line.
    pub(super) fn is_behind_unread(&self, span: Span) -> bool {
        self.unread.iter().any(|unread| unread.start <= span.end && span.start <= unread.end)
    }

    /// The word of a token, if the word can be a name: neither a key in a path nor a keyword.
    pub(super) fn free_word(&self, token: usize) -> Option<&str> {
        let member = token > 0 && matches!(self.tokens[token - 1].token, Token::Symbol("." | "$" | "::"));
        match self.tokens[token].token {
            Token::Word(word) if !member => Some(word),
            _ => None,
        }
    }
}

/// For each span, the span from its start to the end of its line.
pub(super) fn rests_of_lines(text: &str, starts: impl Iterator<Item = Span>) -> Vec<Span> {
    starts
        .map(|span| {
            let rest = &text[span.start as usize..];
            Span { end: span.start + rest.find('\n').unwrap_or(rest.len()) as u32, ..span }
        })
        .collect()
}
