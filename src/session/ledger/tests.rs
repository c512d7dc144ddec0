//! Tests of the ledger: each event gets one outcome.

use proptest::prelude::*;

use super::{super::sequencer::Sequencer, *};
use crate::figures::Counts;

#[test]
fn an_event_is_settled_once() {
    let mut ledger = Ledger::default();
    ledger.accept(EventNumber(3), None);
    assert_eq!(ledger.settle(EventNumber(3), Outcome::Answered), Settled::Done(None, Outcome::Answered));
    assert_eq!(ledger.settle(EventNumber(3), Outcome::Answered), Settled::Unknown);
    assert!(!ledger.fail(EventNumber(3)));
    assert_eq!(ledger.counts(), Counts { accepted: 1, answered: 1, ..Counts::default() });
}

#[test]
fn a_reply_after_the_failure_settles_nothing() {
    let mut ledger = Ledger::default();
    ledger.accept(EventNumber(0), None);
    assert!(ledger.fail(EventNumber(0)));
    assert!(!ledger.fail(EventNumber(0)));
    assert_eq!(ledger.settle(EventNumber(0), Outcome::Answered), Settled::Unknown);
    assert_eq!(ledger.errored(EventNumber(0), Outcome::Errored), Settled::Done(None, Outcome::Errored));
    assert_eq!(ledger.counts(), Counts { accepted: 1, errored: 1, ..Counts::default() });
}

#[test]
fn copies_share_the_gravest_outcome() {
    let mut ledger = Ledger::default();
    ledger.accept(EventNumber(0), None);
    ledger.copied(EventNumber(0));
    assert_eq!(ledger.settle(EventNumber(0), Outcome::Answered), Settled::Partly(None));
    assert_eq!(ledger.settle(EventNumber(0), Outcome::Dropped), Settled::Done(None, Outcome::Answered));
    assert_eq!(ledger.counts(), Counts { accepted: 1, answered: 1, ..Counts::default() });
}

#[test]
fn an_event_that_failed_in_the_clients_protocol_is_errored_however_it_is_settled() {
    let mut ledger = Ledger::default();
    for number in 0..4 {
        ledger.accept(EventNumber(number), None);
    }
    assert!(ledger.fail_in_protocol(EventNumber(1)) && ledger.fail_in_protocol(EventNumber(2)));
    assert_eq!(ledger.delivered(EventNumber(0), 2), 1, "the second one is not delivered");
    assert_eq!(ledger.settle(EventNumber(1), Outcome::Answered), Settled::Done(None, Outcome::Errored));
    assert_eq!(ledger.settle(EventNumber(2), Outcome::Dropped), Settled::Done(None, Outcome::Errored));
    assert_eq!(ledger.settle(EventNumber(3), Outcome::Answered), Settled::Done(None, Outcome::Answered));
    assert!(!ledger.fail_in_protocol(EventNumber(3)), "it has its outcome");
    let counts = Counts { accepted: 4, answered: 1, delivered: 1, errored: 2, ..Counts::default() };
    assert_eq!(ledger.counts(), counts);
}

#[test]
fn an_event_keeps_its_position_until_it_is_settled() {
    let mut sequencer = Sequencer::<()>::default();
    let (first, second) = (sequencer.reserve(), sequencer.reserve());
    let mut ledger = Ledger::default();
    ledger.accept(EventNumber(0), Some(first));
    ledger.accept(EventNumber(1), None);
    assert_eq!(ledger.position(EventNumber(1)), None);
    ledger.set_position(EventNumber(1), second);
    assert_eq!(ledger.position(EventNumber(0)), Some(first));
    assert_eq!(ledger.position(EventNumber(1)), Some(second));
    ledger.copied(EventNumber(0));
    assert_eq!(ledger.settle(EventNumber(0), Outcome::Dropped), Settled::Partly(Some(first)));
    assert_eq!(ledger.settle(EventNumber(0), Outcome::Dropped), Settled::Done(Some(first), Outcome::Dropped));
    assert_eq!(ledger.position(EventNumber(0)), None);
    assert_eq!(
        ledger.errored(EventNumber(1), Outcome::Errored),
        Settled::Done(Some(second), Outcome::Errored)
    );
}

#[test]
fn unsettled_events_are_listed_oldest_first() {
    let mut ledger = Ledger::default();
    assert!(ledger.is_empty());
    for number in 4..7 {
        ledger.accept(EventNumber(number), None);
    }
    ledger.settle(EventNumber(5), Outcome::Delivered);
    assert_eq!(ledger.unsettled().collect::<Vec<_>>(), [EventNumber(4), EventNumber(6)]);
    assert_eq!((ledger.len(), ledger.is_empty()), (2, false));
    assert!(ledger.fail(EventNumber(6)));
    assert!(ledger.is_failing(EventNumber(6)) && !ledger.is_failing(EventNumber(4)));
}

