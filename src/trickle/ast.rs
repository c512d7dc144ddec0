//! The tree that the parser builds: what a program says, before anybody asks what it means.

use bytestring::ByteString;

use super::source::Span;
use crate::event::Value;

/// A name and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

// --- query level ---

/// One statement of a program.
#[derive(Debug)]
pub(crate) enum Statement {
    Select(Box<Select>),
    CreateStream(Name),
    DefineScript(DefineScript),
    CreateScript(CreateScript),
    DefineWindow(DefineWindow),
}

/// `select target from source[windows] where filter group by group into into having having`
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) target: Expr,
    pub(crate) from: StreamRef,
    pub(crate) windows: Vec<Name>,
    pub(crate) filter: Option<Expr>,
    pub(crate) group: Option<Group>,
    pub(crate) into: StreamRef,
    pub(crate) having: Option<Expr>,
}

/// What a windowed select groups by.
#[derive(Debug)]
#[allow(dead_code, reason = "grouping has its place here; the checker refuses it until windows run")]
pub(crate) struct Group {
    pub(crate) by: GroupBy,
    pub(crate) span: Span,
}

/// `expr`, `set(a, b)` or `each(expr)`.
#[derive(Debug)]
#[allow(dead_code, reason = "grouping has its place here; the checker refuses it until windows run")]
pub(crate) enum GroupBy {
    Value(Expr),
    Set(Vec<Group>),
    Each(Expr),
}

/// `stream` or `stream/port`
#[derive(Debug)]
pub(crate) struct StreamRef {
    pub(crate) stream: Name,
    pub(crate) port: Option<Name>,
}

/// `define script name with key = value … script … end`
#[derive(Debug)]
pub(crate) struct DefineScript {
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    /// Missing when it does not parse.
    pub(crate) body: Option<Vec<Expr>>,
}

/// `create script name from definition with key = value … end`
#[derive(Debug)]
pub(crate) struct CreateScript {
    pub(crate) name: Name,
    pub(crate) from: Option<Name>,
    pub(crate) params: Vec<Param>,
}

/// `define tumbling window name with key = value … script … end`
#[derive(Debug)]
#[allow(dead_code, reason = "windows have their place here; the checker refuses them until they run")]
pub(crate) struct DefineWindow {
    pub(crate) kind: Name,
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    pub(crate) body: Option<Vec<Expr>>,
}

/// `key = value` of a `with`.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: Name,
    pub(crate) value: Expr,
}

// --- script level ---

/// An expression; statements of a script are expressions too.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Literal(Value),
    /// A string with code in it.
    Text(Vec<Piece>),
    Array(Vec<Expr>),
    Record(Vec<Field>),
    Path(Path),
    /// `present path`, `absent path`
    Presence {
        present: bool,
        path: Path,
    },
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    /// Operators of one precedence in a row, `a + b - c`: flat, so that a long sum is not a deep tree.
    Chain {
        first: Box<Expr>,
        rest: Vec<Link>,
    },
    Match(Box<Match>),
    Let {
        path: Path,
        value: Box<Expr>,
    },
    Emit {
        value: Option<Box<Expr>>,
        port: Option<Name>,
    },
    Drop,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Literal(String),
    Code(Expr),
}

/// `"key": value`; the key may hold code.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
}

/// An operator with its right-hand side.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
    pub(crate) operand: Expr,
}

#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) segments: Vec<Segment>,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Root {
    Event,
    Meta,
    State,
    Args,
    Local(Name),
    /// `(expr).key`
    Expr(Box<Expr>),
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum SegmentKind {
    Key(ByteString),
    Index(Box<Expr>),
    Range(Box<Expr>, Box<Expr>),
}

/// `match subject of case … end`
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) subject: Expr,
    pub(crate) cases: Vec<Case>,
}

/// `case bind = pattern when guard => body`
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) bind: Option<Name>,
    pub(crate) pattern: Pattern,
    pub(crate) guard: Option<Expr>,
    pub(crate) body: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) enum Pattern {
    /// `_` and `default`
    Any,
    /// Equal to the value of an expression.
    Value(Expr),
    /// `%{ … }`
    Record(Vec<FieldPattern>),
    /// `%[ … ]`: each is matched by some element.
    Array(Vec<Pattern>),
    /// `%( …, ... )`: each is matched by the element at its place; `open` allows more.
    Tuple { items: Vec<Pattern>, open: bool },
}

#[derive(Debug)]
pub(crate) struct FieldPattern {
    pub(crate) key: ByteString,
    pub(crate) test: FieldTest,
}

#[derive(Debug)]
pub(crate) enum FieldTest {
    Present,
    Absent,
    /// `key == value` and the other comparisons, with the operator's place.
    Compare(BinaryOp, Span, Expr),
    /// `key ~= pattern`
    Matches(Pattern),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Plus,
    Minus,
    /// `not`
    Not,
    /// `!`
    BitNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    Xor,
    And,
    BitXor,
    BitAnd,
    Eq,
    NotEq,
    Gte,
    Gt,
    Lte,
    Lt,
    Shl,
    Shr,
    ShrUnsigned,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

// === impl BinaryOp ===

impl BinaryOp {
    /// The operator a token stands for, with how tightly it binds.
    pub(crate) fn of(token: &str) -> Option<(Self, u8)> {
        Some(match token {
            "or" => (Self::Or, 1),
            "xor" => (Self::Xor, 2),
            "and" => (Self::And, 3),
            // 4 is kept for `|`, which the reference has in its grammar only.
            "^" => (Self::BitXor, 5),
            "&" => (Self::BitAnd, 6),
            "==" => (Self::Eq, 7),
            "!=" => (Self::NotEq, 7),
            ">=" => (Self::Gte, 8),
            ">" => (Self::Gt, 8),
            "<=" => (Self::Lte, 8),
            "<" => (Self::Lt, 8),
            "<<" => (Self::Shl, 9),
            ">>" => (Self::Shr, 9),
            ">>>" => (Self::ShrUnsigned, 9),
            "+" => (Self::Add, 10),
            "-" => (Self::Sub, 10),
            "*" => (Self::Mul, 11),
            "/" => (Self::Div, 11),
            "%" => (Self::Mod, 11),
            _ => return None,
        })
    }

    /// How programs write it.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
            Self::BitXor => "^",
            Self::BitAnd => "&",
            Self::Eq => "==",
            Self::NotEq => "!=",
            Self::Gte => ">=",
            Self::Gt => ">",
            Self::Lte => "<=",
            Self::Lt => "<",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::ShrUnsigned => ">>>",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
        }
    }
}

// === impl UnaryOp ===

impl UnaryOp {
    /// How programs write it.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Not => "not",
            Self::BitNot => "!",
        }
    }
}
