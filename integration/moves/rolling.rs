//! A rolling restart of three endpoints under sessions with subscriptions.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{draining::EndpointsFile, load::*};
use crate::harness::*;

/// Maximum time for an endpoint to be emptied or filled again.
const LONG: Duration = Duration::from_secs(60);

/// What the three servers share: the number of the last message of each topic.
#[derive(Default)]
struct Topics {
    numbers: Mutex<HashMap<u64, u64>>,
    subscriptions: AtomicUsize,
}

/// A server of JSON-RPC subscriptions. It assigns ids that no other connection has. To each call it sends the answer,
/// and the next message of the topic to which the connection is subscribed.
fn server(topics: &Arc<Topics>) -> TestUpstream {
    let topics = Arc::clone(topics);
    // By the address of the connection, which the test upstream keeps.
    let subscribed: Mutex<HashMap<usize, (String, u64)>> = Mutex::default();
    TestUpstream::with(move |conn, message| {
        let request: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        let address = std::ptr::from_ref(conn) as usize;
        let answer =
            |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{},"result":"{result}"}}"#, request["id"]);
        if request["method"] == "eth_subscribe" {
            let id = format!("0x{:x}", topics.subscriptions.fetch_add(1, SeqCst));
            let topic = request["params"][1]["topic"].as_u64().unwrap();
            conn.text(&answer(&id));
            subscribed.lock().unwrap().insert(address, (id, topic));
            return;
        }
        conn.text(&answer("done"));
        if let Some((id, topic)) = subscribed.lock().unwrap().get(&address) {
            let mut numbers = topics.numbers.lock().unwrap();
            let number = numbers.entry(*topic).or_default();
            *number += 1;
            conn.text(&format!(
                r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id}","result":{number}}}}}"#
            ));
        }
    })
}

/// What a client has seen.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    calls: u64,
    answers: u64,
    errors: u64,
    data: u64,
    notices: u64,
    holes: u64,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            answers: self.answers + other.answers,
            errors: self.errors + other.errors,
            data: self.data + other.data,
            notices: self.notices + other.notices,
            holes: self.holes + other.holes,
        }
    }
}

/// A client with one subscription. It calls at its pace, and checks each message.
struct Subscriber {
    client: Client,
    id: Value,
    seen: Seen,
    last: u64,
    /// Whether a notice has come since the last data.
    is_noticed: bool,
}

impl Subscriber {
    fn open(proxy: &Proxy, topic: u64) -> Self {
        let mut client = proxy.client();
        client.text(&format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"eth_subscribe","params":["logs",{{"topic":{topic}}}]}}"#
        ));
        let id = client.recv_json()["result"].clone();
        Self { client, id, seen: Seen::default(), last: 0, is_noticed: false }
    }

    fn run(mut self, interval: Duration, enough: &AtomicBool) -> Seen {
        let mut next = Instant::now();
        while !enough.load(SeqCst) {
            pause(next.saturating_duration_since(Instant::now()));
            next = Instant::now().max(next + interval);
            self.seen.calls += 1;
            let call = self.seen.calls;
            self.client.text(&format!(r#"{{"jsonrpc":"2.0","id":{call},"method":"eth_call","params":[]}}"#));
            while self.seen.answers + self.seen.errors < call {
                self.take();
            }
        }
        // The data of the last call.
        while self.seen.data < self.seen.answers {
            self.take();
        }
        self.client.close(1000, "");
        self.seen
    }

    fn take(&mut self) {
        let message = self.client.recv_json();
        if message.get("gap").is_some() {
            self.seen.notices += 1;
            self.is_noticed = true;
        } else if message["method"] == "eth_subscription" {
            assert_eq!(message["params"]["subscription"], self.id, "the id that the client knows");
            let number = message["params"]["result"].as_u64().unwrap();
            assert!(number > self.last, "{number} after {}", self.last);
            if number > self.last + 1 {
                assert!(self.is_noticed, "a hole without notice before {number}");
                self.seen.holes += 1;
            }
            (self.last, self.is_noticed) = (number, false);
            self.seen.data += 1;
        } else {
            assert_eq!(message["id"], self.seen.calls, "each call has one outcome, in order: {message}");
            if message.get("result").is_some() {
                self.seen.answers += 1;
            } else {
                assert!(message.get("error").is_some(), "{message}");
                self.seen.errors += 1;
            }
        }
    }
}

#[test]
fn clients_do_not_notice_a_rolling_restart() {
    let sessions = from_env("TOWLINE_TEST_SESSIONS", 150);
    let rate = from_env("TOWLINE_TEST_MESSAGES", 750);
    let rounds = from_env("TOWLINE_TEST_ROUNDS", 1);
    let topics = Arc::new(Topics::default());
    let servers = [0, 1, 2].map(|_| server(&topics));
    let file = EndpointsFile::of(&servers.each_ref().map(|server| (server, false)));
    let settings = file.settings(Settings::recovering("ws://unused", r#"preset = "json-rpc""#));
    let settings = settings
        .on_route("error_replies = true")
        .with("upstream.echo.rebalance = { min_sessions = 5, max_share = 105 }");
    let proxy = Proxy::start(&settings);
    let interval = Duration::from_secs_f64(sessions as f64 / rate as f64);
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<JoinHandle<Seen>> = (0..sessions)
        .map(|topic| {
            let (subscriber, enough) = (Subscriber::open(&proxy, topic), Arc::clone(&enough));
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn(move || subscriber.run(interval, &enough)).unwrap()
        })
        .collect();
    let start = Instant::now();
    for _ in 0..rounds {
        for restarted in 0..servers.len() {
            restart(&servers, restarted, &file, sessions as usize);
        }
    }
    let took = start.elapsed();
    enough.store(true, SeqCst);
    let seen = clients.into_iter().map(|client| client.join().unwrap()).fold(Seen::default(), Seen::and);
    println!(
        "{sessions} sessions, {} restarts in {took:.1?}, {:.0} calls/s: {seen:?}; {}",
        rounds * 3,
        seen.calls as f64 / took.as_secs_f64(),
        pauses(&proxy)
    );
    assert_eq!((seen.calls, seen.errors), (seen.answers, 0), "{seen:?}");
    assert_eq!(seen.data, seen.answers, "{seen:?}");
    assert!(seen.notices >= sessions * rounds, "each session has moved: {seen:?}");
}

/// Empties an endpoint, restarts it, and waits until it has its share again.
fn restart(servers: &[TestUpstream; 3], restarted: usize, file: &EndpointsFile, sessions: usize) {
    let server = &servers[restarted];
    file.replace(&std::array::from_fn::<_, 3, _>(|at| (&servers[at], at == restarted)));
    wait_for("the endpoint to be empty", LONG, || server.live() == 0);
    let all = || servers.iter().map(TestUpstream::live).sum::<usize>();
    wait_for("all sessions to be elsewhere", LONG, || all() == sessions);
    server.stop(Death::Reset);
    server.start();
    file.replace(&std::array::from_fn::<_, 3, _>(|at| (&servers[at], false)));
    wait_for("the endpoint to have its share", LONG, || server.live() * 4 >= sessions && all() == sessions);
}
