//! The ground floor: what evaluation, the library and the extractors know about values.
//!
//! `words` names values in error texts, `limits` bounds them, `number` and `ops` compute with them, and
//! `cost` counts the steps of an event. Nothing here knows of compiled code, functions or messages.

pub(crate) mod cost;
pub(crate) mod limits;
pub(crate) mod number;
pub(crate) mod ops;
pub(crate) mod words;
