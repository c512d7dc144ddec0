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
    /// The latest events, stored as a first number and a count. They move to `open` when one of them stops being plain.
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

    /// Where events and outcomes are counted.
    pub fn figures(&self) -> &SessionFigures {
        &self.figures
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
mod tests;
