//! Tests of replies that match their event by key (`correlation`).

use crate::harness::*;

fn correlated(url: &str, key: &str) -> Settings {
    Settings::json(url).with(&format!("upstream.echo.correlation = \"{key}\""))
}

#[test]
fn replies_out_of_order_find_their_events() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&correlated(&upstream.url(), "id"));
    let mut client = proxy.client();
    for id in 0..5 {
        client.text(&json!({"id": id, "method": "x"}).to_string());
    }
    let conn = upstream.conn(0);
    conn.wait_messages(5);
    for id in (0..5).rev() {
        conn.text(&json!({"id": id, "result": id}).to_string());
    }
    for id in (0..5).rev() {
        assert_eq!(client.recv_json(), json!({"id": id, "result": id}));
    }
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=5 answered=5 delivered=0 errored=0 dropped=0");
}

#[test]
fn a_correlation_key_may_be_a_path_to_any_scalar() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&correlated(&upstream.url(), "params.id"));
    let mut client = proxy.client();
    for id in [json!("one"), json!(2), json!("2")] {
        client.text(&json!({"params": {"id": id}}).to_string());
    }
    let conn = upstream.conn(0);
    conn.wait_messages(3);
    for id in [json!("2"), json!(2), json!("one")] {
        conn.text(&json!({"params": {"id": id}, "answer": true}).to_string());
    }
    for id in [json!("2"), json!(2), json!("one")] {
        assert_eq!(client.recv_json()["params"]["id"], id);
    }
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=3 answered=3 delivered=0");
}

#[test]
fn a_message_without_key_awaits_no_reply_and_an_unknown_key_is_a_push() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&correlated(&upstream.url(), "id"));
    let mut client = proxy.client();
    client.text(r#"{"method":"notify"}"#);
    client.text(r#"{"id":1}"#);
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    for message in [r#"{"method":"tick"}"#, r#"{"id":99}"#, r#"{"id":1,"result":"ok"}"#] {
        conn.text(message);
        assert_eq!(client.recv_text(), message);
    }
    client.close(1000, "");
    // The first event was settled when it was written.
    proxy.wait_log("session closed session=1:0 *accepted=2 answered=1 delivered=1 errored=0 dropped=0");
}

#[test]
fn a_loss_reports_exactly_the_events_in_flight() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&correlated(&upstream.url(), "id")).expect_restarts();
    let mut client = proxy.client();
    for id in 0..3 {
        client.text(&json!({"id": id}).to_string());
    }
    let conn = upstream.conn(0);
    conn.wait_messages(3);
    conn.text(r#"{"id":1}"#);
    assert_eq!(client.recv_json(), json!({"id": 1}));
    conn.die(Death::Fin);
    let ids = [client.recv_error().1, client.recv_error().1];
    assert_eq!(ids, ["1:0:0", "1:0:2"]);
    proxy.wait_ups(2);
    client.text(r#"{"id":1}"#);
    upstream.conn(1).wait_messages(1);
    upstream.conn(1).text(r#"{"id":1,"n":2}"#);
    assert_eq!(client.recv_json(), json!({"id": 1, "n": 2}));
}

#[test]
fn a_late_reply_is_a_push_even_if_its_key_is_reused() {
    let upstream = TestUpstream::silent();
    let settings = correlated(&upstream.url(), "id").with(r#"upstream.echo.reply_timeout = "300ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"id":1}"#);
    let (error, id) = client.recv_error();
    assert!(error.ends_with("no reply within 300ms"), "{error}");
    assert_eq!(id, "1:0:0");
    upstream.conn(0).text(r#"{"id":1,"late":true}"#);
    assert_eq!(client.recv_json(), json!({"id": 1, "late": true}));
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=1 answered=0 delivered=0 errored=1 dropped=0");
}

/// The two keys would be equal if they were converted to floats.
#[test]
fn keys_beyond_64_bits_are_compared_by_their_digits() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&correlated(&upstream.url(), "id").on_route(r#"on_upstream_loss = "keep""#))
        .expect_restarts();
    let mut client = proxy.client();
    let ids = ["92233720368547758423", "92233720368547758424"];
    for id in ids {
        client.text(&format!(r#"{{"id":{id}}}"#));
    }
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    conn.text(&format!(r#"{{"id":{},"result":1}}"#, ids[1]));
    assert_eq!(client.recv_text(), format!(r#"{{"id":{},"result":1}}"#, ids[1]));
    conn.die(Death::Close(1011, "gone"));
    assert_eq!(client.recv_error().1, "1:0:0", "the error names the event that was not answered");
}
