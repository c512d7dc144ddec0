//! The presets `phoenix` and `phoenix-nudge` over a loss of the upstream, message by message.

use towline_recovery::{Limits, Message};

use super::{LOST, NONE, REFUSED, delivered, preset, rig::Rig, sent};

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
fn pushes_without_answer_may_be_taken_as_served() {
    let mut rig = rig("phoenix");
    assert!(rig.journal.is_quiet() && !rig.journal.has_optional_calls());
    rig.client(PUSH);
    rig.client(&PUSH.replace('4', "5"));
    assert!(rig.journal.is_quiet() && rig.journal.has_optional_calls());
    rig.journal.forget_optional_calls();
    assert!(!rig.journal.has_optional_calls());
    assert_eq!(rig.lose(), NONE);
    rig.connect();
    assert!(!rig.journal.is_quiet(), "the channel is not joined yet");
    rig.upstream(JOINED);
    assert!(rig.journal.is_quiet());
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
fn a_channel_that_ends_during_the_replay_is_not_awaited() {
    let mut rig = rig("phoenix");
    rig.lose();
    rig.connect();
    let error = r#"["3","3","room:1","phx_error",{}]"#;
    assert_eq!(rig.upstream(error), [&format!("< {error}"), "gap  unknown", "ready"]);
    assert_eq!(rig.upstream(JOINED), NONE, "an answer to the replay");
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
    let expected = [r#"gap "room:1" "room:1" unknown"#, r#"< ["3",null,"room:1","phx_error",{}]"#, "ready"];
    assert_eq!(rig.connect(), expected);
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
