//! What people use on programs away from the proxy: trying them out, and formatting them.

pub mod eval;
pub mod fmt;
