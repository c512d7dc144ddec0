//! Tests of wrong settings in `[pipeline.NAME]` and `[[route]]`, and of missing or misplaced sections.

use super::{WrongLine, expect_one, expect_problems, problems, with};
use crate::settings::fixture::{MINIMAL, load};

const WRONG_LINES: &[WrongLine] = &[
    (
        "[route]",
        "http_timeout = \"1s\"",
        "route[1].http_timeout = \"1s\" (/etc/towline.toml): needs forward_http = true",
    ),
    (
        "[route]",
        "forward_http = true\nhttp_timeout = \"never\"",
        "route[1].http_timeout = \"never\" (/etc/towline.toml): takes a duration with a unit",
    ),
    (
        "[route]",
        "forward_http = true\nmatch.subprotocol = \"mqtt\"",
        "route[1].forward_http = true (/etc/towline.toml): has no effect with match.subprotocol",
    ),
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
        "max_session_age = \"1ms\"",
        "takes a duration with a unit, such as \"30s\", from 100ms to 30days, or \"never\"",
    ),
    (
        "[route]",
        "max_session_age_jitter = 5",
        "route[1].max_session_age_jitter = 5 (/etc/towline.toml): has no effect with max_session_age = \"never\"",
    ),
    (
        "[route]",
        "max_session_age_jitter = 101\nmax_session_age = \"1h\"",
        "takes a whole number from 0 to 100",
    ),
    ("[route]", "limits = [\"header:a\"]", "takes a list of tables with the keys by, max_sessions, messages"),
    ("[route]", "limits = [{ max_sessions = 1 }]", "route[1].limits[1].by (/etc/towline.toml): required"),
    ("[route]", "limits = [{ by = \"peer\", max_sessions = 1 }]", "takes \"claim:NAME\" and \"header:NAME\""),
    (
        "[route]",
        "limits = [{ by = \"header:a b\", max_sessions = 1 }]",
        "\"a b\" is not the name of a header",
    ),
    (
        "[route]",
        "limits = [{ by = \"header:a\" }]",
        "route[1].limits[1] (/etc/towline.toml): limits nothing: set max_sessions, messages or bytes",
    ),
    (
        "[route]",
        "limits = [{ by = \"header:a\", max_sessions = 1, burst = \"2s\" }]",
        "route[1].limits[1].burst = \"2s\" (/etc/towline.toml): has no effect without messages or bytes",
    ),
    (
        "[route]",
        "limits = [{ by = \"header:a\", bytes = \"1B\", messages = -1 }]",
        "takes a whole number from 0 to 1000000000",
    ),
    (
        "[route]",
        "limits = [{ by = \"header:a\", bytes = \"1B\", max_sesions = 1 }]",
        "unknown key; did you mean \"max_sessions\"",
    ),
    (
        "[route]",
        "limits = [{by=\"header:a\",messages=1},{by=\"header:b\",messages=1},{by=\"header:c\",messages=1},\
         {by=\"header:d\",messages=1},{by=\"header:e\",messages=1}]",
        "takes at most 4 limits",
    ),
    ("[route]", "limits = [{ by = \"claim:sub\", max_sessions = 1 }]", "limits by claim need auth"),
    (
        "[route]",
        "log_claims = [\"sub\"]",
        "route[1].log_claims = [\"sub\"] (/etc/towline.toml): needs auth: nothing is known of the clients",
    ),
    (
        "[route]",
        "session_expiry = { lead = \"1m\" }",
        "session_expiry.lead = \"1m\" (/etc/towline.toml): has no effect",
    ),
    ("[route]", "session_expiry = { skew = \"0s\" }", "has no effect without auth"),
    ("[route]", "session_expiry = { code = 4401 }", "has no effect without auth"),
    ("[route]", "session_expiry = { reason = \"x\" }", "has no effect without auth"),
    ("[route]", "name = \"Chat room\"", "takes a name of a-z, 0-9, _ and -"),
    (
        "[route]",
        "match.host = \"a.test:80\"",
        "route[1].match.host = \"a.test:80\" (/etc/towline.toml): takes a host such as \"chat.example.com\"",
    ),
    ("[route]", "match.path = \"chat\"", "takes the prefix of a path"),
    ("[route]", "match.path_exact = \"/a?b\"", "takes a whole path"),
    ("[route]", "match.path_regex = \"(\"", "takes a regular expression: unclosed group"),
    ("[route]", "match.path_regex = \"/x{100000}\"", "takes a regular expression: "),
    ("[route]", "match = 1", "route[1].match = 1 (/etc/towline.toml): takes a table"),
    (
        "[route]",
        "match = { hots = \"a\" }",
        "route[1].match.hots (/etc/towline.toml): unknown key; did you mean",
    ),
    (
        "[route]",
        "match = { path = \"/a\", path_exact = \"/b\" }",
        "route[1].match.path = \"/a\" (/etc/towline.toml): a route has one path, and match.path_exact is set too",
    ),
    ("[route]", "path = \"/a\"\nmatch.path = \"/b\"", "a route has one path, and match.path is set too"),
    ("[route]", "match.headers = { \"x y\" = \"a\" }", "\"x y\": a header name is a token"),
    ("[route]", "match.headers = { x-a = \"1\", X-A = \"2\" }", "\"x-a\" is listed twice"),
    ("[route]", "match.headers = { Host = \"a\" }", "\"host\": use match.host"),
    ("[route]", "match.headers = { cookie = \"a=1\" }", "\"cookie\": use match.cookies"),
    (
        "[route]",
        "match.headers = { x-a = 1 }",
        "takes a table of names and values, such as { tenant = \"a\" }",
    ),
    ("[route]", "match.cookies = { \"a;b\" = \"1\" }", "\"a;b\": the name of a cookie is a token"),
    ("[route]", "match.query = [\"a\"]", "takes a table of names and values"),
    ("[route]", "match.subprotocol = \"a, b\"", "takes a subprotocol: a token"),
    (
        "[route]",
        "match.networks = [\"10.0.0.1/8\"]",
        "has bits after the prefix; did you mean \"10.0.0.0/8\"?",
    ),
    ("[route]", "match.networks = [\"localhost\"]", "\"localhost\" is not a network such as \"10.0.0.0/8\""),
    ("[route]", "match.networks = [\"::ffff:10.0.0.0/104\"]", "write it as a network of IPv4"),
    ("[route]", "origins = []", "takes at least one origin; \"*\" accepts all"),
    (
        "[route]",
        "origins = [\"example.com\"]",
        "\"example.com\": takes origins such as \"https://example.com\"",
    ),
    ("[route]", "origins = [\"https://a.test/\"]", "\"https://a.test/\": takes origins"),
    (
        "[route]",
        "origins = [\"https://a.test\", \"HTTPS://A.test:443\"]",
        "\"HTTPS://A.test:443\" is listed twice",
    ),
    ("[route]", "origins = [\"*\", \"none\"]", "\"*\" accepts all origins, so it is listed alone"),
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
            &["route[1] (/etc/towline.toml): needs an upstream, an incoming pipeline that answers"],
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

