//! The lowest layer: operations on values, shared by evaluation, library and extractors.
//!
//! `describe` names the types of values in error texts, `limits` limits their size, `number` and `ops`
//! compute with them, and `cost` counts the steps of an event. This layer does not depend on compiled code,
//! functions or messages.

pub(crate) mod cost;
pub(crate) mod describe;
pub(crate) mod limits;
pub(crate) mod number;
pub(crate) mod ops;
