//! JSON text: where its parts are, whether it is well-formed, and its values.
//!
//! [`scanner`] reads text, [`index`] checks a document and notes its outermost fields, and [`parse`] builds values.

pub(crate) mod index;
pub(crate) mod parse;
pub(crate) mod scanner;
