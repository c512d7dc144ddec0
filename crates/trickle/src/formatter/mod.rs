//! The formatter behind `towline fmt`.
//!
//! The formatter works on tokens and changes only the white space between them, so the meaning cannot change.
//! `lexemes` finds tokens, comments and blank lines; `measures` matches brackets and blocks and computes
//! lengths; `spacing` places spaces; `layout` breaks lines.

mod layout;
mod lexemes;
mod measures;
mod spacing;

use std::sync::Arc;

use crate::{bounds::bounded, diagnostic::Diagnostics, lexer::lex, parser, source::Sources};

/// The syntax of a text: a program or a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Statements of the query level.
    Program,
    /// A standalone script.
    Script,
}

/// Formats a text without syntax errors. Errors name the text as `name`.
///
/// ```
/// # use towline_trickle::{Form, format};
/// let formatted = format("demo", "select   event from in\ninto out ;", Form::Program).unwrap();
/// assert_eq!(formatted, "select event from in into out;\n");
/// ```
///
/// # Errors
/// All syntax errors. Names are not resolved.
pub fn format(name: &str, text: &str, form: Form) -> Result<String, Diagnostics> {
    bounded(name, text)?;
    let errors = match form {
        Form::Program => parser::parse(text, 0).1,
        Form::Script => parser::parse_script(text, 0).1,
    };
    if !errors.is_empty() {
        let mut sources = Sources::default();
        sources.add(name, text);
        return Err(Diagnostics::new(Arc::new(sources), errors));
    }
    let formatted = layout::layout(&lexemes::lexemes(text));
    // A bug in the formatter must not change a program.
    Ok(if is_equivalent(text, &formatted) { formatted } else { text.to_owned() })
}

/// Whether two texts have the same tokens and the same comments.
fn is_equivalent(before: &str, after: &str) -> bool {
    let (a, b) = (lex(before).0, lex(after).0);
    let same = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.token == b.token);
    same && comments(before) == comments(after)
}

fn comments(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for lexeme in lexemes::lexemes(text) {
        found.extend(lexeme.trailing);
        found.extend(lexeme.comments.iter().map(|comment| comment.text));
    }
    found
}

#[cfg(test)]
mod tests;
