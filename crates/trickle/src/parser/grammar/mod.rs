//! The rules of the grammar: each takes tokens and builds a part of the tree, or fails with an error from `help`.
//!
//! `query` has the statements of programs, `define` definitions and creations, `items` constants, functions and
//! modules, `script` the statements of scripts, `expr` expressions, `records` patches, merges and binaries, and
//! `pattern` the patterns of cases. `blocks` handles the `end` of blocks, and recovery after errors.

mod blocks;
mod define;
mod expr;
mod items;
mod pattern;
mod query;
mod records;
mod script;
