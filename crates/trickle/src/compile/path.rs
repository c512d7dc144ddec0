//! Compiles paths and their roots.

use super::{Compiler, ExprContext, scope::DefinitionKind};
use crate::{
    ast::{Name, Path, Qualified, Root, Segment, SegmentKind},
    code::{self, Op, PathOp, Slot, Step, StepKind},
    diagnostic::{Diagnostic, listed},
    eval::path::shown,
};
use towline_event::Value;

impl Compiler<'_, '_> {
    pub(super) fn path(&mut self, path: &Path) -> Op {
        self.need_parameter(path);
        let op = self.path_op(path);
        let constant = matches!(&op.root, code::Root::Value(root) if root.constant().is_some())
            && op.steps.iter().all(Step::is_constant);
        match op {
            PathOp { root: code::Root::Value(root), steps, .. } if steps.is_empty() => root,
            op => self.folded_if(constant, Op::Path(Box::new(op))),
        }
    }

    pub(super) fn path_op(&mut self, path: &Path) -> PathOp {
        let (root, taken) = self.root(path);
        let steps = self.steps(&path.segments[taken..]);
        PathOp { root, steps, span: path.span }
    }

    pub(super) fn steps(&mut self, segments: &[Segment]) -> Box<[Step]> {
        segments.iter().map(|segment| self.step(segment)).collect()
    }

    fn step(&mut self, segment: &Segment) -> Step {
        let kind = match &segment.kind {
            SegmentKind::Key(key) => StepKind::Key(key.clone()),
            SegmentKind::Index(index) => match self.expr(index) {
                Op::Const(Value::String(key)) => StepKind::Key(key),
                index => StepKind::Index(index),
            },
            SegmentKind::Range(from, to) => StepKind::Range(self.expr(from), self.expr(to)),
        };
        Step { kind, span: segment.span }
    }

    /// The root of a path, and the number of segments that the root includes: `$key` is one root.
    fn root(&mut self, path: &Path) -> (code::Root, usize) {
        match &path.root {
            Root::Event => (self.event(path), 0),
            Root::Meta => self.meta(path),
            Root::State => (self.state(path), 0),
            Root::Args => (self.args_root(path), 0),
            Root::Local(name) => (self.local_or_constant(name), 0),
            Root::Constant(name) => (code::Root::Value(Op::Const(self.module_constant(name))), 0),
            Root::Expr(expr) => (code::Root::Value(self.expr(expr)), 0),
        }
    }

    /// The root `args`: the parameters of a script or pipeline, or the further arguments of a function.
    fn args_root(&mut self, path: &Path) -> code::Root {
        match self.frame {
            Some(frame) if frame.open => return code::Root::Local(frame.params),
            Some(_) => {
                let error = Diagnostic::new(path.span, "this function has no further arguments", "")
                    .help("with `...` at the end of its parameters, `args` has the arguments without a name");
                self.error(error);
            }
            None => {}
        }
        // A parameter may be missing because its definition did not parse.
        self.doubtful |= self.args.doubtful || !self.world.complete;
        code::Root::Value(Op::Const(self.args.values.clone()))
    }

    /// Refuses an unknown parameter. The names of parameters are known at compile time, unlike the keys of
    /// other records.
    fn need_parameter(&mut self, path: &Path) {
        let (Root::Args, Some(first), None) = (&path.root, path.segments.first(), self.frame) else { return };
        let SegmentKind::Key(key) = &first.kind else { return };
        let Value::Record(known) = &self.args.values else {
            let what = if self.place == ExprContext::Constant { "a constant" } else { "a default" };
            let message = format!("{what} cannot depend on a parameter");
            self.error(Diagnostic::new(path.span, message, ""));
            return;
        };
        if !self.world.complete || known.contains_key(key) {
            return;
        }
        let error = if known.is_empty() {
            let message = match self.place {
                ExprContext::Script | ExprContext::State => "this script has no parameters",
                _ => "there are no parameters here",
            };
            Diagnostic::new(path.span, message, "")
        } else {
            let message = format!("there is no parameter `{}`", shown(key));
            let error = Diagnostic::new(first.span, message, "").nearest(key, known.keys().map(|key| &**key));
            match error.help {
                Some(_) => error,
                None => error.help(format!("known ones are {}", listed(known.keys().map(|key| &**key)))),
            }
        };
        self.error(error);
    }

