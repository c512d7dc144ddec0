//! Random histories of a session between a checking client and a forgetful upstream.

mod client;
mod upstream;
mod wire;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use client::Client;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use towline_recovery::{
    ClientStep, InFlight, Journal, Limits, Loss, Message, Output, Protocol, Reason, Recovery, Settings,
    UpstreamStep,
};
use upstream::{TOPICS, Upstream};
use wire::{Request, Wire};

const LIMITS: Limits = Limits { max_entries: 6, max_requests: 8, max_bytes: 700, max_packet: 1 << 20 };

#[derive(Debug, Clone)]
enum Op {
    Open(usize),
    Close(usize),
    Pay,
    Publish(usize),
    /// The upstream reads messages.
    Read(usize),
    /// The client receives messages.
    Receive(usize),
    /// The next opens are refused, or get no answer.
    Refuse(usize),
    Ignore(usize),
    /// The connection is lost; the last messages to it were not written.
    Lose(usize),
    Connect(u64),
    /// A message of an older connection arrives.
    Late,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..TOPICS).prop_map(Op::Open),
        2 => (0..8_usize).prop_map(Op::Close),
        1 => Just(Op::Pay),
        4 => (0..TOPICS).prop_map(Op::Publish),
        5 => (1..5_usize).prop_map(Op::Read),
        5 => (1..6_usize).prop_map(Op::Receive),
        1 => (1..3_usize).prop_map(Op::Refuse),
        1 => (1..3_usize).prop_map(Op::Ignore),
        2 => (0..4_usize).prop_map(Op::Lose),
        4 => (0..5_u64).prop_map(Op::Connect),
        1 => Just(Op::Late),
        1 => (1..4_u64).prop_map(Op::Wait),
    ]
}

struct World {
    wire: Wire,
    /// Whether a program classifies the messages.
    is_program: bool,
    journal: Journal,
    client: Client,
    upstream: Upstream,
    now: Instant,
    generation: u64,
    is_connected: bool,
    /// Messages that wait for the replay.
    held: VecDeque<(u64, String)>,
    /// Messages on the way to the upstream, with the client's event.
    to_upstream: VecDeque<(Option<u64>, String)>,
    written: Option<u64>,
    late: Vec<(u64, String)>,
    next_event: u64,
    closes: VecDeque<(u64, Value)>,
}

