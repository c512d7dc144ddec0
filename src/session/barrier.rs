//! Holds back what follows a gap notice until the notice has been sent (guarantee C11).
//!
//! No actors, sockets or clocks are used here. A notice is an error event, so it passes the errors pipelines first, and
//! the messages of the new upstream connection overtake it on the way. They wait here.

use std::collections::VecDeque;

use super::sequencer::{Position, Sequencer};
use crate::{event::EventNumber, wire::memory};

/// The notices that are on their way through the errors pipelines, and the outputs that follow them.
#[derive(Debug)]
pub struct Barrier<O> {
    sequencer: Sequencer<O>,
    /// The notices, each with its position, oldest first. They usually arrive in this order, so that the one which
    /// arrives is found at once.
    expected: VecDeque<(EventNumber, Position)>,
}

impl<O> Default for Barrier<O> {
    fn default() -> Self {
        Self { sequencer: Sequencer::default(), expected: VecDeque::new() }
    }
}

impl<O> Barrier<O> {
    /// Announces a notice, which will arrive as the error reply of `event`. Later outputs wait for it.
    pub fn expect(&mut self, event: EventNumber) {
        self.expected.push_back((event, self.sequencer.reserve()));
    }

    /// Whether the error reply of `event` is a notice that has not arrived.
    pub fn expects(&self, event: EventNumber) -> bool {
        self.expected.iter().any(|(expected, _)| *expected == event)
    }

    /// Passes an output on, unless a notice must be sent before it.
    pub fn pass(&mut self, output: O, emit: impl FnMut(O)) {
        self.sequencer.append(output, emit);
    }

    /// Passes on a part of a notice. The outputs after the notice follow its last part.
    pub fn notice(&mut self, event: EventNumber, part: O, is_last: bool, mut emit: impl FnMut(O)) {
        let Some((_, position)) = self.expected.iter().find(|(expected, _)| *expected == event) else {
            return self.pass(part, emit);
        };
        self.sequencer.put(*position, part, &mut emit);
        if is_last {
            self.forget(event, emit);
        }
    }

    /// Stops waiting for a notice. An errors pipeline has dropped it, or it has been sent.
    pub fn forget(&mut self, event: EventNumber, emit: impl FnMut(O)) {
        if let Some(at) = self.expected.iter().position(|(expected, _)| *expected == event) {
            let removed = self.expected.remove(at);
            memory::shrink_if_idle(&mut self.expected);
            if let Some((_, position)) = removed {
                self.sequencer.close(position, emit);
            }
        }
    }

    /// Stops waiting for all notices, because the session ends.
    pub fn forget_all(&mut self, mut emit: impl FnMut(O)) {
        for (_, position) in std::mem::take(&mut self.expected) {
            self.sequencer.close(position, &mut emit);
        }
    }

    /// Whether nothing is expected, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.sequencer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Outputs are their numbers in the order in which they must leave.
    fn notice(barrier: &mut Barrier<u64>, event: u64, parts: &[u64], out: &mut Vec<u64>) {
        for (at, part) in parts.iter().enumerate() {
            barrier.notice(EventNumber(event), *part, at + 1 == parts.len(), |output| out.push(output));
        }
    }

    #[test]
    fn what_follows_a_notice_waits_for_its_last_part() {
        let (mut barrier, mut out) = (Barrier::default(), Vec::new());
        barrier.pass(1, |output| out.push(output));
        barrier.expect(EventNumber(7));
        barrier.pass(4, |output| out.push(output));
        assert_eq!(out, [1]);
        assert!(barrier.expects(EventNumber(7)) && !barrier.expects(EventNumber(8)));
        notice(&mut barrier, 7, &[2, 3], &mut out);
        barrier.pass(5, |output| out.push(output));
        assert_eq!(out, [1, 2, 3, 4, 5]);
        notice(&mut barrier, 7, &[6], &mut out);
        assert_eq!(out.last(), Some(&6), "a second copy of the notice is an output like others");
    }

    #[test]
    fn a_dropped_notice_holds_nothing_back() {
        let (mut barrier, mut out) = (Barrier::default(), Vec::new());
        barrier.expect(EventNumber(7));
        barrier.pass(1, |output| out.push(output));
        barrier.forget(EventNumber(8), |output| out.push(output));
        assert!(out.is_empty());
        barrier.forget(EventNumber(7), |output| out.push(output));
        assert_eq!(out, [1]);
        barrier.expect(EventNumber(9));
        barrier.pass(2, |output| out.push(output));
        barrier.forget_all(|output| out.push(output));
        assert_eq!(out, [1, 2]);
    }

    proptest! {
        /// Steps: an output, a notice that is announced, or the oldest one that is announced arrives or is dropped.
        #[test]
        fn outputs_and_notices_leave_in_the_order_of_their_announcement(
            steps in proptest::collection::vec(0..4_u8, 0..60),
        ) {
            let (mut barrier, mut out, mut expected) = (Barrier::default(), Vec::new(), Vec::new());
            let (mut next, mut announced) = (0, std::collections::VecDeque::new());
            for step in steps {
                match step {
                    0 => {
                        barrier.pass(next, |output| out.push(output));
                        expected.push(next);
                    }
                    1 => {
                        barrier.expect(EventNumber(next));
                        announced.push_back(next);
                        expected.push(next);
                    }
                    2 => if let Some(event) = announced.pop_front() {
                        notice(&mut barrier, event, &[event], &mut out);
                    }
                    _ => if let Some(event) = announced.pop_front() {
                        barrier.forget(EventNumber(event), |output| out.push(output));
                        expected.retain(|number| *number != event);
                    }
                }
                next += 1;
                prop_assert!(expected.starts_with(&out), "{:?} {:?}", out, expected);
            }
            for event in announced {
                notice(&mut barrier, event, &[event], &mut out);
            }
            prop_assert_eq!(out, expected);
        }
    }
}
