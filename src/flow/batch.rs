//! What an actor gathers in one turn.

use super::Parcel;
use crate::turn::now_ns;

/// The largest batch for which room is made ahead.
const AHEAD_MAX: usize = 64;

/// Parcels gathered in one turn, to be handed on together: one message instead of many.
#[derive(Debug, Default)]
pub struct Batch {
    parcels: Vec<Parcel>,
    /// How many the last batch had: the next is likely to be like it.
    last: usize,
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
        if self.parcels.is_empty() {
            self.parcels.reserve_exact(self.last.clamp(1, AHEAD_MAX));
        }
        self.parcels.push(parcel);
    }

    /// Takes the parcels, if there are any; the next batch begins.
    pub fn take(&mut self) -> Option<Vec<Parcel>> {
        self.now_ns = None;
        if self.parcels.is_empty() {
            return None;
        }
        self.last = self.parcels.len();
        Some(std::mem::take(&mut self.parcels))
    }
}
