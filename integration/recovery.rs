//! Recovery of sessions: what a client sees when its upstream connection is replaced, and what the new connection
//! hears.

use crate::harness::*;

const GRAPHQL: &str = r#"preset = "graphql-transport-ws""#;
const RPC: &str = r#"preset = "json-rpc""#;

/// A protocol that patterns describe: the upstream assigns the ids.
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
    proxy.wait_log("session restored session=1:0 upstream=echo generation=2 messages=2 duration=*ms");
    assert_eq!(proxy.count_log("session restored"), 1, "the first connection has heard nothing again");
}

#[test]
fn a_mutation_in_flight_fails_once_and_its_subscription_goes_on() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), GRAPHQL)).expect_restarts();
    let mut client = proxy.client();
    let operation = |id: &str, query: &str| {
        format!(r#"{{"id":"{id}","type":"subscribe","payload":{{"query":"{query}"}}}}"#)
    };
    let (subscription, mutation) = (operation("a", "subscription { n }"), operation("b", "mutation { pay }"));
    client.text(r#"{"type":"connection_init"}"#);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).text(r#"{"type":"connection_ack"}"#);
    client.recv_text();
    client.text(&subscription);
    heard(&upstream.conn(0), 2);
    upstream.conn(0).text(r#"{"id":"a","type":"next","payload":1}"#);
    client.recv_text();
    client.text(&mutation);
    heard(&upstream.conn(0), 3);
    upstream.conn(0).die(Death::Reset);
    let failed = client.recv_json();
    assert_eq!((&failed["id"], &failed["type"]), (&json!("b"), &json!("error")));
    heard(&upstream.conn(1), 1);
    upstream.conn(1).text(r#"{"type":"connection_ack"}"#);
    client.text(r#"{"type":"ping"}"#);
    assert_eq!(heard(&upstream.conn(1), 3)[1..], [subscription, r#"{"type":"ping"}"#.to_owned()]);
    upstream.conn(1).text(r#"{"id":"a","type":"next","payload":2}"#);
    assert_eq!(client.recv_text(), r#"{"id":"a","type":"next","payload":2}"#);
    client.close(1000, "");
    assert!(proxy.account("1:0").is_balanced());
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

const HEADS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
const BALANCE: &str = r#"{"jsonrpc":"2.0","id":2,"method":"eth_getBalance","params":["0x1"]}"#;

fn rpc_answer(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{result}"}}"#)
}

fn head(subscription: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription}","result":7}}}}"#
    )
}

/// The id of a request.
fn id_of(request: &str) -> String {
    serde_json::from_str::<Value>(request).unwrap()["id"].to_string()
}

/// A client with one subscription, `0xa`, on the first connection.
fn subscribed(upstream: &TestUpstream, proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    client.text(HEADS);
    let conn = upstream.conn(upstream.connections() - 1);
    heard(&conn, 1);
    conn.text(&rpc_answer("1", "0xa"));
    assert_eq!(client.recv_text(), rpc_answer("1", "0xa"));
    client
}

#[test]
fn a_request_in_flight_fails_once_in_the_clients_protocol_and_is_not_sent_again() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), RPC)).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    client.text(BALANCE);
    let first = upstream.conn(0);
    heard(&first, 2);
    first.die(Death::Reset);
    let failed = client.recv_json();
    assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!(2), &json!(-32000)));
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("Error receiving reply from server {}", upstream.url())),
        "{message}"
    );
    let second = upstream.conn(1);
    let replayed = heard(&second, 1);
    assert!(replayed[0].contains("eth_subscribe"), "{replayed:?}");
    second.text(&rpc_answer(&id_of(&replayed[0]), "0xb"));
    second.text(&head("0xb"));
    assert_eq!(client.recv_text(), head("0xa"));
    client.text(BALANCE);
    assert_eq!(heard(&second, 2).len(), 2);
    second.text(&rpc_answer("2", "0x7"));
    assert_eq!(client.recv_text(), rpc_answer("2", "0x7"));
}

#[test]
fn an_open_in_flight_is_sent_again_by_setting_and_answered_once() {
    let upstream = TestUpstream::silent();
    let settings =
        Settings::recovering(&upstream.url(), RPC).with(r#"upstream.echo.recovery.in_flight = "retry""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text(HEADS);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).die(Death::Reset);
    let second = upstream.conn(1);
    assert_eq!(heard(&second, 1), [HEADS]);
    second.text(&rpc_answer("1", "0xa"));
    assert_eq!(client.recv_text(), rpc_answer("1", "0xa"));
    second.text(&head("0xa"));
    assert_eq!(client.recv_text(), head("0xa"));
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.errored), (1, 0));
}

#[test]
fn an_event_during_an_outage_fails_in_the_clients_protocol() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), RPC)).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart session=1:0");
    client.text(BALANCE);
    let failed = client.recv_json();
    assert_eq!(failed["id"], json!(2));
    assert_eq!(
        failed["error"]["message"],
        format!("Error sending event to server {}: Trying to work with closed connection", upstream.url())
    );
    upstream.start();
    let second = upstream.conn(1);
    let replayed = heard(&second, 1);
    second.text(&rpc_answer(&id_of(&replayed[0]), "0xb"));
    client.text(BALANCE);
    assert_eq!(heard(&second, 2)[1], BALANCE);
}

