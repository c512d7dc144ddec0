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

/// Without a pace, all sessions would dial within their delays, which are a tenth of a second.
#[test]
fn a_server_that_events_name_is_dialed_at_the_pace_of_restarts_when_it_comes_back() {
    const SESSIONS: usize = 200;
    const RATE: f64 = 50.0;
    /// Dials whose turn came before the server was back, and that a busy machine has begun later.
    const BURST: f64 = RATE / 2.0;
    let (own, named) = (TestUpstream::echo(), TestUpstream::echo());
    let restart = "{ min = \"20ms\", max = \"100ms\", max_restarts = 100000, rate = 50 }";
    let settings = settings(&own, &named).with(&format!("upstream.echo.restart = {restart}"));
    let proxy =
        Proxy::start(&settings.with("upstream.echo.connect_timeout = \"1m\"")).expect("connector lost");
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!((own.live(), named.live()), (0, SESSIONS), "each program chooses for each event");
    let is_back = Arc::new(AtomicBool::new(false));
    named.stop(Death::Reset);
    let run = |mut client: Client| {
        let is_back = Arc::clone(&is_back);
        thread::spawn(move || ask_until_answered(&mut client, &is_back))
    };
    let threads: Vec<_> = clients.into_iter().map(run).collect();
    wait_for("all to be lost", PATIENCE, || proxy.count_log("connector lost") >= SESSIONS);
    let (before, begun) = (named.handshakes(), Instant::now());
    named.start();
    is_back.store(true, SeqCst);
    let mut most: f64 = 0.0;
    wait_for("all to be answered", PATIENCE, || {
        let dials = (named.handshakes() - before) as f64;
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
        .with("upstream.echo.connect_timeout = \"300ms\"");
    let proxy = Proxy::start(&settings).expect("connector lost");
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    assert!(clients[..2].iter_mut().all(|client| client.ask("hello") == "hello"));
    clients[2].text("too many");
    let (error, _) = clients[2].recv_error();
    assert!(error.contains("no connection within 300ms"), "{error}");
    assert!(clients[..2].iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(named.handshakes(), 2);
    // The end of a session makes room, for a message that waits too.
    clients[0].close(1000, "");
    clients[0].expect_closed(1000);
    ask_until_answered(&mut clients[2], &AtomicBool::new(true));
    assert_eq!((named.handshakes(), named.live()), (3, 2));
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
