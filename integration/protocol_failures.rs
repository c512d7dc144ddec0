//! Failures that reach the client as errors in its protocol, and how operators find them.

use crate::harness::*;

const BALANCE: &str = r#"{"jsonrpc":"2.0","id":2,"method":"eth_getBalance","params":["0x1"]}"#;

/// The settings of a route with a preset, and an admin server.
fn settings(upstream: &TestUpstream, preset: &str) -> Settings {
    Settings::recovering(&upstream.url(), &format!("preset = {preset:?}"))
}

/// The number of failures with this kind.
fn failures(proxy: &Proxy, kind: &str) -> f64 {
    Scraped::of(proxy.admin()).sum("towline_errors_total", &[("kind", kind)])
}

/// Each preset with messages of the client: those that it needs first, and one that fails during an outage.
const CASES: [(&str, &[&str], &str); 6] = [
    ("json-rpc", &[], BALANCE),
    (
        "graphql-transport-ws",
        &[r#"{"type":"connection_init"}"#],
        r#"{"id":"b","type":"subscribe","payload":{"query":"mutation { pay }"}}"#,
    ),
    (
        "graphql-ws",
        &[r#"{"type":"connection_init"}"#],
        r#"{"id":"b","type":"start","payload":{"query":"mutation { pay }"}}"#,
    ),
    ("phoenix", &[], r#"[null,"7","room","new_msg",{}]"#),
    ("stomp", &["CONNECT\naccept-version:1.2\n\n\0"], "SEND\ndestination:a\nreceipt:7\n\n\0"),
    ("openai-realtime", &[], r#"{"type":"response.create"}"#),
];

#[test]
fn a_message_that_fails_during_an_outage_is_errored_with_each_preset() {
    for (preset, before, message) in CASES {
        let upstream = TestUpstream::silent();
        let proxy = Proxy::start(&settings(&upstream, preset)).expect_restarts();
        let operator = Operator::new(proxy.admin());
        let mut client = proxy.client();
        before.iter().for_each(|message| client.text(message));
        upstream.conn(0).wait_messages(before.len());
        upstream.stop(Death::Reset);
        proxy.wait_log("connector restart session=1:0");
        client.text(message);
        let failed = client.recv_text();
        assert!(!failed.contains("1:0:"), "{preset}: an error of its protocol: {failed}");
        let id = format!("1:0:{}", before.len());
        let session = operator.json("/api/sessions/1:0");
        assert_eq!(session["errored"], json!(1), "{preset}: {session}");
        let error = session["errors"].as_array().unwrap().last().unwrap();
        assert_eq!((&error["id"], &error["kind"]), (&json!(id), &json!("not_connected")), "{preset}");
        let found = operator.json(&format!("/api/events/{id}"));
        let reason = format!(
            "Error sending event to server {}: Trying to work with closed connection",
            upstream.url()
        );
        assert_eq!((&found["reason"], &found["stage"]), (&json!(reason), &json!("upstream")), "{preset}");
        assert_eq!(failures(&proxy, "not_connected"), 1.0, "{preset}");
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert!(account.is_balanced() && account.errored == 1, "{preset}: {account:?}");
    }
}

/// It was delivered, which stays its outcome.
#[test]
fn a_delivered_request_that_fails_with_its_connection_is_found_by_its_id() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&settings(&upstream, "json-rpc")).expect_restarts();
    let operator = Operator::new(proxy.admin());
    let mut client = proxy.client();
    client.text(BALANCE);
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).die(Death::Reset);
    let failed = client.recv_json();
    assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!(2), &json!(-32000)));
    let found = operator.json("/api/events/1:0:0");
    assert_eq!((&found["reason"], &found["kind"]), (&failed["error"]["message"], &json!("socket")));
    assert_eq!(operator.json("/api/sessions/1:0")["errors"][0]["id"], json!("1:0:0"));
    assert_eq!(failures(&proxy, "socket"), 1.0);
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert!(account.is_balanced() && account.unsettled == 0, "{account:?}");
}

#[test]
fn a_channel_that_is_not_joined_again_is_found_by_its_id() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&settings(&upstream, "phoenix")).expect_restarts();
    let operator = Operator::new(proxy.admin());
    let mut client = proxy.client();
    let answer =
        |status: &str| format!(r#"["1","1","room","phx_reply",{{"status":"{status}","response":{{}}}}]"#);
    client.text(r#"["1","1","room","phx_join",{}]"#);
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).text(&answer("ok"));
    client.recv_text();
    upstream.conn(0).die(Death::Reset);
    upstream.conn(1).wait_messages(1);
    upstream.conn(1).text(&answer("error"));
    assert_eq!(client.recv_json()[3], json!("phx_error"));
    let found = operator.json("/api/events/1:0:0");
    assert_eq!((&found["kind"], &found["stage"]), (&json!("recovery"), &json!("upstream")), "{found}");
    assert_eq!(failures(&proxy, "recovery"), 1.0);
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.delivered, account.errored), (1, 1, 0), "it was answered");
}
