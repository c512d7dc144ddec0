//! Tests of floods and stalls: the proxy does not buffer what the other side does not read (guarantee C4),
//! and nothing is left afterwards.

use std::{io::Write, sync::Arc, time::Duration};

use crate::harness::*;

/// Number of bytes that is more than the loopback sockets on both sides of the proxy hold.
const MUCH: usize = 64 << 20;

/// Maximum growth of the process's memory, in KiB: far below [`MUCH`], far above what one session may hold.
const LITTLE_KIB: u64 = 16 << 10;

#[test]
fn a_flood_to_an_upstream_that_does_not_answer_is_pushed_back() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with("upstream.echo.max_in_flight = 8");
    let proxy = Proxy::start(&settings).expect("session");
    let before = proxy.resident_kib();
    let mut raw = Raw::upgraded(proxy.addr());
    assert!(raw.flood(1000, MUCH) < MUCH);
    wait_for("the first ones", PATIENCE, || upstream.received() >= 8);
    assert_eq!(upstream.received(), 8, "no more than `max_in_flight` await their replies");
    assert!(proxy.resident_kib() < before + LITTLE_KIB);
}

#[test]
fn a_flood_to_an_upstream_that_does_not_read_is_pushed_back() {
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| wait.wait());
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect("session");
    let before = proxy.resident_kib();
    let mut raw = Raw::upgraded(proxy.addr());
    let flooded = raw.flood(50_000, MUCH);
    let grown = proxy.resident_kib().saturating_sub(before);
    latch.open();
    assert!(flooded < MUCH);
    assert!(grown < LITTLE_KIB, "{grown} KiB");
}

#[test]
fn a_flood_to_a_client_that_does_not_read_is_pushed_back() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect("session");
    let before = proxy.resident_kib();
    let _stalled = proxy.client();
    let conn = upstream.conn(0);
    let taken = conn.flood(50_000, MUCH);
    assert!(taken < MUCH);
    assert!(proxy.resident_kib() < before + LITTLE_KIB);
    // Another session is unaffected.
    upstream.set(|conn, message| conn.send(message));
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn losses_leave_no_descriptor_and_no_connection() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    let mut before = 0;
    for number in 0..30 {
        assert_eq!(client.ask("hello"), "hello");
        if number == 5 {
            before = proxy.descriptors();
        }
        let death = [Death::Fin, Death::Reset, Death::MidFrame, Death::Close(1000, "")][number % 4];
        upstream.conn(number).die(death);
        proxy.wait_ups(number + 2);
    }
    wait_for("descriptors to be closed", PATIENCE, || proxy.descriptors() <= before);
    wait_for("connections to be closed", PATIENCE, || upstream.live() == 1);
}

/// The upstream stops reading and dies. In stream mode, one error reply names the last event written, and
/// each event that was not written gets an error reply (guarantee C1).
#[test]
fn a_loss_under_pressure_reports_every_event_that_was_not_written() {
    const EVENTS: usize = 200;
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| wait.wait());
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    let mut sender = client.sender();
    let payload = "x".repeat(100_000);
    let sending = std::thread::spawn(move || {
        let frame = Frame::client(TEXT, &payload).bytes();
        (0..EVENTS).for_each(|_| sender.write_all(&frame).unwrap());
    });
    let conn = upstream.conn(0);
    conn.wait_messages(1);
    // The client is blocked once the proxy has stopped reading.
    wait_for("the sender to be stuck", PATIENCE, || proxy.is_quiet());
    assert!(!sending.is_finished());
    upstream.stop_listening();
    conn.die(Death::Reset);
    latch.open();
    let (notice, last_written) = client.recv_error();
    assert!(notice.starts_with("Error receiving reply from server"), "{notice}");
    let last: usize = last_written.strip_prefix("1:0:").unwrap().parse().unwrap();
    for event in last + 1..EVENTS {
        let (error, id) = client.recv_error();
        assert_eq!(id, format!("1:0:{event}"));
        assert!(error.starts_with("Error sending event to server"), "{error}");
    }
    sending.join().unwrap();
    client.close(1000, "");
    let (delivered, errored) = (last + 1, EVENTS - last - 1);
    proxy.wait_log(&format!(
        "session closed session=1:0 *accepted={EVENTS} answered=0 delivered={delivered} errored={errored} dropped=0"
    ));
}

