//! The syntax tree that the parser builds, before names are resolved.

mod operators;

use bytestring::ByteString;

pub(crate) use self::operators::{BinaryOp, UnaryOp};

use crate::source::Span;
use towline_event::Value;

/// A name and its span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// `a::b::c`, or a single name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Qualified {
    /// The names from the outermost module to the definition; at least one.
    pub(crate) names: Vec<Name>,
    pub(crate) span: Span,
}

// --- definitions in scripts and queries ---

/// A definition at the query level, in a module or at the beginning of a script.
#[derive(Debug)]
pub(crate) enum Item {
    Constant(Constant),
    Function(FunctionDefinition),
    Module(ModuleDefinition),
    Use(Vec<Use>),
}

/// `const name = value`
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: Name,
    pub(crate) value: Expr,
}

/// `fn name(a, b) with … end`, `fn name(a, ...) with … end`, `fn name(a) of case (…) => … end`
#[derive(Debug)]
pub(crate) struct FunctionDefinition {
    pub(crate) name: Name,
    pub(crate) params: Vec<Name>,
    /// Whether the function takes further arguments, available as `args`.
    pub(crate) open: bool,
    /// The body; `None` if it has syntax errors.
    pub(crate) body: Option<FunctionBody>,
}

#[derive(Debug)]
pub(crate) enum FunctionBody {
    Statements(Vec<Expr>),
    /// Cases that match on the arguments; each pattern is a tuple.
    Cases(Vec<Case>),
}

/// `mod name with … end`
#[derive(Debug)]
pub(crate) struct ModuleDefinition {
    pub(crate) name: Name,
    pub(crate) statements: Vec<Statement>,
}

/// `use path [as alias]`; a list in braces becomes one `Use` for each entry.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) path: Qualified,
    pub(crate) alias: Option<Name>,
}

/// The statements and local definitions of a script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) items: Vec<Item>,
    pub(crate) body: Vec<Expr>,
}

// --- query level ---

/// One statement of a program.
#[derive(Debug)]
pub(crate) enum Statement {
    Item(Item),
    Select(Box<Select>),
    CreateStream(Name),
    DefineScript(DefineScript),
    DefineOperator(DefineOperator),
    DefinePipeline(DefinePipeline),
    DefineWindow(DefineWindow),
    Create(Create),
}

/// `select target from source[windows] where filter group by group into into having having`
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) target: Expr,
    pub(crate) from: StreamRef,
    pub(crate) windows: Vec<Qualified>,
    pub(crate) filter: Option<Expr>,
    pub(crate) group: Option<Group>,
    pub(crate) into: StreamRef,
    pub(crate) having: Option<Expr>,
}

/// The `group by` of a windowed select.
#[derive(Debug)]
#[allow(dead_code, reason = "parsed, but refused by the checker until windows are supported")]
pub(crate) struct Group {
    pub(crate) by: GroupBy,
    pub(crate) span: Span,
}

/// `expr`, `set(a, b)` or `each(expr)`.
#[derive(Debug)]
#[allow(dead_code, reason = "parsed, but refused by the checker until windows are supported")]
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

/// `define script name with key = value … state value script from port … script … end`
#[derive(Debug)]
pub(crate) struct DefineScript {
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    /// The initial state; `None` means null.
    pub(crate) state: Option<Expr>,
    /// The statements for the events of each input port. The last block is for `in`.
    pub(crate) blocks: Vec<ScriptBlock>,
}

/// `script from port …`, or `script …` for the port `in`.
#[derive(Debug)]
pub(crate) struct ScriptBlock {
    /// The input port; `None` means `in`.
    pub(crate) port: Option<Name>,
    /// The statements; `None` if they have syntax errors.
    pub(crate) script: Option<Script>,
}

/// `define kind operator name with key = value … end`, `define operator name from kind`
#[derive(Debug)]
pub(crate) struct DefineOperator {
    pub(crate) kind: Qualified,
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
}

/// `define pipeline name from ports into ports args key = value … pipeline … end`
#[derive(Debug)]
pub(crate) struct DefinePipeline {
    pub(crate) name: Name,
    /// Input ports; empty means `in`.
    pub(crate) from: Vec<Name>,
    /// Output ports; empty means `out` and `err`.
    pub(crate) into: Vec<Name>,
    pub(crate) params: Vec<Param>,
    pub(crate) statements: Vec<Statement>,
}

