//! What one connection owes: events sent and not yet settled, and which reply belongs to which (C1, C6).
//!
//! Pure; `now` is passed in. It lives and dies with its connection, so nothing of an old connection can
//! meet a new one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{event::Value, settings, wire::memory};

/// Overdue replies that are remembered where replies have keys, so that a late one is not taken for that of a
/// newer event with the same key. The oldest are forgotten. Where replies are found by order, all are
/// remembered: they are fewer than `max_overdue`, or the connection ends.
pub const LATE_MAX: usize = 8;

/// Events sent on one connection; `T` is the obligation each carries.
#[derive(Debug)]
pub struct InFlight<T> {
    mode: settings::ExchangeMode,
    /// Whether replies are found by keys.
    correlated: bool,
    timeout: Duration,
    /// Replies overdue in a row, with none in time between them, after which the connection is of no use: an
    /// upstream that answers nothing any more, or whose replies are one behind its requests, does not recover.
    max_overdue: usize,
    /// In the order of sending: first those on the wire, then those still queued.
    entries: VecDeque<Entry<T>>,
    /// How many of the front are on the wire.
    written: usize,
    /// Entries whose time is over and whose reply may still come.
    overdue: usize,
    overdue_in_row: usize,
    last_written: Option<u64>,
}

/// An event that was sent.
#[derive(Debug)]
struct Entry<T> {
    /// Its number in the session.
    event: u64,
    /// Rare, and boxed to keep the others small.
    tags: Option<Box<Tags>>,
    /// What is owed; taken from an entry that is overdue.
    owed: Option<T>,
    awaits_reply: bool,
    /// When it has to be on the wire, and from then on when its reply is overdue.
    deadline: Instant,
}

/// What an event is found by and what its reply carries on.
#[derive(Debug, Default)]
pub struct Tags {
    /// Its correlation key, where the upstream has one configured.
    pub key: Option<Value>,
    /// Its `$correlation`.
    pub correlation: Option<Value>,
}

/// Whose reply an upstream message is.
#[derive(Debug, PartialEq)]
pub enum ReplyMatch<T> {
    /// That of the event with this obligation and `$correlation`.
    Reply(T, Option<Value>),
    /// Nobody's, or that of an event that has been reported as failed.
    Push,
}

/// An event whose connection is gone.
#[derive(Debug, PartialEq)]
pub struct Unsettled<T> {
    /// Its number in the session.
    pub event: u64,
    /// Whether it is on the wire, so that the upstream may have acted on it.
    pub written: bool,
    /// `$correlation`.
    pub correlation: Option<Value>,
    /// What is owed.
    pub owed: T,
}

impl<T> InFlight<T> {
    /// Nothing sent yet.
    pub fn new(
        mode: settings::ExchangeMode,
        correlated: bool,
        timeout: Duration,
        max_overdue: usize,
    ) -> Self {
        Self {
            mode,
            correlated,
            timeout,
            max_overdue,
            entries: VecDeque::new(),
            written: 0,
            overdue: 0,
            overdue_in_row: 0,
            last_written: None,
        }
    }

    /// Notes that an event was queued for the wire. Where replies are found by keys, only an event that has
    /// one awaits a reply.
    pub fn sent(&mut self, event: u64, tags: Tags, owed: T, now: Instant) {
        let awaits_reply =
            self.mode == settings::ExchangeMode::Request && (!self.correlated || tags.key.is_some());
        let (owed, deadline) = (Some(owed), now + self.timeout);
        let tagged = tags.key.is_some() || tags.correlation.is_some();
        let tags = tagged.then(|| Box::new(tags));
        self.entries.push_back(Entry { event, tags, owed, awaits_reply, deadline });
    }