impl World {
    fn new(wire: Wire, is_program: bool, in_flight: InFlight) -> Self {
        let settings = Settings { in_flight, limits: LIMITS, timeout: Duration::from_secs(2) };
        let protocol = if is_program { Protocol::Program } else { wire.protocol() };
        let mut world = Self {
            wire,
            is_program,
            journal: Recovery::new(&protocol, settings).unwrap().journal(),
            client: Client::new(wire),
            upstream: Upstream::new(wire),
            now: Instant::now(),
            generation: 0,
            is_connected: false,
            held: VecDeque::new(),
            to_upstream: VecDeque::new(),
            written: None,
            late: Vec::new(),
            next_event: 0,
            closes: VecDeque::new(),
        };
        world.connect(0);
        if wire.has_hello() {
            world.send(Request::Hello);
            world.settle();
        }
        world
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Open(topic) => {
                let (request, id) = (self.client.new_request(), self.client.new_id(self.next_event));
                self.send(Request::Open { request, topic, id, since: 0 });
            }
            Op::Close(nth) => {
                if let Some(id) = self.client.id_of(nth) {
                    self.closes.push_back((self.next_event, id.clone()));
                    self.send(Request::Close { request: self.client.new_request(), id });
                }
            }
            Op::Pay => {
                self.send(Request::Pay { request: self.client.new_request(), number: self.next_event })
            }
            Op::Publish(topic) => self.upstream.publish(topic),
            Op::Read(count) => (0..count).for_each(|_| self.read()),
            Op::Receive(count) => (0..count).for_each(|_| self.receive()),
            Op::Refuse(count) => self.upstream.refuse = count,
            Op::Ignore(count) => self.upstream.ignore = count,
            Op::Lose(unwritten) => self.lose(unwritten),
            Op::Connect(first_id) => self.connect(first_id),
            Op::Late => self.receive_late(),
            Op::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.drain();
            }
        }
        assert!(self.journal.entries() <= LIMITS.max_entries);
        assert!(
            self.journal.bytes() <= 2 * LIMITS.max_bytes,
            "entries and waiting messages have a limit each"
        );
    }

    fn send(&mut self, request: Request) {
        let event = self.next_event;
        self.next_event += 1;
        let text = self.client.send(event, request);
        self.held.push_back((event, text));
        self.send_held();
    }

    fn send_held(&mut self) {
        while self.is_connected
            && let Some((event, text)) = self.held.pop_front()
        {
            if !self.offer(event, text) {
                break;
            }
        }
    }

    /// False when the journal is not ready.
    fn offer(&mut self, event: u64, text: String) -> bool {
        let message = Message::text(text.clone());
        let class = self.is_program.then(|| self.wire.client_class(&text));
        let step = match class {
            Some(class) => self.journal.client_as(event, message, &class),
            None => self.journal.client(event, message),
        };
        match step {
            ClientStep::Wait(message) => {
                assert_eq!(message, Message::text(text.clone()));
                self.held.push_front((event, text));
                return false;
            }
            ClientStep::Send(message) => {
                self.written = Some(event);
                self.to_upstream.push_back((Some(event), utf8(&message)));
            }
            ClientStep::Hide if self.wire == Wire::Rpc => {}
            ClientStep::Hide => self.client.done(event),
            ClientStep::Refuse(failure) => {
                assert_eq!(failure.event, event);
                self.client.fail(event, true);
                // Such a close has no effect.
                if failure.reason == Reason::RequestInUse {
                    self.closes.retain(|(close, _)| *close != event);
                }
            }
        }
        if self.closes.front().is_some_and(|(close, _)| *close == event) {
            let (_, id) = self.closes.pop_front().unwrap();
            self.client.close(&id, self.generation);
        }
        self.drain();
        true
    }

    fn read(&mut self) {
        if let Some((_, text)) = self.to_upstream.pop_front() {
            self.upstream.receive(&text);
        }
    }

    fn receive(&mut self) {
        let Some(text) = self.upstream.out.pop_front() else { return };
        match self.upstream_step(self.generation, text) {
            UpstreamStep::Deliver { message, answers } => self.deliver(&message, &answers),
            UpstreamStep::Hide => {}
            UpstreamStep::Refuse(reason) => panic!("{reason}"),
        }
        self.drain();
    }

    fn receive_late(&mut self) {
        if let Some((generation, text)) = self.late.pop() {
            assert_eq!(self.upstream_step(generation, text), UpstreamStep::Hide);
            self.drain();
        }
    }

    fn upstream_step(&mut self, generation: u64, text: String) -> UpstreamStep {
        if !self.is_program {
            return self.journal.upstream(generation, Message::text(text), self.now);
        }
        let class = self.wire.upstream_class(&text);
        self.journal.upstream_as(generation, Message::text(text), &class, self.now)
    }

    fn deliver(&mut self, message: &Message, answers: &[u64]) {
        self.client.receive(&utf8(message), answers, self.generation);
    }

    fn lose(&mut self, unwritten: usize) {
        if !self.is_connected {
            return;
        }
        for _ in 0..unwritten {
            // The upstream has not read what was not written.
            if let Some(&(Some(event), _)) = self.to_upstream.back()
                && self.written == Some(event)
            {
                self.to_upstream.pop_back();
                self.written = event.checked_sub(1);
            }
        }
        self.is_connected = false;
        self.to_upstream.clear();
        self.late.extend(self.upstream.out.drain(..).map(|text| (self.generation, text)));
        let loss = Loss { now: self.now, last_event: self.written, close: Some(1006), text: "gone" };
        let lost = self.journal.lost(loss);
        assert_eq!(lost.pass_on, None);
        for failure in lost.failed {
            self.client.fail(failure.event, true);
        }
        for failure in lost.dropped {
            self.client.fail(failure.event, false);
        }
        for (event, _) in lost.done {
            self.client.done(event);
        }
        let held = self.held.front().map_or(u64::MAX, |(event, _)| *event);
        for event in self.client.waiting.keys().filter(|event| **event < held) {
            assert!(lost.kept.contains(event), "{event} was lost without an outcome");
        }
        self.drain();
    }

    fn connect(&mut self, first_id: u64) {
        if self.is_connected {
            return;
        }
        self.generation += 1;
        self.is_connected = true;
        self.written = None;
        self.upstream.connect(first_id);
        self.journal.connected(self.generation, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut is_broken = false;
        while let Some(output) = self.journal.poll(self.now) {
            match output {
                Output::Send(message) => self.to_upstream.push_back((None, utf8(&message))),
                Output::Deliver { message, answers } => self.deliver(&message, &answers),
                Output::Notice(gap) => self.client.notice(&gap),
                // A retried `open` that is not sent in time has no other outcome.
                Output::Failed(failure) => {
                    self.client.fail(failure.event, self.client.waiting.contains_key(&failure.event));
                }
                Output::Ready => self.send_held(),
                Output::Broken(_) => is_broken = true,
            }
        }
        if is_broken {
            self.lose(0);
        }
    }

    /// Runs until no message is on its way.
    fn settle(&mut self) {
        while !self.to_upstream.is_empty() || !self.upstream.out.is_empty() {
            self.read();
            self.receive();
        }
    }

    /// One good connection at the end: each request has its outcome, and both sides agree on what is open.
    fn end(&mut self) {
        (self.upstream.refuse, self.upstream.ignore) = (0, 0);
        self.lose(0);
        self.connect(2);
        self.settle();
        self.now += Duration::from_secs(3);
        self.drain();
        self.settle();
        assert!(self.journal.is_ready() && self.held.is_empty());
        assert_eq!(self.client.waiting.len(), 0, "requests without outcome");
        let topics =
            |event: &dyn Fn(&client::Sub) -> bool| self.client.open.values().filter(|sub| event(sub)).count();
        assert_eq!(self.upstream.open.len(), topics(&|sub| !sub.has_failed), "open at the upstream");
        for topic in 0..TOPICS {
            self.upstream.publish(topic);
        }
        self.settle();
        self.client.check_notices(self.generation);
        assert_eq!(self.client.is_accepted, self.wire.has_hello());
        if self.wire == Wire::Resuming {
            assert_eq!(self.client.holes, 0, "messages lost with a cursor");
        }
    }
}

