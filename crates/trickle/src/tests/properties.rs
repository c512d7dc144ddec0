use proptest::prelude::*;

use super::{event, scripted};
use crate::Program;
use towline_event::Value;

/// Fragments for random programs, which are mostly invalid.
const WORDS: [&str; 106] = [
    "select ",
    "from ",
    "in ",
    "into ",
    "out",
    ";",
    "where ",
    "having ",
    "event",
    "$",
    "$x",
    "state",
    "args",
    ".a",
    "[0]",
    "[0:1]",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "\"k\":",
    "\"s\"",
    "\"#{",
    "}\"",
    "1",
    "-",
    "0.5",
    "+",
    "*",
    "/",
    "%",
    " and ",
    " or ",
    " xor ",
    "not ",
    "==",
    "<",
    ">>>",
    "<<",
    "&",
    "^",
    "!",
    "present ",
    "absent ",
    "match ",
    " of ",
    " case ",
    " when ",
    "=>",
    " default ",
    " end",
    "let ",
    "x",
    "=",
    "emit ",
    "drop",
    "=> \"p\"",
    "%{",
    "%[",
    "%(",
    "~=",
    "...",
    "_",
    "define script s ",
    "script ",
    "create script s;",
    "create stream t;",
    " with ",
    "null",
    "true",
    ",",
    "\"\"\"\n",
    "#c\n",
    "18446744073709551615",
    "for ",
    "(k, v)",
    "patch ",
    "merge ",
    "insert \"k\" =>",
    "erase \"k\"",
    "merge =>",
    "fn f(x) with ",
    "fn g(x, ...) of ",
    "f(",
    "recur(",
    "const X = ",
    "X",
    "use std::string;",
    "use ",
    " as ",
    "std::string::len(",
    "std::array::push(",
    "mod m with ",
    "m::",
    "::",
    ">>",
    ":8/signed",
    "~ re|(?P<a>.)|",
    "~= glob|a*|",
    "define pipeline p pipeline ",
    "create pipeline p;",
    "define generic::counter operator c;",
    "create operator c;",
    "select event from in into p;",
];

/// The whole program, from which damaged ones are made, does compile.
#[test]
fn the_whole_program_runs() {
    let odd = r#"{"k":[{"y":1},"x"]}"#;
    let error = r#"err: {"error":"there is no key `n` at test:4:22","event":{"k":[{"y":1},"x"]}}"#;
    assert_eq!(super::run(WHOLE, odd), error);
    assert_eq!(super::run(WHOLE, r#"{"n":3,"t":[1]}"#), r#"{"e":{"n":5,"t":[1]},"b":false,"x":10}"#);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        (-1.0e300..1.0e300).prop_map(Value::Float),
        "[ab]{0,3}".prop_map(Value::string),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::array),
            prop::collection::vec(("[abx]", inner), 0..4).prop_map(Value::record),
        ]
    })
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "event",
        "event.a",
        "event[0]",
        "event.x[1:2]",
        "$",
        "$binary",
        "$x.y",
        "1",
        "0",
        "-1",
        "0.5",
        "null",
        "true",
        "\"a\"",
        "9223372036854775807",
        "18446744073709551615",
        "x",
        "args",
        "state",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "<<", ">>", ">>>", "&", "^", "and", "or", "xor",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("[{a}, event]")),
            inner.clone().prop_map(|a| format!("{{\"a\": {a}}}")),
            inner.clone().prop_map(|a| format!("\"<#{{{a}}}>\"")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.clone().prop_map(|a| format!("std::string::len({a})")),
            inner.clone().prop_map(|a| format!("std::array::push(event, {a})")),
            inner.clone().prop_map(|a| format!("<< {a}:9/signed-little, 1:3 >>")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("merge {{\"a\": {a}}} of {b} end")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("for {a} of case (k, v) when v == {b} => [k, v, {b}] case (i, e) => e end")),
            (inner.clone(), inner.clone(), prop::sample::select(vec!["", "use +", "use *", "use or", "use >>"]))
                .prop_map(|(a, b, op)| format!("(for {a} of case (k, v) => v into {b} {op} end)")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("patch {a} of upsert \"a\" => {b}; move \"x\" => \"y\"; merge => {b}; default \"b\" => 1 end")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("match {a} of case m = %{{ a ~= re|(?P<b>.)|, x ~= %[ {b} ] }} => m case m = %( ~ json||, ... ) => m default => {b} end")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("match {a} of case %{{a == {b}}} => {c} case %[{b}] => event case m = _ when m == {c} => m default => {b} end")),
        ]
    })
}

