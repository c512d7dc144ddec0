//! Compiles the statements of scripts.

use super::{Compiler, EmittedPort};
use crate::{
    ast::{Expr, ExprKind, Name, Path, Root, SegmentKind},
    code::{Act, ERR, LetAct, OUT, PortNumber, Target},
    diagnostic::Diagnostic,
};

impl Compiler<'_, '_> {
    /// Compiles the statements of a script.
    pub(crate) fn body(&mut self, body: &[Expr]) -> Vec<Act> {
        self.acts(body, false)
    }

    /// Compiles statements. With `tail`, the last of them is in tail position of a function.
    pub(super) fn acts(&mut self, body: &[Expr], tail: bool) -> Vec<Act> {
        let mut acts = Vec::with_capacity(body.len());
        let mut ended = false;
        for (index, statement) in body.iter().enumerate() {
            let act = self.act(statement, tail && index + 1 == body.len());
            // Unreachable statements are compiled for their errors only.
            if ended {
                continue;
            }
            ended = act.ends_script();
            acts.push(act);
            if ended && let Some(next) = body.get(index + 1) {
                self.warn(Diagnostic::new(next.span, "this is never reached", "the script has ended before"));
            }
        }
        acts
    }

    fn act(&mut self, expr: &Expr, tail: bool) -> Act {
        self.deeper(|compiler| compiler.act_of_kind(expr, tail))
    }

    fn act_of_kind(&mut self, expr: &Expr, tail: bool) -> Act {
        match &expr.kind {
            ExprKind::Drop | ExprKind::Emit { .. } if self.frame.is_some() => {
                let word = if matches!(expr.kind, ExprKind::Drop) { "drop" } else { "emit" };
                let message = format!("a function cannot `{word}`");
                self.error(Diagnostic::new(expr.span, message, "").help("it yields a value to its caller"));
                Act::Drop
            }
            ExprKind::Recur(args) if tail => self.recur(args, expr.span),
            ExprKind::Let { path, value } => self.assignment(path, value),
            ExprKind::Drop => Act::Drop,
            ExprKind::Emit { value, port } => {
                let value = value.as_ref().map(|value| self.expr(value)).filter(|value| !value.is_event());
                let emit = Act::Emit { value, port: port.as_ref().map_or(OUT, |port| self.port(port)) };
                match port {
                    Some(port) if port.text == ERR => Act::EmitErr(Box::new((emit, expr.span))),
                    _ => emit,
                }
            }
            ExprKind::Match(match_expr) => {
                let body = |compiler: &mut Self, body: &[Expr]| compiler.acts(body, tail);
                Act::Match(Box::new(self.match_op(match_expr, expr.span, body)))
            }
            ExprKind::For(for_expr) => Act::For(Box::new(self.for_op(for_expr, expr.span, Self::body))),
            _ => Act::Value(self.expr(expr)),
        }
    }

    fn port(&mut self, name: &Name) -> PortNumber {
        match self.ports.iter().position(|port| port.name == name.text) {
            Some(number) => number,
            None => {
                self.ports.push(EmittedPort { name: name.text.clone(), span: name.span });
                self.ports.len() - 1
            }
        }
    }

    fn assignment(&mut self, path: &Path, value: &Expr) -> Act {
        // Compile the value first: `let x = x` reads the old `x`.
        let value = self.act(value, false);
        let ended = value.ends_script();
        if ended {
            self.warn(Diagnostic::new(path.span, "this is never assigned", "its value ends the script"));
        }
        let (target, taken) = self.target(path);
        let segments = &path.segments[taken..];
        if let Some(range) = segments.iter().find(|s| matches!(s.kind, SegmentKind::Range(..))) {
            self.error(Diagnostic::new(range.span, "cannot assign to a range", ""));
        }
        let steps = self.steps(segments);
        if ended {
            return value;
        }
        Act::Let(Box::new(LetAct { target, steps, value, span: path.span }))
    }

    fn target(&mut self, path: &Path) -> (Target, usize) {
        match &path.root {
            Root::Event => {
                self.need_event(path);
                (Target::Event, 0)
            }
            Root::Meta => {
                self.need_event(path);
                self.meta_target(path)
            }
            Root::State => {
                self.state(path);
                (Target::State, 0)
            }
            Root::Local(name) if path.segments.is_empty() => (Target::Local(self.bind(name)), 0),
            Root::Local(name) => (Target::Local(self.known(name)), 0),
            Root::Args | Root::Constant(_) | Root::Expr(_) => {
                self.error(Diagnostic::new(path.span, "cannot assign to this", ""));
                (Target::Event, 0)
            }
        }
    }

    /// The target of an assignment to a path in `$`, and the number of the path's segments that the target
    /// includes. For `$.a.b = 1` the target is the key `a`, one segment. The rest of the value of `a` is kept, so
    /// such an assignment also reads `$`.
    fn meta_target(&mut self, path: &Path) -> (Target, usize) {
        let Some(first) = path.segments.first() else { return (Target::Meta, 0) };
        let SegmentKind::Key(key) = &first.kind else {
            self.uses.meta = true;
            return (Target::Meta, 0);
        };
        self.uses.meta |= path.segments.len() > 1;
        (Target::MetaKey(key.clone()), 1)
    }

    fn known(&mut self, name: &Name) -> usize {
        if !self.locals.contains_key(&name.text) && self.world.is_constant(self.scope, name) {
            return self.bind(name);
        }
        let expr = Path::of(Root::Local(name.clone()), name.span);
        match self.path_op(&expr).root {
            crate::code::Root::Local(slot) => slot,
            _ => 0,
        }
    }
}

impl Act {
    /// Whether the statement always ends the script, so that statements after it are unreachable.
    fn ends_script(&self) -> bool {
        matches!(self, Self::Drop | Self::Emit { .. } | Self::EmitErr(_))
    }

    /// Whether a script that consists of this expression passes the event on unchanged.
    pub(crate) fn passes_event(&self) -> bool {
        match self {
            Self::Value(op) => op.is_event(),
            Self::Emit { value: None, port } => *port == OUT,
            Self::Let(_)
            | Self::Emit { .. }
            | Self::EmitErr(_)
            | Self::Drop
            | Self::Match(_)
            | Self::For(_)
            | Self::Recur { .. } => false,
        }
    }
}
