use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(before: &str, after: &str) {
    let form = if before.contains("select") { Form::Program } else { Form::Script };
    let formatted = match format("test", before, form) {
        Ok(formatted) => formatted,
        Err(errors) => panic!("{errors}"),
    };
    assert_eq!(formatted, after, "formatted:\n{formatted}");
    assert_eq!(format("test", after, form).unwrap(), after, "not stable");
}

#[test]
fn spaces_are_normalized() {
    check("event.a+1", "event.a + 1\n");
    check("-event . a * - 1", "-event.a * -1\n");
    check("not(event . a[ 0 ] [1 : 2])", "not (event.a[0][1:2])\n");
    check("$ .binary and present $ . a", "$.binary and present $.a\n");
    check("let $a=[ 1,2 , {\"a\" :1}]", "let $a = [1, 2, {\"a\": 1}]\n");
    check("\"a#{ event.b+1 }\"+\"c\"", "\"a#{ event.b+1 }\" + \"c\"\n");
    check("(1) .x; 1 % ( 2)", "(1).x;\n1 % (2)\n");
    check("event>=1 and! 2==3", "event >= 1 and !2 == 3\n");
}

#[test]
fn blocks_have_lines() {
    check(
        "match event of case %{a==1,present b} when event.c => 1; case x=%( 1,... ) => let y=1; y default=> drop end",
        "match event of\n    case %{ a == 1, present b } when event.c => 1;\n    case x = %( 1, ... ) =>\n        let y = 1;\n        y\n    default => drop\nend\n",
    );
    check(
        "let x = match event of case 1 => match event of case 1 => 2 end default => {} end; x",
        "let x = match event of\n    case 1 => match event of\n        case 1 => 2\n    end\n    default => {}\nend;\nx\n",
    );
}

#[test]
fn queries_have_one_line_or_one_per_clause() {
    check(
        "define script a with x=1,y = 2 script let event.x=args.x;event end; create script a from a with x=3 end;\n\n\nselect event from in into a;select event from a/other where event.x into out;select event from a into out",
        "define script a\nwith\n    x = 1,\n    y = 2\nscript\n    let event.x = args.x;\n    event\nend;\ncreate script a from a with x = 3 end;\n\nselect event from in into a;\nselect event from a/other where event.x into out;\nselect event from a into out\n",
    );
    check(
        "select {\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": event.aaaaaaaaaaaaaaaaaaaaaaaaaaa, \"bbbbbbbbbbbbbbbb\": [event.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb]} from in where event.x into out;",
        "select {\n    \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": event.aaaaaaaaaaaaaaaaaaaaaaaaaaa,\n    \"bbbbbbbbbbbbbbbb\": [event.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb]\n}\nfrom in\nwhere event.x\ninto out;\n",
    );
}

#[test]
fn operators_without_parameters_are_one_line() {
    check(
        "define generic::counter operator c;create operator c;mod m with define operator d from passthrough end;select event from in into c;select event from c into out",
        "define generic::counter operator c;\ncreate operator c;\nmod m with\n    define operator d from passthrough\nend;\nselect event from in into c;\nselect event from c into out\n",
    );
}

#[test]
fn blocks_of_ports_have_the_same_indentation() {
    check(
        "define script s args a,b=1 state {\"n\":args.a} script from x let state=args.state;drop script from y event script use a::b;state end;create script s;select event from in into s/x",
        "define script s\nargs\n    a,\n    b = 1\nstate\n    {\"n\": args.a}\nscript from x\n    let state = args.state;\n    drop\nscript from y\n    event\nscript\n    use a::b;\n    state\nend;\ncreate script s;\nselect event from in into s/x\n",
    );
    check(
        "define script s with state=1,script = 2 end script args.script end;select 1 from in into out",
        "define script s\nwith\n    state = 1,\n    script = 2\nend\nscript\n    args.script\nend;\nselect 1 from in into out\n",
    );
}

