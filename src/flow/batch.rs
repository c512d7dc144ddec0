//! What an actor gathers in one turn.

use std::cell::RefCell;

use super::Parcel;
use crate::turn::now_ns;

/// Emptied batches that a thread keeps: as many as are under way at a time between its actors in most
/// turns.
const KEPT: usize = 16;

/// A batch with more room than this is freed when it is empty.
const KEPT_ROOM: usize = 256;

thread_local! {
    static EMPTIED: RefCell<Vec<Vec<Parcel>>> = const { RefCell::new(Vec::new()) };
}

/// Takes a batch whose parcels are all gone, to be filled again.
pub fn recycle(mut parcels: Vec<Parcel>) {
    parcels.clear();
    EMPTIED.with_borrow_mut(|emptied| {
        if emptied.len() < KEPT && (1..=KEPT_ROOM).contains(&parcels.capacity()) {
            emptied.push(parcels);
        }
    });
}

/// Parcels gathered in one turn, to be handed on together: one message instead of many.
#[derive(Debug, Default)]
pub struct Batch {
    parcels: Vec<Parcel>,
    /// The time of this batch, asked for once.
    now_ns: Option<u64>,
}

impl Batch {
    /// The time at which the batch was begun: nanoseconds since the Unix epoch.
    pub fn now_ns(&mut self) -> u64 {
        *self.now_ns.get_or_insert_with(now_ns)
    }

    /// Adds a parcel.
    pub fn push(&mut self, parcel: Parcel) {
        if self.parcels.capacity() == 0 {
            self.parcels = EMPTIED.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        self.parcels.push(parcel);
    }

    /// Takes the parcels, if there are any; the next batch begins.
    pub fn take(&mut self) -> Option<Vec<Parcel>> {
        self.now_ns = None;
        if self.parcels.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.parcels))
    }
}
