//! Spaces between neighbouring lexemes.

use super::lexemes::{Lexeme, LexemeKind};

/// The kind of bracket around two lexemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// `[ ]`, where a colon separates the bounds of a range.
    Subscript,
    /// `<< >>`, where `:`, `/` and `-` belong to types.
    Binary,
    /// Anything else.
    Other,
}

/// Whether the next lexeme can begin a value, so that `+` or `-` is a sign and `<<` opens a binary literal.
pub(super) fn begins_value(before: Option<&Lexeme<'_>>) -> bool {
    let Some(before) = before else { return true };
    match before.kind {
        LexemeKind::Keyword => before.text != "end",
        LexemeKind::Symbol => !matches!(before.text, ")" | "]" | "}" | "$" | ">>"),
        LexemeKind::Config => true,
        _ => false,
    }
}

/// Whether there is a space between `left` and `right`. `before` is the lexeme before `left`. `layout`
/// handles the braces of record patterns.
pub(super) fn apart(
    before: Option<&Lexeme<'_>>,
    left: &Lexeme<'_>,
    right: &Lexeme<'_>,
    inside: Inside,
) -> bool {
    if left.kind == LexemeKind::Number && right.is(".") {
        return true;
    }
    if right.kind == LexemeKind::Format || left.is("$") && right.adjacent {
        return false;
    }
    if right.kind == LexemeKind::Symbol {
        match right.text {
            "," | ";" | "." | "::" | ":" => return false,
            ")" | "]" | "}" => return false,
            "(" | "[" => return !continues(left, right),
            "/" | "-" if inside == Inside::Binary => return false,
            _ => {}
        }
    }
    if left.kind == LexemeKind::Symbol {
        return match left.text {
            "(" | "[" | "{" | "." | "::" => false,
            ":" => inside == Inside::Other,
            "/" | "-" if inside == Inside::Binary => false,
            "!" => false,
            "-" | "+" => !begins_value(before),
            _ => true,
        };
    }
    true
}

/// Whether a bracket continues the lexeme `left`, as in a call or a subscript.
fn continues(left: &Lexeme<'_>, right: &Lexeme<'_>) -> bool {
    match left.kind {
        LexemeKind::Name | LexemeKind::Text => true,
        LexemeKind::Keyword => right.is("(") && matches!(left.text, "set" | "each"),
        LexemeKind::Symbol => {
            matches!(left.text, "(" | "[" | "{" | "%(" | "%[" | "." | "::" | "!")
                || right.is("[") && matches!(left.text, ")" | "]" | "}" | "$")
        }
        _ => false,
    }
}
