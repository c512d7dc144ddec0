//! Tokens to a tree: recursive descent, with binding powers for operators.
//!
//! Every error of a program is found in one go: after an error the parser skips to the end of the
//! statement and reads on. What the lexer has reported is not reported again.
//! What to say of a mistake is in `advice`, `slips` and `foreign`, which the grammar calls where it fails.
//!
//! The grammar, where `x,*` is a list of any length with commas between and a last one allowed:
//!
//! ```text
//! program   = { statement ";" }
//! statement = "select" expr "from" stream [ "[" path,* "]" ] [ "where" expr ] [ "group" "by" group ]
//!             "into" stream [ "having" expr ]
//!           | "create" "stream" name
//!           | "create" ( "script" | "operator" | "pipeline" ) name [ "from" path ] [ "with" param,* "end" ]
//!           | "define" "script" name [ params ] [ "state" expr ] { "script" "from" name script } "script" script "end"
//!           | "define" path "operator" name [ "with" param,* "end" ]
//!           | "define" "operator" name "from" path [ "with" param,* "end" ]
//!           | "define" "pipeline" name { "from" name,+ | "into" name,+ | params } "pipeline" program "end"
//!           | "define" kind "window" name "with" param,* [ "script" script ] "end"
//!           | item
//! stream    = name [ "/" name ]
//! group     = expr | "set" "(" group,* ")" | "each" "(" expr ")"
//! params    = "with" param,* [ "end" ] | "args" ( param | name ),*
//! param     = name "=" expr
//! path      = name { "::" name }
//!
//! item      = "const" name "=" expr
//!           | "fn" name "(" [ name,* ] [ "..." ] ")" ( "with" body | "of" { case } ) "end"
//!           | "mod" name "with" program "end"
//!           | "use" path [ "as" name ] | "use" path "::" "{" ( path [ "as" name ] ),* "}"
//!
//! script    = { ( expr | item ) ";" }
//! body      = { expr ";" }
//! expr      = "let" place "=" expr | "emit" [ expr ] [ "=>" string ] | "drop" | binary
//! binary    = unary { operator unary }                    (see BinaryOp::of for what binds how)
//! unary     = ( "+" | "-" | "!" | "not" ) unary | ( "present" | "absent" ) place | primary
//! primary   = literal | string | "[" expr,* "]" | "{" ( string ":" expr ),* "}" | "(" expr ")"
//!           | "match" expr "of" { case } "end"
//!           | "for" expr "of" { "case" "(" name "," name ")" [ "when" binary ] "=>" body | "default" "=>" body }
//!             [ "into" expr [ "use" operator ] ] "end"
//!           | "patch" expr "of" operation { ";" operation } "end" | "merge" expr "of" expr "end"
//!           | path "(" expr,* ")" | "recur" "(" expr,* ")" | "<<" bytes,* ">>" | place
//! place     = ( "event" | "state" | "args" | "$" [ name ] | path | primary )
//!             { "." name | "[" expr "]" | "[" expr ":" expr "]" }
//! operation = ( "insert" | "upsert" | "update" ) binary "=>" expr | "erase" binary
//!           | ( "move" | "copy" ) binary "=>" binary | ( "merge" | "default" ) [ binary ] "=>" expr
//! bytes     = unary [ ":" bits ] [ "/" type { "-" type } ]
//! case      = "case" [ name "=" ] pattern [ "when" binary ] "=>" body | "default" "=>" body
//!             (of a function: the pattern is "(" pattern,* ")", one for each argument)
//! pattern   = "_" | expr | "%{" field,* "}" | "%[" pattern,* "]" | "%(" pattern,* [ "..." ] ")"
//!           | "~" name "|" format "|"
//! field     = [ "present" ] name | "absent" name | name comparison expr
//!           | [ name "=" ] name "~=" ( pattern | name "|" format "|" )
//! ```

mod advice;
mod blocks;
mod define;
mod expr;
mod foreign;
mod items;
mod pattern;
mod places;
mod query;
mod records;
mod script;
mod slips;

use blocks::Block;

use crate::{
    ast::{Name, Script, Statement},
    diagnostic::{Diagnostic, ERRORS_MAX, similar},
    lexer::lex,
    source::Span,
    token::{Placed, RESERVED, Token},
};

/// How deep brackets, operators and blocks may nest. Parser, compiler and evaluator recurse over the
/// tree, so this bounds their stack: 100 levels fit well into the 2 MiB of a worker thread even
/// without optimisation, and no program that people read is a quarter as deep.
const NESTING_MAX: u32 = 100;

/// Words that begin a statement of the query level, and stand nowhere else.
const STATEMENTS: [&str; 3] = ["select", "create", "define"];

/// The parser could not go on; the reason is in its list already.
#[derive(Debug)]
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'s> {
    text: &'s str,
    base: u32,
    tokens: Vec<Placed<'s>>,
    at: usize,
    errors: Vec<Diagnostic>,
    /// From what the lexer could not read to the end of its line.
    unread: Vec<Span>,
    nesting: u32,
    /// Blocks that are open: what recovery has to get out of.
    blocks: Vec<Block>,
    /// The first block whose `end` stands further left than its beginning.
    suspect: Option<usize>,
    /// How many blocks are open where the word `script` ends the statements for one port.
    separated: Option<usize>,
}

