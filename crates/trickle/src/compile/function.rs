//! Compiles functions and function calls.

use super::{
    Args, Compiler, ExprContext,
    scope::{Binding, DefinitionKind, ScopeId},
    world::{CALL_HEIGHT, World},
};
use crate::{
    ast::{Expr, FunctionBody, FunctionDefinition, Qualified},
    code::{Act, CallOp, Callee, Function, MatchOp, Op, PathOp, Root},
    diagnostic::Diagnostic,
    library::Arity,
    source::Span,
};
use towline_event::Value;

/// The signature of the function being compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    /// Number of named parameters.
    pub(super) params: usize,
    /// Whether the slot after the named parameters holds further arguments, as an array.
    pub(super) open: bool,
}

/// Compiles a function; `level` is the nesting depth so far. Returns `None` if there is an error in it or in
/// a definition that it uses.
pub(super) fn compile(
    world: &mut World<'_>,
    scope: ScopeId,
    tree: &FunctionDefinition,
    body: &FunctionBody,
    level: u32,
) -> Option<Function> {
    let args = Args::default();
    let mut compiler = Compiler::new(world, scope, ExprContext::Function, &args);
    compiler.level = level;
    compiler.height = level;
    for param in &tree.params {
        compiler.bind(param);
    }
    if tree.open {
        compiler.new_slot();
    }
    let params = tree.params.len();
    compiler.frame = Some(Signature { params, open: tree.open });
    let body: Box<[Act]> = match body {
        FunctionBody::Statements(statements) => compiler.acts(statements, true).into(),
        FunctionBody::Cases(cases) => {
            let args = (0..params).map(|slot| local(slot, tree.name.span)).collect();
            let cases = compiler.cases(cases, &mut |compiler, body| compiler.acts(body, true));
            let span = tree.name.span;
            Box::new([Act::Match(Box::new(MatchOp {
                subject: Op::Array(args),
                cases,
                span,
                function: true,
            }))])
        }
    };
    compiler.sound().then(|| Function {
        params,
        open: tree.open,
        locals: compiler.slots,
        body,
        pure: compiler.pure,
        height: compiler.height - level,
    })
}

fn local(slot: usize, span: Span) -> Op {
    Op::Path(Box::new(PathOp { root: Root::Local(slot), steps: Box::default(), span }))
}

impl Compiler<'_, '_> {
    // --- calls ---

    pub(super) fn call(&mut self, name: &Qualified, args: &[Expr], span: Span) -> Op {
        let args: Box<[Op]> = args.iter().map(|arg| self.expr(arg)).collect();
        let Some(callee) = self.callee(name) else { return Op::Const(self.unknown_value()) };
        let wrong = match &callee {
            Callee::Function(function) => function.refuses(args.len()),
            Callee::Library(function) => (!function.arity.takes(args.len())).then_some(function.arity),
        };
        if let Some(wanted) = wrong {
            let message = format!("`{}` takes {wanted}, not {}", name.text(), args.len());
            self.error(Diagnostic::new(span, message, ""));
            return Op::Const(Value::Null);
        }
        let pure = match &callee {
            Callee::Function(function) => {
                let height = self.level + CALL_HEIGHT + function.height;
                self.height = self.height.max(height);
                self.world.too_deep(height, name.span);
                function.pure
            }
            Callee::Library(function) => function.pure,
        };
        self.pure &= pure;
        let constant = pure && args.iter().all(|arg| arg.constant().is_some());
        let call = Op::Call(Box::new(CallOp { callee, args, span: name.span }));
        self.folded_if(constant, call)
    }

    fn callee(&mut self, name: &Qualified) -> Option<Callee> {
        match self.world.find(self.scope, name, DefinitionKind::Function) {
            Some(Binding::Function(id)) => {
                self.world.function(id, name.span, self.level + CALL_HEIGHT).map(Callee::Function)
            }
            Some(Binding::LibraryFunction(function)) => {
                self.world.reads_origin |= function.reads_origin();
                Some(Callee::Library(function))
            }
            Some(binding) if binding.is_missing() => None,
            _ => {
                if self.world.complete {
                    self.world.report_unknown(self.scope, name, DefinitionKind::Function);
                }
                None
            }
        }
    }

    // --- recur ---

    /// Compiles a `recur` in tail position.
    pub(super) fn recur(&mut self, args: &[Expr], span: Span) -> Act {
        let args: Box<[Op]> = args.iter().map(|arg| self.expr(arg)).collect();
        let Some(frame) = self.frame else { return Act::Value(self.misplaced_recur(span)) };
        let fits = if frame.open { args.len() >= frame.params } else { args.len() == frame.params };
        if !fits {
            let wanted = if frame.open { Arity::AtLeast(frame.params) } else { Arity::Exactly(frame.params) };
            let message = format!("this function takes {wanted}, not {}", args.len());
            self.error(Diagnostic::new(span, message, ""));
        }
        Act::Recur { args, span }
    }

    pub(super) fn misplaced_recur(&mut self, span: Span) -> Op {
        let error = if self.frame.is_some() {
            Diagnostic::new(span, "`recur` must be the last operation of a function", "something follows it")
        } else {
            Diagnostic::new(span, "`recur` is allowed in functions only", "")
        };
        self.error(error);
        Op::Const(Value::Null)
    }

    // --- constants ---

    /// The value of the constant with that name; `None` if there is no such constant.
    pub(super) fn named_constant(&mut self, name: &Qualified) -> Option<Value> {
        match self.world.find(self.scope, name, DefinitionKind::Constant)? {
            Binding::Constant(id) => {
                let value = self.world.constant(id, name.span, self.level + CALL_HEIGHT);
                Some(value.unwrap_or_else(|| self.unknown_value()))
            }
            Binding::LibraryConstant(value) => Some(value),
            binding if binding.is_missing() => Some(self.unknown_value()),
            _ => None,
        }
    }
}

// === impl Function ===

impl Function {
    /// The function's arity, if a call with `count` arguments is refused; `None` if it is accepted.
    fn refuses(&self, count: usize) -> Option<Arity> {
        let arity = if self.open { Arity::AtLeast(self.params) } else { Arity::Exactly(self.params) };
        (!arity.takes(count)).then_some(arity)
    }
}
