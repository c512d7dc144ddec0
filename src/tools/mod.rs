//! Tools for programs without a running proxy: evaluation and formatting.

pub mod eval;
pub mod fmt;
