//! The exchange against a model that forgets nothing: random operations, and after each of them the same
//! answer (C1, C6).

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::exchange::{InFlight, LATE_MAX, ReplyMatch, Tags, Unsettled};
use crate::{
    event::Value,
    settings::ExchangeMode::{Request, Stream},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Where an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    /// Its reply is awaited.
    Written,
    /// It was reported, and its reply may still come.
    Overdue,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    key: Option<u8>,
    stage: Stage,
    deadline: Instant,
}

/// All events that were ever sent, by number.
#[derive(Debug)]
struct Model {
    is_stream: bool,
    correlated: bool,
    sent: Vec<Sent>,
    overdue_in_row: usize,
    max_overdue: usize,
    last_written: Option<u64>,
}

impl Model {
    /// The first at that stage, and with that key where one is asked for.
    fn first(&self, stages: &[Stage], key: Option<u8>) -> Option<usize> {
        let fits = |sent: &Sent| stages.contains(&sent.stage) && (key.is_none() || sent.key == key);
        self.sent.iter().position(fits)
    }

    fn count(&self, stage: Stage) -> usize {
        self.sent.iter().filter(|sent| sent.stage == stage).count()
    }

    fn written(&mut self, now: Instant) -> Option<u64> {
        let event = self.first(&[Stage::Queued], None)?;
        self.last_written = Some(event as u64);
        let sent = &mut self.sent[event];
        let is_done = self.is_stream || (self.correlated && sent.key.is_none());
        sent.stage = if is_done { Stage::Over } else { Stage::Written };
        sent.deadline = now + TIMEOUT;
        is_done.then_some(event as u64)
    }

    /// Whose reply it is; none when it is a push.
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

    fn expire(&mut self, now: Instant) -> Vec<u64> {
        let mut expired = Vec::new();
        for (event, sent) in self.sent.iter_mut().enumerate() {
            if sent.stage == Stage::Written && sent.deadline <= now {
                sent.stage = Stage::Overdue;
                expired.push(event as u64);
            }
        }
        self.overdue_in_row += expired.len();
        while self.correlated && self.count(Stage::Overdue) > LATE_MAX {
            let oldest = self.first(&[Stage::Overdue], None).unwrap();
            self.sent[oldest].stage = Stage::Over;
        }
        expired
    }

    /// The oldest request that the upstream has not read.
    fn queued(&self) -> Option<Instant> {
        self.first(&[Stage::Queued], None).filter(|_| !self.is_stream).map(|event| self.sent[event].deadline)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let written = self.sent.iter().filter(|sent| sent.stage == Stage::Written);
        written.map(|sent| sent.deadline).chain(self.queued()).min()
    }

    fn is_hopeless(&self, now: Instant) -> bool {
        self.overdue_in_row >= self.max_overdue || self.queued().is_some_and(|deadline| deadline <= now)
    }

    /// What is not settled, and whether it was written.
    fn unsettled(&self) -> Vec<(u64, bool)> {
        let open = |(event, sent): (usize, &Sent)| match sent.stage {
            Stage::Queued => Some((event as u64, false)),
            Stage::Written => Some((event as u64, true)),
            Stage::Overdue | Stage::Over => None,
        };
        self.sent.iter().enumerate().filter_map(open).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Send(Option<u8>),
    Write,
    Reply(Option<u8>),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = || proptest::option::weighted(0.8, 0..4_u8);
    let act = prop_oneof![
        4 => key().prop_map(Act::Send),
        4 => Just(Act::Write),
        4 => key().prop_map(Act::Reply),
        2 => prop_oneof![1..5_u64, 10..40_u64].prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 0..150)
}

fn value(key: Option<u8>) -> Option<Value> {
    key.map(|key| Value::Int(key.into()))
}

/// What an event carries for its reply or its error.
fn tag(event: u64) -> Option<Value> {
    event.is_multiple_of(3).then(|| Value::from(event))
}

/// The parts of what is not settled, each with its own obligation and tag.
fn parts(unsettled: Vec<Unsettled<u64>>) -> Vec<(u64, bool)> {
    let part = |Unsettled { event, written, correlation, owed }| {
        assert_eq!((owed, correlation), (event, tag(event)));
        (event, written)
    };
    unsettled.into_iter().map(part).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A reply is the oldest event's that awaits one, with its key where there are keys; never that of an event
    /// that was reported, and never another's instead. What is overdue, stalled or lost is told once, at its time.
    #[test]
    fn the_exchange_does_as_its_model(
        acts in acts(),
        is_stream: bool,
        correlated: bool,
        max_overdue in prop_oneof![1..4_usize, 1..30_usize],
    ) {
        let correlated = correlated && !is_stream;
        let mode = if is_stream { Stream } else { Request };
        let mut exchange = InFlight::new(mode, correlated, TIMEOUT, max_overdue);
        let mut model =
            Model { is_stream, correlated, sent: Vec::new(), overdue_in_row: 0, max_overdue, last_written: None };
        let mut now = Instant::now();
        for act in acts {
            match act {
                Act::Send(key) => {
                    let key = key.filter(|_| correlated);
                    let event = model.sent.len() as u64;
                    exchange.sent(event, Tags { key: value(key), correlation: tag(event) }, event, now);
                    model.sent.push(Sent { key, stage: Stage::Queued, deadline: now + TIMEOUT });
                }
                Act::Write => prop_assert_eq!(exchange.written(now), model.written(now)),
                Act::Reply(key) => {
                    let expected = model.reply(key).map_or(ReplyMatch::Push, |event| ReplyMatch::Reply(event, tag(event)));
                    prop_assert_eq!(exchange.reply(value(key).as_ref()), expected);
                }
                Act::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    let expired = model.expire(now).into_iter().map(|event| (event, true)).collect::<Vec<_>>();
                    prop_assert_eq!(parts(exchange.expire(now)), expired);
                }
            }
            prop_assert_eq!(exchange.next_deadline(), model.next_deadline());
            prop_assert_eq!(exchange.is_hopeless(now), model.is_hopeless(now));
            prop_assert_eq!(exchange.is_stalled(now), model.queued().is_some_and(|deadline| deadline <= now));
            prop_assert_eq!(exchange.last_written(), model.last_written);
            prop_assert_eq!(exchange.len(), model.unsettled().len());
            if model.is_hopeless(now) {
                // The connection ends.
                break;
            }
        }
        prop_assert_eq!(parts(exchange.end()), model.unsettled());
        prop_assert!(exchange.is_empty() && exchange.end().is_empty());
    }
}
