//! The standard library: what programs call as `std::…` and `tremor::…`.
//!
//! Names, arities and results are those of Tremor 0.11, with what its later versions added; where
//! the two spell a name differently, both are known. A [`Function`] is found by name when a program
//! is compiled, and called with borrowed arguments when it runs.
//!
//! There is no number here that JSON cannot write: a function whose result would be infinite or not
//! a number fails instead, and so there are no constants for these two either.
//!
//! # Correctness
//! No function panics, whatever its arguments. A function that may build something large asks
//! [`Call::room`] before it builds it, and takes a step for every item and for every
//! [`call::BYTES_PER_STEP`] bytes that it looks at, so that the limits of an event hold in here too.

mod array;
mod base64;
mod binary;
mod call;
mod chash;
mod datetime;
mod float;
mod integer;
mod json;
mod math;
pub(crate) mod names;
mod order;
mod origin;
mod path;
mod random;
mod range;
mod re;
mod record;
mod size;
mod string;
mod system;
mod time;
mod types;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use call::{Call, Context};

use crate::value::cost::Steps;
use towline_event::Value;

/// What every function is at last: a value, or why there is none in words for people, without place.
pub(crate) type Outcome = Result<Value, String>;

/// One function of the library.
pub(crate) struct Function {
    /// `std::string::len`
    pub(crate) name: &'static str,
    /// With how many arguments it is called.
    pub(crate) arity: Arity,
    /// What it does; called by [`Function::call`].
    run: fn(&Call<'_>) -> Outcome,
    /// Whether the same arguments always have the same result, so that a call may be folded.
    pub(crate) pure: bool,
    /// What it gives, in one line for people: `how many characters a string has`
    pub(crate) about: &'static str,
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// So many.
    Exactly(usize),
    /// From the first number to the second.
    Between(usize, usize),
    /// So many or more.
    AtLeast(usize),
}

/// One constant of the library.
struct Constant {
    /// `std::integer::MAX`, the last word in capitals
    name: &'static str,
    value: fn() -> Value,
}

/// Every function, module by module.
static FUNCTIONS: [&[Function]; 23] = [
    array::FUNCTIONS,
    base64::FUNCTIONS,
    binary::FUNCTIONS,
    chash::FUNCTIONS,
    datetime::FUNCTIONS,
    datetime::OLDER_FUNCTIONS,
    float::FUNCTIONS,
    integer::FUNCTIONS,
    json::FUNCTIONS,
    math::FUNCTIONS,
    origin::FUNCTIONS,
    path::FUNCTIONS,
    random::FUNCTIONS,
    range::FUNCTIONS,
    re::FUNCTIONS,
    record::FUNCTIONS,
    size::FUNCTIONS,
    string::FUNCTIONS,
    string::CASE_FUNCTIONS,
    system::FUNCTIONS,
    time::FUNCTIONS,
    types::FUNCTIONS,
    url::FUNCTIONS,
];

/// Every constant but those of the time zones.
static CONSTANTS: [&[Constant]; 3] = [datetime::CONSTANTS, integer::CONSTANTS, time::CONSTANTS];

/// The function of that name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    let name = names::listed_name(name);
    functions().find(|known| known.name == name)
}

/// The value of the constant of that name, whose last word is in capitals (as in later versions of
/// Tremor) or in small letters (as in 0.11).
pub(crate) fn constant(name: &str) -> Option<Value> {
    let name = names::listed_name(name);
    let (module, word) = name.rsplit_once("::")?;
    let capitals = word.to_ascii_uppercase();
    if word != capitals && word != word.to_ascii_lowercase() {
        return None;
    }
    let is_it = |known: &str| known.rsplit_once("::") == Some((module, &capitals));
    let listed = CONSTANTS.iter().copied().flatten().find(|known| is_it(known.name));
    listed.map(|known| (known.value)()).or_else(|| datetime::zone_named(module, &capitals))
}

/// All functions, module by module.
pub(crate) fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().copied().flatten()
}

// === impl Function ===

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    /// Whether it tells where the event came from.
    pub(crate) fn reads_origin(&self) -> bool {
        self.name.starts_with("tremor::origin::")
    }

    /// A function whose calls may be folded.
    const fn pure(
        name: &'static str,
        arity: Arity,
        run: fn(&Call<'_>) -> Outcome,
        about: &'static str,
    ) -> Self {
        Self { name, arity, run, pure: true, about }
    }

    /// A function that asks for more than its arguments: the event, the clock, the host, chance.
    const fn impure(
        name: &'static str,
        arity: Arity,
        run: fn(&Call<'_>) -> Outcome,
        about: &'static str,
    ) -> Self {
        Self { name, arity, run, pure: false, about }
    }

    /// Calls it.
    ///
    /// # Errors
    /// Why it has no result: `std::string::len takes a string, not an integer`. Or what `steps` says
    /// when there are not enough of them.
    pub(crate) fn call(&'static self, args: &[&Value], context: &Context<'_>, steps: &Steps) -> Outcome {
        if !self.arity.takes(args.len()) {
            return Err(format!("{} takes {}, not {}", self.name, self.arity, args.len()));
        }
        (self.run)(&Call { name: self.name, args, context, steps })
    }
}

// === impl Arity ===

impl Arity {
    /// Whether so many arguments will do.
    pub(crate) fn takes(self, count: usize) -> bool {
        match self {
            Self::Exactly(wanted) => count == wanted,
            Self::Between(least, most) => (least..=most).contains(&count),
            Self::AtLeast(least) => count >= least,
        }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("1 argument"),
            Self::Exactly(0) => f.write_str("no arguments"),
            Self::Exactly(wanted) => write!(f, "{wanted} arguments"),
            Self::Between(least, most) => write!(f, "{least} to {most} arguments"),
            Self::AtLeast(1) => f.write_str("at least 1 argument"),
            Self::AtLeast(least) => write!(f, "at least {least} arguments"),
        }
    }
}
