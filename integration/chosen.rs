//! Servers that events name by `$url`: the pace of dials to them, and their limits (C7).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::harness::*;

/// Settings in request mode whose program sends each event to `named`, another server than the upstream's own.
fn settings(own: &TestUpstream, named: &TestUpstream) -> Settings {
    Settings::request(&own.url()).with(&format!("upstream.echo.allow_urls = [{:?}]", named.url())).incoming(
        &format!(
            "define script choose script let $url = {:?}; event end; create script choose; \
             select event from in into choose; select event from choose into out;",
            named.url()
        ),
    )
}

/// Asks ten times a second until there is an answer after the outage.
fn ask_until_answered(client: &mut Client, is_back: &AtomicBool) {
    loop {
        let was_back = is_back.load(SeqCst);
        if client.ask("hello") == "hello" && was_back {
            return;
        }
        pause(Duration::from_millis(100));
    }
}

/// Asks ten times a second until the answer is an echo.
fn ask_until(client: &mut Client, text: &str) {
    while client.ask(text) != text {
        pause(Duration::from_millis(100));
    }
}

/// Without a pace, all sessions would dial within their delays, which are a tenth of a second.
#[test]
fn a_server_that_events_name_is_dialed_at_the_pace_of_restarts_when_it_comes_back() {
    let (own, named) = (TestUpstream::echo(), TestUpstream::echo());
    come_back(&settings(&own, &named), &named);
    assert_eq!(own.handshakes(), 0, "each program chooses for each event");
}

/// All sessions find that the endpoint is up at the same moment, because a probe has found out for them.
#[test]
fn the_own_url_that_events_name_is_dialed_at_the_pace_of_restarts_when_it_comes_back() {
    let own = TestUpstream::echo();
    come_back(&settings(&own, &own), &own);
}

/// Ends a server to which the sessions of these settings connect, starts it again, and measures the pace of the dials.
fn come_back(settings: &Settings, server: &TestUpstream) {
    const SESSIONS: usize = 200;
    const RATE: f64 = 50.0;
    /// Dials whose turn came before the server was back, and that a busy machine has begun later. At twice the pace, a
    /// hundred dials would be ahead of it in the end.
    const BURST: f64 = RATE * 1.5;
    let restart = "{ min = \"20ms\", max = \"100ms\", max_restarts = 100000, rate = 50 }";
    let settings = settings.clone().with(&format!("upstream.echo.restart = {restart}"));
    let settings = settings.with("upstream.echo.connect_timeout = \"1m\"");
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector lost");
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(server.live(), SESSIONS);
    let is_back = Arc::new(AtomicBool::new(false));
    server.stop(Death::Reset);
    let run = |mut client: Client| {
        let is_back = Arc::clone(&is_back);
        thread::spawn(move || ask_until_answered(&mut client, &is_back))
    };
    let threads: Vec<_> = clients.into_iter().map(run).collect();
    wait_for("all to be lost", PATIENCE, || proxy.count_log("connector lost") >= SESSIONS);
    let (before, begun) = (server.handshakes(), Instant::now());
    server.start();
    is_back.store(true, SeqCst);
    let mut most: f64 = 0.0;
    wait_for("all to be answered", PATIENCE, || {
        let dials = (server.handshakes() - before) as f64;
        most = most.max(dials - RATE * begun.elapsed().as_secs_f64());
        threads.iter().all(thread::JoinHandle::is_finished)
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{SESSIONS} sessions after {:?}, at most {most:.0} dials ahead of the pace", begun.elapsed());
    assert!(most <= BURST, "{most} dials more than the pace allows");
}

#[test]
fn a_server_that_events_name_has_the_limits_of_an_endpoint() {
    let (own, named) = (TestUpstream::echo(), TestUpstream::echo());
    let settings = settings(&own, &named)
        .with("upstream.echo.breaker.sessions = 2")
        .with("upstream.echo.connect_timeout = \"1s\"");
    let proxy = Proxy::start(&settings).expect("connector lost");
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    assert!(clients[..2].iter_mut().all(|client| client.ask("hello") == "hello"));
    clients[2].text("too many");
    let (error, _) = clients[2].recv_error();
    assert!(error.contains("no connection within 1s"), "{error}");
    assert!(clients[..2].iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(named.handshakes(), 2);
    // The end of a session makes room, for a message that waits too.
    clients[0].close(1000, "");
    clients[0].expect_closed(1000);
    ask_until_answered(&mut clients[2], &AtomicBool::new(true));
    assert_eq!(named.handshakes(), 3);
    // The proxy waits for the server's part of the closing handshake, but not the next session.
    wait_for("the end of the first session", PATIENCE, || named.live() == 2);
}

#[test]
fn a_message_waits_for_room_at_the_server_that_it_names() {
    let (own, named) = (TestUpstream::echo(), TestUpstream::echo());
    let proxy = Proxy::start(&settings(&own, &named).with("upstream.echo.breaker.sessions = 1"));
    let (mut first, mut second) = (proxy.client(), proxy.client());
    assert_eq!(first.ask("hello"), "hello");
    second.text("waits");
    assert_eq!(first.ask("hello"), "hello");
    first.close(1000, "");
    first.expect_closed(1000);
    assert_eq!(second.recv_text(), "waits");
    assert_eq!(named.handshakes(), 2);
}

/// While a reconnect waits for room at one server, the session's reconnect to another one keeps its turn.
#[test]
fn a_server_without_room_does_not_hold_up_the_reconnect_to_another_one() {
    let (full, other) = (TestUpstream::echo(), TestUpstream::echo());
    let own = TestUpstream::echo();
    let settings = Settings::json(&own.url())
        .with("upstream.echo.correlation = \"id\"")
        .with(&format!("upstream.echo.allow_urls = [{:?}, {:?}]", full.url(), other.url()))
        .with("upstream.echo.restart = { min = \"10ms\", max = \"10ms\", max_restarts = 1000 }")
        .with("upstream.echo.connect_timeout = \"10m\"")
        .with("upstream.echo.reply_timeout = \"10m\"")
        .with("upstream.echo.breaker.sessions = 1")
        .incoming(
            "define script choose script let $url = event.url; event end; create script choose; \
             select event from in into choose; select event from choose into out;",
        );
    let proxy = Proxy::start(&settings).expect("connector lost");
    let event = |id: u32, server: &TestUpstream| json!({ "id": id, "url": server.url() }).to_string();
    let (mut first, mut second) = (proxy.client(), proxy.client());
    for (server, losses) in [(&full, 1), (&other, 2), (&other, 3)] {
        // An answer shows that the pauses after the earlier losses are over.
        ask_until(&mut first, &event(losses, server));
        server.kill_all(Death::Reset);
        wait_for("the loss", PATIENCE, || proxy.count_log("connector lost") == losses as usize);
    }
    assert_eq!(second.ask(&event(1, &full)), event(1, &full), "the only session that the server takes");
    first.text(&event(4, &full));
    ask_until(&mut first, &event(5, &other));
    second.close(1000, "");
    second.expect_closed(1000);
    assert_eq!(first.recv_text(), event(4, &full));
}
