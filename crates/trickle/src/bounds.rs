//! The maximum length of a program's texts.

use std::sync::Arc;

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    source::{Sources, Span},
};

/// Maximum length of a program text, in bytes: about a thousand times the length of usual programs, and short
/// enough to refuse a wrong file at once.
pub(crate) const SOURCE_MAX: usize = 1 << 20;

/// Refuses a text that is too long for a program. The error names the program as `name`.
///
/// # Errors
/// When the text is longer than [`SOURCE_MAX`] bytes.
pub(crate) fn bounded(name: &str, source: &str) -> Result<(), Diagnostics> {
    if source.len() <= SOURCE_MAX {
        return Ok(());
    }
    let error = Diagnostic::new(Span::new(0, 0), too_long("the program"), "");
    let mut sources = Sources::default();
    sources.add(name, "");
    Err(Diagnostics::new(Arc::new(sources), vec![error]))
}

/// The error message for a text longer than [`SOURCE_MAX`]; `what` is `the program` or `the module`.
pub(crate) fn too_long(what: &str) -> String {
    format!("{what} is longer than {} MiB", SOURCE_MAX >> 20)
}
