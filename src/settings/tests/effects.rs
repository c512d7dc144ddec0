//! Tests that keys without effect are refused, and that a wrong value is one problem.

use super::{
    refusals::{problems, with},
    *,
};

/// An invalid value is one problem: neither the value nor the key's default is compared with other keys.
#[test]
fn a_wrong_value_conflicts_with_nothing() {
    for (section, lines) in [
        ("upstream.echo", "exchange = \"x\"\nreply_timeout = \"1s\"\nmax_overdue = 2"),
        ("upstream.echo", "exchange = \"request\"\ncodec = \"jsno\"\ncorrelation = \"id\""),
        ("upstream.echo", "exchange = \"x\"\non_give_up = \"close\""),
        ("upstream.echo", "max_message = \"x\"\nmax_frame = \"2MiB\""),
        ("upstream.echo", "exchange = \"request\"\nrestart = { max = \"x\", min = \"1m\" }"),
        ("listener.ws", "rate = { messages = \"x\", burst = \"2s\" }"),
        ("listener.ws", "slow_consumer_timeout = \"x\"\ntcp_user_timeout = \"1s\""),
        ("listener.ws", "ping_interval = \"x\"\nping_timeout = \"1s\""),
        ("[route]", "on_upstream_loss = \"x\"\nstateless = true"),
        ("[route]", "path = 1\nstrip_prefix = true"),
    ] {
        let problems = problems(&with(section, lines), &[]);
        assert_eq!(problems.len(), 1, "{lines}\n{problems:#?}");
    }
}

/// Guarantee C10: every accepted setting has an effect.
#[test]
fn keys_of_an_upstream_are_refused_on_a_route_without_one() {
    let text = MINIMAL.replace("from in into out", "from in into reply");
    let route = |lines: &str| {
        format!(
            "{}path = \"/up\"\n[[route]]\nincoming = [\"pass\"]\n{lines}\n",
            text.replace("into out", "into reply")
        )
    };
    for key in ["dial_before_accept = \"2s\"", "outgoing = [\"pass\"]", "stateless = true"] {
        let problems = problems(&route(key), &[]);
        let expected = format!("route[2].{key} (/etc/towline.toml): has no effect without an upstream");
        assert_eq!(problems, [expected]);
    }
    load(&route("subprotocols = [\"a\"]"), &[]).unwrap();
}

#[test]
fn keys_of_restarts_are_accepted_if_a_route_keeps_its_clients() {
    let restart = with("upstream.echo", "restart.max = \"5s\"\non_give_up = \"close\"");
    for kept in [
        "stateless = true",
        "on_upstream_loss = \"keep\"",
        "path = \"/a\"\n[[route]]\nupstream = \"echo\"\nstateless = true",
    ] {
        load(&format!("{restart}{kept}\n"), &[]).unwrap_or_else(|error| panic!("{kept}: {error}"));
    }
    load(&with("upstream.two", "url = \"ws://h/\"\nrestart.max = \"5s\""), &[])
        .expect("no route names it: a warning");
}

const BY_URL: &str = "define script s script let $url = event; event end; create script s; \
                      select event from in into s; select event from s into out;";

#[test]
fn holding_is_refused_if_no_route_keeps_its_clients() {
    let hold = with("upstream.echo", "recovery.hold = \"10s\"");
    for kept in ["stateless = true", "on_upstream_loss = \"keep\""] {
        let hold = load(&format!("{hold}{kept}\n"), &[]).unwrap().upstreams["echo"].recovery.hold;
        assert_eq!(hold, Some(std::time::Duration::from_secs(10)));
    }
    let why = "(/etc/towline.toml): has no effect: each route to this upstream closes the client when the connection \
               is lost; a route keeps it with on_upstream_loss = \"keep\" or stateless = true";
    assert_eq!(problems(&hold, &[]), [format!("upstream.echo.recovery.hold = \"10s\" {why}")]);
    load(&hold.replace("\"10s\"", "\"never\""), &[]).expect("it changes nothing, as it says");
    let by_url = hold
        .replace("select event from in into out;", BY_URL)
        .replace("[upstream.echo]", "[upstream.echo]\nexchange = \"request\"\nallow_urls = [\"ws://h/*\"]");
    let problems = problems(&format!("{by_url}incoming = [\"pass\"]\n"), &[]);
    let why = "(/etc/towline.toml): has no effect: programs choose the server of each event ($url)";
    assert_eq!(problems, [format!("upstream.echo.recovery.hold = \"10s\" {why}")]);
}

