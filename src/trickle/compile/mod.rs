//! The tree to code: names become slots, parameters and constant expressions become values.
//!
//! Goes on after an error, so that all errors of a program are found; the code is thrown away then.

mod expr;
mod path;
mod script;

use std::collections::HashMap;

use super::{
    ast::Expr,
    code::{Op, Slot},
    diagnostic::{Diagnostic, Fault},
    eval::{self, Env, Steps},
    message::Message,
    source::Span,
};
use crate::event::{Meta, Value};

/// Where an expression stands: what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a `select`.
    Select,
    /// In a script.
    Script,
    /// The value of a parameter: known before any event comes.
    Parameter,
}

/// What the compiled code makes use of.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Uses {
    /// Something of `$` is read.
    pub(crate) meta: bool,
    /// The state is read or written.
    pub(crate) state: bool,
}

/// Compiles the expressions of one select, or one script.
pub(crate) struct Compiler<'c> {
    place: Place,
    /// The value of `args`, a record.
    args: &'c Value,
    /// The names that are known here.
    locals: HashMap<String, Slot>,
    /// How many slots there are.
    slots: usize,
    /// Names of the ports a script emits to; the index is the number.
    ports: Vec<String>,
    uses: Uses,
    errors: &'c mut Vec<Diagnostic>,
    /// How many errors there were at the start: with new ones, nothing is folded any more.
    errors_before: usize,
}

impl<'c> Compiler<'c> {
    pub(crate) fn new(place: Place, args: &'c Value, errors: &'c mut Vec<Diagnostic>) -> Self {
        Self {
            place,
            args,
            locals: HashMap::new(),
            slots: 0,
            ports: vec!["out".to_owned()],
            uses: Uses::default(),
            errors_before: errors.len(),
            errors,
        }
    }

    pub(crate) fn uses(&self) -> Uses {
        self.uses
    }

    /// How many locals the code needs room for.
    pub(crate) fn locals(&self) -> usize {
        self.slots
    }

    /// The names of the ports that the script emits to, `out` first.
    pub(crate) fn into_ports(self) -> Vec<String> {
        self.ports
    }

    /// Compiles a condition: always true is none at all.
    pub(crate) fn condition(&mut self, expr: &Expr, what: &str) -> Option<(Op, Span)> {
        let op = self.expr(expr);
        match op.constant() {
            Some(Value::Bool(true)) => return None,
            Some(Value::Bool(false)) | None => {}
            Some(other) if self.sound() => {
                let message = format!("`{what}` takes a boolean, not {}", eval::article(other));
                self.error(Diagnostic::new(expr.span, message, ""));
            }
            Some(_) => {}
        }
        Some((op, expr.span))
    }

    /// Compiles the value of a parameter.
    pub(crate) fn parameter(&mut self, expr: &Expr) -> Value {
        match self.expr(expr) {
            Op::Const(value) => value,
            _ => {
                if self.sound() {
                    let message = "the value of a parameter is not known before an event comes";
                    self.error(Diagnostic::new(expr.span, message, "not a constant"));
                }
                Value::Null
            }
        }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Whether no error has been found since the start.
    fn sound(&self) -> bool {
        self.errors.len() == self.errors_before
    }

    /// Evaluates what depends on nothing. A failure would be one on every event, so it is an error.
    fn fold(&mut self, op: Op) -> Op {
        if !self.sound() {
            return op;
        }
        let message = Message::of(Value::Null, Meta::default());
        let steps = Steps::new();
        let env = Env { message: &message, state: &Value::Null, locals: &[], bound: None, steps: &steps };
        let value = eval::eval(&op, &env).map(|value| value.into_owned()).and_then(|value| {
            let kept = eval::limits::measure(&value, 0);
            kept.map(|_| value).map_err(|much| Fault::new(Span::new(0, 0), much.to_string()))
        });
        match value {
            Ok(value) => Op::Const(value),
            Err(fault) => {
                self.error(Diagnostic::new(fault.span, fault.message, "so it would be for every event"));
                op
            }
        }
    }
}
