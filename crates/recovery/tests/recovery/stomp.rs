//! The preset `stomp` over a loss of the upstream, message by message.

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
