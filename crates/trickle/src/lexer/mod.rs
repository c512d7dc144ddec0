//! Splits text into tokens.
//!
//! A list, not the stack, records the nesting of strings and interpolated code, so that deep nesting cannot
//! overflow the stack.

mod foreign;
mod number;
mod text;

use crate::{
    diagnostic::{Diagnostic, ERRORS_MAX},
    source::Span,
    token::{Placed, SYMBOLS, Token},
};

/// A construct that the lexer is inside of.
enum Mode {
    /// Interpolated code, with its own open braces.
    Code { braces: u32, start: usize },
    /// A string or a heredoc.
    Text { heredoc: bool, start: usize },
}

struct Lexer<'s> {
    text: &'s str,
    at: usize,
    modes: Vec<Mode>,
    tokens: Vec<Placed<'s>>,
    errors: Vec<Diagnostic>,
}

/// Splits a source into tokens, the last of which is [`Token::End`], and returns the errors.
pub(crate) fn lex(text: &str) -> (Vec<Placed<'_>>, Vec<Diagnostic>) {
    let mut lexer = Lexer { text, at: 0, modes: Vec::new(), tokens: Vec::new(), errors: Vec::new() };
    // Some editors write a byte order mark at the beginning of a file.
    lexer.take_while(|c| c == '\u{feff}');
    while lexer.at < text.len() && lexer.errors.len() < ERRORS_MAX {
        match lexer.modes.last() {
            Some(Mode::Text { heredoc, start }) => {
                let (heredoc, start) = (*heredoc, *start);
                lexer.piece(heredoc, start);
            }
            _ => lexer.code(),
        }
    }
    lexer.finish();
    (lexer.tokens, lexer.errors)
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, token: Token<'s>, start: usize) {
        self.tokens.push(Placed { token, span: Span::new(start, self.at) });
    }

    fn bad(&mut self, start: usize, message: impl Into<String>, label: &str) -> &mut Diagnostic {
        self.push(Token::Bad, start);
        let index = self.errors.len();
        self.errors.push(Diagnostic::new(Span::new(start, self.at), message, label));
        &mut self.errors[index]
    }

    /// Reads characters while they satisfy a predicate, and returns them.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Reads one token of code, or white space.
    fn code(&mut self) {
        let start = self.at;
        let Some(first) = self.peek() else { return };
        match first {
            c if c.is_whitespace() => {
                self.take_while(char::is_whitespace);
            }
            '#' => self.comment(),
            '"' => self.open_text(),
            '`' => self.quoted(),
            '\'' => self.single_quotes(),
            '“' | '”' | '„' | '«' | '»' | '‘' | '’' => self.curly_quotes(),
            '/' if self.rest().starts_with("//") || self.rest().starts_with("/*") => self.foreign_comment(),
            '|' if self.after_extractor_name() => self.format(),
            '0'..='9' => self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let word = self.take_while(|c| c == '_' || c.is_alphanumeric());
                self.push(Token::Word(word), start);
            }
            '}' if self.closes_code() => {
                self.at += 1;
                self.modes.pop();
                self.push(Token::CodeEnd, start);
            }
            _ => self.symbol(first),
        }
    }

    fn comment(&mut self) {
        let start = self.at;
        let line = self.take_while(|c| c != '\n');
        if let Some(directive) = line.strip_prefix("#!") {
            // All other `#!` lines are comments, such as `#!/usr/bin/env towline`.
            if let Some(setting) = directive.trim_start().strip_prefix("config") {
                self.push(Token::Config(setting.trim()), start);
            }
        }
    }

    fn symbol(&mut self, first: char) {
        let start = self.at;
        let rest = self.rest();
        let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) else {
            self.at += first.len_utf8();
            let error = self.bad(start, format!("`{}` is not valid here", first.escape_debug()), "");
            if first == '?' {
                error.help = Some(foreign::question_mark(rest).to_owned());
            }
            return;
        };
        self.at += symbol.len();
        if let Some(Mode::Code { braces, .. }) = self.modes.last_mut() {
            match symbol {
                "{" | "%{" => *braces += 1,
                "}" => *braces = braces.saturating_sub(1),
                _ => {}
            }
        }
        self.push(Token::Symbol(symbol), start);
    }

    /// Whether a `}` at the current position ends interpolated code.
    fn closes_code(&self) -> bool {
        matches!(self.modes.last(), Some(Mode::Code { braces: 0, .. }))
    }

    fn quoted(&mut self) {
        let start = self.at;
        self.at += 1;
        let name = self.take_while(|c| c != '`' && c != '\n');
        if self.peek() == Some('`') {
            self.at += 1;
            self.push(Token::Quoted(name), start);
        } else {
            self.bad(start, "this name does not end", "a closing backtick is missing");
        }
    }

    /// Whether `~ name` or `~= name` precedes the current position. A `|` then opens a format.
    fn after_extractor_name(&self) -> bool {
        let [.., tilde, name] = self.tokens.as_slice() else { return false };
        matches!(tilde.token, Token::Symbol("~" | "~=")) && matches!(name.token, Token::Word(_))
    }

    fn format(&mut self) {
        let start = self.at;
        self.at += 1;
        let inside = self.at;
        loop {
            self.take_while(|c| !matches!(c, '|' | '\\' | '\n'));
            match self.peek() {
                Some('|') => break,
                Some('\\') => {
                    self.at += 1;
                    self.at += self.peek().map_or(0, char::len_utf8);
                }
                _ => {
                    self.bad(start, "this extractor does not end on its line", "a closing `|` is missing");
                    return;
                }
            }
        }
        let format = &self.text[inside..self.at];
        self.at += 1;
        self.push(Token::Format(format), start);
    }

    fn has_errors_behind(&self, start: usize) -> bool {
        self.errors.iter().any(|error| error.span.start as usize >= start)
    }

    fn finish(&mut self) {
        // Report only the innermost unclosed code: it hides the end of the string around it.
        let code = self.modes.iter().rfind(|mode| matches!(mode, Mode::Code { .. }));
        match code.or(self.modes.first()) {
            // An error inside the code may hide its end, so report nothing more.
            Some(Mode::Code { start, .. }) if self.has_errors_behind(*start) => self.push(Token::Bad, *start),
            Some(Mode::Code { start, .. }) => self.open_code(*start),
            Some(Mode::Text { start, heredoc }) => {
                let start = *start;
                let message = if *heredoc { "this heredoc does not end" } else { "this string does not end" };
                let end = self.text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
                self.push(Token::Bad, start);
                self.errors.push(Diagnostic::new(Span::new(start, end), message, "opened here"));
            }
            None => {}
        }
        self.push(Token::End, self.at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let (placed, errors) = lex(text);
        assert_eq!(errors, [], "{text}");
        placed.into_iter().map(|placed| placed.token).collect()
    }

    fn error(text: &str) -> String {
        let (_, errors) = lex(text);
        errors.first().unwrap_or_else(|| panic!("no error in {text}")).message.clone()
    }

    #[test]
    fn numbers() {
        assert_eq!(
            tokens("1_000 0xff_FF 0b1010 1.5 1.0e3 2.5E-1 18446744073709551615"),
            [
                Token::Int(1000),
                Token::Int(0xffff),
                Token::Int(10),
                Token::Float(1.5),
                Token::Float(1000.0),
                Token::Float(0.25),
                Token::Int(u64::MAX),
                Token::End
            ]
        );
        for text in ["1e3", "0x", "0b2", "12ab", "18446744073709551616", "1.0e999", "0xfffffffffffffffff"] {
            error(text);
        }
    }

    #[test]
    fn strings_nest_through_code() {
        let (a, b) = (|| Token::Piece("a".into()), || Token::Piece("b".into()));
        assert_eq!(
            tokens(r##""a#{ {"b":1}["b"] }a""##),
            [
                Token::TextStart,
                a(),
                Token::CodeStart,
                Token::Symbol("{"),
                Token::TextStart,
                b(),
                Token::TextEnd,
                Token::Symbol(":"),
                Token::Int(1),
                Token::Symbol("}"),
                Token::Symbol("["),
                Token::TextStart,
                b(),
                Token::TextEnd,
                Token::Symbol("]"),
                Token::CodeEnd,
                a(),
                Token::TextEnd,
                Token::End
            ]
        );
    }

    #[test]
    fn escapes_and_heredocs() {
        let pieces = |text| match &tokens(text)[1] {
            Token::Piece(piece) => piece.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pieces(r##""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\#{x}""##), "\"\\/\u{8}\u{c}\n\r\té😀#{x}");
        assert_eq!(pieces("\"\"\"\n a \"b\"\n c\n\"\"\""), " a \"b\"\n c\n");
        assert_eq!(error(r#""\q""#), "unknown escape `\\q`");
        assert_eq!(error(r#""\ud83d""#), "not a Unicode escape");
        assert_eq!(error("\"abc\n"), "this string does not end on its line");
        assert_eq!(error("\"abc"), "this string does not end");
        assert_eq!(error("\"\"\"\nabc"), "this heredoc does not end");
        assert_eq!(error("\"a#{"), "this `#{` is not closed");
        assert_eq!(error("\"a #{b\"\nc"), "this `#{` is not closed");
        assert_eq!(error("\"\"\"\n#{ \"b\n }\n\"\"\""), "this string does not end on its line");
    }

    #[test]
    fn comments_directives_and_formats() {
        assert_eq!(tokens("# a \" b\n## c\nx"), [Token::Word("x"), Token::End]);
        assert_eq!(tokens("#!config id = \"x\"\n")[0], Token::Config("id = \"x\""));
        assert_eq!(tokens("#!/usr/bin/env towline\nx"), [Token::Word("x"), Token::End]);
        assert_eq!(tokens(r"~= re|a\|b|")[2], Token::Format(r"a\|b"));
        assert_eq!(error("~ re|a\n|"), "this extractor does not end on its line");
        assert_eq!(tokens("~ re|a\\\n  b|")[2], Token::Format("a\\\n  b"));
        assert_eq!(tokens("`a b`")[0], Token::Quoted("a b"));
        assert_eq!(tokens("\u{feff}x\r\n"), [Token::Word("x"), Token::End]);
        assert_eq!(error("§"), "`§` is not valid here");
    }

    #[test]
    fn deep_strings_do_not_overflow() {
        let (_, errors) = lex(&"\"#{".repeat(100_000));
        assert_eq!(errors.len(), 1);
    }

    proptest! {
        #[test]
        fn tokens_of_any_text_are_in_order(text in r##"([a-z0-9 "#{}\\|~=.%`\n_]|\PC){0,60}"##) {
            let (tokens, _) = lex(&text);
            let mut last = 0;
            for placed in &tokens {
                prop_assert!(placed.span.end >= placed.span.start);
                prop_assert!(text.is_char_boundary(placed.span.start as usize));
                last = last.max(placed.span.end);
            }
            prop_assert_eq!(last as usize, text.len());
        }
    }
}
