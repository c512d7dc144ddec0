//! The stream language: programs that filter, change and route events.
//!
//! ```text
//! select event from in where event.type == "chat" into out;
//! ```
//!
//! A program is compiled in this order: `files` loads its text and the modules it uses, `lexer` splits a text
//! into tokens, `parser` builds a tree (`ast`), `compile` turns expressions, functions and scripts into
//! `code`, and `graph` turns statements into nodes and streams. `program` is the interface, and its `engine`
//! sends events through the graph.
//!
//! Evaluation is layered. Each layer uses only the layers after it in this list: `eval`, `reads` (the part of
//! the event that a program reads), `code`, `extract` (the patterns of `~`), `library` (the functions of
//! `std` and `tremor`), and `value` (limits, numbers, operators, step counting).
//!
//! All names are resolved at compile time. Every failure, at compile time or on an event, is a
//! value with a position in the program ([`Diagnostics`], [`RuntimeError`]). This crate does not panic, and
//! uses no sockets, timers or clocks.
//!
//! The language is that of the reference system, tremor-query and tremor-script 0.11; newer spellings are
//! accepted too. Windows, grouping and aggregates are not supported yet; errors name them.

mod ast;
mod bounds;
mod code;
mod compile;
mod diagnostic;
mod engine;
mod eval;
mod extract;
mod files;
mod formatter;
mod graph;
mod lexer;
mod library;
mod message;
mod operators;
mod parser;
mod port;
mod program;
mod reads;
mod script;
mod sets;
mod source;
mod token;
mod value;

/// The functions of the standard library: name, number of arguments, and a description of the result.
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
pub use files::{Module, ModuleError, Modules, NoModules};
pub use formatter::{Form, format};
pub use port::Port;
pub use program::{Instance, Program};
pub use script::Script;
pub use source::Position;
pub use value::limits::{Limits, SearchLimits};
