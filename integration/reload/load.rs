//! Many reloads under load: no session is closed, no message is lost, and memory does not grow.
//!
//! `TOWLINE_RELOAD_SECONDS=600` runs the long form: 1,000 sessions, and a reload each 4.4 seconds.
//!
//! Memory is compared between the ends of two cycles of reloads, with the same endpoints and connections. Each cycle moves
//! each session to the other upstream and back, so what a process needs once is in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::harness::*;

/// Number of reloads after which the same endpoints and listeners are in force again.
const CYCLE: usize = 15;

/// How much memory may grow, in percent.
const GROWTH_PERCENT: u64 = 5;

/// Memory that may be added besides [`GROWTH_PERCENT`], in KiB: pages of the allocator that are partly in use.
const SLACK_KIB: u64 = 1024;

/// The time between two messages of a session.
const INTERVAL: Duration = Duration::from_millis(200);

/// The extent of a run.
struct Extent {
    sessions: usize,
    reloads: usize,
    /// The time between two reloads.
    pause: Duration,
    /// Moves in a second: the default in the long form, which has 22 seconds for the moves of an upstream.
    move_rate: usize,
    /// The cycle with whose end the end of the last one is compared. A session keeps its latest 32 changes, and each move
    /// adds two or three of them, so in the long form memory grows for five cycles.
    settled: usize,
}

impl Extent {
    fn chosen() -> Self {
        match std::env::var("TOWLINE_RELOAD_SECONDS").ok().and_then(|text| text.parse::<f64>().ok()) {
            None => Self {
                sessions: 100,
                reloads: 2 * CYCLE,
                pause: Duration::from_millis(70),
                move_rate: 5000,
                settled: 1,
            },
            Some(seconds) => {
                let reloads = ((seconds / 600.0 * 9.0) as usize).max(6) * CYCLE;
                let pause = Duration::from_secs_f64(seconds / reloads as f64);
                Self { sessions: 1000, reloads, pause, move_rate: 200, settled: 5 }
            }
        }
    }
}

