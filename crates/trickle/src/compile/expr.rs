//! Compiles expressions.

use super::Compiler;
use crate::{
    ast::{BinaryOp, Case, Expr, ExprKind, Field, FieldTest, Link, MatchExpr, Pattern, Piece, UnaryOp},
    code::{
        CaseOp, ChainOp, FieldOp, FieldPatternOp, FieldTestOp, KeyOp, LinkOp, LogicOp, MatchOp, Op,
        PatternOp, PieceOp, TextOp,
    },
    diagnostic::Diagnostic,
    source::Span,
};
use towline_event::Value;

impl Compiler<'_, '_> {
    /// Compiles an expression without side effects.
    pub(crate) fn expr(&mut self, expr: &Expr) -> Op {
        self.deeper(|compiler| compiler.expr_of_kind(expr))
    }

    /// Calls `compile` one nesting level deeper, and returns its result.
    pub(super) fn deeper<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> T {
        self.level += 1;
        self.height = self.height.max(self.level);
        let compiled = compile(self);
        self.level -= 1;
        compiled
    }

    fn expr_of_kind(&mut self, expr: &Expr) -> Op {
        match &expr.kind {
            ExprKind::Literal(value) => Op::Const(value.clone()),
            ExprKind::Text(pieces) => self.text(pieces, expr.span),
            ExprKind::Array(items) => self.array(items),
            ExprKind::Record(fields) => self.record(fields),
            ExprKind::Path(path) => self.path(path),
            // An unknown local is absent, not an error.
            ExprKind::Presence { present, path } if self.is_unknown(path) => Op::Const(Value::Bool(!present)),
            ExprKind::Presence { present, path } => {
                let path = Box::new(self.path_op(path));
                Op::Presence { present: *present, path }
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand, expr.span),
            ExprKind::Chain { first, rest } => self.chain(first, rest),
            ExprKind::Match(match_expr) => {
                let match_op = self.match_op(match_expr, expr.span, |compiler, body| {
                    body.iter().map(|expr| compiler.expr(expr)).collect()
                });
                Op::Match(Box::new(match_op))
            }
            ExprKind::For(for_expr) => {
                let for_op = self.for_op(for_expr, expr.span, |compiler, body| {
                    body.iter().map(|expr| compiler.expr(expr)).collect()
                });
                Op::For(Box::new(for_op))
            }
            ExprKind::Patch(patch) => self.patch(patch),
            ExprKind::Merge(merge) => self.merge(&merge.0, &merge.1),
            ExprKind::Call { name, args } => self.call(name, args, expr.span),
            ExprKind::Recur(_) => self.misplaced_recur(expr.span),
            ExprKind::Bytes(parts) => self.bytes(parts),
            ExprKind::Let { .. } => self.misplaced(expr.span, "let"),
            ExprKind::Emit { .. } => self.misplaced(expr.span, "emit"),
            ExprKind::Drop => self.misplaced(expr.span, "drop"),
        }
    }

    fn misplaced(&mut self, span: Span, word: &str) -> Op {
        let message = format!("`{word}` is a statement of a script and is not allowed inside an expression");
        self.error(Diagnostic::new(span, message, ""));
        Op::Const(Value::Null)
    }

    fn array(&mut self, items: &[Expr]) -> Op {
        let items: Box<[Op]> = items.iter().map(|item| self.expr(item)).collect();
        let constant = items.iter().all(|item| item.constant().is_some());
        self.folded_if(constant, Op::Array(items))
    }

    fn record(&mut self, fields: &[Field]) -> Op {
        let fields: Box<[FieldOp]> = fields.iter().map(|field| self.field(field)).collect();
        let constant = fields
            .iter()
            .all(|field| matches!(field.key, KeyOp::Const(_)) && field.value.constant().is_some());
        self.folded_if(constant, Op::Record(fields))
    }

    fn field(&mut self, field: &Field) -> FieldOp {
        let key = self.key(&field.key);
        FieldOp { key, value: self.expr(&field.value) }
    }

    /// Compiles a key: a string, with or without interpolated code.
    pub(super) fn key(&mut self, key: &Expr) -> KeyOp {
        match self.expr(key) {
            Op::Text(text) => KeyOp::Text(*text),
            Op::Const(Value::String(key)) => KeyOp::Const(key),
            op => KeyOp::Value(op, key.span),
        }
    }

