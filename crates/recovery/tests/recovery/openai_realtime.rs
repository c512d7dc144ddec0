//! The preset `openai-realtime` over a loss of the upstream, message by message.

use super::{LOST, NONE, delivered, preset, rig::Rig, sent};

fn update(session: &str) -> String {
    format!(r#"{{"type":"session.update","session":{session}}}"#)
}

#[test]
fn the_configuration_is_restored_and_a_response_is_not_asked_for_again() {
    let mut rig = Rig::new(&preset("openai-realtime"));
    let (created, updated) = (r#"{"type":"session.created"}"#, r#"{"type":"session.updated"}"#);
    assert_eq!(rig.upstream(created), delivered(created));
    for session in
        [r#"{"voice":"a","audio":{"in":1}}"#, r#"{"tools":[]}"#, r#"{"voice":"b","audio":{"in":2,"x":3}}"#]
    {
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
