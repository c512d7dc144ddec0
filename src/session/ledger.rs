//! The ledger: a session's record of the events that were accepted and have no outcome yet (guarantee C1).
//!
//! No actors, sockets or clocks are used here. An event has an entry from its acceptance to its outcome, and
//! gets exactly one outcome. Copies that a pipeline makes of an event share its entry: the event is settled
//! when its last copy ends, with the most severe outcome of all copies.

use std::{collections::VecDeque, sync::Arc};

use super::sequencer::Position;
use crate::{event::EventNumber, figures::SessionFigures, wire::memory};

/// The outcome of an event, from the least to the most severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A pipeline dropped the event.
    Dropped,
    /// The event was written to the upstream connection and needs no reply.
    Delivered,
    /// The reply was sent to the client.
    Answered,
    /// The event failed. An error reply or an error in its own protocol was sent to the client, or the session ends because
    /// of the failure.
    Errored,
}

impl Outcome {
    /// The name in lines of taps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Delivered => "delivered",
            Self::Answered => "answered",
            Self::Errored => "errored",
        }
    }
}

/// Events accepted and not yet settled, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The events before those of `plain`.
    open: VecDeque<LedgerEntry>,
    /// The latest events, as two numbers. Events move to `open` when one of them is no longer plain.
    plain: PlainRun,
    /// Where events and outcomes are counted.
    figures: Arc<SessionFigures>,
}

#[derive(Debug)]
struct LedgerEntry {
    event: EventNumber,
    position: Option<Position>,
    /// Number of copies that have not ended, including the event itself.
    copies: u32,
    /// Whether a pipeline has ever copied the event.
    is_copied: bool,
    /// The most severe outcome of the copies that have ended.
    outcome: Outcome,
    /// Whether the event has failed and waits for its error reply. A reply that arrives meanwhile is not its
    /// outcome.
    failing: bool,
}

/// Events in a row that have no position, were not copied, and have not failed.
#[derive(Debug, Default)]
struct PlainRun {
    first: u64,
    count: u64,
}

/// The result of settling an event or one of its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The event has this outcome. Its position, if any, can be closed.
    Done(Option<Position>, Outcome),
    /// Other copies of the event have not ended.
    Partly(Option<Position>),
    /// The event does not exist, has failed, or has an outcome already.
    Unknown,
}

impl Ledger {
    /// Creates an empty ledger that counts in `figures`.
    pub fn new(figures: Arc<SessionFigures>) -> Self {
        Self { open: VecDeque::new(), plain: PlainRun::default(), figures }
    }

    /// Adds an entry. Events must be accepted in the order of their numbers.
    pub fn accept(&mut self, event: EventNumber, position: Option<Position>) {
        debug_assert!(self.unsettled().next_back().is_none_or(|last| last < event));
        let Some(_) = position else { return self.accept_run(event, 1) };
        self.figures.count(|tally| tally.accepted.add(1));
        self.list_plain();
        self.open.push_back(LedgerEntry { position, ..LedgerEntry::plain(event) });
    }

    /// Adds entries without position for `count` events from `first` on.
    pub fn accept_run(&mut self, first: EventNumber, count: u64) {
        debug_assert!(self.unsettled().next_back().is_none_or(|last| last < first));
        self.figures.count(|tally| tally.accepted.add(count));
        if !self.plain.append(first, count) {
            self.list_plain();
            self.plain = PlainRun { first: first.0, count };
        }
    }

    /// Records that a pipeline copied an event.
    pub fn copied(&mut self, event: EventNumber) {
        if let Some(entry) = self.find(event) {
            entry.copies = entry.copies.saturating_add(1);
            entry.is_copied = true;
        }
    }

    /// Records the outcome of an event or of one of its copies, other than [`Outcome::Errored`].
    pub fn settle(&mut self, event: EventNumber, outcome: Outcome) -> Settled {
        if self.plain.is_first(event) {
            self.plain.take(1);
            self.count(outcome);
            return Settled::Done(None, outcome);
        }
        let Some(at) = self.index(event) else { return Settled::Unknown };
        let entry = &mut self.open[at];
        if entry.failing {
            return Settled::Unknown;
        }
        entry.copies -= 1;
        entry.outcome = entry.outcome.max(outcome);
        if entry.copies > 0 {
            return Settled::Partly(entry.position);
        }
        self.close(at)
    }

    /// Settles events in a row, from `first` on, with the outcome "delivered", as long as they are the oldest ones, have
    /// no position, and were neither copied nor failed. Returns their number, which is at most `count`.
    pub fn delivered(&mut self, first: EventNumber, count: u64) -> u64 {
        let mut settled = 0;
        let is_next = |entry: &LedgerEntry, settled| {
            entry.event.0 == first.0 + settled
                && entry.position.is_none()
                && !entry.is_copied
                && !entry.failing
                && entry.outcome != Outcome::Errored
        };
        while settled < count && self.open.pop_front_if(|entry| is_next(entry, settled)).is_some() {
            settled += 1;
        }
        if self.open.is_empty() && self.plain.is_first(EventNumber(first.0 + settled)) {
            settled += self.plain.take(count - settled);
        }
        self.figures.count(|tally| tally.delivered.add(settled));
        memory::shrink_if_idle(&mut self.open);
        settled
    }

