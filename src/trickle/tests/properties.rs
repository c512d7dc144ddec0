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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

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