/// Parses a whole program, as far as it can be, and lists every error. `base` is the offset of its
/// first byte among the texts of the program.
pub(crate) fn parse(text: &str, base: u32) -> (Vec<Statement>, Vec<Diagnostic>) {
    let mut parser = Parser::new(text, base);
    let statements = parser.program();
    (statements, parser.errors)
}

/// Parses a script without a program around it; without a tree when a statement does not parse.
pub(crate) fn parse_script(text: &str, base: u32) -> (Option<Script>, Vec<Diagnostic>) {
    let mut parser = Parser::new(text, base);
    let script = parser.script_body();
    parser.check_end_of_script(script.as_ref());
    (script, parser.errors)
}

impl<'s> Parser<'s> {
    fn new(text: &'s str, base: u32) -> Self {
        let (mut tokens, mut errors) = lex(text);
        let unread = places::rests_of_lines(text, errors.iter().map(|error| error.span));
        let unread = unread.into_iter().map(|span| span.shifted(base)).collect();
        for placed in &mut tokens {
            placed.span = placed.span.shifted(base);
        }
        for error in &mut errors {
            error.span = error.span.shifted(base);
        }
        Self {
            text,
            base,
            tokens,
            at: 0,
            errors,
            unread,
            nesting: 0,
            blocks: Vec::new(),
            suspect: None,
            separated: None,
        }
    }

    // --- looking ---

    fn peek(&self) -> &Token<'s> {
        &self.tokens[self.at].token
    }

    fn peek_second(&self) -> &Token<'s> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// The place of the token just taken.
    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if *found == word)
    }

    fn is_any_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    // --- taking ---

    /// Takes a token; the last one, the end, stays.
    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.missing(&format!("`{symbol}`"))) }
    }

    /// Takes a keyword; a near miss gets advice.
    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.missing_words(&[word])) }
    }

    /// Takes a name that is not a keyword.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        let span = self.span();
        let text = match self.peek() {
            Token::Word(word) if RESERVED.contains(word) => {
                let message = format!("`{word}` is a word of the language and cannot name {what}");
                let help = format!("in backticks it can: `{word}` with one on each side");
                self.errors.push(Diagnostic::new(span, message, "").help(help));
                return Err(Failed);
            }
            Token::Word(word) | Token::Quoted(word) => (*word).to_owned(),
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(Name { text, span })
    }

    /// Takes any word as a name: after a `.`, where keywords have no meaning.
    fn key(&mut self, what: &str) -> Parsed<Name> {
        let span = self.span();
        let text = match self.peek() {
            Token::Word(word) | Token::Quoted(word) => (*word).to_owned(),
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(Name { text, span })
    }

    // --- failing ---

    fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.errors.push(diagnostic);
        Failed
    }

    /// Reports that something else was expected here.
    fn expected(&mut self, what: &str) -> Failed {
        let span = if *self.peek() == Token::End { self.gap() } else { self.span() };
        self.complain(span, what, None)
    }

    /// Reports that something is missing here: behind the last token, if the next one is on a later line.
    fn missing(&mut self, what: &str) -> Failed {
        let span = if self.begins_line(self.at) { self.gap() } else { self.span() };
        self.complain(span, what, None)
    }

    /// Reports that a statement does not end where it should: behind its last token.
    fn expected_end(&mut self, what: &str) -> Failed {
        self.complain(self.gap(), what, None)
    }

    /// Reports that one of some keywords was expected, with the nearest as advice.
    fn expected_words(&mut self, words: &[&str]) -> Failed {
        self.expected_words_or(words, words)
    }

    /// Reports that one of some keywords is missing here: behind the last token, if the next one is on a
    /// later line and is no such word mistyped.
    fn missing_words(&mut self, words: &[&str]) -> Failed {
        match *self.peek() {
            Token::Word(found) if similar(found, words).is_some() => self.expected_words(words),
            _ => self.missing(&quoted(words)),
        }
    }

    /// As [`Self::expected_words`], where the advice knows more words than the message.
    fn expected_words_or(&mut self, words: &[&str], advised: &[&str]) -> Failed {
        let what = quoted(words);
        match *self.peek() {
            Token::Word(found) => match similar(found, advised) {
                Some(near) => self.complain(self.span(), &what, Some(format!("did you mean `{near}`?"))),
                None => self.expected(&what),
            },
            _ => self.expected(&what),
        }
    }

    /// Says what was expected at a place. One complaint about a place is enough, and what the lexer cannot
    /// read explains what follows on its line.
    fn complain(&mut self, span: Span, what: &str, help: Option<String>) -> Failed {
        let blamed = self.errors.last().is_some_and(|error| error.span == span);
        if blamed || *self.peek() == Token::Bad || self.is_behind_unread(span) {
            return Failed;
        }
        let message = format!("expected {what}, found {}", self.peek().describe());
        let help = help.or_else(|| self.advice_on_found());
        self.fail(Diagnostic { help, ..Diagnostic::new(span, message, format!("expected {what}")) })
    }

    /// Whether there is anything left to read, and anybody who would read more errors.
    fn goes_on(&self) -> bool {
        *self.peek() != Token::End && self.errors.len() < ERRORS_MAX
    }

    /// Parses something one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            let message = format!("this nests deeper than {NESTING_MAX} levels");
            return Err(self.fail(Diagnostic::new(self.span(), message, "level too deep")));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }
}

/// `a`, `a` or `b`, `a`, `b` or `c`
fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
