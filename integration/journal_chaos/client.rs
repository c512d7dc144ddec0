//! A client that opens and closes subscriptions at random.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use super::{
    checker::{Ask, Checker, Counts},
    double::{Double, TOPICS},
    protocol::{Protocol, Request},
};
use crate::harness::*;

/// Subscriptions that a client wants to have.
const WANTED: usize = 10;

/// The longest time between two actions of a client, in milliseconds.
const PAUSE: u64 = 1_500;

/// Messages of a session that a report has.
const TRACE: usize = 300;

/// The longest time that one read takes.
const READING: Duration = Duration::from_millis(500);

/// The state that all clients share.
#[derive(Debug, Default)]
pub struct Control {
    /// The clients send no more, and wait for what they have asked.
    pub is_calm: AtomicBool,
    /// What clients should not have received.
    pub violations: Mutex<Vec<String>>,
}

/// One session.
pub struct Session {
    number: u64,
    protocol: Protocol,
    client: Client,
    socket: TcpStream,
    random: StdRng,
    checker: Checker,
    upstream: Arc<Double>,
    control: Arc<Control>,
    next: u64,
    /// The last messages, for the report of a violation.
    trace: VecDeque<String>,
    begun: Instant,
}

// === impl Control ===

impl Control {
    /// Notes that a client has panicked, and its figures, of which there are none.
    pub fn panicked(&self) -> Counts {
        self.violations.lock().unwrap().push("a client has panicked".into());
        Counts::default()
    }
}

// === impl Session ===

impl Session {
    pub fn new(
        number: u64,
        protocol: Protocol,
        mut client: Client,
        upstream: &Arc<Double>,
        control: &Arc<Control>,
        random: StdRng,
    ) -> Self {
        let socket = client.sender();
        Self {
            number,
            protocol,
            client,
            socket,
            random,
            checker: Checker::new(protocol),
            upstream: Arc::clone(upstream),
            control: Arc::clone(control),
            next: 0,
            trace: VecDeque::new(),
            begun: Instant::now(),
        }
    }

    /// Runs the client until the others are calm too and each of its requests has an outcome.
    pub fn run(mut self) -> Counts {
        if let Err(text) = self.live() {
            let trace: Vec<_> = self.trace.into();
            let text =
                format!("session {} ({:?}): {text}\n  {}", self.number, self.protocol, trace.join("\n  "));
            self.control.violations.lock().unwrap().push(text);
        }
        self.checker.counts
    }

    fn live(&mut self) -> Result<(), String> {
        if self.protocol.has_login() {
            self.send(&Request::Login);
        }
        while self.checker.open_count() < WANTED {
            self.open();
        }
        while !self.control.is_calm.load(SeqCst) {
            self.act();
            let pause = Duration::from_millis(self.random.random_range(1..PAUSE));
            self.receive_until(Instant::now() + pause, |_| false)?;
        }
        self.checker.begin_calm();
        let end = Instant::now() + 3 * PATIENCE;
        self.receive_until(end, Checker::is_settled)?;
        if !self.checker.is_settled() {
            return Err(format!("requests without outcome: {}", self.checker.unsettled()));
        }
        self.receive_until(end, Checker::is_served)?;
        if !self.checker.is_served() {
            return Err(format!("silent subscriptions: {:?}", self.checker));
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.client.close(1000, "");
        let (_, code, reason) = self.client.read_to_end();
        if code == Some(1000) { Ok(()) } else { Err(format!("closed with {code:?} {reason}")) }
    }

    fn act(&mut self) {
        let open = self.checker.open_ids();
        match self.random.random_range(0..100) {
            // More than the limit allows.
            0 => (0..10).for_each(|_| self.open()),
            1..25 if !open.is_empty() => {
                let id = open[self.random.random_range(0..open.len())].clone();
                self.close(id);
            }
            25..50 => self.call(None),
            _ if self.checker.open_count() < WANTED => self.open(),
            _ => {}
        }
    }

    fn request(&mut self) -> u64 {
        self.next += 1;
        self.number * 10_000_000 + self.next
    }

    fn open(&mut self) {
        let (request, topic) = (self.request(), self.random.random_range(0..TOPICS));
        let since = (self.protocol.resumes() && self.random.random_bool(0.5)).then_some(0);
        self.checker.asks(request, Ask::Open { topic, token: request });
        self.send(&Request::Open { request, topic, token: request, since });
    }

    fn close(&mut self, id: String) {
        let written = serde_json::from_str(&id).expect("an id is JSON");
        if self.protocol.names_failures() {
            let request = self.request();
            self.checker.asks(request, Ask::Close { id });
            self.send(&Request::Close { request: Some(request), id: written });
        } else {
            let ended = self.checker.closes(&id).map(|token| (id, token));
            self.send(&Request::Close { request: None, id: written });
            self.call(ended);
        }
    }

    fn call(&mut self, ended: Option<(String, u64)>) {
        let request = self.request();
        self.checker.asks(request, Ask::Call { ended });
        self.send(&Request::Call { request });
    }

    fn note(&mut self, direction: &str, text: &str) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:.3} {direction} {text}", self.begun.elapsed().as_secs_f32()));
    }

    fn send(&mut self, request: &Request) {
        let text = self.protocol.write_request(request);
        self.note(">", &text);
        self.client.text(&text);
    }

    /// Receives messages until `end`, or until `enough` holds.
    fn receive_until(&mut self, end: Instant, enough: impl Fn(&Checker) -> bool) -> Result<(), String> {
        while !enough(&self.checker) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // `try_recv` skips pings, and each of them would begin a long wait again.
            self.socket.set_read_timeout(Some(left.min(READING))).unwrap();
            let message = match self.client.try_recv() {
                Ok(message) => message,
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(format!("the client is closed: {error}")),
            };
            let text = message.to_text().expect("all messages are text");
            let text = text.to_owned();
            self.note("<", &text);
            let ended = self.checker.receives(self.protocol.read_reply(&text));
            let ended = ended.map_err(|violation| format!("{violation}; in {text}"))?;
            self.upstream.seen().gone.lock().unwrap().extend(ended);
        }
        Ok(())
    }
}
