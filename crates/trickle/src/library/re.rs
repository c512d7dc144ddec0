//! The functions of `std::re`: regular expressions, in time linear in the length of the text.
//!
//! # Correctness
//! The size of an expression is limited, both as text and compiled, and so is the number of compiled
//! expressions in a thread's cache. Most programs use a few expressions repeatedly, so the cache keeps the
//! most recently used ones. Compiling an expression costs the steps that the limits say.

use std::{cell::RefCell, rc::Rc};

use regex::{Captures, Regex, RegexBuilder};

use super::{
    Arity::Exactly,
    Call, Function, Outcome,
    call::{Text, shown},
};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::re::replace",
        Exactly(3),
        replace,
        "the text with the first match of a regular expression replaced",
    ),
    Function::pure(
        "std::re::replace_all",
        Exactly(3),
        replace_all,
        "the text with all matches of a regular expression replaced",
    ),
    Function::pure(
        "std::re::is_match",
        Exactly(2),
        is_match,
        "whether a regular expression matches somewhere in a text",
    ),
    Function::pure(
        "std::re::split",
        Exactly(2),
        split,
        "the parts of a text between the matches of a regular expression",
    ),
];

/// Maximum length of an expression, in bytes, because compilation takes many times the length.
const PATTERN_MAX: usize = 32 << 10;

/// Maximum size of a compiled expression, in bytes: `\w{40}` just fits, because Unicode has many letters.
/// This also bounds the time of a search, which is usually a few nanoseconds per byte, but a few microseconds
/// for an expression such as `.*1.{1000}z`, whose counter restarts at every character.
const COMPILED_MAX: usize = 2 << 20;

/// Maximum cache of the lazy DFA, in bytes. Beyond it, the search falls back to a slower engine.
const CACHE_MAX: usize = 1 << 20;

/// Maximum number of compiled expressions in a thread's cache, because each may be large.
const KEPT_MAX: usize = 16;

/// The factor by which searching is slower per byte than other functions.
const SEARCH_COST: usize = 4;

thread_local! {
    /// The most recently used expressions, the latest at the end.
    static KEPT: RefCell<Vec<Rc<Regex>>> = const { RefCell::new(Vec::new()) };
}

/// A part of the text that replaces a match.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'p> {
    Literal(&'p str),
    /// The match of the group with this number or name; empty if there is no such group.
    Group(&'p str),
}

fn is_match(call: &Call<'_>) -> Outcome {
    let (regex, text) = subject(call)?;
    Ok(Value::Bool(regex.is_match(text)))
}

fn split(call: &Call<'_>) -> Outcome {
    let (regex, text) = subject(call)?;
    let mut parts = Vec::new();
    for part in regex.split(text) {
        call.walk(1)?;
        call.room((parts.len() + 1).saturating_mul(size_of::<Value>()))?;
        parts.push(Value::string(part));
    }
    Ok(Value::array(parts))
}

fn replace(call: &Call<'_>) -> Outcome {
    replaced(call, 1)
}

fn replace_all(call: &Call<'_>) -> Outcome {
    replaced(call, usize::MAX)
}

fn replaced(call: &Call<'_>, limit: usize) -> Outcome {
    let (regex, text) = subject(call)?;
    let pieces = pieces(call.string(2)?);
    let mut out = call.text();
    let mut copied = 0;
    for captures in regex.captures_iter(text).take(limit) {
        call.walk(1 + pieces.len())?;
        let whole = captures.get_match();
        out.push(&text[copied..whole.start()])?;
        expand(&captures, &pieces, &mut out)?;
        copied = whole.end();
    }
    out.push(&text[copied..])?;
    out.finish()
}

fn expand(captures: &Captures<'_>, pieces: &[Piece<'_>], out: &mut Text<'_, '_>) -> Result<(), String> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push(text)?,
            Piece::Group(name) => {
                let numbered = name.parse().map(|number: usize| captures.get(number));
                let group = numbered.unwrap_or_else(|_| captures.name(name));
                out.push(group.map_or("", |group| group.as_str()))?;
            }
        }
    }
    Ok(())
}

/// Parses the text that replaces a match: `$1`, `$name` and `${name}` stand for groups, `$$` for `$`. A name
/// without braces extends as far as possible.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('$') {
        pieces.push(Piece::Literal(literal));
        let plain = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        rest = match (after.strip_prefix('$'), braced) {
            (Some(beyond), _) => {
                pieces.push(Piece::Literal("$"));
                beyond
            }
            (_, Some((name, beyond))) => {
                pieces.push(Piece::Group(name));
                beyond
            }
            _ if plain > 0 => {
                pieces.push(Piece::Group(&after[..plain]));
                &after[plain..]
            }
            _ => {
                pieces.push(Piece::Literal("$"));
                after
            }
        };
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

/// The first two arguments of a call: the expression, compiled, and the text.
fn subject<'c>(call: &Call<'c>) -> Result<(Rc<Regex>, &'c str), String> {
    let (pattern, text) = (call.string(0)?, call.string(1)?);
    call.read(text.len().saturating_mul(SEARCH_COST))?;
    call.steps.search(text).map_err(|exceeded| call.fail(exceeded))?;
    Ok((compiled(call, pattern)?, text))
}

