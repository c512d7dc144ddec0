//! Clients under load, which notice every loss, repetition and disorder, and what the log says about moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::*;

/// A number from the environment, for longer runs.
pub fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

/// Clients that each send numbered messages at a pace, and expect each back, in order.
pub struct Load {
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Load {
    pub fn start(proxy: &Proxy, clients: usize, interval: Duration) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|number| {
            let (client, enough) = (proxy.client(), Arc::clone(&enough));
            std::thread::spawn(move || converse(client, number, interval, &enough))
        });
        let clients = clients.collect();
        Self { enough, clients }
    }

    /// Ends the load. Returns the number of messages of all clients.
    pub fn stop(self) -> usize {
        self.enough.store(true, SeqCst);
        self.clients.into_iter().map(|client| client.join().unwrap()).sum()
    }
}

/// Sends numbered messages, up to eight ahead of their answers, and expects exactly these answers.
fn converse(mut client: Client, number: usize, interval: Duration, enough: &AtomicBool) -> usize {
    const AHEAD: usize = 8;
    let text = |count: usize| format!("{number} {count}");
    let (mut sent, mut received) = (0, 0);
    let mut next = Instant::now();
    while !enough.load(SeqCst) || received < sent {
        if sent < received + AHEAD && !enough.load(SeqCst) {
            pause(next.saturating_duration_since(Instant::now()));
            next = Instant::now().max(next + interval);
            client.text(&text(sent));
            sent += 1;
        }
        // Every other answer is read late, so that messages are in flight when the session moves.
        if sent % 2 == 0 || sent == received + AHEAD || enough.load(SeqCst) {
            while received < sent {
                assert_eq!(client.recv_text(), text(received));
                received += 1;
            }
        }
    }
    client.close(1000, "");
    sent
}

/// The two ways to exchange messages in which a route keeps its clients.
pub fn modes(url: &str) -> [Settings; 2] {
    [Settings::request(url), Settings::stream(url)]
}

/// How the connections of an upstream have ended.
pub fn ends(upstream: &TestUpstream) -> Vec<End> {
    (0..upstream.connections()).filter_map(|index| upstream.conn(index).end()).collect()
}

/// The pauses that sessions made to move, according to the log.
pub fn pauses(proxy: &Proxy) -> String {
    let of = |line: &String| line.split("pause=").nth(1)?.split("ms").next()?.parse::<u64>().ok();
    let mut pauses: Vec<_> = proxy.log().iter().filter_map(of).collect();
    pauses.sort_unstable();
    let at =
        |share: usize| pauses.get(pauses.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    format!(
        "{} moves, pause {} ms (median), {} ms (p99), {} ms (longest)",
        pauses.len(),
        at(50),
        at(99),
        at(100)
    )
}
