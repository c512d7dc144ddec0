use super::{error, errors, event, findings, program, run, try_feed};
use crate::{Port, Program};
use towline_event::Data;

#[test]
fn programs_that_pass_events_through() {
    for text in [
        "select event from in into out;",
        "select event from in into out",
        "# a comment\n#!config id = \"x\"\nselect event from in/out into out/in where_not_here;"
            .split(" where")
            .next()
            .unwrap(),
        "select event from in where true into out having 1 == 1;",
        "create stream a; create stream b; select event from b into out; select event from a into b; select event from in into a;",
        "define script s script event end; create script s; select event from in into s; select event from s into out;",
        "define script s script emit event end; create script s; select event from in into s; select event from s into out;",
    ] {
        assert!(program(text).is_identity(), "{text}");
        assert_eq!(run(text, r#"{"a":[1]}"#), r#"{"a":[1]}"#);
    }
    for text in [
        "select event from in into reply;",
        "select event from in into err;",
        "select event from in into out; select event from in into out;",
        "select event from in where event == 1 into out;",
        "select event from in into out having event == 1;",
        "select event.a from in into out;",
        "define script s script emit event => \"p\" end; create script s; select event from in into s; select event from s/p into out;",
    ] {
        assert!(!program(text).is_identity(), "{text}");
    }
}

#[test]
fn ports_in_use() {
    let program = program("select event from in where event == 1 into out; select event from in into reply;");
    assert!(program.uses_port(Port::Out) && program.uses_port(Port::Reply) && !program.uses_port(Port::Err));
}

#[test]
fn port_journal_is_next_to_port_out() {
    let text = r#"
        select {"kind": "open", "id": event.id} from in where event.id > 1 into journal;
        select event from in into out;"#;
    assert_eq!(run(text, r#"{"id":2}"#), "journal: {\"kind\":\"open\",\"id\":2}\n{\"id\":2}");
    assert_eq!(run(text, r#"{"id":1}"#), r#"{"id":1}"#);
    assert!(program(text).uses_port(Port::Journal) && !program(text).is_identity());
    let typo = "select event from in into jounral;";
    let error = Program::compile("test", typo).unwrap_err().to_string();
    assert!(error.contains("did you mean `journal`?"), "{error}");
    let taken = Program::compile("test", "create stream journal; select event from in into journal;");
    assert!(taken.unwrap_err().to_string().contains("`journal` is a built-in stream"));
}

#[test]
fn port_move_is_no_keyword() {
    let text = "select event from in where event.bye into move; select event from in into out;";
    assert_eq!(run(text, r#"{"bye":true}"#), "move: {\"bye\":true}\n{\"bye\":true}");
    assert!(program(text).uses_port(Port::Move) && !program(text).uses_port(Port::Journal));
    let patch = r#"select patch event of move "a" => "b" end from in into move;"#;
    assert_eq!(run(patch, r#"{"a":1}"#), "move: {\"b\":1}");
}

#[test]
fn outputs_have_the_order_of_statements() {
    let text = r#"
        create stream late; create stream twice;
        select ["first", event] from late into out;
        select "second" from in where event > 0 into reply;
        select event from in into twice;
        select event + 100 from in into twice;
        select event + 1 from twice where event != 5 into late;
        select "last" from in where false into out;
        select "err" from in into err;"#;
    assert_eq!(run(text, "7"), "[\"first\",8]\n[\"first\",108]\nreply: \"second\"\nerr: \"err\"");
    assert_eq!(run(text, "5"), "[\"first\",106]\nreply: \"second\"\nerr: \"err\"");
}

#[test]
fn where_tests_the_input_and_having_the_result() {
    let text = r#"select {"n": event.n + 1} from in where event.n > 1 into out having event.n < 5;"#;
    assert_eq!(run(text, r#"{"n":1}"#), "");
    assert_eq!(run(text, r#"{"n":3}"#), r#"{"n":4}"#);
    assert_eq!(run(text, r#"{"n":4}"#), "");
    assert_eq!(run(text, r#"{"n":"x"}"#), "error: `>` is not defined for string and integer at test:1:49");
    let unsure = "select event from in where event into out;";
    assert_eq!(run(unsure, "1"), "error: `where` takes a boolean, not an integer at test:1:28");
}

#[test]
fn a_failure_discards_all_output() {
    let text = "select 1 from in into out; select event.x from in into out;";
    let mut instance = program(text).instance();
    let mut outputs = vec![(Port::Err, event("0"))];
    assert!(instance.run(event("{}"), 0, &mut outputs).is_err());
    assert_eq!(outputs.len(), 1);
    instance.run(event(r#"{"x":2}"#), 0, &mut outputs).unwrap();
    assert_eq!(outputs.len(), 3);
}

#[test]
fn a_filter_keeps_json_as_text() {
    let text = "select event from in where event.a == 1 into out; select event from in into reply;";
    let outputs = try_feed(&mut program(text).instance(), event(r#"{ "a": 1 }"#)).unwrap();
    assert_eq!(outputs.len(), 2);
    assert!(outputs.iter().all(|(_, event)| matches!(event.data, Data::Json(_))));
}

#[test]
fn an_event_has_a_limit_of_messages() {
    let mut text = "create stream s0; select event from in into s0;".to_owned();
    for n in 0..40 {
        text += &format!(
            "create stream s{0}; select event from s{n} into s{0}; select event from s{n} into s{0};",
            n + 1
        );
    }
    text += "select event from s40 into out;";
    assert!(run(&text, "1").starts_with("error: the event produced more than 4096 messages"));
}

#[test]
fn invalid_graphs_are_reported() {
    for (text, message) in [
        ("", "the program has no `select` statement"),
        ("define script s script event end;", "the program has no `select` statement"),
        ("select event from in into ou;", "there is no stream `ou`"),
        ("select event from inn into out;", "there is no stream `inn`"),
        ("select event from out into err;", "`out` is an output; it cannot be read"),
        ("select event from in into in;", "`in` is an input; events cannot be sent to it"),
        ("select event from in into out/x;", "`out` has no port `x` here"),
        ("select event from in/x into out;", "`in` has no port `x` here"),
        ("create stream out; select event from in into out;", "`out` is a built-in stream"),
        ("create stream a; select event from in into out;", "the stream `a` is never used"),
        (
            "create stream a; select event from in into out; select 1 from in into a;",
            "nothing reads from the stream `a`",
        ),
        (
            "create stream a; select event from in into out; select 1 from a into out;",
            "nothing writes to the stream `a`",
        ),
        (
            "create script s; select event from in into s; select 1 from s into out;",
            "there is no definition of a script `s`",
        ),
        (
            "define script s script event end; select event from in into s; select event from in into out;",
            "there is no stream `s`",
        ),
        (
            "define script s script event end; create script s; select event from in into out; select 1 from s into out;",
            "nothing writes to the script `s`",
        ),
        (
            "define script s script event end; create script s; select event from in into out; select 1 from in into s;",
            "nothing reads what this script emits",
        ),
        (
            "define script s script 1 end; define script s script 2 end; create script s; select event from in into s; select 1 from s into out;",
            "there is already a definition of a script `s`",
        ),
        (
            "create stream a; create stream a; select event from in into a; select event from a into out;",
            "there is already a stream `a`",
        ),
        (
            "create stream a; create stream b; select event from in into a; select event from a into b; select event from b into a; select event from b into out;",
            "events would circulate forever: b -> a -> b",
        ),
        (
            "create stream a; select event from in into a; select event from a into a; select event from a into out;",
            "events would circulate forever: a -> a",
        ),
    ] {
        let found = findings(text);
        assert_eq!(found.messages().collect::<Vec<_>>(), [message], "{text}");
    }
    let both = "create stream a; create stream b; select event from a into b; select event from b into a; select event from in into out;";
    assert_eq!(error(both), "events would circulate forever: b -> a -> b");
}

#[test]
fn unsupported_features_are_refused_by_name() {
    for (text, message) in [
        ("select event from in[w] into out;", "windows are not supported yet"),
        (
            "define tumbling window w with size = 2 end; select event from in into out;",
            "windows are not supported yet",
        ),
        (
            "define window w from tumbling with size = 2 end; select event from in into out;",
            "windows are not supported yet",
        ),
        (
            "define tumbling window w with size = 2 script event.t end; select event from in into out;",
            "windows are not supported yet",
        ),
        (
            "select event from in group by set(event.a, each(event.b)) into out;",
            "grouping is not supported yet",
        ),
        ("select event from in group by event.a into out;", "grouping is not supported yet"),
        (
            "define qos::wal operator w; select event from in into out;",
            "the operator `qos::wal` is not supported",
        ),
        ("select event | 1 from in into out;", "the operator `|` is not supported yet"),
        ("create flow f; select event from in into out;", "a program has no flows"),
        (
            "intrinsic fn f(x) as string::f; select event from in into out;",
            "a program cannot declare functions of the library",
        ),
    ] {
        assert_eq!(errors(text).messages().next(), Some(message), "{text}");
        assert_eq!(errors(text).len(), 1, "{}", errors(text));
    }
}