#[test]
fn keys_about_new_connections_are_refused_where_programs_choose_each_server() {
    let text = |key: &str| {
        let text =
            with("upstream.echo", &format!("exchange = \"request\"\nallow_urls = [\"ws://h/*\"]\n{key}"));
        format!("{}incoming = [\"pass\"]\n", text.replace("select event from in into out;", BY_URL))
    };
    let keys = [
        "max_age = \"1h\"",
        "move.rate = 3",
        "move.grace = \"1s\"",
        "rebalance.min_sessions = 5",
        "on_give_up = \"close\"",
    ];
    for key in keys {
        let why = "(/etc/towline.toml): has no effect: programs choose the server of each event ($url)";
        assert_eq!(problems(&text(key), &[]), [format!("upstream.echo.{key} {why}")]);
    }
    for key in ["restart.min = \"1s\"", "restart.rate = 3"] {
        load(&text(key), &[]).expect("a server that an event names is dialed again");
    }
}

#[test]
fn keys_about_several_servers_are_refused_for_one() {
    for key in ["slow_start = \"5s\"", "ejection.failures = 2", "ejection.time = \"1s\""] {
        let only = problems(&with("upstream.echo", key), &[]);
        let text = format!(
            "upstream.echo.{key} (/etc/towline.toml): has no effect: the upstream has only one server"
        );
        assert_eq!(only, [text]);
        let name = format!("url = \"ws://name:1\"\nresolve = \"each\"\n{key}");
        load(&with("upstream.two", &name), &[]).expect("a name may have several addresses");
        let two = format!("endpoints = [\"ws://127.0.0.1:1\", \"ws://127.0.0.1:2\"]\n{key}");
        load(&with("upstream.two", &two), &[]).unwrap();
    }
}

#[test]
fn notices_are_refused_if_no_client_would_get_one() {
    let notice = with("upstream.echo", "recovery.notice = true");
    let kept = format!("{notice}stateless = true\n");
    let sent = load(&format!("{kept}error_replies = true\n"), &[]).unwrap();
    assert!(sent.upstreams["echo"].recovery.notice);
    load(&format!("{kept}errors = [\"pass\"]\n"), &[]).unwrap();
    let refused = |text: &str, why: &str| {
        let expected =
            format!("upstream.echo.recovery.notice = true (/etc/towline.toml): has no effect: {why}");
        assert_eq!(problems(text, &[]), [expected]);
    };
    refused(
        &kept,
        "each route to this upstream that keeps its clients is without error replies; a route has them with \
         error_replies = true or with errors pipelines",
    );
    refused(
        &notice,
        "each route to this upstream closes the client when the connection is lost; a route keeps it with \
         on_upstream_loss = \"keep\" or stateless = true",
    );
    let journal = with("upstream.echo", "recovery.preset = \"mqtt\"");
    assert!(load(&journal, &[]).unwrap().upstreams["echo"].recovery.notice, "the default with a journal");
    assert!(!load(MINIMAL, &[]).unwrap().upstreams["echo"].recovery.notice, "the default without one");
}

#[test]
fn sections_that_no_route_names_are_listed() {
    let text = with("upstream.two", "url = \"ws://h/\"");
    assert_eq!(load(&text, &[]).unwrap().unused(), ["upstream.two", "pipeline.pass"]);
    let used = format!("{MINIMAL}errors = [\"pass\"]\n");
    assert_eq!(load(&used, &[]).unwrap().unused(), [""; 0]);
}

#[test]
fn a_misspelt_variable_of_the_command_line_is_refused() {
    for name in ["TOWLINE_CONFIGG", "TOWLINE_CONFG", "TOWLINE_CONF"] {
        let problems = problems(MINIMAL, &[(name, "x.toml")]);
        assert_eq!(
            problems,
            [format!("{name} (environment {name}): unknown variable; did you mean TOWLINE_CONFIG?")]
        );
    }
    let others = [
        ("TOWLINE_CONFIG", "x"),
        ("TOWLINE_ECHO_BIND", "x"),
        ("TOWLINE_PORT", "tcp://10.0.0.1:80"),
        ("TOWLINE_PORT_80_TCP", "x"),
        ("TOWLINE_SERVICE_HOST", "10.0.0.1"),
        ("TOWLINE_CONFIG_SERVICE_HOST", "10.0.0.1"),
    ];
    load(MINIMAL, &others).unwrap();
}

