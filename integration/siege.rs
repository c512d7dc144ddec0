//! Tests of attacks on memory and time: the resident memory of the process stays within its configured
//! limits, and another session is served throughout (guarantees C3, C4).

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::*;

/// `server.buffer` in these tests, in KiB.
const POOL_KIB: u64 = 8 << 10;

/// Memory that the process may use in addition to `server.buffer`, in KiB: for each attacking session its own
/// size and twice the reserved 16 KiB, the read and write buffers of the threads, and what the allocator
/// keeps.
const BESIDES_KIB: u64 = 12 << 10;

/// Memory of a handshake that has sent one or two lines, in KiB: its task, and 1 KiB for the bytes read.
const HANDSHAKE_KIB: u64 = 3;

/// Number of attackers. Together they send far more than `server.buffer`.
const ATTACKERS: usize = 60;

/// Number of attackers that fill all buffers in both directions, including those of the sockets: about 25 MB
/// each.
const FLOODERS: usize = 12;

fn settings(url: &str) -> Settings {
    Settings::stream(url)
        .with(&format!("server.buffer = \"{POOL_KIB}KiB\""))
        .with(r#"listener.ws.buffer = "1MiB""#)
        .with(r#"upstream.echo.buffer = "1MiB""#)
}

/// A session that sends requests one after another.
struct Neighbour {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Neighbour {
    fn start(addr: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut client = Client::connect(addr);
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(SeqCst) {
                let begun = Instant::now();
                assert_eq!(client.ask("neighbour"), "neighbour");
                times.push(begun.elapsed());
                pause(Duration::from_millis(5));
            }
            times
        });
        Self { stop, thread }
    }

    /// Ends the session, each of whose replies came within [`PATIENCE`].
    fn finish(self) {
        self.stop.store(true, SeqCst);
        let mut times = self.thread.join().expect("the neighbour is served");
        times.sort();
        println!(
            "neighbour: {} answers, median {:?}, worst {:?}",
            times.len(),
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}

/// Runs an attack beside a neighbour. Keeps the result of the attack, such as its sockets, until memory is
/// measured.
fn besiege<T>(proxy: &Proxy, attack: impl FnOnce() -> T) -> T {
    besiege_within(proxy, POOL_KIB + BESIDES_KIB, attack)
}

/// The same as [`besiege`], with another limit on the growth of the process.
fn besiege_within<T>(proxy: &Proxy, limit_kib: u64, attack: impl FnOnce() -> T) -> T {
    let neighbour = Neighbour::start(proxy.addr());
    let before = proxy.resident_kib();
    let held = attack();
    let grown = proxy.resident_kib().saturating_sub(before);
    println!("grown by {grown} KiB of {limit_kib} KiB");
    neighbour.finish();
    assert!(grown <= limit_kib, "{grown} KiB");
    held
}

/// Writes `piece` repeatedly to each of the sockets in turn, until none accepts more for a while. A socket
/// that accepts part of a piece gets the rest next, so that the stream of frames stays valid.
fn press(raws: &[Raw], piece: &[u8]) {
    for raw in raws {
        raw.stream().set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    }
    let mut at = vec![0; raws.len()];
    let mut idle = 0;
    while idle < 3 {
        let mut took = 0;
        for (raw, at) in raws.iter().zip(&mut at) {
            let count = raw.stream().write(&piece[*at..]).unwrap_or(0);
            *at = (*at + count) % piece.len();
            took += count;
        }
        idle = if took == 0 { idle + 1 } else { 0 };
    }
}

/// A test upstream that echoes the neighbour's messages and floods sessions that request it.
fn flooding() -> TestUpstream {
    TestUpstream::with(|conn, message| {
        if message == Message::text("flood") {
            conn.flood(1000, 16 << 20);
        } else {
            conn.send(message);
        }
    })
}

#[test]
fn clients_that_flood_and_never_read() {
    let upstream = TestUpstream::echo();
    // The clients stay connected until memory has been measured.
    let patient = settings(&upstream.url())
        .with(r#"listener.ws.slow_consumer_timeout = "10m""#)
        .with(r#"listener.ws.tcp_user_timeout = "10m""#)
        .with(r#"upstream.echo.slow_consumer_timeout = "10m""#)
        .with(r#"upstream.echo.tcp_user_timeout = "10m""#);
    let proxy = Proxy::start(&patient).expect("session");
    let raws = besiege(&proxy, || {
        let raws: Vec<_> = (0..FLOODERS).map(|_| Raw::upgraded_narrow(proxy.addr())).collect();
        press(&raws, &Frame::client(TEXT, "x".repeat(1000)).bytes().repeat(50));
        raws
    });
    proxy.wait_log("session closed");
    assert_eq!(proxy.sessions(), FLOODERS, "only the neighbour has gone");
    drop(raws);
}

#[test]
fn upstreams_that_flood_clients_that_never_read() {
    let upstream = flooding();
    // What is held is measured: the allocator gives back at once what is free, instead of a second later.
    let env = [("MIMALLOC_PURGE_DELAY", "0")];
    let proxy = Proxy::start_with(&settings(&upstream.url()), &env).expect("session");
    besiege(&proxy, || {
        let mut raws: Vec<_> = (0..ATTACKERS).map(|_| Raw::upgraded_narrow(proxy.addr())).collect();
        raws.iter_mut().for_each(|raw| raw.send(&Frame::client(TEXT, b"flood")));
        wait_for("the flood to be pushed back", 2 * PATIENCE, || {
            measure_for(Duration::from_millis(600), || proxy.resident_kib() as i64) == 0
        });
        raws
    });
}

/// Messages that cannot be decoded become error replies, which use the upstream's budget as well.
#[test]
fn upstreams_that_flood_undecodable_messages() {
    let upstream = TestUpstream::with(|conn, message| {
        if message == Message::text(r#""flood""#) {
            conn.flood(100, 16 << 20);
        } else {
            conn.send(message);
        }
    });
    let settings = settings(&upstream.url())
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .with(r#"upstream.echo.buffer = "64KiB""#);
    let proxy = Proxy::start(&settings).expect("session");
    let before = proxy.resident_kib();
    let mut raws: Vec<_> = (0..8).map(|_| Raw::upgraded(proxy.addr())).collect();
    raws.iter_mut().for_each(|raw| raw.send(&Frame::client(TEXT, br#""flood""#)));
    wait_for("the flood to be pushed back", 2 * PATIENCE, || {
        measure_for(Duration::from_millis(600), || proxy.resident_kib() as i64) == 0
    });
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < BESIDES_KIB, "{grown} KiB");
    let mut client = proxy.client();
    assert_eq!(client.ask("1"), "1");
}

#[test]
fn headers_that_declare_four_gibibytes() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream.url()));
    besiege(&proxy, || {
        for _ in 0..ATTACKERS {
            let mut raw = Raw::upgraded(proxy.addr());
            raw.write(&Frame::header(true, 0, BINARY, true, 1 << 32));
            raw.write(&[0; 1000]);
            raw.expect_closed(1009);
        }
    });
}

#[test]
fn messages_of_fragments_without_end() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream.url()));
    besiege(&proxy, || {
        for _ in 0..ATTACKERS {
            let mut raw = Raw::upgraded(proxy.addr());
            raw.send(&Frame::client(TEXT, "x".repeat(1000)).more());
            let fragments = Frame::client(CONTINUATION, "x".repeat(1000)).more().bytes().repeat(100);
            // Twice as much as `max_message`.
            (0..20).for_each(|_| raw.write(&fragments));
            raw.expect_closed(1009);
        }
    });
}

/// Each message is within the limit for a message, but all of them together exceed `server.buffer`.
#[test]
fn messages_that_are_never_finished() {
    let upstream = TestUpstream::echo();
    let settings = settings(&upstream.url()).with(r#"listener.ws.slow_consumer_timeout = "1s""#);
    let proxy = Proxy::start(&settings);
    let raws = besiege(&proxy, || {
        let mut raws: Vec<_> = (0..ATTACKERS).map(|_| Raw::upgraded(proxy.addr())).collect();
        for raw in &mut raws {
            raw.write(&Frame::header(true, 0, BINARY, true, 1 << 20));
            raw.write(&[0; 4]);
        }
        press(&raws, &[0; 50_000]);
        raws
    });
    // A client that waits too long for memory is closed, which frees its memory.
    proxy.wait_log(
        r#"session closed session=* code=1013 side=proxy reason="no memory for the message within 1s""#,
    );
    drop(raws);
    let mut client = proxy.client();
    let large = "x".repeat(1_000_000);
    assert_eq!(client.ask(&large), large);
}

#[test]
fn endless_empty_fragments_delay_no_other_session() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream.url())).expect("session");
    besiege(&proxy, || {
        let mut raw = Raw::upgraded(proxy.addr());
        raw.send(&Frame::client(TEXT, b"begin").more());
        let fragments = Frame::client(CONTINUATION, b"").more().bytes().repeat(10_000);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            raw.write(&fragments);
        }
    });
}

/// Number of connections, at most `wanted`, for which this process and the one under test have file
/// descriptors.
fn connections(most: usize) -> usize {
    let open_files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    most.min(usize::try_from(open_files / 2).unwrap())
}

#[test]
fn ten_thousand_half_finished_handshakes() {
    let upstream = TestUpstream::echo();
    let settings = settings(&upstream.url())
        .with("server.max_handshakes = 100_000")
        .with(r#"listener.ws.handshake_timeout = "20s""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let number = connections(10_000);
    let before = proxy.descriptors_at_rest();
    let begun = Instant::now();
    let mut raws = besiege_within(&proxy, number as u64 * HANDSHAKE_KIB + BESIDES_KIB, || {
        let raws: Vec<_> = (0..number)
            .map(|_| {
                let mut raw = Raw::connect(proxy.addr());
                raw.write(b"GET /chat HTTP/1.1\r\nHost: towline.test\r\nUpgrade: websocket\r\nX-Never: ");
                raw
            })
            .collect();
        wait_for("all of them to be there", PATIENCE, || proxy.descriptors() >= before + number);
        raws
    });
    println!("{number} handshakes after {:?}", begun.elapsed());
    // All get the same answer, and one second later the proxy has ended all connections.
    assert!(raws.iter_mut().all(|raw| raw.head().status() == 408));
    wait_for("all of them to be gone", PATIENCE, || proxy.descriptors() <= before + 2);
    assert_eq!(proxy.client().ask("hello"), "hello");
}
