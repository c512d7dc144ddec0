//! Tokens with the comments before them.

use crate::{
    lexer::lex,
    token::{Placed, RESERVED, Token},
};

/// What the formatter moves as one piece.
#[derive(Debug)]
pub(super) struct Lexeme<'s> {
    pub(super) text: &'s str,
    pub(super) kind: Kind,
    /// Behind the lexeme before, on its line.
    pub(super) trailing: Option<&'s str>,
    /// On lines of their own before this.
    pub(super) comments: Vec<Comment<'s>>,
    /// An empty line stands right before this.
    pub(super) blank: bool,
    /// This begins a line in the source.
    pub(super) newline: bool,
    /// Nothing at all stands between this and the lexeme before.
    pub(super) adjacent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word with a meaning of its own.
    Keyword,
    /// A name, or a keyword where it is one.
    Name,
    Number,
    /// A string, with all that is in it.
    Text,
    Symbol,
    Config,
    /// `|…|` of an extractor.
    Format,
    End,
}

#[derive(Debug)]
pub(super) struct Comment<'s> {
    pub(super) text: &'s str,
    /// An empty line stands before it.
    pub(super) blank: bool,
}

/// Words that are values or roots of paths: what follows them is as after a name.
const VALUES: [&str; 7] = ["event", "state", "args", "true", "false", "null", "recur"];

/// All lexemes of a text, the last of which is the end.
pub(super) fn lexemes(text: &str) -> Vec<Lexeme<'_>> {
    let (tokens, _) = lex(text);
    let mut lexemes = Vec::with_capacity(tokens.len());
    let (mut at, mut end) = (0, 0);
    while let Some(first) = tokens.get(at) {
        let last = if first.token == Token::TextStart { end_of_text(&tokens, at) } else { at };
        let start = first.span.start as usize;
        let gap = text.get(end..start).unwrap_or("");
        end = tokens[last].span.end as usize;
        let member = matches!(lexemes.last(), Some(Lexeme { text: "." | "$" | "::", .. }));
        let kind = kind(&first.token, member);
        lexemes.push(lexeme(gap, text.get(start..end).unwrap_or("").trim_end(), kind));
        at = last + 1;
    }
    lexemes
}

/// The token that ends the text which begins at `at`: texts nest through code.
fn end_of_text(tokens: &[Placed<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, placed) in tokens[at..].iter().enumerate() {
        match placed.token {
            Token::TextStart => depth += 1,
            Token::TextEnd => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + offset;
        }
    }
    tokens.len() - 1
}

fn kind(token: &Token<'_>, member: bool) -> Kind {
    match token {
        Token::Word(word) if !member && is_keyword(word) => Kind::Keyword,
        Token::Word(_) | Token::Quoted(_) => Kind::Name,
        Token::Int(_) | Token::Float(_) => Kind::Number,
        Token::TextStart | Token::Piece(_) | Token::TextEnd => Kind::Text,
        Token::CodeStart | Token::CodeEnd | Token::Symbol(_) | Token::Bad => Kind::Symbol,
        Token::Config(_) => Kind::Config,
        Token::Format(_) => Kind::Format,
        Token::End => Kind::End,
    }
}

fn is_keyword(word: &str) -> bool {
    RESERVED.contains(&word) && !VALUES.contains(&word)
}

/// Reads the comments of what stands before a lexeme.
fn lexeme<'s>(gap: &'s str, text: &'s str, kind: Kind) -> Lexeme<'s> {
    let mut lines = gap.split('\n').map(str::trim);
    let trailing = lines.next().filter(|line| line.starts_with('#'));
    let mut comments = Vec::new();
    let mut blank = false;
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            comments.push(Comment { text: line, blank: std::mem::take(&mut blank) });
        } else if lines.peek().is_some() {
            blank = true;
        }
    }
    Lexeme { text, kind, trailing, comments, blank, newline: gap.contains('\n'), adjacent: gap.is_empty() }
}

// === impl Lexeme ===

impl Lexeme<'_> {
    pub(super) fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    pub(super) fn is_keyword(&self, word: &str) -> bool {
        self.kind == Kind::Keyword && self.text == word
    }

    pub(super) fn has_comments(&self) -> bool {
        self.trailing.is_some() || !self.comments.is_empty()
    }
}
