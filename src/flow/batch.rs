//! Batches: the envelopes that an actor collects in one turn and sends as one message.

use std::cell::RefCell;

use super::Envelope;
use crate::turn::now_ns;

/// Maximum number of empty batches that a thread keeps. In most turns no more are in flight between its
/// actors.
const KEPT: usize = 16;

/// Maximum capacity, in envelopes, of a batch that is kept when empty. A larger batch is freed.
const KEPT_ROOM: usize = 256;

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
    /// The time of this batch in nanoseconds since the Unix epoch; `None` before it is first read.
    now_ns: Option<u64>,
}

impl Batch {
    /// The time at which the batch was begun, in nanoseconds since the Unix epoch.
    pub fn now_ns(&mut self) -> u64 {
        *self.now_ns.get_or_insert_with(now_ns)
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
        self.now_ns = None;
        if self.envelopes.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.envelopes))
    }
}