/// The upstream stays connected but stops reading. Events that cannot be written time out as well (guarantee
/// C1).
#[test]
fn events_for_an_upstream_that_stops_reading_all_have_outcomes() {
    const EVENTS: usize = 3;
    let latch = Arc::new(Latch::default());
    let wait = Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| wait.wait());
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.reply_timeout = "500ms""#)
        .with(r#"listener.ws.max_message = "20MiB""#)
        .with(r#"listener.ws.max_frame = "20MiB""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("it reads this one and stops");
    upstream.conn(0).wait_messages(1);
    assert_eq!(client.recv_error().1, "1:0:0");
    let mut sender = client.sender();
    // More than the sockets hold, so that no event is written completely.
    let frame = Frame::client(BINARY, vec![b'x'; 16_000_000]).bytes();
    let sending = std::thread::spawn(move || (0..EVENTS).all(|_| sender.write_all(&frame).is_ok()));
    for event in 1..=EVENTS {
        assert_eq!(client.recv_error().1, format!("1:0:{event}"));
    }
    latch.open();
    assert!(sending.join().unwrap());
}

#[test]
fn many_clients_at_once_are_all_served() {
    const CLIENTS: usize = 200;
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client()).collect();
    for round in 0..5 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.text(&format!("{number} {round}"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.recv_text(), format!("{number} {round}"));
        }
    }
    drop(clients);
    wait_for("the end of all sessions", PATIENCE, || proxy.count_log("session closed") == CLIENTS);
    wait_for("the end of all connections", PATIENCE, || upstream.live() == 0);
}

#[test]
fn a_flood_of_pings_is_answered_or_pushed_back() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("session");
    let before = proxy.resident_kib();
    let raw = Raw::upgraded(proxy.addr());
    raw.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let pings = Frame::client(PING, [7; 125]).bytes().repeat(500);
    let mut written = 0;
    while written < MUCH / 2 && raw.stream().write_all(&pings).is_ok() {
        written += pings.len();
    }
    assert!(proxy.resident_kib() < before + LITTLE_KIB);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// Parts of an incomplete STOMP frame are kept until it is complete, so that they count as an incomplete message does.
#[test]
fn incomplete_frames_of_a_journal_count_in_the_memory_of_all_sessions() {
    let upstream = TestUpstream::silent();
    let settings =
        Settings::recovering(&upstream.url(), r#"preset = "stomp""#).with(r#"server.buffer = "1MiB""#);
    let proxy = Proxy::start(&settings);
    let begin = |client: &mut Client| {
        client.text("SEND\ndestination:/a\n\n");
        let part = "x".repeat(10 << 10);
        (0..45).for_each(|_| client.text(&part));
    };
    let mut clients: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut clients {
        begin(client);
        client.ping(b"read?");
    }
    let mut third = Opening::new(proxy.addr()).open();
    third.text("SEND\ndestination:/a\n\n");
    let part = Frame::client(TEXT, "x".repeat(10 << 10)).bytes();
    let mut sender = third.sender();
    // The session may end before all parts are written.
    let _ = (0..45).try_for_each(|_| std::io::Write::write_all(&mut sender, &part));
    assert_eq!(third.expect_closed(1013), "no memory for the rest of a packet");
    clients[0].ping(b"still here?");
    clients[0].text("\0");
    let whole = upstream.conn(0).wait_messages(1);
    assert_eq!(whole[0].len(), "SEND\ndestination:/a\n\n".len() + 45 * (10 << 10) + 1);
}
