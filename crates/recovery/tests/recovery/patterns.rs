//! Patterns of the settings over a loss of the upstream, message by message.

use std::time::Duration;

use bytes::Bytes;
use towline_recovery::{
    ClientClass, ClientStep, Message, Pattern, PatternError, Patterns, Protocol, Recovery, Settings, Test,
    UpstreamClass, UpstreamStep,
};

use super::{NONE, delivered, rig::Rig};

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

#[test]
fn incomplete_patterns_are_refused() {
    let any = || Pattern::when("op", Test::from("x*"));
    let check = |patterns| {
        let protocol = Protocol::Patterns(Box::new(patterns));
        Recovery::new(&protocol, Settings::default()).map(drop).map_err(|error| error.to_string())
    };
    let cases = [
        (
            Patterns { open: [any()].into(), ..Patterns::default() },
            "a pattern of `open` has no `id` or `request`",
        ),
        (Patterns { data: [any()].into(), ..Patterns::default() }, "a pattern of `data` has no `id`"),
        (
            Patterns { answer: [any()].into(), ..Patterns::default() },
            "a pattern of `answer` has no `request`",
        ),
        (
            Patterns { hello: [Pattern::default()].into(), ..Patterns::default() },
            "a pattern of `hello` has no `when`",
        ),
        (
            Patterns { open: [any().request("r")].into(), ..Patterns::default() },
            "a pattern of `answer` has no `id`, and one of `open` has none either",
        ),
    ];
    for (patterns, expected) in cases {
        assert_eq!(check(patterns), Err(expected.to_owned()));
    }
    let many = (0..65).map(|n| any().id(&n.to_string())).collect();
    assert_eq!(
        check(Patterns { data: many, ..Patterns::default() }),
        Err(PatternError::TooManyPaths.to_string())
    );
}

#[test]
fn a_program_may_classify_messages() {
    let mut rig = Rig::new(&Protocol::Patterns(Box::default()));
    let step = |rig: &mut Rig, event, text: &'static str, class| {
        let step = rig.journal.client_as(event, Message::text(text), &class);
        assert_eq!(step, ClientStep::Send(Message::text(text)));
    };
    let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    step(&mut rig, 0, "LOGIN x", ClientClass::Hello { slot: 0 });
    step(&mut rig, 1, "SUB a", ClientClass::Open { id: a.clone() });
    step(&mut rig, 2, "SUB b", ClientClass::Open { id: b.clone() });
    step(&mut rig, 3, "END b", ClientClass::Close { id: b });
    let data = |rig: &mut Rig, cursor| {
        let class = UpstreamClass::Data { id: a.clone(), cursor: Some(cursor) };
        rig.journal.upstream_as(rig.generation, Message::text("hi"), &class, rig.now)
    };
    assert_ne!(data(&mut rig, 4), UpstreamStep::Hide);
    assert_eq!(rig.lose_with(Some(3), None), NONE);
    assert_eq!(rig.connect(), ["> LOGIN x", "> SUB a", "ready"]);
    assert_eq!(data(&mut rig, 7), UpstreamStep::Hide);
    assert_eq!(rig.wait(Duration::ZERO), ["gap a a 2", "< hi"]);
    let ended = UpstreamClass::Ended { id: a.clone() };
    rig.journal.upstream_as(rig.generation, Message::text("END a"), &ended, rig.now);
    assert_eq!(rig.journal.entries(), 0);
}
