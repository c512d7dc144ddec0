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
fn recovery_is_refused_where_no_session_reconnects() {
    let text = with("upstream.echo", "recovery.preset = \"mqtt\"");
    load(&text, &[]).expect("the route keeps its clients");
    let problems = problems(&format!("{text}on_upstream_loss = \"close\"\n"), &[]);
    let expected = "upstream.echo.recovery.preset = \"mqtt\" (/etc/towline.toml): has no effect: each route to this \
                    upstream closes the client when the connection is lost (on_upstream_loss)";
    assert_eq!(problems, [expected]);
}
