//! The order in which a session's client is told things (C2).
//!
//! Pure. Where events are answered in order, each has a [`Slot`] from the moment it is accepted, and
//! whatever becomes known about a later one waits behind it. Where they are not, only an error has a slot,
//! from the moment it is known until it comes back from the errors pipelines, so that what comes after it
//! stays after it.

use std::collections::VecDeque;

use crate::wire::memory;

/// A place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

/// Holds back outputs until everything before them is out.
///
/// What it holds is bounded by what the outputs' permits admit.
#[derive(Debug)]
pub struct Sequencer<O> {
    /// The number of the first place that is not over.
    first: u64,
    places: VecDeque<Place<O>>,
}

#[derive(Debug)]
struct Place<O> {
    closed: bool,
    held: Vec<O>,
}

impl<O> Default for Sequencer<O> {
    fn default() -> Self {
        Self { first: 0, places: VecDeque::new() }
    }
}

impl<O> Sequencer<O> {
    /// Takes the next place.
    pub fn reserve(&mut self) -> Slot {
        self.places.push_back(Place { closed: false, held: Vec::new() });
        Slot(self.first + self.places.len() as u64 - 1)
    }

    /// Puts an output in a place: out at once when nothing is before it.
    pub fn put(&mut self, slot: Slot, output: O, mut emit: impl FnMut(O)) {
        match self.index(slot) {
            None | Some(0) => emit(output),
            Some(at) => self.places[at].held.push(output),
        }
    }

    /// Puts an output behind everything there is now.
    pub fn append(&mut self, output: O, mut emit: impl FnMut(O)) {
        match self.places.back_mut() {
            None => emit(output),
            Some(place) if place.closed => place.held.push(output),
            Some(_) => self.places.push_back(Place { closed: true, held: vec![output] }),
        }
    }

    /// Ends a place; what was held behind it comes out up to the next open place, its own outputs included.
    pub fn close(&mut self, slot: Slot, mut emit: impl FnMut(O)) {
        let Some(at) = self.index(slot) else { return };
        self.places[at].closed = true;
        while self.places.pop_front_if(|place| place.closed).is_some() {
            self.first += 1;
            if let Some(place) = self.places.front_mut() {
                std::mem::take(&mut place.held).into_iter().for_each(&mut emit);
            }
        }
        memory::shrink_if_idle(&mut self.places);
    }

    /// Whether nothing is held back and no place is open.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The index of a place that is not over.
    fn index(&self, slot: Slot) -> Option<usize> {
        let at = usize::try_from(slot.0.checked_sub(self.first)?).ok()?;
        (at < self.places.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_output_waits_for_the_earlier_place() {
        let mut sequencer = Sequencer::default();
        let mut out = Vec::new();
        let first = sequencer.reserve();
        let second = sequencer.reserve();
        sequencer.put(second, "second", |output| out.push(output));
        sequencer.close(second, |output| out.push(output));
        sequencer.put(second, "late to second", |output| out.push(output));
        assert!(out.is_empty());
        sequencer.put(first, "first", |output| out.push(output));
        sequencer.close(first, |output| out.push(output));
        assert_eq!(out, ["first", "second", "late to second"]);
        assert!(sequencer.is_empty());
    }

    #[test]
    fn what_is_appended_waits_for_open_places_only() {
        let mut sequencer = Sequencer::default();
        let mut out = Vec::new();
        sequencer.append(1, |output| out.push(output));
        let error = sequencer.reserve();
        sequencer.append(3, |output| out.push(output));
        sequencer.append(4, |output| out.push(output));
        sequencer.put(error, 2, |output| out.push(output));
        assert_eq!(out, [1, 2]);
        sequencer.close(error, |output| out.push(output));
        assert_eq!(out, [1, 2, 3, 4]);
    }

    proptest! {
        /// Each reserved place gets outputs `(place, n)`; closed in any order, they come out sorted.
        #[test]
        fn outputs_leave_in_the_order_of_their_places(
            puts in proptest::collection::vec((0..10_usize, 1..4_usize), 0..40),
            order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut sequencer = Sequencer::default();
            let slots: Vec<Slot> = (0..10).map(|_| sequencer.reserve()).collect();
            let mut out = Vec::new();
            let mut total = 0;
            for (serial, (place, count)) in puts.iter().enumerate() {
                for _ in 0..*count {
                    total += 1;
                    sequencer.put(slots[*place], (*place, serial), |output| out.push(output));
                }
            }
            for place in order {
                sequencer.close(slots[place], |output| out.push(output));
            }
            prop_assert!(out.is_sorted());
            prop_assert_eq!(out.len(), total);
            prop_assert!(sequencer.is_empty());
        }
    }
}
