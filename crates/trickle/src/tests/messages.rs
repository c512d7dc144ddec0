use super::{errors, event, program, try_feed};

/// The whole text of a program's errors, as users see it.
fn printed(text: &str) -> String {
    errors(text).to_string()
}

#[test]
fn an_error_shows_its_position_and_a_suggestion() {
    let expected = "\
error: there is no stream `ou`
 --> test:2:6
  |
2 | into ou;
  |      ^^ not a stream or script of this program
  = help: did you mean `out`?";
    assert_eq!(printed("select event from in\ninto ou;"), expected);
}

#[test]
fn columns_count_characters_and_tabs() {
    let expected = "\
error: expected an expression, found `;`
 --> test:1:13
  |
1 |  select \"ü\"+;
  |             ^ expected an expression";
    assert_eq!(printed("\tselect \"ü\"+;"), expected);
}

#[test]
fn carets_are_aligned_below_wide_and_zero_width_characters() {
    let lines = |text: &str| printed(text).lines().skip(3).take(2).map(str::to_owned).collect::<Vec<_>>();
    // Each of the three characters is two columns wide.
    assert_eq!(
        lines("select \"日本語\" + ;"),
        ["1 | select \"日本語\" + ;", "  |                   ^ expected an expression"]
    );
    assert_eq!(
        lines("select 日本 from in into out;"),
        ["1 | select 日本 from in into out;", "  |        ^^^^ has no value here"]
    );
    // The accent is a separate character of zero width.
    assert_eq!(lines("select \"e\u{301}\"+;")[1], "  |            ^ expected an expression");
}

