//! Records, replays and exports.

use super::*;

/// Records what `work` does.
fn recorded(proxy: &Proxy, options: &[&str], work: impl FnOnce()) -> (tempfile::TempDir, PathBuf) {
    let (folder, file) = record_file();
    let options: Vec<_> =
        ["--record", file.to_str().unwrap()].into_iter().chain(options.iter().copied()).collect();
    let mut tap = Tap::open(proxy, &options);
    work();
    // The last session's last outcome.
    let last = proxy.scrape().sum("towline_sessions_total", &[]) - 1.0;
    tap.until_outcome(&format!("1:{last}:0"));
    let (_, errors, code) = tap.end();
    assert_eq!(code, Some(0), "{errors}");
    (folder, file)
}

#[test]
fn a_record_begins_with_a_header_and_replays_without_differences() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let (_folder, file) = recorded(&proxy, &["--payload"], || {
        let (mut first, mut second) = (proxy.client(), proxy.client());
        for number in 0..5 {
            first.ask(&format!("first {number}"));
            second.send(binary(format!("second {number}")));
            second.recv();
        }
        drop((first, second));
        proxy.client().ask("last");
    });
    let header = &lines_of(&file)[0];
    assert_eq!(
        (&header["towline_record"], &header["version"]),
        (&1.into(), &env!("CARGO_PKG_VERSION").into())
    );
    for options in [&["--speed", "fast", "--wait-replies"][..], &["--speed", "100"], &["--wait-replies"]] {
        let replayed = replay(&file, &proxy, options);
        assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
        assert_eq!(replayed.stdout, "3 sessions, 11 messages sent, 11 received, 0 differences\n");
    }
}

#[test]
fn a_replay_reports_what_differs() {
    let upstream = TestUpstream::echo();
    let other = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::json(&upstream.url())));
    let (_folder, file) = recorded(&proxy, &["--payload"], || {
        let mut client = proxy.client();
        client.ask("{\"n\":0}");
        client.ask("{\"n\":1}");
        client.ask("{\"n\":2}");
        proxy.client().ask("{\"n\":3}");
    });
    let changed = Settings::json(&other.url()).incoming(
        "select {\"n\": 7} from in where event.n == 0 into out;
         select {\"error\": \"no\", \"event_id\": \"x\"} from in where event.n == 1 into err;
         select event from in where event.n == 2 into out;",
    );
    let changed = Proxy::start(&changed);
    let replayed = replay(&file, &changed, &["--speed", "fast", "--timeout", "2s", "--json"]);
    assert_eq!(replayed.code, Some(1), "{}{}", replayed.stdout, replayed.stderr);
    let report: Value = serde_json::from_str(&replayed.stdout).unwrap();
    let differences: Vec<_> = report["differences"].as_array().unwrap().iter().collect();
    let found: Vec<_> = differences
        .iter()
        .map(|difference| (difference["event"].as_str().unwrap(), difference["difference"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [("1:0:0", "content"), ("1:0:1", "outcome"), ("1:1:0", "missing")], "{report}");
    let table = replay(&file, &changed, &["--speed", "fast", "--timeout", "2s"]);
    assert_eq!(table.code, Some(1));
    assert!(table.stdout.contains("EVENT  DIFFERENCE  RECORDED"), "{}", table.stdout);
}

#[test]
fn records_that_cannot_be_replayed_are_refused() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let ask = || _ = proxy.client().ask("{\"password\":\"x\",\"more\":\"xxxxxxxxxxxxxxxxxxxxxxxxx\"}");
    let refused = |options: &[&str], expected: &str| {
        let (_folder, file) = recorded(&proxy, options, ask);
        let replayed = replay(&file, &proxy, &[]);
        assert_eq!(replayed.code, Some(1), "{}", replayed.stdout);
        assert!(replayed.stderr.contains(expected), "{}", replayed.stderr);
    };
    refused(&[], "line 2: the message has no payload; record with towline tap --payload --record FILE");
    refused(&["--payload", "--max-payload", "30"], "the payload is truncated: 30 of 51 bytes");
    refused(&["--payload"], "values in the payload are masked; --allow-incomplete sends it as it is");
    let (_folder, file) = recorded(&proxy, &["--payload"], ask);
    let replayed = replay(&file, &proxy, &["--allow-incomplete", "--speed", "fast"]);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    let nowhere = Program::finish(
        &["replay", file.to_str().unwrap(), "--allow-incomplete", "--url", "ws://127.0.0.1:1"],
        &[],
        Path::new("."),
    );
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("cannot connect: "), "{}", nowhere.stderr);
    let wrong = Program::finish(&["replay", "x", "--url", "http://h"], &[], Path::new("."));
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn an_export_has_the_messages_of_each_session() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.har");
    let mut tap = Tap::open(&proxy, &["--har", file.to_str().unwrap()]);
    proxy.client().ask("hello");
    let mut client = proxy.client();
    client.send(binary("bytes"));
    client.recv();
    tap.until_outcome("1:1:0");
    assert_eq!(tap.end().2, Some(0));
    let har: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let messages = |entry: &Value| -> Vec<(String, u64, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let message = |message: &Value| {
            assert!(message["time"].as_f64().unwrap() > 1.7e9);
            (text(&message["type"]), message["opcode"].as_u64().unwrap(), text(&message["data"]))
        };
        entry["_webSocketMessages"].as_array().unwrap().iter().map(message).collect()
    };
    let of = |opcode, data: &str| {
        ["send", "receive"].map(|kind| (kind.to_owned(), opcode, data.to_owned())).to_vec()
    };
    assert_eq!(messages(&entries[0]), of(1, "hello"));
    assert_eq!(messages(&entries[1]), of(2, "Ynl0ZXM="));
}

