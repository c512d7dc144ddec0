//! Words and operators of other languages, with their equivalents in the stream language.

use crate::{
    diagnostic::Diagnostic,
    parser::cursor::{Failed, Parser},
    token::{RESERVED, Token},
};

const CHOICE: &str = "for a choice, use: match CONDITION of case true => … default => … end";
pub(in crate::parser) const LOOP: &str = "for a loop, use: for LIST of case (index, element) => … end";
const FUNCTION: &str = "to define a function, use: fn NAME(ARGUMENTS) with … end";
const RESULT: &str = "the last value is the result; use `emit` to end a script early";
const LOCAL: &str = "to set a local, use: let NAME = VALUE";
const ERASE: &str = "to remove a key, use: let event = patch event of erase \"KEY\" end";

/// Words of other languages, in lower case, with the advice for each.
const WORDS: [(&str, &str); 26] = [
    ("def", FUNCTION),
    ("delete", ERASE),
    ("do", LOOP),
    ("elif", CHOICE),
    ("else", CHOICE),
    ("elseif", CHOICE),
    ("elsif", CHOICE),
    ("exists", "use `present` to test whether a path exists"),
    ("foreach", LOOP),
    ("func", FUNCTION),
    ("function", FUNCTION),
    ("if", CHOICE),
    ("import", "to import a module, write `use`"),
    ("include", "to import a module, write `use`"),
    ("local", LOCAL),
    ("remove", ERASE),
    ("require", "to import a module, write `use`"),
    ("return", RESULT),
    ("switch", "for a choice, use: match VALUE of case … => … default => … end"),
    ("then", CHOICE),
    ("throw", "to raise an error, use: emit VALUE => \"err\""),
    ("unless", CHOICE),
    ("unset", ERASE),
    ("val", LOCAL),
    ("var", LOCAL),
    ("while", LOOP),
];

/// The words of other languages that may open a block closed by `end`.
const BLOCKS: [&str; 8] = ["def", "foreach", "func", "function", "if", "switch", "unless", "while"];

