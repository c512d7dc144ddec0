//! Tests of the format of the log, and of texts that it must not contain.

use crate::harness::*;

/// Runs a session with a message and an error reply. Returns the log.
fn some_life(settings: Settings) -> Vec<String> {
    let upstream = TestUpstream::echo();
    let settings = settings
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .with(r#"listener.ws.codec = "string""#)
        .upstream("echo", &upstream.url())
        .with(r#"upstream.echo.exchange = "request""#)
        .route(&[r#"upstream = "echo""#]);
    let mut proxy = Proxy::start(&settings).expect_restarts();
    let mut client = Opening::new(proxy.addr())
        .path("/?token=t0k3n")
        .header("Authorization", "Bearer b34r3r")
        .header("Cookie", "session=c00k13")
        .open();
    assert_eq!(client.ask("confidential"), "confidential");
    client.send(binary(b"confidential \xff"));
    client.recv_error();
    upstream.conn(0).die(Death::Close(1001, "restart"));
    proxy.wait_ups(2);
    client.close(1000, "");
    client.expect_closed(1000);
    proxy.wait_log("session closed session=1:0");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    proxy.log()
}

#[test]
fn no_payload_and_no_credential_is_logged_at_any_level() {
    let log = some_life(Settings::bare().with(r#"log.level = "trace""#)).join("\n");
    for secret in ["confidential", "t0k3n", "b34r3r", "c00k13"] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[test]
fn each_line_of_the_json_log_is_an_object() {
    for line in some_life(Settings::bare().with(r#"log.format = "json""#)) {
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["time", "level", "target", "message"] {
            assert!(value[key].is_string(), "no {key} in {line}");
        }
    }
}

#[test]
fn each_session_has_two_log_lines_at_info() {
    let log = some_life(Settings::bare());
    let about: Vec<_> = log.iter().filter(|line| matches(line, "session=1:0")).collect();
    let of = |pattern: &str| about.iter().filter(|line| matches(line, pattern)).count();
    assert_eq!(of("session opened session=1:0"), 1, "{about:#?}");
    assert_eq!(of("session closed session=1:0 *code=1000"), 1, "{about:#?}");
    assert_eq!(of("connector up"), 2, "{about:#?}");
    assert_eq!(of("connector restart"), 1, "{about:#?}");
}
