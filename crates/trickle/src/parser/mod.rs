//! Parses tokens to a tree by recursive descent, with binding powers for operators.
//!
//! One pass finds all syntax errors: after an error the parser skips to the end of the statement and
//! continues. Errors of the lexer are not reported again. `cursor` moves through the tokens, `grammar` has
//! the rules, and `help` writes the errors of failed rules. All three are parts of one type, `Parser`, and
//! share the tables of `keywords`.
//!
//! The grammar, where `x,*` is a comma-separated list of any length, with an optional trailing comma:
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
//! binary    = unary { operator unary }                    (see BinaryOp::of for the precedence)
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

mod cursor;
mod grammar;
mod help;
mod keywords;
mod places;

use self::cursor::Parser;
use crate::{
    ast::{Script, Statement},
    diagnostic::Diagnostic,
};

/// Parses a whole program. Returns the statements without syntax errors, and all errors. `base` is the offset
/// of the program's first byte among the texts of the program.
pub(crate) fn parse(text: &str, base: u32) -> (Vec<Statement>, Vec<Diagnostic>) {
    let mut parser = Parser::new(text, base);
    let statements = parser.program();
    (statements, parser.errors)
}

/// Parses a standalone script. The tree is `None` if a statement has syntax errors. `base` is the offset of
/// the script's first byte among the texts of the program.
pub(crate) fn parse_script(text: &str, base: u32) -> (Option<Script>, Vec<Diagnostic>) {
    let mut parser = Parser::new(text, base);
    let script = parser.script_body();
    parser.check_end_of_script(script.as_ref());
    (script, parser.errors)
}
