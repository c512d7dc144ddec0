//! `recovery.notice` (C11): a client learns that its upstream connection was replaced.

use std::{collections::BTreeSet, time::Duration};

use crate::harness::*;

const NOTICE: &str = "upstream.echo.recovery.notice = true";

/// An upstream that greets each connection and echoes.
fn greeting() -> TestUpstream {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Greet("welcome"));
    upstream
}

/// Checks a notice about the whole session. Returns the last event before the gap.
#[track_caller]
fn expect_notice(notice: &Value, generation: u64) -> Option<String> {
    assert_eq!(notice["error"], "upstream connection replaced", "{notice}");
    assert!(notice["event_id"].as_str().unwrap().starts_with("1:0:"), "{notice}");
    let gap = notice["gap"].as_object().expect("a gap");
    let time = |key: &str| {
        let text = gap[key].as_str().unwrap();
        assert!(text.len() == 24 && text.starts_with("20") && text.ends_with('Z'), "{text}");
        text.to_owned()
    };
    assert!(time("since") <= time("until"), "{notice}");
    assert_eq!((&gap["generation"], &gap["lost"]), (&json!(generation), &json!("unknown")), "{notice}");
    assert!(!gap.contains_key("entry"));
    gap.get("last_event").map(|event| event.as_str().unwrap().to_owned())
}

#[test]
fn each_reconnect_has_one_notice_before_the_first_message_of_the_new_connection() {
    for settings in [Settings::request, Settings::stream] {
        for errors in [false, true] {
            let upstream = greeting();
            let mut settings = settings(&upstream.url()).with(NOTICE);
            if errors {
                settings = settings
                    .pipeline("errors", "select event from in into out;")
                    .on_route(r#"errors = ["errors"]"#);
            }
            let proxy = Proxy::start(&settings).expect_restarts();
            let mut client = proxy.client();
            assert_eq!(client.recv_text(), "welcome");
            assert_eq!(client.ask("question"), "question");
            upstream.conn(0).die(Death::Fin);
            let mut message = client.recv_json();
            // In a stream, the loss itself names the last event written.
            if message.get("gap").is_none() {
                message = client.recv_json();
            }
            let last = expect_notice(&message, 2);
            assert!(last.is_some());
            assert_eq!(client.recv_text(), "welcome");
            upstream.conn(1).die(Death::Reset);
            assert_eq!(expect_notice(&client.recv_json(), 3), last, "nothing was written since");
            assert_eq!(client.recv_text(), "welcome");
            assert_eq!(client.ask("and on"), "and on", "there is no other notice");
        }
    }
}

#[test]
fn attempts_that_fail_have_no_notice() {
    let upstream = greeting();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(NOTICE)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.recv_text(), "welcome");
    upstream.set_answer(Answer::Refuse(503));
    upstream.conn(0).die(Death::Fin);
    wait_for("attempts", PATIENCE, || upstream.handshakes() > 4);
    upstream.set_answer(Answer::Greet("welcome"));
    let notice = client.recv_json();
    let generation = notice["gap"]["generation"].as_u64().unwrap();
    assert!(generation > 2, "{notice}");
    assert_eq!(expect_notice(&notice, generation), None, "nothing was written at all");
    assert_eq!(client.recv_text(), "welcome");
    assert_eq!(client.ask("question"), "question");
}

#[test]
fn the_first_connection_has_no_notice() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = Settings::request(&upstream.url()).with(NOTICE);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    upstream.start();
    proxy.wait_ups(1);
    assert_eq!(client.ask("question"), "question");
}

#[test]
fn there_are_no_notices_by_default() {
    let upstream = greeting();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.recv_text(), "welcome");
    upstream.conn(0).die(Death::Fin);
    assert_eq!(client.recv_text(), "welcome");
}

/// The pipeline in docs/recovery.md.
#[test]
fn an_errors_pipeline_makes_a_message_of_the_application() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recovery.md")).unwrap();
    let program = text.split("```tremor\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let upstream = greeting();
    let settings = Settings::json(&upstream.url())
        .with(NOTICE)
        .with(r#"upstream.echo.codec = "message""#)
        .pipeline("errors", program)
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.recv_json(), "welcome");
    upstream.conn(0).die(Death::Fin);
    let message = client.recv_json();
    assert_eq!(message["type"], "resync");
    assert!(message["since"].as_str().unwrap().ends_with('Z'), "{message}");
    assert_eq!(client.recv_json(), "welcome");
}

#[test]
fn a_notice_that_an_errors_pipeline_drops_holds_nothing_back() {
    let upstream = greeting();
    let settings = Settings::request(&upstream.url())
        .with(NOTICE)
        .pipeline("errors", "select event from in where absent event.gap into out;")
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    for connection in 0..5 {
        assert_eq!(client.recv_text(), "welcome");
        upstream.conn(connection).die(Death::Fin);
    }
    assert_eq!(client.recv_text(), "welcome");
    assert_eq!(client.ask("question"), "question");
}

