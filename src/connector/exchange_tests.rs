//! Compares [`InFlight`] with a simple model after each of a series of random operations (guarantees C1, C6).

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::exchange::{InFlight, LATE_MAX, ReplyMatch, Tags, Unsettled};
use crate::{
    event::{EventNumber, Value},
    failure::Written,
    settings::ExchangeMode::{Request, Stream},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    /// The event is written and awaits its reply.
    Written,
    /// The reply is overdue, which has been reported. The reply may still arrive.
    Overdue,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    key: Option<u8>,
    is_in_row: bool,
    stage: Stage,
    /// When it was queued or written.
    since: Instant,
    deadline: Instant,
}

/// A simple model of [`InFlight`]: it keeps every event that was sent, at the index that is its number.
#[derive(Debug)]
struct Model {
    is_stream: bool,
    correlated: bool,
    sent: Vec<Sent>,
    overdue_in_row: usize,
    max_overdue: usize,
    last_written: Option<u64>,
    timeout: Duration,
}

impl Model {
    fn new(is_stream: bool, correlated: bool, max_overdue: usize) -> Self {
        Self {
            is_stream,
            correlated,
            sent: Vec::new(),
            overdue_in_row: 0,
            max_overdue,
            last_written: None,
            timeout: TIMEOUT,
        }
    }

    /// The number of the first event in one of these stages, and with this key if one is given; `None` if
    /// there is none.
    fn first(&self, stages: &[Stage], key: Option<u8>) -> Option<usize> {
        let fits = |sent: &Sent| stages.contains(&sent.stage) && (key.is_none() || sent.key == key);
        self.sent.iter().position(fits)
    }

    fn count(&self, stage: Stage) -> usize {
        self.sent.iter().filter(|sent| sent.stage == stage).count()
    }

    fn set_timeout(&mut self, timeout: Duration, now: Instant) {
        self.timeout = timeout;
        for sent in &mut self.sent {
            sent.deadline = sent.deadline.min(now + timeout);
        }
    }

    fn written(&mut self, now: Instant) -> Option<u64> {
        let event = self.first(&[Stage::Queued], None)?;
        self.last_written = Some(event as u64);
        let sent = &mut self.sent[event];
        let is_done = self.is_stream || (self.correlated && sent.key.is_none());
        sent.stage = if is_done { Stage::Over } else { Stage::Written };
        (sent.since, sent.deadline) = (now, now + self.timeout);
        is_done.then_some(event as u64)
    }

    /// The event that a message with this key answers; `None` when it is a push.
    fn reply(&mut self, key: Option<u8>) -> Option<u64> {
        if self.correlated && key.is_none() {
            return None;
        }
        let event = self.first(&[Stage::Written, Stage::Overdue], key.filter(|_| self.correlated))?;
        let before = std::mem::replace(&mut self.sent[event].stage, Stage::Over);
        if before == Stage::Overdue {
            return None;
        }
        self.overdue_in_row = 0;
        Some(event as u64)
    }

    /// The events that are overdue, each with the time that it had.
    fn expire(&mut self, now: Instant) -> Vec<(u64, Duration)> {
        let mut expired = Vec::new();
        for (event, sent) in self.sent.iter_mut().enumerate() {
            if sent.stage == Stage::Written && sent.deadline <= now {
                sent.stage = Stage::Overdue;
                let limit = sent.deadline - sent.since;
                expired.push((event as u64, limit.min(self.timeout)));
            }
        }
        self.overdue_in_row += expired.len();
        while self.correlated && self.count(Stage::Overdue) > LATE_MAX {
            let oldest = self.first(&[Stage::Overdue], None).unwrap();
            self.sent[oldest].stage = Stage::Over;
        }
        expired
    }

    /// The earliest deadline of a request that is not written; `None` if all are.
    fn queued(&self) -> Option<Instant> {
        let queued = self.sent.iter().filter(|sent| sent.stage == Stage::Queued && !self.is_stream);
        queued.map(|sent| sent.deadline).min()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let written = self.sent.iter().filter(|sent| sent.stage == Stage::Written);
        written.map(|sent| sent.deadline).chain(self.queued()).min()
    }

    fn must_be_replaced(&self, now: Instant) -> bool {
        self.overdue_in_row >= self.max_overdue || self.queued().is_some_and(|deadline| deadline <= now)
    }