#[test]
fn wrong_answers_are_refused() {
    for (lines, expected) in [
        (
            "answer.status = 199",
            "route[1].answer.status = 199 (/etc/towline.toml): takes a whole number from 200 to 599",
        ),
        ("answer.status = 302", "needs answer.redirect"),
        (
            "answer = { status = 200, redirect = \"/a\" }",
            "a redirect has the status 301, 302, 303, 307 or 308",
        ),
        ("answer = { status = 204, body = \"a\" }", "an answer with the status 204 has no body"),
        ("answer.redirect = \"example.com\"", "takes a path or a URL of http or https"),
        ("answer.redirect = \"/${request.pth}\"", "there is no placeholder ${request.pth}"),
        ("answer.redirect = \"/a b\"", "takes a path or a URL of http or https"),
        ("answer.content_type = \"text/html\"", "needs answer.body"),
        ("answer = { body = \"a\", content_type = \"html\" }", "takes a media type"),
        ("answer.body = \"a\"\norigins = [\"*\"]", "has no effect: the route answers requests"),
        ("answer.body = \"a\"\nstateless = true", "has no effect without an upstream"),
    ] {
        let text = MINIMAL.replace("upstream = \"echo\"\n", &format!("{lines}\n"));
        super::expect_one(&problems(&text, &[]), lines, expected);
    }
    let text = with("[route]", "answer.body = \"a\"");
    super::expect_one(
        &problems(&text, &[]),
        &text,
        "route[1].upstream = \"echo\" (/etc/towline.toml): has no effect",
    );
    let long =
        MINIMAL.replace("upstream = \"echo\"\n", &format!("answer.body = \"{}\"\n", "a".repeat(65_537)));
    assert!(problems(&long, &[])[0].ends_with("takes a text of at most 64 KiB"));
}

