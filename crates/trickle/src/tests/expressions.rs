use super::{constant, error, run, show, try_feed, value, with_meta};
use crate::Program;
use towline_event::Value;

#[test]
fn literals() {
    for (text, json) in [
        ("1_000", "1000"),
        ("0xff", "255"),
        ("0b101", "5"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("1.5e3", "1500.0"),
        ("true", "true"),
        ("null", "null"),
        (r#""a\tb""#, r#""a\tb""#),
        ("\"\"\"\nline \"one\"\n  two\n\"\"\"", r#""line \"one\"\n  two\n""#),
        ("[]", "[]"),
        ("[1, \"a\", [null],]", r#"[1,"a",[null]]"#),
        (r#"{"b": 1, "a": {"c": []}}"#, r#"{"b":1,"a":{"c":[]}}"#),
    ] {
        assert_eq!(constant(text), json, "{text}");
    }
}

/// The results are those of the reference system, except that overflows are errors.
#[test]
fn operators() {
    for (text, json) in [
        ("9 / 3", "3.0"),
        ("7 / 2", "3.5"),
        ("9 % 4", "1"),
        ("-5 % 3", "-2"),
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("1 == 1.0", "true"),
        ("1 != 2", "true"),
        (r#"{"a": 1, "b": 2} == {"b": 2, "a": 1}"#, "true"),
        (r#"1 == "1""#, "false"),
        ("true xor true", "false"),
        ("true xor false xor true", "false"),
        ("true and not false", "true"),
        (r#""a" + "b""#, r#""ab""#),
        ("[1] + [2]", "[1,2]"),
        (r#"{"a": 1} + {"a": 2, "b": 3}"#, r#"{"a":2,"b":3}"#),
        ("1 + 2.5", "3.5"),
        ("2 - 3 - 4", "-5"),
        ("2 * 3 + 4 * 5", "26"),
        ("2 * (3 + 4) * 5", "70"),
        ("6 ^ 3", "5"),
        ("6 & 3", "2"),
        ("true & false", "false"),
        ("!5", "18446744073709551610"),
        ("!-5", "4"),
        ("1 << 63", "9223372036854775808"),
        ("!true", "false"),
        ("+5", "5"),
        ("- -5", "5"),
        ("1 << 4", "16"),
        ("-16 >> 2", "-4"),
        ("-1 >>> 60", "15"),
        ("2 > 1", "true"),
        (r#""a" < "b""#, "true"),
        ("1 <= 1.0", "true"),
        ("18446744073709551615 > 9223372036854775807", "true"),
        // Precedence, from low to high.
        ("true or true xor true", "true"),
        ("false xor true and false", "false"),
        ("1 ^ 3 & 2", "3"),
        ("1 == 1 & true", "true"),
        ("1 < 2 == true", "true"),
        ("1 << 1 < 3", "true"),
        ("1 << 1 + 1", "4"),
        ("not true == false", "true"),
        ("-1 + 2", "1"),
    ] {
        assert_eq!(constant(text), json, "{text}");
    }
}

#[test]
fn operators_that_fail() {
    for (text, message) in [
        ("1 / 0", "division of 1 by zero"),
        ("1.5 / 0.0", "division of 1.5 by zero"),
        ("1 % 0", "remainder of a division by zero"),
        ("1.5 % 2", "`%` takes integers"),
        ("18446744073709551615 + 1", "integer overflow: the result does not fit 64 bits"),
        ("18446744073709551615 * 18446744073709551615", "integer overflow: the result does not fit 64 bits"),
        ("-9223372036854775808 - 1", "integer overflow: the result does not fit 64 bits"),
        ("-18446744073709551615", "integer overflow: the result does not fit 64 bits"),
        ("1.0e308 * 10", "float overflow"),
        ("1 < \"a\"", "`<` is not defined for integer and string"),
        ("null < null", "`<` is not defined for null and null"),
        ("[1] + 1", "`+` is not defined for array and integer"),
        ("1 << 64", "a shift must be by 0 to 63 bits, not by 64"),
        ("1 << -1", "a shift must be by 0 to 63 bits, not by -1"),
        ("1.0 & 1", "`&` is not defined for float and integer"),
        ("-\"a\"", "`-` is not defined for string"),
        ("1 and true", "`and` takes a boolean, not an integer"),
        ("not null", "`not` is not defined for null"),
    ] {
        assert_eq!(constant(text), message, "{text}");
        // Unfolded, it fails on the event with the same message.
        let late = format!("match event of case null => {text} default => 0 end");
        assert_eq!(constant(&late), message, "{late}");
    }
    assert_eq!(value("event.a / event.b", r#"{"a":1,"b":0}"#), "division of 1 by zero");
    assert_eq!(value("event.a % event.b", r#"{"a":-9223372036854775808,"b":-1}"#), "0");
}

#[test]
fn logical_operators_short_circuit() {
    assert_eq!(value("false and event.missing", "{}"), "false");
    assert_eq!(value("true or event.missing", "{}"), "true");
    assert_eq!(value("true and event.missing", "{}"), "there is no key `missing`");
    assert_eq!(value("event or 1", "false"), "`or` takes a boolean, not an integer");
}

#[test]
fn interpolation() {
    assert_eq!(value(r##""#{event} #{1.0} #{null}""##, r#"[1,2.5,null]"#), r#""[1,2.5,null] 1.0 null""#);
    assert_eq!(
        value(r##""<#{event.a}#{"#{event.b}"}>""##, r#"{"a":"x","b":{"c":"y"}}"#),
        r#""<x{\"c\":\"y\"}>""#
    );
    assert_eq!(constant(r##""\#{x}""##), r##""#{x}""##);
    assert_eq!(constant(r##""a#{1 + 1}b""##), r#""a2b""#);
    assert_eq!(value(r##"{"k#{event}": 1}"##, "7"), r#"{"k7":1}"#);
    assert_eq!(value("\"\"\"\n#{event}!\n\"\"\"", "7"), r#""7!\n""#);
}

#[test]
fn paths() {
    let json = r#"{"a":{"b c":[10,20,30]},"i":1,"k":"a","end":0}"#;
    for (text, found) in [
        ("event.a[\"b c\"][1]", "20"),
        ("event.a.`b c`[event.i]", "20"),
        ("event[event.k][\"b c\"][0:2]", "[10,20]"),
        ("event.a[\"b c\"][1:3][0]", "20"),
        ("event.a[\"b c\"][1:1]", "[]"),
        ("event.end", "0"),
        ("(event.a).`b c`[2]", "30"),
        ("{\"x\": event.i}.x", "1"),
        ("[1,2,3][event.i]", "2"),
        ("event.x", "there is no key `x`"),
        ("event.i.x", "only records have keys, but this is an integer"),
        ("event.a[0]", "brackets take a string for a record and an integer for an array; this is an integer"),
        ("event.k[0]", "only arrays have elements, but this is a string"),
        ("event.a[\"b c\"][3]", "[3] is out of bounds for an array with 3 elements"),
        ("event.a[\"b c\"][-1]", "[-1] is out of bounds for an array with 3 elements"),
        ("event.a[\"b c\"][2:4]", "[2:4] is out of bounds for an array with 3 elements"),
        ("event.a[\"b c\"][2:1]", "[2:1] ends before it begins"),
        (
            "event.a[\"b c\"][18446744073709551615]",
            "[18446744073709551615] is out of bounds for an array with 3 elements",
        ),
    ] {
        assert_eq!(value(text, json), found, "{text}");
    }
}

#[test]
fn keys_in_errors_are_cut_and_escaped() {
    let json = format!(r#"{{"k":"a\nb{}"}}"#, "x".repeat(1_000));
    assert_eq!(value("event[event.k]", &json), format!("there is no key `a\\nb{}…`", "x".repeat(61)));
}

#[test]
fn presence() {
    let json = r#"{"a":{"b":null},"c":[1]}"#;
    for (text, found) in [
        ("present event", "true"),
        ("present event.a.b", "true"),
        ("absent event.a.b", "false"),
        ("present event.a.x", "false"),
        ("present event.a.b.c", "false"),
        ("present event.c[0]", "true"),
        ("absent event.c[1]", "true"),
        ("present $x", "false"),
        ("present $binary", "true"),
        ("not present $x.y and true", "true"),
    ] {
        assert_eq!(value(text, json), found, "{text}");
    }
    assert_eq!(error("select present 1 from in into out;"), "`present` needs a path");
}

#[test]
fn metadata_is_read() {
    let meta = || Value::record([("url", Value::string("ws://a")), ("binary", Value::Bool(true))]);
    for (text, found) in [
        ("$url", r#""ws://a""#),
        ("$.url", r#""ws://a""#),
        ("$[\"url\"]", r#""ws://a""#),
        ("$[event]", r#""ws://a""#),
        ("$binary", "true"),
        ("$", r#"{"binary":true,"url":"ws://a"}"#),
    ] {
        let program = super::program(&format!("select {text} from in into out;"));
        assert!(program.reads_meta(), "{text}");
        let outputs = try_feed(&mut program.instance(), with_meta("\"url\"", meta())).unwrap();
        assert_eq!(show(&outputs), found, "{text}");
        assert_eq!(outputs[0].1.meta.to_value(), meta());
    }
    assert!(!super::program("select event.x from in where event.y into out;").reads_meta());
    assert_eq!(value("$nope", "null"), "`$nope` is not set");
}

#[test]
fn a_match_can_be_a_value() {
    let text = r#"select match event of case "snot" => "badger" default => event end from in into out;"#;
    assert_eq!(run(text, r#""snot""#), r#""badger""#);
    assert_eq!(run(text, r#""hello""#), r#""hello""#);
    let bound = r#"select match event of case r = %{ present a } when r.a > 1 => [r.a, r] case _ => 0 end from in into out;"#;
    assert_eq!(run(bound, r#"{"a":2}"#), r#"[2,{"a":2}]"#);
    assert_eq!(run(bound, r#"{"a":1}"#), "0");
    assert_eq!(value("match event of case 1 => 1 end", "[]"), "no case of this match fits an array");
}

#[test]
fn constants_are_folded_and_their_failures_are_compile_errors() {
    assert_eq!(error("select event + (1 / 0) from in into out;"), "division of 1 by zero");
    assert_eq!(error("select [1][2] from in into out;"), "[2] is out of bounds for an array with 1 element");
    assert_eq!(error("select event from in where 1 into out;"), "`where` takes a boolean, not an integer");
    let folded = Program::compile("test", "select event from in where 1 < 2 and true into out;").unwrap();
    assert!(folded.is_identity());
}
