//! The events in flight on one connection, and the matching of replies to events (guarantees C1, C6).
//!
//! No actors, sockets or clocks are used here: `now` is passed in. Each connection has its own instance, so a
//! reply on a new connection cannot match an event of an old one.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    event::{EventNumber, Value},
    failure::Written,
    settings,
    wire::memory,
};

/// Maximum number of overdue events that are kept when replies match by key, so that a late reply is not
/// mistaken for the reply to a newer event with the same key. The oldest are removed first. When replies
/// match by order, all are kept, because the connection ends before there are more than `max_overdue`.
pub const LATE_MAX: usize = 8;

/// The events in flight on one connection. `T` is the obligation to settle an event: the event's ticket.
#[derive(Debug)]
pub struct InFlight<T> {
    mode: settings::ExchangeMode,
    /// Whether replies match by key.
    correlated: bool,
    timeout: Duration,
    /// The number of overdue replies in a row, without a reply in time between them, at which the connection
    /// ends. An upstream whose replies stop or lag one behind its requests does not recover.
    max_overdue: usize,
    /// The events in the order of sending: first the written ones, then the queued ones.
    entries: VecDeque<InFlightEvent<T>>,
    /// Number of written events at the front of `entries`.
    written: usize,
    /// Whether messages of the event after these have been written, but not its last message.
    is_partly_written: bool,
    /// Number of entries whose reply is overdue. The reply may still arrive.
    overdue: usize,
    overdue_in_row: usize,
    last_written: Option<EventNumber>,
}

/// An event that was sent.
#[derive(Debug)]
struct InFlightEvent<T> {
    /// The event's number in the session.
    event: EventNumber,
    /// The values that match the event with its reply. Boxed, because few events have any.
    tags: Option<Box<Tags>>,
    /// The obligation to settle the event; `None` once the event is overdue and has been reported.
    owed: Option<T>,
    awaits_reply: bool,
    /// The time by which a queued event must be written, or the reply to a written event must arrive.
    deadline: Instant,
}

/// The values by which a reply is matched with its event, and that the reply carries.
#[derive(Debug, Default)]
pub struct Tags {
    /// The event's correlation key; `None` when the upstream has no `correlation`, or the event has no such value.
    pub key: Option<Value>,
    /// The event's `$correlation`, which the reply gets as well.
    pub correlation: Option<Value>,
}

/// The result of matching an upstream message.
#[derive(Debug, PartialEq)]
pub enum ReplyMatch<T> {
    /// The message is the reply to the event with this obligation and this `$correlation`.
    Reply(T, Option<Value>),
    /// The message answers no event, or one that has already been reported as failed.
    Push,
}

/// An event that is overdue, or whose connection has ended.
#[derive(Debug, PartialEq)]
pub struct Unsettled<T> {
    /// The event's number in the session.
    pub event: EventNumber,
    /// How much of the event was written to the socket. The upstream may have acted on that part.
    pub written: Written,
    /// The event's `$correlation`.
    pub correlation: Option<Value>,
    /// The obligation to settle the event.
    pub owed: T,
}

