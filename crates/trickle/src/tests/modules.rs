use std::collections::HashMap;

use super::{show, try_feed};
use crate::{Limits, Module, ModuleError, Modules, Program};

/// Modules by path. A text that begins with `!` is a load error.
struct InMemory(HashMap<String, String>);

impl Modules for InMemory {
    fn load(&self, path: &[&str]) -> Result<Option<Module>, ModuleError> {
        let path = path.join("/");
        match self.0.get(&path) {
            Some(text) if text.starts_with('!') => {
                Err(ModuleError { name: path, error: std::io::Error::other(&text[1..]) })
            }
            Some(text) => Ok(Some(Module { name: format!("{path}.trickle"), text: text.clone() })),
            None => Ok(None),
        }
    }
}

fn in_memory(modules: &[(&str, &str)]) -> InMemory {
    InMemory(modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

fn compile(modules: &[(&str, &str)], text: &str) -> Result<Program, String> {
    Program::compile_with("main", text, &in_memory(modules), Limits::default())
        .map_err(|errors| errors.to_string())
}

fn run(modules: &[(&str, &str)], text: &str, json: &str) -> String {
    let program = compile(modules, text).unwrap_or_else(|errors| panic!("{errors}"));
    match try_feed(&mut program.instance(), super::event(json)) {
        Ok(outputs) => show(&outputs),
        Err(error) => format!("error: {error}"),
    }
}

const MATH: (&str, &str) = (
    "lib/math",
    "const TWO = 2; fn double(x) with x * TWO end; mod deep with fn half(x) with x / TWO end; const ONE = 1 end",
);

#[test]
fn modules_are_used_in_every_form() {
    for (uses, expr, found) in [
        ("use lib::math;", "math::double(event)", "8"),
        ("use lib::math as m;", "m::double(event) + m::TWO", "10"),
        ("use lib::math::double;", "double(event)", "8"),
        ("use lib::math::double as d;", "d(event)", "8"),
        (
            "use lib::math::{double, TWO, deep as inner};",
            "[double(event), TWO, inner::half(event)]",
            "[8,2,2.0]",
        ),
        ("use lib::math::deep;", "deep::half(event)", "2.0"),
        ("use lib::math::deep::{half, ONE};", "half(event) + ONE", "3.0"),
        ("mod m with fn f(x) with g(x) end; fn g(x) with [x] end end;", "m::f(event)", "[4]"),
        ("mod a with mod b with const C = D end; const D = 3 end; use a::b;", "b::C + a::D", "6"),
        ("mod a with use lib::math; fn f(x) with math::double(x) end end;", "a::f(event)", "8"),
        ("mod a with use lib::math; end;", "a::math::double(event)", "8"),
        ("use lib::{math::{double, deep::{half as h}}};", "double(event) + h(event)", "10.0"),
        ("mod a with fn f(x) with OUTER + x end end; const OUTER = 1;", "a::f(event)", "5"),
        ("use std::string; mod a with fn f(x) with string::len(x) end end;", "a::f(\"abc\")", "3"),
    ] {
        let text = format!("{uses} select {expr} from in into out;");
        assert_eq!(run(&[MATH], &text, "4"), found, "{text}");
    }
    let script = "define script s script use lib::math; math::double(event) end; create script s;
        select event from in into s; select event from s into out;";
    assert_eq!(run(&[MATH], script, "4"), "8");
}

#[test]
fn modules_define_scripts_and_pipelines() {
    let nodes = "use lib::math;
        define script twice with by = 1 script math::double(event) + args.by end;
        define pipeline both pipeline
          create script twice with by = 10 end;
          select event from in into twice; select event from twice into out;
        end;";
    let text = "use nodes; create script t from nodes::twice; create pipeline p from nodes::both;
        select event from in into t; select event from t into out;
        select event from in into p; select event from p into reply;";
    assert_eq!(run(&[MATH, ("nodes", nodes)], text, "4"), "9\nreply: 18");
}

#[test]
fn mistakes_with_modules_are_reported_in_their_file() {
    let all = [
        MATH,
        ("broken", "fn f(x) with x + end;\nconst B = 1;"),
        ("wrong", "const A = 1;\nfn f(x) with y end;"),
        ("acts", "select event from in into out;"),
        ("a", "use b;"),
        ("b", "use c;"),
        ("c", "use a;"),
        ("me", "use me;"),
        ("locked", "!permission denied"),
    ];
    for (text, place, message) in [
        ("use broken;", "broken.trickle:1:18", "expected an expression, found `end`"),
        ("use wrong;", "wrong.trickle:2:14", "there is no local `y`"),
        ("use acts;", "acts.trickle:1:19", "a module cannot `select`"),
        ("use a;", "c.trickle:1:5", "modules use each other in a cycle: a -> b -> c -> a"),
        ("use me;", "me.trickle:1:5", "modules use each other in a cycle: me -> me"),
        ("use locked;", "main:1:5", "cannot read the module `locked`: locked: permission denied"),
        ("use nothing;", "main:1:5", "there is no module `nothing`"),
        ("use lib::math::nothing;", "main:1:5", "there is no module `lib::math::nothing`"),
        ("use lib::math; const X = math::THREE;", "main:1:26", "there is no constant `math::THREE`"),
        ("use lib::math; const X = math::triple(1);", "main:1:26", "there is no function `math::triple`"),
        ("mod m with create stream s; end;", "main:1:26", "a module cannot `create`"),
        (
            "mod m with const A = 1; end; mod m with const B = 1 end;",
            "main:1:34",
            "there is already a module `m`",
        ),
    ] {
        let errors = compile(&all, &format!("{text} select event from in into out;")).unwrap_err();
        assert!(errors.contains(&format!("error: {message}\n")), "{text}\n{errors}");
        assert!(errors.contains(&format!("--> {place}\n")), "{text}\n{errors}");
    }
    let uses = "use broken; use wrong; select event from nowhere into out;";
    let errors = compile(&all, uses).unwrap_err();
    assert!(errors.contains("broken.trickle:1:18") && !errors.contains("there is no module"), "{errors}");
}

#[test]
fn a_failure_in_a_module_names_its_file() {
    let text = "use m; select m::f(event) from in into out;";
    assert_eq!(
        run(&[("m", "# first\nfn f(x) with\n x.a end")], text, "{}"),
        "error: there is no key `a` at m.trickle:3:3"
    );
}

#[test]
fn limits_are_given_with_the_program() {
    let text = "fn f(n) of case (n) when n > 0 => recur(n - 1) default => \"0123456789\" + \"#{n}\" end; select f(event) from in into out;";
    let run = |limits: Limits, json: &str| {
        let program = Program::compile_with("main", text, &in_memory(&[]), limits).unwrap();
        match try_feed(&mut program.instance(), super::event(json)) {
            Ok(outputs) => show(&outputs),
            Err(error) => error.message().to_owned(),
        }
    };
    let limits = Limits::default();
    assert_eq!(run(limits, "50"), "\"01234567890\"");
    assert_eq!(run(Limits { max_recursion: 50, ..limits }, "50"), "recursion limit of 50 exceeded");
    assert_eq!(run(Limits { max_steps: 50, ..limits }, "50"), "the event took more than 50 steps");
    assert_eq!(run(Limits { max_value: 10, ..limits }, "50"), "the value is larger than 10 bytes");
}
