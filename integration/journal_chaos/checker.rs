//! What one client may receive, message by message.

use std::collections::{HashMap, HashSet};

use super::protocol::{Gap, Protocol, Reply};
use crate::harness::Value;

/// The requests and subscriptions of one client, as it sees them. Each method fails with a text when a guarantee is
/// broken.
#[derive(Debug)]
pub struct Checker {
    protocol: Protocol,
    /// Requests without answer.
    asked: HashMap<u64, Ask>,
    /// Open subscriptions by the id that the client was given.
    subscriptions: HashMap<String, Subscription>,
    /// Ids whose end is not answered yet: messages may still arrive.
    closing: HashMap<String, Subscription>,
    /// Ids that have ended, and are given to no other subscription since.
    closed: HashSet<String>,
    /// Closes without a request.
    closes: usize,
    /// Error replies to requests and closes, where these are not named.
    errors: usize,
    /// Events with an error reply.
    events: HashMap<String, String>,
    is_logged_in: bool,
    /// Subscriptions that the upstream has refused to restore. The error names the event that opened one.
    unrestored: usize,
    pub counts: Counts,
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Open {
        topic: usize,
        token: u64,
    },
    /// Ends the subscription with this id.
    Close {
        id: String,
    },
    /// Is answered after everything before it: a close of this id, and of the subscription with this token.
    Call {
        ended: Option<(String, u64)>,
    },
}

/// One subscription of a client.
#[derive(Debug)]
pub struct Subscription {
    topic: usize,
    token: u64,
    last: Option<u64>,
    /// The notices since the last message: generation and what was lost.
    notices: Vec<(u64, Value)>,
    generation: u64,
    /// Messages since the end of the chaos.
    pub received: usize,
}

/// Figures for the report.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub messages: usize,
    pub opened: usize,
    pub closed: usize,
    pub answered: usize,
    pub failed: usize,
    pub refused: usize,
    pub unrestored: usize,
    pub notices: usize,
    pub holes: usize,
    /// Messages in the holes.
    pub missing: u64,
    /// Notices that report a continuation without a loss.
    pub continued: usize,
}

/// What the client has to say to others about the end of a subscription: its token.
pub type Ended = Option<u64>;

// === impl Checker ===

