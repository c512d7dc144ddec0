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
fn the_close_line_says_who_closed_and_what_the_session_did() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"drain.window = "1ms""#);
    let mut proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    upstream.conn(0).die(Death::Close(1001, "restart"));
    proxy.wait_ups(2);
    assert_eq!(client.ask("again!"), "again!");
    client.close(4000, "bye");
    client.expect_closed(4000);
    proxy.wait_log(
        "session closed session=1:0 code=4000 side=downstream reason=bye cause=client_close received=2 \
         received_bytes=11 sent=* sent_bytes=* accepted=2 answered=2 delivered=0 errored=0 dropped=0 unsettled=0 \
         pushed=* discarded=0 restarts=1 gaps=* moves=0 seconds=*",
    );
    let _open = proxy.client();
    proxy.signal("TERM");
    proxy.wait_log("session closed session=1:1 code=1001 side=proxy reason=\"shutting down\" cause=drain *");
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn the_close_line_names_the_upstream_that_ended_the_session() {
    let upstream = TestUpstream::echo();
    let settings = Settings::plain(&upstream.url()).on_route(r#"on_upstream_loss = "close""#);
    let proxy = Proxy::start(&settings).expect("upstream ended *");
    for (number, death, cause) in [
        (0, Death::Close(4001, "kicked"), "upstream_close"),
        (1, Death::Close(1001, "restart"), "upstream_lost"),
    ] {
        let _client = proxy.client();
        proxy.wait_ups_of(&format!("1:{number}"), 1);
        upstream.conn(number).die(death);
        proxy.wait_log(&format!(
            "session closed session=1:{number} code=* side=upstream reason=* cause={cause} *"
        ));
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