#[test]
fn a_route_without_error_replies_has_no_notices() {
    let upstream = greeting();
    let settings = Settings::plain(&upstream.url())
        .with(NOTICE)
        .on_route(r#"path = "/plain""#)
        .on_route(r#"on_upstream_loss = "keep""#)
        .route(&[r#"upstream = "echo""#, "stateless = true", "error_replies = true"]);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = Opening::new(proxy.addr()).path("/plain").open();
    assert_eq!(client.recv_text(), "welcome");
    upstream.conn(0).die(Death::Fin);
    assert_eq!(client.recv_text(), "welcome");
    assert_eq!(client.ask("question"), "question");
}

/// Many sessions lose their connections again and again. Each gets one notice for each time, and they are all.
#[test]
fn notices_are_counted_exactly() {
    const SESSIONS: usize = 20;
    const KILLS: usize = 10;
    let upstream = greeting();
    let settings = Settings::request(&upstream.url())
        .with(NOTICE)
        .with(r#"upstream.echo.recovery.hold = "10s""#)
        .pipeline("errors", "select event from in into out;")
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    for kill in 0..=KILLS {
        wait_for("all", PATIENCE, || proxy.count_log("connector up session=") == SESSIONS * (kill + 1));
        if kill < KILLS {
            upstream.kill_all(if kill % 2 == 0 { Death::Fin } else { Death::Reset });
        }
    }
    for client in &mut clients {
        client.text("end");
        let (mut welcomes, mut generations) = (0, BTreeSet::new());
        let mut is_announced = true;
        loop {
            let text = client.recv_text();
            match text.as_str() {
                "end" => break,
                "welcome" => {
                    assert!(is_announced, "a welcome without a notice before it");
                    (welcomes, is_announced) = (welcomes + 1, false);
                }
                notice => {
                    let notice: Value = serde_json::from_str(notice).unwrap();
                    let generation = notice["gap"]["generation"].as_u64().unwrap();
                    assert!(generations.insert(generation), "{notice}");
                    is_announced = true;
                }
            }
        }
        assert_eq!(generations.len(), KILLS);
        assert!(welcomes <= KILLS + 1);
    }
    assert!(!proxy.has_log("connector gave up", Duration::ZERO));
}

/// The notices of a journaled session: one for each of these ids, in any order.
fn expect_notices(client: &mut Client, ids: impl IntoIterator<Item = String>) {
    let mut expected: BTreeSet<String> = ids.into_iter().collect();
    while !expected.is_empty() {
        let notice = client.recv_json();
        let id = notice["gap"]["entry"]["id"].as_str().unwrap_or_else(|| panic!("no notice: {notice}"));
        assert!(expected.remove(id), "a second notice: {notice}");
    }
}

/// More subscriptions than the mailboxes of the session and of its pipelines have places.
#[test]
fn each_of_many_subscriptions_has_its_notice() {
    const COUNT: usize = 1000;
    for pipelines in [false, true] {
        let upstream = TestUpstream::with(|conn, message| {
            if message.to_text().unwrap().contains("connection_init") {
                conn.text(r#"{"type":"connection_ack"}"#);
            }
        });
        let mut settings = Settings::recovering(&upstream.url(), r#"preset = "graphql-transport-ws""#)
            .on_route("error_replies = true");
        if pipelines {
            settings = settings
                .pipeline("one", "select event from in into out;")
                .pipeline("two", "select event from in into out;")
                .on_route(r#"outgoing = ["one", "two"]"#)
                .on_route(r#"errors = ["one", "two"]"#);
        }
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        assert_eq!(client.ask(r#"{"type":"connection_init"}"#), r#"{"type":"connection_ack"}"#);
        let ids = (0..COUNT).map(|number| format!("s{number}"));
        for id in ids.clone() {
            client.text(&format!(
                r#"{{"id":"{id}","type":"subscribe","payload":{{"query":"subscription {{ n }}"}}}}"#
            ));
        }
        upstream.conn(0).wait_messages(COUNT + 1);
        for id in ids.clone() {
            let data = format!(r#"{{"id":"{id}","type":"next","payload":1}}"#);
            upstream.conn(0).text(&data);
            assert_eq!(client.recv_text(), data);
        }
        upstream.conn(0).die(Death::Reset);
        expect_notices(&mut client, ids.clone());
        assert_eq!(upstream.conn(1).wait_messages(COUNT + 1).len(), COUNT + 1);
        let data = r#"{"id":"s7","type":"next","payload":2}"#;
        upstream.conn(1).text(data);
        assert_eq!(client.recv_text(), data, "there is no other notice");
    }
}

/// Each channel gets its error, behind its notice if the route has error replies.
#[test]
fn each_of_many_channels_gets_its_error() {
    const COUNT: usize = 400;
    for replies in [false, true] {
        let upstream = TestUpstream::with(|conn, message| {
            let text = message.into_text().unwrap();
            let join: Value = serde_json::from_str(&text).unwrap();
            let reply = json!({ "status": "ok", "response": {} });
            conn.text(&json!([join[0], join[1], join[2], "phx_reply", reply]).to_string());
        });
        let settings = Settings::recovering(&upstream.url(), r#"preset = "phoenix-nudge""#)
            .on_route(&format!("error_replies = {replies}"));
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        for number in 0..COUNT {
            let answer = client
                .ask(&json!([number.to_string(), "1", format!("room:{number}"), "phx_join", {}]).to_string());
            assert!(answer.contains("phx_reply"), "{answer}");
        }
        upstream.conn(0).die(Death::Reset);
        let (mut errors, mut notices) = (BTreeSet::new(), 0);
        while errors.len() < COUNT || replies && notices < COUNT {
            let message = client.recv_json();
            match message.get("gap") {
                Some(_) => notices += 1,
                None => {
                    assert_eq!(message[3], "phx_error", "{message}");
                    assert!(errors.insert(message[2].to_string()), "a second error: {message}");
                }
            }
        }
        assert_eq!(notices, if replies { COUNT } else { 0 });
        client.close(1000, "");
        assert!(proxy.account("1:0").is_balanced());
    }
}
