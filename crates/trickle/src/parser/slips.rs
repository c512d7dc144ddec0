//! Slips within a statement, and what to say of them: cases, loops, patches, selects, keys.

use super::{Failed, Parsed, Parser, define::AFTER_PARAMS, foreign::LOOP, quoted, records::OPERATIONS};
use crate::{diagnostic::Diagnostic, token::Token};

/// What people write for `default`.
const DEFAULTS: [&str; 5] = ["_", "else", "otherwise", "other", "any"];

impl Parser<'_> {
    // --- cases and loops ---

    /// Takes the `of` of a block.
    pub(super) fn expect_of(&mut self, opener: usize) -> Parsed<()> {
        if self.eat_word("of") { Ok(()) } else { Err(self.no_beginning(&["of"], opener)) }
    }

    /// Reports that the word is missing behind which a block begins. There is still a block to get out of.
    pub(super) fn no_beginning(&mut self, words: &[&str], opener: usize) -> Failed {
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

    /// Reports what stands where a case should begin.
    pub(super) fn no_case(&mut self, words: &[&str]) -> Failed {
        let help = match self.peek() {
            _ if self.is_default_of_others() => "the case for all others is `default`",
            Token::Symbol(",") => "no sign stands between cases",
            _ => return self.expected_words(words),
        };
        self.complain(self.span(), &quoted(words), Some(help.to_owned()))
    }

    /// Whether a case for all others begins here as in other languages.
    pub(super) fn is_default_of_others(&self) -> bool {
        self.is_any_word(&DEFAULTS) && matches!(self.peek_second(), Token::Symbol("=>" | ":" | "-"))
    }

    /// Takes the `=>` of a case.
    pub(super) fn arrow(&mut self) -> Parsed<()> {
        if self.eat("=>") { Ok(()) } else { Err(self.no_arrow()) }
    }

    fn no_arrow(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Symbol(":") => "what a case does stands behind `=>`",
            Token::Symbol("-") if *self.peek_second() == Token::Symbol(">") => "the arrow is `=>`",
            Token::Symbol(",") => "a case has one pattern; write one case for each",
            Token::Word("if") => "a condition stands behind `when`",
            Token::Word("when") => "`default` has no condition; write: case _ when …",
            _ => return self.missing("`=>`"),
        };
        self.complain(self.span(), "`=>`", Some(help.to_owned()))
    }

    /// Reports a case of a loop with one name.
    pub(super) fn no_pair(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Word(word) => Some(format!(
                "both index and element, or key and value, have names: case (index, {word}) => …"
            )),
            _ => None,
        };
        self.complain(self.span(), "`(`", help)
    }

    // --- values ---

    /// Whether what stands before a missing value explains it; reports it then.
    pub(super) fn no_operand_behind_word(&mut self, last: usize) -> Option<Failed> {
        let Token::Symbol(sign) = *self.peek() else { return None };
        let help = match (self.free_word(last)?, sign) {
            ("case", "<" | "<=" | ">" | ">=" | "==" | "!=") => {
                format!("a comparison stands behind `when`: case x = _ when x {sign} …")
            }
            ("select", "*") => "the whole event is `event`".to_owned(),
            _ => return None,
        };
        Some(self.complain(self.span(), "an expression", Some(help)))
    }

    /// Takes the key behind a `.`.
    pub(super) fn member(&mut self) -> Parsed<crate::ast::Name> {
        let help = match self.peek() {
            Token::Word(_) | Token::Quoted(_) => return self.key("a key after `.`"),
            Token::TextStart => "a key in quotes stands in brackets: event[\"KEY\"]",
            Token::Int(_) | Token::Float(_) => "an element stands in brackets: event[0]",
            Token::Symbol("[") => "no `.` stands before brackets",
            _ => return Err(self.expected("a key after `.`")),
        };
        Err(self.complain(self.span(), "a key after `.`", Some(help.to_owned())))
    }

    /// Advice on what was found, wherever it is.
    pub(super) fn advice_on_found(&self) -> Option<String> {
        let last = self.at.checked_sub(1)?;
        let advice = match (&self.tokens[last].token, self.peek()) {
            (Token::Format(_), _) if self.touches_last(self.at) => {
                "the format ended here; a `|` in it is written `\\|`"
            }
            (Token::Word(_), Token::Symbol("("))
                if last > 0 && self.tokens[last - 1].token == Token::Symbol(".") =>
            {
                "functions are called by the names of their modules: std::string::len(event.name)"
            }
            (Token::Symbol("::"), Token::Symbol("*")) => "names are listed one by one: {A, B}",
            (Token::Word("end"), Token::Word(_)) if !self.begins_line(self.at) => {
                "`end` stands by itself, whatever it closes"
            }
            (_, Token::Symbol("~=")) => {
                "an extractor stands in patterns only; a condition calls std::re::is_match"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }

    /// Takes a `;` between the fields of a record, reported, for a comma.
    pub(super) fn semicolon_for_comma(&mut self) -> bool {
        let goes_on = self.is(";") && *self.peek_second() == Token::TextStart;
        if goes_on {
            self.complain(self.span(), "`,` or `}`", Some("`,` stands between fields".to_owned()));
            self.advance();
        }
        goes_on
    }

    // --- patches ---

    /// Reports a key of a patch that is no string.
    pub(super) fn no_patch_key(&mut self) -> Failed {
        let help = match self.peek() {
            Token::Word(word) => Some(format!("write \"{word}\"")),
            _ => None,
        };
        self.complain(self.span(), "a key in double quotes", help)
    }

    /// Reports what begins no operation of a patch.
    pub(super) fn no_operation(&mut self) -> Failed {
        if self.is_outdented() {
            return self.not_closed("`end`");
        }
        self.expected_words(&OPERATIONS)
    }

    // --- parameters ---

    /// Whether the parameters end where they do, and not because of what stands for a comma.
    pub(super) fn check_end_of_params(&mut self) -> Parsed<()> {
        let another = *self.peek_second() == Token::Symbol("=") && matches!(self.peek(), Token::Word(_));
        if another {
            return Err(self.missing("`,`"));
        }
        let third = self.tokens.get(self.at + 2).map(|placed| &placed.token);
        if self.is(";") && (third == Some(&Token::Symbol("=")) || self.is_end_of_params(self.at + 1)) {
            let help = "`,` stands between parameters, and nothing behind the last".to_owned();
            return Err(self.complain(self.span(), "`,` or the end of the parameters", Some(help)));
        }
        Ok(())
    }

    fn is_end_of_params(&self, token: usize) -> bool {
        self.free_word(token).is_some_and(|word| AFTER_PARAMS.contains(&word))
    }

    // --- selects ---

    /// Reports what stands behind the target of a select instead of `from`.
    pub(super) fn no_from(&mut self, start: usize) -> Failed {
        if let Some(error) = self.mistaken_word(start) {
            return self.fail(error);
        }
        let help = match self.peek() {
            Token::Symbol(",") => "a select has one value: [A, B], or {\"a\": A, \"b\": B}",
            Token::Word("as") => "names are given by a record: {\"NAME\": VALUE}",
            _ => return self.missing_words(&["from"]),
        };
        self.complain(self.span(), "`from`", Some(help.to_owned()))
    }

    /// Reports what stands behind the source of a select instead of `into`.
    pub(super) fn no_into(&mut self, filtered: bool, grouped: bool) -> Failed {
        let words: &[&str] = match (filtered, grouped) {
            (false, false) => &["where", "group", "into"],
            (true, false) => &["group", "into"],
            _ => &["into"],
        };
        let help = match self.peek() {
            Token::Word("having") => "`having` stands behind `into`",
            Token::Symbol(",") if !filtered && !grouped => {
                "a select reads from one stream; write one select for each"
            }
            _ => return self.missing_words(words),
        };
        self.complain(self.span(), &quoted(words), Some(help.to_owned()))
    }

    /// Reports what stands behind a statement of a program that began at `start`.
    pub(super) fn program_goes_on(&mut self, start: usize) -> Failed {
        if self.joins_modules(start) {
            return self.no_joint();
        }
        let help = match self.peek() {
            _ if self.free_word(start) != Some("select") => None,
            Token::Word("where") => Some("`where` stands before `into`"),
            Token::Word("group") => Some("`group by` stands before `into`"),
            Token::Symbol(",") => Some("a select writes to one stream; write one select for each"),
            _ => None,
        };
        let place = if help.is_some() { self.span() } else { self.gap() };
        self.complain(place, "`;` after the statement", help.map(str::to_owned))
    }

    // --- comments ---

    /// A comment of other languages that was read as two signs.
    pub(super) fn comment_of_others(&self, start: usize) -> Option<Diagnostic> {
        let dashes = self.tokens[start].token == Token::Symbol("-")
            && self.tokens[start + 1].token == Token::Symbol("-")
            && self.touches_last(start + 1);
        let span = self.tokens[start].span.to(self.tokens[start + 1].span);
        dashes.then(|| Diagnostic::new(span, "`--` begins no comment", "").help("a comment begins with `#`"))
    }
}
