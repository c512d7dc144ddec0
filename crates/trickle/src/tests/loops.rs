//! Tests of `for`, `patch`, `merge`, binaries, and the results of patterns.

use super::{constant, error, errors, script, scripted, value};

#[test]
fn loops_have_a_result_for_each_element() {
    for (text, json, found) in [
        ("for event of case (k, v) => [k, v] end", r#"{"a":1,"b":2}"#, r#"[["a",1],["b",2]]"#),
        ("for event of case (i, e) => i + e end", "[10,20]", "[10,21]"),
        ("for event of case (i, e) when e > 10 => e end", "[10,20,30]", "[20,30]"),
        (
            "for event of case (i, e) when i == 0 => \"first\" case (n, x) when x > 20 => n default => null end",
            "[10,20,30]",
            "[\"first\",null,2]",
        ),
        ("for event of case (i, e) => e case _ => 0 end", "[]", "[]"),
        ("for event of case (i, e) => e end", "1", "[]"),
        (
            "for event of case (i, e) => for e of case (j, f) => [i, j, f] end end",
            "[[1],[2,3]]",
            "[[[0,0,1]],[[1,0,2],[1,1,3]]]",
        ),
        ("(for event of case (i, e) => e end)[0]", "[7]", "7"),
        (
            "{\"l\": for event of case (i, e) => match e of case 1 => \"one\" default => e end end}",
            "[1,2]",
            r#"{"l":["one",2]}"#,
        ),
        ("for event of case (i, e) => e.x end", "[{}]", "there is no key `x`"),
    ] {
        assert_eq!(value(text, json), found, "{text}");
        let found = if found.starts_with("there is") { format!("error: {found}") } else { found.to_owned() };
        let in_script = script(text, json);
        assert!(in_script.starts_with(&found), "{text}: {in_script}");
    }
    assert_eq!(
        error("select for event of case (i, e) => i end + e from in into out;"),
        "there is no local `e`"
    );
}

#[test]
fn loops_of_scripts_have_statements() {
    for (body, json, found) in [
        ("let sum = 0; for event of case (i, e) => let sum = sum + e end; sum", "[1,2,3]", "6"),
        ("let l = for event of case (i, e) => let x = e * 2; x + i end; l", "[1,2]", "[2,5]"),
        (
            "for event of case (k, v) => let event[k] = v + 1 end; event",
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":3}"#,
        ),
        (
            "for event of case (i, e) when e == 2 => emit [\"found\", i] end; \"none\"",
            "[1,2,3]",
            r#"["found",1]"#,
        ),
        ("for event of case (i, e) when e == 2 => emit [\"found\", i] end; \"none\"", "[1,3]", "\"none\""),
        ("for event of case (i, e) => drop end; 1", "[1]", ""),
        ("for event of case (i, e) => event end", "[1]", "[[1]]"),
    ] {
        assert_eq!(script(body, json), found, "{body}");
    }
    let fold = "fn sum(list) with let total = 0; for list of case (i, e) => let total = total + e end; total end; sum(event)";
    assert_eq!(script(fold, "[1,2,3]"), "6");
}

#[test]
fn loops_stay_within_limits() {
    let many = "let x = [event, event]; let x = [x, x]; let x = for x of case (i, e) => [x, x, x] end; 1";
    assert!(script(many, "1").starts_with('1'));
    let text = "let t = \"0123456789abcdef\";".to_owned()
        + &"let t = t + t;".repeat(16)
        + "for event of case (i, e) => t + t end";
    let list = format!("[{}]", vec!["0"; 100].join(","));
    assert!(script(&text, &list).contains("the value is larger than 16 MiB"), "{}", script(&text, &list));
    let turns = "let n = 0; for event of case (i, a) => for event of case (j, b) => for event of case (k, c) => let n = n + 1 end end end; n";
    let list = format!("[{}]", vec!["0"; 200].join(","));
    assert!(script(turns, &list).contains("the event took more than 1000000 steps"));
}

#[test]
fn patches_change_records() {
    let json = r#"{"a":1,"b":{"c":2}}"#;
    for (operations, found) in [
        (r#"insert "x" => 2"#, r#"{"a":1,"b":{"c":2},"x":2}"#),
        (r#"insert "a" => 2"#, "there is already a key `a`"),
        (r#"upsert "a" => 2; upsert "x" => 3"#, r#"{"a":2,"b":{"c":2},"x":3}"#),
        (r#"update "a" => event.b.c"#, r#"{"a":2,"b":{"c":2}}"#),
        (r#"update "x" => 2"#, "there is no key `x` to update"),
        (r#"erase "a"; erase "nothing""#, r#"{"b":{"c":2}}"#),
        (r#"move "a" => "z""#, r#"{"b":{"c":2},"z":1}"#),
        (r#"move "a" => "b""#, "there is already a key `b`"),
        (r#"move "nothing" => "z""#, json),
        (r#"copy "a" => "z""#, r#"{"a":1,"b":{"c":2},"z":1}"#),
        (r#"copy "a" => "b""#, "there is already a key `b`"),
        (r#"copy "nothing" => "z";"#, json),
        (r#"merge "b" => {"c": null, "d": {"e": null, "f": 1}}"#, r#"{"a":1,"b":{"d":{"f":1}}}"#),
        (r#"merge "new" => {"x": 1}"#, r#"{"a":1,"b":{"c":2},"new":{"x":1}}"#),
        (r#"merge "a" => {"x": 1}"#, "`merge` takes a record, not an integer"),
        (r#"merge "b" => 5"#, r#"{"a":1,"b":5}"#),
        (r#"merge => {"a": null, "n": 1}"#, r#"{"b":{"c":2},"n":1}"#),
        (r#"merge => 1"#, "`merge` takes a record, not an integer"),
        (r#"default "a" => event.missing; default "x" => 9"#, r#"{"a":1,"b":{"c":2},"x":9}"#),
        (r#"default => {"a": 5, "b": {"c": 0, "d": 4}, "e": 6}"#, r#"{"a":1,"b":{"c":2,"d":4},"e":6}"#),
        (r#"default => 1"#, "`default` takes a record, not an integer"),
        (r##"insert "#{event.a}k" => 1"##, r#"{"a":1,"b":{"c":2},"1k":1}"#),
        // Values are evaluated before the patch.
        (r#"upsert "a" => 5; insert "was" => event.a"#, r#"{"a":5,"b":{"c":2},"was":1}"#),
    ] {
        assert_eq!(value(&format!("patch event of {operations} end"), json), found, "{operations}");
    }
    assert_eq!(value("patch event of erase \"a\" end", "[1]"), "`patch` takes a record, not an array");
    assert_eq!(constant(r#"patch {"a": 1} of insert "b" => 2; move "a" => "c" end"#), r#"{"b":2,"c":1}"#);
    assert_eq!(constant(r#"patch {"a": 1} of insert "a" => 2 end"#), "there is already a key `a`");
    assert_eq!(script(r#"let event = patch event of merge => {"n": 1} end; event.n"#, "{}"), "1");
    assert_eq!(value(r#"(patch event of insert "x" => 2 end).x"#, "{}"), "2");
}

#[test]
fn merges_follow_rfc_7386() {
    // Appendix A, where both sides are objects.
    for (target, spec, found) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(value(&format!("merge event of {spec} end"), target), found, "{target} {spec}");
    }
    assert_eq!(value("merge event of {} end", "1"), "`merge` takes a record, not an integer");
    assert_eq!(value("merge {} of event end", "1"), "`merge` takes a record, not an integer");
}

#[test]
fn binaries_are_built_bit_by_bit() {
    let bytes = |text: &str| {
        use base64::Engine as _;
        let json = constant(text);
        let text: String = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{json}"));
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    };
    for (text, found) in [
        ("<<>>", &[][..]),
        ("<< 42 >>", &[42]),
        ("<<1,2,3,4>>", &[1, 2, 3, 4]),
        ("<< 1:4 >>", &[1]),
        ("<< 1:4, 1:4 >>", &[17]),
        ("<< 1:2/little, 1:6/big >>", &[65]),
        ("<< 258:16 >>", &[1, 2]),
        ("<< 258:16/little >>", &[2, 1]),
        ("<< 66051:24/little-unsigned-integer >>", &[3, 2, 1]),
        ("<< 4328719365:32 >>", &[2, 3, 4, 5]),
        ("<< 4328719365:40/unsigned_little >>", &[5, 4, 3, 2, 1]),
        ("<< 72623859790382856:64 >>", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("<< -1:8/signed >>", &[255]),
        ("<< -2:12/signed-big, 1:4 >>", &[255, 225]),
        ("<< 1:4, << 1,2,3,4 >>/binary >>", &[16, 16, 32, 48, 4]),
        ("<< 1:4, << 1,2,3,4 >>:2/binary >>", &[16, 16, 2]),
        ("<< \"ab\"/binary, 0:0 >>", b"ab"),
        ("<< 1 >> + << 2 >>", &[1, 2]),
    ] {
        assert_eq!(bytes(text), found, "{text}");
    }
    for (text, message) in [
        ("<< 1:65 >>", "a number has at most 64 bits"),
        ("<< 1/unsinged >>", "`unsinged` is not a binary type"),
        ("<< -1 >>", "an unsigned integer is needed here, not -1"),
        ("<< \"a\" >>", "an unsigned integer is needed here, not a string"),
        ("<< 1/binary >>", "a binary is needed here, not an integer"),
        ("<< \"ab\":3/binary >>", "3 bytes are required, but the binary has 2"),
        ("<< 1 2 >>", "expected `:`, `/`, `,` or `>>`, found a number"),
    ] {
        assert_eq!(constant(text), message, "{text}");
    }
    assert!(
        errors("select << 1/unsinged >> from in into out;").to_string().contains("did you mean `unsigned`?")
    );
}

#[test]
fn patterns_extract() {
    for (case, json, found) in [
        ("case ~ json|| => \"json\"", "\"{}\"", "\"json\""),
        ("case r = ~ json|| => r.a", r#""{\"a\":5}""#, "5"),
        ("case r = ~ json|| when r.a == 5 => \"five\"", r#""{\"a\":5}""#, "\"five\""),
        ("case %{ a ~= json|| } => \"yes\"", r#"{"a":"1"}"#, "\"yes\""),
        (
            "case r = %{ a ~= json||, present b, c == 1 } => r",
            r#"{"a":"{\"x\":1}","b":2,"c":1,"d":0}"#,
            r#"{"a":{"x":1},"b":2}"#,
        ),
        ("case r = %{ n = a ~= json|| } => r", r#"{"a":"1"}"#, r#"{"n":1}"#),
        ("case r = %{ a ~= %{ b ~= json|| } } => r", r#"{"a":{"b":"1","c":2}}"#, r#"{"a":{"b":1}}"#),
        ("case %[ ~ glob|a*| ] => \"has\"", r#"["b","ab"]"#, "\"has\""),
        ("case r = %[ ~ glob|a*|, 1, _ ] => r", r#"["ab",1,"ac"]"#, r#"[[0,true],[2,true],[1,1]]"#),
        ("case r = %[ %{ a } ] => r", r#"[0,{"a":1,"b":2}]"#, r#"[[1,{"a":1}]]"#),
        ("case r = %( 1, ~ json||, _, ... ) => r", r#"[1,"[2]",3,4]"#, "[1,[2],3]"),
        ("case r = 5 => r", "5", "5"),
        (r"case r = %{ b ~= re|^(?P<c>x\|y)$| } => r", r#"{"b":"x"}"#, r#"{"b":{"c":"x"}}"#),
        ("case ~ json|| => 1", "5", "\"no\""),
        ("case r = %{ a ~= glob|x*| } => 1", r#"{"a":"y"}"#, "\"no\""),
        ("case r = %( ~ json|| ) => 1", "[1]", "\"no\""),
        ("case r = %[ ~ json|| ] => 1", "[1]", "\"no\""),
    ] {
        let text = format!("match event of {case} default => \"no\" end");
        assert_eq!(value(&text, json), found, "{text}");
        assert_eq!(script(&text, json), found, "{text}");
    }
    assert_eq!(
        error("select match event of case ~ jsn|| => 1 default => 2 end from in into out;"),
        "there is no extractor `jsn`"
    );
    for (extractor, message) in [
        ("json|x|", "`json` takes no format; leave the space between its `|` empty"),
        ("datetime||", "`datetime` takes a format such as %Y-%m-%d %H:%M:%S"),
    ] {
        let text = scripted(&format!("match event of case ~ {extractor} => 1 default => 2 end"));
        assert_eq!(error(&text), message);
    }
    let near =
        errors("select match event of case ~ jsn|| => 1 default => 2 end from in into out;").to_string();
    assert!(near.contains("did you mean `json`?"), "{near}");
}