#[test]
fn blocks_have_lines_in_scripts() {
    for (before, after) in [
        (
            "fn f(a,b) with let x=a;recur(x, b) end; f( 1 ,2)",
            "fn f(a, b) with\n    let x = a;\n    recur(x, b)\nend;\nf(1, 2)\n",
        ),
        (
            "fn f(x) of case (0) => 1 default=>std::a::b(x) end",
            "fn f(x) of\n    case (0) => 1\n    default => std::a::b(x)\nend\n",
        ),
        ("for event of case (k,v) => {k:v} end", "for event of\n    case (k, v) => {k: v}\nend\n"),
        (
            "for event of case (k,v) when v>1=> let x=v;x case (k,v)=>v into 0 use * end;x",
            "for event of\n    case (k, v) when v > 1 =>\n        let x = v;\n        x\n    case (k, v) => v\ninto 0 use *\nend;\nx\n",
        ),
        (
            "patch event of insert \"a\"=>1;merge \"b\" => {};merge => {}; erase \"c\" end",
            "patch event of\n    insert \"a\" => 1;\n    merge \"b\" => {};\n    merge => {};\n    erase \"c\"\nend\n",
        ),
        ("merge event of {\"a\":1} end", "merge event of {\"a\": 1} end\n"),
        (
            "mod m with const X=1;fn y() with 2 end end;use a::b as c",
            "mod m with\n    const X = 1;\n    fn y() with\n        2\n    end\nend;\nuse a::b as c\n",
        ),
        (
            "match x of case %{a~=re|b c|, d ~= %[~glob|*|]} => << 1 :8/unsigned-big, x >> end",
            "match x of\n    case %{ a ~= re|b c|, d ~= %[ ~ glob|*| ] } => << 1:8/unsigned-big, x >>\nend\n",
        ),
    ] {
        let laid = layout::layout(&lexemes::lexemes(before));
        assert_eq!(laid, after, "laid:\n{laid}");
        assert!(is_equivalent(before, after), "{after}");
        assert_eq!(layout::layout(&lexemes::lexemes(after)), after, "not stable");
    }
}

#[test]
fn comments_and_empty_lines_are_kept() {
    check(
        "# first\n\n\n#!config id = \"x\"\n# second\nselect event # third\nfrom in into out;  # fourth\n# fifth\n\n",
        "# first\n\n#!config id = \"x\"\n# second\nselect event # third\nfrom in\ninto out; # fourth\n# fifth\n",
    );
    check(
        "match event of # a\n# b\ncase 1 => 2 # c\n# d\nend",
        "match event of # a\n    # b\n    case 1 => 2 # c\n    # d\nend\n",
    );
    check("[ # a\n1, # b\n2]", "[ # a\n    1, # b\n    2\n]\n");
    check("event.a == 1\n and event.b", "event.a == 1\n    and event.b\n");
    check("let x = \"\"\"\n  a\n b\"\"\";x", "let x = \"\"\"\n  a\n b\"\"\";\nx\n");
}

/// This test has no time limit: a quadratic formatter would take minutes.
#[test]
fn the_longest_program_is_formatted() {
    let record = format!("[{}]", vec!["{\"a\":[1,{}]}"; 10_000].join(","));
    let statements =
        "select match event of case %{a} => [1] default => {} end from in into out;\n".repeat(5_000);
    for text in [format!("select {record} from in into out"), statements] {
        let formatted = format("long", &text, Form::Program).unwrap();
        assert!(formatted != text && is_equivalent(&text, &formatted));
        assert_eq!(format("long", &formatted, Form::Program).unwrap(), formatted);
    }
}

#[test]
fn a_syntax_error_is_reported() {
    assert_eq!(format("x", "select event frm in;", Form::Program).unwrap_err().len(), 1);
}

/// Random combinations of program fragments. Those that parse must keep their tokens, and formatting must be
/// idempotent.
fn any_script() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("event".to_owned()),
        Just("event.a".to_owned()),
        Just("$x".to_owned()),
        Just("1".to_owned()),
        Just("- 1.5".to_owned()),
        Just("\"a #{ event } b\"".to_owned()),
        Just("\"\"\"\n doc\n\"\"\"".to_owned()),
        Just("# note\ntrue".to_owned()),
        Just("null # note\n".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        let gap = prop_oneof![Just(" "), Just("\n"), Just(" # c\n"), Just("\n\n\n# c\n\n")];
        prop_oneof![
            (inner.clone(), inner.clone(), "[+*-]|and|or|==|%|>>", gap.clone())
                .prop_map(|(a, b, op, gap)| format!("({a}{gap}{op}{gap}{b})")),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                let fields: Vec<_> = items.iter().map(|item| format!("\"k\":{item}")).collect();
                format!("{{ {} }}", fields.join(" , "))
            }),
            (inner.clone(), inner.clone(), inner.clone(), gap.clone()).prop_map(|(a, b, c, gap)| {
                format!("match {a} of{gap}case %{{ a ,present b}} =>{b};{c}{gap}default=>{c};end")
            }),
            (inner.clone(), inner.clone(), inner, gap).prop_map(|(a, b, c, gap)| format!(
                "match {a} of case {b}=>{c}{gap}case x=_ => emit {b} => \"p\" end"
            )),
        ]
    })
}

proptest! {
    #[test]
    fn formatting_keeps_tokens_and_is_stable(parts in prop::collection::vec(any_script(), 1..4)) {
        let text = parts.join(";\n");
        let Ok(once) = format("x", &text, Form::Script) else { return Ok(()) };
        // Call the layout directly: `format` returns the original text if tokens changed.
        let laid = layout::layout(&lexemes::lexemes(&text));
        prop_assert!(is_equivalent(&text, &laid), "changed:\n{text}\nto\n{laid}");
        prop_assert_eq!(format("x", &once, Form::Script).unwrap(), once);
    }
}
