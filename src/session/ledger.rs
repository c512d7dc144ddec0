//! The delivery ledger: every event accepted and not yet settled (C1).
//!
//! Pure: numbers in, facts out. An entry is made when an event is accepted and ends with exactly one
//! outcome. Copies that a pipeline makes of an event share its entry: the event is settled when the last
//! copy is, by the gravest of their outcomes.

use std::collections::VecDeque;

use super::sequencer::Slot;
use crate::wire::memory;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A pipeline let it end.
    Dropped,
    /// It was written to the upstream, which owes no reply.
    Delivered,
    /// Its reply was handed to the client.
    Answered,
    /// Its error reply was handed to the client.
    Errored,
}

/// How many events ended how. `accepted` is the sum of the others and of the open entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries made.
    pub accepted: u64,
    /// Their reply was handed to the client.
    pub answered: u64,
    /// They were written to the upstream, which owes no reply.
    pub delivered: u64,
    /// Their error reply was handed to the client.
    pub errored: u64,
    /// A pipeline let them end.
    pub dropped: u64,
}

/// Events accepted and not yet settled, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Ledger {
    open: VecDeque<Entry>,
    counts: Counts,
}

#[derive(Debug)]
struct Entry {
    event: u64,
    slot: Option<Slot>,
    /// Copies under way, the event itself included.
    copies: u32,
    /// The gravest outcome of the copies that have ended.
    outcome: Outcome,
    /// An error reply is on its way; whatever else comes is no outcome any more.
    failing: bool,
}

/// What a settled event leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The event has its outcome; its place in the order of replies, if it had one, can be closed.
    Done(Option<Slot>),
    /// Other copies of the event are still under way.
    Partly(Option<Slot>),
    /// There is no such event, or it has its outcome already.
    Unknown,
}

impl Ledger {
    /// Makes an entry. Events are accepted in the order of their numbers.
    pub fn accept(&mut self, event: u64, slot: Option<Slot>) {
        debug_assert!(self.open.back().is_none_or(|last| last.event < event));
        self.counts.accepted += 1;
        self.open.push_back(Entry { event, slot, copies: 1, outcome: Outcome::Dropped, failing: false });
    }

    /// Notes that a copy of an event was made.
    pub fn copied(&mut self, event: u64) {
        if let Some(entry) = self.find(event) {
            entry.copies = entry.copies.saturating_add(1);
        }
    }

    /// Notes a good outcome of an event or of one of its copies.
    pub fn settle(&mut self, event: u64, outcome: Outcome) -> Settled {
        let Some(at) = self.position(event) else { return Settled::Unknown };
        let entry = &mut self.open[at];
        if entry.failing {
            return Settled::Unknown;
        }
        entry.copies -= 1;
        entry.outcome = entry.outcome.max(outcome);
        if entry.copies > 0 {
            return Settled::Partly(entry.slot);
        }
        Settled::Done(self.close(at))
    }

    /// Notes that an event failed. True the first time: an error reply is due, and [`Ledger::errored`]
    /// when it has been handed to the client.
    pub fn fail(&mut self, event: u64) -> bool {
        match self.find(event) {
            Some(entry) if !entry.failing => {
                entry.failing = true;
                true
            }
            _ => false,
        }
    }

    /// Notes that the error reply of a failed event has been handed over, or that the errors pipelines let
    /// it end (`outcome` tells).
    pub fn errored(&mut self, event: u64, outcome: Outcome) -> Settled {
        let Some(at) = self.position(event) else { return Settled::Unknown };
        self.open[at].outcome = outcome;
        Settled::Done(self.close(at))
    }

    /// Whether the event awaits its error reply.
    pub fn is_failing(&mut self, event: u64) -> bool {
        self.find(event).is_some_and(|entry| entry.failing)
    }

    /// The place of an open event in the order of replies.
    pub fn slot(&mut self, event: u64) -> Option<Slot> {
        self.find(event)?.slot
    }

    /// Gives an open event a place in the order of replies.
    pub fn set_slot(&mut self, event: u64, slot: Slot) {
        if let Some(entry) = self.find(event) {
            entry.slot = Some(slot);
        }
    }

