//! tmp
pub mod exchange;