#[test]
fn all_errors_are_found_at_once() {
    let text = "\
selct event from in into out;
select event form in into out;
define script s script
  let x = (1 + ;
  let y = match x of case 1 => 2 case => 3 end;
  let = 5;
  zz
end;
create script s;
select \"abc from in into out;
select event from in into out nothing;
select event from in inot out;
select event from in where into out;
select zz from nowhere into out;
create stream in;";
    let errors = errors(text);
    let found: Vec<(usize, String)> =
        errors.positions().map(|place| place.line).zip(errors.messages().map(str::to_owned)).collect();
    let wanted = [
        (1, "expected `select`, `create` or `define`, found `selct`"),
        (2, "expected `from`, found `form`"),
        (4, "expected an expression, found `;`"),
        (5, "expected an expression, found `=>`"),
        (6, "expected an expression, found `=`"),
        (10, "this string does not end on its line"),
        (11, "expected `;` after the statement, found `nothing`"),
        (12, "expected `where`, `group` or `into`, found `inot`"),
        (13, "expected an expression, found `into`"),
        (14, "there is no local `zz`"),
        (15, "`in` is a built-in stream"),
    ];
    let wanted: Vec<(usize, String)> =
        wanted.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(found, wanted, "{errors}");
    assert!(errors.to_string().contains("did you mean `select`?"));
    assert!(errors.to_string().contains("did you mean `from`?"));
    assert!(errors.to_string().contains("did you mean `into`?"));
}

#[test]
fn a_missing_end_is_one_error() {
    let text = "define script s script\n let x = 1;\ncreate script s;\nselect event from in into s;\nselect event from s into out;";
    assert_eq!(super::error(text), "expected `end`, found `create`");
    let text = "define script s script\n match event of case 1 => 2;\ncreate script s;\nselect event from in into s;";
    assert_eq!(super::error(text), "expected `end`, found `create`");
}

#[test]
fn the_number_of_errors_is_limited() {
    for text in [
        "§".repeat(100_000),
        "x;".repeat(100_000),
        "select zz from in into out;".repeat(1_000),
        // The search for advice takes constant time, independent of the text before it.
        format!("define script s script §; {}", "x x;".repeat(200_000)),
        format!("define script s script §; {} let cast = 1", "cast event;".repeat(80_000)),
        format!("fn f(a) with {} x\n{}", " ".repeat(400_000), "x x\n;".repeat(100_000)),
    ] {
        let found = errors(&text);
        assert!(found.len() <= 50);
        if found.len() == 50 {
            assert!(found.to_string().ends_with("\n\nthese are the first 50 errors, there may be more"));
        }
    }
    assert!(!errors("x;x;").to_string().contains("there may be more"));
    let errors = errors(&" ".repeat((1 << 20) + 1));
    assert_eq!(errors.messages().next(), Some("the program is longer than 1 MiB"));
}

#[test]
fn mistakes_get_advice() {
    for (text, advice) in [
        ("select {a: 1} from in into out;", "write \"a\""),
        ("select 1e3 from in into out;", "an exponent needs a decimal point: 1.0e3"),
        ("select foo from in into out;", "a field of the event is event.foo, metadata is $foo"),
        ("select evnt from in into out;", "did you mean `event`?"),
        ("select event %(3) from in into out;", "for the remainder of a division write a space after `%`"),
        ("create stream from; select event from in into out;", "write it in backticks: `from`"),
        ("#!config idd = 1\nselect event from in into out;", "did you mean `id`?"),
        (
            "define script sript script event end; create script script; select 1 from in into out;",
            "did you mean `sript`?",
        ),
        ("select match 1 of default => 1 case 2 => 2 end from in into out;", "move that case to the end"),
        ("select 'a' from in into out;", "strings use double quotes"),
        ("select event from in where event.a = 1 into out;", "use `==` to compare"),
        ("select event && 1 from in into out;", "use `and`"),
        ("select event || 1 from in into out;", "use `or`"),
        ("deploy flow x; select event from in into out;", "routes and upstreams are in the settings"),
    ] {
        let printed = printed(text);
        assert!(printed.contains("help: ") && printed.contains(advice), "{printed}");
    }
}

#[test]
fn a_runtime_error_has_a_short_and_a_long_form() {
    let program = program("select event.a\n  + event.b from in into out;");
    let error = try_feed(&mut program.instance(), event(r#"{"a":1,"b":"x"}"#)).unwrap_err();
    assert_eq!(error.to_string(), "`+` is not defined for integer and string at test:2:3");
    assert_eq!((error.position().line, error.position().column, error.program()), (2, 3, "test"));
    let expected = "\
error: `+` is not defined for integer and string
 --> test:2:3
  |
2 |   + event.b from in into out;
  |   ^
  = help: in a string, #{…} takes any value: \"sum: #{event.sum}\"";
    assert_eq!(error.highlighted(), expected);
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    for deep in [
        "(",
        "[",
        "{\"a\":",
        "- ",
        "not ",
        "match 1 of case ",
        "\"#{",
        "%{a~=",
        "event[",
        "let x = ",
        "emit ",
    ] {
        let text = format!("select {} from in into out;", deep.repeat(100_000));
        assert!(errors(&text).to_string().len() < 20_000, "{deep}");
    }
    let groups = format!("select event from in group by {} into out;", "set(".repeat(100_000));
    assert_eq!(super::error(&groups), "this nests deeper than 100 levels");
    let sum = format!("select event{} from in into out;", " + 1 - 1".repeat(50_000));
    let outputs = try_feed(&mut program(&sum).instance(), event("7")).unwrap();
    assert_eq!(super::show(&outputs), "7");
    let path = format!("select event{} from in into out;", ".a".repeat(50_000));
    assert!(try_feed(&mut program(&path).instance(), event("{}")).is_err());
}

#[test]
fn a_program_at_the_nesting_limit_runs() {
    let parens = |depth: usize| {
        format!("select {}event + 1{} from in into out;", "[".repeat(depth), "]".repeat(depth))
    };
    let deepest = (1..200).take_while(|depth| crate::Program::compile("d", &parens(*depth)).is_ok()).last();
    let text = parens(deepest.unwrap());
    assert!(deepest > Some(90), "{deepest:?}");
    assert!(super::run(&text, "1").contains("[2]"));
    let matches = |depth: usize| {
        let body = format!("{}event{}", "match event of case 1 => ".repeat(depth), " end".repeat(depth));
        super::scripted(&body)
    };
    let deepest = (1..200).take_while(|depth| crate::Program::compile("d", &matches(*depth)).is_ok()).last();
    assert!(deepest > Some(40), "{deepest:?}");
    assert_eq!(super::run(&matches(deepest.unwrap()), "1"), "1");
}
