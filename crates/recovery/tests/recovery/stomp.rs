//! The preset `stomp` over a loss of the upstream, message by message.

use towline_recovery::{Message, Offline};

use super::{LOST, NONE, delivered, preset, rig::Rig, sent};

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
    assert_eq!(rig.upstream("RECEIPT\nreceipt-id:towline-2-0\n\n\0"), ["gap /topic/a 0 unknown", "ready"]);
    assert_eq!(rig.upstream("RECEIPT\nreceipt-id:towline-2-0\n\n\0"), NONE, "a second answer");
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

#[test]
fn heart_beats_that_were_promised_go_on_during_the_outage() {
    assert_eq!(rig().journal.heartbeat(), None, "nothing was promised");
    let mut rig = Rig::new(&preset("stomp"));
    rig.client("CONNECT\nheart-beat:0,8000\n\n\0");
    rig.upstream("CONNECTED\nheart-beat:10000,0\n\n\0");
    let heartbeat = rig.journal.heartbeat().unwrap();
    assert_eq!((heartbeat.every.as_secs(), &heartbeat.message.payload[..]), (10, &b"\n"[..]));
}

fn unsubscribe(id: u8) -> String {
    format!("UNSUBSCRIBE\nid:{id}\n\n\0")
}

/// What the next connection gets.
fn replayed(rig: &mut Rig) -> String {
    rig.lose();
    [rig.connect(), rig.upstream(CONNECTED)].concat().join(" ")
}

#[test]
fn each_frame_of_a_message_counts() {
    let send = "SEND\ndestination:/queue/pay\n\n1\0";
    let mut rig = Rig::new(&preset("stomp"));
    let subscribe = |id| format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{id}\n\n\0");
    let all = [CONNECT, &subscribe(5), send, &subscribe(6), &subscribe(7)].concat();
    assert_eq!(rig.client(&all), sent(&line(&all)), "unchanged");
    rig.upstream(CONNECTED);
    let replay = replayed(&mut rig);
    assert!(!replay.contains("SEND"), "{replay}");
    assert_eq!(replay.matches("> SUBSCRIBE").count(), 3, "{replay}");
    rig.client(&[unsubscribe(5), send.to_owned(), unsubscribe(7)].concat());
    let replay = replayed(&mut rig);
    assert_eq!(replay.matches("> SUBSCRIBE").count(), 1, "{replay}");
    assert!(replay.contains("> SUBSCRIBE|id:6"), "{replay}");
}

#[test]
fn a_frame_may_span_messages() {
    let mut rig = rig();
    assert_eq!(rig.client("UNSUBSCRIBE\nid"), NONE);
    assert_eq!(rig.client(":0\n\n\0"), sent(&line(&unsubscribe(0))));
    assert_eq!(rig.upstream("MESSAGE\nsubscription:1\nack:"), NONE);
    let message = "MESSAGE|subscription:1|ack:1-7||hi^@";
    assert_eq!(rig.upstream("7\n\nhi\0"), delivered(message));
    let replay = replayed(&mut rig);
    assert!(!replay.contains("/topic/a") && replay.contains("/topic/b"), "{replay}");
}

#[test]
fn frames_in_flight_of_one_message_share_its_outcome() {
    let mut rig = rig();
    let send = |receipt| format!("SEND\ndestination:/q\nreceipt:{receipt}\n\n1\0");
    rig.client(&[send("a"), send("b")].concat());
    let error = |receipt| format!("ERROR|receipt-id:{receipt}|message:gone|content-type:text/plain||gone^@");
    assert_eq!(rig.lose(), [format!("failed 3 {LOST}"), format!("< {}{}", error("a"), error("b"))]);
}

#[test]
fn frames_in_an_outage_have_their_outcome() {
    let mut rig = rig();
    rig.lose();
    let mut offline = |text: &str| rig.journal.offline(&Message::text(text.to_owned()), "down");
    assert_eq!(offline("UNSUBSCRIBE\nid"), Offline::Done(None));
    assert_eq!(offline(":0\n\n\0\n"), Offline::Done(None));
    let close = format!("{}SEND\nreceipt:r\n\n\0", unsubscribe(1));
    assert!(matches!(offline(&close), Offline::Failed(Some(_))), "the SEND fails");
    rig.connect();
    assert_eq!(rig.upstream(CONNECTED), ["gap  unknown", "ready"]);
}

#[test]
fn disconnect_ends_the_session() {
    let mut rig = rig();
    rig.client("DISCONNECT\nreceipt:bye\n\n\0");
    assert_eq!(rig.lose().iter().filter(|line| *line == "pass on 1000").count(), 1);
    assert_eq!(rig.connect(), ["gap  unknown", "ready"], "nothing is sent again");
}