/// The settings of reload `number`: limits, rates, programs, routes, listeners and upstreams take turns.
/// Sessions move at `move_rate` each second when their endpoint goes.
fn settings(number: usize, upstreams: &[TestUpstream; 2], move_rate: usize) -> Settings {
    let endpoints = match number / 5 % 3 {
        0 => format!("[{:?}]", upstreams[0].url()),
        1 => format!("[{:?}, {:?}]", upstreams[0].url(), upstreams[1].url()),
        _ => format!("[{:?}]", upstreams[1].url()),
    };
    let settings = Settings::request(&upstreams[0].url())
        .endpoints(&endpoints)
        .with(&format!("upstream.echo.move.rate = {move_rate}"))
        .with(&format!("upstream.echo.max_in_flight = {}", 64 + number))
        .with(&format!("upstream.echo.reply_timeout = \"{}s\"", 20 + number % 10))
        .with(&format!("listener.ws.max_sessions = {}", 5000 + number))
        .with(&format!("listener.ws.rate = {{ messages = {} }}", 500 + number))
        .with(&format!("server.max_handshakes = {}", 2000 + number))
        .incoming(&format!("# version {}\nselect event from in into out;", number / 2))
        .on_route(r#"name = "chat""#)
        .on_route(r#"path = "/chat""#);
    let settings = match number % 3 {
        0 => settings.with(r#"listener.more.bind = "127.0.0.1:0""#),
        _ => settings,
    };
    match number % 4 {
        1 => settings.route(&[r#"name = "more""#, r#"path = "/more""#, r#"upstream = "echo""#]),
        _ => settings,
    }
}

/// Sends a message each [`INTERVAL`], and expects it back. Returns the reply times of each message.
fn converse(mut client: Client, number: usize, enough: &AtomicBool) -> Vec<(Instant, Duration)> {
    let mut times = Vec::new();
    // The sessions are spread over the interval.
    let mut next = Instant::now() + INTERVAL.mul_f64((number % 50) as f64 / 50.0);
    while !enough.load(SeqCst) {
        pause(next.saturating_duration_since(Instant::now()));
        next += INTERVAL;
        let (text, sent) = (format!("{number} {}", times.len()), Instant::now());
        assert_eq!(client.ask(&text), text);
        times.push((sent, sent.elapsed()));
    }
    client.close(1000, "");
    client.expect_closed(1000);
    times
}

/// Reloads once, or with settings that have an error.
fn reload(proxy: &Proxy, number: usize, extent: &Extent, upstreams: &[TestUpstream; 2]) {
    let next = settings(number, upstreams, extent.move_rate);
    if number % 5 == 4 {
        assert_eq!(proxy.reload_broken(&next.with(r#"listener.ws.codec = "strng""#)).len(), 1);
    } else {
        proxy.reload(&next);
    }
}

/// Waits until all sessions use the settings of reload `number`, the last one of a cycle, and their endpoint.
fn wait_adopted(proxy: &Proxy, number: usize, extent: &Extent, upstreams: &[TestUpstream; 2]) {
    let refused = (number + 1) / 5;
    let adopted = proxy.wait_log(&format!(
        "sessions have adopted the configuration generation={} in_use=",
        1 + number - refused
    ));
    assert!(adopted.contains("in_use=1"), "{adopted}");
    let live = || upstreams.each_ref().map(TestUpstream::live);
    wait_for("the sessions at their endpoint", PATIENCE, || live() == [extent.sessions, 0]);
}

/// The least anonymous memory, in KiB, within the time that the allocator keeps what is free.
fn least_memory(proxy: &Proxy) -> u64 {
    let samples = (0..20).map(|_| {
        pause(Duration::from_millis(100));
        proxy.anonymous_kib()
    });
    samples.min().unwrap_or_default()
}

fn p99(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

#[test]
fn reloads_under_load_close_no_session_and_lose_no_message() {
    let extent = Extent::chosen();
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let proxy = Proxy::start(&settings(0, &upstreams, extent.move_rate))
        .expect("reload failed")
        .expect("reload problem");
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..extent.sessions)
        .map(|number| {
            let (client, enough) =
                (Opening::new(proxy.listener("ws")).path("/chat").open(), Arc::clone(&enough));
            std::thread::spawn(move || converse(client, number, &enough))
        })
        .collect();
    let begun = Instant::now();
    pause(extent.pause * (extent.reloads as u32) / 4);
    let reloading = Instant::now();
    let mut memory = Vec::new();
    for number in 1..=extent.reloads {
        reload(&proxy, number, &extent, &upstreams);
        pause(extent.pause);
        if number % CYCLE == 0 {
            wait_adopted(&proxy, number, &extent, &upstreams);
            memory.push(least_memory(&proxy));
        }
    }
    let done = Instant::now();
    enough.store(true, SeqCst);
    let times: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let during = |from: Instant, to: Instant| {
        p99(times.iter().filter(|(sent, _)| *sent >= from && *sent < to).map(|(_, time)| *time))
    };
    println!(
        "messages={} p99 without reloads={:?} p99 with reloads={:?} KiB after each cycle={memory:?}",
        times.len(),
        during(begun, reloading),
        during(reloading, done)
    );
    let (settled, last) = (memory[extent.settled - 1], memory[memory.len() - 1]);
    let bound = settled + settled * GROWTH_PERCENT / 100 + SLACK_KIB;
    assert!(last <= bound, "memory grows from {settled} KiB to {last} KiB");
    wait_for("the end of all sessions", PATIENCE, || proxy.sessions() == 0);
    let accounts: Vec<_> = (0..extent.sessions).map(|number| proxy.account(&format!("1:{number}"))).collect();
    let answered: usize = accounts.iter().map(|account| account.answered).sum();
    assert!(accounts.iter().all(|account| account.is_balanced() && account.errored == 0));
    assert_eq!(answered, times.len(), "each message has one reply");
}