impl Checker {
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            asked: HashMap::new(),
            subscriptions: HashMap::new(),
            closing: HashMap::new(),
            closed: HashSet::new(),
            closes: 0,
            errors: 0,
            events: HashMap::new(),
            is_logged_in: !protocol.has_login(),
            unrestored: 0,
            counts: Counts::default(),
        }
    }

    /// Subscriptions that are open or may become so.
    pub fn open_count(&self) -> usize {
        let opening = self.asked.values().filter(|ask| matches!(ask, Ask::Open { .. })).count();
        self.subscriptions.len() + opening
    }

    /// The ids of the open subscriptions, in a stable order.
    pub fn open_ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.subscriptions.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// Whether each request has its outcome.
    pub fn is_settled(&self) -> bool {
        match self.protocol.names_failures() {
            true => self.asked.is_empty(),
            // The errors beyond those of requests are closes that did not reach the upstream.
            false => (self.asked.len()..=self.asked.len() + self.closes).contains(&self.errors),
        }
    }

    /// What is left of the requests, for a report.
    pub fn unsettled(&self) -> String {
        format!("{:?} without answer, errors {:?}", self.asked, self.events)
    }

    /// Whether each subscription has received messages since the end of the chaos, but for those that could not be
    /// restored.
    pub fn is_served(&self) -> bool {
        let silent = self.subscriptions.values().filter(|subscription| subscription.received < 2);
        silent.count() <= self.unrestored
    }

    /// The chaos has ended.
    pub fn begin_calm(&mut self) {
        self.subscriptions.values_mut().for_each(|subscription| subscription.received = 0);
    }

    /// The client sends a request.
    pub fn asks(&mut self, request: u64, ask: Ask) {
        if let Ask::Close { id } = &ask {
            self.closes(id);
        }
        self.asked.insert(request, ask);
    }

    /// The client ends a subscription. Returns its token.
    pub fn closes(&mut self, id: &str) -> Option<u64> {
        let subscription = self.subscriptions.remove(id)?;
        let token = subscription.token;
        self.closes += usize::from(!self.protocol.names_failures());
        self.closing.insert(id.to_owned(), subscription);
        Some(token)
    }

    pub fn receives(&mut self, reply: Reply) -> Result<Ended, String> {
        match reply {
            Reply::LoggedIn => match std::mem::replace(&mut self.is_logged_in, true) {
                true => Err("an answer to the login of a replay".into()),
                false => Ok(None),
            },
            Reply::Opened { request, id, .. } => self.opened(request, id.to_string()),
            Reply::Answered { request } => self.answered(request),
            Reply::Failed { request, text } => self.failed(request, &text),
            Reply::Data { id, topic, token, number } => {
                self.data(&id.to_string(), topic, token, number).map(|()| None)
            }
            Reply::Error { event, text } => self.error(event, &text),
            Reply::Gap(gap) => self.gap(gap).map(|()| None),
        }
    }

    fn opened(&mut self, request: u64, id: String) -> Result<Ended, String> {
        let Some(Ask::Open { topic, token }) = self.asked.remove(&request) else {
            return Err(format!("{request} opens {id}, and is not awaited"));
        };
        // Without an answer to its close, an id is free once the upstream has the close.
        let ended = if self.protocol.names_failures() { None } else { self.closing.remove(&id) };
        if self.subscriptions.contains_key(&id) || self.closing.contains_key(&id) {
            return Err(format!("{id} is given to two subscriptions"));
        }
        self.closed.remove(&id);
        self.counts.closed += usize::from(ended.is_some());
        self.counts.opened += 1;
        let subscription =
            Subscription { topic, token, last: None, notices: Vec::new(), generation: 0, received: 0 };
        self.subscriptions.insert(id, subscription);
        Ok(ended.map(|subscription| subscription.token))
    }

    fn answered(&mut self, request: u64) -> Result<Ended, String> {
        self.counts.answered += 1;
        let ended = match self.asked.remove(&request) {
            Some(Ask::Close { id }) => Some(id),
            // The id may have become that of another subscription.
            Some(Ask::Call { ended }) => ended
                .filter(|(id, token)| self.closing.get(id).is_some_and(|closing| closing.token == *token))
                .map(|(id, _)| id),
            other => return Err(format!("{request} is answered, and was {other:?}")),
        };
        // A call that was sent before may have the same effect.
        let Some((id, subscription)) = ended.and_then(|id| self.closing.remove_entry(&id)) else {
            return Ok(None);
        };
        self.counts.closed += 1;
        self.closed.insert(id);
        Ok(Some(subscription.token))
    }

    fn failed(&mut self, request: u64, text: &str) -> Result<Ended, String> {
        self.counts.failed += 1;
        match self.asked.remove(&request) {
            Some(Ask::Open { token, .. }) => {
                self.counts.refused += usize::from(text.contains("recovery.max_entries"));
                Ok(Some(token))
            }
            // The subscription is still open.
            Some(Ask::Close { id }) => {
                let subscription = self.closing.remove(&id);
                self.subscriptions.extend(subscription.map(|subscription| (id, subscription)));
                Ok(None)
            }
            Some(Ask::Call { .. }) => Ok(None),
            None => Err(format!("{request} fails with {text:?}, and is not awaited")),
        }
    }

    /// An error that names an event: in this protocol, the client cannot tell which of its requests it was.
    fn error(&mut self, event: String, text: &str) -> Result<Ended, String> {
        if text.contains("refused the subscription after a reconnect") {
            self.unrestored += 1;
            self.counts.unrestored += 1;
            return self.once(event, text);
        }
        self.counts.failed += 1;
        self.counts.refused += usize::from(text.contains("recovery.max_entries"));
        if self.protocol.names_failures() {
            return Err(format!("an error in a foreign shape: {event} {text:?}"));
        }
        self.errors += 1;
        self.once(event, text)
    }

    /// Each event has one error at most.
    fn once(&mut self, event: String, text: &str) -> Result<Ended, String> {
        match self.events.insert(event.clone(), text.to_owned()) {
            None => Ok(None),
            Some(_) => Err(format!("{event} has two errors, the second is {text:?}")),
        }
    }

    fn data(&mut self, id: &str, topic: usize, token: u64, number: u64) -> Result<(), String> {
        self.counts.messages += 1;
        let open = self.subscriptions.get_mut(id).or(self.closing.get_mut(id));
        let Some(subscription) = open else {
            let what = if self.closed.contains(id) { "has ended" } else { "is unknown" };
            return Err(format!("{number} of topic {topic} for {id}, which {what} (token {token})"));
        };
        if (subscription.topic, subscription.token) != (topic, token) {
            return Err(format!("{id} is {subscription:?}, and receives topic {topic} of token {token}"));
        }
        subscription.received += 1;
        let notices = std::mem::take(&mut subscription.notices);
        let Some(last) = subscription.last.replace(number) else { return Ok(()) };
        if number <= last {
            return Err(format!("{id}: {number} after {last}"));
        }
        let missing = number - last - 1;
        self.counts.holes += usize::from(missing > 0);
        self.counts.missing += missing;
        if missing > 0 && notices.is_empty() {
            return Err(format!("{id}: {number} after {last}, without a notice"));
        }
        let counts: Vec<_> = notices.iter().filter_map(|(_, lost)| counted(lost)).collect();
        if counts.len() == notices.len() && !counts.is_empty() && counts.iter().sum::<u64>() != missing {
            return Err(format!("{id}: {number} after {last}, and the notices say {notices:?}"));
        }
        Ok(())
    }

    fn gap(&mut self, gap: Gap) -> Result<(), String> {
        self.counts.notices += 1;
        if gap.times.0 > gap.times.1 {
            return Err(format!("{gap:?} ends before it begins"));
        }
        let Some((id, key)) = &gap.entry else {
            return match self.subscriptions.len() <= self.unrestored {
                true => Ok(()),
                false => Err(format!("{gap:?} for the session, in place of its subscriptions")),
            };
        };
        let id = id.to_string();
        let open = self.subscriptions.get_mut(&id).or(self.closing.get_mut(&id));
        let Some(subscription) = open else {
            return Err(format!("{gap:?} for a subscription that is not open"));
        };
        if *key != self.protocol.key(subscription.topic, subscription.token) {
            return Err(format!("{gap:?} for {subscription:?}"));
        }
        if gap.generation <= subscription.generation {
            return Err(format!("{gap:?} after one of generation {}", subscription.generation));
        }
        subscription.generation = gap.generation;
        self.counts.continued += usize::from(gap.lost == "none");
        subscription.notices.push((gap.generation, gap.lost));
        Ok(())
    }
}