#[test]
fn each_outcome_has_its_count() {
    let mut ledger = Ledger::default();
    for number in 0..10 {
        ledger.accept(EventNumber(number), None);
    }
    ledger.settle(EventNumber(0), Outcome::Answered);
    for number in 1..3 {
        ledger.settle(EventNumber(number), Outcome::Delivered);
    }
    for number in 3..6 {
        ledger.settle(EventNumber(number), Outcome::Dropped);
    }
    for number in 6..10 {
        ledger.errored(EventNumber(number), Outcome::Errored);
    }
    let counts = Counts { accepted: 10, answered: 1, delivered: 2, dropped: 3, errored: 4 };
    assert_eq!(ledger.counts(), counts);
}

/// An operation on the ledger.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Accept,
    /// Events in a row are accepted.
    AcceptRun(u64),
    /// The number goes to another kind of event, such as a push.
    Skip,
    Copy(EventNumber),
    Settle(EventNumber, Outcome),
    /// Events in a row are delivered.
    Delivered(EventNumber, u64),
    Fail(EventNumber),
    FailInProtocol(EventNumber),
    Errored(EventNumber),
}

fn operation() -> impl Strategy<Value = Operation> {
    let event = || (0..20_u64).prop_map(EventNumber);
    let outcome = prop_oneof![Just(Outcome::Dropped), Just(Outcome::Delivered), Just(Outcome::Answered)];
    prop_oneof![
        3 => Just(Operation::Accept),
        1 => (1..5_u64).prop_map(Operation::AcceptRun),
        1 => Just(Operation::Skip),
        1 => event().prop_map(Operation::Copy),
        3 => (event(), outcome).prop_map(|(event, outcome)| Operation::Settle(event, outcome)),
        1 => (event(), 1..5_u64).prop_map(|(first, count)| Operation::Delivered(first, count)),
        1 => event().prop_map(Operation::Fail),
        1 => event().prop_map(Operation::FailInProtocol),
        1 => event().prop_map(Operation::Errored),
    ]
}

proptest! {
    #[test]
    fn every_event_has_one_outcome_or_is_unsettled(
        operations in proptest::collection::vec(operation(), 0..200),
    ) {
        let mut ledger = Ledger::default();
        let (mut next, mut skipped) = (0, 0);
        let mut done = std::collections::HashSet::new();
        for operation in operations {
            let settled = match operation {
                Operation::Accept => {
                    ledger.accept(EventNumber(next), None);
                    next += 1;
                    continue;
                }
                Operation::AcceptRun(count) => {
                    ledger.accept_run(EventNumber(next), count);
                    next += count;
                    continue;
                }
                Operation::Skip => {
                    done.insert(EventNumber(next));
                    (next, skipped) = (next + 1, skipped + 1);
                    continue;
                }
                Operation::Copy(event) => {
                    ledger.copied(event);
                    continue;
                }
                Operation::Delivered(first, count) => {
                    let settled = ledger.delivered(first, count);
                    prop_assert!(settled <= count);
                    for event in first.0..first.0 + settled {
                        prop_assert!(event < next && done.insert(EventNumber(event)));
                    }
                    continue;
                }
                Operation::Fail(event) => {
                    prop_assert!(!ledger.fail(event) || !done.contains(&event));
                    continue;
                }
                Operation::FailInProtocol(event) => {
                    let is_open = event.0 < next && !done.contains(&event);
                    prop_assert_eq!(ledger.fail_in_protocol(event), is_open);
                    continue;
                }
                Operation::Settle(event, outcome) => (event, ledger.settle(event, outcome)),
                Operation::Errored(event) => (event, ledger.errored(event, Outcome::Errored)),
            };
            if let (event, Settled::Done(..)) = settled {
                prop_assert!(done.insert(event), "{:?} settled twice", event);
            }
        }
        let Counts { accepted, answered, delivered, errored, dropped } = ledger.counts();
        prop_assert_eq!(accepted, next - skipped);
        prop_assert_eq!(accepted, answered + delivered + errored + dropped + ledger.len() as u64);
        prop_assert!(ledger.open.iter().all(|entry| !done.contains(&entry.event)));
        let unsettled: Vec<_> = ledger.unsettled().collect();
        let expected = (0..next).map(EventNumber).filter(|event| !done.contains(event));
        prop_assert_eq!(unsettled, expected.collect::<Vec<_>>());
    }
}
