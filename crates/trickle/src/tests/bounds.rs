//! Limits on the cost of compilation. The tests have no time limits: without the bounds, these programs would
//! take minutes or gigabytes.

use std::cell::Cell;

use super::errors;
use crate::{Limits, Module, ModuleError, Modules, Program, Script};

/// A statement that completes a program of definitions.
const PASSES: &str = "select event from in into out;";

/// Pipelines `p0` to `p{levels}`, each of which creates `width` times the one before.
fn nested(levels: usize, width: usize) -> String {
    let mut text = format!("define pipeline p0 pipeline {PASSES} end;");
    for level in 1..=levels {
        text += &format!("define pipeline p{level} pipeline");
        for copy in 0..width {
            text += &format!(
                " create pipeline c{copy} from p{}; select event from in into c{copy}; select event from c{copy} into out;",
                level - 1
            );
        }
        text += " end;";
    }
    text + &format!(
        "create pipeline c from p{levels}; select event from in into c; select event from c into out;"
    )
}

#[test]
fn nested_pipelines_have_a_limit_of_nodes() {
    assert!(Program::compile("few", &nested(8, 2)).is_ok());
    let many = errors(&nested(30, 2));
    assert_eq!(many.messages().collect::<Vec<_>>(), ["the program has more than 10000 nodes"]);
}

#[test]
fn pipelines_have_a_nesting_limit() {
    assert!(Program::compile("deep", &nested(31, 1)).is_ok());
    let deep = errors(&nested(32, 1));
    let expected = "pipelines nest deeper than 32 levels";
    assert_eq!(deep.messages().next(), Some(expected));
}

#[test]
fn expanded_pipelines_have_a_limit_of_text() {
    let long = vec!["event.key"; 20_000].join(", ");
    let mut text = format!("define pipeline p pipeline select [{long}] from in into out end;");
    for copy in 0..100 {
        text += &format!(
            "create pipeline c{copy} from p; select event from in into c{copy}; select event from c{copy} into out;"
        );
    }
    let found = errors(&text);
    assert_eq!(found.messages().collect::<Vec<_>>(), ["the program expands to more than 4 MiB of text"]);
}

#[test]
fn slow_constants_are_evaluated_for_each_event() {
    let slow = "fn slow(x) with for std::range::range(0, 900) of \
                case (i, e) => (for std::range::range(0, 900) of case (j, f) => x into 0 end) into 0 end end;";
    let selects: String = (0..300).map(|n| format!("select slow({n}) from in into out;")).collect();
    let program = super::program(&format!("{slow}{selects}"));
    // The first ones are folded; all of them together exceed the steps of an event.
    let outcome = super::try_feed(&mut program.instance(), super::event("null"));
    assert_eq!(outcome.unwrap_err().message(), "the event took more than 1000000 steps");
}

/// A script with as many cases as there are patterns.
fn cases(patterns: impl Iterator<Item = String>) -> String {
    let cases: String = patterns.map(|pattern| format!("case ~ {pattern} => 1 ")).collect();
    format!("match event of {cases} default => 0 end")
}

#[test]
fn regular_expressions_have_a_total_size_limit() {
    let too_much = "the compiled regular expressions of this program take more than 64 MiB";
    let large = |n: usize| format!("re|(a{{1,100}}){{1,100}}x{n}|");
    let refused = |n: usize| format!("re|(a{{1,1000}}){{1,1000}}x{n}|");
    let grok = |n: usize| format!("grok|{} {n}|", "%{COMBINEDAPACHELOG}".repeat(4));
    for patterns in [&large as &dyn Fn(usize) -> String, &grok] {
        let found = Script::compile("many", &cases((0..3_000).map(patterns))).unwrap_err();
        assert_eq!(found.messages().collect::<Vec<_>>(), [too_much]);
    }
    let found = Script::compile("many", &cases((0..3_000).map(refused))).unwrap_err();
    assert_eq!(found.len(), 50);
    let words = (0..3_000).map(|n| format!("re|(word) {n}|"));
    assert!(Script::compile("small", &cases(words)).is_ok());
}

