//! The names of the library: which there are, and how programs may spell them.

use std::borrow::Cow;

use super::{CONSTANTS, constant, datetime, function, functions};

/// In Tremor built-in modules are also known by this root: `core::string::len`.
const BUILT_IN: &str = "core::";

/// The built-in modules below `tremor::`; all others are below `std::`.
const OF_TREMOR: [&str; 2] = ["origin", "system"];

/// The name under which the library lists a function, a constant or a module: `std::string::len` for
/// `core::string::len`.
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

/// Whether a path names anything of the library: a module, a function or a constant.
pub(crate) fn is_known(path: &str) -> bool {
    is_module(path) || function(path).is_some() || constant(path).is_some()
}