/// `create script name from definition with key = value … end`; the same for operators and pipelines
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) kind: Creation,
    pub(crate) name: Name,
    pub(crate) from: Option<Qualified>,
    pub(crate) params: Vec<Param>,
}

/// The kind of node that a `create` adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Creation {
    Script,
    Operator,
    Pipeline,
}

/// `define tumbling window name with key = value … script … end`
#[derive(Debug)]
#[allow(dead_code, reason = "parsed, but refused by the checker until windows are supported")]
pub(crate) struct DefineWindow {
    pub(crate) kind: Name,
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    pub(crate) script: Option<Script>,
}

/// A parameter: `key = value` in a `with`.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: Name,
    /// The default value. `args a, b` declares parameters without one; every `create` must then give a value.
    pub(crate) value: Option<Expr>,
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
    /// A string with interpolated code.
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
    Match(Box<MatchExpr>),
    For(Box<For>),
    Patch(Box<Patch>),
    /// `merge target of spec end`
    Merge(Box<(Expr, Expr)>),
    /// `name(args)`
    Call {
        name: Qualified,
        args: Vec<Expr>,
    },
    /// `recur(args)`
    Recur(Vec<Expr>),
    /// `<< value:bits/type, … >>`
    Bytes(Vec<BytesPart>),
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

/// `"key": value`; the key may contain interpolated code.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
}

/// An operator with its right operand.
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

impl Path {
    /// A path that consists of a root only.
    pub(crate) fn of(root: Root, span: Span) -> Self {
        Self { root, segments: Vec::new(), span }
    }
}

#[derive(Debug)]
pub(crate) enum Root {
    Event,
    Meta,
    State,
    Args,
    /// A local, or a constant.
    Local(Name),
    /// `a::b`: a constant of a module.
    Constant(Qualified),
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
pub(crate) struct MatchExpr {
    pub(crate) subject: Expr,
    pub(crate) cases: Vec<Case>,
}

/// `for subject of case (key, value) when guard => body … into start use operator end`
#[derive(Debug)]
pub(crate) struct For {
    pub(crate) subject: Expr,
    pub(crate) cases: Vec<ForCase>,
    /// How the results are combined; `None` collects them in an array.
    pub(crate) fold: Option<Fold>,
}

/// `into start use operator`: how the results of a loop are combined.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) start: Expr,
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct ForCase {
    /// Names for the key or index and for the value; `None` for `default`.
    pub(crate) names: Option<(Name, Name)>,
    pub(crate) guard: Option<Expr>,
    pub(crate) body: Vec<Expr>,
}

/// `patch subject of … end`
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) subject: Expr,
    pub(crate) operations: Vec<Operation>,
}

/// One line of a patch.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    pub(crate) span: Span,
}

/// The kind of an operation. Keys are strings, with or without interpolated code.
#[derive(Debug)]
pub(crate) enum OperationKind {
    Insert(Expr, Expr),
    Upsert(Expr, Expr),
    Update(Expr, Expr),
    Erase(Expr),
    Move(Expr, Expr),
    Copy(Expr, Expr),
    Merge(Expr, Expr),
    MergeAll(Expr),
    Default(Expr, Expr),
    DefaultAll(Expr),
}

/// `value:bits/type`
#[derive(Debug)]
pub(crate) struct BytesPart {
    pub(crate) value: Expr,
    pub(crate) kind: BytesKind,
    /// Size in bits for a number, in bytes for a binary; `None` for the default.
    pub(crate) size: Option<u64>,
    pub(crate) little: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BytesKind {
    Unsigned,
    Signed,
    Binary,
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
    /// `%[ … ]`: each pattern must match some element.
    Array(Vec<Pattern>),
    /// `%( …, ... )`: each pattern must match the element at its index; `open` allows more elements.
    Tuple { items: Vec<Pattern>, open: bool },
    /// `~ kind|format|`
    Extract(Extract),
}

#[derive(Debug)]
pub(crate) struct Extract {
    pub(crate) kind: Name,
    pub(crate) format: String,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct FieldPattern {
    pub(crate) key: ByteString,
    /// `alias = key ~= pattern`: the name of the field in the result of the pattern.
    pub(crate) alias: Option<ByteString>,
    pub(crate) test: FieldTest,
}

#[derive(Debug)]
pub(crate) enum FieldTest {
    Present,
    Absent,
    /// `key == value` and the other comparisons, with the operator's span.
    Compare(BinaryOp, Span, Expr),
    /// `key ~= pattern`
    Matches(Pattern),
}
