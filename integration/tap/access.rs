//! Who may open a tap, and with which parameters.

use super::*;

#[test]
fn a_tap_needs_the_setting_and_the_token() {
    let upstream = TestUpstream::echo();
    let off = Proxy::start(&Settings::request(&upstream.url()).operated());
    let operator = Operator::new(off.admin()).with_token();
    operator.get("/api/tap").expect_error(403, "taps are off: set admin.tap = true");
    let on = Proxy::start(&tapped(Settings::request(&upstream.url()))).expect("admin request refused");
    let reply = Operator::new(on.admin()).get("/api/tap");
    reply.expect_error(401, "this needs the operator's token");
    on.wait_log("WARN *admin request refused peer=127.0.0.1:* method=GET path=/api/tap *");
    let wrong = Operator::new(on.admin()).with("authorization", "Bearer another-token-here");
    wrong.get("/api/tap").expect_error(401, "wrong token");
}

#[test]
fn wrong_parameters_are_refused_with_the_reason() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let operator = Operator::new(proxy.admin()).with_token();
    operator.get("/api/tap?where=event.x%20%3D%3D").expect_error(400, "where:1:");
    operator.get("/api/tap?direction=up").expect_error(400, "direction=\"up\"");
    operator.get("/api/tap?session=x").expect_error(400, "session=\"x\"");
    operator.get("/api/tap?colour=red").expect_error(400, "no parameter \"colour\"");
    operator.send("POST", "/api/tap", None).expect_error(405, "this page takes GET");
}

#[test]
fn the_command_reports_what_the_server_refuses() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url()))).expect("admin request refused");
    let admin = format!("http://{}", proxy.admin());
    let token = token_file().to_str().unwrap();
    let run = |options: &[&str]| {
        let args: Vec<_> = ["tap", "--admin", &admin].into_iter().chain(options.iter().copied()).collect();
        Program::finish(&args, &[], Path::new("."))
    };
    let refused = run(&["--token-file", token, "--where", "event.x =="]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("where:1:"), "{}", refused.stderr);
    for (name, value, reason) in [
        ("--session", "1:0", "no session 1:0: it has ended, or never began"),
        ("--route", "x", "no route \"x\"; known: route[1]"),
        ("--listener", "x", "no listener \"x\"; known: ws"),
    ] {
        let refused = run(&["--token-file", token, name, value]);
        assert_eq!(refused.code, Some(1), "{name}");
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }
    assert_eq!(run(&["--direction", "up"]).code, Some(2));
    let refused = run(&[]);
    assert!(refused.stderr.contains("this needs the operator's token"), "{}", refused.stderr);
    let missing = run(&["--token-file", "/nowhere"]);
    assert!(missing.stderr.contains("/nowhere"), "{}", missing.stderr);
    let nobody = Program::finish(&["tap", "--admin", "http://127.0.0.1:1"], &[], Path::new("."));
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("http://127.0.0.1:1"), "{}", nobody.stderr);
}

#[test]
fn the_ninth_tap_is_refused_and_a_place_is_free_after_an_end() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let operator = Operator::new(proxy.admin()).with_token();
    let mut taps: Vec<_> = (0..8).map(|_| Tap::open(&proxy, &[])).collect();
    operator.get("/api/tap").expect_error(429, "there are 8 taps already");
    drop(taps.pop());
    wait_for("a free place", PATIENCE, || {
        let reply = Program::finish(
            &[
                "tap",
                "--for",
                "1ms",
                "--admin",
                &format!("http://{}", proxy.admin()),
                "--token-file",
                token_file().to_str().unwrap(),
            ],
            &[],
            Path::new("."),
        );
        reply.code == Some(0)
    });
}

#[test]
fn an_open_tap_follows_the_settings() {
    let upstream = TestUpstream::echo();
    let settings = |rest: &str| tapped(Settings::request(&upstream.url())).with(rest);
    let proxy = Proxy::start(&settings("admin.tap_redact = []"));
    let mut client = proxy.client();
    let mut tap = Tap::open(&proxy, &["--payload", "--direction", "from_client"]);
    let line = |tap: &mut Tap| tap.line()["payload"].to_string();
    client.ask(r#"{"card":"1"}"#);
    assert!(line(&mut tap).contains("card"));
    proxy.reload(&settings(r#"admin.tap_redact = ["card"]"#));
    client.ask(r#"{"card":"2"}"#);
    let masked = line(&mut tap);
    assert!(masked.contains("***") && !masked.contains('2'), "{masked}");
    proxy.reload(&settings("admin.tap = false"));
    proxy.wait_log("tap ended, admin.tap is off peer=127.0.0.1:*");
    client.ask(r#"{"card":"3"}"#);
    let mut rest = String::new();
    tap.output.read_line(&mut rest).unwrap();
    assert_eq!(rest, "");
}
