//! Escapes characters that change how a terminal or a viewer shows a line: texts come from clients, and end in logs and
//! tables.
//!
//! These are control characters with those of C1 (ESC and CSI begin sequences that a terminal obeys), the separators of
//! lines and paragraphs, which some viewers break lines at, and the marks of the bidirectional algorithm, which reorder
//! what follows.

use std::fmt::{self, Write as _};

/// Displays a text with these characters escaped in the manner of Rust: `\u{1b}`, `\n`.
///
/// ```
/// # use towline::printable::Printable;
/// assert_eq!(Printable("a\u{1b}[31mb\u{202e}c").to_string(), r"a\u{1b}[31mb\u{202e}c");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

/// A text that is JSON with these characters escaped in the manner of JSON. Outside of strings, JSON has none of them but
/// white space, which stays.
///
/// ```
/// # use towline::printable::json;
/// assert_eq!(json("{\"a\":\"\u{9b}\"}"), r#"{"a":"\u009b"}"#);
/// ```
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' | '\n' | '\r' => escaped.push(letter),
            // All of them have four digits.
            _ if is_active(letter) => escaped.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Whether the character changes how others are shown.
pub fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match is_active(letter) {
            true => write!(f, "{}", letter.escape_default()),
            false => f.write_char(letter),
        })
    }
}
