//! The tokens of the language.

use crate::source::Span;

/// Words that cannot name a local, a stream or a script. After a `.` and in backticks they are plain names.
/// Some are reserved for future use.
pub(crate) const RESERVED: [&str; 50] = [
    "absent",
    "and",
    "args",
    "as",
    "by",
    "case",
    "const",
    "copy",
    "create",
    "default",
    "define",
    "drop",
    "each",
    "emit",
    "end",
    "erase",
    "event",
    "false",
    "fn",
    "for",
    "from",
    "group",
    "having",
    "insert",
    "into",
    "intrinsic",
    "let",
    "match",
    "merge",
    "mod",
    "move",
    "not",
    "null",
    "of",
    "or",
    "patch",
    "present",
    "recur",
    "select",
    "set",
    "state",
    "true",
    "update",
    "upsert",
    "use",
    "when",
    "where",
    "window",
    "with",
    "xor",
];

/// Operators and punctuation. If one is a prefix of another, the longer one comes first.
pub(crate) const SYMBOLS: [&str; 39] = [
    "...", ">>>", "%{", "%[", "%(", "=>", "==", "!=", "<=", ">=", "<<", ">>", "::", "~=", "..", "+", "-",
    "*", "/", "%", "<", ">", "=", "!", "&", "|", "^", "~", ".", ",", ";", ":", "(", ")", "[", "]", "{", "}",
    "$",
];

/// A token and its content.
///
/// A string is several tokens, so that interpolated code can nest: `"a#{1}"` is `TextStart`, `Piece("a")`,
/// `CodeStart`, `Int(1)`, `CodeEnd`, `TextEnd`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'s> {
    /// A name or a keyword. The parser distinguishes them.
    Word(&'s str),
    /// A name in backticks, which is never a keyword.
    Quoted(&'s str),
    Int(u64),
    Float(f64),
    TextStart,
    Piece(String),
    CodeStart,
    CodeEnd,
    TextEnd,
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    /// The rest of a line after `#!config`.
    Config(&'s str),
    /// The format of an extractor, `|…|`.
    Format(&'s str),
    /// Invalid text that the lexer has reported.
    Bad,
    /// The end of the source.
    End,
}

/// A token and its span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed<'s> {
    pub(crate) token: Token<'s>,
    pub(crate) span: Span,
}

impl Token<'_> {
    /// The token's name in error messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Word(word) | Self::Quoted(word) => format!("`{word}`"),
            Self::Int(_) | Self::Float(_) => "a number".to_owned(),
            Self::TextStart | Self::Piece(_) | Self::TextEnd => "a string".to_owned(),
            Self::CodeStart => "`#{`".to_owned(),
            Self::CodeEnd => "the end of `#{ }`".to_owned(),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::Config(_) => "`#!config`".to_owned(),
            Self::Format(_) => "an extractor".to_owned(),
            Self::Bad => "this".to_owned(),
            Self::End => "the end of the text".to_owned(),
        }
    }
}