/// Each case is a list of routes, with the only problem, or none.
#[test]
fn hidden_routes_are_refused() {
    let table: [(&[&str], Option<&str>); 9] = [
        (
            &["match.host = \"*.a.test\"", "match.host = \"b.a.test\""],
            Some("route[2].path = \"/\" (default): unre"),
        ),
        (&["match.host = \"b.a.test\"", "match.host = \"*.a.test\""], None),
        (
            &["match.path = \"/a\"", "match.path_exact = \"/a/b\""],
            Some("route[2].match.path_exact = \"/a/b\" (/etc/"),
        ),
        (&["match.path_exact = \"/a\"", "path = \"/a\""], None),
        (
            &["match.networks = [\"10.0.0.0/8\"]", "match.networks = [\"10.0.0.1\"]"],
            Some("route[1] already matches"),
        ),
        (
            &["match.cookies = { a = \"1*\" }", "match.cookies = { a = \"12\", b = \"*\" }"],
            Some("unreachable: route[1]"),
        ),
        (
            &["name = \"a\"\npath = \"/a\"", "name = \"a\""],
            Some("route[2].name = \"a\" (/etc/towline.toml): route[1] has"),
        ),
        // An invalid pattern hides nothing.
        (&["match.host = \"a:80\"", "path = \"/a\""], Some("route[1].match.host = \"a:80\"")),
        (&["path = \"a\"", "path = \"/a\"", "path = \"/a/b\""], Some("")),
    ];
    for (routes, expected) in table {
        let head = MINIMAL.split("[[route]]").next().unwrap();
        let routes: String =
            routes.iter().map(|lines| format!("[[route]]\nupstream = \"echo\"\n{lines}\n")).collect();
        let text = format!("{head}{routes}");
        match expected {
            None => _ = load(&text, &[]).unwrap(),
            // Two problems: the invalid path, and the third route, which the second one hides.
            Some("") => assert!(problems(&text, &[])[1].contains("route[3].path = \"/a/b\""), "{text}"),
            Some(expected) => super::expect_one(&problems(&text, &[]), &text, expected),
        }
    }
}