    /// The events without outcome, oldest first.
    pub fn unsettled(&self) -> impl Iterator<Item = u64> + '_ {
        self.open.iter().map(|entry| entry.event)
    }

    /// How many events have no outcome.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether every event has its outcome.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many events ended how.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn close(&mut self, at: usize) -> Option<Slot> {
        let entry = self.open.remove(at)?;
        match entry.outcome {
            Outcome::Dropped => self.counts.dropped += 1,
            Outcome::Delivered => self.counts.delivered += 1,
            Outcome::Answered => self.counts.answered += 1,
            Outcome::Errored => self.counts.errored += 1,
        }
        memory::shrink_if_idle(&mut self.open);
        entry.slot
    }

    fn find(&mut self, event: u64) -> Option<&mut Entry> {
        let at = self.position(event)?;
        self.open.get_mut(at)
    }

    /// The front is the usual answer; the rest is sorted.
    fn position(&self, event: u64) -> Option<usize> {
        if self.open.front()?.event == event {
            return Some(0);
        }
        self.open.binary_search_by_key(&event, |entry| entry.event).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_is_settled_once() {
        let mut ledger = Ledger::default();
        ledger.accept(3, None);
        assert_eq!(ledger.settle(3, Outcome::Answered), Settled::Done(None));
        assert_eq!(ledger.settle(3, Outcome::Answered), Settled::Unknown);
        assert!(!ledger.fail(3));
        assert_eq!(ledger.counts(), Counts { accepted: 1, answered: 1, ..Counts::default() });
    }

    #[test]
    fn a_reply_that_comes_after_the_failure_settles_nothing() {
        let mut ledger = Ledger::default();
        ledger.accept(0, None);
        assert!(ledger.fail(0));
        assert!(!ledger.fail(0));
        assert_eq!(ledger.settle(0, Outcome::Answered), Settled::Unknown);
        assert_eq!(ledger.errored(0, Outcome::Errored), Settled::Done(None));
        assert_eq!(ledger.counts(), Counts { accepted: 1, errored: 1, ..Counts::default() });
    }

    #[test]
    fn copies_share_one_outcome_the_gravest() {
        let mut ledger = Ledger::default();
        ledger.accept(0, None);
        ledger.copied(0);
        assert_eq!(ledger.settle(0, Outcome::Answered), Settled::Partly(None));
        assert_eq!(ledger.settle(0, Outcome::Dropped), Settled::Done(None));
        assert_eq!(ledger.counts(), Counts { accepted: 1, answered: 1, ..Counts::default() });
    }

    /// What can happen to an event, in any order and any number.
    #[derive(Debug, Clone, Copy)]
    enum Act {
        Accept,
        Copy(u64),
        Settle(u64, Outcome),
        Fail(u64),
        Errored(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let outcome = prop_oneof![Just(Outcome::Dropped), Just(Outcome::Delivered), Just(Outcome::Answered)];
        prop_oneof![
            3 => Just(Act::Accept),
            1 => (0..20_u64).prop_map(Act::Copy),
            3 => (0..20_u64, outcome).prop_map(|(event, outcome)| Act::Settle(event, outcome)),
            1 => (0..20_u64).prop_map(Act::Fail),
            1 => (0..20_u64).prop_map(Act::Errored),
        ]
    }

    proptest! {
        #[test]
        fn every_event_has_one_outcome_or_is_open(acts in proptest::collection::vec(act(), 0..200)) {
            let mut ledger = Ledger::default();
            let mut next = 0;
            let mut done = std::collections::HashSet::new();
            for act in acts {
                let settled = match act {
                    Act::Accept => {
                        ledger.accept(next, None);
                        next += 1;
                        continue;
                    }
                    Act::Copy(event) => {
                        ledger.copied(event);
                        continue;
                    }
                    Act::Fail(event) => {
                        prop_assert!(!ledger.fail(event) || !done.contains(&event));
                        continue;
                    }
                    Act::Settle(event, outcome) => (event, ledger.settle(event, outcome)),
                    Act::Errored(event) => (event, ledger.errored(event, Outcome::Errored)),
                };
                if let (event, Settled::Done(_)) = settled {
                    prop_assert!(done.insert(event), "{} settled twice", event);
                }
            }
            let Counts { accepted, answered, delivered, errored, dropped } = ledger.counts();
            prop_assert_eq!(accepted, next);
            prop_assert_eq!(accepted, answered + delivered + errored + dropped + ledger.len() as u64);
            prop_assert!(ledger.open.iter().all(|entry| !done.contains(&entry.event)));
        }
    }
}
