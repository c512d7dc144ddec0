use proptest::prelude::*;

use super::*;
use crate::settings::ExchangeMode::{Request, Stream};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_OVERDUE: usize = 3;

impl Obligation for u64 {
    type Row = std::ops::Range<Self>;

    fn join(row: &mut Self::Row, next: Self::Row) -> Result<(), Self::Row> {
        if row.end != next.start {
            return Err(next);
        }
        row.end = next.end;
        Ok(())
    }
}

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
    assert_eq!(exchange.written(|| now), None);
    assert_eq!(exchange.written(|| now), None);
    assert_eq!(exchange.reply(None), ReplyMatch::Reply(0, None));
    assert_eq!((exchange.take_answered_since(), exchange.take_answered_since()), (Some(now), None));
    assert_eq!(exchange.reply(None), ReplyMatch::Reply(1, None));
    assert_eq!(exchange.reply(None), ReplyMatch::Push);
    assert!(exchange.is_empty());
}

#[test]
fn a_shorter_timeout_ends_the_wait_of_events_in_flight() {
    let now = Instant::now();
    let (mut exchange, short) = (exchange(Request), TIMEOUT / 30);
    send(&mut exchange, [0, 1]);
    (0..2).for_each(|_| _ = exchange.written(|| now));
    let later = now + TIMEOUT / 2;
    exchange.set_timeout(short, later);
    assert_eq!(exchange.next_deadline(), Some(later + short));
    assert_eq!(exchange.reply(None), ReplyMatch::Reply(0, None));
    assert_eq!(
        exchange.take_answered_since(),
        Some(now),
        "the reply time is that since the event was written"
    );
    exchange.sent(EventNumber(2), Tags::default(), 2, later);
    exchange.written(|| later);
    let overdue = exchange.expire(later + short);
    let overdue: Vec<_> = overdue.iter().map(|late| (late.event.owed, late.limit)).collect();
    assert_eq!(overdue, [(1, short), (2, short)]);
}

#[test]
fn a_longer_timeout_applies_to_later_events() {
    let now = Instant::now();
    let mut exchange = exchange(Request);
    send(&mut exchange, [0]);
    exchange.written(|| now);
    exchange.set_timeout(2 * TIMEOUT, now);
    send(&mut exchange, [1]);
    exchange.written(|| now);
    assert_eq!(exchange.expire(now + TIMEOUT)[0].limit, TIMEOUT);
    assert_eq!(exchange.next_deadline(), Some(now + 2 * TIMEOUT));
}

#[test]
fn a_late_reply_is_a_push_and_never_the_next_events_reply() {
    let now = Instant::now();
    let mut exchange = exchange(Request);
    send(&mut exchange, [0]);
    exchange.written(|| now);
    assert!(exchange.expire(now).is_empty());
    let expired = exchange.expire(now + TIMEOUT);
    assert_eq!(
        expired,
        [Overdue {
            event: Unsettled { event: EventNumber(0), written: Written::Whole, correlation: None, owed: 0 },
            limit: TIMEOUT
        }]
    );
    send(&mut exchange, [1]);
    exchange.written(|| now + TIMEOUT);
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
    assert_eq!(exchange.written(|| now), None);
    assert_eq!(exchange.written(|| now), Some(1));
    assert_eq!(exchange.written(|| now), None);
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
    assert_eq!(exchange.written(|| now), Some(4));
    assert_eq!(exchange.written(|| now), Some(5));
    assert_eq!(exchange.reply(None), ReplyMatch::Push);
    assert_eq!(exchange.last_written(), Some(EventNumber(5)));
    assert_eq!(
        exchange.end(),
        [Unsettled { event: EventNumber(6), written: Written::Nothing, correlation: None, owed: 6 }]
    );
}

#[test]
fn events_in_a_row_are_settled_together_and_in_order() {
    let now = Instant::now();
    let mut exchange = exchange(Stream);
    send(&mut exchange, [0]);
    exchange.sent_row((EventNumber(1), 3), 1..4, || now);
    exchange.sent_row((EventNumber(4), 2), 4..6, || now);
    assert_eq!(exchange.written(|| now), Some(0), "it precedes the row");
    for _ in 0..4 {
        assert_eq!(exchange.written(|| now), None);
    }
    assert_eq!((exchange.last_written(), exchange.len()), (Some(EventNumber(4)), 1));
    exchange.settle_row(|row, written| assert_eq!((row.by_ref().take(4).last(), written), (Some(4), 4)));
    exchange.settle_row(|_, _| panic!("nothing was written since"));
    // An event that does not follow ends the row.
    exchange.sent_row((EventNumber(9), 2), 9..11, || now);
    assert_eq!(exchange.written(|| now), Some(5));
    let queued = |event| Unsettled {
        event: EventNumber(event),
        written: Written::Nothing,
        correlation: None,
        owed: event,
    };
    assert_eq!(exchange.end(), [9, 10].map(queued));
    assert!(exchange.is_empty());
}

/// A journal needs a stream, so that no event fails outside of it while its connector has it.
#[test]
fn nothing_is_overdue_in_a_stream() {
    let now = Instant::now();
    let mut exchange = exchange(Stream);
    send(&mut exchange, 0..9);
    exchange.written(|| now);
    let late = now + TIMEOUT * 100;
    assert!(exchange.expire(late).is_empty() && !exchange.must_be_replaced(late));
    assert_eq!((exchange.next_deadline(), exchange.len()), (None, 8));
}

#[test]
fn the_end_distinguishes_written_from_queued_events() {
    let now = Instant::now();
    let mut exchange = exchange(Request);
    send(&mut exchange, [0, 1, 2]);
    exchange.written(|| now);
    exchange.written(|| now);
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
        exchange.written(|| now);
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
        exchange.written(|| now);
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
    assert!(exchange.expire(now + TIMEOUT).is_empty(), "an event that is not written does not fail alone");
    assert!(exchange.must_be_replaced(now + TIMEOUT));
}

#[test]
fn a_connection_whose_replies_lag_one_behind_must_be_replaced() {
    let mut now = Instant::now();
    let mut exchange = exchange(Request);
    send(&mut exchange, [0]);
    exchange.written(|| now);
    for event in 1..=MAX_OVERDUE as u64 {
        now += TIMEOUT;
        assert_eq!(exchange.expire(now).len(), 1);
        send(&mut exchange, [event]);
        exchange.written(|| now);
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
        exchange.written(|| now);
        exchange.expire(now + TIMEOUT);
        exchange.sent(EventNumber(0), Tags { key: key(1000), correlation: None }, 1000, now);
        exchange.written(|| now);
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
                Operation::Write => back.extend(exchange.written(|| now)),
                Operation::Reply(key) => {
                    let key = key.map(|key| Value::Int(key.into()));
                    if let ReplyMatch::Reply(owed, _) = exchange.reply(key.as_ref()) {
                        back.push(owed);
                    }
                }
                Operation::Expire => {
                    now += TIMEOUT;
                    back.extend(exchange.expire(now).into_iter().map(|late| late.event.owed));
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
