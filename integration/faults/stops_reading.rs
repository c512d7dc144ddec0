//! Fault: a peer stops reading. The proxy stops reading from the other side, and no message is lost when the
//! peer reads again.

use super::*;

/// The payload of message `number`, which contains the number.
fn numbered(number: usize) -> String {
    format!("{number:0>60000}")
}

/// The upstream's pushes wait, and arrive in order when the client reads again.
#[test]
fn downstream() {
    const PUSHES: usize = 500;
    let mut scene = Scene::new(quick);
    let mut client = scene.proxy.client();
    let conn = scene.conn();
    let pushing = std::thread::spawn(move || (0..PUSHES).for_each(|number| conn.text(&numbered(number))));
    wait_for("the proxy to stop reading", PATIENCE, || scene.proxy.is_quiet());
    assert!(!pushing.is_finished(), "the upstream is not read while the client does not read");
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    for number in 0..PUSHES {
        assert!(client.recv_text() == numbered(number), "push {number} in order");
    }
    pushing.join().unwrap();
    scene.goodbye(client);
    scene.nothing_is_left();
}

/// The client's messages wait, and arrive in order when the upstream reads again.
#[test]
fn upstream() {
    const MESSAGES: usize = 500;
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let settings = |url: &str| quick(url).with(r#"upstream.echo.exchange = "stream""#);
    let mut scene = Scene::with(settings, move |_, _| wait.wait());
    let mut client = scene.proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        for number in 0..MESSAGES {
            sender.write_all(&Frame::client(TEXT, numbered(number)).bytes()).unwrap();
        }
    });
    let conn = scene.conn();
    conn.wait_messages(1);
    wait_for("the proxy to stop reading", PATIENCE, || scene.proxy.is_quiet());
    assert!(!sending.is_finished(), "the client is not read while the upstream does not read");
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    latch.open();
    sending.join().unwrap();
    let all: Vec<_> = (0..MESSAGES).map(|number| Message::text(numbered(number))).collect();
    assert!(conn.wait_messages(MESSAGES) == all, "all messages, once and in order");
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.delivered), (MESSAGES, MESSAGES), "{account:?}");
    scene.nothing_is_left();
}

/// A client that does not read for `slow_consumer_timeout` is disconnected, and its memory is freed. The
/// upstream gets a close frame. The client gets none, because it would not read it.
#[test]
fn downstream_for_too_long() {
    let mut scene = Scene::new(|url| quick(url).with(r#"listener.ws.slow_consumer_timeout = "300ms""#));
    let stalled = Raw::upgraded(scene.proxy.addr());
    let conn = scene.conn();
    // The proxy stops reading the flood, and discards it when the session is over.
    conn.flood(50_000, MUCH);
    scene.neighbour_is_served();
    let reason = "nothing read within 300ms";
    scene.proxy.wait_log(&format!("session closed session=1:1 code=1013 side=proxy reason=\"{reason}\""));
    assert!(matches!(conn.wait_end(), End::Close(1013, _) | End::Eof | End::Broken(_)), "{:?}", conn.end());
    assert_eq!(scene.account().accepted, 0);
    scene.nothing_is_left();
    drop(stalled);
}

/// The connection to an upstream that does not read for `slow_consumer_timeout` is replaced. Each event has
/// one outcome, and no event is sent twice.
#[test]
fn upstream_for_too_long() {
    const MESSAGES: usize = 300;
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let settings = |url: &str| {
        quick(url)
            .with(r#"upstream.echo.exchange = "stream""#)
            .with(r#"upstream.echo.slow_consumer_timeout = "2s""#)
    };
    // Only the reader of the first connection stops.
    let stopped = std::sync::atomic::AtomicBool::new(false);
    let scene = Scene::with(settings, move |_, _| {
        if !stopped.swap(true, std::sync::atomic::Ordering::SeqCst) {
            wait.wait();
        }
    });
    let mut client = scene.proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        for number in 0..MESSAGES {
            sender.write_all(&Frame::client(TEXT, numbered(number)).bytes()).unwrap();
        }
    });
    // The notice names the last event written. Later events fail or are sent on the next connection.
    let (notice, last_written) = client.recv_error();
    assert_eq!(notice, scene.receiving("not read within 2s"));
    let last = event(&last_written);
    sending.join().unwrap();
    latch.open();
    scene.proxy.wait_ups_of("1:1", 2);
    client.text("end");
    let conn = scene.upstream.conn(2);
    wait_for("the last message", PATIENCE, || conn.messages().last() == Some(&Message::text("end")));
    client.close(1000, "");
    let (replies, code, _) = client.read_to_end();
    assert_eq!(code, Some(1000));
    let failed = replies.iter().map(|reply| {
        let (error, id) = error_reply(reply);
        assert!(error.starts_with("Error sending event to server"), "{error}");
        event(&id)
    });
    let arrived = conn.texts().into_iter().filter_map(|text| text.parse::<usize>().ok());
    let mut rest: Vec<_> = failed.chain(arrived).collect();
    rest.sort_unstable();
    assert!(rest.iter().copied().eq(last + 1..MESSAGES), "one outcome for each event after {last}: {rest:?}");
    let account = scene.account();
    assert_eq!((account.errored, account.unsettled), (replies.len(), 0), "{account:?}");
    scene.nothing_is_left();
}

/// The number of an event of session 1:1, from its id.
fn event(id: &str) -> usize {
    id.strip_prefix("1:1:").unwrap().parse().unwrap()
}
