//! Runs the statements of a script.

use super::{Env, choose, each, eval, path, pattern};
use crate::{
    code::{Act, ForOp, LetAct, MatchOp, OUT, Op, PortNumber, StepKind, Target},
    diagnostic::Fault,
    library::Context,
    message::Message,
    source::Span,
    value::{cost::Steps, limits},
};
use towline_event::{Meta, Value};

/// The data that a script reads and changes.
pub(crate) struct ScriptFrame<'f> {
    pub(crate) message: Message,
    pub(crate) state: &'f mut State,
    pub(crate) locals: Vec<Option<Value>>,
    pub(crate) steps: &'f Steps,
    pub(crate) context: &'f Context<'f>,
    /// Whether something reads from the script's port `err`.
    pub(crate) err_is_read: bool,
}

/// The `state` of a script, kept between events.
#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    value: Value,
    /// The size of the value in bytes when it was last measured, plus the size of what was written since.
    size: usize,
}

/// The result of a script.
pub(crate) enum Ending {
    /// The event, in its current form, leaves by this port.
    Event(PortNumber),
    /// This value leaves by this port.
    Value(PortNumber, Value),
    /// The script dropped the event.
    Dropped,
    /// The function calls itself again in tail position.
    Again { args: Vec<Value>, span: Span },
}

/// The result of one statement.
pub(super) enum Step {
    /// The script continues. The statement's value is included if the caller requested it.
    On(Yield),
    /// The script ends.
    End(Ending),
}

pub(super) enum Yield {
    Nothing,
    Event,
    Value(Value),
}

/// Runs a script. The value of its last statement leaves by the port `out`.
pub(crate) fn run(body: &[Act], frame: &mut ScriptFrame<'_>) -> Result<Ending, Box<Fault>> {
    Ok(match frame.block(body, true)? {
        Step::End(ending) => ending,
        Step::On(Yield::Value(value)) => Ending::Value(OUT, value),
        Step::On(Yield::Event | Yield::Nothing) => Ending::Event(OUT),
    })
}

/// Returns a value built by a statement or a select, if it is within the limits.
pub(crate) fn checked(value: Value, span: Span, steps: &Steps) -> Result<Value, Box<Fault>> {
    match steps.measure(&value, 0) {
        Ok(_) => Ok(value),
        Err(much) => Err(Fault::new(span, much.to_string())),
    }
}

