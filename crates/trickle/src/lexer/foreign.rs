//! Strings and comments in the syntax of other languages. Each is reported as one error.

use super::Lexer;
use crate::{diagnostic::Diagnostic, source::Span};

impl Lexer<'_> {
    /// Reads a string in single quotes, `'…'`, or `'''…'''` over several lines, and reports it.
    pub(super) fn single_quotes(&mut self) {
        let start = self.at;
        let lines = self.rest().strip_prefix("'''").and_then(|inside| inside.find("'''"));
        let help = if let Some(length) = lines {
            self.at += "'''".len() + length + "'''".len();
            "a string of several lines uses `\"\"\"`"
        } else {
            self.at += 1;
            self.take_while(|c| c != '\'' && c != '\n');
            if self.peek() == Some('\'') {
                self.at += 1;
            }
            "strings use double quotes"
        };
        self.bad(start, "single quotes are not valid here", "").help = Some(help.to_owned());
    }

    /// Reads a string in typographic quotes, up to the next such quote, and reports it.
    pub(super) fn curly_quotes(&mut self) {
        let start = self.at;
        let Some(first) = self.peek() else { return };
        self.at += first.len_utf8();
        self.take_while(|c| !matches!(c, '“' | '”' | '»' | '«' | '‘' | '’' | '\n'));
        if let Some(last) = self.peek().filter(|c| *c != '\n') {
            self.at += last.len_utf8();
        }
        let error = self.bad(start, format!("`{first}` is not valid here"), "");
        error.help = Some("strings use straight double quotes".to_owned());
    }

    /// Reads a comment, `// …` up to the end of the line or `/* … */`, and reports it. It produces no token,
    /// so that the text after it is parsed as usual.
    pub(super) fn foreign_comment(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let sign = &rest[..2];
        match rest.find("*/") {
            Some(end) if sign == "/*" => self.at += end + "*/".len(),
            _ => {
                self.take_while(|c| c != '\n');
            }
        }
        let span = Span::new(start, start + sign.len());
        let error = Diagnostic::new(span, format!("`{sign}` does not begin a comment"), "");
        self.errors.push(error.help("a comment begins with `#`"));
    }
}

/// The advice for a `?` and the text after it, `rest`.
pub(super) fn question_mark(rest: &str) -> &'static str {
    if rest.starts_with("?.") || rest.starts_with("??") {
        "use `present` to test whether a path exists"
    } else {
        "for a choice, use: match CONDITION of case true => … default => … end"
    }
}
