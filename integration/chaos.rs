//! Tests in which the upstream dies repeatedly under load, and every message is accounted for (guarantees C1,
//! C2, C5, C6).

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::harness::*;

const SESSIONS: usize = 20;
const DEATHS: usize = 50;
/// Maximum number of messages of a session that are in flight at a time.
const WINDOW: usize = 8;

/// Counters that all sessions share.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicUsize,
    errored: AtomicUsize,
    enough: AtomicBool,
}

#[test]
fn every_message_has_one_outcome_in_order() {
    let mut random = seeded();
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    // Opened one after the other, so that each client knows its session's number.
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
        let death = any_death(&mut random);
        after(&tally.answered, random.random_range(1..300));
        upstream.stop(death);
        after(&tally.errored, random.random_range(1..100));
        upstream.start();
    }
    after(&tally.answered, SESSIONS * WINDOW);
    tally.enough.store(true, SeqCst);
    let mut refused = BTreeSet::new();
    for session in sessions {
        refused.extend(session.join().expect("each session has accounted for its messages"));
    }
    let received = (0..upstream.connections()).flat_map(|number| upstream.conn(number).texts()).collect();
    let both: Vec<_> = refused.intersection(&received).collect();
    assert!(both.is_empty(), "reported as not sent, but sent: {both:?} (C6)");
    assert!(proxy.count_log("connector restart") >= DEATHS);
    wait_for("a line for each session", PATIENCE, || proxy.count_log("session closed") == SESSIONS);
    assert_eq!(proxy.count_log("session closed *dropped=0"), SESSIONS);
    println!("{} answered, {} errored", tally.answered.load(SeqCst), tally.errored.load(SeqCst));
}

fn any_death(random: &mut StdRng) -> Death {
    match random.random_range(0..4) {
        0 => Death::Fin,
        1 => Death::Reset,
        2 => Death::MidFrame,
        _ => Death::Close(1001, "restarting"),
    }
}

/// Waits until `count` has grown by `more`.
fn after(count: &AtomicUsize, more: usize) {
    let goal = count.load(SeqCst) + more;
    wait_for("the load to go on", Duration::from_secs(20), || count.load(SeqCst) >= goal);
}

/// A client that keeps a window of messages in flight and expects one outcome for each.
struct Session {
    number: usize,
    client: Client,
    tally: Arc<Tally>,
    next: usize,
    waiting: VecDeque<usize>,
    /// The messages for which an error reply says that they were not sent.
    refused: Vec<String>,
}

impl Session {
    fn new(number: usize, client: Client, tally: Arc<Tally>) -> Self {
        Self { number, client, tally, next: 0, waiting: VecDeque::new(), refused: Vec::new() }
    }

    /// Runs the client to its end. Returns the messages that were reported as not sent.
    fn run(mut self) -> Vec<String> {
        while !self.tally.enough.load(SeqCst) {
            while self.waiting.len() < WINDOW {
                self.client.text(&self.message(self.next));
                self.waiting.push_back(self.next);
                self.next += 1;
            }
            self.outcome();
        }
        while !self.waiting.is_empty() {
            self.outcome();
        }
        // The next frame is the answer to the close: there is no extra message.
        self.client.close(1000, "");
        self.client.expect_closed(1000);
        self.refused
    }

    fn message(&self, number: usize) -> String {
        format!("session {} message {number}", self.number)
    }

    /// Expects the outcome of the oldest message in flight.
    fn outcome(&mut self) {
        let message = self.waiting.pop_front().expect("something is in flight");
        let reply = self.client.recv_text();
        if reply.starts_with('{') {
            let (error, id) = error_reply(&Message::text(reply));
            assert_eq!(id, format!("1:{}:{message}", self.number));
            if error.starts_with("Error sending event") {
                self.refused.push(self.message(message));
            }
            self.tally.errored.fetch_add(1, SeqCst);
        } else {
            assert_eq!(reply, self.message(message));
            self.tally.answered.fetch_add(1, SeqCst);
        }
    }
}

