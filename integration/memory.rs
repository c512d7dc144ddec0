//! Memory of a session, measured from outside: idle sessions, sessions whose client does not read, and what remains
//! when sessions have ended (guarantee C4). docs/performance.md has the exact figures.
//!
//! The bounds are for the growth from a number of sessions to a higher one, so that what all sessions share does not
//! count. They are upper bounds: memory that the start of the program has used may go back to the system meanwhile.

use std::sync::Arc;

use crate::harness::*;

/// Maximum memory of an idle session, in KiB. It takes 7.
const IDLE_KIB: u64 = 8;

/// Maximum memory of a session whose client or upstream does not read, in KiB: `buffer` of 48, the bytes that are read and
/// not decoded, and the idle session. It takes 58 to 66.
const STALLED_KIB: u64 = 80;

/// Sessions that fill what all sessions share.
const FIRST: usize = 100;

/// Sessions that are measured.
const MORE: usize = 400;

fn proxy(upstream: &TestUpstream) -> Proxy {
    Proxy::start(&Settings::stream(&upstream.url()).with("server.workers = 1"))
}

/// Sessions that have exchanged one message.
fn idle(proxy: &Proxy, count: usize) -> Vec<Client> {
    let opened = (0..count).map(|_| {
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        client
    });
    opened.collect()
}

#[test]
fn an_idle_session_takes_few_kib() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    let _first = idle(&proxy, FIRST);
    let before = proxy.resident_kib();
    let _more = idle(&proxy, MORE);
    let each = proxy.resident_kib().saturating_sub(before) / MORE as u64;
    println!("{each} KiB for each session");
    assert!(each <= IDLE_KIB, "{each} KiB");
}

/// The anonymous memory per session after the proxy has stopped reading from its sender. `stall` starts the session with
/// the given number, and sends until the proxy stops reading.
fn each_stalled<T>(proxy: &Proxy, stall: impl Fn(usize) -> T) -> u64 {
    const STALLED: usize = 12;
    let _first: Vec<T> = (0..4).map(&stall).collect();
    let before = proxy.anonymous_kib();
    let _more: Vec<T> = (4..4 + STALLED).map(&stall).collect();
    let each = proxy.anonymous_kib().saturating_sub(before) / STALLED as u64;
    println!("{each} KiB for each session");
    each
}

#[test]
fn a_session_whose_client_does_not_read_takes_little_more_than_its_buffer() {
    for size in [1 << 10, 16 << 10] {
        let upstream = TestUpstream::silent();
        let proxy = proxy(&upstream);
        let each = each_stalled(&proxy, |number| {
            let client = proxy.client();
            let taken = upstream.conn(number).flood(size, 64 << 20);
            assert!(taken < 64 << 20, "the upstream is read although the client does not read");
            client
        });
        assert!(each <= STALLED_KIB, "{each} KiB with messages of {size} bytes");
    }
}

#[test]
fn a_session_whose_upstream_does_not_read_takes_little_more_than_its_buffer() {
    let latch = Arc::new(Latch::default());
    let closed = Arc::clone(&latch);
    let upstream = TestUpstream::with(move |_, _| closed.wait());
    let proxy = proxy(&upstream);
    let each = each_stalled(&proxy, |_| {
        let mut client = Raw::upgraded(proxy.addr());
        let taken = client.flood(16 << 10, 64 << 20);
        assert!(taken < 64 << 20, "the client is read although the upstream does not read");
        client
    });
    latch.open();
    assert!(each <= STALLED_KIB, "{each} KiB");
}

/// Memory that is reserved for the rest of a message takes no pages before the rest arrives (guarantee C4).
#[test]
fn an_incomplete_message_takes_the_memory_of_what_has_arrived() {
    const CLIENTS: usize = 200;
    const SENT: usize = 100 << 10;
    const RESERVED: usize = 1 << 20;
    /// The bytes that have arrived, the smaller memory that was replaced, and the session itself.
    const EACH_KIB: u64 = 2 * (SENT as u64 >> 10) + IDLE_KIB;
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url()).with("server.workers = 1");
    let settings =
        settings.with(r#"listener.ws.max_message = "16MiB""#).with(r#"listener.ws.max_frame = "16MiB""#);
    let proxy = Proxy::start(&settings);
    let begin = || {
        let mut client = Raw::upgraded(proxy.addr());
        // The mask of zeros is part of the bytes behind the header.
        client.write(&Frame::header(true, 0, BINARY, true, 16 << 20));
        client.write(&[0; SENT]);
        client
    };
    let wait_reserved = |count: usize| {
        let reserved = (count * RESERVED) as f64;
        proxy.wait_metrics("memory for the messages", |scraped| {
            scraped.sum("towline_queue_bytes", &[]) >= reserved
        });
    };
    let _first: Vec<_> = (0..8).map(|_| begin()).collect();
    wait_reserved(8);
    let before = proxy.anonymous_kib();
    let _more: Vec<_> = (0..CLIENTS).map(|_| begin()).collect();
    wait_reserved(8 + CLIENTS);
    let each = proxy.anonymous_kib().saturating_sub(before) / CLIENTS as u64;
    println!("{each} KiB for each client");
    assert!(each <= EACH_KIB, "{each} KiB");
}

/// The allocator returns memory when it is used again, so other sessions come and go meanwhile.
#[test]
fn memory_of_sessions_that_have_ended_goes_back_to_the_system() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    drop(idle(&proxy, FIRST));
    wait_for("the end of the first sessions", PATIENCE, || proxy.sessions() == 0);
    let before = proxy.resident_kib();
    let more = idle(&proxy, MORE);
    let grown = proxy.resident_kib().saturating_sub(before);
    drop(more);
    wait_for("half of the memory to be returned", 3 * PATIENCE, || {
        drop(idle(&proxy, 1));
        proxy.resident_kib().saturating_sub(before) < grown / 2
    });
}