#[test]
fn a_refused_login_is_passed_on() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), GRAPHQL)).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"type":"connection_init"}"#);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).text(r#"{"type":"connection_ack"}"#);
    client.recv_text();
    upstream.conn(0).die(Death::Reset);
    heard(&upstream.conn(1), 1);
    upstream.conn(1).die(Death::Close(4403, "Forbidden"));
    assert_eq!(client.expect_closed(4403), "Forbidden");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_rejected_login_ends_the_session_behind_its_message() {
    let upstream = TestUpstream::silent();
    let settings =
        own(&upstream.url()).with(r#"upstream.echo.recovery.rejected = [{ when = { op = "no" } }]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"op":"login"}"#);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).text(r#"{"op":"welcome"}"#);
    client.recv_text();
    upstream.conn(0).die(Death::Reset);
    heard(&upstream.conn(1), 1);
    upstream.conn(1).text(r#"{"op":"no"}"#);
    assert_eq!(client.recv_text(), r#"{"op":"no"}"#);
    assert_eq!(client.expect_closed(1008), "the upstream refused the login of the replay");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_login_without_answer_ends_the_connection_and_the_next_one_begins_anew() {
    let upstream = TestUpstream::silent();
    let settings = own(&upstream.url()).with(r#"upstream.echo.recovery.timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"op":"login"}"#);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).text(r#"{"op":"welcome"}"#);
    client.recv_text();
    upstream.conn(0).die(Death::Reset);
    heard(&upstream.conn(1), 1);
    assert_eq!(heard(&upstream.conn(2), 1), [r#"{"op":"login"}"#]);
    proxy.wait_log("reason=\"the upstream did not answer the login of the replay within 1s\"");
    upstream.conn(2).text(r#"{"op":"welcome"}"#);
    client.text(r#"{"op":"ping"}"#);
    assert_eq!(heard(&upstream.conn(2), 2)[1], r#"{"op":"ping"}"#);
}

#[test]
fn a_loss_during_the_replay_begins_it_anew_at_the_next_connection() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), RPC)).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    upstream.conn(0).die(Death::Reset);
    for connection in 1..4 {
        heard(&upstream.conn(connection), 1);
        upstream.conn(connection).die(Death::Fin);
    }
    let last = upstream.conn(4);
    let replayed = heard(&last, 1);
    client.text(BALANCE);
    last.text(&rpc_answer(&id_of(&replayed[0]), "0xf"));
    assert_eq!(heard(&last, 2)[1], BALANCE);
    last.text(&head("0xf"));
    assert_eq!(client.recv_text(), head("0xa"));
}

#[test]
fn one_subscription_too_many_fails_alone() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), RPC).with("upstream.echo.recovery.max_entries = 1");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    client.text(&HEADS.replace("\"id\":1", "\"id\":5"));
    let failed = client.recv_json();
    assert_eq!(failed["id"], json!(5));
    assert_eq!(failed["error"]["message"], "too many subscriptions: recovery.max_entries allows 1");
    upstream.conn(0).text(&head("0xa"));
    assert_eq!(client.recv_text(), head("0xa"));
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.errored), (2, 1));
}

#[test]
fn a_client_may_leave_during_the_replay() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), RPC)).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    upstream.conn(0).die(Death::Reset);
    heard(&upstream.conn(1), 1);
    client.text(BALANCE);
    client.close(1000, "bye");
    // The event that waited for the end of the replay fails in the client's protocol.
    assert_eq!(client.recv_json()["id"], json!(2));
    assert_eq!(client.expect_closed(1000), "bye");
    assert!(proxy.account("1:0").is_balanced());
    assert!(matches!(upstream.conn(1).wait_end(), End::Close(1000, _)));
}

#[test]
fn a_subscription_that_the_upstream_refuses_to_restore_is_an_error_of_its_event() {
    let upstream = TestUpstream::silent();
    let refusal =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32005,"message":"no"}}}}"#);
    let settings = Settings::recovering(&upstream.url(), RPC);
    for (settings, replies) in [(settings.clone().on_route("error_replies = true"), true), (settings, false)]
    {
        let proxy = Proxy::start(&settings)
            .expect_restarts()
            .expect("event failed session=1:0 event=1:0:0 close=1012");
        let mut client = subscribed(&upstream, &proxy);
        let last = upstream.connections();
        upstream.conn(last - 1).die(Death::Reset);
        let second = upstream.conn(last);
        let replayed = heard(&second, 1);
        second.text(&refusal(&id_of(&replayed[0])));
        if replies {
            let (error, id) = client.recv_error();
            assert!(error.ends_with("the upstream refused the subscription after a reconnect"), "{error}");
            assert_eq!(id, "1:0:0");
            client.close(1000, "");
        } else {
            assert_eq!(client.expect_closed(1012), "upstream connection lost; first lost event 1:0:0");
        }
    }
}