    /// Notes that the oldest queued event is on the wire. Gives back what is owed when that settles it.
    pub fn written(&mut self, now: Instant) -> Option<T> {
        let entry = self.entries.get_mut(self.written)?;
        self.last_written = Some(entry.event);
        if entry.awaits_reply {
            entry.deadline = now + self.timeout;
            self.written += 1;
            return None;
        }
        let entry = self.entries.remove(self.written)?;
        memory::shrink_if_idle(&mut self.entries);
        entry.owed
    }

    /// Finds the event that an upstream message answers: the oldest with that key, or where there are no
    /// keys the oldest. The reply to an overdue event is a push, and never another event's reply.
    pub fn reply(&mut self, key: Option<&Value>) -> ReplyMatch<T> {
        let on_wire = self.entries.range(..self.written);
        let position = match self.correlated {
            false => (self.written > 0).then_some(0),
            true => key
                .and_then(|key| on_wire.enumerate().find(|(_, entry)| entry.key() == Some(key)))
                .map(|(at, _)| at),
        };
        let Some(entry) = position.and_then(|at| self.entries.remove(at)) else { return ReplyMatch::Push };
        self.written -= 1;
        memory::shrink_if_idle(&mut self.entries);
        match entry.owed {
            Some(owed) => {
                self.overdue_in_row = 0;
                ReplyMatch::Reply(owed, entry.tags.and_then(|tags| tags.correlation))
            }
            None => {
                self.overdue -= 1;
                ReplyMatch::Push
            }
        }
    }

    /// The events whose reply is overdue. Each stays in its place as a stand-in for its late reply.
    pub fn expire(&mut self, now: Instant) -> Vec<Unsettled<T>> {
        let mut expired = Vec::new();
        for entry in self.entries.range_mut(..self.written) {
            if entry.deadline > now {
                break;
            }
            if let Some(owed) = entry.owed.take() {
                self.overdue += 1;
                self.overdue_in_row += 1;
                let correlation = entry.tags.as_mut().and_then(|tags| tags.correlation.take());
                expired.push(Unsettled { event: entry.event, written: true, correlation, owed });
            }
        }
        self.forget_old();
        expired
    }

    /// When [`InFlight::expire`] has something to do next, or an event will have waited too long for the
    /// wire.
    pub fn next_deadline(&self) -> Option<Instant> {
        let on_wire = self.entries.range(..self.written).find(|entry| entry.owed.is_some());
        on_wire.into_iter().chain(self.queued()).map(|entry| entry.deadline).min()
    }

    /// Whether the connection is of no use: so many replies are overdue, or the upstream has not read an
    /// event in the time it had for its answer. Such an event cannot fail by itself, since its bytes are on
    /// their way (C6); the connection has to end with it.
    pub fn is_hopeless(&self, now: Instant) -> bool {
        self.overdue_in_row >= self.max_overdue || self.is_stalled(now)
    }

    /// Whether the upstream has not read an event in the time it had for its answer.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.queued().is_some_and(|entry| entry.deadline <= now)
    }

    /// The oldest request that is not on the wire.
    fn queued(&self) -> Option<&Entry<T>> {
        self.entries.get(self.written).filter(|_| self.mode == settings::ExchangeMode::Request)
    }

    /// The event that was last put on the wire.
    pub fn last_written(&self) -> Option<u64> {
        self.last_written
    }

    /// How many events are not settled.
    pub fn len(&self) -> usize {
        self.entries.len() - self.overdue
    }

    /// Whether every event is settled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything that is not settled, oldest first; nothing is owed any more.
    pub fn end(&mut self) -> Vec<Unsettled<T>> {
        let written = std::mem::take(&mut self.written);
        self.overdue = 0;
        let entries = std::mem::take(&mut self.entries);
        let unsettled = entries.into_iter().enumerate().filter_map(|(at, entry)| {
            let Entry { event, tags, owed, .. } = entry;
            let correlation = tags.and_then(|tags| tags.correlation);
            Some(Unsettled { event, written: at < written, correlation, owed: owed? })
        });
        unsettled.collect()
    }

    /// Drops the oldest stand-ins beyond [`LATE_MAX`] where replies have keys.
    fn forget_old(&mut self) {
        while self.correlated && self.overdue > LATE_MAX {
            let stand_in = self.entries.iter().position(|entry| entry.owed.is_none());
            if stand_in.and_then(|at| self.entries.remove(at)).is_none() {
                return;
            }
            self.written -= 1;
            self.overdue -= 1;
        }
    }
}

