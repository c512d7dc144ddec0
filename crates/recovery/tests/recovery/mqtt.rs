//! The preset `mqtt` over a loss of the upstream, packet by packet.

use std::time::Duration;

use towline_recovery::{Limits, Message, Offline, Protocol};

use super::{LOST, NONE, delivered, rig::Rig, sent};

/// CONNECT of 3.1.1: clean session, keep alive 60 s, client id `ab`.
const CONNECT: &str = "10 0e 00 04 4d 51 54 54 04 02 00 3c 00 02 61 62";
/// The same without clean session.
const CONNECT_KEPT: &str = "10 0e 00 04 4d 51 54 54 04 00 00 3c 00 02 61 62";
/// CONNECT of 5.0: clean start, session expiry interval 9.
const CONNECT_5: &str = "10 14 00 04 4d 51 54 54 05 02 00 3c 05 11 00 00 00 09 00 02 61 62";
const CONNACK: &str = "20 02 00 00";
const CONNACK_PRESENT: &str = "20 02 01 00";
/// Subscribes to `a` with QoS 1 and to `b` with QoS 0.
const SUBSCRIBE: &str = "82 0a 00 01 00 01 61 01 00 01 62 00";
const SUBACK: &str = "90 04 00 01 01 00";
/// PUBLISH to `a` with QoS 1, packet id 3; with QoS 2; with QoS 0.
const PUBLISH_1: &str = "32 06 00 01 61 00 03 31";
const PUBLISH_2: &str = "34 06 00 01 61 00 03 31";
const PUBLISH_0: &str = "30 04 00 01 61 31";
/// What the journal sends for `a` and `b`, with the packet ids 65535 and 65534.
const REPLAY_A: &str = "> 82 06 ff ff 00 01 61 01";
const REPLAY_B: &str = "> 82 06 ff fe 00 01 62 00";

fn message(hex: &str) -> Message {
    let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
    Message::binary(bytes.collect::<Vec<_>>())
}

impl Rig {
    fn send(&mut self, hex: &str) -> Vec<String> {
        self.client_message(message(hex))
    }

    fn receive(&mut self, hex: &str) -> Vec<String> {
        self.upstream_message(message(hex))
    }
}

fn subscribe(mut rig: Rig, connect: &str, connack: &str) -> Rig {
    assert_eq!(rig.send(connect), sent(connect));
    assert_eq!(rig.receive(connack), delivered(connack));
    assert_eq!(rig.send(SUBSCRIBE), sent(SUBSCRIBE));
    assert_eq!(rig.receive(SUBACK), delivered(SUBACK));
    rig
}

/// With the filters `a` and `b`.
fn rig() -> Rig {
    subscribe(Rig::new(&Protocol::Mqtt), CONNECT, CONNACK)
}

#[test]
fn filters_are_subscribed_again_with_free_packet_ids() {
    let mut rig = rig();
    assert_eq!(rig.lose(), NONE);
    assert_eq!(rig.send("c0 00"), ["wait"]);
    assert_eq!(rig.connect(), sent(CONNECT));
    assert_eq!(rig.receive(CONNACK), [REPLAY_A, REPLAY_B]);
    assert_eq!(rig.receive(PUBLISH_0), NONE, "waits for its notice");
    assert_eq!(rig.receive("90 03 ff fe 00"), ["gap b b unknown"]);
    let expected = ["gap a a unknown".to_owned(), format!("< {PUBLISH_0}"), "ready".to_owned()];
    assert_eq!(rig.receive("90 03 ff ff 01"), expected);
}

#[test]
fn a_journal_with_a_packet_in_flight_is_not_quiet() {
    let mut rig = rig();
    assert!(rig.journal.is_quiet() && !rig.journal.has_optional_calls());
    rig.send(PUBLISH_1);
    assert!(!rig.journal.is_quiet());
    rig.receive("40 02 00 03");
    assert!(rig.journal.is_quiet());
    rig.journal.forget_optional_calls();
    assert_eq!(rig.lose(), NONE);
}

#[test]
fn a_kept_session_needs_only_its_login() {
    let mut rig = subscribe(Rig::new(&Protocol::Mqtt), CONNECT_KEPT, CONNACK);
    rig.lose();
    assert_eq!(rig.connect(), sent(CONNECT_KEPT));
    assert_eq!(rig.receive(CONNACK_PRESENT), ["gap a a unknown", "gap b b unknown", "ready"]);
    rig.lose();
    rig.connect();
    assert_eq!(rig.receive(CONNACK), [REPLAY_A, REPLAY_B], "the broker has lost the session");
}

