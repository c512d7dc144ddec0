//! The words of the language.

use crate::source::Span;

/// Words that cannot name a local, a stream or a script. After a `.` and in backticks they are plain
/// names. Those the grammar does not use yet are kept free for it.
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

/// Signs, longest first where one begins another.
pub(crate) const SYMBOLS: [&str; 39] = [
    "...", ">>>", "%{", "%[", "%(", "=>", "==", "!=", "<=", ">=", "<<", ">>", "::", "~=", "..", "+", "-",
    "*", "/", "%", "<", ">", "=", "!", "&", "|", "^", "~", ".", ",", ";", ":", "(", ")", "[", "]", "{", "}",
    "$",
];

/// One word, with what it carries.
///
/// A text is several tokens, so that code inside it nests: `"a#{1}"` is `TextStart`, `Piece("a")`,
/// `CodeStart`, `Int(1)`, `CodeEnd`, `TextEnd`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'s> {
    /// A name or a keyword; the parser knows which it wants.
    Word(&'s str),
    /// A name in backticks: never a keyword.
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
    /// What follows `#!config` on its line.
    Config(&'s str),
    /// The format of an extractor, `|…|`.
    Format(&'s str),
    /// Something the lexer has already reported.
    Bad,
    /// The end of the source.
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed<'s> {
    pub(crate) token: Token<'s>,
    pub(crate) span: Span,
}

impl Token<'_> {
    /// How a message to people calls it.
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