/// Checks the messages of one session in stream mode, while the upstream dies 20 times.
#[test]
fn in_stream_mode_every_message_is_delivered_or_reported() {
    let mut random = seeded();
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    // Without pushes, the n-th message is event number n.
    let mut sent = 0;
    let mut send = |client: &mut Client, count: usize| {
        (sent..sent + count).for_each(|number| client.text(&number.to_string()));
        sent += count;
        sent
    };
    for outage in 0..20 {
        proxy.wait_ups(outage + 1);
        send(&mut client, random.random_range(1..200));
        upstream.stop(any_death(&mut random));
        send(&mut client, random.random_range(1..100));
        upstream.start();
    }
    proxy.wait_ups(21);
    let sent = send(&mut client, 1);
    upstream.conn(20).wait_messages(1);
    client.close(1000, "");
    let (errors, code, _) = client.read_to_end();
    assert_eq!(code, Some(1000));
    let (refused, notices) = sort(&errors);
    let (delivered, errored) = (sent - refused.len(), refused.len());
    proxy.wait_log(&format!(
        "session closed session=1:0 *accepted={sent} answered=0 delivered={delivered} errored={errored} \
         dropped=0 unsettled=0"
    ));
    let received: Vec<usize> =
        (0..21).flat_map(|number| upstream.conn(number).texts()).map(|text| text.parse().unwrap()).collect();
    assert!(received.is_sorted_by(|one, next| one < next), "in order and each once (C2)");
    let received = BTreeSet::from_iter(received);
    let both: Vec<_> = received.intersection(&refused).collect();
    assert!(both.is_empty(), "reported as not sent, but sent: {both:?} (C6)");
    for message in (0..sent).filter(|message| !received.contains(message) && !refused.contains(message)) {
        assert!(notices.iter().any(|last| *last >= message), "message {message} is lost without a report");
    }
    println!("{sent} sent, {} received, {errored} not sent, {} gaps", received.len(), notices.len());
}

/// In stream sessions whose client is closed when the upstream dies, each event has one outcome, and the
/// close reason names the first lost event.
#[test]
fn in_close_mode_every_session_names_its_first_lost_event() {
    use std::io::Write;
    let mut random = seeded();
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::plain(&upstream.url())).expect_restarts();
    let mut lost = 0;
    for session in 0..30 {
        let mut client = proxy.client();
        let mut sender = client.sender();
        // The connection may close while the last messages are sent.
        let mut send = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                let _ = sender.write_all(&Frame::client(TEXT, number.to_string()).bytes());
            }
        };
        let first = random.random_range(0..200);
        send(0..first);
        upstream.stop(any_death(&mut random));
        send(first..first + random.random_range(0..100));
        let (messages, code, reason) = client.read_to_end();
        assert_eq!((messages, code), (Vec::new(), Some(1012)), "no text of the proxy in the stream");
        let account = proxy.account(&format!("1:{session}"));
        assert!(account.is_balanced() && account.unsettled == 0, "{account:?}");
        assert_eq!(account.delivered + account.errored, account.accepted, "{account:?}");
        let expected = match (account.delivered, account.errored) {
            (0, 0) => "upstream connection lost".to_owned(),
            (delivered, 0) => {
                format!("upstream connection lost; last event sent 1:{session}:{}", delivered - 1)
            }
            (0, _) => format!("upstream connection lost; first lost event 1:{session}:0"),
            (delivered, _) => format!(
                "upstream connection lost; first lost event 1:{session}:{delivered}; last event sent 1:{session}:{}",
                delivered - 1
            ),
        };
        assert_eq!(reason, expected, "{account:?}");
        let received: Vec<_> = upstream.conn(session).texts();
        assert!(received.len() <= account.delivered, "reported as lost, but sent (C6)");
        let all: Vec<_> = (0..received.len()).map(|number| number.to_string()).collect();
        assert_eq!(received, all, "in order and each once (C2)");
        lost += account.errored;
        upstream.start();
    }
    assert_eq!(upstream.connections(), 30, "no connector is restarted");
    assert_eq!(proxy.count_log("connector restart"), 0);
    println!("{lost} events lost in 30 sessions");
}

/// The events that were reported as not sent, and those reported as the last one sent before a loss.
fn sort(errors: &[Message]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let (mut refused, mut notices) = (BTreeSet::new(), BTreeSet::new());
    for error in errors {
        let (text, id) = error_reply(error);
        let event = id.strip_prefix("1:0:").expect("an event of this session").parse().unwrap();
        let kind = match text.starts_with("Error sending event") {
            true => &mut refused,
            false => &mut notices,
        };
        assert!(kind.insert(event), "reported twice: {error}");
    }
    (refused, notices)
}