#[test]
fn a_session_with_an_expiry_interval_is_resumed_in_version_5() {
    let mut rig = Rig::new(&Protocol::Mqtt);
    rig.send(CONNECT_5);
    // Topic alias maximum 10, which the client must not use.
    assert_eq!(rig.receive("20 06 00 00 03 22 00 0a"), delivered("20 06 00 00 03 22 00 00"));
    // With the subscription identifier 7.
    let subscribe = "82 09 00 01 02 0b 07 00 01 61 01";
    assert_eq!(rig.send(subscribe), sent(subscribe));
    rig.receive("90 04 00 01 00 01");
    rig.lose();
    assert_eq!(rig.connect(), sent(&CONNECT_5.replace("05 02 00 3c", "05 00 00 3c")));
    assert_eq!(rig.receive("20 03 00 00 00"), sent("82 09 ff ff 02 0b 07 00 01 61 01"));
    assert_eq!(rig.receive("90 04 ff ff 00 01"), ["gap a a unknown", "ready"]);
}

#[test]
fn an_unsubscribed_filter_does_not_return() {
    let mut rig = rig();
    let unsubscribe = "a2 05 00 02 00 01 61";
    assert_eq!(rig.send(unsubscribe), sent(unsubscribe));
    assert_eq!(rig.lose(), ["done 2", "< b0 02 00 02"], "the loss has unsubscribed it");
    rig.connect();
    assert_eq!(rig.receive(CONNACK), ["> 82 06 ff ff 00 01 62 00"]);
}

#[test]
fn a_filter_that_is_unsubscribed_in_an_outage_does_not_return() {
    let mut rig = rig();
    rig.lose();
    let unsubscribed = rig.journal.offline(&message("a2 05 00 02 00 01 61"), "gone");
    assert_eq!(unsubscribed, Offline::Done(Some(message("b0 02 00 02"))));
    rig.connect();
    let replay = rig.receive(CONNACK);
    assert!(!replay.iter().any(|line| line.contains("00 01 61")), "{replay:?}");
}

#[test]
fn a_kept_session_is_freed_of_filters_that_the_client_has_not() {
    let mut rig = subscribe(Rig::new(&Protocol::Mqtt), CONNECT_KEPT, CONNACK);
    rig.send("a2 05 00 02 00 01 61");
    rig.send("82 06 00 03 00 01 63 00");
    let failed =
        [format!("failed 3 {LOST}"), "< 90 03 00 03 80".into(), "done 2".into(), "< b0 02 00 02".into()];
    assert_eq!(rig.lose(), failed);
    rig.connect();
    let expected = ["> a2 05 ff ff 00 01 61", "> a2 05 ff fe 00 01 63", "gap b b unknown", "ready"];
    assert_eq!(rig.receive(CONNACK_PRESENT), expected);
    assert_eq!(rig.receive("b0 02 ff ff"), NONE, "the client has not asked");
}

#[test]
fn a_publish_in_flight_is_never_sent_again() {
    let mut rig = rig();
    rig.send(PUBLISH_1);
    assert_eq!(rig.lose(), [format!("failed 2 {LOST}")], "3.1.1 has no message for it");
    let replay = [rig.connect(), rig.receive(CONNACK)].concat();
    assert!(!replay.iter().any(|line| line.starts_with("> 32") || line.starts_with("> 3a")), "{replay:?}");
    let mut rig = Rig::new(&Protocol::Mqtt);
    rig.send(CONNECT_5);
    rig.receive("20 03 00 00 00");
    rig.send("32 07 00 01 61 00 03 00 31");
    rig.send("34 07 00 01 61 00 04 00 31");
    let failures = [
        format!("failed 1 {LOST}"),
        "< 40 03 00 03 80".into(),
        format!("failed 2 {LOST}"),
        "< 50 03 00 04 80".into(),
    ];
    assert_eq!(rig.lose(), failures);
}

#[test]
fn a_published_message_that_the_broker_has_is_completed() {
    let mut rig = rig();
    rig.send(PUBLISH_2);
    assert_eq!(rig.receive("50 02 00 03"), delivered("50 02 00 03"));
    assert_eq!(rig.send("62 02 00 03"), sent("62 02 00 03"));
    assert_eq!(rig.lose(), ["done 3", "< 70 02 00 03"]);
    rig.connect();
    rig.receive(CONNACK);
    rig.receive("90 03 ff ff 01");
    rig.receive("90 03 ff fe 00");
    assert_eq!(rig.send("62 02 00 03"), delivered("70 02 00 03"), "of a session that is gone");
}

