//! Which neighbours stand apart.

use super::lexemes::{Kind, Lexeme};

/// What the two lexemes stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// `[ ]`, where a colon is that of a range.
    Subscript,
    /// `<< >>`, where `:`, `/` and `-` belong to types.
    Binary,
    /// Anything else.
    Other,
}

/// Whether a value may begin here, so that a sign is one and `<<` opens a literal.
pub(super) fn begins_value(before: Option<&Lexeme<'_>>) -> bool {
    let Some(before) = before else { return true };
    match before.kind {
        Kind::Keyword => before.text != "end",
        Kind::Symbol => !matches!(before.text, ")" | "]" | "}" | "$" | ">>"),
        Kind::Config => true,
        _ => false,
    }
}

/// Whether a space stands between `left` and `right`. `before` is what stands before `left`. The braces
/// of record patterns are the layout's.
pub(super) fn apart(
    before: Option<&Lexeme<'_>>,
    left: &Lexeme<'_>,
    right: &Lexeme<'_>,
    inside: Inside,
) -> bool {
    if left.kind == Kind::Number && right.is(".") {
        return true;
    }
    if right.kind == Kind::Format || left.is("$") && right.adjacent {
        return false;
    }
    if right.kind == Kind::Symbol {
        match right.text {
            "," | ";" | "." | "::" | ":" => return false,
            ")" | "]" | "}" => return false,
            "(" | "[" => return !continues(left, right),
            "/" | "-" if inside == Inside::Binary => return false,
            _ => {}
        }
    }
    if left.kind == Kind::Symbol {
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

/// Whether a bracket belongs to what stands before it: a call, a subscript.
fn continues(left: &Lexeme<'_>, right: &Lexeme<'_>) -> bool {
    match left.kind {
        Kind::Name | Kind::Text => true,
        Kind::Keyword => right.is("(") && matches!(left.text, "set" | "each"),
        Kind::Symbol => {
            matches!(left.text, "(" | "[" | "{" | "%(" | "%[" | "." | "::" | "!")
                || right.is("[") && matches!(left.text, ")" | "]" | "}" | "$")
        }
        _ => false,
    }
}