impl ScriptFrame<'_> {
    fn env(&self) -> Env<'_> {
        Env {
            message: &self.message,
            reads: None,
            state: &self.state.value,
            locals: &self.locals,
            bound: None,
            steps: self.steps,
            context: self.context,
        }
    }

    fn value(&self, op: &Op) -> Result<Value, Box<Fault>> {
        Ok(eval(op, &self.env())?.into_owned())
    }

    /// Runs statements in order. `wanted` says whether the last statement must return its value.
    pub(super) fn block(&mut self, acts: &[Act], wanted: bool) -> Result<Step, Box<Fault>> {
        let mut last = Step::On(Yield::Nothing);
        for (index, act) in acts.iter().enumerate() {
            last = self.act(act, wanted && index + 1 == acts.len())?;
            if matches!(last, Step::End(_)) {
                break;
            }
        }
        Ok(last)
    }

    fn act(&mut self, act: &Act, wanted: bool) -> Result<Step, Box<Fault>> {
        Ok(match act {
            Act::Value(op) if op.is_event() => Step::On(Yield::Event),
            Act::Value(op) => Step::On(Yield::Value(self.value(op)?)),
            Act::Let(assignment) => self.assign(assignment, wanted)?,
            Act::Emit { value: None, port } => Step::End(Ending::Event(*port)),
            Act::Emit { value: Some(op), port } => Step::End(Ending::Value(*port, self.value(op)?)),
            Act::EmitErr(emit) => self.emit_err(&emit.0, emit.1)?,
            Act::Drop => Step::End(Ending::Dropped),
            Act::Match(match_op) => self.match_case(match_op, wanted)?,
            Act::For(for_op) => self.for_each(for_op, wanted)?,
            Act::Recur { args, span } => Step::End(self.again(args, *span)?),
        })
    }

    /// Runs an `emit` to the port `err`, which fails if nothing reads from the port.
    fn emit_err(&mut self, emit: &Act, span: Span) -> Result<Step, Box<Fault>> {
        if self.err_is_read {
            return self.act(emit, true);
        }
        Err(Fault::new(span, "the script emitted this to `err`, but nothing reads from that port"))
    }

    fn match_case(&mut self, match_op: &MatchOp<Act>, wanted: bool) -> Result<Step, Box<Fault>> {
        let (case, bound, args) = {
            let env = self.env();
            let subject = eval(&match_op.subject, &env)?;
            let (case, bound) = choose(match_op, &subject, &env)?;
            let args =
                if match_op.function { pattern::arguments(&case.pattern, &subject, &env)? } else { None };
            (case, bound, args)
        };
        if let Some((slot, value)) = bound {
            self.set_local(slot, value);
        }
        for (slot, value) in args.into_iter().flatten().enumerate() {
            self.set_local(slot, value);
        }
        self.block(&case.body, wanted)
    }

    /// Evaluates the arguments of a tail call.
    fn again(&self, args: &[Op], span: Span) -> Result<Ending, Box<Fault>> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.value(arg)?;
            if !arg.is_path() {
                self.steps.check(&value, span)?;
            }
            values.push(value);
        }
        Ok(Ending::Again { args: values, span })
    }

    fn for_each(&mut self, for_op: &ForOp<Act>, wanted: bool) -> Result<Step, Box<Fault>> {
        let subject = self.value(&for_op.subject)?;
        let mut results = if wanted { Some(each::Results::of(for_op, &self.env())?) } else { None };
        for at in 0..each::length(&subject) {
            self.steps.take(for_op.span)?;
            let Some((key, value)) = each::pair(&subject, at) else { break };
            self.set_local(for_op.key, key);
            self.set_local(for_op.value, value);
            let Some(case) = each::choose(for_op, &self.env())? else { continue };
            let yielded = match self.block(&case.body, wanted)? {
                end @ Step::End(_) => return Ok(end),
                Step::On(yielded) => yielded,
            };
            if let Some(results) = &mut results {
                results.add(self.yielded(yielded), self.steps)?;
                if results.settled() {
                    break;
                }
            }
        }
        Ok(Step::On(results.map_or(Yield::Nothing, |results| Yield::Value(results.into_value()))))
    }

    fn yielded(&self, yielded: Yield) -> Value {
        match yielded {
            Yield::Value(value) => value,
            Yield::Event => self.message.value().clone(),
            Yield::Nothing => Value::Null,
        }
    }

    // --- let ---

    fn assign(&mut self, assignment: &LetAct, wanted: bool) -> Result<Step, Box<Fault>> {
        self.steps.take(assignment.span)?;
        let value = match self.act(&assignment.value, true)? {
            Step::On(yielded) => self.yielded(yielded),
            end @ Step::End(_) => return Ok(end),
        };
        let size = self.measured(assignment, &value)?;
        let yielded = if wanted { Yield::Value(value.clone()) } else { Yield::Nothing };
        self.put(assignment, value, size)?;
        Ok(Step::On(yielded))
    }

    /// The size in bytes that an assigned value adds. A value read from a path and assigned to a root is not
    /// larger than an existing value, so it is not measured, except for the state, which accumulates.
    fn measured(&self, assignment: &LetAct, value: &Value) -> Result<usize, Box<Fault>> {
        let plain = matches!(&assignment.value, Act::Value(op) if op.is_path());
        if plain && assignment.steps.is_empty() && !matches!(assignment.target, Target::State) {
            return Ok(0);
        }
        self.steps
            .measure(value, assignment.steps.len())
            .map_err(|much| Fault::new(assignment.span, much.to_string()))
    }

    fn put(&mut self, assignment: &LetAct, value: Value, size: usize) -> Result<(), Box<Fault>> {
        let steps = &*assignment.steps;
        let subscripts = self.subscripts(assignment)?;
        match &assignment.target {
            Target::Event if steps.is_empty() => self.message.set(value),
            Target::Event => path::write(self.message.value_mut(), steps, subscripts, value)?,
            Target::State => self.put_state(assignment, subscripts, value, size)?,
            Target::Local(slot) if steps.is_empty() => self.set_local(*slot, value),
            Target::Local(slot) => {
                let Some(Some(local)) = self.locals.get_mut(*slot) else {
                    return Err(Fault::new(assignment.span, "this local has no value yet"));
                };
                path::write(local, steps, subscripts, value)?;
            }
            Target::Meta | Target::MetaKey(_) => self.put_meta(assignment, subscripts, value)?,
        }
        Ok(())
    }

    /// Writes to the state, and adds up the sizes of the written values. If the sum exceeds the limit, the
    /// new state is measured, because writes mostly replace earlier values.
    fn put_state(
        &mut self,
        assignment: &LetAct,
        subscripts: Vec<Value>,
        value: Value,
        written: usize,
    ) -> Result<(), Box<Fault>> {
        let (steps, span) = (&*assignment.steps, assignment.span);
        let max = self.steps.limits().max_value;
        if let (Value::Null, Some(first)) = (&self.state.value, steps.first()) {
            return Err(path::unset(first.span));
        }
        let sum = if steps.is_empty() { written } else { self.state.size + written };
        if sum <= max {
            path::write(&mut self.state.value, steps, subscripts, value)?;
            self.state.size = sum;
            return Ok(());
        }
        let before = self.state.value.clone();
        path::write(&mut self.state.value, steps, subscripts, value)?;
        match self.steps.measure(&self.state.value, 0) {
            Ok(size) => {
                self.state.size = size;
                self.steps.look(size, span)
            }
            Err(_) => {
                self.state.value = before;
                let message = format!("the state would grow larger than {}", limits::Size(max));
                Err(Fault::new(span, message))
            }
        }
    }

    fn put_meta(
        &mut self,
        assignment: &LetAct,
        subscripts: Vec<Value>,
        value: Value,
    ) -> Result<(), Box<Fault>> {
        let meta = &mut self.message.meta;
        let steps = &*assignment.steps;
        let outcome = match &assignment.target {
            Target::MetaKey(key) if steps.is_empty() => meta.set(key, value),
            Target::MetaKey(key) => {
                // A missing key is created, like any missing record on a path.
                let mut whole = meta.get(key).unwrap_or_else(|| Value::record::<&str>([]));
                path::write(&mut whole, steps, subscripts, value)?;
                meta.set(key, whole)
            }
            _ => {
                let mut whole = if steps.is_empty() { Value::Null } else { meta.to_value() };
                path::write(&mut whole, steps, subscripts, value)?;
                Meta::from_value(whole).map(|changed| meta.replace(changed))
            }
        };
        outcome.map_err(|error| Fault::new(assignment.span, error.to_string()))
    }

    /// Evaluates the computed steps of a path.
    fn subscripts(&self, assignment: &LetAct) -> Result<Vec<Value>, Box<Fault>> {
        let mut values = Vec::new();
        for step in &assignment.steps {
            if let StepKind::Index(op) = &step.kind {
                values.push(self.value(op)?);
            }
        }
        Ok(values)
    }

    fn set_local(&mut self, slot: usize, value: Value) {
        if let Some(local) = self.locals.get_mut(slot) {
            *local = Some(value);
        }
    }
}

impl State {
    /// A state with an initial value, which is within the limits.
    pub(crate) fn new(value: Value) -> Self {
        let size = limits::measure(&value, 0, usize::MAX).unwrap_or_default();
        Self { value, size }
    }
}
