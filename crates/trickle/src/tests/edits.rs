//! A patch of an event's text, and a merge into it, make the same document as those of its value.

use proptest::prelude::*;

use super::{event, properties::json_text, show, try_feed};
use crate::{Limits, Program, files::NoModules};
use towline_event::{Data, Event};

/// The text of an event that leaves a program.
fn text(program: &str, json: &str) -> String {
    let outputs = try_feed(&mut super::program(program).instance(), event(json)).unwrap();
    match &outputs[0].1.data {
        Data::Json(text) => text.as_text().to_string(),
        Data::Value(value) => panic!("it is a value: {value:?}"),
    }
}

#[test]
fn a_patch_keeps_the_text_of_the_fields_that_it_does_not_change() {
    let patch = |operations: &str, json: &str| {
        text(&format!("select patch event of {operations} end from in into out;"), json)
    };
    let json = r#" {"type" : "a", "n":1.50, "user": { "id" : 1e2,"x":null}, "n2":[ 1 ]}"#;
    assert_eq!(
        patch(r#"upsert "seen" => true; erase "n2""#, json),
        r#"{"type":"a","n":1.50,"user":{ "id" : 1e2,"x":null},"seen":true}"#
    );
    assert_eq!(
        patch(r#"merge "user" => {"name": event.type, "x": null}; move "n" => "m"; erase "n2""#, json),
        r#"{"type":"a","user":{"id":1e2,"name":"a"},"m":1.50}"#
    );
    assert_eq!(
        text(r#"select merge event of {"n2": null, "user": {"id": 5}} end from in into out;"#, json),
        r#"{"type":"a","n":1.50,"user":{"id":5,"x":null}}"#
    );
    assert_eq!(patch(r#"upsert "a" => 1"#, r#"{"a":2,"b":0,"\u0061":3}"#), r#"{"a":1,"b":0}"#);
    assert_eq!(patch(r#"erase "a""#, r#"{"a":1}"#), "{}");
}

#[test]
fn bytes_and_copies_make_a_value() {
    for operation in [r#"insert "b" => << 1 >>"#, r#"copy "a" => "b""#, r#"merge => {"b": [<< 1 >>]}"#] {
        let program = format!("select patch event of {operation} end from in into out;");
        let outputs = try_feed(&mut super::program(&program).instance(), event(r#"{"a":1}"#)).unwrap();
        assert!(matches!(&outputs[0].1.data, Data::Value(_)), "{operation}");
    }
}

#[test]
fn a_text_that_nests_too_deeply_is_refused_like_a_value() {
    let program = "select patch event of insert \"b\" => [event.a] end from in into out;";
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(super::run(program, &nested(125)).len(), nested(125).len() + nested(126).len() - 1);
    let error = super::run(program, &nested(126));
    assert!(error.contains("the value nests deeper than 127 levels"), "{error}");
}

fn operation() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\\n\"", "\"#{event.a}\""]);
    let value = || {
        prop::sample::select(vec![
            "1",
            "null",
            "\"\\\"#{event.b}\"",
            "{}",
            "{\"a\": null, \"b\": {\"c\": 1, \"d\": null}}",
            "{\"b\": {\"a\": {\"a\": 2}}, \"e\": [event.c]}",
            "event.a",
            "event.b.a",
            "event",
            "<< 1, 2 >>",
            "18446744073709551616",
        ])
    };
    prop_oneof![
        (prop::sample::select(vec!["insert", "upsert", "update", "merge", "default"]), key(), value())
            .prop_map(|(word, key, value)| format!("{word} {key} => {value}")),
        (prop::sample::select(vec!["merge", "default"]), value())
            .prop_map(|(word, value)| format!("{word} => {value}")),
        (prop::sample::select(vec!["move", "copy"]), key(), key())
            .prop_map(|(word, from, to)| format!("{word} {from} => {to}")),
        key().prop_map(|key| format!("erase {key}")),
    ]
}

/// A patch or a merge of the whole event.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::collection::vec(operation(), 1..4)
            .prop_map(|operations| format!("patch event of {} end", operations.join("; "))),
        1 => operation().prop_map(|operation| {
            let value = operation.split_once("=> ").map_or("{\"a\": 1}", |(_, value)| value).to_owned();
            format!("merge event of {value} end")
        }),
    ]
}

proptest! {
    #[test]
    fn a_changed_text_is_the_same_document_as_a_changed_value(
        target in target(), text in json_text(), size in prop_oneof![Just(usize::MAX), 1..300_usize], is_read: bool,
    ) {
        // What reads the result sees bytes as bytes.
        let next = if is_read { "[event, event.a, std::type::as_string(event.b)]" } else { "event" };
        let program = format!(
            "create stream s; select {target} from in where event.a != 7 into s; select {next} from s into out;"
        );
        let limits = Limits { max_value: size, ..Limits::default() };
        let Ok(program) = Program::compile_with("edit", &program, &NoModules, limits) else { return Ok(()) };
        let lazy = event(&text);
        let parsed = Event { data: lazy.data.to_value().into(), ..lazy.clone() };
        let run = |event| {
            try_feed(&mut program.instance(), event).map(|outputs| show(&outputs)).map_err(|error| error.to_string())
        };
        prop_assert_eq!(run(lazy), run(parsed));
    }
}
