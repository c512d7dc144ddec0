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
