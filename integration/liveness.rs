//! Tests of peers that are silent, idle, or do not read: they are found in time, on both sides (guarantee
//! C8).

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::harness::*;

/// An upstream that stops reading at its first message until the gate opens. Until then it answers no pings.
fn stuck() -> (TestUpstream, Arc<Latch>) {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    (TestUpstream::with(move |_, _| wait.wait()), latch)
}

/// The settings with additional lines.
fn with(settings: Settings, lines: &[&str]) -> Settings {
    lines.iter().fold(settings, |settings, line| settings.with(line))
}

/// Number of bytes that is more than the loopback sockets on both sides of the proxy hold.
const MUCH: usize = 64 << 20;

/// Number of file descriptors of the proxy after its first session has ended.
#[track_caller]
fn at_rest(proxy: &Proxy, upstream: &TestUpstream) -> usize {
    let mut client = proxy.client();
    client.ping(b"");
    let during = proxy.descriptors();
    client.close(1000, "");
    client.expect_closed(1000);
    wait_for("the end of the first session", PATIENCE, || {
        upstream.live() == 0 && proxy.descriptors() < during
    });
    wait_for("quiet", PATIENCE, || proxy.is_quiet());
    proxy.descriptors()
}

/// Waits until no session, no connection and no file descriptor beyond `before` is left.
#[track_caller]
fn expect_nothing_left(proxy: &Proxy, upstream: &TestUpstream, before: usize) {
    wait_for("descriptors to be closed", PATIENCE, || proxy.descriptors() <= before);
    wait_for("the end of all connections", PATIENCE, || upstream.live() == 0);
}

