//! Tests of reloads by the API and by the command.

use super::*;

/// The settings of [`operated`], with a time limit on dials.
fn limited(upstream: &TestUpstream, connect_timeout: &str) -> Settings {
    Settings::request(&upstream.url())
        .operated()
        .with(&format!("upstream.echo.connect_timeout = {connect_timeout:?}"))
}

#[test]
fn an_operator_reloads_and_sees_what_has_changed() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    assert_eq!(operator.json("/api/reloads"), serde_json::json!({ "reloads": [] }));
    proxy.rewrite(&limited(&upstream, "7s"));
    let answer = operator.act("/api/reload").json();
    assert_eq!(answer["configuration"], 2, "{answer}");
    let change = &answer["changes"][0];
    assert_eq!(change["name"], "upstream.echo.connect_timeout", "{answer}");
    assert_eq!(change["after"], "\"7s\"", "{answer}");
    proxy.wait_log("INFO *admin action=reload peer=127.0.0.1:* target=settings *");
    let latest = &operator.json("/api/reloads")["reloads"][0];
    assert_eq!(*latest, answer);
    assert!(latest["by"].as_str().unwrap().starts_with("127.0.0.1:"), "{latest}");
    let settings = operator.get("/api/configuration");
    assert!(settings.body.contains("connect_timeout = \"7s\""), "{}", settings.body);
    assert_eq!(client.ask("b"), "b");
}

#[test]
fn wrong_settings_change_nothing_and_their_problems_are_in_the_answer() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect("reload failed").expect("reload problem");
    proxy.rewrite(&limited(&upstream, "soon"));
    operator.act("/api/reload").expect_error(422, "upstream.echo.connect_timeout");
    let latest = &operator.json("/api/reloads")["reloads"][0];
    assert!(latest["configuration"].is_null() && latest["problems"][0].is_string(), "{latest}");
    assert!(!operator.get("/api/configuration").body.contains("soon"));
}

#[test]
fn the_command_prints_what_has_changed_or_the_problems() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect("reload failed").expect("reload problem");
    assert_eq!(
        commands::output(&proxy, &["reload"]),
        "the settings are the same\nconfiguration 2 is in force\n"
    );
    proxy.rewrite(&limited(&upstream, "7s"));
    let text = commands::output(&proxy, &["reload"]);
    let line = "upstream.echo.connect_timeout: \"10s\" → \"7s\" (takes effect at once)\n";
    assert_eq!(text, format!("{line}configuration 3 is in force\n"));
    proxy.rewrite(&limited(&upstream, "soon"));
    let finished = commands::run(&proxy, &["reload"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(78), ""), "{}", finished.stderr);
    assert!(finished.stderr.contains("nothing has changed:\n"), "{}", finished.stderr);
    assert!(finished.stderr.contains("upstream.echo.connect_timeout = \"soon\""), "{}", finished.stderr);
}

#[test]
fn a_reload_needs_the_token() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect("admin request refused");
    let nobody = Operator::new(proxy.admin());
    nobody.act("/api/reload").expect_error(401, "token");
    assert_eq!(nobody.json("/api/reloads"), serde_json::json!({ "reloads": [] }));
}

/// Before, the request waited until it timed out, and the signal had no line.
#[test]
fn a_process_that_drains_refuses_to_reload() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).operated().with(r#"drain.grace = "1h""#);
    let mut proxy = Proxy::start(&settings).expect("SIGHUP ignored");
    let operator = Operator::new(proxy.admin()).with_token();
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    proxy.signal("TERM");
    proxy.wait_log("draining sessions=1");
    operator.act("/api/reload").expect_error(409, "the process drains, its settings stay as they are");
    proxy.signal("HUP");
    proxy.wait_log("WARN *SIGHUP ignored: the process drains, its settings stay as they are");
    upstream.conn(0).text("b");
    assert_eq!(client.recv_text(), "b");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn the_configuration_shows_what_is_in_force_and_what_waits_for_the_next_start() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).operated().with("server.workers = 2");
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let line = |start: &str| {
        let body = operator.get("/api/configuration").body;
        body.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{body}")).to_owned()
    };
    let changed = settings.with("server.workers = 3").with("admin.allowed_hosts = [\"a.test\"]");
    for _ in 0..2 {
        proxy.reload(&changed);
        assert!(line("workers").starts_with("workers = 2 "), "{}", line("workers"));
        assert!(line("workers").contains("# until the next start, then 3, "), "{}", line("workers"));
    }
    proxy.reload(&changed.with("server.workers = 2"));
    assert!(!line("workers").contains("until"), "{}", line("workers"));
}
