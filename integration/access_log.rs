//! The access log: one line on standard output for each session that has ended.

use crate::harness::*;

/// One worker thread, so that lines have the order in which the sessions end.
fn settings(upstream: &TestUpstream) -> Settings {
    Settings::request(&upstream.url()).with("server.workers = 1")
}

/// Runs two sessions to their ends, and then the proxy. Returns the lines of standard output.
fn lines(settings: &Settings) -> Vec<String> {
    let mut proxy = Proxy::start_writing(settings);
    let mut client = Opening::new(proxy.addr())
        .path("/rooms/7?token=t0k3n")
        .header("User-Agent", "say \"hi\"")
        .header("Cookie", "session=c00k13")
        .open();
    assert_eq!(client.ask("hello"), "hello");
    client.close(1000, "bye");
    client.expect_closed(1000);
    proxy.wait_log("session closed session=1:0");
    drop(proxy.client());
    proxy.wait_log("session closed session=1:1 code=1006 side=downstream reason=\"\" cause=client_gone");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    proxy.output()
}

#[test]
fn a_text_line_has_the_form_of_the_settings() {
    let upstream = TestUpstream::echo();
    let format = r#"log.access_format = '${session} ${peer_ip} "${host}" "${path}" "${user_agent}" ${code} ${reason} ${side} ${cause} ${received}/${received_bytes} ${sent}/${sent_bytes} ${answered} ${subject}'"#;
    let lines =
        lines(&settings(&upstream).with(r#"log.access = "text""#).with(format).with(r#"log.level = "info""#));
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let expected =
        r#"1:0 127.0.0.1 "*" "/rooms/7" "say \"hi\"" 1000 bye downstream client_close 1/5 1/5 1 -"#;
    assert!(matches(&lines[0], expected), "{lines:#?}");
    assert!(
        matches(&lines[1], r#"1:1 127.0.0.1 "*" "/*" "*" 1006 - downstream client_gone 0/0 0/0 0 -"#),
        "{lines:#?}"
    );
    assert!(!lines.concat().contains("t0k3n") && !lines.concat().contains("c00k13"), "{lines:#?}");
}

#[test]
fn a_json_line_is_an_object_with_the_fields_of_the_settings() {
    let upstream = TestUpstream::echo();
    let lines = lines(&settings(&upstream).with(r#"log.access = "json""#));
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let value: Value = serde_json::from_str(&lines[0]).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(keys.contains(&"closed") && keys.contains(&"user_agent") && keys.len() == 18, "{keys:?}");
    assert_eq!((&value["code"], &value["received_bytes"]), (&1000.into(), &5.into()));
    assert_eq!(value["user_agent"], "say \"hi\"");
    assert!(value["seconds"].is_f64(), "{value}");
}

#[test]
fn there_is_no_access_log_by_default_and_no_level_switches_it_off() {
    let upstream = TestUpstream::echo();
    let quiet = |settings: Settings| {
        let mut proxy = Proxy::start_writing(&settings);
        proxy.client().close(1000, "");
        proxy.wait_log("session closed session=1:0");
        proxy.signal("TERM");
        assert_eq!(proxy.exit_code(), Some(0));
        proxy.output().len()
    };
    assert_eq!(quiet(settings(&upstream)), 0);
    let levels = r#"log.level = "off,run=info,session=info""#;
    assert_eq!(quiet(settings(&upstream).with(r#"log.access = "json""#).with(levels)), 1);
}
