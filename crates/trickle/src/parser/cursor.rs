//! The state of the parser: the tokens, the current position, and the methods to look ahead and to advance.

use super::places;
use crate::{
    ast::Name,
    diagnostic::{Diagnostic, ERRORS_MAX},
    lexer::lex,
    source::Span,
    token::{Placed, RESERVED, Token},
};

/// Maximum nesting of brackets, operators and blocks. Parser, compiler and evaluator recurse over the tree,
/// so this bounds their stack: even in an unoptimised build, 100 levels fit in the 2 MiB of a worker thread.
/// Hand-written programs nest far less.
const NESTING_MAX: u32 = 100;

/// The result of a grammar rule that failed. [`Parser::errors`] has the error, or an earlier error explains
/// it.
#[derive(Debug)]
pub(super) struct Failed;

/// The result of a grammar rule.
pub(super) type Parsed<T> = Result<T, Failed>;

/// A parser over one text. Its methods are in the modules `grammar` (the rules), `help` (the errors) and
/// `places` (the layout of the text).
pub(super) struct Parser<'s> {
    pub(super) text: &'s str,
    /// The offset of the text among all texts of the program. Spans count from the first text.
    pub(super) base: u32,
    /// The tokens of the text. The last one is always [`Token::End`].
    pub(super) tokens: Vec<Placed<'s>>,
    /// The index of the next token.
    pub(super) at: usize,
    pub(super) errors: Vec<Diagnostic>,
    /// Spans of text that the lexer could not read, each extended to the end of its line.
    pub(super) unread: Vec<Span>,
    /// The nesting depth of the current rule, at most [`NESTING_MAX`].
    pub(super) nesting: u32,
    /// The open blocks, outermost first. Recovery from an error must leave them.
    pub(super) blocks: Vec<Block>,
    /// The first token of the first block whose `end` is indented less than the block.
    pub(super) suspect: Option<usize>,
    /// In a script with several ports: the number of open blocks at which the word `script` ends a port's
    /// statements.
    pub(super) separated: Option<usize>,
}

/// A block whose `end` has not been parsed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// The index of the token that opens the block.
    pub(super) opener: usize,
    /// The index of the first token inside the block.
    pub(super) inside: usize,
    /// The number of errors before the block was opened.
    pub(super) errors: usize,
}

impl<'s> Parser<'s> {
    /// Creates a parser at the first token of a text. Its list of errors begins with those of the lexer.
    pub(super) fn new(text: &'s str, base: u32) -> Self {
        let (mut tokens, mut errors) = lex(text);
        let unread = places::rests_of_lines(text, errors.iter().map(|error| error.span));
        let unread = unread.into_iter().map(|span| span.shifted(base)).collect();
        for placed in &mut tokens {
            placed.span = placed.span.shifted(base);
        }
        for error in &mut errors {
            error.span = error.span.shifted(base);
        }
        Self {
            text,
            base,
            tokens,
            at: 0,
            errors,
            unread,
            nesting: 0,
            blocks: Vec::new(),
            suspect: None,
            separated: None,
        }
    }

    // --- looking ---

    /// The next token.
    pub(super) fn peek(&self) -> &Token<'s> {
        &self.tokens[self.at].token
    }

    /// The token after the next one, or the last token of the text.
    pub(super) fn peek_second(&self) -> &Token<'s> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    /// The span of the next token.
    pub(super) fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// The span of the token that was read last.
    pub(super) fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    /// Whether the next token is the given symbol.
    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    /// Whether the next token is the given word, not in backticks.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if *found == word)
    }

    /// Whether the next token is one of the given words.
    pub(super) fn is_any_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    // --- taking ---

    /// Moves to the next token, but not past the last one, [`Token::End`].
    pub(super) fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// Moves past the next token if it is the given symbol. Returns whether it is.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    /// Moves past the next token if it is the given word. Returns whether it is.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Moves past the given symbol; fails if it is missing.
    pub(super) fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.missing(&format!("`{symbol}`"))) }
    }

    /// Moves past the given keyword. Fails if it is missing, with advice if the word in its place is similar.
    pub(super) fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.missing_words(&[word])) }
    }

    /// Parses a name that is not a keyword. `what` describes the name in errors.
    pub(super) fn name(&mut self, what: &str) -> Parsed<Name> {
        let span = self.span();
        let text = match self.peek() {
            Token::Word(word) if RESERVED.contains(word) => {
                let message = format!("`{word}` is a keyword and cannot name {what}");
                let help = format!("write it in backticks: `{word}` with one on each side");
                self.errors.push(Diagnostic::new(span, message, "").help(help));
                return Err(Failed);
            }
            Token::Word(word) | Token::Quoted(word) => (*word).to_owned(),
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(Name { text, span })
    }

    /// Parses any word as a name: after a `.`, where keywords have no meaning. `what` describes the name in
    /// errors.
    pub(super) fn key(&mut self, what: &str) -> Parsed<Name> {
        let span = self.span();
        let text = match self.peek() {
            Token::Word(word) | Token::Quoted(word) => (*word).to_owned(),
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(Name { text, span })
    }

    // --- bounds ---

    /// Whether there are tokens left, and the error list is not full.
    pub(super) fn goes_on(&self) -> bool {
        *self.peek() != Token::End && self.errors.len() < ERRORS_MAX
    }

    /// Runs a rule one nesting level deeper; fails beyond [`NESTING_MAX`] levels.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            let message = format!("this nests deeper than {NESTING_MAX} levels");
            return Err(self.fail(Diagnostic::new(self.span(), message, "nested too deeply")));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }
}