/// The number of lost messages, if a notice has it.
fn counted(lost: &Value) -> Option<u64> {
    if lost == "none" { Some(0) } else { lost.as_u64() }
}

/// That each broken guarantee is found.
mod tests {
    use super::*;
    use crate::harness::json;

    fn data(id: u64, number: u64) -> Reply {
        Reply::Data { id: json!(id), topic: 3, token: 1, number }
    }

    fn gap(id: u64, generation: u64, lost: Value) -> Reply {
        let key = Protocol::JsonRpc.key(3, 1);
        Reply::Gap(Gap { entry: Some((json!(id), key)), times: times(), generation, lost })
    }

    fn times() -> (String, String) {
        ("2026-01-01T00:00:01.500Z".into(), "2026-01-01T00:00:01.700Z".into())
    }

    fn opened(request: u64, id: u64) -> Reply {
        Reply::Opened { request, id: json!(id), resumed: false }
    }

    /// A client with the open subscription 7, which has received number 5. Request 2 closes it, 3 has no answer.
    fn checker() -> Checker {
        let mut checker = Checker::new(Protocol::JsonRpc);
        checker.asks(1, Ask::Open { topic: 3, token: 1 });
        checker.asks(3, Ask::Open { topic: 4, token: 3 });
        checker.receives(opened(1, 7)).unwrap();
        checker.receives(data(7, 5)).unwrap();
        checker
    }

