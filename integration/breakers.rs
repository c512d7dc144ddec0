//! How much one endpoint takes, and what sessions do that wait for it.

use std::time::{Duration, Instant};

use crate::harness::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_endpoint_gets_no_more_dials_per_second_than_its_rate() {
    const RATE: usize = 40;
    const SESSIONS: usize = 60;
    /// A tenth of a second's handshakes at once, and one more.
    const BURST: usize = RATE / 10 + 1;
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(&format!("upstream.echo.breaker.rate = {RATE}"));
    let proxy = Proxy::start(&settings).expect_restarts();
    let (mut seen, start) = (Vec::new(), Instant::now());
    let mut clients: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let client = proxy.client();
            seen.push((upstream.handshakes(), start.elapsed()));
            client
        })
        .collect();
    assert_paced(&seen, RATE, BURST);
    upstream.stop(Death::Reset);
    proxy.wait_log("endpoint down upstream=echo");
    let (before, mut seen, start) = (upstream.handshakes(), Vec::new(), Instant::now());
    upstream.start();
    wait_for("all to be back", PATIENCE, || {
        seen.push((upstream.handshakes() - before, start.elapsed()));
        upstream.live() == SESSIONS
    });
    println!("{SESSIONS} sessions after {:?}", start.elapsed());
    assert_paced(&seen, RATE, BURST);
    assert!(start.elapsed() >= SECOND, "60 sessions at 40 a second");
    // The upstream has the last connection before the proxy.
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| client.ask("hello") == "hello"));
}

#[test]
fn a_session_that_waits_for_room_gets_the_place_of_one_that_ends() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with("upstream.echo.breaker.sessions = 1")
        .with(r#"upstream.echo.connect_timeout = "1s""#)
        .with(r#"upstream.echo.restart = { min = "1s", max = "60s" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let first = proxy.client();
    let mut second = proxy.client();
    // The first attempt waits for `connect_timeout`; those after it fail at once.
    proxy.wait_log(
        "connector restart session=1:1 upstream=echo attempt=1 *reason=\"no connection within 1s\"",
    );
    let line =
        "connector restart session=1:1 upstream=echo attempt=2 *no endpoint takes another connection now";
    proxy.wait_log(line);
    second.text("too early");
    let (error, _) = second.recv_error();
    assert!(error.ends_with("no endpoint takes another connection now"), "{error}");
    drop(first);
    proxy.wait_ups_of("1:1", 1);
    assert_eq!(second.ask("hello"), "hello");
    assert_eq!(upstream.handshakes(), 2);
    assert!(proxy.count_log("connector restart session=1:1") <= 4, "no session asks again and again");
}

#[test]
fn an_attempt_takes_no_longer_than_connect_timeout_however_many_endpoints_hang() {
    let hanging: Vec<_> = (0..3).map(|_| TestUpstream::echo()).collect();
    hanging.iter().for_each(|upstream| upstream.set_answer(Answer::Silent));
    let urls: Vec<_> = hanging.iter().map(TestUpstream::url).collect();
    let settings = Settings::plain("ws://unused")
        .endpoints(&format!("{urls:?}"))
        .with(r#"upstream.echo.connect_timeout = "2s""#)
        .on_route(r#"dial_before_accept = "5s""#)
        .on_route(r#"on_upstream_loss = "close""#);
    let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint");
    let start = Instant::now();
    // With `connect_timeout` for each endpoint, the attempt would take 6 s, and the client would be accepted before.
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 504);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    wait_for("each to be tried", PATIENCE, || {
        hanging.iter().map(TestUpstream::handshakes).sum::<usize>() == hanging.len()
    });
}