/// A program that uses most of the language. The tests damage it.
const WHOLE: &str = r##"
#!config id = "whole"
define script shape with limit = 10, names = ["a", "b"] script
  let event.n = event.n + 1 * 2;
  match event of
    case r = %{ present n, n > 3, t ~= %( 1, ... ) } when r.n < args.limit => let $url = "ws://#{r.n}"; emit
    case %{ absent n, k ~= %[ "x", %{ y } ] } => emit {"k": event.k[0:1], "s": state} => "odd"
    case _ => drop
  end
end;
create script shape with limit = 0xff end;
create stream mid;
select event from in where not (present event.skip and event.skip == true) into shape;
select event from shape into mid;
select {"e": event, "b": $binary, "x": 1 << 3 ^ 2} from mid into out having event.x >= 0;
select event from shape/odd into reply;
select event from shape/err into err;
"##;

/// Another program, with the features that `WHOLE` lacks.
const WIDE: &str = r##"
use std::{string, type as t};
const LIMIT = string::len("abc") + 1;
mod m with
  fn last(list) with match list of case %( ) => null default => list[std::array::len(list) - 1] end end;
  fn sum(n, acc, ...) of case (n, acc) when n > 0 => recur(n - 1, acc + n) default => acc end;
end;
define pipeline p args by = LIMIT into out, err, big pipeline
  create stream s;
  define script step args start = 0 state {"n": args.start} script from side
    let state.n = for event of case (i, e) when e > 0 => e into state.n use + end;
    drop
  script
    fn f(x) with let x = x * 2; x end;
    const BY = 3;
    let event = patch event of upsert "n" => m::sum(event.n, 0); merge => {"x": null}; default "d" => << 1:4, 2:4 >> end;
    for event.k of case (i, e) when i < BY => let $last = f(i) case (j, e) => emit e => "odd" end;
    match event.t of case r = %[ ~ re|^(?P<a>\w+)$| ] => r default => merge event of {"u": m::last([1, 2])} end end
  end;
  create script step;
  select event from in where t::is_record(event) into step;
  select event from in where t::is_array(event) into step/side;
  select event from step into s;
  select event from step/odd into big;
  select {"by": args.by, "e": event} from s into out;
end;
create pipeline p with by = LIMIT * 2 end;
select event from in into p;
select event from p into out;
select event from p/big into reply;
"##;

#[test]
fn the_wide_program_runs() {
    let found = super::run(WIDE, r#"{"n":3,"x":1,"k":[7,8],"t":[1,"ab"]}"#);
    assert_eq!(found, r#"{"by":8,"e":[[1,{"a":"ab"}]]}"#);
    let found = super::run(WIDE, r#"{"n":3,"x":1,"k":[7,8],"t":1}"#);
    assert_eq!(found, r#"{"by":8,"e":{"n":6,"k":[7,8],"t":1,"d":"Eg==","u":2}}"#);
    assert_eq!(super::run(WIDE, r#"{"n":0,"k":[1,2,3,4]}"#), "reply: 4");
}

/// The program with a piece of it moved, and the program with that piece removed; empty if a cut is inside a
/// character.
fn damage(whole: &str, cut: usize, length: usize, moved: usize) -> Vec<String> {
    let end = (cut + length).min(whole.len());
    let (Some(before), Some(piece), Some(after)) = (whole.get(..cut), whole.get(cut..end), whole.get(end..))
    else {
        return Vec::new();
    };
    let damaged = format!("{before}{after}");
    let at = moved.min(damaged.len());
    vec![format!("{}{piece}{}", &damaged[..at], &damaged[at..]), damaged]
}

#[track_caller]
fn compiles_or_reports_errors(text: &str, input: &Value) {
    match Program::compile("any", text) {
        Err(errors) => assert!(!errors.to_string().is_empty()),
        Ok(program) => drop(program.instance().run(event(&input.to_json()), 0, &mut Vec::new())),
    }
}

/// JSON texts with duplicate keys and escaped keys.
pub(super) fn json_text() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["null", "true", "1", "-2", "1.5", "\"a\"", "\"\\u0061b\"", "[]", "{}"]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c", "\\u0061", "d"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| {
                let pairs: Vec<_> =
                    pairs.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{ {} }}", pairs.join(","))
            }),
        ]
    })
}

