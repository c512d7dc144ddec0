//! What a reload changes for new sessions, and what it leaves as it is.

use crate::harness::{Opening, PATIENCE, Proxy, Settings, TestUpstream, wait_for};

/// Settings whose route answers each message with `text`.
fn answering(text: &str) -> Settings {
    Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .pipeline("answer", &format!("select {text:?} from in into reply;"))
        .route(&[r#"name = "answers""#, r#"incoming = ["answer"]"#])
}

#[test]
fn a_reload_of_the_same_settings_changes_nothing() {
    let proxy = Proxy::start(&answering("one"));
    let mut client = proxy.client();
    for _ in 0..3 {
        assert!(proxy.reload(&answering("one")).is_empty());
        assert_eq!(client.ask("?"), "one");
    }
}

#[test]
fn routes_and_upstreams_come_and_go() {
    let (one, two) = (TestUpstream::echo(), TestUpstream::echo());
    let at = |upstream: &str| Settings::request(&one.url()).on_route(&format!("path = \"/{upstream}\""));
    let both = at("echo").on_route("name = \"echo\"").upstream("two", &two.url()).route(&[
        r#"name = "two""#,
        r#"path = "/two""#,
        r#"upstream = "two""#,
    ]);
    let only = at("echo").on_route("name = \"echo\"");
    let proxy = Proxy::start(&only);
    let at = |path: &str| Opening::new(proxy.addr()).path(path).open();
    let mut first = at("/echo");
    assert_eq!(first.ask("a"), "a");
    let changes = proxy.reload(&both);
    assert!(changes.iter().any(|change| change.starts_with("added upstream.two")), "{changes:?}");
    assert!(changes.iter().any(|change| change.starts_with("added route.two")), "{changes:?}");
    let mut second = at("/two");
    assert_eq!((second.ask("b"), two.connections()), ("b".to_owned(), 1));
    let changes = proxy.reload(&only);
    assert!(changes.iter().any(|change| change.starts_with("removed route.two")), "{changes:?}");
    assert_eq!(Opening::new(proxy.addr()).path("/two").refused().status(), 404);
    // The sessions of the route that is gone continue.
    assert_eq!((first.ask("c"), second.ask("d")), ("c".to_owned(), "d".to_owned()));
    let proxy = proxy.expect("client refused");
    drop(proxy);
}

#[test]
fn a_broken_file_changes_nothing() {
    let proxy = Proxy::start(&answering("one")).expect("reload failed").expect("reload problem");
    let mut old = proxy.client();
    let broken = answering("two").with(r#"listener.ws.codec = "strng""#).with("server.buffer = 3");
    let problems = proxy.reload_broken(&broken);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|text| text.contains("listener.ws.codec = \"strng\"")), "{problems:?}");
    assert!(problems.iter().any(|text| text.contains("towline.toml:")), "it has the line: {problems:?}");
    assert_eq!((old.ask("?"), proxy.client().ask("?")), ("one".to_owned(), "one".to_owned()));
    let program = answering("two").pipeline("answer", "select event frm in;");
    assert!(proxy.reload_broken(&program)[0].contains("the program does not compile"));
    // The next file is compared with the settings in force.
    assert_eq!(proxy.reload(&answering("two")).len(), 1);
    assert_eq!(proxy.client().ask("?"), "two");
}

/// The open of a named pipe waits for a writer.
#[test]
fn a_pipe_in_place_of_the_settings_holds_up_no_reload() {
    let proxy = Proxy::start(&answering("one")).expect("reload failed").expect("reload problem");
    let file = proxy.file();
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    proxy.signal("HUP");
    proxy.wait_log("reload problem by=signal *not a regular file*");
    assert!(!proxy.reload(&answering("two")).is_empty());
    assert_eq!(proxy.client().ask("?"), "two");
}

#[test]
fn secrets_are_not_in_the_log() {
    let upstream = TestUpstream::echo();
    let with = |secret: &str| {
        Settings::request(&upstream.url()).with(&format!("upstream.echo.headers.x-token = {secret:?}"))
    };
    let proxy = Proxy::start(&with("SECRET-1"));
    let changes = proxy.reload(&with("SECRET-2"));
    assert_eq!(changes, ["changed upstream.echo.headers.x-token (secret) (takes effect for new sessions)"]);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    assert_eq!(upstream.head(0).get("x-token").as_deref(), Some("SECRET-2"));
    assert!(proxy.log().iter().all(|line| !line.contains("SECRET")));
}

#[test]
fn what_waits_for_the_next_start_is_reported_at_each_reload() {
    let proxy = Proxy::start(&answering("one"));
    let more = answering("one").with("server.workers = 3");
    let waits = "changed server.workers 2 → 3 (takes effect at the next start)";
    for _ in 0..2 {
        assert_eq!(proxy.reload(&more), [waits]);
    }
    assert!(proxy.reload(&answering("one")).is_empty());
}

#[test]
fn a_removed_endpoint_drains() {
    let (one, two) = (TestUpstream::echo(), TestUpstream::echo());
    let with = |urls: &[&TestUpstream]| {
        let urls: Vec<_> = urls.iter().map(|upstream| format!("{:?}", upstream.url())).collect();
        Settings::request(&one.url()).endpoints(&format!("[{}]", urls.join(", ")))
    };
    let proxy = Proxy::start(&with(&[&one]));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let changes = proxy.reload(&with(&[&two]));
    assert!(changes[0].starts_with("changed upstream.echo.endpoints "), "{changes:?}");
    wait_for("the session to move", PATIENCE, || two.live() == 1 && one.live() == 0);
    assert_eq!(client.ask("b"), "b");
}

#[test]
fn sighup_during_the_drain_does_nothing() {
    let mut proxy = Proxy::start(&answering("one")).expect("SIGHUP ignored");
    let mut client = proxy.client();
    proxy.signal("HUP");
    proxy.wait_log("settings reloaded by=signal generation=2 changes=0");
    assert_eq!(client.ask("?"), "one");
    proxy.signal("TERM");
    proxy.signal("HUP");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}