#[test]
fn a_silent_client_is_pinged_and_then_closed() {
    let upstream = TestUpstream::echo();
    let settings = with(
        Settings::stream(&upstream.url()),
        &[r#"listener.ws.ping_interval = "200ms""#, r#"listener.ws.ping_timeout = "1s""#],
    );
    let proxy = Proxy::start(&settings);
    let before = at_rest(&proxy, &upstream);
    let mut raw = Raw::upgraded(proxy.addr());
    let ping = raw.frame().expect("a ping");
    assert_eq!((ping.opcode, ping.payload.len()), (PING, 0));
    raw.expect_closed(1011);
    drop(raw);
    let reason = "no answer to a ping within 1s";
    proxy.wait_log(&format!("session closed session=1:1 code=1011 side=proxy reason=\"{reason}\""));
    assert_eq!(upstream.conn(1).wait_end(), End::Close(1011, reason.to_owned()));
    expect_nothing_left(&proxy, &upstream, before);
}

#[test]
fn a_client_that_answers_pings_stays_connected() {
    let upstream = TestUpstream::echo();
    let settings = with(
        Settings::stream(&upstream.url()),
        &[r#"listener.ws.ping_interval = "100ms""#, r#"listener.ws.ping_timeout = "10s""#],
    );
    let proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    for _ in 0..5 {
        assert_eq!(raw.frame().expect("a ping").opcode, PING);
        raw.send(&Frame::client(PONG, b""));
    }
    raw.send(&Frame::client(TEXT, b"still here"));
    let frame = std::iter::repeat_with(|| raw.frame().expect("a frame")).find(|frame| frame.opcode != PING);
    assert_eq!(frame.unwrap().payload, b"still here");
}

#[test]
fn a_silent_upstream_is_pinged_and_then_replaced() {
    let (upstream, latch) = stuck();
    let settings = with(
        Settings::request(&upstream.url()),
        &[r#"upstream.echo.ping_interval = "200ms""#, r#"upstream.echo.ping_timeout = "1s""#],
    );
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("never answered");
    let (error, id) = client.recv_error();
    assert_eq!(id, "1:0:0");
    assert!(error.ends_with("no answer to a ping within 1s"), "{error}");
    upstream.set(|conn, message| conn.send(message));
    proxy.wait_ups(2);
    assert_eq!(client.ask("answered"), "answered");
    latch.open();
}

#[test]
fn an_upstream_that_answers_pings_stays_connected() {
    let upstream = TestUpstream::echo();
    let settings = with(
        Settings::stream(&upstream.url()),
        &[r#"upstream.echo.ping_interval = "100ms""#, r#"upstream.echo.ping_timeout = "5s""#],
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    wait_for("some pings", PATIENCE, || upstream.conn(0).pings() >= 3);
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_its_memory_freed() {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url()).with(r#"listener.ws.slow_consumer_timeout = "300ms""#);
    let proxy = Proxy::start(&settings);
    let before = at_rest(&proxy, &upstream);
    let stalled = Raw::upgraded(proxy.addr());
    let conn = upstream.conn(1);
    conn.flood(50_000, MUCH);
    let reason = "nothing read within 300ms";
    proxy.wait_log(&format!("session closed session=1:1 code=1013 side=proxy reason=\"{reason}\""));
    // The upstream gets a close frame.
    assert!(matches!(conn.wait_end(), End::Close(1013, _) | End::Broken(_)));
    expect_nothing_left(&proxy, &upstream, before);
    drop(stalled);
}

#[test]
fn an_upstream_that_does_not_read_is_replaced_and_its_events_fail() {
    const EVENTS: usize = 600;
    let (upstream, latch) = stuck();
    let settings = Settings::stream(&upstream.url()).with(r#"upstream.echo.slow_consumer_timeout = "300ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        let frame = Frame::client(TEXT, "x".repeat(100_000)).bytes();
        (0..EVENTS).for_each(|_| sender.write_all(&frame).unwrap());
        sender
    });
    let (notice, last) = client.recv_error();
    assert!(notice.starts_with("Error receiving reply from server"), "{notice}");
    assert!(notice.ends_with("not read within 300ms"), "{notice}");
    let number = |id: &str| id.strip_prefix("1:0:").unwrap().parse::<usize>().unwrap();
    let last = number(&last);
    assert_eq!(number(&client.recv_error().1), last + 1);
    upstream.set(|_, _| {});
    latch.open();
    // The other events fail until a new connection is up, and are sent on that one. On a slow machine the new
    // connection may stall as well.
    let failed = std::thread::spawn(move || std::iter::from_fn(|| client.try_recv().ok()).count());
    let is_served = || (1..upstream.connections()).any(|at| !upstream.conn(at).messages().is_empty());
    wait_for("messages on a new connection", 3 * PATIENCE, is_served);
    let mut sender = sending.join().unwrap();
    sender.write_all(&Frame::client(CLOSE, 1000_u16.to_be_bytes()).bytes()).unwrap();
    let account = proxy.account("1:0");
    assert_eq!((account.accepted, account.unsettled), (EVENTS, 0), "{account:?}");
    assert_eq!(account.delivered + account.errored, EVENTS, "{account:?}");
    // One error reply for each failed event, and a notice for each loss. The first of each has already been received.
    let losses = proxy.count_log("connector restart session=1:0 *reason=\"not read within 300ms\"");
    assert_eq!(failed.join().unwrap() + 2, account.errored + losses, "{account:?}");
}

/// While the client is blocked, the proxy still reads from the upstream, and answers its pings.
#[test]
fn a_blocked_client_does_not_delay_the_upstreams_pongs() {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url()).with(r#"upstream.echo.ping_interval = "100ms""#);
    let proxy = Proxy::start(&settings).expect("session");
    let _stalled = Raw::upgraded(proxy.addr());
    let conn = upstream.conn(0);
    assert!(conn.flood(50_000, MUCH) < MUCH);
    let before = conn.pings();
    // The proxy does not read from the upstream now, so its silence does not count, and the connection stays.
    wait_for("quiet", PATIENCE, || proxy.is_quiet());
    assert_eq!(proxy.client().ping(b"a neighbour"), ());
    assert!(conn.end().is_none());
    assert!(conn.pings() >= before);
}

#[test]
fn an_idle_client_is_closed_even_if_it_answers_pings() {
    let upstream = TestUpstream::echo();
    let settings = with(
        Settings::request(&upstream.url()),
        &[r#"listener.ws.idle_timeout = "1s""#, r#"listener.ws.ping_interval = "100ms""#],
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(client.expect_closed(1001), "no message within 1s");
}

/// A message of 10 kB that begins with its number.
fn numbered(number: usize) -> Message {
    Message::text(format!("{number:05}{}", "x".repeat(10_000)))
}

fn number(message: &Message) -> Option<usize> {
    message.to_text().unwrap().get(..5)?.parse().ok()
}

/// For how many numbered messages this one stands: itself, or those that a notice says were dropped.
fn told(message: &Message) -> usize {
    number(message).map_or_else(|| dropped(message), |_| 1)
}

/// The number of dropped messages in a notice about them.
fn dropped(message: &Message) -> usize {
    let (error, _) = error_reply(message);
    let count = error
        .strip_prefix("Error delivering to client: ")
        .and_then(|rest| rest.strip_suffix(" messages dropped, because they were not read")?.parse().ok());
    count.unwrap_or_else(|| panic!("{error}"))
}

/// The messages that a client gets if it reads only after `total` numbered messages have been sent.
fn overrun(policy: &str, total: usize) -> Vec<Message> {
    let upstream = TestUpstream::silent();
    let settings = with(
        Settings::stream(&upstream.url()),
        &[
            r#"listener.ws.slow_consumer_timeout = "200ms""#,
            &format!("listener.ws.slow_consumer = \"{policy}\""),
            r#"listener.ws.tcp_user_timeout = "never""#,
        ],
    );
    let proxy = Proxy::start(&settings).expect("client does not read: dropping session=1:0");
    let mut client = proxy.client();
    let conn = upstream.conn(0);
    // The proxy takes all messages and drops most of them.
    (0..total).for_each(|at| conn.send(numbered(at)));
    wait_for("the proxy to have taken all of it", PATIENCE, || proxy.is_quiet());
    let mut got = Vec::new();
    // Each message is delivered or dropped.
    while got.iter().map(told).sum::<usize>() < total {
        got.push(client.recv());
    }
    upstream.set(|conn, message| conn.send(message));
    client.text("the end");
    while got.last() != Some(&Message::text("the end")) {
        got.push(client.recv());
    }
    client.close(1000, "");
    let line = proxy.wait_log("session closed session=1:0 code=1000");
    let delivered = got.iter().filter_map(number).count();
    assert!(line.contains(&format!("discarded={} ", total - delivered)), "{line}");
    got
}

/// The numbers of the messages before the gap, the count in the error reply about the gap, and the numbers
/// after it.
fn around_the_gap(got: &[Message]) -> (Vec<usize>, usize, Vec<usize>) {
    let at = got.iter().position(|message| message.to_text().unwrap().starts_with('{')).expect("a notice");
    let (before, after) = (&got[..at], &got[at + 1..]);
    let numbers = |part: &[Message]| part.iter().filter_map(number).collect();
    (numbers(before), dropped(&got[at]), numbers(after))
}

#[test]
fn the_oldest_messages_are_dropped_and_the_notice_precedes_the_rest() {
    const TOTAL: usize = 3000;
    let (before, count, after) = around_the_gap(&overrun("drop_oldest", TOTAL));
    assert!(before.iter().copied().eq(0..before.len()), "{before:?}");
    assert_eq!(before.len() + count + after.len(), TOTAL);
    assert!(after.iter().copied().eq(before.len() + count..TOTAL), "{after:?}");
    assert!(!after.is_empty());
}

#[test]
fn the_newest_messages_are_dropped_and_the_notice_follows_the_rest() {
    const TOTAL: usize = 3000;
    let (before, count, after) = around_the_gap(&overrun("drop_newest", TOTAL));
    assert!(before.iter().copied().eq(0..before.len()), "{before:?}");
    assert_eq!(before.len() + count + after.len(), TOTAL);
    assert_eq!(after, Vec::<usize>::new());
}

/// Replies are outcomes and are never dropped. A client that does not read them is closed (guarantee C1).
#[test]
fn replies_are_not_dropped_for_a_client_that_does_not_read() {
    let upstream = TestUpstream::with(|conn, _| conn.send(Message::binary(vec![7; 500_000])));
    let settings = with(
        Settings::request(&upstream.url()),
        &[
            r#"listener.ws.slow_consumer_timeout = "200ms""#,
            r#"listener.ws.slow_consumer = "drop_oldest""#,
            r#"listener.ws.tcp_user_timeout = "never""#,
        ],
    );
    let proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    (0..100).for_each(|_| raw.send(&Frame::client(TEXT, b"more")));
    let line = proxy.wait_log("session closed session=1:0 code=1013");
    assert!(line.contains("discarded=0 "), "{line}");
}

#[test]
fn a_closing_client_lets_its_events_finish() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"listener.ws.close_timeout = "5s""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("first");
    upstream.conn(0).wait_messages(1);
    client.close(1000, "");
    upstream.conn(0).text("answer");
    let (messages, code, _) = client.read_to_end();
    assert_eq!((messages, code), (vec![Message::text("answer")], Some(1000)));
}

#[test]
fn a_closing_client_cancels_its_events_if_configured() {
    let upstream = TestUpstream::silent();
    let settings = with(
        Settings::request(&upstream.url()),
        &[r#"listener.ws.close_timeout = "5s""#, r#"listener.ws.on_client_close = "cancel""#],
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("first");
    upstream.conn(0).wait_messages(1);
    client.close(1000, "bye");
    let (messages, code, _) = client.read_to_end();
    assert_eq!(code, Some(1000));
    assert!(error_reply(&messages[0]).0.ends_with("Connection is closing"));
    assert_eq!(upstream.conn(0).wait_end(), End::Close(1000, "bye".to_owned()));
    proxy.wait_log("session closed session=1:0 *accepted=1 answered=0 delivered=0 errored=1");
}

#[test]
fn an_upstream_that_sends_too_large_a_message_is_closed_and_the_client_gets_an_error() {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url())
        .with(r#"upstream.echo.max_message = "1KiB""#)
        .with(r#"upstream.echo.max_frame = "1KiB""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0).send(Message::binary(vec![7; 1025]));
    let (error, id) = client.recv_error();
    assert_eq!(id, "1:0:0");
    assert!(error.contains("larger than the limit of 1024 bytes"), "{error}");
    assert!(matches!(upstream.conn(0).wait_end(), End::Close(1009, _)));
}

// --- Upstreams whose reply is overdue

const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Settings with the default ping times, which are far longer than these tests take.
fn overdue(url: &str) -> Settings {
    let timeout = format!("upstream.echo.reply_timeout = \"{}ms\"", REPLY_TIMEOUT.as_millis());
    Settings::request(url).with("server.workers = 1").with(&timeout)
}

/// Checks that the client is served again within `reply_timeout` and 8 seconds, far before the first ping. The fastest of
/// three runs counts, because a slow machine delays some of them.
#[track_caller]
fn expect_in_time(recover: impl Fn() -> Duration) {
    let limit = REPLY_TIMEOUT + Duration::from_secs(8);
    let mut times = Vec::new();
    while times.len() < 3 && times.iter().all(|took| *took >= limit) {
        times.push(recover());
    }
    assert!(times.iter().any(|took| *took < limit), "{times:?}");
}

/// Measures the time from an event to its reply. The first connection sends no replies, and the next one
/// echoes, so the client gets an error reply and then a reply.
#[track_caller]
fn recovery(upstream: &TestUpstream, stop: impl FnOnce(&Conn)) -> Duration {
    let proxy = Proxy::start(&overdue(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    stop(&upstream.conn(0));
    let start = Instant::now();
    client.text("x");
    let (error, id) = client.recv_error();
    assert_eq!(id, "1:0:0");
    assert!(error.ends_with("no reply within 1s"), "{error}");
    upstream.set(|conn, message| conn.send(message));
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello"), "hello");
    let took = start.elapsed();
    assert_eq!(upstream.connections(), 2);
    took
}

#[test]
fn a_silent_upstream_is_replaced_soon_after_an_overdue_reply() {
    expect_in_time(|| recovery(&TestUpstream::silent(), |conn| conn.ignore_pings()));
}

#[test]
fn a_half_open_upstream_is_replaced_soon_after_an_overdue_reply() {
    expect_in_time(|| {
        let (upstream, latch) = stuck();
        // The reader stops here, so the upstream sees no pings and no end.
        let took = recovery(&upstream, |conn| conn.ignore_pings());
        latch.open();
        took
    });
}

#[test]
fn an_upstream_that_does_not_read_is_replaced_when_its_reply_is_overdue() {
    expect_in_time(|| {
        let (upstream, latch) = stuck();
        let settings = overdue(&upstream.url()).with(r#"upstream.echo.max_in_flight = 1000"#);
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        let mut sender = client.sender();
        // More than its socket holds.
        let frame = Frame::client(TEXT, "x".repeat(100_000)).bytes();
        let start = Instant::now();
        let sending = std::thread::spawn(move || {
            (0..200).for_each(|_| drop(sender.write_all(&frame)));
        });
        let (error, id) = client.recv_error();
        assert_eq!(id, "1:0:0");
        assert!(error.starts_with("Error receiving reply from server"), "{error}");
        upstream.set(|_, _| {});
        proxy.wait_ups(2);
        let took = start.elapsed();
        latch.open();
        drop(proxy);
        sending.join().unwrap();
        took
    });
}

#[test]
fn an_upstream_that_answers_pings_only_is_replaced_after_max_overdue_replies() {
    let upstream = TestUpstream::silent();
    let settings = overdue(&upstream.url()).with("upstream.echo.max_overdue = 2");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("first");
    assert_eq!(client.recv_error().1, "1:0:0");
    wait_for("the ping after an overdue reply", PATIENCE, || upstream.conn(0).pings() == 1);
    client.text("second");
    assert_eq!(client.recv_error().1, "1:0:1");
    proxy.wait_ups(2);
    upstream.set(|conn, message| conn.send(message));
    assert_eq!(client.ask("hello"), "hello");
    proxy.wait_log("connector restart session=1:0 *attempt=1 *reason=\"no reply within 1s\"");
    assert_eq!(upstream.conn(0).messages().len(), 2);
}

#[test]
fn an_upstream_that_is_never_pinged_is_not_suspected() {
    let upstream = TestUpstream::silent();
    let settings = overdue(&upstream.url())
        .with(r#"upstream.echo.ping_interval = "never""#)
        .with("upstream.echo.max_overdue = 4");
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for event in 0..3 {
        client.text("question");
        assert_eq!(client.recv_error().1, format!("1:0:{event}"));
    }
    assert_eq!((upstream.conn(0).pings(), upstream.connections(), upstream.live()), (0, 1, 1));
}