/// The ids of failed events and others, in the log, in a tap, in a record and in the API.
#[test]
fn random_events_have_the_same_outcome_in_log_tap_record_and_api() {
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::json(&upstream.url())).incoming(
        "select event from in where event.kind == 0 into out;
         select event from in where event.kind == 1 into err;",
    );
    let proxy = Proxy::start_with(&settings, &[("RUST_LOG", "info,session=debug")]);
    let (_folder, file) = record_file();
    let mut recorder = Tap::open(&proxy, &["--record", file.to_str().unwrap()]);
    let mut tap = Tap::open(&proxy, &["--direction", "outcome"]);
    let mut replies = BTreeMap::new();
    for session in 0..4_u64 {
        let mut client = proxy.client();
        for number in 0..25_u64 {
            // Some events are answered, some fail, and some are dropped.
            let kind = (number * 7 + session * 3) % 5 / 2;
            client.text(&format!("{{\"kind\":{kind}}}"));
            let outcome = match kind {
                0 => {
                    client.recv_json();
                    "answered"
                }
                1 => {
                    client.recv_text();
                    "errored"
                }
                _ => "dropped",
            };
            replies.insert(format!("1:{session}:{number}"), outcome.to_owned());
        }
        drop(client);
    }
    assert_eq!(replies.len(), 100);
    let mut lines = Vec::new();
    while lines.len() < 100 {
        lines.push(tap.line());
    }
    assert_eq!(outcomes(&lines), replies);
    let mut left = 100;
    while left > 0 {
        left -= usize::from(recorder.line()["direction"] == "outcome");
    }
    recorder.end();
    assert_eq!(outcomes(&lines_of(&file)), replies);
    expect_in_api(&proxy, &replies);
    expect_in_log(&proxy, &replies);
}

/// Expects the log to have the outcome of each event at level debug, and those of each session as counts at level info.
#[track_caller]
fn expect_in_log(proxy: &Proxy, outcomes: &BTreeMap<String, String>) {
    for session in 0..4 {
        let account = proxy.account(&format!("1:{session}"));
        let id = format!("1:{session}:");
        let count = |outcome: &str| {
            outcomes.iter().filter(|(event, of)| event.starts_with(&id) && *of == outcome).count()
        };
        assert_eq!(
            (account.answered, account.errored, account.dropped),
            (count("answered"), count("errored"), count("dropped"))
        );
    }
    // The line of a session's end follows those of its events.
    let settled = proxy.log().into_iter().filter_map(|line| {
        let (_, fields) = line.split_once("event settled ")?;
        let field =
            |name: &str| Some(fields.split(' ').find_map(|field| field.strip_prefix(name))?.to_owned());
        Some((field("event=")?, field("outcome=")?))
    });
    assert_eq!(settled.collect::<BTreeMap<_, _>>(), *outcomes);
}

/// Expects the API to have the events that failed, with the same error, and no others.
#[track_caller]
fn expect_in_api(proxy: &Proxy, outcomes: &BTreeMap<String, String>) {
    let operator = Operator::new(proxy.admin());
    for (event, outcome) in outcomes {
        let reply = operator.get(&format!("/api/events/{event}"));
        if outcome == "errored" {
            let found = reply.json();
            assert_eq!((&found["id"], &found["stage"]), (&json!(event), &json!("program")), "{found}");
        } else {
            reply.expect_error(404, "has not failed");
        }
    }
}

/// The record of the demo: lines for the client, and the program's own echo server.
#[test]
fn a_record_of_the_demo_replays_without_differences() {
    let echo = EchoProcess::start();
    let settings = tapped(Settings::request(&echo.url()))
        .with(r#"listener.ws.codec = "string""#)
        .with(r#"listener.ws.preprocessors = ["lines"]"#)
        .with(r#"upstream.echo.codec = "string""#)
        .with(r#"upstream.echo.postprocessors = ["lines"]"#);
    let proxy = Proxy::start(&settings);
    let (_folder, file) = recorded(&proxy, &["--payload"], || {
        let mut client = proxy.client();
        client.text("hello\nsnot\n");
        assert_eq!((client.recv_text(), client.recv_text()), ("hello".into(), "badger".into()));
        proxy.client().ask("snot\n");
    });
    let replayed = replay(&file, &proxy, &["--wait-replies"]);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(replayed.stdout, "2 sessions, 2 messages sent, 3 received, 0 differences\n");
}
