//! Tests of the end of a session's lifetime: `max_session_age`.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use crate::harness::*;

/// Sends messages with the time of sending, in nanoseconds since `begun`, until the connection takes no more.
fn pump(client: &mut Client, begun: Instant) -> thread::JoinHandle<()> {
    let mut socket = client.sender();
    thread::spawn(move || {
        loop {
            let text = begun.elapsed().as_nanos().to_string();
            if socket.write_all(&Frame::client(TEXT, &text).bytes()).is_err() {
                return;
            }
            thread::yield_now();
        }
    })
}

/// The times at which the messages of a connection were sent.
fn sent(conn: &Conn) -> Vec<Duration> {
    conn.texts().iter().map(|text| Duration::from_nanos(text.parse().unwrap())).collect()
}

#[test]
fn a_session_is_closed_at_its_age() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .on_route(r#"max_session_age = "4s""#)
        .on_route("max_session_age_jitter = 50");
    let proxy = Proxy::start(&settings);
    let sessions: Vec<_> = (0..20)
        .map(|_| {
            let opening = Opening::new(proxy.addr());
            thread::spawn(move || {
                let begun = Instant::now();
                let mut client = opening.open();
                let opened = Instant::now();
                assert_eq!(client.ask("hello"), "hello");
                let reason = client.expect_closed(1001);
                (begun.elapsed(), opened.elapsed(), reason)
            })
        })
        .collect();
    for session in sessions {
        let (longest, shortest, reason) = session.join().unwrap();
        assert_eq!(reason, "maximum session age reached");
        assert!(longest >= Duration::from_secs(2), "closed before its age: {longest:?}");
        assert!(shortest <= Duration::from_secs(4) + PATIENCE, "{shortest:?}");
    }
    let end = End::Close(1001, "maximum session age reached".to_owned());
    assert_eq!(upstream.conn(0).wait_end(), end);
    proxy.wait_log("session closed session=1:0 code=1001 side=proxy reason=\"maximum session age reached\"");
}

#[test]
fn without_a_maximum_age_a_session_stays() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .on_route(r#"path = "/short""#)
        .on_route(r#"max_session_age = "100ms""#)
        .route(&[r#"upstream = "echo""#]);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    Opening::new(proxy.addr()).path("/short").open().expect_closed(1001);
    assert_eq!(client.ask("hello"), "hello");
}

/// Sessions that send without a pause when they end. What was sent after the end is not read, and each message that was
/// accepted has its outcome.
#[test]
fn no_message_that_is_sent_after_the_end_reaches_the_upstream() {
    const AGE: Duration = Duration::from_secs(1);
    for settings in [Settings::stream, Settings::request] {
        let upstream = TestUpstream::echo();
        let settings = settings(&upstream.url())
            .on_route(r#"max_session_age = "1s""#)
            .on_route("max_session_age_jitter = 0");
        let proxy = Proxy::start(&settings);
        let begun = Instant::now();
        for number in 0..10 {
            let mut client = proxy.client();
            // The lifetime begins before the first reply.
            client.ask("0");
            let end = begun.elapsed() + AGE;
            let pump = pump(&mut client, begun);
            let (_, code, _) = client.read_to_end();
            drop(client);
            pump.join().unwrap();
            assert!(matches!(code, Some(1001) | None), "{code:?}");
            let conn = upstream.conn(number);
            conn.wait_end();
            let sent = sent(&conn);
            assert!(sent.len() > 1, "the client sends");
            assert!(sent.iter().all(|sent| *sent < end), "{:?} after {end:?}", sent.last());
            let account = proxy.account(&format!("1:{number}"));
            assert!(account.is_balanced() && account.unsettled == 0, "{account:?}");
        }
    }
}

#[test]
fn an_event_in_flight_at_the_end_has_its_outcome() {
    let upstream = TestUpstream::silent();
    let settings = |settings: Settings| settings.on_route(r#"max_session_age = "1s""#);
    let proxy = Proxy::start(&settings(Settings::request(&upstream.url())));
    let mut client = proxy.client();
    client.text("question");
    let error = format!("Error receiving reply from server {}: Connection is closing", upstream.url());
    assert_eq!(client.recv_error(), (error, "1:0:0".to_owned()));
    client.expect_closed(1001);

    let plain = settings(Settings::plain(&upstream.url())).with(r#"upstream.echo.exchange = "request""#);
    let proxy = Proxy::start(&plain.on_route("error_replies = false"));
    let mut client = proxy.client();
    client.text("question");
    assert_eq!(client.expect_closed(1001), "maximum session age reached; first lost event 1:0:0");
    let account = proxy.account("1:0");
    assert!(account.is_balanced() && account.errored == 1, "{account:?}");
}
