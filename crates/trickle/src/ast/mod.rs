//! The tree that the parser builds: what a program says, before anybody asks what it means.

mod operators;

use bytestring::ByteString;

pub(crate) use self::operators::{BinaryOp, UnaryOp};

use crate::source::Span;
use towline_event::Value;

/// A name and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// `a::b::c`, or a single name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Qualified {
    /// At least one.
    pub(crate) names: Vec<Name>,
    pub(crate) span: Span,
}

// --- what scripts and queries may define ---

/// A definition that stands at the query level, in a module or at the beginning of a script.
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
    /// Takes further arguments, which it knows as `args`.
    pub(crate) open: bool,
    /// Missing when it does not parse.
    pub(crate) body: Option<FunctionBody>,
}

#[derive(Debug)]
pub(crate) enum FunctionBody {
    Statements(Vec<Expr>),
    /// Patterns over the arguments, tuples all of them.
    Cases(Vec<Case>),
}

/// `mod name with … end`
#[derive(Debug)]
pub(crate) struct ModuleDefinition {
    pub(crate) name: Name,
    pub(crate) statements: Vec<Statement>,
}

/// `use path [as alias]`; a list in braces is one of these for each.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) path: Qualified,
    pub(crate) alias: Option<Name>,
}

/// The statements of a script, and what it defines for itself.
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

/// `define script name with key = value … state value script from port … script … end`
#[derive(Debug)]
pub(crate) struct DefineScript {
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    /// What the state is at first; null when nothing is said.
    pub(crate) state: Option<Expr>,
    /// What is done with events, by the port that they come in by. The last is for `in`.
    pub(crate) blocks: Vec<ScriptBlock>,
}

/// `script from port …`, or `script …` for the port `in`.
#[derive(Debug)]
pub(crate) struct ScriptBlock {
    /// None: `in`.
    pub(crate) port: Option<Name>,
    /// Missing when it does not parse.
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
    /// Where events enter; `in` when nothing is said.
    pub(crate) from: Vec<Name>,
    /// Where events leave; `out` and `err` when nothing is said.
    pub(crate) into: Vec<Name>,
    pub(crate) params: Vec<Param>,
    pub(crate) statements: Vec<Statement>,
}

/// `create script name from definition with key = value … end`, and the same of operators and pipelines
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) kind: Creation,
    pub(crate) name: Name,
    pub(crate) from: Option<Qualified>,
    pub(crate) params: Vec<Param>,
}

/// What a `create` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Creation {
    Script,
    Operator,
    Pipeline,
}

/// `define tumbling window name with key = value … script … end`
#[derive(Debug)]
#[allow(dead_code, reason = "windows have their place here; the checker refuses them until they run")]
pub(crate) struct DefineWindow {
    pub(crate) kind: Name,
    pub(crate) name: Name,
    pub(crate) params: Vec<Param>,
    pub(crate) script: Option<Script>,
}

/// `key = value` of a `with`.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: Name,
    /// `args a, b` gives none: then every creation has to.
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

impl Path {
    /// A root without segments.
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
pub(crate) struct Match {
    pub(crate) subject: Expr,
    pub(crate) cases: Vec<Case>,
}

/// `for subject of case (key, value) when guard => body … into start use operator end`
#[derive(Debug)]
pub(crate) struct For {
    pub(crate) subject: Expr,
    pub(crate) cases: Vec<ForCase>,
    /// None: the results are an array.
    pub(crate) fold: Option<Fold>,
}

/// `into start use operator`: what the results of a loop are put together to.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) start: Expr,
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct ForCase {
    /// Names of key or index, and of the value; none for `default`.
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

/// Keys are strings, with code in them or without.
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
    /// Bits of a number; bytes of a binary, all of them when nothing is said.
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
    /// `%[ … ]`: each is matched by some element.
    Array(Vec<Pattern>),
    /// `%( …, ... )`: each is matched by the element at its place; `open` allows more.
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
    /// `alias = key ~= pattern`: the name under which the result has it.
    pub(crate) alias: Option<ByteString>,
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
