//! Patterns of the settings over a loss of the upstream, message by message.

use std::time::Duration;

use towline_recovery::{
    Limits, Message, Offline, Output, Pattern, PatternError, Patterns, Protocol, Recovery, Settings, Test,
    UpstreamStep,
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

/// The gap ends with the restored subscription, however late its next message is.
#[test]
fn a_gap_ends_when_the_subscription_is_restored() {
    for resumes in [false, true] {
        let mut rig = reconnected(resumes);
        let restored = rig.now;
        rig.now += Duration::from_secs(3);
        let step = rig.journal.upstream(rig.generation, Message::text(data(4)), rig.now);
        assert_eq!(step, UpstreamStep::Hide);
        let Some(Output::Notice(gap)) = rig.journal.poll(rig.now) else { panic!("no notice") };
        assert_eq!(gap.until, restored);
    }
    let mut rig = reconnected(true);
    let restored = rig.now;
    rig.now += Duration::from_secs(7);
    let Some(Output::Notice(gap)) = rig.journal.poll(rig.now) else { panic!("no notice") };
    assert_eq!(gap.until, restored);
}

/// The upstream assigns the id `sub`; its messages may come twice after a reconnect.
fn rooms(data: Pattern) -> Patterns {
    let is = |op| Pattern::when("op", Test::is(op));
    Patterns {
        open: [is("join").request("ref")].into(),
        answer: [is("joined").request("ref").id("sub"), is("left").request("ref").id("sub")].into(),
        close: [is("leave").request("ref").id("sub"), is("drop").id("sub")].into(),
        ended: [is("ended").id("sub")].into(),
        data: [data].into(),
        ..Patterns::default()
    }
}

/// Two subscriptions with the ids 1 and 2, which are 21 and 22 at the second connection.
fn rejoined() -> Rig {
    let patterns = rooms(Pattern::when("op", Test::is("say")).id("sub"));
    let mut rig = Rig::new(&Protocol::Patterns(Box::new(patterns)));
    let joined = |number, sub| format!(r#"{{"op":"joined","ref":{number},"sub":{sub}}}"#);
    for number in [1, 2] {
        rig.client(&format!(r#"{{"op":"join","ref":{number}}}"#));
        assert_eq!(rig.upstream(&joined(number, number)), delivered(&joined(number, number)));
    }
    rig.lose();
    rig.connect();
    rig.upstream(&joined(1, 21));
    assert_eq!(rig.upstream(&joined(2, 22)).last().map(String::as_str), Some("ready"));
    rig
}

#[test]
fn the_answer_to_a_close_has_the_clients_id() {
    let mut rig = rejoined();
    assert_eq!(
        rig.client(r#"{"op":"leave","sub":1,"ref":4}"#),
        [r#"> {"op":"leave","sub":21,"ref":4}"#],
        "the upstream's id"
    );
    assert_eq!(rig.upstream(r#"{"op":"say","sub":21}"#), delivered(r#"{"op":"say","sub":1}"#));
    assert_eq!(
        rig.upstream(r#"{"op":"left","ref":4,"sub":21}"#),
        delivered(r#"{"op":"left","ref":4,"sub":1}"#)
    );
    assert_eq!(rig.upstream(r#"{"op":"say","sub":21}"#), NONE, "the id may be another subscription's");
}

#[test]
fn a_subscription_that_the_client_closes_ends_with_the_clients_id() {
    let mut rig = rejoined();
    assert_eq!(rig.client(r#"{"op":"drop","sub":2}"#), [r#"> {"op":"drop","sub":22}"#]);
    assert_eq!(rig.upstream(r#"{"op":"say","sub":22}"#), delivered(r#"{"op":"say","sub":2}"#));
    assert_eq!(rig.upstream(r#"{"op":"ended","sub":22}"#), delivered(r#"{"op":"ended","sub":2}"#));
}

/// A message after a gap would show a hole without a notice.
#[test]
fn a_subscription_that_is_closed_before_its_notice_gets_no_more_data() {
    let patterns = rooms(Pattern::when("op", Test::is("say")).id("sub").cursor("at").numbered());
    let mut rig = Rig::new(&Protocol::Patterns(Box::new(patterns)));
    rig.client(r#"{"op":"join","ref":1}"#);
    rig.upstream(r#"{"op":"joined","ref":1,"sub":1}"#);
    rig.upstream(r#"{"op":"say","sub":1,"at":1}"#);
    rig.lose();
    rig.connect();
    rig.upstream(r#"{"op":"joined","ref":1,"sub":21}"#);
    rig.client(r#"{"op":"leave","sub":1,"ref":4}"#);
    assert_eq!(rig.upstream(r#"{"op":"say","sub":21,"at":5}"#), NONE);
    let left = r#"{"op":"left","ref":4,"sub":1}"#;
    assert_eq!(rig.upstream(r#"{"op":"left","ref":4,"sub":21}"#), delivered(left));
}

/// Long cursors give way to the bound, and so do the recent ones to a new subscription.
#[test]
fn cursors_count_against_the_bound() {
    let limits = Limits { max_bytes: 2000, ..Limits::default() };
    let mut patterns = rooms(Pattern::when("op", Test::is("say")).id("sub").cursor("at"));
    patterns.open = [Pattern::when("op", Test::is("join")).request("ref").resume("from")].into();
    let mut rig = Rig::bounded(&Protocol::Patterns(Box::new(patterns)), limits);
    let join = |number| format!(r#"{{"op":"join","ref":{number},"from":0}}"#);
    let say = |sub, at: &str| format!(r#"{{"op":"say","sub":{sub},"at":"{at}"}}"#);
    for number in [1, 2, 3, 4] {
        rig.client(&join(number));
        rig.upstream(&format!(r#"{{"op":"joined","ref":{number},"sub":{number}}}"#));
    }
    for at in 0..300 {
        for sub in [1, 2, 3, 4] {
            rig.upstream(&say(sub, &at.to_string()));
            assert!(rig.journal.bytes() <= 2000, "{}", rig.journal.bytes());
        }
    }
    let long = "x".repeat(900);
    assert_eq!(rig.client(&join(5)), [format!("> {}", join(5))], "there is room");
    for sub in [1, 2, 3] {
        assert_eq!(rig.upstream(&say(sub, &long)), delivered(&say(sub, &long)));
        assert!(rig.journal.bytes() <= 2000, "{}", rig.journal.bytes());
    }
    let lost = rig.lose();
    let dropped = "dropped 2 the subscription cannot be restored at a new connection";
    assert!(lost.iter().any(|line| line == dropped), "{lost:?}");
    let opened = format!(r#"> {{"op":"join","ref":1,"from":"{long}"}}"#);
    assert!(rig.connect().contains(&opened), "the others continue");
}

/// Subscriptions 1 and 2, which the client has opened with the same request id: it was answered in between.
fn with_one_request_id() -> Rig {
    let mut rig =
        Rig::new(&Protocol::Patterns(Box::new(rooms(Pattern::when("op", Test::is("say")).id("sub")))));
    for sub in [1, 2] {
        rig.client(&format!(r#"{{"op":"join","ref":1,"room":{sub}}}"#));
        let joined = format!(r#"{{"op":"joined","ref":1,"sub":{sub}}}"#);
        assert_eq!(rig.upstream(&joined), delivered(&joined));
    }
    rig.lose();
    assert_eq!(rig.connect(), [r#"> {"op":"join","ref":1,"room":1}"#]);
    rig
}

#[test]
fn subscriptions_with_one_request_id_are_restored_one_after_the_other() {
    let mut rig = with_one_request_id();
    let first = rig.upstream(r#"{"op":"joined","ref":1,"sub":21}"#);
    assert!(first.contains(&r#"> {"op":"join","ref":1,"room":2}"#.to_owned()), "{first:?}");
    assert!(!first.contains(&"ready".to_owned()), "{first:?}");
    let second = rig.upstream(r#"{"op":"joined","ref":1,"sub":22}"#);
    assert_eq!(second.last().map(String::as_str), Some("ready"));
    for sub in [1, 2] {
        let say = format!(r#"{{"op":"say","sub":{sub}}}"#);
        assert_eq!(rig.upstream(&format!(r#"{{"op":"say","sub":2{sub}}}"#)), delivered(&say));
    }
}

#[test]
fn a_subscription_that_waits_for_a_request_id_fails_when_the_time_is_over() {
    let mut rig = with_one_request_id();
    let lines = rig.wait(Duration::from_secs(5));
    let failed = "the upstream did not answer the subscription after a reconnect in time";
    for event in [0, 1] {
        assert!(lines.contains(&format!("failed {event} {failed}")), "{lines:?}");
    }
    assert!(lines.iter().all(|line| !line.starts_with("> ")), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("ready"));
}

/// The late answer would count as that of the client's request.
#[test]
fn a_request_fails_whose_id_the_upstream_may_still_answer_for_the_replay() {
    let mut rig = with_one_request_id();
    rig.wait(Duration::from_secs(5));
    let in_use =
        "the id of the request is in use: the upstream may still answer a subscription after a reconnect";
    let join = r#"{"op":"join","ref":1,"room":3}"#;
    assert_eq!(rig.client(join), [format!("refused 2 {in_use}")]);
    assert_eq!(rig.client(r#"{"op":"leave","sub":1,"ref":1}"#), [format!("refused 3 {in_use}")]);
    assert_eq!(rig.upstream(r#"{"op":"joined","ref":1,"sub":21}"#), NONE, "the late answer");
    assert_eq!(rig.client(join), [format!("> {join}")]);
    let joined = r#"{"op":"joined","ref":1,"sub":23}"#;
    assert_eq!(rig.upstream(joined), delivered(joined));
}

/// A retried `open` has no answer yet, so that its failure is the answer.
#[test]
fn a_retried_open_that_waits_for_a_request_id_fails_when_the_time_is_over() {
    let protocol = Protocol::Patterns(Box::new(rooms(Pattern::when("op", Test::is("say")).id("sub"))));
    let mut rig = Rig::retrying(&protocol);
    rig.client(r#"{"op":"join","ref":1,"room":1}"#);
    rig.upstream(r#"{"op":"joined","ref":1,"sub":1}"#);
    rig.client(r#"{"op":"join","ref":1,"room":2}"#);
    assert_eq!(rig.lose(), ["kept 1"]);
    assert_eq!(rig.connect(), [r#"> {"op":"join","ref":1,"room":1}"#]);
    let lines = rig.wait(Duration::from_secs(5));
    assert!(lines.iter().any(|line| line.starts_with("failed 1 ")), "{lines:?}");
    assert_eq!((lines.last().map(String::as_str), rig.journal.entries()), (Some("ready"), 1));
}

/// The subscription ends all the same, but the answer to the request does not come.
#[test]
fn a_close_with_a_request_that_nothing_answers_fails() {
    let mut rig = rejoined();
    rig.client(r#"{"op":"leave","sub":1,"ref":4}"#);
    assert_eq!(rig.lose(), ["failed 2 the connection to the upstream was lost before it answered"]);
    let leave = |sub| Message::text(format!(r#"{{"op":"leave","sub":{sub},"ref":5}}"#));
    assert_eq!(rig.journal.offline(&leave(2), "gone"), Offline::Failed(None));
    let drop = Message::text(r#"{"op":"drop","sub":2}"#);
    assert_eq!(rig.journal.offline(&drop, "gone"), Offline::Done(None), "it asks for no answer");
    assert_eq!(rig.connect(), ["gap  unknown", "ready"], "none is opened again");
    let refused = "refused 3 the subscription is not open at the upstream, so that nothing answers its end";
    assert_eq!(rig.client(r#"{"op":"leave","sub":1,"ref":6}"#), [refused]);
    assert_eq!(rig.client(r#"{"op":"drop","sub":1}"#), NONE);
}

#[test]
fn a_repeated_answer_to_a_replayed_login_is_hidden() {
    let is = |op| Pattern::when("op", Test::is(op));
    let patterns =
        Patterns { hello: [is("auth")].into(), accepted: [is("in")].into(), ..Patterns::default() };
    let mut rig = Rig::new(&Protocol::Patterns(Box::new(patterns)));
    let (auth, accepted) = (r#"{"op":"auth"}"#, r#"{"op":"in"}"#);
    rig.client(auth);
    assert_eq!(rig.upstream(accepted), delivered(accepted));
    rig.lose();
    assert_eq!(rig.connect(), [format!("> {auth}")]);
    assert_eq!(rig.upstream(accepted).last().map(String::as_str), Some("ready"));
    assert_eq!(rig.upstream(accepted), NONE);
    rig.client(auth);
    rig.client(auth);
    assert_eq!(rig.upstream(accepted), delivered(accepted), "the client logs in again");
    assert_eq!(rig.upstream(accepted), delivered(accepted), "twice");
    assert_eq!(rig.upstream(accepted), NONE);
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
        (
            Patterns { open: [any().id("i").resume("since")].into(), ..Patterns::default() },
            "a pattern of `data` has no `cursor`, and one of `open` has `resume`",
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