    fn closed() -> Checker {
        let mut checker = checker();
        checker.asks(2, Ask::Close { id: "7".into() });
        assert_eq!(checker.receives(Reply::Answered { request: 2 }), Ok(Some(1)));
        checker
    }

    #[test]
    fn what_is_allowed_passes() {
        let mut checker = checker();
        let allowed = [
            data(7, 6),
            gap(7, 2, json!("unknown")),
            data(7, 9),
            gap(7, 3, json!(1)),
            gap(7, 4, json!(2)),
            data(7, 13),
            gap(7, 5, json!("none")),
            data(7, 14),
            opened(3, 8),
        ];
        for reply in allowed {
            assert_eq!(checker.receives(reply), Ok(None));
        }
        assert!(checker.is_settled());
        assert_eq!((checker.counts.holes, checker.counts.missing, checker.counts.notices), (2, 5, 4));
    }

    #[test]
    fn each_broken_guarantee_is_found() {
        let foreign = || Reply::Data { id: json!(7), topic: 4, token: 1, number: 6 };
        let notice = |entry, times| Reply::Gap(Gap { entry, times, generation: 2, lost: json!("unknown") });
        let whole = notice(None, times());
        let other = notice(Some((json!(7), Protocol::JsonRpc.key(4, 1))), times());
        let backwards = notice(Some((json!(7), Protocol::JsonRpc.key(3, 1))), (times().1, times().0));
        let failed = || Reply::Failed { request: 1, text: String::new() };
        let named = || Reply::Error { event: "1:0:1".into(), text: String::new() };
        let cases: [(&str, Checker, Vec<Reply>); 16] = [
            ("a number twice", checker(), vec![data(7, 5)]),
            ("a lower number", checker(), vec![data(7, 4)]),
            ("a hole without a notice", checker(), vec![data(7, 7)]),
            ("a notice that counts less", checker(), vec![gap(7, 2, json!(1)), data(7, 9)]),
            ("a loss behind none", checker(), vec![gap(7, 2, json!("none")), data(7, 9)]),
            ("two notices of a generation", checker(), vec![gap(7, 2, json!("unknown")); 2]),
            ("a notice of an unknown id", checker(), vec![gap(8, 2, json!("unknown"))]),
            ("a notice for the session", checker(), vec![whole]),
            ("a notice with the key of another", checker(), vec![other]),
            ("a notice of a negative time", checker(), vec![backwards]),
            ("an unknown id", checker(), vec![data(8, 1)]),
            ("another topic", checker(), vec![foreign()]),
            ("an id for two", checker(), vec![opened(3, 7)]),
            ("an answer twice", checker(), vec![opened(1, 8)]),
            ("an error after the answer", checker(), vec![failed()]),
            ("a closed subscription", closed(), vec![data(7, 6)]),
        ];
        for (name, mut checker, replies) in cases {
            let last = replies.into_iter().map(|reply| checker.receives(reply)).last();
            assert!(matches!(last, Some(Err(_))), "{name}: {last:?}");
        }
        assert!(checker().receives(named()).is_err(), "an error in a foreign shape");
        let mut patterns = Checker::new(Protocol::Patterns);
        assert_eq!(patterns.receives(named()), Ok(None));
        assert!(patterns.receives(named()).is_err(), "two errors of an event");
        assert_eq!(patterns.receives(Reply::LoggedIn), Ok(None));
        assert!(patterns.receives(Reply::LoggedIn).is_err(), "an answer to a replayed login");
    }
}
