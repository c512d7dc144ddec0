//! What a tap shows of messages and outcomes.

use super::*;

#[test]
fn a_message_is_seen_at_each_place_with_its_outcome() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--payload"]);
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    let lines = tap.until_outcome("1:0:0");
    assert_eq!(
        places(&lines),
        [
            "from_client request",
            "to_upstream request",
            "from_upstream reply",
            "to_client reply",
            "outcome answered"
        ]
    );
    for line in &lines {
        assert_eq!((&line["session"], &line["event"]), (&"1:0".into(), &"1:0:0".into()), "{line}");
        assert_eq!(line["listener"], "ws");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        if line["direction"] != "outcome" {
            assert_eq!(
                (&line["payload"], &line["bytes"], &line["kind"]),
                (&"hello".into(), &5.into(), &"text".into())
            );
        }
    }
    assert!(lines[4]["duration_us"].as_u64().unwrap() > 0);
    client.send(binary("bytes"));
    assert_eq!(client.recv(), binary("bytes"));
    let lines = tap.until_outcome("1:0:1");
    assert_eq!((&lines[0]["kind"], &lines[0]["encoding"]), (&"binary".into(), &"base64".into()));
}

#[test]
fn without_payload_no_content_is_shown() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &[]);
    assert_eq!(proxy.client().ask("a-content"), "a-content");
    let lines = tap.until_outcome("1:0:0");
    assert!(!format!("{lines:?}").contains("a-content"));
    assert_eq!(lines[0]["bytes"], 9);
}

#[test]
fn each_outcome_has_its_name_and_its_reason() {
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::json(&upstream.url())).incoming(
        "select event from in where event.kind == \"ask\" into out;
         select event from in where event.kind == \"bad\" into err;",
    );
    let proxy = Proxy::start(&settings);
    let mut tap = Tap::open(&proxy, &["--direction", "outcome"]);
    let mut client = proxy.client();
    client.text("{\"kind\":\"ask\"}");
    client.text("{\"kind\":\"other\"}");
    client.text("{\"kind\":\"bad\"}");
    client.text("{");
    let mut lines = Vec::new();
    (0..4).for_each(|_| lines.push(tap.line()));
    let outcomes = outcomes(&lines);
    assert_eq!(outcomes.values().filter(|outcome| *outcome == "errored").count(), 2, "{outcomes:?}");
    assert_eq!(outcomes["1:0:0"], "answered");
    assert_eq!(outcomes["1:0:1"], "dropped");
    let line = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    assert_eq!((&line("1:0:2")["stage"], &line("1:0:2")["failure"]), (&"program".into(), &"rejected".into()));
    assert_eq!(line("1:0:3")["failure"], "decode_malformed");
    assert!(line("1:0:3")["reason"].as_str().unwrap().contains("column"), "{}", line("1:0:3"));
}

#[test]
fn events_of_a_stream_are_delivered_and_pushes_are_seen() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::stream(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--direction", "outcome,to_client"]);
    assert_eq!(proxy.client().ask("x"), "x");
    let mut lines = vec![tap.line(), tap.line()];
    lines.sort_by_key(|line| line["direction"].to_string());
    assert_eq!(places(&lines), ["outcome delivered", "to_client push"]);
}

#[test]
fn filters_choose_by_session_listener_route_and_condition() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::json(&upstream.url())));
    let (mut first, mut second) = (proxy.client(), proxy.client());
    let mut one = Tap::open(&proxy, &["--session", "1:1", "--direction", "from_client"]);
    let mut where_ = Tap::open(
        &proxy,
        &["--where", "event.n > 1 and $tap.listener == \"ws\"", "--direction", "from_client,outcome"],
    );
    let mut last = Tap::open(&proxy, &["--direction", "outcome", "--listener", "ws", "--route", "route[1]"]);
    first.ask("{\"n\":1}");
    second.ask("{\"n\":2}");
    assert_eq!(one.line()["event"], "1:1:0");
    let lines = where_.until_outcome("1:1:0");
    assert_eq!(places(&lines), ["from_client request", "outcome answered"]);
    // The sessions may run on different threads.
    let mut events = [(); 2].map(|()| last.line()["event"].to_string());
    events.sort();
    assert_eq!(events, ["\"1:0:0\"", "\"1:1:0\""]);
}

#[test]
fn messages_of_several_events_are_shown_before_their_events() {
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::request(&upstream.url()))
        .with(r#"listener.ws.codec = "string""#)
        .with(r#"listener.ws.preprocessors = ["lines"]"#);
    let proxy = Proxy::start(&settings);
    let mut tap = Tap::open(&proxy, &["--payload", "--direction", "from_client,outcome"]);
    let mut client = proxy.client();
    client.text("a\nb\n");
    let lines = tap.until_outcome("1:0:1");
    let requests: Vec<_> = lines.iter().filter(|line| line["direction"] == "from_client").collect();
    assert_eq!((&requests[0]["stage"], &requests[0]["payload"]), (&"message".into(), &"a\nb\n".into()));
    assert!(requests[0]["event"].is_null());
    assert_eq!((&requests[1]["stage"], &requests[1]["event"]), (&"event".into(), &"1:0:0".into()));
    assert_eq!((&requests[2]["payload"], &requests[2]["event"]), (&"b".into(), &"1:0:1".into()));
}

/// The tap joins a session that is open already.
#[test]
fn a_tap_ends_and_another_one_opens_while_a_session_goes_on() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut client = proxy.client();
    client.ask("before");
    for number in 1..4 {
        let mut tap = Tap::open(&proxy, &[]);
        client.ask("during");
        tap.until_outcome(&format!("1:0:{number}"));
        let (_, errors, code) = tap.end();
        assert_eq!((errors.as_str(), code), ("", Some(0)));
    }
}

#[test]
fn a_tap_ends_after_its_time_or_its_lines() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut client = proxy.client();
    let mut tap = Tap::open(&proxy, &["--limit", "2"]);
    client.ask("x");
    let (output, _, code) = tap.rest();
    assert_eq!((output.lines().count(), code), (2, Some(0)));
    let mut tap = Tap::open(&proxy, &["--for", "50ms"]);
    assert_eq!(tap.rest().2, Some(0));
}

/// `towline tap | head -n 1` exits with 0.
#[test]
fn a_reader_that_closes_the_output_ends_the_command_with_success() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut client = proxy.client();
    let mut shell = Command::new("sh");
    shell.args(["-c", "{ \"$0\" tap --json; echo code $? >&2; } | head -n 1", env!("CARGO_BIN_EXE_towline")]);
    shell.env("TOWLINE_ADMIN", format!("http://{}", proxy.admin())).env("TOWLINE_TOKEN_FILE", token_file());
    let mut shell = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the end of the command", PATIENCE, || {
        client.ask("x");
        shell.try_wait().unwrap().is_some()
    });
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "code 0\n");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn a_limit_of_no_lines_is_refused() {
    let refused = Program::finish(&["tap", "--limit", "0"], &[], Path::new("."));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--limit"), "{}", refused.stderr);
}
