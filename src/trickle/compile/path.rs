//! Paths, and what they may start from.

use super::{Compiler, Place};
use crate::{
    event::Value,
    trickle::{
        ast::{Name, Path, Root, Segment, SegmentKind},
        code::{self, Op, PathOp, Slot, Step, StepKind},
        diagnostic::Diagnostic,
    },
};

impl Compiler<'_> {
    pub(super) fn path(&mut self, path: &Path) -> Op {
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

    /// The root of a path, and how many of its segments it takes: `$key` is one root.
    fn root(&mut self, path: &Path) -> (code::Root, usize) {
        match &path.root {
            Root::Event => (self.event(path), 0),
            Root::Meta => self.meta(path),
            Root::State => (self.state(path), 0),
            Root::Args => (code::Root::Value(Op::Const(self.args.clone())), 0),
            Root::Local(name) => (code::Root::Local(self.local(name)), 0),
            Root::Expr(expr) => (code::Root::Value(self.expr(expr)), 0),
        }
    }

    fn event(&mut self, path: &Path) -> code::Root {
        if self.place == Place::Parameter {
            self.error(Diagnostic::new(path.span, "a parameter cannot depend on the event", ""));
        }
        code::Root::Event
    }

    fn meta(&mut self, path: &Path) -> (code::Root, usize) {
        if self.place == Place::Parameter {
            self.error(Diagnostic::new(path.span, "a parameter cannot depend on the event", ""));
        }
        self.uses.meta = true;
        match path.segments.first().map(|segment| &segment.kind) {
            Some(SegmentKind::Key(key)) => (code::Root::MetaKey(key.clone()), 1),
            _ => (code::Root::Meta, 0),
        }
    }

    pub(super) fn state(&mut self, path: &Path) -> code::Root {
        if self.place != Place::Script {
            let error = Diagnostic::new(path.span, "only a script has a state", "")
                .help("a local called `state` is written in backticks");
            self.error(error);
        }
        self.uses.state = true;
        code::Root::State
    }

    /// The slot of a local that some statement before has given a value.
    fn local(&mut self, name: &Name) -> Slot {
        if let Some(slot) = self.locals.get(&name.text) {
            return *slot;
        }
        let known = self.locals.keys().map(String::as_str).chain(["event", "state", "args"]);
        let mut error =
            Diagnostic::new(name.span, format!("there is no local `{}`", name.text), "has no value here")
                .nearest(&name.text, known);
        if error.help.is_none() {
            error.help = Some(match self.place {
                Place::Script => format!("give it one first: let {} = …", name.text),
                _ => format!("a field of the event is event.{0}, metadata is ${0}", name.text),
            });
        }
        self.error(error);
        0
    }

    /// The slot of a local that is given a value here.
    pub(super) fn bind(&mut self, name: &Name) -> Slot {
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