#[test]
fn acknowledgements_of_a_lost_session_do_not_reach_the_next() {
    let mut rig = rig();
    rig.receive(PUBLISH_1);
    rig.receive("34 06 00 01 61 00 05 31");
    assert_eq!(rig.send("50 02 00 05"), sent("50 02 00 05"));
    rig.lose();
    rig.connect();
    assert_eq!(rig.receive(CONNACK), ["< 62 02 00 05", REPLAY_A, REPLAY_B], "the client waits for PUBREL");
    rig.receive("90 03 ff ff 01");
    rig.receive("90 03 ff fe 00");
    assert_eq!(rig.send("40 02 00 03"), NONE);
    assert_eq!(rig.send("70 02 00 05"), NONE);
    rig.receive(PUBLISH_1);
    assert_eq!(rig.send("40 02 00 03"), sent("40 02 00 03"));
}

#[test]
fn acknowledgements_of_a_kept_session_pass() {
    let mut rig = subscribe(Rig::new(&Protocol::Mqtt), CONNECT_KEPT, CONNACK);
    rig.receive(PUBLISH_1);
    rig.lose();
    rig.connect();
    rig.receive(CONNACK_PRESENT);
    assert_eq!(rig.send("40 02 00 03"), sent("40 02 00 03"));
}

#[test]
fn a_refused_filter_fails_alone() {
    let mut rig = rig();
    rig.lose();
    rig.connect();
    rig.receive(CONNACK);
    let refused = "failed 1 the upstream refused the subscription after a reconnect";
    assert_eq!(rig.receive("90 03 ff ff 80"), [refused]);
    let late = "failed 1 the upstream did not answer the subscription after a reconnect in time";
    assert_eq!(rig.wait(Duration::from_secs(5)), [late, "gap  unknown", "ready"]);
    let unsubscribed = sent("a2 05 ff ff 00 01 62");
    assert_eq!(rig.receive("90 03 ff fe 00"), unsubscribed, "the client does not expect messages any more");
    assert_eq!(rig.receive("b0 02 ff ff"), NONE);
}

#[test]
fn a_refused_login_is_passed_on_and_a_busy_broker_is_not() {
    let mut rig = rig();
    rig.lose();
    rig.connect();
    let broken = "broken the upstream refused the login of the replay";
    assert_eq!(rig.receive("20 02 00 05"), ["< 20 02 00 05", broken]);
    rig.lose();
    rig.connect();
    assert_eq!(rig.receive("20 02 00 03"), ["broken the upstream is not available"]);
    rig.lose();
    rig.connect();
    let broken = "broken the upstream did not answer the login of the replay within 5s";
    assert_eq!(rig.wait(Duration::from_secs(5)), [broken]);
}

#[test]
fn nothing_meant_for_a_lost_connection_reaches_the_next() {
    let mut rig = rig();
    rig.lose();
    rig.journal.connected(2, rig.now);
    rig.lose();
    assert_eq!(rig.connect(), sent(CONNECT));
}

#[test]
fn packets_may_span_and_share_messages() {
    let mut rig = Rig::new(&Protocol::Mqtt);
    let both = format!("{CONNECT} {SUBSCRIBE}");
    let (first, second) = both.split_at(CONNECT.len() + 12);
    assert_eq!(rig.send(first), sent(CONNECT));
    assert_eq!(rig.send(second), sent(SUBSCRIBE));
    assert_eq!(rig.receive("20"), NONE);
    assert_eq!(rig.receive(&format!("02 00 00 {SUBACK}")), delivered(&format!("{CONNACK} {SUBACK}")));
    rig.lose();
    rig.connect();
    rig.receive(CONNACK);
    // Two answers to the journal with a message between them.
    let answers = format!("90 03 ff ff 01 {PUBLISH_0} 90 03 ff fe 00");
    let expected =
        ["gap a a unknown".into(), "gap b b unknown".into(), format!("< {PUBLISH_0}"), "ready".to_owned()];
    assert_eq!(rig.receive(&answers), expected);
}

