//! The names of the library, and their alternative spellings.

use std::borrow::Cow;

use super::{CONSTANTS, constant, datetime, function, functions};

/// Another root of built-in modules in Tremor, as in `core::string::len`.
const BUILT_IN: &str = "core::";

/// The built-in modules in `tremor::`. All others are in `std::`.
const OF_TREMOR: [&str; 2] = ["origin", "system"];

/// The canonical name of a function, a constant or a module: `std::string::len` for `core::string::len`.
pub(crate) fn listed_name(name: &str) -> Cow<'_, str> {
    let Some(rest) = name.strip_prefix(BUILT_IN) else { return name.into() };
    let module = rest.split("::").next().unwrap_or_default();
    let root = if OF_TREMOR.contains(&module) { "tremor" } else { "std" };
    format!("{root}::{rest}").into()
}

/// The names of all functions and constants, for `did you mean` and for the docs.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let constants = CONSTANTS.iter().copied().flatten().map(|constant| constant.name);
    functions().map(|function| function.name).chain(constants).chain(datetime::zone_names())
}

/// Whether a path names a module of the library: `std` or `std::string`.
pub(crate) fn is_module(path: &str) -> bool {
    let path = listed_name(path);
    names().any(|known| known.strip_prefix(&*path).is_some_and(|rest| rest.starts_with("::")))
}

/// Whether a path names a module, a function or a constant of the library.
pub(crate) fn is_known(path: &str) -> bool {
    is_module(path) || function(path).is_some() || constant(path).is_some()
}
