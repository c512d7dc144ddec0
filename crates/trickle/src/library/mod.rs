//! The standard library: what programs call as `std::…` and `tremor::…`.
//!
//! Names, arities and results are those of Tremor 0.11, with the additions of its later versions. If the
//! later versions spell a name differently, both spellings are accepted. A [`Function`] is looked up when a
//! program is compiled, and called with borrowed arguments at run time.
//!
//! All numbers can be represented in JSON: a function whose result would be infinite or not a number fails
//! instead. For the same reason there are no constants for infinity and NaN.
//!
//! No function panics, for any arguments. A function that may build a large value calls [`Call::room`] first.
//! A function spends a step for every item and for every [`call::BYTES_PER_STEP`] bytes of text that it
//! reads, so that the limits of an event also apply to the library.

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

/// The result of a function: a value, or an error message without position.
pub(crate) type Outcome = Result<Value, String>;

/// One function of the library.
pub(crate) struct Function {
    /// The full name, such as `std::string::len`.
    pub(crate) name: &'static str,
    /// The number of arguments.
    pub(crate) arity: Arity,
    /// The implementation, which [`Function::call`] calls.
    run: fn(&Call<'_>) -> Outcome,
    /// Whether the same arguments always give the same result. Such calls can be evaluated at compile time.
    pub(crate) pure: bool,
    /// A description of the result, for users, such as `the number of characters in a string`.
    pub(crate) about: &'static str,
}

/// The number of arguments that a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Exactly this many arguments.
    Exactly(usize),
    /// From the first number of arguments to the second, inclusive.
    Between(usize, usize),
    /// At least this many arguments.
    AtLeast(usize),
}

/// One constant of the library.
struct Constant {
    /// The full name, such as `std::integer::MAX`. Its last part is in capitals.
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

/// Every constant except those of the time zones.
static CONSTANTS: [&[Constant]; 3] = [datetime::CONSTANTS, integer::CONSTANTS, time::CONSTANTS];

/// The function of that name; `None` if there is none.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    let name = names::listed_name(name);
    functions().find(|known| known.name == name)
}

/// The value of the constant of that name; `None` if there is none. The last part of the name is in upper
/// case (as in later versions of Tremor) or in lower case (as in 0.11).
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
    /// Whether the function reads the origin of the event.
    pub(crate) fn reads_origin(&self) -> bool {
        self.name.starts_with("tremor::origin::")
    }

    /// Describes a function whose result depends on the arguments only.
    const fn pure(
        name: &'static str,
        arity: Arity,
        run: fn(&Call<'_>) -> Outcome,
        about: &'static str,
    ) -> Self {
        Self { name, arity, run, pure: true, about }
    }

    /// Describes a function that depends on more than its arguments: the event, the clock, the host or random
    /// numbers.
    const fn impure(
        name: &'static str,
        arity: Arity,
        run: fn(&Call<'_>) -> Outcome,
        about: &'static str,
    ) -> Self {
        Self { name, arity, run, pure: false, about }
    }

    /// Calls the function.
    ///
    /// # Errors
    /// A message such as `std::string::len takes a string, not an integer`, or the message of
    /// [`Steps::spend`] when the steps are used up.
    pub(crate) fn call(&'static self, args: &[&Value], context: &Context<'_>, steps: &Steps) -> Outcome {
        if !self.arity.takes(args.len()) {
            return Err(format!("{} takes {}, not {}", self.name, self.arity, args.len()));
        }
        (self.run)(&Call { name: self.name, args, context, steps })
    }
}

// === impl Arity ===

impl Arity {
    /// Whether the function accepts `count` arguments.
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
