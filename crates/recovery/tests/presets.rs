//! Each preset over a loss of the upstream, message by message.

mod rig;

use std::time::Duration;

use rig::Rig;
use towline_recovery::{Limits, Message, Pattern, Patterns, Protocol, Recovery, Settings, Test};

const LOST: &str = "the connection to the upstream was lost before it answered";
const REFUSED: &str = "the upstream refused the subscription after a reconnect";
const NONE: [&str; 0] = [];

fn preset(name: &str) -> Protocol {
    Protocol::preset(name).unwrap()
}

/// The lines that start with `>`, `<` or another word.
fn sent(text: &str) -> [String; 1] {
    [format!("> {text}")]
}

fn delivered(text: &str) -> [String; 1] {
    [format!("< {text}")]
}

#[test]
fn each_preset_has_a_protocol_that_compiles() {
    for name in Protocol::PRESETS {
        Recovery::new(&preset(name), Settings::default()).unwrap();
    }
    assert_eq!(Protocol::preset("socket.io"), None);
}

mod graphql {
    use super::*;

    const INIT: &str = r#"{"type":"connection_init","payload":{"token":"t"}}"#;
    const ACK: &str = r#"{"type":"connection_ack"}"#;
    const TICK: &str = r#"{"id":"1","type":"subscribe","payload":{"query":"subscription{tick}"}}"#;
    const PAY: &str = r#"{"id":"2","type":"subscribe","payload":{"query":"mutation{pay}"}}"#;

    fn rig() -> Rig {
        let mut rig = Rig::new(&preset("graphql-transport-ws"));
        assert_eq!(rig.client(INIT), sent(INIT));
        assert_eq!(rig.upstream(ACK), delivered(ACK));
        assert_eq!(rig.client(TICK), sent(TICK));
        rig
    }

