//! Tests of wrong settings in `[pipeline.NAME]` and `[[route]]`, and of missing or misplaced sections.

use super::{WrongLine, expect_problems, problems, with};
use crate::settings::fixture::{MINIMAL, load};

const WRONG_LINES: &[WrongLine] = &[
    ("[route]", "subprotocols = [\"a b\", \"c\", \"c\"]", "separators; \"c\" is listed twice"),
    (
        "pipeline.pass",
        "source = \"slect\"",
        "pipeline.pass.source = \"slect\" (/etc/towline.toml): the program does not compile\n    ",
    ),
    (
        "pipeline.pass",
        "file = \"none.trickle\"",
        "pipeline.pass.file = \"none.trickle\" (/etc/towline.toml): set either source or file, not both",
    ),
    (
        "pipeline.two",
        "file = \"none.trickle\"",
        "pipeline.two.file = \"none.trickle\" (/etc/towline.toml): cannot read /etc/none.trickle: No such file",
    ),
    ("pipeline.two", "# nothing", "pipeline.two (/etc/towline.toml): needs a program"),
    ("pipeline.two", "source = 1", "pipeline.two.source = 1 (/etc/towline.toml): takes a string in quotes"),
    (
        "[route]",
        "listener = \"wz\"",
        "route[1].listener = \"wz\" (/etc/towline.toml): there is no listener \"wz\"; known: ws",
    ),
    (
        "[route]",
        "path = \"chat\"",
        "route[1].path = \"chat\" (/etc/towline.toml): takes the prefix of a path, such as \"/chat\"",
    ),
    ("[route]", "path = \"/a?b\"", "takes the prefix of a path"),
    ("[route]", "path = \"/a/*\"", "takes the prefix of a path"),
    (
        "[route]",
        "incoming = [\"pas\"]",
        "route[1].incoming = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"; known: pass",
    ),
    (
        "[route]",
        "outgoing = [\"pas\"]",
        "route[1].outgoing = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"",
    ),
    (
        "[route]",
        "errors = [\"pas\"]",
        "route[1].errors = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"",
    ),
    (
        "[route]",
        "upstream = \"eco\"",
        "route[1].upstream = \"eco\" (/etc/towline.toml): there is no upstream \"eco\"; known: echo",
    ),
    ("[route]", "error_replies = \"true\"", "takes \"auto\", true or false"),
    ("[route]", "error_replies = 1", "takes \"auto\", true or false"),
    (
        "[route]",
        "errors = [\"pass\"]\nerror_replies = false",
        "route[1].error_replies = false (/etc/towline.toml): contradicts errors: these pipelines would never get",
    ),
    ("[route]", "stateless = \"true\"", "takes true or false"),
    (
        "[route]",
        "stateless = true\non_upstream_loss = \"close\"",
        "route[1].stateless = true (/etc/towline.toml): contradicts on_upstream_loss = \"close\"",
    ),
    ("[route]", "on_upstream_loss = \"drop\"", "takes \"auto\", \"keep\" or \"close\""),
    ("[route]", "subprotocols = [\"a b\"]", "\"a b\" is not a subprotocol"),
    ("[route]", "subprotocols = [\"a\", \"a\"]", "\"a\" is listed twice"),
    (
        "[route]",
        "dial_before_accept = \"0s\"",
        "route[1].dial_before_accept = \"0s\" (/etc/towline.toml): takes a duration",
    ),
];

#[test]
fn wrong_lines_of_pipelines_and_routes_are_refused() {
    expect_problems(WRONG_LINES);
}

/// Each case is a whole file, with all its problems.
#[test]
fn missing_and_misplaced_sections_are_refused() {
    let no_listener = MINIMAL.replace("[listener.ws]", "[admin]");
    let no_route = MINIMAL.split("[[route]]").next().unwrap().to_owned();
    let unserved =
        with("listener.two", "bind = \"127.0.0.1:0\"").replace("[[route]]", "[[route]]\nlistener = \"ws\"");
    let no_upstream = MINIMAL.replace("upstream = \"echo\"", "incoming = [\"pass\"]");
    let hidden = format!("{MINIMAL}[[route]]\npath = \"/a\"\nupstream = \"echo\"\n");
    let empty_path = hidden.replace("path = \"/a\"", "path = 1");
    let table: [(&str, &[&str]); 11] = [
        (
            "",
            &[
                "listener (/etc/towline.toml): needs at least one",
                "route (/etc/towline.toml): needs at least one",
            ],
        ),
        (&no_listener, &["listener (/etc/towline.toml): needs at least one: [listener.NAME]"]),
        (&no_route, &["route (/etc/towline.toml): needs at least one: [[route]]"]),
        (&unserved, &["listener.two (/etc/towline.toml): no route serves this listener"]),
        (
            &no_upstream,
            &["route[1] (/etc/towline.toml): needs an upstream, or an incoming pipeline that answers"],
        ),
        (&hidden, &["route[2].path = \"/a\" (/etc/towline.toml): unreachable: route[1] already matches"]),
        (&empty_path, &["route[2].path = 1 (/etc/towline.toml): takes a string in quotes"]),
        (&format!("server = 1\n{MINIMAL}"), &["server = *** (/etc/towline.toml): is a section, not a key"]),
        (
            &format!("{MINIMAL}[listener]\nbind = \"x\"\n"),
            &["listener.bind = *** (/etc/towline.toml): is a section"],
        ),
        (
            &MINIMAL.replace("[[route]]", "[route]"),
            &["route (/etc/towline.toml): write [[route]] with double brackets"],
        ),
        (
            &format!(
                "listener = 1\n{}",
                MINIMAL.split("[upstream").next().unwrap().replace("[listener.ws]", "[admin]")
            ),
            &["listener = *** (/etc/towline.toml): takes tables: [listener.NAME]", "route (/etc"],
        ),
    ];
    for (text, expected) in table {
        let problems = problems(text, &[]);
        assert_eq!(problems.len(), expected.len(), "{text}\n{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{text}\n   {problem}\nnot {expected}");
        }
    }
}

/// Guarantee C10: every accepted setting has an effect.
#[test]
fn a_prefix_that_cannot_be_stripped_is_refused() {
    let strip = |url: &str, path: &str, upstream: &str| {
        let text = MINIMAL.replace("ws://127.0.0.1:8139", url);
        problems(
            &format!(
                "{}path = {path:?}\nstrip_prefix = true\n",
                text.replace("[pipeline", &format!("{upstream}\n[pipeline"))
            ),
            &[],
        )
    };
    let origin = "route[1].strip_prefix = true (/etc/towline.toml): ";
    assert_eq!(strip("ws://h", "/", ""), [format!("{origin}needs a path other than \"/\"")]);
    assert_eq!(
        strip("ws://h/", "/chat", ""),
        [format!("{origin}the path in upstream.echo.url replaces the route's path already")]
    );
    assert_eq!(
        strip("ws://h", "/chat", "forward_path = false"),
        [format!("{origin}needs upstream.echo.forward_path = true")]
    );
    let text = format!("{MINIMAL}path = \"/chat\"\nstrip_prefix = true\n");
    assert!(load(&text, &[]).unwrap().routes[0].strip_prefix);
}
