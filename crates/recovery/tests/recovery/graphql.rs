//! The GraphQL presets over a loss of the upstream, message by message.

use std::time::Duration;

use towline_recovery::{Message, Offline};

use super::{LOST, NONE, delivered, preset, rig::Rig, sent};

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
fn a_journal_with_a_mutation_in_flight_is_not_quiet() {
    let mut rig = rig();
    assert!(rig.journal.is_quiet(), "a subscription goes on at the next connection");
    rig.client(PAY);
    assert!(!rig.journal.is_quiet());
    rig.upstream(r#"{"id":"2","type":"next","payload":{}}"#);
    rig.upstream(r#"{"id":"2","type":"complete"}"#);
    assert!(rig.journal.is_quiet());
    assert_eq!(rig.lose(), NONE);
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
fn a_cancelled_query_does_not_fail() {
    let mut rig = rig();
    rig.client(PAY);
    let cancel = r#"{"id":"2","type":"complete"}"#;
    assert_eq!(rig.client(cancel), sent(cancel));
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
fn a_subscription_that_is_closed_in_an_outage_does_not_return() {
    let mut rig = rig();
    rig.lose();
    let complete = Message::text(r#"{"id":"1","type":"complete"}"#);
    assert_eq!(rig.journal.offline(&complete, "down"), Offline::Done(None));
    assert_eq!(rig.connect(), sent(INIT));
    let replay = rig.upstream(ACK);
    assert!(!replay.iter().any(|line| line.contains("tick")), "{replay:?}");
}

#[test]
fn a_close_that_was_not_written_has_become_true() {
    let complete = r#"{"id":"1","type":"complete"}"#;
    let mut rig = rig();
    rig.client(complete);
    assert_eq!(rig.lose_with(Some(1), None), ["done 2"]);
    rig.connect();
    assert_eq!(rig.upstream(ACK), ["gap  unknown", "ready"]);
    let mut rig = self::rig();
    rig.client(complete);
    assert_eq!(rig.lose_with(Some(2), None), NONE, "written, and settled then");
    rig.connect();
    rig.upstream(ACK);
    assert_eq!(rig.lose_with(None, None), NONE, "noted for one connection");
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
    assert!(rig.journal.is_dispensable(&Message::text(r#"{"type":"pong","payload":{}}"#)));
    assert!(!rig.journal.is_dispensable(&ping) && !rig.journal.is_dispensable(&Message::text(TICK)));
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

#[test]
fn connection_terminate_ends_the_session() {
    let mut rig = Rig::new(&preset("graphql-ws"));
    rig.client(r#"{"type":"connection_init"}"#);
    rig.upstream(r#"{"type":"connection_ack"}"#);
    rig.client(r#"{"type":"connection_terminate"}"#);
    assert_eq!(rig.lose(), ["pass on 1000"]);
    assert_eq!(rig.connect().last().map(String::as_str), Some("ready"));
}