#[test]
fn routes_that_use_cookies_and_check_no_origins_are_remarked() {
    let remarks = |lines: &str| load(&with("[route]", lines), &[]).unwrap().remarks();
    let text = "route[1] accepts browsers from pages of any site";
    assert!(remarks("").iter().any(|remark| remark.starts_with(text)), "{:?}", remarks(""));
    assert!(!remarks("origins = [\"none\"]").iter().any(|remark| remark.contains("any site")));
    let bare = MINIMAL.replace("[pipeline", "forward_headers = []\n[pipeline");
    let remarks = |text: &str| load(text, &[]).unwrap().remarks().concat();
    assert!(!remarks(&bare).contains("any site"));
    assert!(
        remarks(&format!("{bare}name = \"a\"\nmatch.cookies = {{ a = \"*\" }}\n"))
            .contains("a accepts browsers")
    );
    let answering = format!("{bare}[[route]]\nmatch.cookies = {{ a = \"*\" }}\nanswer.body = \"a\"\n");
    assert!(!remarks(&answering).contains("any site"));
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
    let text = format!("{MINIMAL}match.path_exact = \"/chat\"\nstrip_prefix = true\n");
    assert_eq!(problems(&text, &[]), [format!("{origin}needs the prefix of a path (path or match.path)")]);
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

/// The settings with a pipeline that writes to port `journal`, and these lists of pipelines.
fn with_journal(preset: &str, lists: &str) -> String {
    let upstream = format!("url = \"ws://127.0.0.1:8139\"\n{preset}");
    let text = MINIMAL.replace("url = \"ws://127.0.0.1:8139\"", &upstream);
    let says = r#"select {"kind": "open", "id": event.id} from in where present event.id into journal;"#;
    let journal = format!("[pipeline.says]\nsource = '''{says} select event from in into out;'''\n[[route]]");
    text.replace("[[route]]", &journal) + lists
}

#[test]
fn port_journal_needs_the_preset_and_the_place_next_to_the_upstream() {
    let preset = "recovery.preset = \"program\"";
    load(&with_journal(preset, "incoming = [\"pass\", \"says\"]\noutgoing = [\"says\", \"pass\"]"), &[])
        .unwrap();
    let next = "which is next to the upstream: messages have to pass it as the upstream gets and sends them";
    let wrong = [
        ("", "incoming = [\"says\"]", "which needs upstream.echo.recovery.preset = \"program\"".to_owned()),
        (
            "recovery.preset = \"mqtt\"",
            "outgoing = [\"says\"]",
            "which needs upstream.echo.recovery.preset".to_owned(),
        ),
        (preset, "incoming = [\"says\", \"pass\"]", format!("and is not the last one, {next}")),
        (preset, "incoming = [\"says\", \"says\"]", format!("and is not the last one, {next}")),
        (
            preset,
            "incoming = [\"says\"]\noutgoing = [\"pass\", \"says\"]",
            format!("and is not the first one, {next}"),
        ),
        (
            preset,
            "incoming = [\"says\"]\nerrors = [\"says\"]",
            "which takes messages to and from the upstream".to_owned(),
        ),
    ];
    for (preset, lists, expected) in wrong {
        let expected = format!("pipeline \"says\" writes to port journal, {expected}");
        expect_one(&problems(&with_journal(preset, lists), &[]), lists, &expected);
    }
    let needed = "upstream.echo.recovery.preset = \"program\" needs an incoming pipeline that says what the client's \
                  messages are (into journal)";
    for lists in ["", "incoming = [\"pass\"]", "incoming = []\noutgoing = [\"says\"]"] {
        expect_one(&problems(&with_journal(preset, lists), &[]), lists, needed);
    }
    // A route that closes its clients has no journal.
    let closing =
        "on_upstream_loss = \"close\"\n[[route]]\npath = \"/a\"\nupstream = \"echo\"\nincoming = [\"says\"]";
    let text = with_journal(preset, "").replace("[[route]]\nupstream", "[[route]]\npath = \"/b\"\nupstream")
        + closing;
    load(&text, &[]).unwrap();
}

#[test]
fn port_move_needs_sessions_that_move() {
    let with_move = |route: &str| {
        let program = "[pipeline.leaves]\nsource = \"select event from in into move;\"\n[[route]]";
        MINIMAL.replace("[[route]]", program) + route
    };
    load(&with_move("stateless = true\noutgoing = [\"pass\", \"leaves\", \"pass\"]"), &[]).unwrap();
    let wrong = [
        ("stateless = true\nincoming = [\"leaves\"]", "which takes messages of the upstream"),
        ("stateless = true\nerrors = [\"leaves\"]", "which takes messages of the upstream"),
        ("outgoing = [\"leaves\"]", "and its sessions do not move: the route closes the client"),
    ];
    for (route, expected) in wrong {
        let expected = format!("pipeline \"leaves\" writes to port move, {expected}");
        expect_one(&problems(&with_move(route), &[]), route, &expected);
    }
}
