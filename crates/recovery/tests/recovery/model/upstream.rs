//! An upstream with numbered topics, which knows nothing of earlier connections.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::{Value, json};

use super::wire::{Request, Response, Wire};

pub const TOPICS: usize = 4;

pub struct Upstream {
    wire: Wire,
    /// Messages so far, by topic.
    numbers: [u64; TOPICS],
    /// Subscriptions of the current connection.
    pub open: BTreeMap<String, usize>,
    is_greeted: bool,
    next_id: u64,
    /// The next opens are refused, or have no answer.
    pub refuse: usize,
    pub ignore: usize,
    paid: HashSet<u64>,
    pub out: VecDeque<String>,
}

impl Upstream {
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            numbers: [0; TOPICS],
            open: BTreeMap::new(),
            is_greeted: false,
            next_id: 0,
            refuse: 0,
            ignore: 0,
            paid: HashSet::new(),
            out: VecDeque::new(),
        }
    }

    /// A new connection. Its ids begin at `first_id`, so that they meet those of other connections.
    pub fn connect(&mut self, first_id: u64) {
        self.open.clear();
        self.is_greeted = false;
        self.next_id = first_id;
        self.out.clear();
    }

    pub fn publish(&mut self, topic: usize) {
        self.numbers[topic] += 1;
        let ids = self.open.iter().filter(|(_, other)| **other == topic);
        let ids: Vec<_> = ids.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.send_data(&id, topic, self.numbers[topic]);
        }
    }

    fn send_data(&mut self, id: &str, topic: usize, number: u64) {
        let id = serde_json::from_str(id).unwrap();
        self.send(&Response::Data { id, topic, number });
    }

    fn send(&mut self, response: &Response) {
        self.out.push_back(self.wire.response(response));
    }

    pub fn receive(&mut self, text: &str) {
        match self.wire.read_request(text) {
            Request::Hello => {
                self.is_greeted = true;
                self.send(&Response::Accepted);
            }
            Request::Open { request, topic, id, since } => self.receive_open(request, topic, id, since),
            Request::Close { request, id } => {
                let ok = self.open.remove(&id.to_string()).is_some();
                self.send(&Response::Answer { request, id: Some(Value::Bool(true)), ok });
            }
            Request::Pay { request, number } => {
                assert!(self.paid.insert(number), "paid {number} twice");
                self.send(&Response::Answer { request, id: Some(json!("paid")), ok: true });
            }
        }
    }

    fn receive_open(&mut self, request: Value, topic: usize, id: Option<Value>, since: u64) {
        assert!(self.is_greeted || !self.wire.has_hello(), "an open before the hello");
        if self.refuse > 0 {
            self.refuse -= 1;
            return self.send(&Response::Answer { request, id: None, ok: false });
        }
        if self.ignore > 0 {
            self.ignore -= 1;
            return;
        }
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            json!(format!("0x{}", self.next_id))
        });
        assert!(self.open.insert(id.to_string(), topic).is_none(), "opened {id} twice");
        let chosen = self.wire == Wire::Chosen;
        self.send(&Response::Answer { request, id: Some(id.clone()).filter(|_| !chosen), ok: true });
        if self.wire == Wire::Resuming && since > 0 {
            // From the cursor, which the client has seen: an overlap of one.
            for number in since..=self.numbers[topic] {
                self.send_data(&id.to_string(), topic, number);
            }
        }
    }
}
