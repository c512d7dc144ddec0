//! Errors about statements that do not end where they should.

use crate::{
    ast::Script,
    diagnostic::{Diagnostic, similar},
    parser::{
        cursor::{Failed, Parser},
        keywords::{BLOCKS, ITEMS, STATEMENTS},
    },
    token::{RESERVED, Token},
};

/// Words that begin a statement of a script.
const BEGINNINGS: [&str; 8] = ["match", "for", "patch", "merge", "let", "emit", "drop", "recur"];

/// Words that are followed by an expression.
const PREFIXES: [&str; 7] = ["match", "for", "patch", "merge", "not", "present", "absent"];

/// Words that begin a statement of a script but not of a program.
const OF_SCRIPTS: [&str; 8] = ["let", "emit", "drop", "match", "for", "patch", "merge", "event"];

/// Words that begin a statement of a module.
const OF_MODULES: [&str; 5] = ["const", "fn", "define", "mod", "use"];

impl Parser<'_> {
    // --- programs ---

    /// Reports a token that begins no statement of a program, a pipeline or a module. The message lists only
    /// the most common statements; the advice considers all of them.
    pub(in crate::parser) fn unknown_statement(&mut self) -> Failed {
        if self.is_word("end") {
            return self.stray_end();
        }
        if self.is_outdented() {
            return self.not_closed("`end`");
        }
        if self.is_any_word(&OF_SCRIPTS) {
            return self.statement_of_scripts();
        }
        let in_module = self.blocks.last().is_some_and(|block| self.free_word(block.opener) == Some("mod"));
        let expected: &[&str] = if in_module { &OF_MODULES } else { &STATEMENTS };
        let advised: Vec<&str> = STATEMENTS.into_iter().chain(ITEMS).collect();
        self.expected_words_or(expected, &advised)
    }

    /// Reports a script statement in a program, unless it is the rest of a script with syntax errors.
    fn statement_of_scripts(&mut self) -> Failed {
        let Token::Word(word) = *self.peek() else { return Failed };
        if self.errors.is_empty() {
            let error = Diagnostic::new(self.span(), format!("`{word}` is allowed in scripts only"), "")
                .help("a program consists of selects and definitions: define script NAME script … end");
            self.errors.push(error);
        }
        Failed
    }

    /// Reports text after a standalone script. Also reports an empty script.
    pub(in crate::parser) fn check_end_of_script(&mut self, script: Option<&Script>) {
        let span = self.span();
        if !self.errors.is_empty() {
            return;
        }
        match *self.peek() {
            Token::Word("end") => {
                self.stray_end();
            }
            Token::Word(word) if STATEMENTS.contains(&word) => {
                let message = format!("`{word}` begins a statement of a program, but this is a script");
                let help = "the name of a program's file ends in .trickle";
                self.errors.push(Diagnostic::new(span, message, "").help(help));
            }
            Token::End if script.is_some_and(|script| script.body.is_empty()) => {
                let error =
                    Diagnostic::new(self.end_of_last(), "this script has no value", "a statement is missing")
                        .help("a script ends with a value, for instance `event`");
                self.errors.push(error);
            }
            Token::End => {}
            _ => {
                self.expected("the end of the script");
            }
        }
    }

    // --- expressions ---

    /// Reports a definition where none is allowed: inside a block that should have ended, or in an expression.
    pub(in crate::parser) fn misplaced(&mut self, word: &str, advice: &str) -> Failed {
        if self.is_outdented() {
            return self.not_closed("`end`");
        }
        let error = Diagnostic::new(self.span(), format!("`{word}` is not allowed here"), "").help(advice);
        self.fail(error)
    }

    /// Reports the key of a record that is not a string.
    pub(in crate::parser) fn bare_key(&mut self, word: &str) -> Failed {
        let message = format!("the key `{word}` is not a string");
        let in_case = self.at > 1 && self.free_word(self.at - 2) == Some("case");
        let help = match self.peek_second() {
            _ if in_case => "a record pattern begins with `%{`".to_owned(),
            Token::Symbol("." | "[") => "for a computed key, use a string with code: \"#{…}\"".to_owned(),
            _ => format!("write \"{word}\""),
        };
        let error = Diagnostic::new(self.span(), message, "").help(help);
        self.fail(error)
    }

    // --- statements of scripts ---

    /// Reports an unexpected token after a statement that began at `start`.
    pub(in crate::parser) fn statement_goes_on(&mut self, start: usize) -> Failed {
        if self.is_behind_unread(self.span()) {
            return Failed;
        }
        if *self.peek() == Token::End || self.is_outdented() || self.is_any_word(&STATEMENTS) {
            return self.not_closed("`;` or `end`");
        }
        if let Some(error) = self.mistaken_word(start) {
            return self.fail(error);
        }
        if self.joins_modules(start) {
            return self.no_joint();
        }
        self.expected_end("`;` or `end` after the statement")
    }

    /// Whether a `use` that began at `start` joins names by the separator of another language, such as `.`.
    pub(in crate::parser) fn joins_modules(&self, start: usize) -> bool {
        self.free_word(start) == Some("use") && (self.is("/") || self.is("."))
    }

    pub(in crate::parser) fn no_joint(&mut self) -> Failed {
        let help = "join the names of modules by `::`".to_owned();
        self.complain(self.span(), "`::` or the end of the statement", Some(help))
    }

    /// Reports an unexpected token after the statement of a case that began at `start`.
    pub(in crate::parser) fn case_goes_on(&mut self, start: usize) -> Failed {
        if self.is_behind_unread(self.span()) {
            return Failed;
        }
        if *self.peek() == Token::End || self.is_any_word(&STATEMENTS) || self.is_word("from") {
            return self.not_closed("`end`");
        }
        if self.is_default_of_others() || self.is(",") {
            return self.no_case(&["case", "default", "end"]);
        }
        if let Some(error) = self.mistaken_word(start) {
            return self.fail(error);
        }
        if self.begins_line(self.at) && self.word_like(&["case", "default", "end"]).is_none() {
            return self.expected_end("`;`, `case`, `default` or `end`");
        }
        self.expected_words(&["case", "default", "end"])
    }

    /// The keyword that is similar to the next word; `None` if none is.
    fn word_like<'n>(&self, words: &[&'n str]) -> Option<&'n str> {
        let Token::Word(word) = *self.peek() else { return None };
        similar(word, words)
    }

    /// The error for a word near the current position that is from another language or mistyped, and was
    /// parsed as a local; `None` if there is no such word. `start` is the first token of the statement.
    pub(in crate::parser) fn mistaken_word(&mut self, start: usize) -> Option<Diagnostic> {
        if self.is_behind_unread(self.span()) {
            return None;
        }
        let last = self.at - 1;
        if let Some(error) = self.comment_of_others(start) {
            return Some(error);
        }
        if let Some(error) = self.foreign_word(start) {
            return Some(error);
        }
        let word = self.free_word(last)?;
        if self.begins_line(self.at) || RESERVED.contains(&word) || self.is_declared(last) {
            return None;
        }
        let near = self.meant(last, start);
        let message = match near {
            _ if last == start => format!("unknown statement `{word}`"),
            Some(_) => format!("`{word}` is not a keyword"),
            None => return None,
        };
        let error = Diagnostic::new(self.tokens[last].span, message, "");
        Some(match near {
            Some(near) => {
                if BLOCKS.contains(&near) {
                    self.open(last);
                }
                error.help(format!("did you mean `{near}`?"))
            }
            None => error,
        })
    }

    /// The keyword that a word may be meant as, considering the token after it; `None` if there is none.
    fn meant(&self, token: usize, start: usize) -> Option<&'static str> {
        let word = self.free_word(token).filter(|word| word.chars().count() > 2)?;
        if token > start {
            return similar(word, &PREFIXES);
        }
        similar(word, &BEGINNINGS).or_else(|| similar(word, &ITEMS))
    }

    /// Whether the text assigns a value to the name at a token anywhere.
    pub(in crate::parser) fn is_declared(&self, token: usize) -> bool {
        let word = &self.tokens[token].token;
        self.tokens.windows(2).any(|two| {
            two[1].token == *word
                && matches!(
                    two[0].token,
                    Token::Word("let" | "const" | "fn" | "case" | "use" | "as" | "mod")
                        | Token::Symbol("(" | "," | "::")
                )
        })
    }
}
