//! Tokens, each with the comments before it.

use crate::{
    lexer::lex,
    token::{Placed, RESERVED, Token},
};

/// The unit of formatting: a token with the comments and white space before it.
#[derive(Debug)]
pub(super) struct Lexeme<'s> {
    pub(super) text: &'s str,
    pub(super) kind: LexemeKind,
    /// The comment after the previous lexeme, on the same line.
    pub(super) trailing: Option<&'s str>,
    /// Comments on separate lines before this lexeme.
    pub(super) comments: Vec<Comment<'s>>,
    /// Whether an empty line precedes the lexeme.
    pub(super) blank: bool,
    /// Whether the lexeme begins a line in the source.
    pub(super) newline: bool,
    /// Whether the lexeme follows the previous one without white space or comments.
    pub(super) adjacent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LexemeKind {
    /// A keyword.
    Keyword,
    /// A name, or a keyword used as a name.
    Name,
    Number,
    /// A string, with its interpolated code.
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
    /// Whether an empty line precedes the comment.
    pub(super) blank: bool,
}

/// Keywords that are values or roots of paths; the spacing after them is as after a name.
const VALUES: [&str; 7] = ["event", "state", "args", "true", "false", "null", "recur"];

/// Splits a text into lexemes; the last one is the end of the text.
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

/// The index of the token that ends the string that begins at `at`; strings may nest through interpolated code.
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

fn kind(token: &Token<'_>, member: bool) -> LexemeKind {
    match token {
        Token::Word(word) if !member && is_keyword(word) => LexemeKind::Keyword,
        Token::Word(_) | Token::Quoted(_) => LexemeKind::Name,
        Token::Int(_) | Token::Float(_) => LexemeKind::Number,
        Token::TextStart | Token::Piece(_) | Token::TextEnd => LexemeKind::Text,
        Token::CodeStart | Token::CodeEnd | Token::Symbol(_) | Token::Bad => LexemeKind::Symbol,
        Token::Config(_) => LexemeKind::Config,
        Token::Format(_) => LexemeKind::Format,
        Token::End => LexemeKind::End,
    }
}

fn is_keyword(word: &str) -> bool {
    RESERVED.contains(&word) && !VALUES.contains(&word)
}

/// Creates a lexeme. `gap` is the white space and comments between the previous token and this one.
fn lexeme<'s>(gap: &'s str, text: &'s str, kind: LexemeKind) -> Lexeme<'s> {
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
        self.kind == LexemeKind::Symbol && self.text == symbol
    }

    pub(super) fn is_keyword(&self, word: &str) -> bool {
        self.kind == LexemeKind::Keyword && self.text == word
    }

    pub(super) fn has_comments(&self) -> bool {
        self.trailing.is_some() || !self.comments.is_empty()
    }
}