    fn text(&mut self, pieces: &[Piece], span: Span) -> Op {
        let pieces: Box<[PieceOp]> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => PieceOp::Literal(text.as_str().into()),
                Piece::Code(code) => PieceOp::Code(self.expr(code)),
            })
            .collect();
        let constant = pieces.iter().all(|piece| match piece {
            PieceOp::Literal(_) => true,
            PieceOp::Code(op) => op.constant().is_some(),
        });
        self.folded_if(constant, Op::Text(Box::new(TextOp { pieces, span })))
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, span: Span) -> Op {
        let operand = self.expr(operand);
        let constant = operand.constant().is_some();
        self.folded_if(constant, Op::Unary { op, span, operand: Box::new(operand) })
    }

    fn chain(&mut self, first: &Expr, rest: &[Link]) -> Op {
        if let [Link { op: BinaryOp::And | BinaryOp::Or | BinaryOp::Xor, .. }, ..] = rest {
            return self.logic(first, rest);
        }
        let mut before = first;
        let first = self.expr(first);
        let rest: Box<[LinkOp]> = rest
            .iter()
            .map(|link| {
                self.mark_hyphen(before, link);
                before = &link.operand;
                LinkOp { op: link.op, span: link.span, operand: self.expr(&link.operand) }
            })
            .collect();
        let constant =
            first.constant().is_some() && rest.iter().all(|link| link.operand.constant().is_some());
        self.folded_if(constant, Op::Chain(Box::new(ChainOp { first, rest })))
    }

    /// Compiles a chain of one logical operator; each of the three has its own precedence.
    fn logic(&mut self, first: &Expr, rest: &[Link]) -> Op {
        let op = rest[0].op;
        let operands: Box<[(Op, Span)]> = std::iter::once(first)
            .chain(rest.iter().map(|link| &link.operand))
            .map(|operand| (self.expr(operand), operand.span))
            .collect();
        let constant = operands.iter().all(|(operand, _)| operand.constant().is_some());
        self.folded_if(constant, Op::Logic(Box::new(LogicOp { op, operands })))
    }

    pub(super) fn folded_if(&mut self, constant: bool, op: Op) -> Op {
        if constant { self.fold(op) } else { op }
    }

    // --- match ---

    /// Compiles a match; `compile_body` compiles the bodies of its cases.
    pub(super) fn match_op<B>(
        &mut self,
        match_expr: &MatchExpr,
        span: Span,
        mut compile_body: impl FnMut(&mut Self, &[Expr]) -> Vec<B>,
    ) -> MatchOp<B> {
        let subject = self.expr(&match_expr.subject);
        let cases = self.cases(&match_expr.cases, &mut compile_body);
        MatchOp { subject, cases, span, function: false }
    }

    pub(super) fn cases<B>(
        &mut self,
        cases: &[Case],
        compile_body: &mut impl FnMut(&mut Self, &[Expr]) -> Vec<B>,
    ) -> Box<[CaseOp<B>]> {
        cases.iter().map(|case| self.case(case, compile_body)).collect()
    }

    fn case<B>(
        &mut self,
        case: &Case,
        compile_body: &mut impl FnMut(&mut Self, &[Expr]) -> Vec<B>,
    ) -> CaseOp<B> {
        let pattern = self.pattern(&case.pattern);
        // The name is bound in this case only, and shadows a local of the same name.
        let bind = case.bind.as_ref().map(|name| (name, self.new_slot()));
        let hidden = bind.map(|(name, slot)| self.hide(name, slot));
        let guard = case.guard.as_ref().and_then(|guard| self.condition(guard, "when"));
        let body = compile_body(self, &case.body).into();
        if let (Some((name, _)), Some(hidden)) = (bind, hidden) {
            self.show(name, hidden);
        }
        CaseOp { bind: bind.map(|(_, slot)| slot), pattern, guard, body }
    }

    fn pattern(&mut self, pattern: &Pattern) -> PatternOp {
        match pattern {
            Pattern::Any => PatternOp::Any,
            Pattern::Value(expr) => PatternOp::Equals(self.expr(expr)),
            Pattern::Record(fields) => {
                let fields = fields.iter().map(|field| FieldPatternOp {
                    key: field.key.clone(),
                    alias: field.alias.as_ref().unwrap_or(&field.key).clone(),
                    test: self.field_test(&field.test),
                });
                PatternOp::Record(fields.collect())
            }
            Pattern::Array(items) => PatternOp::Array(self.patterns(items)),
            Pattern::Tuple { items, open } => PatternOp::Tuple { items: self.patterns(items), open: *open },
            Pattern::Extract(extract) => self.extract(extract),
        }
    }

    fn patterns(&mut self, items: &[Pattern]) -> Box<[PatternOp]> {
        items.iter().map(|item| self.pattern(item)).collect()
    }

    fn field_test(&mut self, test: &FieldTest) -> FieldTestOp {
        match test {
            FieldTest::Present => FieldTestOp::Present,
            FieldTest::Absent => FieldTestOp::Absent,
            FieldTest::Compare(op, span, operand) => FieldTestOp::Compare(*op, *span, self.expr(operand)),
            FieldTest::Matches(pattern) => FieldTestOp::Matches(self.pattern(pattern)),
        }
    }
}
