//! Tests of the commands that use the admin server.

use std::{path::Path, time::UNIX_EPOCH};

use super::*;

/// Runs a command with the token against the proxy.
pub fn run(proxy: &Proxy, args: &[&str]) -> Finished {
    let admin = format!("http://{}", proxy.admin());
    let env = [("TOWLINE_ADMIN", admin.as_str()), ("TOWLINE_TOKEN_FILE", token_file().to_str().unwrap())];
    Program::finish(args, &env, Path::new("/"))
}

/// What a drain prints when no other endpoint takes connections.
const LAST_DRAINS: &str = "the endpoint drains: follow it with towline upstreams list\n\
    warning: no other endpoint of the upstream takes connections now: its sessions stay";

#[track_caller]
pub fn output(proxy: &Proxy, args: &[&str]) -> String {
    let finished = run(proxy, args);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

#[test]
fn sessions_are_listed_shown_and_closed() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let list = output(&proxy, &["sessions", "list", "--listener", "ws", "--sort", "age"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("ID   LISTENER  ROUTE     PEER"), "{list}");
    assert!(lines[1].starts_with("1:0  ws        route[1]  127.0.0.1:"), "{list}");
    assert_eq!(lines[2], "1 shown, 1 matched, 1 session");
    let json: Value = serde_json::from_str(&output(&proxy, &["sessions", "list", "--json"])).unwrap();
    assert_eq!(json["sessions"][0]["id"], "1:0");
    let shown = output(&proxy, &["sessions", "show", "1:0"]);
    assert!(shown.contains("state                open\n") && shown.contains("\nservers\nSERVER"), "{shown}");
    let closed = output(&proxy, &["sessions", "close", "1:0", "--code", "4000", "--reason", "bye"]);
    assert_eq!(closed, "the session is being closed\n");
    assert_eq!(client.expect_closed(4000), "bye");
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let closed = output(&proxy, &["sessions", "close", "--peer", "127.0.0.1"]);
    assert_eq!(closed, "1 session is being closed within 1s\n");
    client.expect_closed(1001);
}

#[test]
fn failed_events_are_listed_and_shown() {
    let upstream = TestUpstream::silent();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect_restarts();
    let _client = failed_once(&proxy, &upstream);
    let list = output(&proxy, &["events", "list", "--session", "1:0", "--stage", "upstream"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("AT ") && lines[1].contains("Z  1:0:0  upstream  "), "{list}");
    assert_eq!(lines[2], "1 shown, 1 event kept");
    let none = output(&proxy, &["events", "list", "--contains", "no such text"]);
    assert!(none.ends_with("\n0 shown, 0 events kept\n"), "{none}");
    let json: Value = serde_json::from_str(&output(&proxy, &["events", "list", "--json"])).unwrap();
    assert_eq!((&json["matched"], &json["events"][0]["id"]), (&json!(1), &json!("1:0:0")));
    let shown = output(&proxy, &["events", "show", "1:0:0"]);
    assert!(shown.starts_with("id         1:0:0\nsession    1:0\n"), "{shown}");
    let unknown = run(&proxy, &["events", "show", "1:0:9"]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("event 1:0:9 has not failed"),
        "{}",
        unknown.stderr
    );
    assert_eq!(run(&proxy, &["events", "list", "--kind", "x"]).code, Some(2));
}

#[test]
fn reloads_and_the_settings_in_force_are_shown() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    assert_eq!(output(&proxy, &["reloads"]), "no reload since the start\n");
    output(&proxy, &["reload"]);
    let reloads = output(&proxy, &["reloads"]);
    assert!(reloads.contains("Z by 127.0.0.1:") && reloads.ends_with(": configuration 2\n"), "{reloads}");
    let settings = output(&proxy, &["configuration"]);
    assert!(settings.contains("[upstream.echo]"), "{settings}");
    let json: Value = serde_json::from_str(&output(&proxy, &["configuration", "--json"])).unwrap();
    assert_eq!(json["configuration"], settings);
}

#[test]
fn a_session_is_renewed() {
    let upstream = TestUpstream::echo();
    let tomorrow = UNIX_EPOCH.elapsed().unwrap().as_secs() + 86_400;
    // The hash of `1`.
    let hash = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    let keys = format!("{{ one = \"sha256:{hash}:exp={tomorrow}\" }}");
    let settings = Settings::request(&upstream.url())
        .operated()
        .with(r#"auth.keys.from = ["header:X-Key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {keys}"))
        .on_route(r#"auth = ["keys"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).header("X-Key", "1").open();
    assert_eq!(client.ask("a"), "a");
    let renew =
        |subject, time| run(&proxy, &["sessions", "renew", "1:0", "--subject", subject, "--for", time]);
    for (subject, time, part) in [
        ("one", "2h", "the credential expires later than that already"),
        ("two", "30days", "the client is another subject"),
    ] {
        let refused = renew(subject, time);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let renewed = renew("one", "30days");
    assert!(renewed.stdout.starts_with("the credential of the client expires at 2"), "{}", renewed.stderr);
    assert_eq!(client.recv_json()["notice"], "session renewed");
}

#[test]
fn upstreams_are_listed_and_emptied_and_the_process_ends() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let mut proxy = proxy.expect("no endpoint takes connections upstream=echo");
    let list = output(&proxy, &["upstreams", "list"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("UPSTREAM  NO  ENDPOINT"), "{list}");
    assert!(lines[1].starts_with(&format!("echo       1  {}  up", upstream.url())), "{list}");
    let url = upstream.url();
    for (args, expected) in [
        (&["upstreams", "drain", "echo", &url, "--rate", "5"][..], LAST_DRAINS),
        (&["upstreams", "undrain", "echo", "1"], "the endpoint is used again\n"),
        (&["upstreams", "move", "echo", "1", "--count", "3"], "0 sessions move\n"),
        (&["upstreams", "abort", "echo", "1"], "0 sessions stay\n"),
        (&["drain"], "the proxy drains its 0 sessions, and ends\n"),
    ] {
        let text = output(&proxy, args);
        assert!(text.starts_with(expected), "{args:?}: {text}");
    }
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn errors_say_what_to_do() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let proxy = proxy.expect("admin request refused").expect("client refused");
    let failed = |args: &[&str], env: &[(&str, &str)], code: i32, part: &str| {
        let finished = Program::finish(args, env, Path::new("/"));
        assert_eq!(finished.code, Some(code), "{args:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(part) && finished.stdout.is_empty(), "{}", finished.stderr);
    };
    let admin = format!("http://{}", proxy.admin());
    let at = [("TOWLINE_ADMIN", admin.as_str())];
    let port = Port::take();
    let nobody = format!("http://{}", port.addr());
    failed(&["sessions", "list", "--admin", &nobody], &[], 1, "is the proxy running, and is --admin right?");
    failed(&["sessions", "list", "--admin", "nowhere"], &[], 2, "takes a URL such as http://127.0.0.1:9140");
    failed(
        &["sessions", "list", "--state", "x"],
        &at,
        2,
        "[possible values: starting, open, draining, closing]",
    );
    failed(&["sessions", "list", "--sort", "x"], &at, 2, "[possible values: id, age, active, received,");
    failed(&["sessions", "list", "--route", "x"], &at, 1, "no route \"x\"; known: route[1] (status 404)");
    failed(&["sessions", "list", "--listener", "x"], &at, 1, "no listener \"x\"; known: ws (status 404)");
    failed(&["sessions", "show", "9:9"], &at, 1, "no session 9:9");
    failed(&["sessions", "close"], &at, 2, "give the ID of a session, a condition");
    failed(&["sessions", "close", "1:0"], &at, 1, "by --token-file or TOWLINE_TOKEN_FILE");
    failed(
        &["sessions", "close", "1:0", "--token-file", "/nowhere"],
        &at,
        1,
        "the token cannot be read: /nowhere",
    );
    failed(&["sessions", "close", "1:0", "--all"], &at, 2, "cannot be used with");
    let page = format!("http://{}", proxy.addr());
    failed(&["sessions", "list", "--admin", &page], &[], 1, "of an admin server");
}

#[test]
fn the_second_signal_ends_a_drain_that_was_ordered() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).operated().with(r#"drain.grace = "1h""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    output(&proxy, &["drain"]);
    proxy.wait_log("draining sessions=1");
    proxy.signal("TERM");
    proxy.wait_log("signal ignored, the process ends already");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(1));
}