#[test]
fn each_subscription_has_one_notice_before_its_first_message() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), RPC).on_route("error_replies = true");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    upstream.conn(0).die(Death::Reset);
    let second = upstream.conn(1);
    let replayed = heard(&second, 1);
    second.text(&rpc_answer(&id_of(&replayed[0]), "0xb"));
    second.text(&head("0xb"));
    let notice = client.recv_json();
    assert_eq!(notice["error"], "upstream connection replaced");
    let gap = &notice["gap"];
    assert_eq!(
        (&gap["lost"], &gap["generation"], &gap["last_event"]),
        (&json!("unknown"), &json!(2), &json!("1:0:0"))
    );
    assert_eq!(gap["entry"], json!({ "key": ["newHeads"], "id": "0xa", "event_id": "1:0:0" }));
    assert_eq!(client.recv_text(), head("0xa"));
}

#[test]
fn numbered_messages_show_how_many_are_missing() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(
        &upstream.url(),
        r#"open = [{ when = { op = "open" }, id = "topic", request = "topic", resume = "after" }]"#,
    )
    .with(r#"upstream.echo.recovery.answer = [{ when = { op = "opened" }, request = "topic", resumed = { resumed = true } }]"#)
    .with(r#"upstream.echo.recovery.data = [{ when = { op = "data" }, id = "topic", cursor = "n", numbered = true }]"#)
    .on_route("error_replies = true");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let data = |number: u64| format!(r#"{{"op":"data","topic":"t","n":{number}}}"#);
    client.text(r#"{"op":"open","topic":"t","after":0}"#);
    heard(&upstream.conn(0), 1);
    upstream.conn(0).text(r#"{"op":"opened","topic":"t"}"#);
    client.recv_text();
    upstream.conn(0).text(&data(1));
    assert_eq!(client.recv_text(), data(1));
    for (connection, resumed, next, lost) in [(1, false, 5, json!(3)), (2, true, 6, json!("none"))] {
        upstream.conn(connection - 1).die(Death::Reset);
        let conn = upstream.conn(connection);
        let last = if connection == 1 { 1 } else { 5 };
        assert_eq!(heard(&conn, 1), [format!(r#"{{"op":"open","topic":"t","after":{last}}}"#)]);
        conn.text(&format!(r#"{{"op":"opened","topic":"t","resumed":{resumed}}}"#));
        conn.text(&data(next));
        assert_eq!(client.recv_json()["gap"]["lost"], lost);
        assert_eq!(client.recv_text(), data(next));
    }
}

#[test]
fn held_events_follow_the_replay() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), RPC).with(r#"upstream.echo.recovery.hold = "30s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = subscribed(&upstream, &proxy);
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart session=1:0");
    let other = BALANCE.replace("\"id\":2", "\"id\":3");
    client.text(BALANCE);
    client.text(&other);
    upstream.start();
    let second = upstream.conn(1);
    let replayed = heard(&second, 1);
    assert!(replayed[0].contains("eth_subscribe"), "{replayed:?}");
    second.text(&rpc_answer(&id_of(&replayed[0]), "0xb"));
    assert_eq!(heard(&second, 3)[1..], [BALANCE.to_owned(), other]);
}

#[test]
fn an_open_that_waits_for_another_connection_fails_when_the_upstream_is_given_up() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), RPC)
        .with(r#"upstream.echo.recovery.in_flight = "retry""#)
        .with(r#"upstream.echo.restart = { min = "20ms", max = "50ms", max_restarts = 2 }"#)
        .with(r#"upstream.echo.on_give_up = "close""#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up session=1:0");
    let mut client = proxy.client();
    client.text(HEADS);
    heard(&upstream.conn(0), 1);
    upstream.stop(Death::Reset);
    let failed = client.recv_json();
    assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!(1), &json!(-32000)));
    assert_eq!(client.expect_closed(1013), "upstream is not available");
}

#[test]
fn an_mqtt_packet_in_pieces_fails_once_during_an_outage() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), r#"preset = "mqtt""#)).expect_restarts();
    let mut client = proxy.client();
    let connect = [0x10, 0x0e, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 2, b'a', b'b'];
    client.send(binary(&connect[..5]));
    client.send(binary(&connect[5..]));
    assert_eq!(upstream.conn(0).wait_messages(1), [binary(connect)]);
    upstream.conn(0).send(binary([0x20, 2, 0, 0]));
    assert_eq!(client.recv(), binary([0x20, 2, 0, 0]));
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart session=1:0");
    for piece in [&[0x82][..], &[6, 0, 9], &[0, 1, b'a', 0]] {
        client.send(binary(piece));
    }
    assert_eq!(client.recv(), binary([0x90, 3, 0, 9, 0x80]));
    client.send(binary([0xc0, 0]));
    assert_eq!(client.recv(), binary([0xd0, 0]));
    upstream.start();
    assert_eq!(upstream.conn(1).wait_messages(1), [binary(connect)]);
    upstream.conn(1).send(binary([0x20, 2, 0, 0]));
    client.send(binary([0xc0, 0]));
    assert_eq!(upstream.conn(1).wait_messages(2)[1], binary([0xc0, 0]));
}