    /// Records that an event failed. Returns true the first time: the event then needs an error reply. Call
    /// [`Ledger::errored`] when the reply has been sent.
    pub fn fail(&mut self, event: EventNumber) -> bool {
        match self.find(event) {
            Some(entry) if !entry.failing => {
                entry.failing = true;
                true
            }
            _ => false,
        }
    }

    /// Records that an event failed, and that a message which will settle it reports that to the client. Returns false if
    /// the event has an outcome.
    pub fn fail_in_protocol(&mut self, event: EventNumber) -> bool {
        self.find(event).map(|entry| entry.outcome = Outcome::Errored).is_some()
    }

    /// Settles a failed event with [`Outcome::Errored`], or with [`Outcome::Dropped`] when an errors pipeline
    /// dropped its error reply.
    pub fn errored(&mut self, event: EventNumber, outcome: Outcome) -> Settled {
        let Some(at) = self.index(event) else { return Settled::Unknown };
        self.open[at].outcome = outcome;
        self.close(at)
    }

    /// Whether a pipeline has copied an unsettled event. One of the copies may have been delivered.
    pub fn is_copied(&mut self, event: EventNumber) -> bool {
        self.find(event).is_some_and(|entry| entry.is_copied)
    }

    /// Whether the event has failed and waits for its error reply.
    pub fn is_failing(&mut self, event: EventNumber) -> bool {
        self.find(event).is_some_and(|entry| entry.failing)
    }

    /// The position of an unsettled event in the order of messages to the client; `None` if it has no
    /// position.
    pub fn position(&mut self, event: EventNumber) -> Option<Position> {
        self.find(event)?.position
    }

    /// Sets the position of an unsettled event.
    pub fn set_position(&mut self, event: EventNumber, position: Position) {
        if let Some(entry) = self.find(event) {
            entry.position = Some(position);
        }
    }

    /// The unsettled events, oldest first.
    pub fn unsettled(&self) -> impl DoubleEndedIterator<Item = EventNumber> + '_ {
        self.open.iter().map(|entry| entry.event).chain(self.plain.events())
    }

    /// Number of unsettled events.
    pub fn len(&self) -> usize {
        self.open.len() + self.plain.count as usize
    }

    /// Whether every event has its outcome.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.plain.count == 0
    }

    /// Number of events for each outcome.
    #[cfg(test)]
    pub fn counts(&self) -> crate::figures::Counts {
        self.figures.counts()
    }

    fn close(&mut self, at: usize) -> Settled {
        let Some(entry) = self.open.remove(at) else { return Settled::Unknown };
        self.count(entry.outcome);
        memory::shrink_if_idle(&mut self.open);
        Settled::Done(entry.position, entry.outcome)
    }

    fn count(&self, outcome: Outcome) {
        self.figures.count(|tally| match outcome {
            Outcome::Dropped => tally.dropped.add(1),
            Outcome::Delivered => tally.delivered.add(1),
            Outcome::Answered => tally.answered.add(1),
            Outcome::Errored => tally.errored.add(1),
        });
    }

    /// Gives each plain event an entry.
    fn list_plain(&mut self) {
        let plain = std::mem::take(&mut self.plain);
        self.open.extend(plain.events().map(LedgerEntry::plain));
    }

    fn find(&mut self, event: EventNumber) -> Option<&mut LedgerEntry> {
        let at = self.index(event)?;
        self.open.get_mut(at)
    }

    /// The index of an event's entry; `None` if there is none. The entries are sorted, and the first one is
    /// tried first.
    fn index(&mut self, event: EventNumber) -> Option<usize> {
        if self.plain.contains(event) {
            self.list_plain();
        }
        if self.open.front()?.event == event {
            return Some(0);
        }
        self.open.binary_search_by_key(&event, |entry| entry.event).ok()
    }
}

impl LedgerEntry {
    /// The entry of an event that has no position, was not copied, and has not failed.
    fn plain(event: EventNumber) -> Self {
        let outcome = Outcome::Dropped;
        Self { event, position: None, copies: 1, is_copied: false, outcome, failing: false }
    }
}

impl PlainRun {
    fn events(&self) -> impl DoubleEndedIterator<Item = EventNumber> + use<> {
        (self.first..self.first + self.count).map(EventNumber)
    }

    fn contains(&self, event: EventNumber) -> bool {
        event.0.checked_sub(self.first).is_some_and(|after| after < self.count)
    }

    fn is_first(&self, event: EventNumber) -> bool {
        self.count > 0 && self.first == event.0
    }

    /// Adds events. Returns false if they do not follow the others.
    fn append(&mut self, first: EventNumber, count: u64) -> bool {
        let follows = self.count > 0 && self.first + self.count == first.0;
        if follows {
            self.count += count;
        }
        follows
    }

    /// Removes the first events, at most `count`. Returns how many there were.
    fn take(&mut self, count: u64) -> u64 {
        let count = count.min(self.count);
        self.first += count;
        self.count -= count;
        count
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            ledger.settle(EventNumber(0), Outcome::Dropped),
            Settled::Done(Some(first), Outcome::Dropped)
        );
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
}
