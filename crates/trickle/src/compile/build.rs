//! Loops, `patch`, `merge` and binary literals.

use super::Compiler;
use crate::{
    ast::{BytesPart, Expr, For, ForCase, Name, OperationKind, Patch},
    code::{
        BytesOp, BytesPartOp, FoldOp, ForCaseOp, ForOp, KeyOp, MergeOp, Op, OperationKindOp, OperationOp,
        PatchOp, Slot,
    },
    source::Span,
};

impl Compiler<'_, '_> {
    // --- for ---

    /// Compiles a loop; `compile_body` compiles the bodies of its cases.
    pub(super) fn for_op<B>(
        &mut self,
        for_expr: &For,
        span: Span,
        mut compile_body: impl FnMut(&mut Self, &[Expr]) -> Vec<B>,
    ) -> ForOp<B> {
        let subject = self.expr(&for_expr.subject);
        let (key, value) = (self.new_slot(), self.new_slot());
        let cases = for_expr.cases.iter().map(|case| self.for_case(case, key, value, &mut compile_body));
        let cases = cases.collect();
        let fold = for_expr.fold.as_ref();
        let fold = fold.map(|fold| FoldOp { start: self.expr(&fold.start), op: fold.op, span: fold.span });
        ForOp { subject, key, value, cases, fold, span: Span { end: span.start + 3, ..span } }
    }

    fn for_case<B>(
        &mut self,
        case: &ForCase,
        key: Slot,
        value: Slot,
        compile_body: &mut impl FnMut(&mut Self, &[Expr]) -> Vec<B>,
    ) -> ForCaseOp<B> {
        let names = case.names.as_ref();
        let hidden = names.map(|(k, v)| (self.hide(k, key), self.hide(v, value)));
        let guard = case.guard.as_ref().and_then(|guard| self.condition(guard, "when"));
        let body = compile_body(self, &case.body).into();
        if let (Some((k, v)), Some((hidden_key, hidden_value))) = (names, hidden) {
            self.show(v, hidden_value);
            self.show(k, hidden_key);
        }
        ForCaseOp { guard, body }
    }

    /// Binds a name to a slot in the current scope. Returns the slot that the name had before, if any.
    pub(super) fn hide(&mut self, name: &Name, slot: Slot) -> Option<Slot> {
        self.locals.insert(name.text.clone(), slot)
    }

    /// Ends the binding of [`Compiler::hide`] and restores the previous one.
    pub(super) fn show(&mut self, name: &Name, hidden: Option<Slot>) {
        match hidden {
            Some(slot) => self.locals.insert(name.text.clone(), slot),
            None => self.locals.remove(&name.text),
        };
    }

    // --- patch, merge ---

    pub(super) fn patch(&mut self, patch: &Patch) -> Op {
        let subject = self.expr(&patch.subject);
        let operations: Box<[OperationOp]> = patch
            .operations
            .iter()
            .map(|operation| OperationOp { kind: self.operation(&operation.kind), span: operation.span })
            .collect();
        let constant = subject.constant().is_some() && operations.iter().all(|op| op.kind.is_constant());
        let span = patch.subject.span;
        self.folded_if(constant, Op::Patch(Box::new(PatchOp { subject, operations, span })))
    }

    fn operation(&mut self, operation: &OperationKind) -> OperationKindOp {
        match operation {
            OperationKind::Insert(key, value) => OperationKindOp::Insert(self.key(key), self.expr(value)),
            OperationKind::Upsert(key, value) => OperationKindOp::Upsert(self.key(key), self.expr(value)),
            OperationKind::Update(key, value) => OperationKindOp::Update(self.key(key), self.expr(value)),
            OperationKind::Erase(key) => OperationKindOp::Erase(self.key(key)),
            OperationKind::Move(from, to) => OperationKindOp::Move(self.key(from), self.key(to)),
            OperationKind::Copy(from, to) => OperationKindOp::Copy(self.key(from), self.key(to)),
            OperationKind::Merge(key, value) => OperationKindOp::Merge(self.key(key), self.expr(value)),
            OperationKind::MergeAll(value) => OperationKindOp::MergeAll(self.expr(value)),
            OperationKind::Default(key, value) => OperationKindOp::Default(self.key(key), self.expr(value)),
            OperationKind::DefaultAll(value) => OperationKindOp::DefaultAll(self.expr(value)),
        }
    }

    pub(super) fn merge(&mut self, subject: &Expr, spec: &Expr) -> Op {
        let subject = (self.expr(subject), subject.span);
        let spec = (self.expr(spec), spec.span);
        let constant = subject.0.constant().is_some() && spec.0.constant().is_some();
        self.folded_if(constant, Op::Merge(Box::new(MergeOp { subject, spec })))
    }

    // --- binaries ---

    pub(super) fn bytes(&mut self, parts: &[BytesPart]) -> Op {
        let parts: Box<[BytesPartOp]> = parts
            .iter()
            .map(|part| BytesPartOp {
                value: self.expr(&part.value),
                kind: part.kind,
                size: part.size,
                little: part.little,
                span: part.value.span,
            })
            .collect();
        let constant = parts.iter().all(|part| part.value.constant().is_some());
        self.folded_if(constant, Op::Bytes(Box::new(BytesOp { parts })))
    }
}

impl OperationKindOp {
    fn is_constant(&self) -> bool {
        let known = |key: &KeyOp| matches!(key, KeyOp::Const(_));
        match self {
            Self::Insert(key, value)
            | Self::Upsert(key, value)
            | Self::Update(key, value)
            | Self::Merge(key, value)
            | Self::Default(key, value) => known(key) && value.constant().is_some(),
            Self::Erase(key) => known(key),
            Self::Move(from, to) | Self::Copy(from, to) => known(from) && known(to),
            Self::MergeAll(value) | Self::DefaultAll(value) => value.constant().is_some(),
        }
    }
}
