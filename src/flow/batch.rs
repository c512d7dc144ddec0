//! Batches and runs: what an actor collects in one turn and sends as one message.

use std::cell::RefCell;

use super::{DataMessage, Envelope, Failed};
use crate::turn::now_ns;

/// Maximum number of empty batches that a thread keeps. When more sockets become ready at once, their actors allocate
/// batches, because each fills one before the next actors take them.
const KEPT: usize = 64;

/// Maximum capacity, in envelopes, of a batch that is kept when empty. A larger batch is freed: its messages share the
/// cost of the allocation.
const KEPT_ROOM: usize = 64;

thread_local! {
    static EMPTIED: RefCell<Vec<Vec<Envelope>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps an empty batch for reuse by the thread.
pub fn recycle(mut envelopes: Vec<Envelope>) {
    envelopes.clear();
    EMPTIED.with_borrow_mut(|emptied| {
        if emptied.len() < KEPT && (1..=KEPT_ROOM).contains(&envelopes.capacity()) {
            emptied.push(envelopes);
        }
    });
}

/// The envelopes collected in one turn, which are sent on as one message.
#[derive(Debug, Default)]
pub struct Batch {
    envelopes: Vec<Envelope>,
    /// The time of this batch in nanoseconds since the Unix epoch; 0 before it is first read.
    now_ns: u64,
}

impl Batch {
    /// The time at which the batch was begun, in nanoseconds since the Unix epoch.
    pub fn now_ns(&mut self) -> u64 {
        if self.now_ns == 0 {
            self.now_ns = now_ns();
        }
        self.now_ns
    }

    /// Adds an envelope.
    pub fn push(&mut self, envelope: Envelope) {
        if self.envelopes.capacity() == 0 {
            self.envelopes = EMPTIED.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        self.envelopes.push(envelope);
    }

    /// Takes the envelopes, and starts the next batch. Returns `None` if there are none.
    pub fn take(&mut self) -> Option<Vec<Envelope>> {
        self.now_ns = 0;
        if self.envelopes.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.envelopes))
    }
}

/// The messages collected in one turn, which are sent on as one. Notices and failures may have no permits, so they
/// would not fit in a mailbox one by one.
#[derive(Debug, Default)]
pub struct Run(Option<DataMessage>);

impl Run {
    /// Adds a message, or the messages of another run. Events and failures join those at the end.
    pub fn push(&mut self, message: DataMessage) {
        if let DataMessage::Several(all) = message {
            return all.into_iter().for_each(|message| self.push(message));
        }
        match (self.last_mut(), message) {
            (Some(DataMessage::Events(last)), DataMessage::Events(more)) => last.extend(more),
            (Some(DataMessage::Failed(last)), DataMessage::Failed(more)) => last.extend(more),
            (_, message) => self.append(message),
        }
    }

    /// Adds an event.
    pub fn answer(&mut self, envelope: Envelope) {
        self.push(DataMessage::Events(vec![envelope]));
    }

    /// Adds a failure.
    pub fn fail(&mut self, failed: Failed) {
        self.push(DataMessage::Failed(vec![failed]));
    }

    /// Adds the messages of another run.
    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|message| self.push(message));
    }

    /// The failures, in order.
    pub fn failures(&self) -> impl Iterator<Item = &Failed> {
        let all = match &self.0 {
            None => &[],
            Some(DataMessage::Several(all)) => all.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let failed = all.iter().map(|message| match message {
            DataMessage::Failed(failed) => failed.as_slice(),
            _ => &[],
        });
        failed.flatten()
    }

    fn last_mut(&mut self) -> Option<&mut DataMessage> {
        match &mut self.0 {
            Some(DataMessage::Several(all)) => all.last_mut(),
            last => last.as_mut(),
        }
    }

    fn append(&mut self, message: DataMessage) {
        self.0 = Some(match self.0.take() {
            None => message,
            Some(DataMessage::Several(mut all)) => {
                all.push(message);
                DataMessage::Several(all)
            }
            Some(first) => DataMessage::Several(vec![first, message]),
        });
    }

    /// Takes all messages as one; `None` if there are none.
    pub fn take(&mut self) -> Option<DataMessage> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failure::Failure,
        flow::{AckTracker, Cause, Mark},
    };

    fn marks(message: Option<DataMessage>) -> Vec<u64> {
        match message {
            None => Vec::new(),
            Some(DataMessage::Mark(mark)) => vec![mark.0],
            Some(DataMessage::Several(all)) => {
                all.into_iter().flat_map(|message| marks(Some(message))).collect()
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_is_one_message_in_order() {
        let mark = |number| DataMessage::Mark(Mark(number));
        let mut run = Run::default();
        assert!(run.take().is_none());
        run.push(mark(1));
        assert!(matches!(run.take(), Some(DataMessage::Mark(_))), "one message is sent as it is");
        assert!(run.take().is_none());
        run.push(mark(1));
        run.push(DataMessage::Several(vec![mark(2), mark(3)]));
        run.push(mark(4));
        run.push(DataMessage::Several(vec![mark(5)]));
        let all = run.take();
        let Some(DataMessage::Several(messages)) = &all else { panic!("{all:?}") };
        assert_eq!(messages.len(), 5, "a run contains no run");
        assert_eq!(marks(all), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn neighbours_of_one_kind_join() {
        let tracker = AckTracker::new(1, 0);
        let failed = || {
            let ticket = tracker.issue(Cause::Message);
            Failed {
                event: ticket.event(),
                ticket: Some(ticket),
                failure: Failure::lost(),
                correlation: None,
            }
        };
        let numbers = |run: &Run| run.failures().map(|failed| failed.event.0).collect::<Vec<_>>();
        let mut run = Run::default();
        assert!(numbers(&run).is_empty());
        run.fail(failed());
        run.fail(failed());
        assert_eq!(numbers(&run), [0, 1]);
        run.push(DataMessage::Mark(Mark(1)));
        let mut more = Run::default();
        more.fail(failed());
        run.fail(failed());
        run.extend(more);
        assert_eq!(numbers(&run), [0, 1, 3, 2], "in the order in which they were added");
        let Some(DataMessage::Several(all)) = run.take() else { panic!("a mark between failures") };
        assert_eq!(all.len(), 3);
    }
}
