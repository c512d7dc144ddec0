//! The implementation of `towline fmt`: formats a text.

use super::eval::is_script;
use crate::trickle::{Diagnostics, Form, format};

/// The result of formatting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Formatted {
    /// The text is formatted already.
    Same,
    /// The formatted text.
    Changed(String),
}

/// Formats a program, or a script if `name` ends in `.tremor`.
///
/// # Errors
/// All syntax errors of the text.
pub fn formatted(name: &str, text: &str) -> Result<Formatted, Diagnostics> {
    let form = if is_script(name) { Form::Script } else { Form::Program };
    let formatted = format(name, text, form)?;
    Ok(if formatted == text { Formatted::Same } else { Formatted::Changed(formatted) })
}
