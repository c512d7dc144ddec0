//! Connections that are replaced: old ones, and those of an endpoint that closes them or has too many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::load::*;
use crate::harness::*;

#[test]
fn an_old_connection_is_replaced_without_a_gap() {
    for settings in modes("ws://unused") {
        let upstream = TestUpstream::echo();
        let settings = settings.endpoints(&format!("[{:?}]", upstream.url()));
        let settings = settings.with(r#"upstream.echo.max_age = "300ms""#);
        let proxy = Proxy::start(&settings);
        let load = Load::start(&proxy, 4, Duration::from_millis(2));
        // On a busy machine, a session may stay at times, and its other connection is closed.
        let line = "session moved session=1:* upstream=echo from=*cause=age generation=";
        wait_for("each session to move a few times", PATIENCE, || proxy.count_log(line) >= 16);
        let sent = load.stop();
        assert!(sent > 100, "{sent}");
        wait_for("all to end", PATIENCE, || upstream.live() == 0);
        assert_eq!(upstream.received(), sent, "nothing is sent twice");
        // A dial for a move that the end of its session has overtaken may end in any way.
        let conns = (0..upstream.connections()).map(|index| upstream.conn(index));
        let closed: Vec<_> =
            conns.filter(|conn| !conn.messages().is_empty()).map(|conn| conn.wait_end()).collect();
        let moved = closed.iter().filter(|end| matches!(end, End::Close(1001, _))).count();
        assert!(closed.iter().all(|end| matches!(end, End::Close(1000 | 1001, _))), "{closed:?}");
        // On a busy machine, a connection may be too old before it has carried a message.
        assert!(moved >= 8, "{moved}");
    }
}

/// An upstream that cuts each connection at an age, as providers do.
struct Cutting {
    upstream: Arc<TestUpstream>,
    enough: Arc<AtomicBool>,
    cutter: JoinHandle<usize>,
}

impl Cutting {
    fn start(age: Duration) -> Self {
        let (upstream, enough) = (Arc::new(TestUpstream::echo()), Arc::new(AtomicBool::new(false)));
        let (server, over) = (Arc::clone(&upstream), Arc::clone(&enough));
        let cutter = std::thread::spawn(move || {
            let (mut seen, mut cut) = (Vec::new(), 0);
            while !over.load(SeqCst) {
                let now = Instant::now();
                seen.extend((seen.len()..server.connections()).map(|index| (now, server.conn(index))));
                for (since, conn) in &seen {
                    if since.elapsed() >= age && since.elapsed() < age + age / 2 && conn.end().is_none() {
                        conn.die(Death::Close(1001, "connection too old"));
                        cut += 1;
                    }
                }
                pause(Duration::from_millis(10));
            }
            cut
        });
        Self { upstream, enough, cutter }
    }

    /// Returns how many connections were cut.
    fn stop(self) -> usize {
        self.enough.store(true, SeqCst);
        self.cutter.join().unwrap()
    }
}

#[test]
fn clients_do_not_notice_an_upstream_that_cuts_each_connection_at_an_age() {
    let seconds = from_env("TOWLINE_TEST_MOVES_SECONDS", 10);
    for settings in modes("ws://unused") {
        let cutting = Cutting::start(Duration::from_secs(8));
        let settings = settings.endpoints(&format!("[{:?}]", cutting.upstream.url()));
        let proxy = Proxy::start(&settings.with(r#"upstream.echo.max_age = "4s""#));
        let load = Load::start(&proxy, 100, Duration::from_millis(100));
        pause(Duration::from_secs(seconds));
        let sent = load.stop();
        let connections = cutting.upstream.connections();
        println!(
            "100 clients, {seconds} s: {sent} messages answered in order, {connections} connections, {}",
            pauses(&proxy)
        );
        assert_eq!(cutting.upstream.received(), sent);
        assert!(connections as u64 >= 100 * (seconds / 8), "{connections}");
        // On a busy machine a move may begin late. Its client has not noticed that either.
        let cut = cutting.stop();
        assert!(
            cut * 100 <= connections,
            "{cut} of {connections} connections were cut before their sessions moved"
        );
    }
}

#[test]
fn a_session_that_does_not_become_quiet_stays_and_moves_later() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.max_age = "1s""#)
        .with(r#"upstream.echo.move.grace = "500ms""#);
    let proxy = Proxy::start_with(&settings, &[("RUST_LOG", "debug")]);
    let mut client = proxy.client();
    client.text("0");
    let first = upstream.conn(0);
    first.wait_messages(1);
    // The second connection is the one to move to.
    upstream.conn(1);
    for count in 1..5 {
        client.text(&count.to_string());
    }
    proxy.wait_log("session stays session=1:0 reason=");
    assert_eq!(upstream.conn(1).wait_end(), End::Close(1001, String::new()));
    first.wait_messages(5);
    assert_eq!(first.texts(), ["0", "1", "2", "3", "4"], "in order, on the connection that it has");
    for count in 0..5 {
        first.text(&format!("answer {count}"));
        assert_eq!(client.recv_text(), format!("answer {count}"));
    }
    proxy.wait_log("session moved session=1:0 upstream=echo from=*to=*cause=age");
    assert_eq!(first.wait_end(), End::Close(1001, "session moves to another connection".to_owned()));
    client.text("5");
    // The session may have stayed several times.
    let later =
        || (2..upstream.connections()).flat_map(|index| upstream.conn(index).texts()).collect::<Vec<_>>();
    wait_for("the next message", PATIENCE, || later() == ["5"]);
}

#[test]
fn a_session_stays_while_no_endpoint_takes_it() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.max_age = "200ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    upstream.conn(0);
    upstream.set_answer(Answer::Refuse(503));
    wait_for("two attempts to move", PATIENCE, || {
        assert_eq!(client.ask("hello"), "hello");
        upstream.handshakes() >= 3
    });
    upstream.set_answer(Answer::Accept);
    wait_for("the session to move", PATIENCE, || {
        assert_eq!(client.ask("hello"), "hello");
        upstream.connections() >= 2
    });
    assert_eq!(
        upstream.conn(0).wait_end(),
        End::Close(1001, "session moves to another connection".to_owned())
    );
}

#[test]
fn the_connection_dialed_for_a_move_is_used_at_once_if_the_other_one_is_lost() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.max_age = "200ms""#)
        .with(r#"upstream.echo.move.grace = "60s""#)
        .with(r#"upstream.echo.restart = { min = "1h", max = "1h" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("lost");
    let first = upstream.conn(0);
    first.wait_messages(1);
    let second = upstream.conn(1);
    // Until the proxy has read the answer to the handshake, messages go to the first connection.
    wait_for("quiet", PATIENCE, || proxy.is_quiet());
    client.text("kept");
    first.die(Death::Reset);
    assert!(client.recv_error().0.starts_with("Error receiving reply"));
    second.wait_messages(1);
    second.text("answer");
    assert_eq!(client.recv_text(), "answer");
    assert_eq!(second.texts(), ["kept"]);
}

#[test]
fn a_connection_that_an_endpoint_closes_to_restart_is_replaced_by_one_elsewhere_at_once() {
    for code in [1001, 1012] {
        let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
        let settings = Settings::request("ws://unused")
            .endpoints(&format!("[{:?}, {:?}]", one.url(), two.url()))
            .with(r#"upstream.echo.restart = { min = "1h", max = "1h" }"#);
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
        assert_eq!((one.live(), two.live()), (5, 5));
        one.kill_all(Death::Close(code, "restarting"));
        wait_for("all to be at the other endpoint", PATIENCE, || two.live() == 10);
        wait_for("all to be attached", PATIENCE, || proxy.count_log("connector up session=") == 15);
        clients.iter_mut().for_each(|client| assert_eq!(client.ask("hello"), "hello"));
        assert_eq!(proxy.count_log("connector restart session=*attempt=1 delay=0ms"), 5);
    }
}

/// Servers that answer and then close, one after the other, are not dialed without backoff.
#[test]
fn a_second_connection_that_is_closed_to_restart_is_replaced_after_the_usual_delay() {
    let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
    let settings = Settings::request("ws://unused")
        .endpoints(&format!("[{:?}, {:?}]", one.url(), two.url()))
        .with(r#"upstream.echo.restart = { min = "1h", max = "1h" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    let (first, second) = if one.live() == 1 { (&one, &two) } else { (&two, &one) };
    first.kill_all(Death::Close(1001, "restarting"));
    wait_for("the session to be at the other endpoint", PATIENCE, || second.live() == 1);
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello"), "hello");
    second.kill_all(Death::Close(1001, "restarting"));
    proxy.wait_log("connector restart session=*attempt=1 delay=3600000ms");
    assert_eq!(proxy.count_log("connector restart session=*attempt=1 delay=0ms"), 1);
}

#[test]
fn an_overloaded_endpoint_gives_sessions_to_one_that_is_added() {
    for settings in modes("ws://unused") {
        let [one, two] = [TestUpstream::echo(), TestUpstream::stopped(|conn, message| conn.send(message))];
        let settings = settings
            .endpoints(&format!("[{:?}, {:?}]", one.url(), two.url()))
            .with("upstream.echo.rebalance = { min_sessions = 5, max_share = 110 }");
        let proxy = Proxy::start(&settings).expect_restarts();
        let load = Load::start(&proxy, 20, Duration::from_millis(20));
        wait_for("all to be at one endpoint", PATIENCE, || one.live() == 20);
        two.start();
        // 11 are not above both thresholds.
        let is_even = || two.live() >= 9 && one.live() + two.live() == 20;
        wait_for("the endpoints to have about the same number", PATIENCE, is_even);
        // A line is written after the connection is there. The lines are counted while all clients are there: as they
        // close one by one, an endpoint that loses its sessions last gives some of them to the other again.
        let moved = || proxy.count_log("session moved session=*cause=rebalance");
        wait_for("the moves to be logged", PATIENCE, || (9..=10).contains(&moved()));
        let sent = load.stop();
        assert_eq!(one.received() + two.received(), sent);
    }
}

#[test]
fn a_recovered_session_moves_with_its_subscriptions_once_its_requests_are_answered() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), r#"preset = "json-rpc""#);
    let proxy = Proxy::start(&settings.with(r#"upstream.echo.max_age = "2s""#));
    let mut client = proxy.client();
    let answer = |id: &str, result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{result}"}}"#);
    let head = |id: &str| format!(r#"{{"method":"eth_subscription","params":{{"subscription":"{id}"}}}}"#);
    let first = upstream.conn(0);
    client.text(r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#);
    first.wait_messages(1);
    first.text(&answer("1", "0xa"));
    assert_eq!(client.recv_text(), answer("1", "0xa"));
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"eth_call","params":[]}"#;
    client.text(call);
    first.wait_messages(2);
    let second = upstream.conn(1);
    first.text(&head("0xa"));
    first.text(&answer("2", "0x7"));
    assert_eq!((client.recv_text(), client.recv_text()), (head("0xa"), answer("2", "0x7")));
    assert_eq!(first.wait_end(), End::Close(1001, "session moves to another connection".to_owned()));
    second.wait_messages(1);
    let replayed: Value = serde_json::from_str(&second.texts()[0]).unwrap();
    assert_eq!(replayed["method"], "eth_subscribe");
    client.text(&call.replace("\"id\":2", "\"id\":3"));
    second.text(&answer(&replayed["id"].to_string(), "0xb"));
    second.text(&head("0xb"));
    assert_eq!(client.recv_text(), head("0xa"), "the id that the client has");
    second.wait_messages(2);
    second.text(&answer("3", "0x8"));
    assert_eq!(client.recv_text(), answer("3", "0x8"));
}

#[test]
fn every_message_has_one_outcome_while_connections_move_and_die() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.max_age = "100ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (mut client, enough) = (proxy.client(), Arc::clone(&enough));
            std::thread::spawn(move || {
                let (mut answered, mut errored) = (0, 0);
                while !enough.load(SeqCst) || answered <= 50 {
                    // Three at a time, so that some wait while others are in flight.
                    let texts = [0, 1, 2].map(|more| format!("{number} {}", answered + errored + more));
                    texts.iter().for_each(|text| client.text(text));
                    for text in &texts {
                        let outcome = client.recv_text();
                        if outcome == *text {
                            answered += 1;
                            continue;
                        }
                        let error: Value = serde_json::from_str(&outcome).expect(&outcome);
                        let event = format!("1:{number}:{}", answered + errored);
                        assert_eq!(error["event_id"], event, "in order: {outcome}");
                        errored += 1;
                    }
                }
                (answered, errored)
            })
        })
        .collect();
    wait_for("all to be connected", PATIENCE, || upstream.connections() >= 6);
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..30 {
        pause(Duration::from_millis(random.random_range(10..120)));
        let open: Vec<_> = (0..upstream.connections()).map(|index| upstream.conn(index)).collect();
        let open: Vec<_> = open.iter().filter(|conn| conn.end().is_none()).collect();
        if let Some(conn) = open.get(random.random_range(0..open.len().max(1))) {
            conn.die([Death::Reset, Death::Fin, Death::MidFrame][random.random_range(0..3)]);
        }
    }
    wait_for("the moves", PATIENCE, || proxy.count_log("session moved session=") >= 30);
    enough.store(true, SeqCst);
    let outcomes: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    println!("answered and errored: {outcomes:?}; {}", pauses(&proxy));
}

#[test]
fn a_client_learns_of_a_move_where_the_settings_want_a_notice() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.max_age = "1s""#)
        .with("upstream.echo.recovery.notice = true");
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    for generation in [2, 3] {
        let notice = client.recv_json();
        assert_eq!(notice["gap"]["generation"], generation, "{notice}");
        assert_eq!(notice["gap"]["last_event"], "1:0:0", "{notice}");
    }
}

#[test]
fn a_client_may_leave_while_its_session_moves() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.max_age = "100ms""#)
        .with(r#"upstream.echo.move.grace = "60s""#);
    let proxy = Proxy::start(&settings);
    let before = proxy.descriptors_at_rest();
    for leaves in [true, false] {
        let mut clients: Vec<_> = (0..5).map(|_| proxy.client()).collect();
        let first = upstream.connections();
        clients.iter_mut().for_each(|client| client.text("unanswered"));
        wait_for("the second connections", PATIENCE, || upstream.connections() >= first + 5);
        for mut client in clients {
            if leaves {
                client.vanish();
            } else {
                client.close(1000, "");
                client.read_to_end();
            }
        }
        proxy.wait_idle(before);
        wait_for("the upstream's connections to end", PATIENCE, || upstream.live() == 0);
    }
}
