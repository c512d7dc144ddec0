//! Compiles the tree to code: names become slots, parameters and constant expressions become values.
//!
//! Compilation continues after an error, to find all errors of a program; the code is then discarded.
//!
//! # An intended cycle
//! `Compiler` and `World` use each other. A `Compiler` compiles one select, script or function, and looks up
//! definitions in the `World`. The `World` starts another `Compiler` when a constant or function is needed
//! for the first time. Definitions may be in any order, and the value of one may affect how another compiles
//! (parameters, folded conditions), so the order is unknown before compilation. Definitions that depend on
//! themselves are refused (see `world`), and `HEIGHT_MAX` bounds the recursion. Each of the other files has
//! one part of these two types.

mod advice;
mod build;
mod expr;
mod extract;
mod function;
mod path;
pub(crate) mod scope;
mod script;
pub(crate) mod world;

use std::collections::HashMap;

use self::{function::Signature, scope::ScopeId, world::World};
use crate::{
    ast::Expr,
    code::{Op, Slot},
    diagnostic::{Diagnostic, Fault},
    eval::{self, Env},
    library::Context,
    message::Message,
    source::Span,
    value::{cost::Steps, describe::article, limits::Limits},
};
use towline_event::{Meta, Value};

/// The context of an expression. It determines which names the expression may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExprContext {
    /// In a `select`.
    Select,
    /// In a script.
    Script,
    /// In a function, which may use its arguments only.
    Function,
    /// The value of a parameter, evaluated at compile time.
    Parameter,
    /// The initial value of a state, evaluated at compile time.
    State,
    /// The value of a constant, evaluated at compile time.
    Constant,
}

/// The parts of the environment that the compiled code uses.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Uses {
    /// Whether the code reads `$`.
    pub(crate) meta: bool,
    /// Whether the code reads or writes the state.
    pub(crate) state: bool,
}

/// Compiles the expressions of one select, one script, or one function.
pub(crate) struct Compiler<'c, 'a> {
    world: &'c mut World<'a>,
    /// The scope in which definitions are looked up.
    scope: ScopeId,
    place: ExprContext,
    args: &'c Args,
    /// The locals that are in scope.
    locals: HashMap<String, Slot>,
    /// The number of slots that the code needs so far.
    slots: usize,
    /// The ports that a script emits to, by index.
    ports: Vec<EmittedPort>,
    uses: Uses,
    /// The signature of the function being compiled; `None` outside of functions.
    frame: Option<Signature>,
    /// Nesting depth of the current expression, calls included.
    level: u32,
    /// The maximum of `level` so far.
    height: u32,
    /// Whether the code so far depends on arguments only.
    pure: bool,
    /// The offset of a name after a `-` without spaces, and the key before the `-`.
    hyphenated: Option<(u32, String)>,
    /// The number of errors when the compilation started. After new errors, folding stops.
    errors_before: usize,
    /// Whether a placeholder stands for a definition that does not compile, so that values derived from it
    /// are unknown.
    doubtful: bool,
}

/// A port that a script emits to.
#[derive(Debug)]
pub(crate) struct EmittedPort {
    pub(crate) name: String,
    /// Span of the first `emit` to the port.
    pub(crate) span: Span,
}

/// The value of `args`.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// The parameters of a script or a pipeline, as a record. Null in code without parameters.
    pub(crate) values: Value,
    /// Whether some of the values are placeholders, because of errors.
    pub(crate) doubtful: bool,
}

impl Args {
    /// The arguments of code without parameters.
    pub(crate) fn none() -> Self {
        Self { values: Value::record::<&str>([]), doubtful: false }
    }
}

impl<'c, 'a> Compiler<'c, 'a> {
    pub(crate) fn new(world: &'c mut World<'a>, scope: ScopeId, place: ExprContext, args: &'c Args) -> Self {
        Self {
            errors_before: world.errors.len(),
            world,
            scope,
            place,
            args,
            locals: HashMap::new(),
            slots: 0,
            ports: vec![EmittedPort { name: "out".to_owned(), span: scope::NOWHERE }],
            uses: Uses::default(),
            frame: None,
            level: 0,
            height: 0,
            pure: true,
            hyphenated: None,
            doubtful: false,
        }
    }

