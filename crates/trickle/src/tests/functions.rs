use super::{constant, error, errors, run, script, scripted, value};

/// A program that sends the value of an expression to `out`, with definitions before it.
fn with(definitions: &str, expr: &str) -> String {
    format!("{definitions} select {expr} from in into out;")
}

#[test]
fn constants_and_functions_of_every_form() {
    for (definitions, expr, found) in [
        ("const X = 1 + 2;", "X * X", "9"),
        ("const A = B; const B = {\"k\": [1, 2]};", "A.k[1]", "2"),
        ("const A = match 1 of case 1 => \"one\" default => \"other\" end;", "A", "\"one\""),
        ("fn add(a, b) with a + b end;", "add(1, 2)", "3"),
        ("fn add(a, b) with a + b end;", "add(event, 2)", "9"),
        ("fn double(x) with add(x, x) end; fn add(a, b) with a + b end;", "double(event)", "14"),
        ("fn f(x) with let y = x + 1; let y = y * 2; y end;", "f(event)", "16"),
        ("fn f(x) with let x.a.b = 1; x end;", "f({\"c\": event})", r#"{"c":7,"a":{"b":1}}"#),
        ("fn f(a, ...) with [a, args] end;", "f(event, 2, 3)", "[7,[2,3]]"),
        ("fn f(a, ...) with [a, args] end;", "f(event)", "[7,[]]"),
        ("fn f(...) with args[0] end;", "f(event)", "7"),
        ("fn f() with 5 end;", "f()", "5"),
        (
            "fn fac(n, acc) of case (n, acc) when n > 1 => recur(n - 1, acc * n) default => acc end;",
            "fac(event, 1)",
            "5040",
        ),
        (
            "fn fac(n, acc) of case (_, _) when n > 1 => recur(n - 1, acc * n) case _ => acc end;",
            "fac(5, 1)",
            "120",
        ),
        (
            "fn f(x) of case (%{ a }) => x.a case (1) => \"one\" default => null end;",
            "[f({\"a\": event}), f(1), f(2)]",
            "[7,\"one\",null]",
        ),
        (
            "fn sum(a, ...) with match args of case %( ) => a default => recur(a + args[0], 0) end end;",
            "1",
            "1",
        ),
        ("fn f(x) with match x of case 0 => \"end\" default => recur(x - 1) end end;", "f(event)", "\"end\""),
        ("fn f(a, b) with recur_not(a) end; fn recur_not(x) with x end;", "f(event, 1)", "7"),
        ("fn f(x) with (x).a end;", "f({\"a\": event}) + f({\"a\": 1})", "8"),
        ("fn f(x) with [x] end;", "f(event)[0]", "7"),
    ] {
        assert_eq!(run(&with(definitions, expr), "7"), found, "{definitions} {expr}");
    }
}

#[test]
fn scripts_have_definitions_of_their_own() {
    let body = "const LIMIT = 10; fn double(x) with x * 2 end; let x = double(event); match x of case x when x > LIMIT => \"big\" default => x end";
    let body = body.replace("case x when x > LIMIT", "case y = _ when y > LIMIT");
    assert_eq!(script(&body, "3"), "6");
    assert_eq!(script(&body, "6"), "\"big\"");
    let hides = format!("const A = 1; const B = 2; {}", scripted("const A = 3; [A, B]"));
    assert_eq!(run(&hides, "null"), "[3,2]");
    assert_eq!(script("let x = 1; const C = 2; x + C", "null"), "3");
    let twice = "define script a with k = 1 script fn f(x) with x + 1 end; f(args.k) end; create script a with k = 4 end;
        create script b from a; select event from in into a; select event from in into b;
        select event from a into out; select event from b into out;";
    assert_eq!(run(twice, "null"), "5\n2");
}

#[test]
fn library_functions_can_be_called_and_imported() {
    assert_eq!(constant("std::string::len(\"abc\")"), "3");
    assert_eq!(value("std::string::len(event)", "\"äö\""), "2");
    assert_eq!(value("std::type::is_string(event.a)", r#"{"a":1}"#), "false");
    assert_eq!(constant("std::integer::MAX"), "9223372036854775807");
    assert_eq!(value("std::string::len(event)", "1"), "std::string::len takes a string, not an integer");
    assert_eq!(value("tremor::system::nanotime()", "1"), "5");
    for (uses, call) in [
        ("use std::string;", "string::len(event)"),
        ("use std::string as s;", "s::len(event)"),
        ("use std::string::len;", "len(event)"),
        ("use std::{string, type};", "string::len(event)"),
        ("use std::{type as t, string::len as l};", "l(event)"),
        ("use std;", "std::string::len(event)"),
        ("use std::integer::MAX;", "MAX - 9223372036854775804"),
    ] {
        assert_eq!(run(&with(uses, call), "\"abc\""), "3", "{uses}");
        assert_eq!(script(&format!("{uses} {call}"), "\"abc\""), "3", "{uses}");
    }
}

#[test]
fn mistakes_with_functions_are_reported() {
    for (definitions, expr, message) in [
        ("", "std::string::length(event)", "there is no function `std::string::length`"),
        ("", "f(1)", "there is no function `f`"),
        ("", "std::strin::len(event)", "there is no function `std::strin::len`"),
        ("", "std::string::len(1, 2)", "`std::string::len` takes 1 argument, not 2"),
        ("", "tremor::system::nanotime(1)", "`tremor::system::nanotime` takes no arguments, not 1"),
        ("", "std::string::NONE", "there is no constant `std::string::NONE`"),
        ("fn f(a, b) with a end;", "f(1)", "`f` takes 2 arguments, not 1"),
        ("fn f(a, ...) with a end;", "f()", "`f` takes at least 1 argument, not 0"),
        ("fn f(a) with a end; fn f(b) with b end;", "f(1)", "there is already a function `f`"),
        ("const A = 1; const A = 2;", "A", "there is already a constant `A`"),
        ("fn f(a, a) with a end;", "f(1, 2)", "there is already an argument `a`"),
        ("const A = A + 1;", "A", "the constant `A` depends on itself"),
        ("const A = B; const B = A;", "1", "the constant `A` depends on itself"),
        ("const A = event;", "A", "a constant cannot depend on the event"),
        (
            "const A = tremor::system::nanotime();",
            "A",
            "the value of a constant must be the same for all events",
        ),
        ("fn f(x) with f(x) end;", "1", "the function `f` depends on itself"),
        ("fn f(x) with g(x) end; fn g(x) with f(x) end;", "f(1)", "the function `f` depends on itself"),
        ("fn f(x) with event end;", "1", "a function knows only its arguments and constants"),
        ("fn f(x) with $meta end;", "1", "a function knows only its arguments and constants"),
        ("fn f(x) with state end;", "1", "a function knows only its arguments and constants"),
        ("fn f(x) with let event.a = x; 1 end;", "1", "a function knows only its arguments and constants"),
        ("fn f(x) with args end;", "1", "this function has no further arguments"),
        ("fn f(x) with drop end;", "1", "a function cannot `drop`"),
        ("fn f(x) with emit x end;", "1", "a function cannot `emit`"),
        ("fn f(x) with recur(x); 1 end;", "1", "`recur` must be the last operation of a function"),
        ("fn f(x) with 1 + recur(x) end;", "1", "`recur` must be the last operation of a function"),
        ("fn f(x) with let y = recur(x); y end;", "1", "`recur` must be the last operation of a function"),
        ("fn f(x) with recur() end;", "1", "this function takes 1 argument, not 0"),
        ("", "recur(1)", "`recur` is allowed in functions only"),
        ("fn f(a, b) of case (1) => 2 default => 3 end;", "1", "1 pattern for 2 arguments"),
        ("fn f(a) of default => 1 case (1) => 2 end;", "1", "this case is never reached"),
        ("fn f(a) x end;", "1", "expected `with` or `of`, found `x`"),
        ("fn f(a) with y end;", "1", "there is no local `y`"),
        ("fn f(a) with a / 0 end;", "f(1)", "division of 1 by zero"),
        ("use std::strin;", "1", "there is no module `std::strin`"),
    ] {
        assert_eq!(error(&with(definitions, expr)), message, "{definitions} {expr}");
    }
    assert_eq!(error(&scripted("const X = 1; let X = 2; X")), "`X` is a constant");
    assert_eq!(error(&scripted("const X = 1; let X.a = 2; X")), "`X` is a constant");
    assert_eq!(
        error(&scripted("match event of case 1 => fn f() with 1 end default => 2 end")),
        "`fn` is not allowed here"
    );
}

#[test]
fn similar_names_are_suggested() {
    for (text, advice) in [
        (with("fn double(x) with x end;", "duoble(1)"), "did you mean `double`?"),
        (with("const LIMIT = 1;", "LIMT"), "did you mean `LIMIT`?"),
        (with("", "std::string::lne(1)"), "did you mean `std::string::len`?"),
        (with("use std::string;", "string::ln(1)"), "did you mean `string::len`?"),
        (with("", "string::len(1)"), "did you mean `std::string::len`?"),
        (with("use std::sting;", "1"), "did you mean `std::string`?"),
        (with("mod m with fn double(x) with x end end;", "m::duble(1)"), "did you mean `m::double`?"),
        (with("cnst X = 1;", "1"), "did you mean `const`?"),
    ] {
        let printed = errors(&text).to_string();
        assert!(printed.contains(advice), "{printed}");
    }
}

#[test]
fn an_error_in_a_function_is_reported_once_with_its_position() {
    let text =
        "fn f(x) with\n  x.a.b\nend;\nselect f(event) from in into out; select f(event) from in into reply;";
    assert_eq!(run(text, r#"{"a":{}}"#), "error: there is no key `b` at test:2:6");
    let wrong = "fn f(x) with\n  y\nend;\nselect f(event) + f(1) from in into out; select f(event) from in into reply;";
    assert_eq!(error(wrong), "there is no local `y`");
}

#[test]
fn recursion_ends() {
    let count = |limit: u32| {
        with(
            "fn f(n, m) of case (n, m) when n < m => recur(n + 1, m) default => n end;",
            &format!("f(event, {limit})"),
        )
    };
    assert_eq!(run(&count(1023), "0"), "1023");
    assert_eq!(run(&count(1024), "0"), "error: recursion limit of 1024 exceeded at test:1:41");
    let grows =
        with("fn f(x, n) of case (x, n) when n > 0 => recur([x], n - 1) default => x end;", "f(event, 1000)");
    assert!(run(&grows, "0").contains("the value nests deeper than 127 levels"), "{}", run(&grows, "0"));
    let doubles = with(
        "fn f(x, n) of case (x, n) when n > 0 => recur(x + x, n - 1) default => x end;",
        "f(event, 1000)",
    );
    assert!(run(&doubles, "\"0123456789\"").contains("the value is larger than 16 MiB"));
    // A call that exceeds the step limit is evaluated for each event.
    let long = with(
        "fn f(n) of case (n) when n > 0 => recur(n - 1) default => 0 end;
         fn g(n) of case (n) when f(1000) == 0 and n > 0 => recur(n - 1) default => 0 end;
         fn h(n) of case (n) when g(1000) == 0 and f(n) == 0 and n > 0 => recur(n - 1) default => 0 end;
         fn i(n) of case (n) when h(n) == 0 and n > 0 => recur(n - 1) default => 0 end;",
        "i(1000)",
    );
    assert!(run(&long, "0").contains("the event took more than 1000000 steps"), "{}", run(&long, "0"));
}

#[test]
fn calls_nest_as_deep_as_the_stack_allows() {
    let chain = |length: usize| {
        let mut text = "fn f0(x) with [x] end;".to_owned();
        for n in 1..length {
            text += &format!("fn f{n}(x) with match x of case 0 => 0 default => f{}(x) end end;", n - 1);
        }
        format!("{text} select f{}(event) from in into out;", length - 1)
    };
    let compiles = |length: usize| crate::Program::compile("chain", &chain(length)).is_ok();
    let longest = (1..200).take_while(|length| compiles(*length)).last().unwrap();
    assert!(longest >= 20, "{longest}");
    assert_eq!(run(&chain(longest), "1"), "[1]");
    assert!(errors(&chain(longest + 1)).messages().any(|message| message == "calls nest too deeply here"));
    assert!(errors(&chain(3_000)).len() > 0);
}