impl<T> Entry<T> {
    fn key(&self) -> Option<&Value> {
        self.tags.as_ref()?.key.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::ExchangeMode::{Request, Stream};

    const TIMEOUT: Duration = Duration::from_secs(30);
    const MAX_OVERDUE: usize = 3;

    fn exchange(mode: settings::ExchangeMode) -> InFlight<u64> {
        InFlight::new(mode, false, TIMEOUT, MAX_OVERDUE)
    }

    fn send(exchange: &mut InFlight<u64>, events: impl IntoIterator<Item = u64>) {
        for event in events {
            exchange.sent(event, Tags::default(), event, Instant::now());
        }
    }

    #[test]
    fn replies_settle_the_oldest_event_on_the_wire() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0, 1]);
        assert_eq!(exchange.reply(None), ReplyMatch::Push, "nothing is on the wire yet");
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.reply(None), ReplyMatch::Reply(0, None));
        assert_eq!(exchange.reply(None), ReplyMatch::Reply(1, None));
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert!(exchange.is_empty());
    }

    #[test]
    fn a_late_reply_is_a_push_and_never_the_next_events_reply() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0]);
        exchange.written(now);
        assert!(exchange.expire(now).is_empty());
        let expired = exchange.expire(now + TIMEOUT);
        assert_eq!(expired, [Unsettled { event: 0, written: true, correlation: None, owed: 0 }]);
        send(&mut exchange, [1]);
        exchange.written(now + TIMEOUT);
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.reply(None), ReplyMatch::Reply(1, None));
    }

    #[test]
    fn keys_match_out_of_order_and_an_event_without_key_awaits_nothing() {
        let now = Instant::now();
        let mut exchange = InFlight::new(Request, true, TIMEOUT, MAX_OVERDUE);
        let key = |text: &str| Some(Value::string(text));
        exchange.sent(0, Tags { key: key("a"), correlation: None }, 0, now);
        exchange.sent(1, Tags::default(), 1, now);
        exchange.sent(2, Tags { key: key("b"), correlation: key("tag") }, 2, now);
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.written(now), Some(1));
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.reply(key("b").as_ref()), ReplyMatch::Reply(2, key("tag")));
        assert_eq!(exchange.reply(key("b").as_ref()), ReplyMatch::Push);
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.reply(key("a").as_ref()), ReplyMatch::Reply(0, None));
    }

    #[test]
    fn a_stream_settles_what_it_writes_and_tells_the_last() {
        let now = Instant::now();
        let mut exchange = exchange(Stream);
        send(&mut exchange, [4, 5, 6]);
        assert_eq!(exchange.written(now), Some(4));
        assert_eq!(exchange.written(now), Some(5));
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.last_written(), Some(5));
        assert_eq!(exchange.end(), [Unsettled { event: 6, written: false, correlation: None, owed: 6 }]);
    }

    #[test]
    fn the_end_tells_the_written_from_the_queued() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0, 1, 2]);
        exchange.written(now);
        exchange.written(now);
        exchange.reply(None);
        let ends: Vec<_> = exchange.end().into_iter().map(|lost| (lost.event, lost.written)).collect();
        assert_eq!(ends, [(1, true), (2, false)]);
        assert!(exchange.end().is_empty());
    }

    #[test]
    fn an_upstream_that_answers_nothing_is_hopeless() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, 0..MAX_OVERDUE as u64);
        for _ in 0..MAX_OVERDUE {
            exchange.written(now);
        }
        assert_eq!(exchange.next_deadline(), Some(now + TIMEOUT));
        exchange.expire(now + TIMEOUT);
        assert!(exchange.is_hopeless(now + TIMEOUT));
        assert_eq!(exchange.next_deadline(), None);
    }

    #[test]
    fn an_upstream_that_does_not_read_is_hopeless() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        exchange.sent(0, Tags::default(), 0, now);
        assert_eq!(exchange.next_deadline(), Some(now + TIMEOUT));
        assert!(!exchange.is_hopeless(now));
        assert!(exchange.expire(now + TIMEOUT).is_empty(), "it may still be read");
        assert!(exchange.is_hopeless(now + TIMEOUT));
    }

    #[test]
    fn an_upstream_whose_replies_are_one_behind_is_hopeless() {
        let mut now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0]);
        exchange.written(now);
        for event in 1..=MAX_OVERDUE as u64 {
            now += TIMEOUT;
            assert_eq!(exchange.expire(now).len(), 1);
            send(&mut exchange, [event]);
            exchange.written(now);
            assert_eq!(exchange.reply(None), ReplyMatch::Push);
        }
        assert!(exchange.is_hopeless(now + TIMEOUT));
    }

    #[test]
    fn one_reply_in_time_gives_the_connection_another_chance() {
        let now = Instant::now();
        let key = |number: usize| Some(Value::Int(number as i64));
        let mut exchange = InFlight::new(Request, true, TIMEOUT, MAX_OVERDUE);
        for number in 0..3 * LATE_MAX {
            exchange.sent(number as u64, Tags { key: key(number), correlation: None }, number as u64, now);
            exchange.written(now);
            exchange.expire(now + TIMEOUT);
            exchange.sent(0, Tags { key: key(1000), correlation: None }, 1000, now);
            exchange.written(now);
            assert_eq!(exchange.reply(key(1000).as_ref()), ReplyMatch::Reply(1000, None));
            assert!(!exchange.is_hopeless(now));
        }
        assert!(exchange.entries.len() <= LATE_MAX, "stand-ins are bounded");
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Send(Option<u8>),
        Write,
        Reply(Option<u8>),
        Expire,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let key = || proptest::option::of(0..3_u8);
        let act = prop_oneof![
            3 => key().prop_map(Act::Send),
            3 => Just(Act::Write),
            3 => key().prop_map(Act::Reply),
            1 => Just(Act::Expire),
        ];
        proptest::collection::vec(act, 0..100)
    }

    proptest! {
        /// Whatever happens, each obligation is given back once, and in order where there are no keys.
        #[test]
        fn every_obligation_is_given_back_once(acts in acts(), correlated: bool, stream: bool) {
            let mut exchange = InFlight::new(if stream { Stream } else { Request }, correlated, TIMEOUT, MAX_OVERDUE);
            let mut now = Instant::now();
            let (mut next, mut back) = (0, Vec::new());
            for act in acts {
                now += Duration::from_secs(1);
                match act {
                    Act::Send(key) => {
                        let key = key.filter(|_| correlated).map(|key| Value::Int(key.into()));
                        exchange.sent(next, Tags { key, correlation: None }, next, now);
                        next += 1;
                    }
                    Act::Write => back.extend(exchange.written(now)),
                    Act::Reply(key) => {
                        let key = key.map(|key| Value::Int(key.into()));
                        if let ReplyMatch::Reply(owed, _) = exchange.reply(key.as_ref()) {
                            back.push(owed);
                        }
                    }
                    Act::Expire => {
                        now += TIMEOUT;
                        back.extend(exchange.expire(now).into_iter().map(|late| late.owed));
                    }
                }
                prop_assert_eq!(exchange.len(), next as usize - back.len());
            }
            back.extend(exchange.end().into_iter().map(|lost| lost.owed));
            if !correlated {
                prop_assert!(back.is_sorted());
            }
            back.sort_unstable();
            prop_assert_eq!(back, (0..next).collect::<Vec<_>>());
        }
    }
}
