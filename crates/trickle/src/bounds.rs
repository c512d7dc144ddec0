//! How long the texts of a program may be.

use std::sync::Arc;

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    source::{Sources, Span},
};

/// The longest program text that is compiled, in bytes: a thousand times what people write, and short enough
/// that a wrong file named as a program is refused at once.
pub(crate) const SOURCE_MAX: usize = 1 << 20;

/// Refuses a text that is too long to be a program. `name` is what the error calls it.
///
/// # Errors
/// When the text is longer than [`SOURCE_MAX`].
pub(crate) fn bounded(name: &str, source: &str) -> Result<(), Diagnostics> {
    if source.len() <= SOURCE_MAX {
        return Ok(());
    }
    let error = Diagnostic::new(Span::new(0, 0), too_long("the program"), "");
    let mut sources = Sources::default();
    sources.add(name, "");
    Err(Diagnostics::new(Arc::new(sources), vec![error]))
}

/// The error for a text beyond [`SOURCE_MAX`]; `what` is `the program` or `the module`.
pub(crate) fn too_long(what: &str) -> String {
    format!("{what} is longer than {} MiB", SOURCE_MAX >> 20)
}
