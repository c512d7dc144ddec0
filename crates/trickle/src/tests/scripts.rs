use super::{error, event, program, run, script, scripted, show, try_feed, warning, with_meta};
use towline_event::{Data, Value};

#[test]
fn the_last_value_is_the_output() {
    assert_eq!(script("event", "1"), "1");
    assert_eq!(script("1; 2", "0"), "2");
    assert_eq!(script("let event.a = 1", "{}"), "1");
    assert_eq!(script("let event.a = 1; event", "{}"), r#"{"a":1}"#);
    assert_eq!(script("", "7"), "7");
}

#[test]
fn let_assigns_to_its_path() {
    for (body, json, found) in [
        ("let event.a.b.c = 1; event", "{}", r#"{"a":{"b":{"c":1}}}"#),
        ("let event[\"x y\"] = 1; event", "{}", r#"{"x y":1}"#),
        ("let event[event.k] = 1; event", r#"{"k":"n"}"#, r#"{"k":"n","n":1}"#),
        ("let event.l[1] = 9; event", r#"{"l":[1,2]}"#, r#"{"l":[1,9]}"#),
        ("let event = [event]; event", "1", "[1]"),
        ("let x = event.a; let x.b = 2; [x, event]", r#"{"a":{}}"#, r#"[{"b":2},{"a":{}}]"#),
        ("let x = 1; let y = x + 1; let x = x + y; [x, y]", "null", "[3,2]"),
        ("let `a b` = 1; `a b`", "null", "1"),
        ("let x = match event of case 1 => let event = 5; 6 default => 7 end; [x, event]", "1", "[6,5]"),
    ] {
        assert_eq!(script(body, json), found, "{body}");
    }
    for (body, json, message) in [
        ("let event.a.b = 1", r#"{"a":1}"#, "only records have keys, but this is an integer"),
        ("let event.l[2] = 9", r#"{"l":[1,2]}"#, "[2] is out of bounds for an array with 2 elements"),
        ("match event of case 1 => let x = 1 default => 0 end; x", "2", "this local has no value yet"),
        ("let state.a = 1", "null", "`state` is null until it is set, so it has no parts yet"),
    ] {
        let found = script(body, json);
        assert!(found.starts_with(&format!("error: {message} at test:1:")), "{body}: {found}");
    }
}

#[test]
fn metadata_is_written() {
    let feed = |body: &str| {
        let before = Value::record([("a", Value::Int(1))]);
        try_feed(&mut program(&scripted(body)).instance(), with_meta("{}", before))
    };
    let meta = |body: &str| feed(body).unwrap()[0].1.meta.to_value().to_json();
    assert_eq!(
        meta("let $url = \"ws://b\"; let $binary = true; event"),
        r#"{"binary":true,"a":1,"url":"ws://b"}"#
    );
    assert_eq!(meta("let $x.y.z = 1; event"), r#"{"binary":false,"a":1,"x":{"y":{"z":1}}}"#);
    assert_eq!(meta("let $ = {\"b\": 2}; event"), r#"{"binary":false,"b":2}"#);
    assert_eq!(meta("let $[\"a\" + \"b\"] = 2; event"), r#"{"binary":false,"a":1,"ab":2}"#);
    assert_eq!(
        feed("let $binary = 1; event").unwrap_err().message(),
        "$binary takes true or false, not integer"
    );
    assert_eq!(feed("let $ = 1; event").unwrap_err().message(), "$ takes a record, not integer");
    assert!(!program(&scripted("let $url = 1; event")).reads_meta());
    assert!(program(&scripted("let $url.x = 1; event")).reads_meta());
}

#[test]
fn emit_and_drop_end_a_script() {
    assert_eq!(
        script(
            "match event of case 1 => drop case 2 => emit case 3 => emit \"three\" default => 0 end; \"on\"",
            "1"
        ),
        ""
    );
    let body =
        "match event of case 1 => drop case 2 => emit case 3 => emit \"three\" default => 0 end; \"on\"";
    assert_eq!(script(body, "2"), "2");
    assert_eq!(script(body, "3"), "\"three\"");
    assert_eq!(script(body, "4"), "\"on\"");
    assert_eq!(warning(&scripted("emit 1; 2")), "this is never reached");
    assert_eq!(script("emit 1; 2", "null"), "1");
    assert_eq!(script("let x = emit 1; emit 2", "null"), "1");
    assert_eq!(
        error("select drop from in into out;"),
        "`drop` is a statement of a script and is not allowed inside an expression"
    );
}

#[test]
fn ports_of_scripts() {
    let text = r#"
        define script route with high = 10 script
          match event of
            case %{ n > args.high } => emit {"high": event.n} => "high"
            case %{ absent n } => emit => "odd"
            default => event
          end
        end;
        create script route with high = 5 end;
        select event from in into route;
        select event from route into out;
        select event from route/high into reply;
        select event from route/odd into err;"#;
    assert_eq!(run(text, r#"{"n":5}"#), r#"{"n":5}"#);
    assert_eq!(run(text, r#"{"n":6}"#), r#"reply: {"high":6}"#);
    assert_eq!(run(text, r#"{}"#), "err: {}");
    assert_eq!(
        warning(&text.replace("route/odd", "route/odt")),
        "the script `route` never emits to a port `odt`"
    );
}

#[test]
fn errors_of_a_script_leave_by_its_port() {
    let text = "define script s\nscript\n  let event.a = event.x.y;\n  event\nend;\ncreate script s;
select event from in into s; select event from s into out;";
    assert_eq!(run(text, r#"{"x":1}"#), "error: only records have keys, but this is an integer at test:3:24");
    let wired = format!("{text} select event from s/err into err;");
    let error =
        r#"err: {"error":"only records have keys, but this is an integer at test:3:24","event":{"x":1}}"#;
    assert_eq!(run(&wired, r#"{"x":1}"#), error);
    assert_eq!(run(&wired, r#"{"x":{"y":2}}"#), r#"{"x":{"y":2},"a":2}"#);
}

#[test]
fn every_spelling_of_a_script() {
    let rest = "create script s; select event from in into s; select event from s into out;";
    for define in [
        "define script s script args end;",
        "define script s with a = 1 script args end;",
        "define script s with a = 1, b = 1 + 1, end script args end;",
        "define script s args a = [1, {\"b\": -2}] script args end;",
    ] {
        run(&format!("{define} {rest}"), "null");
    }
    let from = "define script d with a = 1, b = 2 script [args.a, args.b] end;
        create script x from d with b = 3 end; select event from in into x; select event from x into out;";
    assert_eq!(run(from, "null"), "[1,3]");
    assert_eq!(error(&from.replace("with b = 3", "with c = 3")), "`d` has no parameter `c`");
    assert_eq!(
        error(&from.replace("with b = 3", "with b = event")),
        "a parameter cannot depend on the event"
    );
    assert_eq!(error(&from.replace("args.a", "args.z")), "there is no parameter `z`");
}

#[test]
fn each_instance_has_its_own_state() {
    let text = scripted(
        "match state of case null => let state = {\"n\": 1} default => let state.n = state.n + 1 end; state.n",
    );
    let program = program(&text);
    let (mut one, mut other) = (program.instance(), program.instance());
    let count = |instance: &mut _| show(&try_feed(instance, event("null")).unwrap());
    assert_eq!(
        (count(&mut one), count(&mut one), count(&mut other), count(&mut one)),
        ("1".into(), "2".into(), "1".into(), "3".into())
    );
    assert_eq!(error("select state from in into out;"), "only a script has a state");
}

#[test]
fn a_name_bound_by_a_case_is_local_to_it() {
    let body =
        "let x = 1; let y = match event of case x = %{ a } => let z = x.a; x case _ => x end; [x, y, z]";
    assert_eq!(script(body, r#"{"a":2}"#), r#"[1,{"a":2},2]"#);
    assert_eq!(error(&scripted("match event of case n = 1 => n default => n end")), "there is no local `n`");
}

#[test]
fn patterns() {
    let body = r#"match event of
        case 1 => "one"
        case 0.5 => "half"
        case "a" + "b" => "ab"
        case %{ kind == "x", size >= 10, size < 20 } => "x 10..20"
        case %{ present kind, absent size } => "kind only"
        case %{ deep ~= %{ a ~= %[ 7, %{ b } ] } } => "deep"
        case %{ `odd key` != 1, "other key" } => "odd"
        case %{ name ~= "n" } => "named"
        case %{ } => "record"
        case %( 1, _, %{ a } ) => "tuple"
        case %( 1, 2, ... ) => "starts with 1, 2"
        case %( ) => "empty"
        case %[ 5, "s" ] => "has 5 and s"
        case x = %[ ] => ["array", x]
        case null => "null"
        case s when s == event => "never"
        default => "other"
    end"#;
    let body = body.replace("case s when s == event => \"never\"\n", "case b = _ when b == true => b\n");
    for (json, found) in [
        ("1", r#""one""#),
        ("1.0", r#""one""#),
        ("0.5", r#""half""#),
        (r#""ab""#, r#""ab""#),
        (r#"{"kind":"x","size":15}"#, r#""x 10..20""#),
        (r#"{"kind":"x","size":20}"#, r#""record""#),
        (r#"{"kind":"x","size":"big"}"#, r#""record""#),
        (r#"{"kind":"y"}"#, r#""kind only""#),
        (r#"{"deep":{"a":[1,{"b":0},7]}}"#, r#""deep""#),
        (r#"{"odd key":2,"other key":0}"#, r#""odd""#),
        (r#"{"name":"n"}"#, r#""named""#),
        (r#"{}"#, r#""record""#),
        (r#"[1,0,{"a":0}]"#, r#""tuple""#),
        (r#"[1,2,3,4]"#, r#""starts with 1, 2""#),
        ("[1,2]", r#""starts with 1, 2""#),
        ("[]", r#""empty""#),
        (r#"[0,"s",5]"#, r#""has 5 and s""#),
        ("[0]", r#"["array",[]]"#),
        ("null", r#""null""#),
        ("true", "true"),
        ("false", r#""other""#),
    ] {
        assert_eq!(script(&body, json), found, "{json}");
    }
}

#[test]
fn built_values_are_limited() {
    let mut deep = program(&scripted("let state = [state]; 1")).instance();
    let last = (0..200).find_map(|_| try_feed(&mut deep, event("1")).err()).unwrap();
    assert_eq!(last.message(), "the value nests deeper than 127 levels");

    let mut wide = program(&scripted(
        "match state of case null => let state = \"0123456789\" default => let state = state + state end; 1",
    ))
    .instance();
    let last = (0..64).find_map(|_| try_feed(&mut wide, event("1")).err()).unwrap();
    assert_eq!(last.message(), "the value is larger than 16 MiB");

    let shared = "let x = [event, event];".to_owned() + &"let x = [x, x];".repeat(40);
    assert!(script(&shared, "1").starts_with("error: the value is larger than 16 MiB"));
    let texts = "let x = \"0123456789\";".to_owned() + &"let x = \"#{x}#{x}\";".repeat(40);
    assert!(script(&texts, "1").starts_with("error: the value is larger than 16 MiB"));

    let mut grows = program(&scripted(
        "match state of case null => let state = {} default => 0 end; let state[event.k] = event.v; 1",
    ))
    .instance();
    let mebibyte = "x".repeat(1 << 20);
    let feed = |instance: &mut _, key: usize| {
        try_feed(instance, event(&format!(r#"{{"k":"{key}","v":"{mebibyte}"}}"#)))
    };
    assert_eq!((0..64).find(|key| feed(&mut grows, *key).is_err()), Some(15));
    assert!(feed(&mut grows, 99).unwrap_err().message().starts_with("the state would grow larger"));
    // What is there can still be replaced.
    let mut replaces = program(&scripted(
        "match state of case null => let state = {} default => 0 end; let state.v = event.v; 1",
    ))
    .instance();
    for _ in 0..64 {
        feed(&mut replaces, 0).unwrap();
    }
}

#[test]
fn unchanged_json_stays_text() {
    let json = r#"{ "a": 1 }"#;
    for body in [
        "event",
        "let $url = \"ws://b\"; event",
        "match event of case %{ a == 1 } => event default => drop end",
    ] {
        let outputs = try_feed(&mut program(&scripted(body)).instance(), event(json)).unwrap();
        let Data::Json(text) = &outputs[0].1.data else { panic!("{body} rebuilt the data") };
        assert_eq!(text.as_text(), json);
    }
}