    fn module_constant(&mut self, name: &Qualified) -> Value {
        match self.named_constant(name) {
            Some(value) => value,
            None => {
                if self.world.complete {
                    self.world.report_unknown(self.scope, name, DefinitionKind::Constant);
                }
                self.unknown_value()
            }
        }
    }

    /// Refuses event data in code that runs without an event, such as constants.
    pub(super) fn need_event(&mut self, path: &Path) {
        let (message, help) = match self.place {
            ExprContext::Select | ExprContext::Script => return,
            ExprContext::Parameter => ("a parameter cannot depend on the event", None),
            ExprContext::State => ("an initial state cannot depend on the event", None),
            ExprContext::Constant => ("a constant cannot depend on the event", None),
            ExprContext::Function => {
                ("a function knows only its arguments and constants", Some("pass it what it needs"))
            }
        };
        let mut error = Diagnostic::new(path.span, message, "");
        error.help = help.map(str::to_owned);
        self.error(error);
    }

    fn event(&mut self, path: &Path) -> code::Root {
        self.need_event(path);
        code::Root::Event
    }

    fn meta(&mut self, path: &Path) -> (code::Root, usize) {
        self.need_event(path);
        self.uses.meta = true;
        match path.segments.first().map(|segment| &segment.kind) {
            Some(SegmentKind::Key(key)) => (code::Root::MetaKey(key.clone()), 1),
            _ => (code::Root::Meta, 0),
        }
    }

    pub(super) fn state(&mut self, path: &Path) -> code::Root {
        if self.place == ExprContext::Function {
            self.need_event(path);
        } else if self.place != ExprContext::Script {
            let error = Diagnostic::new(path.span, "only a script has a state", "")
                .help("a local called `state` is written in backticks");
            self.error(error);
        }
        self.uses.state = true;
        code::Root::State
    }

    /// The root for a single name: a local, or else the constant of that name.
    fn local_or_constant(&mut self, name: &Name) -> code::Root {
        if let Some(slot) = self.locals.get(&name.text) {
            return code::Root::Local(*slot);
        }
        match self.named_constant(&Qualified::of(name)) {
            Some(value) => code::Root::Value(Op::Const(value)),
            None => code::Root::Local(self.local(name)),
        }
    }

    /// Whether a path begins with an unknown name that is not similar to a known one.
    pub(super) fn is_unknown(&mut self, path: &Path) -> bool {
        let Root::Local(name) = &path.root else { return false };
        !self.locals.contains_key(&name.text)
            && self.named_constant(&Qualified::of(name)).is_none()
            && !self.unknown_local(name).help.is_some_and(|help| help.starts_with("did you mean"))
    }

    /// The slot of a local that an earlier statement has assigned. Reports an unknown local.
    fn local(&mut self, name: &Name) -> Slot {
        if let Some(slot) = self.locals.get(&name.text) {
            return *slot;
        }
        let error = self.unknown_local(name);
        self.error(error);
        0
    }

    /// The slot of a local that the current statement assigns.
    pub(super) fn bind(&mut self, name: &Name) -> Slot {
        if self.world.is_constant(self.scope, name) {
            let message = format!("`{}` is a constant", name.text);
            self.error(Diagnostic::new(name.span, message, "cannot assign to a constant"));
        }
        if let Some(slot) = self.locals.get(&name.text) {
            return *slot;
        }
        let slot = self.new_slot();
        self.locals.insert(name.text.clone(), slot);
        slot
    }

    pub(super) fn new_slot(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }
}

impl Step {
    fn is_constant(&self) -> bool {
        match &self.kind {
            StepKind::Key(_) => true,
            StepKind::Index(index) => index.constant().is_some(),
            StepKind::Range(from, to) => from.constant().is_some() && to.constant().is_some(),
        }
    }
}
