//! The upstream dies 50 times under load, and every message is accounted for (C1, C2, C5, C6).

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::harness::*;

const SESSIONS: usize = 20;
const DEATHS: usize = 50;
/// Messages of a session that may be without outcome.
const WINDOW: usize = 8;

/// What all sessions together have seen.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicUsize,
    errored: AtomicUsize,
    enough: AtomicBool,
}

#[test]
fn every_message_has_one_outcome_in_order() {
    let mut random = seeded();
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url())).expect_restarts();
    // one after the other, so that the sessions' numbers are known
    let clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    let tally = Arc::new(Tally::default());
    let sessions: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, client)| {
            let tally = Arc::clone(&tally);
            std::thread::spawn(move || Session::new(number, client, tally).run())
        })
        .collect();
    for _ in 0..DEATHS {
        let death = match random.random_range(0..4) {
            0 => Death::Fin,
            1 => Death::Reset,
            2 => Death::MidFrame,
            _ => Death::Close(1001, "restarting"),
        };
        after(&tally.answered, random.random_range(1..300));
        origin.stop(death);
        after(&tally.errored, random.random_range(1..100));
        origin.start();
    }
    after(&tally.answered, SESSIONS * WINDOW);
    tally.enough.store(true, SeqCst);
    for session in sessions {
        session.join().expect("each session has accounted for its messages");
    }
    assert!(proxy.count_log("connector restart") >= DEATHS);
    wait_for("a line for each session", PATIENCE, || proxy.count_log("session closed") == SESSIONS);
    assert_eq!(proxy.count_log("session closed *dropped=0"), SESSIONS);
    println!("{} answered, {} errored", tally.answered.load(SeqCst), tally.errored.load(SeqCst));
}

/// Waits until `count` has grown by `more`.
fn after(count: &AtomicUsize, more: usize) {
    let goal = count.load(SeqCst) + more;
    wait_for("the load to go on", Duration::from_secs(20), || count.load(SeqCst) >= goal);
}

/// One client that keeps a window of messages in flight and accounts for each.
struct Session {
    number: usize,
    client: Client,
    tally: Arc<Tally>,
    next: usize,
    waiting: VecDeque<usize>,
}

impl Session {
    fn new(number: usize, client: Client, tally: Arc<Tally>) -> Self {
        Self { number, client, tally, next: 0, waiting: VecDeque::new() }
    }

    fn run(mut self) {
        while !self.tally.enough.load(SeqCst) {
            while self.waiting.len() < WINDOW {
                self.client.text(&format!("session {} message {}", self.number, self.next));
                self.waiting.push_back(self.next);
                self.next += 1;
            }
            self.outcome();
        }
        while !self.waiting.is_empty() {
            self.outcome();
        }
        // nothing is left over: the next thing that comes is the answer to the close
        self.client.close(1000, "");
        self.client.expect_closed(1000);
    }

    /// The next message is the outcome of the oldest that has none.
    fn outcome(&mut self) {
        let message = self.waiting.pop_front().expect("something is in flight");
        let reply = self.client.recv_text();
        if reply.starts_with('{') {
            let (_, id) = error_reply(&Message::text(reply));
            assert_eq!(id, format!("1:{}:{message}", self.number));
            self.tally.errored.fetch_add(1, SeqCst);
        } else {
            assert_eq!(reply, format!("session {} message {message}", self.number));
            self.tally.answered.fetch_add(1, SeqCst);
        }
    }
}