#[test]
fn a_wrong_value_that_several_checks_read_is_listed_once() {
    let text = with("upstream.echo", "recovery.hold = \"5\"");
    let expected = "upstream.echo.recovery.hold = \"5\" (/etc/towline.toml): takes a duration with a unit, such as \
                    \"30s\", from 10ms to 10m, or \"never\"";
    assert_eq!(problems(&text, &[]), [expected]);
}

#[test]
fn a_key_of_another_section_is_refused_with_the_name_of_that_section() {
    let problems_of = |line: &str| problems(&with("upstream.echo", line), &[]);
    let where_to = |key: &str, section: &str| {
        format!("upstream.echo.{key} (/etc/towline.toml): unknown key here; it belongs to {section}")
    };
    assert_eq!(problems_of("stateless = true"), [where_to("stateless", "[[route]]")]);
    assert_eq!(problems_of("bind = \"x\""), [where_to("bind", "[admin] or [listener.NAME]")]);
}

#[test]
fn recovery_is_refused_where_no_session_reconnects() {
    let text = with("upstream.echo", "recovery.preset = \"mqtt\"");
    load(&text, &[]).expect("the route keeps its clients");
    let problems = problems(&format!("{text}on_upstream_loss = \"close\"\n"), &[]);
    let expected = "upstream.echo.recovery.preset = \"mqtt\" (/etc/towline.toml): has no effect: each route to this \
                    upstream closes the client when the connection is lost; a route keeps it with on_upstream_loss = \
                    \"keep\" or stateless = true";
    assert_eq!(problems, [expected]);
}

/// There were two: one about the missing age, and one about the value, or about a route that closes.
#[test]
fn a_jitter_without_an_age_is_one_error() {
    let effect = "max_age_jitter = 5 (/etc/towline.toml): has no effect with max_age = \"never\"";
    for (lines, expected) in [
        ("max_age_jitter = 5", effect),
        ("max_age_jitter = 5\nexchange = \"request\"", effect),
        (
            "max_age_jitter = 500\nexchange = \"request\"",
            "max_age_jitter = 500 (/etc/towline.toml): takes a whole number from 0 to",
        ),
    ] {
        let found = problems(&with("upstream.echo", lines), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("upstream.echo.{expected}")), "{found:?}");
    }
}

/// A message that no program changes would arrive as a JSON string, or as base64 in one.
#[test]
fn codecs_that_make_json_strings_of_messages_cause_a_warning() {
    let codecs = |listener: &str, upstream: &str| {
        let text = with("listener.ws", &format!("codec = {listener:?}"));
        text.replace("[upstream.echo]", &format!("[upstream.echo]\ncodec = {upstream:?}"))
    };
    let warned = |text: &str, start: &str| {
        let remarks = load(text, &[]).unwrap().remarks();
        remarks.iter().any(|remark| remark.starts_with(start))
    };
    let to_upstream = "[upstream.echo] codec = \"json\" makes a JSON string of each message of [listener.ws]";
    let to_client = "[listener.ws] codec = \"json\" makes a JSON string of each message of [upstream.echo]";
    for (listener, upstream, expected) in [
        ("message", "json", Some(to_upstream)),
        ("binary", "json", Some(to_upstream)),
        ("json", "string", Some(to_client)),
        ("json", "json", None),
        ("message", "string", None),
        ("string", "message", None),
    ] {
        let text = codecs(listener, upstream);
        for warning in [to_upstream, to_client] {
            assert_eq!(warned(&text, warning), expected == Some(warning), "{listener} {upstream}");
        }
    }
    let parsed = codecs("message", "json") + "incoming = [\"pass\"]\n";
    assert!(warned(&parsed, to_upstream), "the program changes nothing");
    let parsed = parsed.replace("select event from", "use std::json; select json::decode(event) from");
    assert!(!warned(&parsed, to_upstream));
}
