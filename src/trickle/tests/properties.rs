use proptest::prelude::*;

use super::{event, scripted};
use crate::{event::Value, trickle::Program};

/// Words that a program may be made of: often wrong, sometimes right.
const WORDS: [&str; 76] = [
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
];

/// The undamaged program does compile.
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
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("match {a} of case %{{a == {b}}} => {c} case %[{b}] => event case m = _ when m == {c} => m default => {b} end")),
        ]
    })
}

/// A program that uses most of the language, to be damaged.
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

proptest! {
    #[test]
    fn a_damaged_program_compiles_or_says_why_not(
        cut in 0..WHOLE.len(), length in 0..40_usize, moved in 0..WHOLE.len(), input in json(),
    ) {
        let end = (cut + length).min(WHOLE.len());
        let (Some(before), Some(piece), Some(after)) = (WHOLE.get(..cut), WHOLE.get(cut..end), WHOLE.get(end..)) else {
            return Ok(());
        };
        let damaged = format!("{before}{after}");
        let at = moved.min(damaged.len());
        for text in [format!("{}{piece}{}", &damaged[..at], &damaged[at..]), damaged] {
            match Program::compile("damaged", &text) {
                Err(errors) => prop_assert!(!errors.to_string().is_empty()),
                Ok(program) => drop(program.instance().run(event(&input.to_json()), 0, &mut Vec::new())),
            }
        }
    }

    #[test]
    fn any_text_compiles_or_says_why_not(text in r##"(\PC|[\n"#{}$%;.]){0,80}"##) {
        if let Err(errors) = Program::compile("any", &text) {
            prop_assert!(errors.len() > 0);
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_words_compile_or_say_why_not(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..40),
        input in json(),
    ) {
        let text = words.concat();
        match Program::compile("any", &text) {
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
            Ok(program) => drop(program.instance().run(event(&input.to_json()), 0, &mut Vec::new())),
        }
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
