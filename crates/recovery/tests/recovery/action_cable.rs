//! The preset `action-cable` over a loss of the upstream, message by message.

use std::time::Duration;

use super::{NONE, REFUSED, delivered, preset, rig::Rig, sent};

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
    assert_eq!(rig.client(&command("subscribe")), sent(&command("subscribe")), "the client may try again");
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
    assert_eq!(rig().journal.heartbeat().unwrap().every, Duration::from_secs(3));
}
