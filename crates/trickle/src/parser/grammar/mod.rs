//! The rules of the grammar. Each rule reads tokens and builds a part of the tree, or fails with an error
//! from `help`.
//!
//! `query` has the rules for the statements of programs, `define` for definitions and `create`, `items` for
//! constants, functions and modules, `script` for the statements of scripts, `expr` for expressions,
//! `records` for patches, merges and binaries, and `pattern` for the patterns of cases. `blocks` handles the
//! `end` of blocks, and recovery after errors.

mod blocks;
mod define;
mod expr;
mod items;
mod pattern;
mod query;
mod records;
mod script;
