//! The stream language: programs that filter, change and route events.
//!
//! ```text
//! select event from in where event.type == "chat" into out;
//! ```
//!
//! The way of a program, in the order of the modules: `files` gathers its text and those of the modules
//! it uses, `lexer` makes tokens of a text, `parser` a tree (`ast`), `compile` code (`code`) of its
//! expressions, functions and scripts, `graph` nodes and channels of its statements. `program` sends
//! events through the graph, and `eval` evaluates, with the functions of the `library` and the
//! patterns of `extract`. `reads` looks into JSON just as far as a program does.
//!
//! What is written once is resolved once: a running program looks no name up. Every failure, of a
//! text or of an event, is a value with a place in the program ([`Diagnostics`], [`RuntimeError`]);
//! nothing here panics, and nothing here knows of sockets, timers or clocks.
//!
//! The language is that of the reference system, tremor-query and tremor-script 0.11 with the newer
//! spellings accepted. Windows, grouping and aggregates are not built yet and refused by name.

mod ast;
mod code;
mod compile;
mod diagnostic;
mod eval;
mod extract;
mod files;
mod format;
mod graph;
mod lexer;
mod library;
mod message;
mod parser;
mod program;
mod reads;
mod script;
mod sets;
mod source;
mod token;
mod value;

/// The functions of the standard library: name, number of arguments, and what it gives, in words.
///
/// ```
/// /// assert!(towline_trickle::functions().any(|(name, arguments, _)| name == "std::string::len" && arguments == "1 argument"));
/// ```
pub fn functions() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    library::functions().map(|function| (function.name, function.arity.to_string(), function.about))
}

#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostics, RuntimeError};
pub use files::{Module, Modules, NoModules};
pub use format::{Form, format};
pub use program::{Instance, Port, Program};
pub use script::Script;
pub use source::Position;
pub use value::limits::Limits;
