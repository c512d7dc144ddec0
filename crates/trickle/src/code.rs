//! Compiled code: all names are resolved, so that a running program looks none up.
//!
//! There are two kinds of code. An [`Op`] is an expression: it reads and yields a value. An [`Act`] is a
//! statement of a script: it may change the event, `$`, the state or a local, and may end the script.

use std::sync::Arc;

use bytestring::ByteString;

use crate::{
    ast::{BinaryOp, BytesKind, UnaryOp},
    extract::Extractor,
    library,
    source::Span,
};
use towline_event::Value;

/// An expression.
#[derive(Debug)]
pub(crate) enum Op {
    Const(Value),
    Path(Box<PathOp>),
    Presence {
        present: bool,
        path: Box<PathOp>,
    },
    Text(Box<TextOp>),
    Array(Box<[Op]>),
    Record(Box<[FieldOp]>),
    Unary {
        op: UnaryOp,
        span: Span,
        operand: Box<Op>,
    },
    /// Operators from left to right.
    Chain(Box<ChainOp>),
    /// `and`, `or`, `xor`. The right side of `and` and `or` is evaluated only if the left side leaves the
    /// result open.
    Logic(Box<LogicOp>),
    Match(Box<MatchOp<Op>>),
    For(Box<ForOp<Op>>),
    Patch(Box<PatchOp>),
    Merge(Box<MergeOp>),
    Call(Box<CallOp>),
    Bytes(Box<BytesOp>),
}

/// A path: its root, and the steps from there.
#[derive(Debug)]
pub(crate) struct PathOp {
    pub(crate) root: Root,
    pub(crate) steps: Box<[Step]>,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Root {
    Event,
    /// The whole record `$`.
    Meta,
    /// `$key`
    MetaKey(ByteString),
    State,
    Local(Slot),
    Value(Op),
}

/// The index of a local within its script, function or select.
pub(crate) type Slot = usize;

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    Key(ByteString),
    Index(Op),
    Range(Op, Op),
}

