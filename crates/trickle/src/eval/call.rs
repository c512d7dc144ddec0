//! Evaluates function calls.

use std::borrow::Cow;

use super::{
    Env, Evaluated, eval,
    script::{Ending, ScriptFrame, State, Step, Yield},
};
use crate::{
    code::{CallOp, Callee, Function, Op},
    diagnostic::Fault,
    library,
    message::Message,
    source::Span,
};
use towline_event::{Meta, Value};

pub(super) fn call<'e>(call: &'e CallOp, env: &Env<'e>) -> Evaluated<'e> {
    env.steps.take(call.span)?;
    match &call.callee {
        Callee::Library(function) => library_call(function, &call.args, call.span, env).map(Cow::Owned),
        Callee::Function(function) => {
            let mut args = Vec::with_capacity(function.locals.max(call.args.len()));
            for arg in &call.args {
                args.push(Some(eval(arg, env)?.into_owned()));
            }
            run(function, args, call.span, env).map(Cow::Owned)
        }
    }
}

fn library_call(
    function: &'static library::Function,
    args: &[Op],
    span: Span,
    env: &Env<'_>,
) -> Result<Value, Box<Fault>> {
    let run = |args: &[&Value]| {
        let called = function.call(args, env.context, env.steps);
        let value = called.map_err(|message| Fault::new(span, message))?;
        env.steps.weigh(&value, span)?;
        Ok(value)
    };
    // Most functions take one or two arguments, which need no heap allocation.
    match args {
        [] => run(&[]),
        [one] => run(&[&*eval(one, env)?]),
        [one, two] => run(&[&*eval(one, env)?, &*eval(two, env)?]),
        more => {
            let values: Vec<_> = more.iter().map(|arg| eval(arg, env)).collect::<Result<_, _>>()?;
            let values: Vec<&Value> = values.iter().map(|value| &**value).collect();
            run(&values)
        }
    }
}

/// Runs a function of the program, with a loop for its tail calls. Its environment has only its arguments.
fn run(
    function: &Function,
    mut args: Vec<Option<Value>>,
    span: Span,
    env: &Env<'_>,
) -> Result<Value, Box<Fault>> {
    let mut state = State::default();
    let message = Message::of(Value::Null, Meta::default());
    let mut frame = ScriptFrame {
        message,
        state: &mut state,
        locals: Vec::new(),
        steps: env.steps,
        context: env.context,
        err_is_read: false,
    };
    let mut recursions = 0;
    loop {
        frame.locals = arranged(function, args);
        let value = match frame.block(&function.body, true)? {
            Step::End(Ending::Again { args: next, span }) => {
                recursions += 1;
                let max = env.steps.limits().max_recursion;
                if recursions >= max {
                    let message = format!("recursion limit of {max} exceeded");
                    return Err(Fault::new(span, message));
                }
                env.steps.take(span)?;
                args = next.into_iter().map(Some).collect();
                continue;
            }
            Step::On(Yield::Value(value)) => value,
            Step::On(Yield::Event | Yield::Nothing) | Step::End(_) => Value::Null,
        };
        env.steps.check(&value, span)?;
        return Ok(value);
    }
}

/// Places arguments in locals. The arguments beyond the named parameters become an array.
fn arranged(function: &Function, mut args: Vec<Option<Value>>) -> Vec<Option<Value>> {
    if function.open {
        let rest: Vec<Value> = args.drain(function.params.min(args.len())..).flatten().collect();
        args.push(Some(Value::array(rest)));
    }
    args.resize(function.locals, None);
    args
}