fn utf8(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

fn run(wire: Wire, in_flight: InFlight, ops: Vec<Op>) {
    run_as(wire, false, in_flight, ops);
}

fn run_as(wire: Wire, is_program: bool, in_flight: InFlight, ops: Vec<Op>) {
    let mut world = World::new(wire, is_program, in_flight);
    for op in ops {
        world.apply(op);
    }
    world.end();
}

proptest! {
    #[test]
    fn no_history_breaks_a_session_with_assigned_ids(retry: bool, ops in vec(op(), 0..120)) {
        run(Wire::Rpc, in_flight(retry), ops);
    }

    #[test]
    fn no_history_loses_a_message_with_a_cursor(retry: bool, ops in vec(op(), 0..120)) {
        run(Wire::Resuming, in_flight(retry), ops);
    }

    #[test]
    fn no_history_breaks_a_session_with_chosen_ids(retry: bool, ops in vec(op(), 0..120)) {
        run(Wire::Chosen, in_flight(retry), ops);
    }

    #[test]
    fn no_history_breaks_a_session_that_a_program_describes(
        retry: bool,
        assigns: bool,
        ops in vec(op(), 0..120),
    ) {
        run_as(if assigns { Wire::Resuming } else { Wire::Chosen }, true, in_flight(retry), ops);
    }
}

pub fn in_flight(retry: bool) -> InFlight {
    if retry { InFlight::Retry } else { InFlight::Error }
}