    /// The unsettled events by number, with how much of each is written to the connection.
    fn unsettled(&self) -> Vec<(u64, Written)> {
        let open = |(event, sent): (usize, &Sent)| match sent.stage {
            Stage::Queued => Some((event as u64, Written::Nothing)),
            Stage::Written => Some((event as u64, Written::Whole)),
            Stage::Overdue | Stage::Over => None,
        };
        self.sent.iter().enumerate().filter_map(open).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Send(Option<u8>),
    /// Events in a row are sent, in stream mode.
    SendRow(u64),
    Write,
    /// Events are written together, in stream mode.
    WriteRow(u64),
    Reply(Option<u8>),
    Wait(u64),
    Timeout(u64),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let key = || proptest::option::weighted(0.8, 0..4_u8);
    let operation = prop_oneof![
        4 => key().prop_map(Operation::Send),
        1 => (1..5_u64).prop_map(Operation::SendRow),
        4 => Just(Operation::Write),
        1 => (1..5_u64).prop_map(Operation::WriteRow),
        4 => key().prop_map(Operation::Reply),
        2 => prop_oneof![1..5_u64, 10..40_u64].prop_map(Operation::Wait),
        1 => (1..60_u64).prop_map(Operation::Timeout),
    ];
    proptest::collection::vec(operation, 0..150)
}

fn value(key: Option<u8>) -> Option<Value> {
    key.map(|key| Value::Int(key.into()))
}

/// The `$correlation` of an event: `None` except for every third event.
fn tag(event: u64) -> Option<Value> {
    event.is_multiple_of(3).then(|| Value::from(event))
}

/// Number and `written` of each event. Checks the obligation and the `$correlation` of each. Events of rows have none.
fn parts(unsettled: Vec<Unsettled<u64>>, model: &Model) -> Vec<(u64, Written)> {
    let part = |Unsettled { event, written, correlation, owed }| {
        let tag = tag(owed).filter(|_| !model.sent[owed as usize].is_in_row);
        assert_eq!((EventNumber(owed), correlation), (event, tag));
        (owed, written)
    };
    unsettled.into_iter().map(part).collect()
}

fn send_row(exchange: &mut InFlight<u64>, model: &mut Model, count: u64, now: Instant) {
    if !model.is_stream {
        return;
    }
    let first = model.sent.len() as u64;
    exchange.sent_row((EventNumber(first), count), first..first + count, || now);
    let deadline = now + model.timeout;
    let sent = Sent { key: None, is_in_row: true, stage: Stage::Queued, since: now, deadline };
    model.sent.extend((0..count).map(|_| sent));
}

/// Records that an event is written. Returns its obligation, if it awaits no reply.
fn write(exchange: &mut InFlight<u64>, now: Instant) -> Option<u64> {
    let mut settled = exchange.written(|| now);
    exchange.settle_row(|row, written| {
        assert_eq!(written, 1);
        settled = row.next();
    });
    settled
}

/// Records that events are written together.
fn write_row(exchange: &mut InFlight<u64>, model: &mut Model, count: u64, now: Instant) {
    if !model.is_stream {
        return;
    }
    let count = count.min(model.unsettled().len() as u64);
    let mut settled = Vec::new();
    exchange.written_row(count, &mut settled, || now);
    exchange.settle_row(|row, written| settled.extend(row.by_ref().take(written as usize)));
    let expected: Vec<_> = (0..count).filter_map(|_| model.written(now)).collect();
    assert_eq!(settled, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A reply settles the oldest event that it matches, and never an event that was reported as overdue.
    /// Overdue, stalled and lost events are reported once, at the right time.
    #[test]
    fn in_flight_events_match_their_model(
        operations in operations(),
        is_stream: bool,
        correlated: bool,
        max_overdue in prop_oneof![1..4_usize, 1..30_usize],
    ) {
        let correlated = correlated && !is_stream;
        let mode = if is_stream { Stream } else { Request };
        let mut exchange = InFlight::new(mode, correlated, TIMEOUT, max_overdue);
        let mut model = Model::new(is_stream, correlated, max_overdue);
        let mut now = Instant::now();
        for operation in operations {
            match operation {
                Operation::Send(key) => {
                    let key = key.filter(|_| correlated);
                    let event = model.sent.len() as u64;
                    exchange.sent(EventNumber(event), Tags { key: value(key), correlation: tag(event) }, event, now);
                    let deadline = now + model.timeout;
                    model.sent.push(Sent { key, is_in_row: false, stage: Stage::Queued, since: now, deadline });
                }
                Operation::SendRow(count) => send_row(&mut exchange, &mut model, count, now),
                Operation::Write => prop_assert_eq!(write(&mut exchange, now), model.written(now)),
                Operation::WriteRow(count) => write_row(&mut exchange, &mut model, count, now),
                Operation::Reply(key) => {
                    let expected = model.reply(key).map_or(ReplyMatch::Push, |event| ReplyMatch::Reply(event, tag(event)));
                    prop_assert_eq!(exchange.reply(value(key).as_ref()), expected);
                }
                Operation::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    let (expired, limits): (Vec<_>, Vec<_>) =
                        model.expire(now).into_iter().map(|(event, limit)| ((event, Written::Whole), limit)).unzip();
                    let (events, times): (Vec<_>, Vec<_>) =
                        exchange.expire(now).into_iter().map(|overdue| (overdue.event, overdue.limit)).unzip();
                    prop_assert_eq!((parts(events, &model), times), (expired, limits));
                }
                Operation::Timeout(seconds) => {
                    model.set_timeout(Duration::from_secs(seconds), now);
                    exchange.set_timeout(model.timeout, now);
                }
            }
            prop_assert_eq!(exchange.next_deadline(), model.next_deadline());
            prop_assert_eq!(exchange.must_be_replaced(now), model.must_be_replaced(now));
            prop_assert_eq!(exchange.stalled(now).is_some(), model.queued().is_some_and(|deadline| deadline <= now));
            prop_assert_eq!(exchange.last_written(), model.last_written.map(EventNumber));
            prop_assert_eq!(exchange.len(), model.unsettled().len());
            if model.must_be_replaced(now) {
                // The connection ends.
                break;
            }
        }
        prop_assert_eq!(parts(exchange.end(), &model), model.unsettled());
        prop_assert!(exchange.is_empty() && exchange.end().is_empty());
    }
}