impl<T> InFlight<T> {
    /// Creates an instance without events in flight.
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
            is_partly_written: false,
            overdue: 0,
            overdue_in_row: 0,
            last_written: None,
        }
    }

    /// Adds an event that was queued for the socket. When replies match by key, events without one await no reply.
    pub fn sent(&mut self, event: EventNumber, tags: Tags, owed: T, now: Instant) {
        let awaits_reply =
            self.mode == settings::ExchangeMode::Request && (!self.correlated || tags.key.is_some());
        let (owed, deadline) = (Some(owed), now + self.timeout);
        let tagged = tags.key.is_some() || tags.correlation.is_some();
        let tags = tagged.then(|| Box::new(tags));
        self.entries.push_back(InFlightEvent { event, tags, owed, awaits_reply, deadline });
    }

    /// Records that a message of the oldest queued event was written to the socket, but not the event's last one.
    pub fn partly_written(&mut self) {
        self.is_partly_written = true;
    }

    /// Records that the oldest queued event was written. Returns its obligation if it awaits no reply.
    pub fn written(&mut self, now: Instant) -> Option<T> {
        self.is_partly_written = false;
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

    /// Matches an upstream message with the oldest written event, or, when replies match by key, with the
    /// oldest one that has this key. The late reply to an overdue event is a push, and never counts as
    /// another event's reply.
    pub fn reply(&mut self, key: Option<&Value>) -> ReplyMatch<T> {
        let written = self.entries.range(..self.written);
        let position = match self.correlated {
            false => (self.written > 0).then_some(0),
            true => key
                .and_then(|key| written.enumerate().find(|(_, entry)| entry.key() == Some(key)))
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

    /// Takes the obligations of events whose reply is overdue. The entries remain, to match late replies.
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
                expired.push(Unsettled { event: entry.event, written: Written::Whole, correlation, owed });
            }
        }
        self.forget_oldest();
        expired
    }

    /// The earliest time at which a reply becomes overdue or the connection stalls; `None` if there is none.
    /// See [`InFlight::expire`] and [`InFlight::is_stalled`].
    pub fn next_deadline(&self) -> Option<Instant> {
        let written = self.entries.range(..self.written).find(|entry| entry.owed.is_some());
        written.into_iter().chain(self.queued()).map(|entry| entry.deadline).min()
    }

    /// Whether the connection must be replaced: `max_overdue` replies in a row are overdue, or it is stalled.
    pub fn must_be_replaced(&self, now: Instant) -> bool {
        self.overdue_in_row >= self.max_overdue || self.is_stalled(now)
    }

    /// Whether the upstream has not read a request within `reply_timeout`. That request alone cannot fail:
    /// part of it may have been written, and the rest would follow (guarantee C6). So the whole connection
    /// must end.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.queued().is_some_and(|entry| entry.deadline <= now)
    }

    /// The oldest request that is not written; `None` if all are.
    fn queued(&self) -> Option<&InFlightEvent<T>> {
        self.entries.get(self.written).filter(|_| self.mode == settings::ExchangeMode::Request)
    }

    /// The last event that was written to the socket; `None` if there is none.
    pub fn last_written(&self) -> Option<EventNumber> {
        self.last_written
    }

    /// Number of unsettled events.
    pub fn len(&self) -> usize {
        self.entries.len() - self.overdue
    }

    /// Whether every event is settled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all unsettled events, oldest first, because the connection has ended.
    pub fn end(&mut self) -> Vec<Unsettled<T>> {
        let written = std::mem::take(&mut self.written);
        let is_partly_written = std::mem::take(&mut self.is_partly_written);
        self.overdue = 0;
        let entries = std::mem::take(&mut self.entries);
        let unsettled = entries.into_iter().enumerate().filter_map(|(at, entry)| {
            let InFlightEvent { event, tags, owed, .. } = entry;
            let correlation = tags.and_then(|tags| tags.correlation);
            let written = match at.cmp(&written) {
                Ordering::Less => Written::Whole,
                Ordering::Equal if is_partly_written => Written::Partly,
                Ordering::Equal | Ordering::Greater => Written::Nothing,
            };
            Some(Unsettled { event, written, correlation, owed: owed? })
        });
        unsettled.collect()
    }

    /// When replies match by key, removes the oldest overdue entries beyond [`LATE_MAX`].
    fn forget_oldest(&mut self) {
        while self.correlated && self.overdue > LATE_MAX {
            let oldest = self.entries.iter().position(|entry| entry.owed.is_none());
            if oldest.and_then(|at| self.entries.remove(at)).is_none() {
                return;
            }
            self.written -= 1;
            self.overdue -= 1;
        }
    }
}

