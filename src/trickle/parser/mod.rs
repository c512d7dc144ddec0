//! Tokens to a tree: recursive descent, with binding powers for operators.
//!
//! Every error of a program is found in one go: after an error the parser skips to the end of the
//! statement and reads on. What the lexer has reported is not reported again.
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
//!           | "for" expr "of" { "case" "(" name "," name ")" [ "when" expr ] "=>" body | "default" "=>" body }
//!             [ "into" expr [ "use" operator ] ] "end"
//!           | "patch" expr "of" operation { ";" operation } "end" | "merge" expr "of" expr "end"
//!           | path "(" expr,* ")" | "recur" "(" expr,* ")" | "<<" bytes,* ">>" | place
//! place     = ( "event" | "state" | "args" | "$" [ name ] | path | primary )
//!             { "." name | "[" expr "]" | "[" expr ":" expr "]" }
//! operation = ( "insert" | "upsert" | "update" ) string "=>" expr | "erase" string
//!           | ( "move" | "copy" ) string "=>" string | ( "merge" | "default" ) [ string ] "=>" expr
//! bytes     = unary [ ":" bits ] [ "/" type { "-" type } ]
//! case      = "case" [ name "=" ] pattern [ "when" expr ] "=>" body | "default" "=>" body
//!             (of a function: the pattern is "(" pattern,* ")", one for each argument)
//! pattern   = "_" | expr | "%{" field,* "}" | "%[" pattern,* "]" | "%(" pattern,* [ "..." ] ")"
//!           | "~" name "|" format "|"
//! field     = [ "present" ] name | "absent" name | name comparison expr
//!           | [ name "=" ] name "~=" ( pattern | name "|" format "|" )
//! ```

mod define;
mod expr;
mod items;
mod pattern;
mod query;
mod records;
mod script;

use super::{
    ast::{Name, Script, Statement},
    diagnostic::{Diagnostic, ERRORS_MAX, nearest},
    lexer::lex,
    source::Span,
    token::{Placed, RESERVED, Token},
};

/// How deep brackets, operators and blocks may nest. Parser, compiler and evaluator recurse over the
/// tree, so this bounds their stack: 100 levels fit well into the 2 MiB of a worker thread even
/// without optimisation, and no program that people read is a quarter as deep.
const NESTING_MAX: u32 = 100;

/// Words that open a block which `end` closes.
const BLOCKS: [&str; 6] = ["match", "for", "patch", "merge", "fn", "mod"];

/// Words that begin a statement of the query level, and stand nowhere else.
const STATEMENTS: [&str; 3] = ["select", "create", "define"];

/// The parser could not go on; the reason is in its list already.
#[derive(Debug)]
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'s> {
    tokens: Vec<Placed<'s>>,
    at: usize,
    errors: Vec<Diagnostic>,
    nesting: u32,
    /// Blocks that are open: what recovery has to get out of.
    blocks: u32,
    /// How many blocks are open where the word `script` ends the statements for one port.
    separated: Option<u32>,
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
    if script.is_some() && *parser.peek() != Token::End {
        parser.expected("the end of the script");
    }
    if script.as_ref().is_some_and(|script| script.body.is_empty()) {
        parser.expected("a statement");
    }
    (script, parser.errors)
}

impl<'s> Parser<'s> {
    fn new(text: &'s str, base: u32) -> Self {
        let (mut tokens, mut errors) = lex(text);
        for placed in &mut tokens {
            placed.span = placed.span.shifted(base);
        }
        for error in &mut errors {
            error.span = error.span.shifted(base);
        }
        Self { tokens, at: 0, errors, nesting: 0, blocks: 0, separated: None }
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
        if self.eat(symbol) { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    /// Takes a keyword; a near miss gets advice.
    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected_words(&[word])) }
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

    /// Reports that something else was expected here. One complaint about a place is enough.
    fn expected(&mut self, what: &str) -> Failed {
        let span = self.span();
        let blamed = self.errors.last().is_some_and(|error| error.span == span);
        if !blamed && !matches!(self.peek(), Token::Bad) {
            let message = format!("expected {what}, found {}", self.peek().describe());
            self.errors.push(Diagnostic::new(span, message, format!("expected {what}")));
        }
        Failed
    }

    /// Reports that a statement does not end where it should: behind its last token.
    fn expected_end(&mut self, what: &str) -> Failed {
        let end = self.last_span().end;
        if !matches!(self.peek(), Token::Bad) {
            let message = format!("expected {what}, found {}", self.peek().describe());
            self.errors.push(Diagnostic::new(Span { start: end, end }, message, format!("expected {what}")));
        }
        Failed
    }

    /// Reports that one of some keywords was expected, with the nearest as advice.
    fn expected_words(&mut self, words: &[&str]) -> Failed {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let failed = self.expected(&one_of(&quoted));
        if let Token::Word(found) = self.peek()
            && let Some(near) = nearest(found, words.iter().copied())
            && let Some(last) = self.errors.last_mut()
        {
            last.help = Some(format!("did you mean `{near}`?"));
        }
        failed
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

    /// Parses what stands between a word just taken and its `end`, the `end` included.
    fn block<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.blocks += 1;
        let parsed = parse(self)?;
        self.expect_word("end")?;
        self.blocks -= 1;
        Ok(parsed)
    }

    /// Whether the word `script` stands here and begins what is done with events of another port.
    fn at_separator(&self) -> bool {
        self.separated == Some(self.blocks) && self.is_word("script")
    }

    /// After an error: skips to the end of the statement that began with `blocks` open blocks. Stops
    /// before its `;`, before the `end` of the block around it, or before the next statement of the
    /// query level.
    fn recover(&mut self, blocks: u32) {
        let mut deeper = self.blocks.saturating_sub(blocks);
        self.blocks = blocks;
        while *self.peek() != Token::End {
            let member = self.at > 0 && matches!(self.tokens[self.at - 1].token, Token::Symbol("." | "$"));
            match self.peek() {
                Token::Symbol(";") if deeper == 0 => return,
                Token::Word("end") if !member && deeper == 0 && blocks > 0 => return,
                Token::Word("end") if !member => deeper = deeper.saturating_sub(1),
                Token::Word("script") if !member && deeper == 0 && self.separated == Some(blocks) => return,
                // In a patch, `merge` is an operation.
                Token::Word("merge")
                    if matches!(self.peek_second(), Token::TextStart | Token::Symbol("=>")) => {}
                Token::Word(word) if !member && BLOCKS.contains(word) => deeper += 1,
                // Met inside of a script, they say that an `end` is missing.
                Token::Word(word) if !member && STATEMENTS.contains(word) => return,
                _ => {}
            }
            self.advance();
        }
    }
}

/// `a`, `a or b`, `a, b or c`
fn one_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