/// Returns the compiled expression from the cache, or compiles it.
fn compiled(call: &Call<'_>, pattern: &str) -> Result<Rc<Regex>, String> {
    if pattern.len() > PATTERN_MAX {
        return Err(
            call.fail(format_args!("the regular expression is longer than {} KiB", PATTERN_MAX >> 10))
        );
    }
    KEPT.with_borrow_mut(|kept| {
        let regex = match kept.iter().position(|regex| regex.as_str() == pattern) {
            Some(index) => kept.remove(index),
            None => Rc::new(compile(call, pattern)?),
        };
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(Rc::clone(&regex));
        Ok(regex)
    })
}

fn compile(call: &Call<'_>, pattern: &str) -> Result<Regex, String> {
    call.walk(call.steps.limits().search.compile_steps as usize)?;
    let built = RegexBuilder::new(pattern).size_limit(COMPILED_MAX).dfa_size_limit(CACHE_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            call.fail(format_args!("the regular expression {} is too large", shown(pattern)))
        }
        // The error has several lines that quote the expression; the last line is the message.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            let why = last.strip_prefix("error: ").unwrap_or(last);
            call.fail(format_args!("{} is not a regular expression: {why}", shown(pattern)))
        }
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::re::replace", r#"["t...","this is a test","cake"]"#, r#""cake is a test""#),
    ("std::re::replace", r#"["(\\w+) (?P<last>\\w+)","John Smith","$last, ${1}"]"#, r#""Smith, John""#),
    ("std::re::replace", r#"["x","abc","y"]"#, r#""abc""#),
    (
        "std::re::replace",
        r#"["(","a","b"]"#,
        "error: std::re::replace: `(` is not a regular expression: unclosed group",
    ),
    (
        "std::re::replace",
        r#"["a","a",1]"#,
        "error: std::re::replace takes a string as its third argument, not an integer",
    ),
    ("std::re::replace_all", r#"["t...","this is a test","cake"]"#, r#""cake is a cake""#),
    ("std::re::replace_all", r#"["","aé","-"]"#, r#""-a-é-""#),
    ("std::re::replace_all", r#"["a","aa","$0$0$$"]"#, r#""aa$aa$""#),
    (
        "std::re::replace_all",
        r#"[1,"a","b"]"#,
        "error: std::re::replace_all takes a string as its first argument, not an integer",
    ),
    ("std::re::is_match", r#"["^é+$","éé"]"#, "true"),
    ("std::re::is_match", r#"["x...","this is a test"]"#, "false"),
    ("std::re::is_match", r#"["","" ]"#, "true"),
    (
        "std::re::is_match",
        r#"["(a)\\1","aa"]"#,
        r"error: std::re::is_match: `(a)\1` is not a regular expression: backreferences are not supported",
    ),
    (
        "std::re::is_match",
        r#"["((a{100}){100}){100}","a"]"#,
        "error: std::re::is_match: the regular expression `((a{100}){100}){100}` is too large",
    ),
    (
        "std::re::is_match",
        r#"["a",null]"#,
        "error: std::re::is_match takes a string as its second argument, not null",
    ),
    ("std::re::split", r#"[" ","this is a test"]"#, r#"["this","is","a","test"]"#),
    ("std::re::split", r#"["[,;]",",a;"]"#, r#"["","a",""]"#),
    ("std::re::split", r#"["a",""]"#, r#"[""]"#),
    (
        "std::re::split",
        r#"["[","a"]"#,
        "error: std::re::split: `[` is not a regular expression: unclosed character class",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_parsed() {
        use Piece::{Group, Literal};
        let table: &[(&str, &[Piece<'_>])] = &[
            ("", &[Literal("")]),
            ("$", &[Literal(""), Literal("$"), Literal("")]),
            ("$$1", &[Literal(""), Literal("$"), Literal("1")]),
            ("a$1b", &[Literal("a"), Group("1b"), Literal("")]),
            ("a${1}b", &[Literal("a"), Group("1"), Literal("b")]),
            ("${open", &[Literal(""), Literal("$"), Literal("{open")]),
        ];
        for (template, expected) in table {
            assert_eq!(pieces(template), *expected, "{template}");
        }
    }

    #[test]
    fn replacements_expand_as_in_the_regex_crate() {
        let text = "John Smith, Jane Doe";
        let regex = Regex::new(r"(?P<first>\w+) (\w+)").unwrap();
        for template in ["$2 $1", "${first}s", "$first_", "$first-$$-$9", "é$", "$ 1", "${1", "$1$2", "${}"]
        {
            let args = [regex.as_str(), text, template].map(Value::string);
            let mine = super::super::tests::call("std::re::replace_all", &args);
            assert_eq!(mine, Ok(Value::string(&*regex.replace_all(text, template))), "{template}");
        }
    }
}
