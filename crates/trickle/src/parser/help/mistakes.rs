//! Errors and advice for mistakes within a statement: cases, loops, patches, selects, keys.

use super::{foreign::LOOP, quoted};
use crate::{
    diagnostic::Diagnostic,
    parser::{
        cursor::{Failed, Parser},
        keywords::OPERATIONS,
    },
    token::Token,
};

/// Words that may be meant as `default`.
const DEFAULTS: [&str; 5] = ["_", "else", "otherwise", "other", "any"];

impl Parser<'_> {
    // --- cases and loops ---

    /// Reports that the word before the contents of a block is missing, and skips the block. `words` are the
    /// allowed ones.
    pub(in crate::parser) fn no_beginning(&mut self, words: &[&str], opener: usize) -> Failed {
        let failed = if self.is_word("in") && self.free_word(opener) == Some("for") {
            self.complain(self.span(), &quoted(words), Some(LOOP.to_owned()))
        } else if let Some(error) = self.mistaken_word(opener) {
            self.fail(error)
        } else {
            self.missing_words(words)
        };
        self.open(opener);
        failed
    }

    /// Reports an unexpected token where a case should begin.
    pub(in crate::parser) fn no_case(&mut self, words: &[&str]) -> Failed {
        let help = match self.peek() {
            _ if self.is_default_of_others() => "use `default` for all other values",
            Token::Symbol(",") => "cases need no separator",
            _ => return self.expected_words(words),
        };
        self.complain(self.span(), &quoted(words), Some(help.to_owned()))
    }

    /// Whether the next tokens begin a default case of another language.
    pub(in crate::parser) fn is_default_of_others(&self) -> bool {
        self.is_any_word(&DEFAULTS) && matches!(self.peek_second(), Token::Symbol("=>" | ":" | "-"))
    }

    /// Reports an unexpected token where the `=>` of a case should be.
    pub(in crate::parser) fn no_arrow(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Symbol(":") => "write `=>` before the body of a case",
            Token::Symbol("-") if *self.peek_second() == Token::Symbol(">") => "write `=>`",
            Token::Symbol(",") => "a case has one pattern; write one case for each",
            Token::Word("if") => "write `when` before a condition",
            Token::Word("when") => "`default` has no condition; write: case _ when …",
            _ => return self.missing("`=>`"),
        };
        self.complain(self.span(), "`=>`", Some(help.to_owned()))
    }

    /// Reports a case of a loop with only one name.
    pub(in crate::parser) fn no_pair(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Word(word) => Some(format!(
                "a loop has two names, for index and element or for key and value: case (index, {word}) => …"
            )),
            _ => None,
        };
        self.complain(self.span(), "`(`", help)
    }

    // --- values ---

    /// Reports a missing operand after the word at `last`; `None` if the word does not explain the mistake.
    pub(in crate::parser) fn no_operand_behind_word(&mut self, last: usize) -> Option<Failed> {
        let Token::Symbol(sign) = *self.peek() else { return None };
        let help = match (self.free_word(last)?, sign) {
            ("case", "<" | "<=" | ">" | ">=" | "==" | "!=") => {
                format!("use `when` for a comparison: case x = _ when x {sign} …")
            }
            ("select", "*") => "use `event` for the whole event".to_owned(),
            _ => return None,
        };
        Some(self.complain(self.span(), "an expression", Some(help)))
    }

    /// Reports an unexpected token after a `.`.
    pub(in crate::parser) fn no_member(&mut self) -> Failed {
        let help = match self.peek() {
            Token::TextStart => "put a quoted key in brackets: event[\"KEY\"]",
            Token::Int(_) | Token::Float(_) => "put an index in brackets: event[0]",
            Token::Symbol("[") => "omit the `.` before brackets",
            _ => return self.expected("a key after `.`"),
        };
        self.complain(self.span(), "a key after `.`", Some(help.to_owned()))
    }

    /// Advice for the unexpected token, independent of the context; `None` if there is none.
    pub(in crate::parser) fn advice_on_found(&self) -> Option<String> {
        let last = self.at.checked_sub(1)?;
        let advice = match (&self.tokens[last].token, self.peek()) {
            (Token::Format(_), _) if self.touches_last(self.at) => {
                "the format ended here; a `|` in it is written `\\|`"
            }
            (Token::Word(_), Token::Symbol("("))
                if last > 0 && self.tokens[last - 1].token == Token::Symbol(".") =>
            {
                "call a function with the names of its modules: std::string::len(event.name)"
            }
            (Token::Symbol("::"), Token::Symbol("*")) => "list the names: {A, B}",
            (Token::Word("end"), Token::Word(_)) if !self.begins_line(self.at) => {
                "write only `end`, for any block"
            }
            (_, Token::Symbol("~=")) => {
                "extractors are allowed in patterns only; in a condition, call std::re::is_match"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }

    /// Reports a `;` between the fields of a record.
    pub(in crate::parser) fn no_comma_of_fields(&mut self) -> Failed {
        self.complain(self.span(), "`,` or `}`", Some("separate fields by `,`".to_owned()))
    }

    // --- parameters ---

    /// Reports a `;` between parameters, or after the last one.
    pub(in crate::parser) fn no_comma_of_params(&mut self) -> Failed {
        let help = "separate parameters by `,`, with nothing after the last".to_owned();
        self.complain(self.span(), "`,` or the end of the parameters", Some(help))
    }

    // --- patches ---

    /// Reports a key of a patch that is not a string.
    pub(in crate::parser) fn no_patch_key(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Word(word) => Some(format!("write \"{word}\"")),
            _ => None,
        };
        self.complain(self.span(), "a key in double quotes", help)
    }

    /// Reports a token that begins no operation of a patch.
    pub(in crate::parser) fn no_operation(&mut self) -> Failed {
        if self.is_outdented() {
            return self.not_closed("`end`");
        }
        self.expected_words(&OPERATIONS)
    }

    // --- selects ---

    /// Reports an unexpected token after the target of a select, instead of `from`.
    pub(in crate::parser) fn no_from(&mut self, start: usize) -> Failed {
        if let Some(error) = self.mistaken_word(start) {
            return self.fail(error);
        }
        let help = match self.peek() {
            Token::Symbol(",") => "a select has one value: [A, B], or {\"a\": A, \"b\": B}",
            Token::Word("as") => "to name values, use a record: {\"NAME\": VALUE}",
            _ => return self.missing_words(&["from"]),
        };
        self.complain(self.span(), "`from`", Some(help.to_owned()))
    }

    /// Reports an unexpected token after the source of a select, instead of `into`.
    pub(in crate::parser) fn no_into(&mut self, filtered: bool, grouped: bool) -> Failed {
        let words: &[&str] = match (filtered, grouped) {
            (false, false) => &["where", "group", "into"],
            (true, false) => &["group", "into"],
            _ => &["into"],
        };
        let help = match self.peek() {
            Token::Word("having") => "`having` goes after `into`",
            Token::Symbol(",") if !filtered && !grouped => {
                "a select reads from one stream; write one select for each"
            }
            _ => return self.missing_words(words),
        };
        self.complain(self.span(), &quoted(words), Some(help.to_owned()))
    }

    /// Reports an unexpected token after a statement of a program that began at `start`.
    pub(in crate::parser) fn program_goes_on(&mut self, start: usize) -> Failed {
        if self.joins_modules(start) {
            return self.no_joint();
        }
        let help = match self.peek() {
            _ if self.free_word(start) != Some("select") => None,
            Token::Word("where") => Some("`where` goes before `into`"),
            Token::Word("group") => Some("`group by` goes before `into`"),
            Token::Symbol(",") => Some("a select writes to one stream; write one select for each"),
            _ => None,
        };
        let place = if help.is_some() { self.span() } else { self.end_of_last() };
        self.complain(place, "`;` after the statement", help.map(str::to_owned))
    }

    // --- comments ---

    /// The error for a comment of another language that was parsed as two operators; `None` if there is no
    /// such comment.
    pub(in crate::parser) fn comment_of_others(&self, start: usize) -> Option<Diagnostic> {
        let dashes = self.tokens[start].token == Token::Symbol("-")
            && self.tokens[start + 1].token == Token::Symbol("-")
            && self.touches_last(start + 1);
        let span = self.tokens[start].span.to(self.tokens[start + 1].span);
        dashes.then(|| {
            Diagnostic::new(span, "`--` does not begin a comment", "").help("a comment begins with `#`")
        })
    }
}