impl<T> InFlightEvent<T> {
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
            exchange.sent(EventNumber(event), Tags::default(), event, Instant::now());
        }
    }

    #[test]
    fn replies_settle_the_oldest_written_event() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0, 1]);
        assert_eq!(exchange.reply(None), ReplyMatch::Push, "no event is written yet");
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
        assert_eq!(
            expired,
            [Unsettled { event: EventNumber(0), written: Written::Whole, correlation: None, owed: 0 }]
        );
        send(&mut exchange, [1]);
        exchange.written(now + TIMEOUT);
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.reply(None), ReplyMatch::Reply(1, None));
    }

    #[test]
    fn keys_match_in_any_order_and_an_event_without_key_awaits_no_reply() {
        let now = Instant::now();
        let mut exchange = InFlight::new(Request, true, TIMEOUT, MAX_OVERDUE);
        let key = |text: &str| Some(Value::string(text));
        exchange.sent(EventNumber(0), Tags { key: key("a"), correlation: None }, 0, now);
        exchange.sent(EventNumber(1), Tags::default(), 1, now);
        exchange.sent(EventNumber(2), Tags { key: key("b"), correlation: key("tag") }, 2, now);
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.written(now), Some(1));
        assert_eq!(exchange.written(now), None);
        assert_eq!(exchange.reply(key("b").as_ref()), ReplyMatch::Reply(2, key("tag")));
        assert_eq!(exchange.reply(key("b").as_ref()), ReplyMatch::Push);
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.reply(key("a").as_ref()), ReplyMatch::Reply(0, None));
    }

    #[test]
    fn a_stream_settles_written_events_and_remembers_the_last() {
        let now = Instant::now();
        let mut exchange = exchange(Stream);
        send(&mut exchange, [4, 5, 6]);
        assert_eq!(exchange.written(now), Some(4));
        assert_eq!(exchange.written(now), Some(5));
        assert_eq!(exchange.reply(None), ReplyMatch::Push);
        assert_eq!(exchange.last_written(), Some(EventNumber(5)));
        assert_eq!(
            exchange.end(),
            [Unsettled { event: EventNumber(6), written: Written::Nothing, correlation: None, owed: 6 }]
        );
    }

    #[test]
    fn the_end_distinguishes_written_from_queued_events() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, [0, 1, 2]);
        exchange.written(now);
        exchange.written(now);
        exchange.reply(None);
        let ends: Vec<_> = exchange.end().into_iter().map(|lost| (lost.event, lost.written)).collect();
        assert_eq!(ends, [(EventNumber(1), Written::Whole), (EventNumber(2), Written::Nothing)]);
        assert!(exchange.end().is_empty());
    }

    #[test]
    fn the_end_tells_an_event_of_which_some_messages_were_written_from_one_that_was_not_begun() {
        for mode in [Request, Stream] {
            let now = Instant::now();
            let mut exchange = exchange(mode);
            send(&mut exchange, [0, 1, 2]);
            exchange.partly_written();
            exchange.written(now);
            exchange.partly_written();
            let ends: Vec<_> = exchange.end().into_iter().map(|lost| (lost.event.0, lost.written)).collect();
            let unwritten = [(1, Written::Partly), (2, Written::Nothing)];
            assert_eq!(ends[ends.len() - 2..], unwritten, "{mode:?}");
        }
    }

    #[test]
    fn a_connection_without_replies_must_be_replaced() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        send(&mut exchange, 0..MAX_OVERDUE as u64);
        for _ in 0..MAX_OVERDUE {
            exchange.written(now);
        }
        assert_eq!(exchange.next_deadline(), Some(now + TIMEOUT));
        exchange.expire(now + TIMEOUT);
        assert!(exchange.must_be_replaced(now + TIMEOUT));
        assert_eq!(exchange.next_deadline(), None);
    }

    #[test]
    fn a_connection_whose_upstream_does_not_read_must_be_replaced() {
        let now = Instant::now();
        let mut exchange = exchange(Request);
        exchange.sent(EventNumber(0), Tags::default(), 0, now);
        assert_eq!(exchange.next_deadline(), Some(now + TIMEOUT));
        assert!(!exchange.must_be_replaced(now));
        assert!(
            exchange.expire(now + TIMEOUT).is_empty(),
            "an event that is not written does not fail alone"
        );
        assert!(exchange.must_be_replaced(now + TIMEOUT));
    }

    #[test]
    fn a_connection_whose_replies_lag_one_behind_must_be_replaced() {
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
        assert!(exchange.must_be_replaced(now + TIMEOUT));
    }

    #[test]
    fn one_reply_in_time_resets_the_count_of_overdue_replies() {
        let now = Instant::now();
        let key = |number: usize| Some(Value::Int(number as i64));
        let mut exchange = InFlight::new(Request, true, TIMEOUT, MAX_OVERDUE);
        for number in 0..3 * LATE_MAX {
            exchange.sent(
                EventNumber(number as u64),
                Tags { key: key(number), correlation: None },
                number as u64,
                now,
            );
            exchange.written(now);
            exchange.expire(now + TIMEOUT);
            exchange.sent(EventNumber(0), Tags { key: key(1000), correlation: None }, 1000, now);
            exchange.written(now);
            assert_eq!(exchange.reply(key(1000).as_ref()), ReplyMatch::Reply(1000, None));
            assert!(!exchange.must_be_replaced(now));
        }
        assert!(exchange.entries.len() <= LATE_MAX, "overdue entries are bounded");
    }

    #[derive(Debug, Clone, Copy)]
    enum Operation {
        Send(Option<u8>),
        Write,
        Reply(Option<u8>),
        Expire,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let key = || proptest::option::of(0..3_u8);
        let operation = prop_oneof![
            3 => key().prop_map(Operation::Send),
            3 => Just(Operation::Write),
            3 => key().prop_map(Operation::Reply),
            1 => Just(Operation::Expire),
        ];
        proptest::collection::vec(operation, 0..100)
    }

    proptest! {
        /// Each obligation is returned once, and in order when replies match by order.
        #[test]
        fn every_obligation_is_returned_once(operations in operations(), correlated: bool, stream: bool) {
            let mut exchange = InFlight::new(if stream { Stream } else { Request }, correlated, TIMEOUT, MAX_OVERDUE);
            let mut now = Instant::now();
            let (mut next, mut back) = (0, Vec::new());
            for operation in operations {
                now += Duration::from_secs(1);
                match operation {
                    Operation::Send(key) => {
                        let key = key.filter(|_| correlated).map(|key| Value::Int(key.into()));
                        exchange.sent(EventNumber(next), Tags { key, correlation: None }, next, now);
                        next += 1;
                    }
                    Operation::Write => back.extend(exchange.written(now)),
                    Operation::Reply(key) => {
                        let key = key.map(|key| Value::Int(key.into()));
                        if let ReplyMatch::Reply(owed, _) = exchange.reply(key.as_ref()) {
                            back.push(owed);
                        }
                    }
                    Operation::Expire => {
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