/// Expressions that read some paths of the event.
fn reading() -> impl Strategy<Value = String> {
    let path = || {
        prop::sample::select(vec![
            "event.a",
            "event.b",
            "event.a.b",
            "event.b.a.c",
            "event.c[0]",
            "event[\"d\"].a",
            "event.a[event.b]",
            "event.c[0:1]",
        ])
    };
    let leaf = prop_oneof![
        path().prop_map(str::to_owned),
        path().prop_map(|path| format!("present {path}")),
        path().prop_map(|path| format!(
            "(match {path} of case r = %{{ present a }} => r.a case x = _ => x end)"
        )),
        path()
            .prop_map(|path| format!("(for {path} of case (k, v) when v != event.d => [k, v, event.b] end)")),
        path().prop_map(|path| format!("std::type::as_string({path})")),
        (path(), path())
            .prop_map(|(a, b)| format!("(patch {{\"k\": {a}}} of insert \"#{{{b}}}\" => {b} end)")),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} == {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("((absent event.a or {a} == 1) and {b} != 2)")),
        ]
    })
}

proptest! {
    #[test]
    fn reading_a_part_of_the_text_makes_no_difference(
        filter in reading(), target in reading(), other in reading(), text in json_text(), passes: bool,
    ) {
        let target = if passes { "event" } else { &target };
        let program = format!(
            "create stream s; select {target} from in where {filter} == {filter} into out; select event from in where {other} != 5 into s;
             select [{other}] from s where present event.a or {filter} == null into reply;"
        );
        let Ok(program) = Program::compile("part", &program) else { return Ok(()) };
        let lazy = event(&text);
        let parsed = towline_event::Event { data: lazy.data.to_value().into(), ..lazy.clone() };
        let run = |event| super::try_feed(&mut program.instance(), event).map(|outputs| super::show(&outputs));
        prop_assert_eq!(run(lazy), run(parsed));
    }

    #[test]
    fn a_damaged_wide_program_compiles_or_reports_errors(
        cut in 0..WIDE.len(), length in 0..40_usize, moved in 0..WIDE.len(), input in json(),
    ) {
        damage(WIDE, cut, length, moved).iter().for_each(|text| compiles_or_reports_errors(text, &input));
    }

    #[test]
    fn a_damaged_program_compiles_or_reports_errors(
        cut in 0..WHOLE.len(), length in 0..40_usize, moved in 0..WHOLE.len(), input in json(),
    ) {
        damage(WHOLE, cut, length, moved).iter().for_each(|text| compiles_or_reports_errors(text, &input));
    }

    #[test]
    fn any_text_compiles_or_reports_errors(text in r##"(\PC|[\n"#{}$%;.]){0,80}"##) {
        if let Err(errors) = Program::compile("any", &text) {
            prop_assert!(errors.len() > 0);
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_words_compile_or_reports_errors(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..40),
        input in json(),
    ) {
        compiles_or_reports_errors(&words.concat(), &input);
    }

    #[test]
    fn any_expression_has_an_outcome_on_any_event(text in expression(), inputs in prop::collection::vec(json(), 1..4)) {
        let text = scripted(&format!("let x = event; let state = [1]; let event.a = 1; {text}"));
        let text = if inputs.len() > 2 { text.replace("let event.a = 1;", "") } else { text };
        if let Ok(program) = Program::compile("any", &text) {
            let mut instance = program.instance();
            for input in inputs {
                let mut outputs = Vec::new();
                match instance.run(event(&input.to_json()), 0, &mut outputs) {
                    Ok(()) => prop_assert_eq!(outputs.len(), 1),
                    Err(error) => {
                        prop_assert!(outputs.is_empty());
                        prop_assert!(error.highlighted().contains('^'));
                    }
                }
            }
        }
    }

    #[test]
    fn an_error_points_into_its_text(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..20)) {
        let text = words.concat();
        if let Err(errors) = Program::compile("any", &text) {
            for place in errors.positions() {
                let line = text.split('\n').nth(place.line - 1);
                prop_assert!(line.is_some_and(|line| place.column <= line.chars().count() + 1), "{errors}");
            }
        }
    }

    #[test]
    fn arithmetic_agrees_with_wider_numbers(a: i64, b: i64) {
        let sum = super::value("event[0] + event[1]", &format!("[{a},{b}]"));
        let wide = i128::from(a) + i128::from(b);
        let fits = wide >= i128::from(i64::MIN) && wide <= i128::from(u64::MAX);
        prop_assert_eq!(sum == wide.to_string(), fits);
    }
}
