//! The preset `json-rpc` over a loss of the upstream, message by message.

use std::time::Duration;

use towline_recovery::{Limits, Message, Offline, Protocol};

use super::{LOST, NONE, REFUSED, delivered, preset, rig::Rig, sent};

const HEADS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
const LOGS: &str = r#"{"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["logs",{}]}"#;

fn replayed(open: &str, id: u64, generation: u64, number: u64) -> String {
    let own = format!("\"id\":\"towline-{generation}-{number}\"");
    format!("> {}", open.replace(&format!("\"id\":{id}"), &own))
}

fn data(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":{id},"result":{{}}}}}}"#
    )
}

fn answer(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn unsubscribe(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":9,"method":"eth_unsubscribe","params":[{id}]}}"#)
}

/// Two subscriptions, `"0x1"` and `"0x2"`.
fn rig() -> Rig {
    let mut rig = Rig::new(&preset("json-rpc"));
    rig.client(HEADS);
    rig.client(LOGS);
    assert_eq!(rig.upstream(&answer("1", "\"0x1\"")), delivered(&answer("1", "\"0x1\"")));
    rig.upstream(&answer("2", "\"0x2\""));
    rig
}

/// The same on a second connection, where the ids are exchanged.
fn reconnected() -> Rig {
    let mut rig = rig();
    assert_eq!(rig.lose(), NONE);
    assert_eq!(rig.connect(), [replayed(HEADS, 1, 2, 0), replayed(LOGS, 2, 2, 1)]);
    assert_eq!(rig.upstream(&answer("\"towline-2-1\"", "\"0x1\"")), [r#"gap ["logs",{}] "0x2" unknown"#]);
    let heads = rig.upstream(&answer("\"towline-2-0\"", "\"0x2\""));
    assert_eq!(heads, [r#"gap ["newHeads"] "0x1" unknown"#, "ready"]);
    rig
}

#[test]
fn a_journal_is_quiet_while_no_request_awaits_its_answer() {
    let mut rig = rig();
    assert!(rig.journal.is_quiet() && !rig.journal.has_optional_calls());
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"eth_call","params":[]}"#;
    rig.client(call);
    assert!(!rig.journal.is_quiet());
    rig.upstream(&answer("7", "1"));
    assert!(rig.journal.is_quiet());
    rig.client(&unsubscribe("\"0x1\""));
    assert!(!rig.journal.is_quiet());
    rig.upstream(&answer("9", "true"));
    assert!(rig.journal.is_quiet());
    assert_eq!(rig.lose(), NONE);
    assert!(!rig.journal.is_quiet());
    rig.connect();
    assert!(!rig.journal.is_quiet(), "the replay is not over");
}

#[test]
fn ids_are_those_that_the_client_knows() {
    let mut rig = reconnected();
    assert_eq!(rig.upstream(&data("\"0x2\"")), delivered(&data("\"0x1\"")));
    assert_eq!(rig.upstream(&data("\"0x1\"")), delivered(&data("\"0x2\"")));
    assert_eq!(rig.client(&unsubscribe("\"0x1\"")), sent(&unsubscribe("\"0x2\"")));
    assert_eq!(rig.upstream(&answer("9", "true")), delivered(&answer("9", "true")));
    assert_eq!(rig.upstream(&data("\"0x2\"")), NONE, "closed");
    assert_eq!(rig.upstream(&data("\"0x1\"")), delivered(&data("\"0x2\"")));
}

#[test]
fn a_second_close_does_not_hit_another_subscription() {
    let mut rig = reconnected();
    rig.client(&unsubscribe("\"0x1\""));
    assert_eq!(rig.client(&unsubscribe("\"0x1\"")), delivered(&answer("9", "true")));
}

#[test]
fn a_new_id_that_the_client_knows_already_gets_another_name() {
    let mut rig = rig();
    rig.upstream(&answer("2", "\"0x2\""));
    rig.lose();
    rig.connect();
    rig.upstream(&answer("\"towline-2-0\"", "\"0x7\""));
    rig.upstream(&answer("\"towline-2-1\"", "\"0x8\""));
    let third = HEADS.replace("\"id\":1", "\"id\":3");
    rig.client(&third);
    let id = "\"0x746f776c000000000000000000000000\"";
    assert_eq!(rig.upstream(&answer("3", "\"0x1\"")), delivered(&answer("3", id)));
    assert_eq!(rig.upstream(&data("\"0x1\"")), delivered(&data(id)));
    assert_eq!(rig.upstream(&data("\"0x7\"")), delivered(&data("\"0x1\"")));
    assert_eq!(rig.client(&unsubscribe(id)), sent(&unsubscribe("\"0x1\"")));
}

#[test]
fn an_id_is_given_to_no_other_subscription_until_its_close_is_answered() {
    let mut rig = reconnected();
    rig.client(&unsubscribe("\"0x1\""));
    rig.client(&HEADS.replace("\"id\":1", "\"id\":3"));
    let other = "\"0x746f776c000000000000000000000000\"";
    assert_eq!(rig.upstream(&answer("3", "\"0x1\"")), delivered(&answer("3", other)));
    rig.upstream(&answer("9", "true"));
    assert_eq!(rig.upstream(&data("\"0x1\"")), delivered(&data(other)));
    let mut rig = reconnected();
    rig.client(&unsubscribe("\"0x1\""));
    rig.upstream(&answer("9", "true"));
    rig.client(&HEADS.replace("\"id\":1", "\"id\":3"));
    assert_eq!(rig.upstream(&answer("3", "\"0x1\"")), delivered(&answer("3", "\"0x1\"")));
}

#[test]
fn data_of_a_closed_subscription_does_not_wait_for_the_answer_to_another() {
    let mut rig = rig();
    rig.client(&unsubscribe("\"0x1\""));
    rig.client(&HEADS.replace("\"id\":1", "\"id\":3"));
    assert_eq!(rig.upstream(&data("\"0x1\"")), delivered(&data("\"0x1\"")));
    assert_eq!(rig.upstream(&data("\"0x3\"")), NONE, "of the other, whose answer follows");
    assert_eq!(rig.upstream(&answer("9", "true")), delivered(&answer("9", "true")));
    let opened = rig.upstream(&answer("3", "\"0x3\""));
    assert_eq!(opened, [delivered(&answer("3", "\"0x3\"")), delivered(&data("\"0x3\""))].concat());
}

#[test]
fn data_before_its_answer_waits_for_it() {
    let mut rig = rig();
    rig.lose();
    rig.connect();
    assert_eq!(rig.upstream(&data("\"0x8\"")), NONE);
    assert_eq!(
        rig.upstream(&answer("\"towline-2-0\"", "\"0x8\"")),
        [r#"gap ["newHeads"] "0x1" unknown"#, &format!("< {}", data("\"0x1\""))]
    );
}

#[test]
fn a_refused_replay_fails_alone() {
    let mut rig = rig();
    rig.lose();
    rig.connect();
    let refusal = r#"{"jsonrpc":"2.0","id":"towline-2-0","error":{"code":-32005,"message":"no"}}"#;
    assert_eq!(rig.upstream(refusal), [format!("failed 0 {REFUSED}")]);
    assert_eq!(rig.upstream(&answer("\"towline-2-1\"", "\"0x1\""))[1..], ["ready"]);
    assert_eq!(rig.client(&unsubscribe("\"0x1\"")), delivered(&answer("9", "true")), "answered here");
    rig.lose();
    assert_eq!(rig.connect().len(), 1, "a failed subscription is not sent again");
}

#[test]
fn a_replay_without_answer_holds_up_no_other() {
    let mut rig = rig();
    rig.lose();
    rig.connect();
    rig.upstream(&answer("\"towline-2-1\"", "\"0x5\""));
    let late = "failed 0 the upstream did not answer the subscription after a reconnect in time";
    assert_eq!(rig.wait(Duration::from_secs(5)), [late, "ready"]);
    assert_eq!(rig.upstream(&answer("\"towline-2-0\"", "\"0x6\"")), NONE, "a late answer is hidden");
    assert_eq!(rig.upstream(&data("\"0x6\"")), NONE);
}

#[test]
fn requests_in_flight_fail_with_their_ids() {
    let mut rig = rig();
    rig.client(r#"{"jsonrpc":"2.0","id":"a\"b","method":"eth_sendRawTransaction","params":["0x"]}"#);
    rig.client(&HEADS.replace("\"id\":1", "\"id\":4"));
    rig.client(&unsubscribe("\"0x1\""));
    let error = |id| format!(r#"< {{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"gone"}}}}"#);
    assert_eq!(
        rig.lose(),
        [
            format!("failed 2 {LOST}"),
            error(r#""a\"b""#),
            format!("failed 3 {LOST}"),
            error("4"),
            "done 4".to_owned(),
            format!("< {}", answer("9", "true")),
        ]
    );
    assert_eq!(rig.connect(), [replayed(LOGS, 2, 2, 1)]);
}

#[test]
fn an_open_in_flight_is_retried_and_answered_once() {
    let mut rig = Rig::retrying(&preset("json-rpc"));
    rig.client(HEADS);
    assert_eq!(rig.lose(), ["kept 0"]);
    assert_eq!(rig.connect(), [&format!("> {HEADS}"), "gap  unknown", "ready"]);
    assert_eq!(rig.upstream(&answer("1", "\"0x3\"")), delivered(&answer("1", "\"0x3\"")));
    assert_eq!(rig.lose(), NONE);
    rig.connect();
    assert_eq!(rig.upstream(&answer("\"towline-3-0\"", "\"0x4\""))[1..], ["ready"]);
}

#[test]
fn kept_opens_fail_when_the_session_ends() {
    let mut rig = Rig::retrying(&preset("json-rpc"));
    rig.client(HEADS);
    rig.lose();
    assert_eq!(rig.journal.give_up("over").len(), 1);
}

#[test]
fn a_submission_is_watched_but_never_sent_again() {
    let mut rig = Rig::retrying(&preset("json-rpc"));
    rig.client(r#"{"id":1,"jsonrpc":"2.0","method":"author_submitAndWatchExtrinsic","params":["0x"]}"#);
    rig.upstream(&answer("1", "\"w\""));
    let ended = "dropped 0 the subscription cannot be restored at a new connection";
    assert_eq!(rig.lose(), [ended]);
    assert_eq!(rig.connect(), ["gap  unknown", "ready"]);
    rig.client(r#"{"id":1,"jsonrpc":"2.0","method":"author_submitAndWatchExtrinsic","params":["0x"]}"#);
    assert_eq!(rig.lose()[..1], [format!("failed 1 {LOST}")]);
}

#[test]
fn batches_are_read_and_patched() {
    let mut rig = Rig::new(&preset("json-rpc"));
    let batch = format!("[{HEADS}, {LOGS}]");
    assert_eq!(rig.client(&batch), sent(&batch));
    rig.upstream(&format!("[{},{}]", answer("1", "\"0x1\""), answer("2", "\"0x2\"")));
    rig.lose();
    assert_eq!(rig.connect(), [replayed(HEADS, 1, 2, 0), replayed(LOGS, 2, 2, 1)]);
    rig.upstream(&answer("\"towline-2-0\"", "\"0x2\""));
    rig.upstream(&answer("\"towline-2-1\"", "\"0x1\""));
    let both = |first, second| format!("[{},{}]", data(first), data(second));
    assert_eq!(rig.upstream(&both("\"0x1\"", "\"0x2\"")), delivered(&both("\"0x2\"", "\"0x1\"")));
    assert_eq!(rig.upstream(&both("\"0x1\"", "\"0x9\"")), [format!("< [{}]", data("\"0x2\""))]);
}

#[test]
fn limits_refuse_an_open_with_the_requests_id() {
    let limits = Limits { max_entries: 1, ..Limits::default() };
    let mut rig = Rig::bounded(&preset("json-rpc"), limits);
    rig.client(HEADS);
    let text = "too many subscriptions: recovery.max_entries allows 1";
    let error = format!(r#"< {{"jsonrpc":"2.0","id":2,"error":{{"code":-32000,"message":"{text}"}}}}"#);
    assert_eq!(rig.client(LOGS), [format!("refused 1 {text}"), error]);
    let limits = Limits { max_bytes: HEADS.len(), ..Limits::default() };
    let mut rig = Rig::bounded(&preset("json-rpc"), limits);
    assert!(rig.client(HEADS)[0].starts_with("refused 0 the recovery journal is full"));
    assert_eq!(rig.journal.bytes(), 0);
    let limits = Limits { max_requests: 1, ..Limits::default() };
    let mut rig = Rig::bounded(&preset("json-rpc"), limits);
    let call = |id| format!(r#"{{"id":{id},"method":"eth_chainId"}}"#);
    assert_eq!(rig.client(&call(1)), sent(&call(1)));
    assert!(rig.client(&call(2))[0].starts_with("refused 1 too many requests"));
}

/// A batch fails with the request that fails in it.
#[test]
fn a_close_in_an_outage_is_answered_and_takes_effect() {
    let mut rig = rig();
    rig.lose();
    let mut offline = |text: String| rig.journal.offline(&Message::text(text), "down");
    let closed = Offline::Done(Some(Message::text(answer("9", "true"))));
    assert_eq!(offline(unsubscribe("\"0x1\"")), closed);
    assert_eq!(offline(unsubscribe("\"0x1\"")), closed, "it is closed");
    let call = r#"{"jsonrpc":"2.0","id":8,"method":"eth_chainId"}"#;
    let error = r#"{"jsonrpc":"2.0","id":8,"error":{"code":-32000,"message":"down"}}"#;
    let both = format!("[{},{error}]", answer("9", "true"));
    let batch = format!("[{},{call}]", unsubscribe("\"0x2\""));
    assert_eq!(offline(batch), Offline::Failed(Some(Message::text(both))));
    assert_eq!(rig.connect(), ["gap  unknown", "ready"], "nothing is left to open");
}

/// A close frees room for the rest of its batch, although an open before it found none.
#[test]
fn a_close_in_a_full_batch_makes_room() {
    let limits = Limits { max_entries: 1, ..Limits::default() };
    let mut rig = Rig::bounded(&preset("json-rpc"), limits);
    rig.client(HEADS);
    rig.upstream(r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#);
    let open =
        |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_subscribe","params":["logs",{{}}]}}"#);
    let close = r#"{"jsonrpc":"2.0","id":7,"method":"eth_unsubscribe","params":["0x1"]}"#;
    let out = rig.client(&format!("[{},{},{close},{},{}]", open(5), open(6), open(8), open(9)));
    let refusals = out.iter().filter(|line| line.contains("too many subscriptions")).count();
    assert_eq!(refusals, 3, "{out:?}");
    assert!(out.iter().any(|line| line.contains(&format!("{close},{}", open(8)))), "{out:?}");
    assert_eq!(rig.journal.entries(), 1);
}

#[test]
fn numbers_are_ids_too_and_more_methods_can_be_named() {
    let more = [("feed_on".to_owned(), "feed_off".to_owned())].into();
    let mut rig = Rig::new(&Protocol::JsonRpc { more });
    rig.client(r#"{"id":1,"method":"feed_on"}"#);
    rig.client(r#"{"id":2,"method":"slotSubscribe"}"#);
    rig.upstream(r#"{"id":1,"result":5}"#);
    rig.upstream(r#"{"id":2,"result":6}"#);
    rig.lose();
    rig.connect();
    rig.upstream(r#"{"id":"towline-2-0","result":6}"#);
    rig.upstream(r#"{"id":"towline-2-1","result":7}"#);
    let data = |id: u64| format!(r#"{{"method":"n","params":{{"subscription":{id}}}}}"#);
    assert_eq!(rig.upstream(&data(6)), delivered(&data(5)));
    rig.client(r#"{"id":3,"method":"rootSubscribe"}"#);
    assert_eq!(rig.upstream(r#"{"id":3,"result":5}"#), [r#"< {"id":3,"result":9007199254740991}"#]);
    assert_eq!(rig.upstream(&data(5)), delivered(&data(9_007_199_254_740_991)));
    let close = |id: u64| format!(r#"{{"id":4,"method":"feed_off","params":[{id}]}}"#);
    assert_eq!(rig.client(&close(5)), sent(&close(6)));
}

#[test]
fn messages_of_an_older_connection_are_hidden() {
    let mut rig = reconnected();
    rig.generation = 1;
    assert_eq!(rig.upstream(&data("\"0x1\"")), NONE);
    assert_eq!(rig.upstream(&answer("\"towline-2-0\"", "\"0x1\"")), NONE);
}

#[test]
fn a_batch_is_one_event_with_one_outcome() {
    let mut rig = Rig::retrying(&preset("json-rpc"));
    let call = |id| format!(r#"{{"id":{id},"method":"eth_chainId"}}"#);
    rig.client(&format!("[{},{HEADS},{}]", call(7), call(8)));
    let error = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"gone"}}}}"#);
    assert_eq!(rig.lose(), [format!("failed 0 {LOST}"), format!("< [{},{}]", error(7), error(8))]);
    let message = Message::text(format!("[{},{}]", call(7), r#"{"method":"note"}"#));
    let reply = rig.journal.error_reply(&message, "gone").unwrap();
    assert_eq!(reply, Message::text(format!("[{}]", error(7))));
}

#[test]
fn the_last_message_about_a_transaction_ends_its_subscription() {
    let mut rig = Rig::new(&preset("json-rpc"));
    let update = |method: &str, id: &str, result: &str| {
        format!(r#"{{"method":"{method}","params":{{"subscription":{id},"result":{result}}}}}"#)
    };
    let cases = [
        ("author_submitAndWatchExtrinsic", "author_extrinsicUpdate", r#""ready""#, r#"{"finalized":"0x"}"#),
        ("author_submitAndWatchExtrinsic", "author_extrinsicUpdate", r#"{"inBlock":"0x"}"#, r#""invalid""#),
        (
            "signatureSubscribe",
            "signatureNotification",
            r#"{"value":"receivedSignature"}"#,
            r#"{"value":{"err":null}}"#,
        ),
    ];
    for (open, method, first, last) in cases {
        rig.client(&format!(r#"{{"id":1,"method":"{open}","params":[]}}"#));
        rig.upstream(&answer("1", "5"));
        assert_eq!(rig.upstream(&update(method, "5", first)), delivered(&update(method, "5", first)));
        assert_eq!(rig.journal.entries(), 1, "{first}");
        assert_eq!(rig.upstream(&update(method, "5", last)), delivered(&update(method, "5", last)));
        assert_eq!(rig.journal.entries(), 0, "{last}");
    }
}