#[test]
fn a_subscription_in_flight_is_retried_with_its_own_packet_id() {
    let mut rig = Rig::retrying(&Protocol::Mqtt);
    rig.send(CONNECT);
    rig.receive(CONNACK);
    rig.send(SUBSCRIBE);
    assert_eq!(rig.lose(), ["kept 1"]);
    rig.connect();
    assert_eq!(rig.receive(CONNACK), ["gap  unknown", &format!("> {SUBSCRIBE}"), "ready"]);
    assert_eq!(rig.receive(SUBACK), delivered(SUBACK));
    assert_eq!(rig.journal.entries(), 2);
    let mut rig = self::rig();
    rig.send("82 06 00 04 00 01 63 00");
    assert_eq!(rig.lose()[1..], ["< 90 03 00 04 80"]);
}

#[test]
fn the_replay_leaves_the_packet_id_of_a_retried_subscription() {
    let mut rig = subscribe(Rig::retrying(&Protocol::Mqtt), CONNECT, CONNACK);
    let last = "82 06 ff ff 00 01 63 00";
    rig.send(last);
    assert_eq!(rig.lose(), ["kept 2"]);
    rig.connect();
    assert_eq!(rig.receive(CONNACK), ["> 82 06 ff fe 00 01 61 01", "> 82 06 ff fd 00 01 62 00"]);
    rig.receive("90 03 ff fe 01");
    assert_eq!(rig.receive("90 03 ff fd 00")[1..], [format!("> {last}"), "ready".to_owned()]);
}

#[test]
fn limits_refuse_a_subscription_in_the_protocols_shape() {
    let limits = Limits { max_entries: 1, ..Limits::default() };
    let mut rig = Rig::bounded(&Protocol::Mqtt, limits);
    rig.send(CONNECT);
    rig.receive(CONNACK);
    let refused = "refused 1 too many subscriptions: recovery.max_entries allows 1";
    assert_eq!(rig.send(SUBSCRIBE), [refused, "< 90 04 00 01 80 80"]);
    let limits = Limits { max_packet: 100, ..Limits::default() };
    let mut rig = Rig::bounded(&Protocol::Mqtt, limits);
    assert_eq!(rig.send("30 7f 00"), ["refused 0 an MQTT packet exceeds the limit of a message"]);
    assert_eq!(rig.receive("30 7f 00"), ["broken an MQTT packet exceeds the limit of a message"]);
    assert_eq!(rig.receive(PUBLISH_0), NONE);
}

#[test]
fn a_ping_can_be_answered_during_the_outage() {
    assert_eq!(rig().journal.keepalive(&message("c0 00")), Some(message("d0 00")));
    for (packets, expected) in [
        ("40 02 00 01", true),
        ("70 02 00 01", true),
        ("50 02 00 01", false),
        ("62 02 00 01", false),
        ("40 02 00 01 c0 00", false),
        ("40", false),
        ("", false),
    ] {
        assert_eq!(rig().journal.is_dispensable(&message(packets)), expected, "{packets}");
    }
}

#[test]
fn a_client_that_said_goodbye_is_not_logged_in_again() {
    let mut rig = rig();
    rig.send("e0 00");
    assert_eq!(rig.lose(), ["pass on 1000"], "the session is over");
    assert_eq!(rig.connect().last().map(String::as_str), Some("ready"));
}

#[test]
fn a_packet_in_pieces_fails_with_its_last_piece_while_no_broker_is_connected() {
    let mut rig = rig();
    let subscribe = "82 06 00 09 00 01 62 00";
    assert_eq!(rig.client_message(message("82 06 00")), NONE, "the first piece comes before the loss");
    rig.lose();
    let mut offline = |packets: &str| rig.journal.offline(&message(packets), "gone");
    assert_eq!(offline("09 00 01"), Offline::Done(None));
    assert_eq!(offline("62 00"), Offline::Failed(Some(message("90 03 00 09 80"))));
    assert_eq!(offline("c0 00"), Offline::Done(Some(message("d0 00"))));
    assert_eq!(offline("40 02 00 01"), Offline::Done(None), "the broker sends its message again");
    assert_eq!(offline("30 04 00 01 61 31"), Offline::Failed(None), "nothing reports a message of QoS 0");
    // The packet id of a PUBLISH looks like a PINGREQ.
    assert_eq!(offline("32 05 00 01 61"), Offline::Done(None));
    assert_eq!(rig.journal.keepalive(&message("c0 00")), None);
    assert_eq!(rig.journal.offline(&message("c0 00"), "gone"), Offline::Failed(None));
    assert_eq!(rig.journal.offline(&message("e0 00"), "gone"), Offline::Done(None));
    assert_eq!(
        rig.journal.offline(&message(subscribe), "gone"),
        Offline::Failed(Some(message("90 03 00 09 80")))
    );
}
