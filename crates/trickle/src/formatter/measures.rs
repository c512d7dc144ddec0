//! Matching brackets and blocks, and their lengths on one line.

use super::{
    lexemes::{Lexeme, LexemeKind},
    spacing::{Inside, apart, begins_value},
};

/// Maximum length in characters of a line that can be broken at brackets.
const WIDTH: usize = 100;

/// A block closed by `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Match,
    For,
    Patch,
    Merge,
    Fn,
    Mod,
    Define,
}

/// Lengths for deciding whether a range of lexemes fits on one line.
pub(super) struct Measures {
    /// For each lexeme, the length of all lexemes before it on one line.
    widths: Vec<usize>,
    /// For each lexeme, the number of lexemes before it that require a line break.
    breaks: Vec<usize>,
    /// For each opening lexeme, the index of the bracket or `end` that closes it.
    pub(super) closing: Vec<usize>,
    /// For each closing lexeme, the index of the one that opens it.
    pub(super) opening: Vec<usize>,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new(lexemes: &[Lexeme<'_>]) -> Self {
        let mut measures = Self {
            widths: vec![0],
            breaks: vec![0],
            closing: vec![usize::MAX; lexemes.len()],
            opening: vec![usize::MAX; lexemes.len()],
        };
        let mut open = Vec::new();
        for (at, lexeme) in lexemes.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &lexemes[before]);
            let space = before.is_some_and(|before| {
                apart(at.checked_sub(2).map(|at| &lexemes[at]), before, lexeme, Inside::Other)
            });
            let padding = if opens_pattern(lexeme) { 2 } else { 0 };
            let width = usize::from(space) + lexeme.text.chars().count() + padding;
            measures.widths.push(measures.widths[at] + width);
            let breaks = lexeme.has_comments()
                || lexeme.text.contains('\n')
                || block(lexemes, at).is_some_and(|block| block != Block::Merge)
                || keeps_break(lexeme);
            measures.breaks.push(measures.breaks[at] + usize::from(breaks));
            if opens_bracket(lexemes, at).is_some() || block(lexemes, at).is_some() {
                open.push(at);
            } else if closes_bracket(lexeme) || lexeme.is_keyword("end") {
                // A `>>` may be an operator, and the `end` of a `with` has no separate opener.
                if let Some(opener) = open.last().copied()
                    && (lexeme.text == "end") == (lexemes[opener].kind == LexemeKind::Keyword)
                    && (lexeme.text == ">>") == (lexemes[opener].text == "<<")
                {
                    measures.closing[opener] = at;
                    measures.opening[at] = opener;
                    open.pop();
                }
            }
        }
        measures
    }

    /// Whether the lexemes from `from` up to `to` fit on a line that already has `used` characters.
    pub(super) fn fits(&self, from: usize, to: usize, used: usize) -> bool {
        self.breaks[from + 1] == self.breaks[to] && used + self.widths[to] - self.widths[from] <= WIDTH
    }
}

/// The block that a lexeme opens; `None` if it opens none.
pub(super) fn block(lexemes: &[Lexeme<'_>], at: usize) -> Option<Block> {
    let lexeme = &lexemes[at];
    let next = lexemes.get(at + 1)?;
    let names_something = next.is("=") || next.is("=>") || next.is(":");
    if lexeme.kind != LexemeKind::Keyword || names_something || is_field(lexemes, at) || is_port(lexemes, at)
    {
        return None;
    }
    Some(match lexeme.text {
        "match" => Block::Match,
        "for" => Block::For,
        "patch" => Block::Patch,
        // In a `patch`, `merge` is an operation, followed by a key or an arrow and without `of`.
        "merge" if is_expression(lexemes, at) => Block::Merge,
        "fn" if at.checked_sub(1).is_none_or(|before| lexemes[before].text != "intrinsic") => Block::Fn,
        "mod" => Block::Mod,
        "define" if !is_bare_operator(lexemes, at) => Block::Define,
        _ => return None,
    })
}

/// Whether a word is a key in a record pattern: `%{ match == 1 }`.
pub(super) fn is_field(lexemes: &[Lexeme<'_>], at: usize) -> bool {
    let after = |text: &str| at.checked_sub(1).is_some_and(|before| lexemes[before].text == text);
    let compared = ["}", ",", "==", "!=", "~="].iter().any(|sign| lexemes[at + 1].is(sign));
    after("%{")
        || compared
        || ((after("present") || after("absent")) && lexemes[at - 1].kind == LexemeKind::Keyword)
}

/// Whether a word names a port: `from script/match`.
fn is_port(lexemes: &[Lexeme<'_>], at: usize) -> bool {
    at >= 3 && lexemes[at - 1].is("/") && matches!(lexemes[at - 3].text, "from" | "into")
}

/// Whether a `define` defines an operator without `with`, which has no `end`.
fn is_bare_operator(lexemes: &[Lexeme<'_>], at: usize) -> bool {
    let opens =
        |lexeme: &Lexeme<'_>| matches!(lexeme.text, "with" | "args" | "script" | "pipeline" | "window");
    let mut behind = lexemes[at + 1..]
        .iter()
        .take_while(|lexeme| !(lexeme.is(";") || lexeme.is_keyword("end") || lexeme.kind == LexemeKind::End));
    !behind.any(opens)
}

/// Whether a `merge` has an `of` before the statement ends.
fn is_expression(lexemes: &[Lexeme<'_>], at: usize) -> bool {
    let mut depth = 0_usize;
    for lexeme in &lexemes[at + 1..] {
        match lexeme.text {
            "of" if lexeme.kind == LexemeKind::Keyword && depth == 0 => return true,
            "match" | "for" | "patch" | "merge" if lexeme.kind == LexemeKind::Keyword => depth += 1,
            "end" if lexeme.kind == LexemeKind::Keyword && depth > 0 => depth -= 1,
            "end" if lexeme.kind == LexemeKind::Keyword => return false,
            ";" | "=>" if depth == 0 && lexeme.kind == LexemeKind::Symbol => return false,
            "of" if lexeme.kind == LexemeKind::Keyword => {}
            _ => {}
        }
    }
    false
}

/// Whether the lexeme keeps the line break that the source has before it.
pub(super) fn keeps_break(lexeme: &Lexeme<'_>) -> bool {
    lexeme.newline && lexeme.kind == LexemeKind::Keyword && matches!(lexeme.text, "and" | "or" | "xor")
}

/// The closing bracket for a lexeme that opens a bracket; `None` for other lexemes.
pub(super) fn opens_bracket(lexemes: &[Lexeme<'_>], at: usize) -> Option<&'static str> {
    let lexeme = &lexemes[at];
    if lexeme.kind != LexemeKind::Symbol {
        return None;
    }
    match lexeme.text {
        "(" | "%(" => Some(")"),
        "[" | "%[" => Some("]"),
        "{" | "%{" => Some("}"),
        "<<" if begins_value(at.checked_sub(1).map(|at| &lexemes[at])) => Some(">>"),
        _ => None,
    }
}

/// Whether a lexeme opens a pattern in brackets.
pub(super) fn opens_pattern(lexeme: &Lexeme<'_>) -> bool {
    lexeme.kind == LexemeKind::Symbol && matches!(lexeme.text, "%{" | "%[" | "%(")
}

pub(super) fn closes_bracket(lexeme: &Lexeme<'_>) -> bool {
    lexeme.kind == LexemeKind::Symbol && matches!(lexeme.text, ")" | "]" | "}" | ">>")
}
