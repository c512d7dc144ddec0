//! Recovery of sessions: what a client sees when its upstream connection is replaced, and what the new connection
//! hears.

use crate::harness::*;

const GRAPHQL: &str = r#"preset = "graphql-transport-ws""#;
const RPC: &str = r#"preset = "json-rpc""#;

/// A protocol of its own: the upstream assigns the ids.
const OWN: &str = r#"open = [{ when = { op = "open" }, request = "ref", key = "topic" }]"#;
const OWN_MORE: [&str; 5] = [
    r#"upstream.echo.recovery.hello = [{ when = { op = "login" } }]"#,
    r#"upstream.echo.recovery.accepted = [{ when = { op = "welcome" } }]"#,
    r#"upstream.echo.recovery.close = [{ when = { op = "close" }, id = "sub" }]"#,
    r#"upstream.echo.recovery.answer = [{ when = { op = "opened" }, request = "ref", id = "sub" }]"#,
    r#"upstream.echo.recovery.data = [{ when = { op = "data" }, id = "sub" }]"#,
];

fn own(url: &str) -> Settings {
    OWN_MORE.iter().fold(Settings::recovering(url, OWN), |settings, line| settings.with(line))
}

/// The texts that a connection has received, once there are that many.
fn heard(conn: &Conn, count: usize) -> Vec<String> {
    conn.wait_messages(count).into_iter().map(|message| message.into_text().unwrap().to_string()).collect()
}

#[test]
fn a_login_and_a_subscription_are_sent_again_and_their_answers_hidden() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), GRAPHQL)).expect_restarts();
    let mut client = proxy.client();
    let first = upstream.conn(0);
    let (init, subscribe) = (
        r#"{"type":"connection_init"}"#,
        r#"{"id":"a","type":"subscribe","payload":{"query":"subscription { n }"}}"#,
    );
    client.text(init);
    heard(&first, 1);
    first.text(r#"{"type":"connection_ack"}"#);
    assert_eq!(client.recv_text(), r#"{"type":"connection_ack"}"#);
    client.text(subscribe);
    assert_eq!(heard(&first, 2), [init, subscribe]);
    first.text(r#"{"id":"a","type":"next","payload":1}"#);
    assert_eq!(client.recv_text(), r#"{"id":"a","type":"next","payload":1}"#);
    first.die(Death::Reset);
    let second = upstream.conn(1);
    assert_eq!(heard(&second, 1), [init]);
    second.text(r#"{"type":"connection_ack"}"#);
    assert_eq!(heard(&second, 2), [init, subscribe]);
    second.text(r#"{"id":"a","type":"next","payload":2}"#);
    assert_eq!(client.recv_text(), r#"{"id":"a","type":"next","payload":2}"#);
}

#[test]
fn the_client_keeps_its_ids_when_the_upstream_assigns_others() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&own(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    let first = upstream.conn(0);
    client.text(r#"{"op":"login"}"#);
    heard(&first, 1);
    first.text(r#"{"op":"welcome"}"#);
    client.recv_text();
    client.text(r#"{"op":"open","ref":1,"topic":"t"}"#);
    heard(&first, 2);
    first.text(r#"{"op":"opened","ref":1,"sub":"x1"}"#);
    assert_eq!(client.recv_text(), r#"{"op":"opened","ref":1,"sub":"x1"}"#);
    first.die(Death::Fin);
    let second = upstream.conn(1);
    assert_eq!(heard(&second, 1), [r#"{"op":"login"}"#]);
    // The client's messages wait behind the replay.
    client.text(r#"{"op":"ping"}"#);
    second.text(r#"{"op":"welcome"}"#);
    assert_eq!(heard(&second, 2)[1], r#"{"op":"open","ref":1,"topic":"t"}"#);
    assert_eq!(second.texts().len(), 2);
    second.text(r#"{"op":"opened","ref":1,"sub":"y7"}"#);
    assert_eq!(heard(&second, 3)[2], r#"{"op":"ping"}"#);
    second.text(r#"{"op":"data","sub":"y7"}"#);
    assert_eq!(client.recv_text(), r#"{"op":"data","sub":"x1"}"#);
    client.text(r#"{"op":"close","sub":"x1"}"#);
    assert_eq!(heard(&second, 4)[3], r#"{"op":"close","sub":"y7"}"#);
}