    pub(crate) fn uses(&self) -> Uses {
        self.uses
    }

    /// The number of locals that the code needs.
    pub(crate) fn locals(&self) -> usize {
        self.slots
    }

    /// The ports that the script emits to, `out` first.
    pub(crate) fn into_ports(self) -> Vec<EmittedPort> {
        self.ports
    }

    /// Compiles a condition. Returns `None` if it is always true. `what` names the condition in errors.
    pub(crate) fn condition(&mut self, expr: &Expr, what: &str) -> Option<(Op, Span)> {
        let op = self.expr(expr);
        match op.constant() {
            Some(Value::Bool(true)) => return None,
            Some(Value::Bool(false)) | None => {}
            Some(other) if self.sound() => {
                let message = format!("`{what}` takes a boolean, not {}", article(other));
                self.error(Diagnostic::new(expr.span, message, ""));
            }
            Some(_) => {}
        }
        Some((op, expr.span))
    }

    /// Compiles and evaluates the value of a parameter or a constant, or the initial value of a state.
    pub(crate) fn parameter(&mut self, expr: &Expr) -> Value {
        let op = self.expr(expr);
        let op = if self.pure && op.constant().is_none() { self.fold(op) } else { op };
        match op {
            Op::Const(value) => value,
            _ => {
                if self.sound() {
                    let what = match self.place {
                        ExprContext::Constant => "the value of a constant",
                        ExprContext::State => "an initial state",
                        _ => "the value of a parameter",
                    };
                    // Code that reads the event has already been refused at its span.
                    let (message, label) = if self.pure {
                        (
                            format!("{what} takes too many steps to evaluate"),
                            "exceeds the step limit of all constants together",
                        )
                    } else {
                        (format!("{what} must be the same for all events"), "not a constant")
                    };
                    self.error(Diagnostic::new(expr.span, message, label));
                }
                Value::Null
            }
        }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.world.errors.push(diagnostic);
    }

    fn warn(&mut self, diagnostic: Diagnostic) {
        self.world.warnings.push(diagnostic);
    }

    /// Whether no errors occurred since the compilation started, and no placeholder stands for a failed
    /// definition.
    pub(crate) fn sound(&self) -> bool {
        self.world.errors.len() == self.errors_before && !self.doubtful
    }

    /// A placeholder for a value that is unknown because of an error that has been reported.
    fn unknown_value(&mut self) -> Value {
        self.doubtful = true;
        Value::Null
    }

    // --- folding ---

    /// Evaluates constant code. A failure would occur on every event, so it is a compile error. Code that
    /// exceeds the step limit is not folded, and runs for each event.
    fn fold(&mut self, op: Op) -> Op {
        let max_steps = self.world.fold_steps.min(self.world.limits.max_steps);
        if max_steps == 0 {
            return op;
        }
        let steps = Steps::new(Limits { max_steps, ..self.world.limits });
        let folded = self.fold_with(op, &steps);
        self.world.fold_steps -= max_steps - steps.left();
        folded
    }

    fn fold_with(&mut self, op: Op, steps: &Steps) -> Op {
        if !self.sound() {
            return op;
        }
        let message = Message::of(Value::Null, Meta::default());
        let locals = vec![None; self.slots];
        // The environment without an event.
        let context = Context { now_ns: 0, ingest_ns: 0, origin: None, size_max: steps.limits().max_value };
        let env = Env {
            message: &message,
            reads: None,
            state: &Value::Null,
            locals: &locals,
            bound: None,
            steps,
            context: &context,
        };
        let value = eval::eval(&op, &env).map(|value| value.into_owned()).and_then(|value| {
            let size = steps.measure(&value, 0);
            size.map(|size| (value, size)).map_err(|much| Fault::new(scope::NOWHERE, much.to_string()))
        });
        match value {
            Ok((value, size)) => {
                if self.world.has_room(size) {
                    Op::Const(value)
                } else {
                    op
                }
            }
            Err(_) if steps.left() == 0 => op,
            Err(fault) => {
                let mut error = Diagnostic::new(fault.span, fault.message, "this would fail for every event");
                error.help = fault.help.map(str::to_owned);
                self.error(error);
                op
            }
        }
    }
}
