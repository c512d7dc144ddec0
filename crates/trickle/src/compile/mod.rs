//! The tree to code: names become slots, parameters and constant expressions become values.
//!
//! Compilation goes on after an error, so that all errors of a program are found; the code is thrown away then.
//!
//! # A circle on purpose
//! `Compiler` and `World` use each other. A `Compiler` compiles one select, script or function and asks the
//! `World` for the definitions it meets; the `World` starts another `Compiler` for a constant or function that
//! is needed for the first time. Definitions may stand in any order, and the value of one may decide how another
//! compiles (parameters, folded conditions), so no order is known before compilation. Definitions that need
//! themselves are refused (see `world`), and `HEIGHT_MAX` bounds the recursion. The other files hold one part of
//! these two types each.

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

use self::{function::Frame, scope::ScopeId, world::World};
use crate::{
    ast::Expr,
    code::{Op, Slot},
    diagnostic::{Diagnostic, Fault},
    eval::{self, Env},
    library::Context,
    message::Message,
    source::Span,
    value::{cost::Steps, limits::Limits, words::article},
};
use towline_event::{Meta, Value};

/// Where an expression stands: what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a `select`.
    Select,
    /// In a script.
    Script,
    /// In a function, which knows its arguments only.
    Function,
    /// The value of a parameter: known before any event comes.
    Parameter,
    /// What a state is at first: known likewise.
    State,
    /// The value of a constant, known likewise.
    Constant,
}

/// What the compiled code makes use of.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Uses {
    /// Something of `$` is read.
    pub(crate) meta: bool,
    /// The state is read or written.
    pub(crate) state: bool,
}

/// Compiles the expressions of one select, one script, or one function.
pub(crate) struct Compiler<'c, 'a> {
    world: &'c mut World<'a>,
    /// Where names of definitions are looked up.
    scope: ScopeId,
    place: Place,
    args: &'c Args,
    /// The names that are known here.
    locals: HashMap<String, Slot>,
    /// How many slots there are.
    slots: usize,
    /// The ports a script emits to; the index is the number.
    ports: Vec<EmittedPort>,
    uses: Uses,
    /// The function, if this is one.
    frame: Option<Frame>,
    /// How deep the expression at hand nests, and the deepest of all, calls included.
    level: u32,
    height: u32,
    /// Nothing so far depends on anything but arguments.
    pure: bool,
    /// Where a name stands behind a `-` without blanks, and the key before that.
    hyphenated: Option<(u32, String)>,
    /// How many errors there were at the start: with new ones, nothing is folded any more.
    errors_before: usize,
    /// Something stands for what could not be compiled elsewhere: what it would come to is not known either.
    doubtful: bool,
}

/// A port that a script emits to.
#[derive(Debug)]
pub(crate) struct EmittedPort {
    pub(crate) name: String,
    /// Where it is named first.
    pub(crate) span: Span,
}

/// What `args` stands for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// The parameters of a script or a pipeline, a record; null where there are none to have.
    pub(crate) values: Value,
    /// There are errors in them: they are not what they will be.
    pub(crate) doubtful: bool,
}

impl Args {
    /// Those of what has no parameters.
    pub(crate) fn none() -> Self {
        Self { values: Value::record::<&str>([]), doubtful: false }
    }
}

impl<'c, 'a> Compiler<'c, 'a> {
    pub(crate) fn new(world: &'c mut World<'a>, scope: ScopeId, place: Place, args: &'c Args) -> Self {
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

    /// How many locals the code needs room for.
    pub(crate) fn locals(&self) -> usize {
        self.slots
    }

    /// The ports that the script emits to, `out` first.
    pub(crate) fn into_ports(self) -> Vec<EmittedPort> {
        self.ports
    }

    /// Compiles a condition: always true is none at all.
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

    /// Compiles the value of a parameter, a constant, or what a state is at first.
    pub(crate) fn parameter(&mut self, expr: &Expr) -> Value {
        let op = self.expr(expr);
        let op = if self.pure && op.constant().is_none() { self.fold(op) } else { op };
        match op {
            Op::Const(value) => value,
            _ => {
                if self.sound() {
                    let what = match self.place {
                        Place::Constant => "the value of a constant",
                        Place::State => "what a state begins with",
                        _ => "the value of a parameter",
                    };
                    // What the event has to be asked for is refused where it stands.
                    let (message, label) = if self.pure {
                        (
                            format!("{what} takes too long to find out"),
                            "more steps than all constants may take",
                        )
                    } else {
                        (format!("{what} is the same for all events, and this is not"), "not a constant")
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

    /// Whether no error has been found since the start, and nothing stands for what has one.
    pub(crate) fn sound(&self) -> bool {
        self.world.errors.len() == self.errors_before && !self.doubtful
    }

    /// Stands for a value that is not known, because of an error that has been told where it is.
    fn unknown_value(&mut self) -> Value {
        self.doubtful = true;
        Value::Null
    }

    // --- folding ---

    /// Evaluates what depends on nothing. A failure would be one on every event, so it is an error. What
    /// takes very long is left for the events.
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
        // What is known of an event before there is one.
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
                let mut error = Diagnostic::new(fault.span, fault.message, "so it would be for every event");
                error.help = fault.help.map(str::to_owned);
                self.error(error);
                op
            }
        }
    }
}
