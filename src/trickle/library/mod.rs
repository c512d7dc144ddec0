//! The standard library: functions and constants that every program may use by their full names.

use std::marker::PhantomData;

use super::eval::Steps;
use crate::event::{EventId, Value};

/// A function of the library.
#[derive(Debug)]
pub(crate) struct Function {
    /// In full: `std::string::len`.
    pub(crate) name: &'static str,
    pub(crate) arity: Arity,
    /// Gives the result, or says in a text without place why there is none.
    pub(crate) run: fn(&Call<'_>) -> Result<Value, String>,
    /// The same arguments give the same result, so a call with constants is one itself.
    pub(crate) pure: bool,
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    Exactly(usize),
    Between(usize, usize),
    AtLeast(usize),
}

/// One call: what a function may look at.
pub(crate) struct Call<'c> {
    /// As many as the arity says.
    pub(crate) args: &'c [&'c Value],
    pub(crate) context: &'c Context<'c>,
    /// Takes further steps, for functions that loop.
    pub(crate) steps: &'c Steps,
}

/// What is known about the event, besides its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) now_ns: u64,
    pub(crate) ingest_ns: u64,
    pub(crate) id: EventId,
    pub(crate) event: PhantomData<&'c ()>,
}

static FUNCTIONS: [Function; 3] = [
    Function { name: "std::string::len", arity: Arity::Exactly(1), run: len, pure: true },
    Function { name: "std::type::is_string", arity: Arity::Exactly(1), run: is_string, pure: true },
    Function { name: "tremor::system::nanotime", arity: Arity::Exactly(0), run: nanotime, pure: false },
];

/// The function of that full name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The constant of that full name.
pub(crate) fn constant(name: &str) -> Option<Value> {
    (name == "std::integer::MAX").then_some(Value::Int(i64::MAX))
}

/// The full names of all functions and constants.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name).chain(["std::integer::MAX"])
}

fn len(call: &Call<'_>) -> Result<Value, String> {
    match call.args {
        [Value::String(text)] => Ok(Value::from(text.chars().count() as u64)),
        _ => Err("`std::string::len` takes a string".to_owned()),
    }
}

fn is_string(call: &Call<'_>) -> Result<Value, String> {
    Ok(Value::Bool(matches!(call.args, [Value::String(_)])))
}

fn nanotime(call: &Call<'_>) -> Result<Value, String> {
    Ok(Value::from(call.context.now_ns))
}