    #[test]
    fn the_login_comes_first_and_its_answer_is_hidden() {
        let mut rig = rig();
        assert_eq!(rig.lose(), NONE);
        assert_eq!(rig.client(PAY), ["wait"]);
        assert_eq!(rig.connect(), sent(INIT));
        assert_eq!(rig.upstream(ACK), [r#"gap "1" "1" unknown"#, &format!("> {TICK}"), "ready"]);
        let next = r#"{"id":"1","type":"next","payload":{"data":{"tick":2}}}"#;
        assert_eq!(rig.upstream(next), delivered(next));
    }

    #[test]
    fn a_mutation_in_flight_fails_in_the_protocols_shape_and_is_never_sent_again() {
        let mut rig = rig();
        rig.client(PAY);
        let error = r#"< {"id":"2","type":"error","payload":[{"message":"gone"}]}"#;
        assert_eq!(rig.lose(), [&format!("failed 2 {LOST}"), error]);
        let replay = [rig.connect(), rig.upstream(ACK)].concat();
        assert!(!replay.iter().any(|line| line.contains("mutation")), "{replay:?}");
    }

    #[test]
    fn an_answered_query_has_not_failed() {
        let mut rig = rig();
        rig.client(PAY);
        rig.upstream(r#"{"id":"2","type":"next","payload":{}}"#);
        rig.upstream(r#"{"id":"2","type":"complete"}"#);
        assert_eq!(rig.lose(), NONE);
    }

    #[test]
    fn an_ended_subscription_does_not_return() {
        for end in ["complete", "error"] {
            let mut rig = rig();
            rig.upstream(&format!(r#"{{"id":"1","type":"{end}"}}"#));
            rig.lose();
            rig.connect();
            assert_eq!(rig.upstream(ACK), ["gap  unknown", "ready"]);
        }
        let mut rig = rig();
        rig.client(r#"{"id":"1","type":"complete"}"#);
        assert_eq!(rig.journal.entries(), 0);
    }

    #[test]
    fn a_loss_during_the_login_leaves_the_answer_for_the_client() {
        let mut rig = Rig::new(&preset("graphql-transport-ws"));
        rig.client(INIT);
        rig.lose();
        assert_eq!(rig.connect(), sent(INIT));
        assert_eq!(rig.upstream(ACK), [&format!("< {ACK}"), "gap  unknown", "ready"]);
        rig.lose();
        rig.connect();
        assert_eq!(rig.upstream(ACK), ["gap  unknown", "ready"]);
    }

    #[test]
    fn a_refused_login_is_passed_on() {
        for code in [4401, 4403, 4408] {
            let mut rig = rig();
            rig.lose();
            rig.connect();
            assert_eq!(rig.lose_with(None, Some(code)), [format!("pass on {code}")]);
        }
        let mut rig = rig();
        rig.lose();
        rig.connect();
        rig.upstream(ACK);
        assert_eq!(rig.lose_with(None, Some(4403)), ["pass on 4403"], "right after the replay");
        rig.connect();
        rig.upstream(ACK);
        rig.upstream(r#"{"id":"1","type":"next","payload":{}}"#);
        assert_eq!(rig.lose_with(None, Some(4403)), NONE, "after the session worked");
    }

    #[test]
    fn a_login_without_answer_breaks_the_connection() {
        let mut rig = rig();
        rig.lose();
        rig.connect();
        assert_eq!(rig.wait(Duration::from_millis(4999)), NONE);
        let broken = "broken the upstream did not answer the login of the replay within 5s";
        assert_eq!(rig.wait(Duration::from_millis(1)), [broken]);
        assert_eq!(rig.upstream(ACK), NONE, "too late");
        assert_eq!(rig.lose(), NONE);
        assert_eq!(rig.connect(), sent(INIT));
    }

    #[test]
    fn an_unwritten_subscription_fails_or_is_kept() {
        let mut rig = rig();
        let error = r#"< {"id":"1","type":"error","payload":[{"message":"gone"}]}"#;
        assert_eq!(rig.lose_with(Some(0), None), [&format!("failed 1 {LOST}"), error]);
        let mut rig = Rig::retrying(&preset("graphql-transport-ws"));
        rig.client(INIT);
        rig.client(TICK);
        assert_eq!(rig.lose_with(None, None), ["kept 0", "kept 1"]);
        rig.connect();
        assert_eq!(rig.upstream(ACK)[..2], [format!("< {ACK}"), format!("> {TICK}")]);
    }

    #[test]
    fn pings_can_be_answered_during_the_outage() {
        let rig = rig();
        let ping = Message::text(r#"{"type":"ping","payload":{}}"#);
        assert_eq!(rig.journal.keepalive(&ping), Some(Message::text(r#"{"type":"pong"}"#)));
        assert_eq!(rig.journal.keepalive(&Message::text(TICK)), None);
    }

    #[test]
    fn the_older_protocol_has_its_own_words() {
        let mut rig = Rig::new(&preset("graphql-ws"));
        let start = TICK.replace("subscribe", "start");
        rig.client(INIT);
        rig.upstream(ACK);
        rig.client(&start);
        rig.client(&PAY.replace("subscribe", "start"));
        let error = r#"< {"id":"2","type":"error","payload":{"message":"gone"}}"#;
        assert_eq!(rig.lose()[1..], [error]);
        rig.connect();
        assert_eq!(rig.upstream(ACK), [r#"gap "1" "1" unknown"#, &format!("> {start}"), "ready"]);
        assert_eq!(rig.upstream(r#"{"type":"ka"}"#), [r#"< {"type":"ka"}"#]);
        rig.lose();
        rig.connect();
        let refused = r#"{"type":"connection_error","payload":{}}"#;
        let broken = "broken the upstream refused the login of the replay";
        assert_eq!(rig.upstream(refused), [&format!("< {refused}"), broken]);
    }
}

mod json_rpc {
    use super::*;

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
        let error =
            |id| format!(r#"< {{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"gone"}}}}"#);
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
}

mod action_cable {
    use super::*;

    const WELCOME: &str = r#"{"type":"welcome"}"#;
    const ROOM: &str = r#"{\"channel\":\"Room\"}"#;

    fn command(command: &str) -> String {
        format!(r#"{{"command":"{command}","identifier":"{ROOM}"}}"#)
    }

    fn typed(kind: &str) -> String {
        format!(r#"{{"identifier":"{ROOM}","type":"{kind}"}}"#)
    }

    fn rig() -> Rig {
        let mut rig = Rig::new(&preset("action-cable"));
        assert_eq!(rig.upstream(WELCOME), delivered(WELCOME));
        let subscribe = command("subscribe");
        assert_eq!(rig.client(&subscribe), sent(&subscribe));
        assert_eq!(rig.client(&subscribe), sent(&subscribe), "the library repeats it until it is answered");
        let confirmed = typed("confirm_subscription");
        assert_eq!(rig.upstream(&confirmed), delivered(&confirmed));
        rig
    }

    #[test]
    fn the_replay_waits_for_the_welcome() {
        let mut rig = rig();
        assert_eq!(rig.lose(), NONE);
        assert_eq!(rig.connect(), NONE);
        assert_eq!(rig.upstream(WELCOME), sent(&command("subscribe")));
        let data = format!(r#"{{"identifier":"{ROOM}","message":{{"n":1}}}}"#);
        assert_eq!(rig.upstream(&data), NONE);
        let id = format!("\"{ROOM}\"");
        let confirmed = rig.upstream(&typed("confirm_subscription"));
        assert_eq!(confirmed, [format!("gap {id} {id} unknown"), format!("< {data}"), "ready".to_owned()]);
    }

    #[test]
    fn a_refused_replay_reaches_the_client_as_a_rejection() {
        let mut rig = rig();
        rig.lose();
        rig.connect();
        rig.upstream(WELCOME);
        let rejected = typed("reject_subscription");
        let expected =
            [format!("failed 0 {REFUSED}"), format!("< {rejected}"), "gap  unknown".into(), "ready".into()];
        assert_eq!(rig.upstream(&rejected), expected);
        assert_eq!(
            rig.client(&command("subscribe")),
            sent(&command("subscribe")),
            "the client may try again"
        );
        let confirmed = typed("confirm_subscription");
        assert_eq!(rig.upstream(&confirmed), delivered(&confirmed));
    }

    #[test]
    fn a_restart_is_hidden_and_a_refusal_is_not() {
        let mut rig = rig();
        assert_eq!(rig.upstream(r#"{"type":"disconnect","reason":"server_restart","reconnect":true}"#), NONE);
        rig.lose();
        rig.connect();
        let refusal = r#"{"type":"disconnect","reason":"unauthorized","reconnect":false}"#;
        let broken = "broken the upstream refused the login of the replay";
        assert_eq!(rig.upstream(refusal), [&format!("< {refusal}"), broken]);
    }

    #[test]
    fn the_client_needs_a_ping_during_the_outage() {
        let recovery = Recovery::new(&preset("action-cable"), Settings::default()).unwrap();
        assert_eq!(recovery.heartbeat().unwrap().every, Duration::from_secs(3));
    }
}

mod phoenix {
    use super::*;

    const JOIN: &str = r#"["3","3","room:1","phx_join",{"token":"t"}]"#;
    const JOINED: &str = r#"["3","3","room:1","phx_reply",{"status":"ok","response":{}}]"#;
    const PUSH: &str = r#"["3","4","room:1","pay",{}]"#;

    fn rig(name: &str) -> Rig {
        let mut rig = Rig::new(&preset(name));
        assert_eq!(rig.client(JOIN), sent(JOIN));
        assert_eq!(rig.upstream(JOINED), delivered(JOINED));
        rig
    }

    #[test]
    fn channels_are_joined_again() {
        let mut rig = rig("phoenix");
        rig.client(PUSH);
        let failed = r#"< ["3","4","room:1","phx_reply",{"status":"error","response":{"reason":"gone"}}]"#;
        assert_eq!(rig.lose(), [&format!("failed 1 {LOST}"), failed]);
        assert_eq!(rig.connect(), sent(JOIN));
        assert_eq!(rig.upstream(JOINED), [r#"gap "room:1" "room:1" unknown"#, "ready"]);
        let data = r#"[null,null,"room:1","new_msg",{}]"#;
        assert_eq!(rig.upstream(data), delivered(data));
    }

    #[test]
    fn a_refused_join_makes_the_library_join() {
        let mut rig = rig("phoenix");
        rig.lose();
        rig.connect();
        let refusal = r#"["3","3","room:1","phx_reply",{"status":"error","response":{}}]"#;
        assert_eq!(
            rig.upstream(refusal)[..2],
            [&format!("failed 0 {REFUSED}"), r#"< ["3",null,"room:1","phx_error",{}]"#]
        );
    }

    #[test]
    fn the_end_of_an_earlier_life_is_not_the_end_of_this_one() {
        let mut rig = rig("phoenix");
        rig.client(r#"["7","7","room:1","phx_join",{}]"#);
        let close = r#"["3","3","room:1","phx_close",{}]"#;
        assert_eq!(rig.upstream(close), delivered(close));
        assert_eq!(rig.journal.entries(), 1);
        rig.upstream(r#"["7","7","room:1","phx_error",{}]"#);
        assert_eq!(rig.journal.entries(), 0);
    }

    #[test]
    fn a_nudge_replaces_the_replay() {
        let mut rig = rig("phoenix-nudge");
        assert_eq!(rig.lose(), NONE);
        let expected = [r#"gap "room:1" "room:1" unknown"#, r#"< ["3",null,"room:1","phx_error",{}]"#];
        assert_eq!(rig.connect()[..2], expected);
        assert_eq!(rig.journal.entries(), 0);
    }

    #[test]
    fn heartbeats_can_be_answered_during_the_outage() {
        let rig = rig("phoenix");
        let answer = rig.journal.keepalive(&Message::text(r#"[null,"9","phoenix","heartbeat",{}]"#));
        let expected = r#"[null,"9","phoenix","phx_reply",{"status":"ok","response":{}}]"#;
        assert_eq!(answer, Some(Message::text(expected)));
    }

    #[test]
    fn pushes_without_answer_are_forgotten_not_refused() {
        let limits = Limits { max_requests: 2, ..Limits::default() };
        let mut rig = Rig::bounded(&preset("phoenix"), limits);
        for number in 0..5 {
            let push = format!(r#"["1","{number}","t","e",{{}}]"#);
            assert_eq!(rig.client(&push), sent(&push));
        }
        assert_eq!(rig.lose().len(), 4, "two pushes, two replies");
    }
}

mod stomp {
    use super::*;

    const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:a\n\n\0";
    const CONNECTED: &str = "CONNECTED\nversion:1.2\n\n\0";
    const SUBSCRIBE: &str = "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\nreceipt:r1\n\n\0";
    const PLAIN: &str = "SUBSCRIBE\nid:1\ndestination:/topic/b\n\n\0";

    fn line(text: &str) -> String {
        text.replace('\n', "|").replace('\0', "^@")
    }

    fn rig() -> Rig {
        let mut rig = Rig::new(&preset("stomp"));
        rig.client(CONNECT);
        assert_eq!(rig.upstream(CONNECTED), delivered(&line(CONNECTED)));
        rig.client(SUBSCRIBE);
        rig.client(PLAIN);
        assert_eq!(rig.upstream("RECEIPT\nreceipt-id:r1\n\n\0").len(), 1);
        rig
    }

    #[test]
    fn subscriptions_are_restored() {
        let mut rig = rig();
        assert_eq!(rig.lose(), NONE);
        assert_eq!(rig.connect(), sent(&line(CONNECT)));
        let own = line(SUBSCRIBE).replace("receipt:r1", "receipt:towline-2-0");
        let plain = line(PLAIN);
        let expected = [format!("> {own}"), "gap /topic/b 1 unknown".into(), format!("> {plain}")];
        assert_eq!(rig.upstream(CONNECTED), expected);
        assert_eq!(
            rig.upstream("RECEIPT\nreceipt-id:towline-2-0\n\n\0"),
            ["gap /topic/a 0 unknown", "ready"]
        );
    }

    #[test]
    fn acknowledgements_of_an_older_connection_go_nowhere() {
        let mut rig = rig();
        let message = |ack| format!("MESSAGE\nsubscription:0\nmessage-id:5\nack:{ack}\n\nhi\0");
        assert_eq!(rig.upstream(&message("7")), delivered(&line(&message("1-7"))));
        let ack = |id| format!("ACK\nid:{id}\n\n\0");
        assert_eq!(rig.client(&ack("1-7")), sent(&line(&ack("7"))));
        rig.lose();
        rig.connect();
        rig.upstream(CONNECTED);
        rig.upstream("RECEIPT\nreceipt-id:towline-2-0\n\n\0");
        assert_eq!(rig.client(&ack("1-7")), NONE);
        rig.upstream(&message("7"));
        assert_eq!(rig.client(&ack("2-7")), sent(&line(&ack("7"))));
    }

    #[test]
    fn a_send_in_flight_fails_with_its_receipt() {
        let mut rig = rig();
        rig.client("SEND\ndestination:/queue/pay\nreceipt:r9\n\n1\0");
        rig.client("SEND\ndestination:/queue/pay\n\n1\0");
        let error = "< ERROR|receipt-id:r9|message:gone|content-type:text/plain||gone^@";
        assert_eq!(rig.lose(), [&format!("failed 3 {LOST}"), error]);
    }
}

mod openai_realtime {
    use super::*;

    fn update(session: &str) -> String {
        format!(r#"{{"type":"session.update","session":{session}}}"#)
    }

    #[test]
    fn the_configuration_is_restored_and_a_response_is_not_asked_for_again() {
        let mut rig = Rig::new(&preset("openai-realtime"));
        let (created, updated) = (r#"{"type":"session.created"}"#, r#"{"type":"session.updated"}"#);
        assert_eq!(rig.upstream(created), delivered(created));
        for session in [
            r#"{"voice":"a","audio":{"in":1}}"#,
            r#"{"tools":[]}"#,
            r#"{"voice":"b","audio":{"in":2,"x":3}}"#,
        ] {
            rig.client(&update(session));
            assert_eq!(rig.upstream(updated), delivered(updated));
        }
        rig.client(r#"{"type":"response.create","event_id":"e1"}"#);
        rig.upstream(r#"{"type":"response.created"}"#);
        let details = r#""code":"upstream_lost","message":"gone","param":null,"event_id":"e1""#;
        let error = format!(r#"< {{"type":"error","error":{{"type":"server_error",{details}}}}}"#);
        assert_eq!(rig.lose(), [format!("failed 3 {LOST}"), error]);
        assert_eq!(rig.connect(), NONE);
        assert_eq!(rig.upstream(created), sent(&update(r#"{"tools":[]}"#)));
        assert_eq!(rig.upstream(updated), sent(&update(r#"{"voice":"b","audio":{"in":2,"x":3}}"#)));
        assert_eq!(rig.upstream(updated), ["gap  unknown", "ready"]);
        rig.client(r#"{"type":"response.create"}"#);
        rig.upstream(r#"{"type":"response.done"}"#);
        assert_eq!(rig.lose(), NONE);
    }
}

mod patterns {
    use super::*;

    const OPEN: &str = r#"{"op":"sub","ch":"trades","since":0}"#;

    /// `sub` with `since`, data with `ch` and `seq`.
    fn protocol(resumes: bool) -> Protocol {
        let open = Pattern::when("op", Test::is("sub")).id("ch");
        let patterns = Patterns {
            hello: [Pattern::when("op", Test::is("auth"))].into(),
            open: [if resumes { open.resume("since") } else { open }].into(),
            close: [Pattern::when("op", Test::is("unsub")).id("ch")].into(),
            data: [Pattern::when("seq", Test::Present).id("ch").cursor("seq").numbered()].into(),
            ..Patterns::default()
        };
        Protocol::Patterns(Box::new(patterns))
    }

    fn data(seq: u64) -> String {
        format!(r#"{{"ch":"trades","seq":{seq}}}"#)
    }

    /// After data 1 to 3, on a second connection.
    fn reconnected(resumes: bool) -> Rig {
        let mut rig = Rig::new(&protocol(resumes));
        rig.client(r#"{"op":"auth","key":"k"}"#);
        rig.client(OPEN);
        for seq in 1..=3 {
            assert_eq!(rig.upstream(&data(seq)), delivered(&data(seq)));
        }
        rig.lose();
        let since = if resumes { OPEN.replace(":0", ":3") } else { OPEN.to_owned() };
        assert_eq!(
            rig.connect(),
            [r#"> {"op":"auth","key":"k"}"#.to_owned(), format!("> {since}"), "ready".into()]
        );
        rig
    }

    #[test]
    fn a_cursor_that_continues_shows_that_nothing_is_missing() {
        for resumes in [false, true] {
            let mut rig = reconnected(resumes);
            assert_eq!(rig.upstream(&data(4)), [r#"gap "trades" "trades" none"#, &format!("< {}", data(4))]);
            assert_eq!(rig.upstream(&data(9)), delivered(&data(9)));
        }
    }

    #[test]
    fn missing_numbers_are_counted() {
        let mut rig = reconnected(false);
        assert_eq!(rig.upstream(&data(7)), [r#"gap "trades" "trades" 3"#, &format!("< {}", data(7))]);
    }

    #[test]
    fn repeated_messages_are_dropped_where_the_replay_asked_for_a_cursor() {
        let mut rig = reconnected(true);
        assert_eq!(rig.upstream(&data(2)), [r#"gap "trades" "trades" none"#]);
        assert_eq!(rig.upstream(&data(3)), NONE);
        assert_eq!(rig.upstream(&data(4)), delivered(&data(4)));
        let mut rig = reconnected(false);
        assert_eq!(rig.upstream(&data(2)), [r#"gap "trades" "trades" unknown"#, &format!("< {}", data(2))]);
    }

    #[test]
    fn a_quiet_subscription_has_its_notice_after_the_time_out() {
        let mut rig = reconnected(true);
        assert_eq!(rig.wait(Duration::from_secs(4)), NONE);
        assert_eq!(rig.wait(Duration::from_secs(1)), [r#"gap "trades" "trades" unknown"#]);
        assert_eq!(rig.upstream(&data(4)), delivered(&data(4)));
    }

    #[test]
    fn two_losses_before_a_message_are_one_gap() {
        let mut rig = reconnected(true);
        rig.lose();
        rig.connect();
        assert_eq!(rig.upstream(&data(4)).len(), 2);
        assert_eq!(rig.wait(Duration::from_secs(9)), NONE);
    }
}
