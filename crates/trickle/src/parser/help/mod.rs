//! Errors of the grammar: what was expected, what was found, and advice for common mistakes.
//!
//! `advice` handles statements that do not end where they should, `mistakes` handles mistakes within a
//! statement, and `foreign` handles the words and signs of other languages. Functions of this module never
//! skip a token that the grammar needs.

mod advice;
mod foreign;
mod mistakes;

use crate::{
    diagnostic::{Diagnostic, similar},
    parser::cursor::{Failed, Parser},
    source::Span,
    token::Token,
};

impl Parser<'_> {
    /// Adds an error, and returns the [`Failed`] for the rule to return.
    pub(in crate::parser) fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.errors.push(diagnostic);
        Failed
    }

    /// Reports that `what` was expected at the current position.
    pub(in crate::parser) fn expected(&mut self, what: &str) -> Failed {
        let span = if *self.peek() == Token::End { self.end_of_last() } else { self.span() };
        self.complain(span, what, None)
    }

    /// Reports that `what` is missing: after the last token, if the next one is on a later line.
    pub(in crate::parser) fn missing(&mut self, what: &str) -> Failed {
        let span = if self.begins_line(self.at) { self.end_of_last() } else { self.span() };
        self.complain(span, what, None)
    }

    /// Reports that a statement does not end where it should: after its last token.
    pub(in crate::parser) fn expected_end(&mut self, what: &str) -> Failed {
        self.complain(self.end_of_last(), what, None)
    }

    /// Reports that one of the `words` was expected, and suggests the most similar one.
    pub(in crate::parser) fn expected_words(&mut self, words: &[&str]) -> Failed {
        self.expected_words_or(words, words)
    }

    /// Reports that one of the `words` is missing: after the last token, if the next one is on a later line
    /// and is not a misspelled keyword.
    pub(in crate::parser) fn missing_words(&mut self, words: &[&str]) -> Failed {
        match *self.peek() {
            Token::Word(found) if similar(found, words).is_some() => self.expected_words(words),
            _ => self.missing(&quoted(words)),
        }
    }

    /// Reports that one of the `words` was expected, and suggests the most similar word of the longer list
    /// `advised`.
    pub(in crate::parser) fn expected_words_or(&mut self, words: &[&str], advised: &[&str]) -> Failed {
        let what = quoted(words);
        match *self.peek() {
            Token::Word(found) => match similar(found, advised) {
                Some(near) => self.complain(self.span(), &what, Some(format!("did you mean `{near}`?"))),
                None => self.expected(&what),
            },
            _ => self.expected(&what),
        }
    }

    /// Reports what was expected at a span. Reports only one error per span, and none after text on the same
    /// line that the lexer could not read.
    pub(in crate::parser) fn complain(&mut self, span: Span, what: &str, help: Option<String>) -> Failed {
        let blamed = self.errors.last().is_some_and(|error| error.span == span);
        if blamed || *self.peek() == Token::Bad || self.is_behind_unread(span) {
            return Failed;
        }
        let message = format!("expected {what}, found {}", self.peek().describe());
        let help = help.or_else(|| self.advice_on_found());
        self.fail(Diagnostic { help, ..Diagnostic::new(span, message, format!("expected {what}")) })
    }
}

/// The words in backticks, joined for a sentence: `` `a`, `b` or `c` ``.
fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