impl Parser<'_> {
    /// The error for a word of another language: at the beginning of the statement, just before the current
    /// token, or at the current token. `None` if there is no such word.
    pub(in crate::parser) fn foreign_word(&mut self, start: usize) -> Option<Diagnostic> {
        let token = [start, self.at - 1, self.at].into_iter().find(|token| self.is_foreign(*token))?;
        let word = self.free_word(token)?.to_owned();
        let (_, advice) = WORDS.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known))?;
        if BLOCKS.contains(&word.to_lowercase().as_str()) && !self.has_braces_ahead() {
            self.open(token);
        }
        let message = if token == start {
            format!("unknown statement `{word}`")
        } else {
            format!("`{word}` is not a keyword")
        };
        Some(Diagnostic::new(self.tokens[token].span, message, "").help(advice))
    }

    /// Whether a token is a word of another language, followed by a token that cannot follow a name.
    fn is_foreign(&self, token: usize) -> bool {
        let Some(word) = self.free_word(token) else { return false };
        let followed = match self.tokens.get(token + 1).map(|next| &next.token) {
            Some(Token::Word(next)) => !matches!(*next, "and" | "or" | "xor" | "when" | "of" | "end"),
            Some(Token::Symbol(next)) => matches!(*next, "(" | "{" | "$"),
            Some(Token::Quoted(_) | Token::Int(_) | Token::Float(_) | Token::TextStart) => true,
            _ => false,
        };
        followed
            && WORDS.iter().any(|(known, _)| word.eq_ignore_ascii_case(known))
            && !self.is_declared(token)
    }

    /// Whether the rest of the line has an opening brace. The block is then skipped.
    fn has_braces_ahead(&self) -> bool {
        (self.at..self.tokens.len())
            .take_while(|token| *token == self.at || !self.begins_line(*token))
            .any(|token| self.tokens[token].token == Token::Symbol("{"))
    }

    // --- operators ---

    /// Reports an operator of other languages that consists of the next `tokens` tokens, without spaces.
    pub(in crate::parser) fn no_operator(&mut self, tokens: usize, advice: &str) -> Failed {
        self.no_operator_at(self.at, tokens, advice)
    }

    fn no_operator_at(&mut self, first: usize, tokens: usize, advice: &str) -> Failed {
        let span = self.tokens[first].span.to(self.tokens[first + tokens - 1].span);
        let message = format!("`{}` is not an operator", self.written(first, first + tokens));
        self.fail(Diagnostic::new(span, message, "").help(advice))
    }

    /// Reports a `=` after a value.
    pub(in crate::parser) fn equals_sign(&mut self) -> Failed {
        let next = if self.touches_last(self.at + 1) { self.peek_second() } else { &Token::End };
        match next {
            Token::Symbol("<") => return self.no_operator(2, "use `<=` for less or equal"),
            Token::Symbol("~") => {
                return self.no_operator(2, "in a pattern, write `~=` before an extractor");
            }
            _ => {}
        }
        match self.assigned(self.at) {
            Some(path) => {
                let advice = format!("to assign, use `let`: let {path} = …");
                self.no_operator(1, &advice)
            }
            None => self.no_operator(1, "use `==` to compare"),
        }
    }

    /// Reports an unexpected token where an operand should be.
    pub(in crate::parser) fn no_operand(&mut self) -> Failed {
        let last = self.at.saturating_sub(1);
        let (Token::Symbol(sign), true) = (&self.tokens[last].token, self.touches_last(self.at)) else {
            return self.no_operand_behind(last);
        };
        let sign = *sign;
        match (sign, self.peek()) {
            ("==" | "!=", Token::Symbol("=")) => self.no_operator_at(last, 2, &format!("write `{sign}`")),
            ("+" | "-" | "*" | "/" | "%" | "&" | "|" | "^", Token::Symbol("=")) => {
                let path = self.assigned(last).unwrap_or("NAME").to_owned();
                self.no_operator_at(last, 2, &format!("write: let {path} = {path} {sign} …"))
            }
            ("<", Token::Symbol(">")) => self.no_operator_at(last, 2, "use `!=` for not equal"),
            ("-", Token::Symbol(">")) => self.no_operator_at(last, 2, "write `=>` in a case"),
            _ => self.no_operand_behind(last),
        }
    }

    /// Reports an unexpected token where an operand should be, after the operator `last` and white space.
    fn no_operand_behind(&mut self, last: usize) -> Failed {
        let twice =
            last > 0 && self.touches_last(last) && self.tokens[last].token == self.tokens[last - 1].token;
        if let (Token::Symbol(sign @ ("+" | "-")), true) = (&self.tokens[last].token, twice) {
            let sign = *sign;
            if let Some(path) = self.assigned(last - 1).map(str::to_owned) {
                return self.no_operator_at(last - 1, 2, &format!("write: let {path} = {path} {sign} 1"));
            }
        }
        if let Some(failed) = self.no_operand_behind_word(last) {
            return failed;
        }
        self.expected("an expression")
    }

    /// The path directly before a token, if the path begins a statement.
    fn assigned(&self, end: usize) -> Option<&str> {
        let begin = self.path_before(end)?;
        let begins = begin == 0
            || matches!(
                self.tokens[begin - 1].token,
                Token::Symbol(";" | "=>") | Token::Word("script" | "with")
            );
        begins.then(|| self.written(begin, end)).filter(|path| !path.contains('\n'))
    }

    /// The first token of the path that ends before a token; `None` if there is no path.
    fn path_before(&self, end: usize) -> Option<usize> {
        let mut begin = end;
        let mut brackets = 0_usize;
        while begin > 0 {
            match self.tokens[begin - 1].token {
                Token::Symbol("]") => brackets += 1,
                Token::Symbol("[") => brackets = brackets.checked_sub(1)?,
                _ if brackets > 0 => {}
                Token::Symbol("." | "$") => {}
                Token::Word(word) if self.is_key_or(begin - 1, word) => {}
                Token::Quoted(_) => {}
                _ => break,
            }
            begin -= 1;
        }
        (begin < end && brackets == 0).then_some(begin)
    }

    /// Whether a word can be part of a path: as a key, a name, or a root.
    fn is_key_or(&self, token: usize, word: &str) -> bool {
        self.free_word(token).is_none() || !RESERVED.contains(&word) || matches!(word, "event" | "state")
    }
}