#[derive(Debug)]
pub(crate) struct TextOp {
    pub(crate) pieces: Box<[PieceOp]>,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum PieceOp {
    Literal(Box<str>),
    Code(Op),
}

#[derive(Debug)]
pub(crate) struct FieldOp {
    pub(crate) key: KeyOp,
    pub(crate) value: Op,
}

#[derive(Debug)]
pub(crate) enum KeyOp {
    Const(ByteString),
    Text(TextOp),
    /// Any expression whose value is a string.
    Value(Op, Span),
}

#[derive(Debug)]
pub(crate) struct ChainOp {
    pub(crate) first: Op,
    pub(crate) rest: Box<[LinkOp]>,
}

#[derive(Debug)]
pub(crate) struct LinkOp {
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
    pub(crate) operand: Op,
}

#[derive(Debug)]
pub(crate) struct LogicOp {
    /// [`BinaryOp::And`], [`BinaryOp::Or`] or [`BinaryOp::Xor`].
    pub(crate) op: BinaryOp,
    /// The operands with their spans, at least two.
    pub(crate) operands: Box<[(Op, Span)]>,
}

/// A match whose cases end in an expression or in statements.
#[derive(Debug)]
pub(crate) struct MatchOp<B> {
    pub(crate) subject: Op,
    pub(crate) cases: Box<[CaseOp<B>]>,
    pub(crate) span: Span,
    /// Whether the cases belong to a function. The subject is then the array of the function's arguments.
    pub(crate) function: bool,
}

/// A loop over a record or an array, whose cases end in an expression or in statements.
#[derive(Debug)]
pub(crate) struct ForOp<B> {
    pub(crate) subject: Op,
    /// Slot of the key or index, which all cases share.
    pub(crate) key: Slot,
    pub(crate) value: Slot,
    pub(crate) cases: Box<[ForCaseOp<B>]>,
    /// How to combine the results; `None` collects them in an array.
    pub(crate) fold: Option<FoldOp>,
    pub(crate) span: Span,
}

/// How the results of a loop are combined into one value.
#[derive(Debug)]
pub(crate) struct FoldOp {
    pub(crate) start: Op,
    pub(crate) op: BinaryOp,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct ForCaseOp<B> {
    pub(crate) guard: Option<(Op, Span)>,
    /// At least one statement; the last one yields the value.
    pub(crate) body: Box<[B]>,
}

#[derive(Debug)]
pub(crate) struct PatchOp {
    pub(crate) subject: Op,
    pub(crate) operations: Box<[OperationOp]>,
    /// Span of the subject.
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct OperationOp {
    pub(crate) kind: OperationKindOp,
    pub(crate) span: Span,
}

/// The compiled form of the operation in the tree.
#[derive(Debug)]
pub(crate) enum OperationKindOp {
    Insert(KeyOp, Op),
    Upsert(KeyOp, Op),
    Update(KeyOp, Op),
    Erase(KeyOp),
    Move(KeyOp, KeyOp),
    Copy(KeyOp, KeyOp),
    Merge(KeyOp, Op),
    MergeAll(Op),
    Default(KeyOp, Op),
    DefaultAll(Op),
}

#[derive(Debug)]
pub(crate) struct MergeOp {
    pub(crate) subject: (Op, Span),
    pub(crate) spec: (Op, Span),
}

#[derive(Debug)]
pub(crate) struct CallOp {
    pub(crate) callee: Callee,
    pub(crate) args: Box<[Op]>,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Callee {
    /// A function that the program defines.
    Function(Arc<Function>),
    Library(&'static library::Function),
}

/// A function of the program.
#[derive(Debug)]
pub(crate) struct Function {
    /// Number of named parameters; they are the first locals.
    pub(crate) params: usize,
    /// Whether the function takes further arguments, as an array in the local after the named parameters.
    pub(crate) open: bool,
    pub(crate) locals: usize,
    /// The statements; the last one yields the value.
    pub(crate) body: Box<[Act]>,
    /// Whether the same arguments always give the same result.
    pub(crate) pure: bool,
    /// Nesting depth of the function's expressions, including those of the functions that it calls.
    pub(crate) height: u32,
}

#[derive(Debug)]
pub(crate) struct BytesOp {
    pub(crate) parts: Box<[BytesPartOp]>,
}

#[derive(Debug)]
pub(crate) struct BytesPartOp {
    pub(crate) value: Op,
    pub(crate) kind: BytesKind,
    /// Size in bits for a number, in bytes for a binary; `None` for all bytes.
    pub(crate) size: Option<u64>,
    pub(crate) little: bool,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct CaseOp<B> {
    pub(crate) bind: Option<Slot>,
    pub(crate) pattern: PatternOp,
    pub(crate) guard: Option<(Op, Span)>,
    /// At least one statement; the last one yields the value.
    pub(crate) body: Box<[B]>,
}

#[derive(Debug)]
pub(crate) enum PatternOp {
    Any,
    Equals(Op),
    Record(Box<[FieldPatternOp]>),
    Array(Box<[PatternOp]>),
    Tuple {
        items: Box<[PatternOp]>,
        open: bool,
    },
    /// An extractor, shared by all patterns of the same format, and its span.
    Extract(Arc<Extractor>, Span),
}

#[derive(Debug)]
pub(crate) struct FieldPatternOp {
    pub(crate) key: ByteString,
    /// The key of the field in the result.
    pub(crate) alias: ByteString,
    pub(crate) test: FieldTestOp,
}

#[derive(Debug)]
pub(crate) enum FieldTestOp {
    Present,
    Absent,
    Compare(BinaryOp, Span, Op),
    Matches(PatternOp),
}

/// A statement of a script.
#[derive(Debug)]
pub(crate) enum Act {
    Value(Op),
    Let(Box<LetAct>),
    Emit {
        value: Option<Op>,
        port: PortNumber,
    },
    /// An `emit` to the port `err`, and its span. It fails if nothing reads from the port.
    EmitErr(Box<(Act, Span)>),
    Drop,
    Match(Box<MatchOp<Act>>),
    For(Box<ForOp<Act>>),
    /// A tail call: the function restarts with other arguments.
    Recur {
        args: Box<[Op]>,
        span: Span,
    },
}

/// The index of a port of a script; [`OUT`] is the port `out`.
pub(crate) type PortNumber = usize;

/// The port `out` of a script.
pub(crate) const OUT: PortNumber = 0;

/// The port of a script for its errors: run-time errors, and events that the script emits to it.
pub(crate) const ERR: &str = "err";

#[derive(Debug)]
pub(crate) struct LetAct {
    pub(crate) target: Target,
    pub(crate) steps: Box<[Step]>,
    pub(crate) value: Act,
    /// Span of the path that is assigned to.
    pub(crate) span: Span,
}

/// What an assignment changes.
#[derive(Debug)]
pub(crate) enum Target {
    Event,
    Meta,
    MetaKey(ByteString),
    State,
    Local(Slot),
}

// === impl Op ===

impl Op {
    /// The value, if the expression is a constant; otherwise `None`.
    pub(crate) fn constant(&self) -> Option<&Value> {
        match self {
            Self::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the expression is exactly `event`, that is, the whole data of the event, unchanged.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::Path(path) if path.steps.is_empty() && matches!(path.root, Root::Event))
    }

    /// Whether the expression is a path. The value of a path nests no deeper than the value that contains it.
    pub(crate) fn is_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }
}