#[test]
fn equal_regular_expressions_are_compiled_once() {
    let same = (0..3_000).map(|_| "re|(a{1,100}){1,100}x|".to_owned());
    assert!(Script::compile("same", &cases(same)).is_ok());
    let script = cases((0..30).map(|n| format!("rerg|(a{{1,100}}){{1,100}}x{n}|")));
    let mut text = format!("define script s script {script} end;");
    for copy in 0..200 {
        text += &format!(
            "create script c{copy} from s; select event from in into c{copy}; select event from c{copy} into out;"
        );
    }
    assert!(Program::compile("created often", &text).is_ok());
}

#[test]
fn a_regular_expression_has_a_maximum_length() {
    let found = Script::compile("long", &cases([format!("re|{}|", r"\w".repeat(200_000))].into_iter()));
    let expected = "`re` takes a regular expression of at most 64 KiB";
    assert_eq!(found.unwrap_err().messages().next(), Some(expected));
}

#[test]
fn only_shown_errors_get_suggestions() {
    let name = |n: usize| format!("{}{n}", "a".repeat(20));
    let lets: String = (0..1_000).map(|n| format!("let {} = 1;", name(n))).collect();
    let reads: String = (10_000..14_000).map(|n| format!("{};", name(n))).collect();
    let found = Script::compile("many", &format!("{lets}{reads}1")).unwrap_err();
    assert_eq!(found.len(), 50);
    let text = found.to_string();
    assert_eq!(text.matches("did you mean").count(), 50, "the 50 that are shown");
}

#[test]
fn thousands_of_ports_are_not_compared_with_each_other() {
    let port = |kind: char, n: usize| format!("{}{n}", kind.to_string().repeat(20));
    let emits: String = (0..4_000)
        .map(|n| format!("case {n} => emit => \"{}\" ", port(if n < 2_000 { 'a' } else { 'b' }, n)))
        .collect();
    let selects: String = (0..2_000).map(|n| format!("select 1 from s/{} into out;", port('a', n))).collect();
    let text = format!(
        "define script s script match event of {emits} default => drop end end; create script s; select event from in into s; {selects}"
    );
    assert!(Program::compile("ports", &text).is_ok());
}

/// A source without modules that counts the lookups.
#[derive(Default)]
struct CountingSource(Cell<usize>);

impl Modules for CountingSource {
    fn load(&self, _: &[&str]) -> Result<Option<Module>, ModuleError> {
        self.0.set(self.0.get() + 1);
        Ok(None)
    }
}

#[test]
fn each_prefix_of_a_path_is_looked_up_unless_the_path_is_too_long() {
    for (names, asked) in [(2, 2), (32, 32), (33, 0), (5_000, 0)] {
        let modules = CountingSource::default();
        let path = vec!["m"; names].join("::");
        let text = format!("use {path}; {PASSES}");
        let found = Program::compile_with("long", &text, &modules, Limits::default()).unwrap_err();
        assert_eq!(found.messages().next(), Some(&*format!("there is no module `{path}`")));
        assert_eq!(modules.0.get(), asked, "{names}");
    }
}

/// A source of endlessly many modules, each of which uses the next.
struct Chain;

impl Modules for Chain {
    fn load(&self, path: &[&str]) -> Result<Option<Module>, ModuleError> {
        let number: usize = path.concat()[1..].parse().unwrap();
        let text = format!("use m{}; const X = m{}::X;", number + 1, number + 1);
        Ok(Some(Module { name: path.join("/"), text }))
    }
}

#[test]
fn a_program_has_a_maximum_number_of_modules() {
    let text = format!("use m1; {PASSES}");
    let found = Program::compile_with("chain", &text, &Chain, Limits::default()).unwrap_err();
    let expected = "the program uses more than 256 modules";
    assert!(found.messages().any(|message| message == expected), "{found}");
}

#[test]
fn a_program_has_a_maximum_length() {
    let long = format!("{PASSES}{}", " ".repeat(1 << 20));
    assert_eq!(errors(&long).messages().next(), Some("the program is longer than 1 MiB"));
    let fits = format!("{PASSES}{}", " ".repeat((1 << 20) - PASSES.len()));
    assert!(Program::compile("fits", &fits).is_ok());
}
