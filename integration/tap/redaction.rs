//! Secrets do not appear in taps.

use super::*;

#[test]
fn planted_secrets_are_masked_in_every_direction() {
    const SECRET: &str = "planted-secret-value";
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::request(&upstream.url()))
        .with(r#"admin.tap_redact = ["email", "user.name"]"#)
        .with(r#"admin.tap_redact_patterns = ["card-[a-z-]+"]"#);
    let proxy = Proxy::start(&settings);
    let mut tap = Tap::open(&proxy, &["--payload"]);
    let mut client = proxy.client();
    let messages = [
        format!("{{\"password\":\"{SECRET}\"}}"),
        format!("{{\"a\":[{{\"accessToken\":\"{SECRET}\"}}]}}"),
        format!("{{\"inner\":\"{{\\\"api_key\\\":\\\"{SECRET}\\\"}}\"}}"),
        format!("Authorization: Bearer {SECRET}"),
        format!("login password={SECRET}&x=1"),
        format!("{{\"email\":\"{SECRET}\",\"user\":{{\"name\":\"{SECRET}\"}}}}"),
        format!("card-{SECRET}"),
        format!("[\"login\",{{\"secret\":{{\"deep\":[\"{SECRET}\"]}}}}"),
    ];
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(client.ask(message), *message, "the client's message is unchanged");
        let lines = tap.until_outcome(&format!("1:0:{number}"));
        assert_eq!(lines.len(), 5);
        assert!(!format!("{lines:?}").contains(SECRET), "{message}: {lines:#?}");
        assert_eq!(lines[0]["redacted"], true, "{message}");
    }
    client.send(Message::binary([&[0xff, 0xfe], format!("password={SECRET}").as_bytes()].concat()));
    client.recv();
    let lines = tap.until_outcome("1:0:8");
    assert_eq!((&lines[0]["withheld"], &lines[0]["payload"]), (&true.into(), &Value::Null));
}

#[test]
fn a_secret_at_the_end_of_a_truncated_payload_is_masked() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--payload", "--max-payload", "40"]);
    let message = format!("{{\"x\":\"{}\",\"token\":\"planted-secret-value\"}}", "y".repeat(20));
    proxy.client().ask(&message);
    let lines = tap.until_outcome("1:0:0");
    assert_eq!(lines[0]["truncated"], true);
    assert!(!format!("{lines:?}").contains("planted"), "{lines:#?}");
}

#[test]
fn secrets_behind_escapes_and_within_texts_are_masked() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--payload"]);
    let mut client = proxy.client();
    let messages = [
        r#"{"at":"ws:\/\/me:PLANTED@host"}"#,
        r#"{"text":"login password=PLANTED"}"#,
        "{'user': 'a', 'password': 'with PLANTED, x'}",
        "my api key: with PLANTED",
    ];
    for (number, message) in messages.into_iter().enumerate() {
        assert_eq!(client.ask(message), message);
        let lines = tap.until_outcome(&format!("1:0:{number}"));
        assert!(!format!("{lines:?}").contains("PLANTED"), "{message}: {lines:#?}");
        assert_eq!(lines[0]["redacted"], true, "{message}");
    }
}

/// A message that begins or ends within a line is not shown, because a credential may be in two messages. Its lines are.
#[test]
fn a_credential_in_two_messages_is_masked() {
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::request(&upstream.url()))
        .with(r#"listener.ws.codec = "string""#)
        .with(r#"listener.ws.preprocessors = [{ name = "lines", buffered = true }]"#);
    let proxy = Proxy::start(&settings);
    let mut tap = Tap::open(&proxy, &["--payload", "--direction", "from_client,outcome"]);
    let mut client = proxy.client();
    for message in ["whole\n", "password=PLAN", "TED\n", "again\n"] {
        client.text(message);
    }
    let lines = tap.until_outcome("1:0:2");
    assert!(!format!("{lines:?}").contains("PLAN") && !format!("{lines:?}").contains("TED"), "{lines:#?}");
    let shown = |stage: &str| -> Vec<String> {
        let lines = lines.iter().filter(|line| line["stage"] == stage);
        lines.map(|line| line["payload"].as_str().unwrap_or("withheld").to_owned()).collect()
    };
    assert_eq!(shown("message"), ["whole\n", "withheld", "withheld", "again\n"]);
    assert_eq!(shown("event"), ["whole", "password=***", "again"]);
}
