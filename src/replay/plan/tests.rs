//! Tests of plans.

use super::*;

const HEADER: &str = r#"{"towline_record":1,"version":"0.1.0"}"#;

fn line(second: u32, direction: &str, stage: &str, role: &str, event: &str, rest: &str) -> String {
    let event = if event.is_empty() { String::new() } else { format!(r#""event":"1:0:{event}","#) };
    format!(
        r#"{{"time":"2026-09-21T14:13:{second:02}Z","session":"1:0",{event}"direction":"{direction}","stage":"{stage}","role":"{role}","kind":"text","bytes":9{rest}}}"#
    )
}

fn plan(lines: &[String], incomplete: Incomplete) -> Result<Plan, PlanError> {
    let text = std::iter::once(HEADER.to_owned()).chain(lines.iter().cloned()).collect::<Vec<_>>().join("\n");
    Plan::read(text.as_bytes(), incomplete)
}

fn error(rest: &str) -> String {
    plan(&[line(0, "from_client", "message", "request", "0", rest)], Incomplete::Refused)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_session_sends_its_messages_and_knows_what_answered_them() {
    let payload = |text: &str| format!(r#","payload":"{text}""#);
    let lines = [
        line(1, "from_client", "message", "request", "0", &payload("a")),
        line(2, "to_upstream", "event", "request", "0", &payload("a")),
        line(3, "to_client", "message", "push", "1", &payload("news")),
        line(4, "from_client", "message", "request", "2", &payload("b")),
        line(5, "to_client", "message", "reply", "0", &payload("A")),
        line(6, "to_client", "message", "reply", "2", &payload("B")),
    ];
    let plan = plan(&lines, Incomplete::Refused).unwrap();
    let [session] = &plan.sessions[..] else { panic!("one session") };
    let steps: Vec<_> = session
        .steps
        .iter()
        .map(|step| (step.at.as_secs(), step.message.payload.as_slice(), step.answered_at))
        .collect();
    assert_eq!(steps, [(0, &b"a"[..], 2), (3, &b"b"[..], 3)]);
    assert_eq!(session.received.len(), 3);
    assert_eq!(plan.messages(), 2);
}

#[test]
fn a_message_of_several_events_is_sent_once() {
    let payload = r#","payload":"a\nb\n""#;
    let lines = [
        line(1, "from_client", "message", "request", "", payload),
        line(1, "from_client", "event", "request", "0", payload),
        line(1, "from_client", "event", "request", "1", payload),
        line(2, "to_client", "message", "reply", "0", payload),
        line(3, "to_client", "message", "reply", "1", payload),
    ];
    let plan = plan(&lines, Incomplete::Refused).unwrap();
    let [step] = &plan.sessions[0].steps[..] else { panic!("one step") };
    assert_eq!((step.message.payload.as_slice(), step.answered_at), (&b"a\nb\n"[..], 2));
}

#[test]
fn a_message_whose_end_is_not_in_the_record_is_not_sent() {
    let payload = r#","payload":"a""#;
    let lines = [
        line(1, "from_client", "message", "request", "0", payload),
        line(2, "outcome", "", "", "0", r#","outcome":"answered""#),
        line(3, "from_client", "message", "request", "1", payload),
    ];
    assert_eq!(plan(&lines, Incomplete::Refused).unwrap().messages(), 1);
    let [first, _, second] = lines;
    assert_eq!(plan(&[first, second], Incomplete::Refused).unwrap().messages(), 2, "no outcomes at all");
}

/// The replay waited for them before each message, and reported the last reply as missing.
#[test]
fn replies_to_events_before_the_record_are_not_expected() {
    let payload = |text: &str| format!(r#","payload":"{text}""#);
    let outcome = |event: &str| line(2, "outcome", "", "", event, r#","outcome":"errored""#);
    let earlier = [
        line(1, "to_client", "message", "reply", "4", &payload("old")),
        line(1, "to_client", "message", "push", "5", &payload("news")),
        line(1, "to_client", "message", "error", "6", &payload("a notice")),
    ];
    let recorded = [
        line(2, "from_client", "message", "request", "9", &payload("a")),
        line(2, "to_client", "message", "reply", "7", &payload("old")),
        line(2, "to_client", "message", "error", "8", &payload("old")),
        outcome("8"),
        line(3, "to_client", "message", "reply", "9", &payload("A")),
        outcome("9"),
    ];
    let lines: Vec<_> = earlier.into_iter().chain(recorded).collect();
    let plan = plan(&lines, Incomplete::Refused).unwrap();
    let [SessionPlan { steps, received, .. }] = &plan.sessions[..] else { panic!("one session") };
    let received: Vec<_> = received.iter().map(|message| str::from_utf8(&message.payload).unwrap()).collect();
    assert_eq!(received, ["news", "a notice", "A"]);
    assert_eq!(steps.iter().map(|step| step.answered_at).collect::<Vec<_>>(), [3]);
}

/// The tap opened between a message and its events.
#[test]
fn replies_to_a_message_before_the_record_are_not_expected() {
    let payload = r#","payload":"a""#;
    let lines = [
        line(1, "from_client", "event", "request", "1", payload),
        line(2, "to_client", "message", "reply", "1", payload),
        line(3, "from_client", "message", "request", "", payload),
        line(3, "from_client", "event", "request", "2", payload),
        line(4, "to_client", "message", "reply", "2", payload),
    ];
    let plan = plan(&lines, Incomplete::Refused).unwrap();
    let [SessionPlan { steps, received, .. }] = &plan.sessions[..] else { panic!("one session") };
    assert_eq!((received.len(), steps.len(), steps[0].answered_at), (1, 1, 1));
}

#[test]
fn records_that_cannot_be_replayed_are_refused() {
    assert_eq!(
        error(r#","payload":"abc","truncated":true"#),
        "line 2: the payload is truncated: 3 of 9 bytes; record with a larger --max-payload"
    );
    assert!(
        error(r#","payload":"abc","redacted":true"#).contains("line 2: values in the payload are masked")
    );
    assert!(error(r#","withheld":true"#).contains("withheld"));
    assert!(error("").contains("record with towline tap --payload"));
    let lost = plan(&[r#"{"lost":3}"#.to_owned()], Incomplete::Refused).unwrap_err().to_string();
    assert!(lost.starts_with("line 2: 3 lines are missing"), "{lost}");
    let empty = plan(&[r#"{"lost":3}"#.to_owned()], Incomplete::Accepted).unwrap_err();
    assert!(matches!(empty, PlanError::Empty));
    let other = Plan::read(&b"hello\n"[..], Incomplete::Refused).unwrap_err();
    assert!(matches!(other, PlanError::NotARecord(NotARecord::NoHeader)));
    let wrong = plan(&["nonsense".to_owned()], Incomplete::Refused).unwrap_err().to_string();
    assert!(wrong.starts_with("line 2: not a line of a tap"), "{wrong}");
}

#[test]
fn incomplete_records_are_accepted_on_request() {
    let lines = [
        line(0, "from_client", "message", "request", "0", r#","payload":"abc","redacted":true"#),
        line(0, "from_client", "message", "request", "1", r#","withheld":true"#),
    ];
    let plan = plan(&lines, Incomplete::Accepted).unwrap();
    assert_eq!(plan.messages(), 1);
    assert!(plan.sessions[0].steps[0].message.is_redacted);
}
