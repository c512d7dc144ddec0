//! The order in which a session sends messages to its client (guarantee C2).
//!
//! No actors, sockets or clocks are used here. The sequencer holds messages back until everything that
//! precedes them has been sent. There are two ways to use it:
//!
//! * Replies match by order. Every event reserves a [`Position`] when it is accepted, so that replies and
//!   errors leave in the order of the client's messages.
//! * Replies match by key. Only an error reserves a position, from the failure until the error reply returns
//!   from the errors pipelines. Messages that arrive in the meantime follow the error reply.

use std::collections::VecDeque;

use crate::wire::memory;

/// A reserved position in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// Holds back outputs until everything before them has been emitted.
///
/// The outputs have permits, which limit the memory that the sequencer holds.
#[derive(Debug)]
pub struct Sequencer<O> {
    /// The number of the first position in `positions`.
    first: u64,
    /// The positions from the first open one on.
    positions: VecDeque<Pending<O>>,
}

/// The state of a position that is open, or that follows an open one.
#[derive(Debug)]
struct Pending<O> {
    closed: bool,
    held: Vec<O>,
}

impl<O> Default for Sequencer<O> {
    fn default() -> Self {
        Self { first: 0, positions: VecDeque::new() }
    }
}

impl<O> Sequencer<O> {
    /// Reserves the next position.
    pub fn reserve(&mut self) -> Position {
        self.positions.push_back(Pending { closed: false, held: Vec::new() });
        Position(self.first + self.positions.len() as u64 - 1)
    }

    /// Puts an output at a position. Emits it at once when no open position precedes it.
    pub fn put(&mut self, position: Position, output: O, mut emit: impl FnMut(O)) {
        match self.index(position) {
            None | Some(0) => emit(output),
            Some(at) => self.positions[at].held.push(output),
        }
    }

    /// Puts an output after all positions reserved so far.
    #[inline]
    pub fn append(&mut self, output: O, mut emit: impl FnMut(O)) {
        if self.positions.is_empty() {
            return emit(output);
        }
        self.hold_last(output);
    }

    fn hold_last(&mut self, output: O) {
        match self.positions.back_mut() {
            Some(last) if last.closed => last.held.push(output),
            _ => self.positions.push_back(Pending { closed: true, held: vec![output] }),
        }
    }

    /// Closes a position. Emits the outputs that it held back, up to and including those of the next open
    /// position.
    pub fn close(&mut self, position: Position, mut emit: impl FnMut(O)) {
        let Some(at) = self.index(position) else { return };
        self.positions[at].closed = true;
        while self.positions.pop_front_if(|pending| pending.closed).is_some() {
            self.first += 1;
            if let Some(pending) = self.positions.front_mut() {
                std::mem::take(&mut pending.held).into_iter().for_each(&mut emit);
            }
        }
        memory::shrink_if_idle(&mut self.positions);
    }

    /// Whether no output is held back and no position is open.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The index of a position; `None` when the position and everything before it have been closed.
    fn index(&self, position: Position) -> Option<usize> {
        let at = usize::try_from(position.0.checked_sub(self.first)?).ok()?;
        (at < self.positions.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_output_waits_for_the_earlier_position() {
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
    fn an_appended_output_waits_for_open_positions_only() {
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
        /// Each position gets outputs `(position, n)`. For any order of closing the positions, the outputs
        /// are emitted in sorted order.
        #[test]
        fn outputs_leave_in_the_order_of_their_positions(
            puts in proptest::collection::vec((0..10_usize, 1..4_usize), 0..40),
            order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut sequencer = Sequencer::default();
            let positions: Vec<Position> = (0..10).map(|_| sequencer.reserve()).collect();
            let mut out = Vec::new();
            let mut total = 0;
            for (serial, (at, count)) in puts.iter().enumerate() {
                for _ in 0..*count {
                    total += 1;
                    sequencer.put(positions[*at], (*at, serial), |output| out.push(output));
                }
            }
            for at in order {
                sequencer.close(positions[at], |output| out.push(output));
            }
            prop_assert!(out.is_sorted());
            prop_assert_eq!(out.len(), total);
            prop_assert!(sequencer.is_empty());
        }
    }
}
