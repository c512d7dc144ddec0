//! Which operation of a GraphQL document a request runs (GraphQL, October 2021, sections 2.1 and 6.1).

use crate::json::{path::Path, search, token};

/// Whether the request in a `subscribe` or `start` message is a subscription, as far as its text shows. A request
/// without text, such as a persisted query, is none.
pub(super) fn is_subscription(message: &[u8]) -> bool {
    let paths = [Path::new("payload.query"), Path::new("payload.operationName")];
    let Some(found) = search::find(message, &paths) else { return false };
    let text = |index: usize| found[index].clone().and_then(|span| token::decoded(&message[span]));
    text(0).is_some_and(|query| is_subscription_document(&query, text(1).as_deref()))
}

/// Whether the operation `name` of `document` is a subscription; without a name, its only operation.
fn is_subscription_document(document: &str, name: Option<&str>) -> bool {
    let operations = operations(document);
    match name {
        Some(name) => operations.iter().any(|(kind, other)| *kind == "subscription" && *other == Some(name)),
        None => matches!(operations[..], [("subscription", _)]),
    }
}

/// Kind and name of each operation at the top level of `document`.
fn operations(document: &str) -> Vec<(&str, Option<&str>)> {
    let mut operations = Vec::new();
    let mut lexer = Lexer { rest: document };
    // The words before the selection set of a definition: `subscription`, `OnTick`.
    let mut words = Vec::new();
    let mut depth = 0_usize;
    while let Some(token) = lexer.token() {
        match token {
            "{" if depth == 0 => {
                let kind = words.first().copied().unwrap_or("query");
                if kind != "fragment" {
                    operations.push((kind, words.get(1).copied()));
                }
                words.clear();
                depth = 1;
            }
            "{" | "(" | "[" => {
                depth += 1;
                // Arguments come after the name; a definition without a name has none.
                words.resize(words.len().max(2), "");
            }
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            "@" | "$" => words.resize(words.len().max(2), ""),
            _ if depth == 0 => words.push(token),
            _ => {}
        }
    }
    operations
}

/// Splits a document into names and punctuation; strings and comments are left out.
struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Option<&'a str> {
        loop {
            self.rest =
                self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
            match self.rest.as_bytes().first()? {
                b'#' => self.skip_past("\n", 1),
                b'"' if self.rest.starts_with("\"\"\"") => self.block_string(),
                b'"' => self.string(),
                _ => return Some(self.word()),
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let length = match self.rest.find(|c| !is_name(c)) {
            Some(0) => self.rest.chars().next().map_or(0, char::len_utf8),
            Some(length) => length,
            None => self.rest.len(),
        };
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    fn string(&mut self) {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' | '\n' => return self.rest = &self.rest[at + 1..],
                _ => {}
            }
        }
        self.rest = "";
    }

    fn block_string(&mut self) {
        self.rest = &self.rest[3..];
        while let Some(at) = self.rest.find("\"\"\"") {
            let escaped = self.rest[..at].ends_with('\\');
            self.rest = &self.rest[at + 3..];
            if !escaped {
                return;
            }
        }
        self.rest = "";
    }

    fn skip_past(&mut self, end: &str, least: usize) {
        let length = self.rest[least..].find(end).map_or(self.rest.len(), |at| least + at + end.len());
        self.rest = &self.rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_operation_that_runs_decides() {
        let cases = [
            ("subscription { tick }", None, true),
            ("subscription{tick}", None, true),
            ("# mutation\nsubscription OnTick($a: Int = 1) @live { tick(a: $a) }", None, true),
            ("subscription ($a: In = {b: [1]}) { tick }", None, true),
            ("\u{feff} , subscription S{a} fragment F on T {b}", None, true),
            ("fragment mutation on T { subscription } subscription { ...mutation }", None, true),
            ("{ subscription }", None, false),
            ("query { a(text: \"} subscription {\") }", None, false),
            ("query { a(text: \"\"\"\\\"\"\" } subscription { \"\"\") }", None, false),
            ("mutation subscription { pay }", None, false),
            ("query Q {a} subscription S {b}", Some("S"), true),
            ("query Q {a} subscription S {b}", Some("Q"), false),
            ("query Q {a} subscription S {b}", None, false),
            ("subscription @a { b }", Some("a"), false),
            ("subscription", None, false),
            ("", None, false),
        ];
        for (document, name, expected) in cases {
            assert_eq!(is_subscription_document(document, name), expected, "{document} {name:?}");
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_the_lexer_panic(document in r#"[a{}()\[\]"\\#\n @é$]{0,40}"#) {
            let _ = operations(&document);
        }
    }
}
