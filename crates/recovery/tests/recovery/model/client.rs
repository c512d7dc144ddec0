//! A client that checks everything it receives.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use towline_recovery::{Gap, Missing};

use super::wire::{Request, Response, Wire};

pub struct Client {
    wire: Wire,
    /// Requests without outcome, by event.
    pub waiting: BTreeMap<u64, Request>,
    /// Subscriptions by the id that the client knows.
    pub open: HashMap<String, Sub>,
    /// Closed subscriptions, with the generation in which the client closed them.
    closed: HashMap<String, u64>,
    /// Request ids of subscriptions that could not be restored: the upstream may still answer the replay.
    late: HashSet<u64>,
    pub is_accepted: bool,
    pub holes: u64,
}

pub struct Sub {
    event: u64,
    request: u64,
    topic: usize,
    last: Option<u64>,
    /// The generation of the last notice, and whether it came after the last message.
    notice: Option<u64>,
    is_noticed: bool,
    missing: Option<Missing>,
    /// The generation in which it was opened.
    opened: u64,
    pub has_failed: bool,
}

impl Client {
    pub fn new(wire: Wire) -> Self {
        let (waiting, open, closed, late) = Default::default();
        Self { wire, waiting, open, closed, late, is_accepted: false, holes: 0 }
    }

    /// Makes the text of `request` and waits for its outcome.
    pub fn send(&mut self, event: u64, request: Request) -> String {
        let text = self.wire.request(&request);
        if request != Request::Hello {
            self.waiting.insert(event, request);
        }
        text
    }

    pub fn id_of(&self, nth: usize) -> Option<Value> {
        let mut ids: Vec<_> = self.open.keys().collect();
        ids.sort();
        let id = ids.get(nth % ids.len().max(1))?;
        Some(serde_json::from_str(id).unwrap())
    }

    /// The client believes a subscription closed from the moment in which it says so.
    pub fn close(&mut self, id: &Value, generation: u64) {
        self.open.remove(&id.to_string());
        self.closed.insert(id.to_string(), generation);
    }

    pub fn receive(&mut self, text: &str, answers: &[u64], generation: u64) {
        match self.wire.read_response(text) {
            Response::Accepted => {
                assert!(!self.is_accepted, "a second answer to the hello");
                self.is_accepted = true;
            }
            Response::Answer { request, id, ok } => {
                self.receive_answer(&request, id, ok, answers, generation)
            }
            Response::Data { id, topic, number } => self.receive_data(&id, topic, number, generation),
        }
    }

    fn receive_answer(&mut self, request: &Value, id: Option<Value>, ok: bool, answers: &[u64], opened: u64) {
        let number =
            request.as_u64().unwrap_or_else(|| panic!("an answer to the replay is visible: {request}"));
        let mut waiting = self.waiting.iter().filter(|(_, sent)| sent.number() == Some(number));
        let event = *waiting.next().unwrap_or_else(|| panic!("a second outcome of {number}")).0;
        assert!(answers.is_empty() || answers == [event]);
        let sent = self.waiting.remove(&event).unwrap();
        let Request::Open { topic, id: chosen, .. } = sent else { return };
        if !ok {
            return;
        }
        let id = chosen.or(id).unwrap().to_string();
        self.closed.remove(&id);
        let (last, notice, is_noticed, missing, has_failed) = (None, None, false, None, false);
        let sub =
            Sub { event, request: number, topic, last, notice, is_noticed, missing, opened, has_failed };
        assert!(self.open.insert(id, sub).is_none(), "two subscriptions with one id");
    }

    fn receive_data(&mut self, id: &Value, topic: usize, number: u64, generation: u64) {
        let Some(sub) = self.open.get_mut(&id.to_string()) else {
            let closed = self.closed.get(&id.to_string());
            assert_eq!(closed, Some(&generation), "data of {id}, which is closed or unknown");
            return;
        };
        assert_eq!(sub.topic, topic, "{id} belongs to another topic");
        assert!(!sub.has_failed, "data of {id}, which has failed");
        if let Some(last) = sub.last {
            assert!(number > last, "{number} after {last}");
            let missing = number - last - 1;
            if missing > 0 {
                assert!(sub.is_noticed, "a hole of {missing} without a notice");
                assert_ne!(sub.missing, Some(Missing::None), "a hole in a gap without losses");
                self.holes += missing;
            }
            if let Some(Missing::Count(count)) = sub.missing {
                assert_eq!(count, missing);
            }
        }
        (sub.last, sub.is_noticed, sub.missing) = (Some(number), false, None);
    }

    pub fn notice(&mut self, gap: &Gap) {
        assert!(gap.since <= gap.until);
        let Some(entry) = &gap.entry else { return };
        let id = std::str::from_utf8(&entry.id).unwrap();
        let Some(sub) = self.open.get_mut(id) else {
            assert!(self.closed.contains_key(id), "a notice for an unknown subscription");
            return;
        };
        assert_eq!(entry.event, sub.event);
        assert!(sub.notice.is_none_or(|last| last < gap.generation), "two notices for one reconnect");
        (sub.notice, sub.is_noticed, sub.missing) = (Some(gap.generation), true, Some(gap.missing));
    }

    /// After a replay and a message to each topic, each subscription that it restored has its notice.
    pub fn check_notices(&self, generation: u64) {
        for (id, sub) in self.open.iter().filter(|(_, sub)| !sub.has_failed && sub.opened < generation) {
            assert_eq!(sub.notice, Some(generation), "the last notice of {id}");
        }
    }

    /// An error of `event`: of a request, or of a subscription that was open.
    pub fn fail(&mut self, event: u64, is_outcome: bool) {
        let waited = self.waiting.remove(&event).is_some();
        assert_eq!(waited, is_outcome, "the failure of {event}");
        for sub in self.open.values_mut().filter(|sub| !is_outcome && sub.event == event) {
            assert!(!sub.has_failed, "a second failure of one subscription");
            sub.has_failed = true;
            self.late.insert(sub.request);
        }
    }

    /// A `close` has become true by the loss of the connection, or was of a subscription that has failed.
    pub fn done(&mut self, event: u64) {
        let request = self.waiting.remove(&event);
        assert!(matches!(request, Some(Request::Close { .. })), "{request:?} is done");
    }

    /// The lowest id of no request without answer, as clients use them again.
    pub fn new_request(&self) -> Value {
        let is_used = |number| self.waiting.values().any(|sent| sent.number() == Some(number));
        json!((0..).find(|number| !is_used(*number) && !self.late.contains(number)).unwrap())
    }

    pub fn new_id(&self, event: u64) -> Option<Value> {
        (self.wire == Wire::Chosen).then(|| json!(format!("c{event}")))
    }
}
