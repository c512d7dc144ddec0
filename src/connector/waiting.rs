//! The events that a connector cannot send yet.
//!
//! No actors, sockets or clocks are used here. Events wait while the connector dials, and behind a gate: a connector
//! that starts gated sends nothing until its supervisor has released it with the events that precede those of the
//! output. So the upstream gets the events of a session in their order, whichever way they take.

use crate::flow::Mark;

/// The events of one connector that wait, in their order. `E` is an event.
#[derive(Debug)]
pub struct Waiting<E> {
    events: Vec<E>,
    /// Whether the supervisor has not released the connector yet.
    is_gated: bool,
    /// The mark behind the last event, once it has arrived.
    mark: Option<Mark>,
}

impl<E> Waiting<E> {
    /// Creates an empty queue.
    pub fn new(is_gated: bool) -> Self {
        Self { events: Vec::new(), is_gated, mark: None }
    }

    /// Whether the connector still waits for its release.
    pub fn is_gated(&self) -> bool {
        self.is_gated
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Closes the gate again: the events that follow wait for another release.
    pub fn close_gate(&mut self) {
        self.is_gated = true;
    }

    /// Adds events of the output.
    pub fn push(&mut self, events: Vec<E>) {
        self.events.extend(events);
    }

    /// Records that no event follows those that wait.
    pub fn end_with(&mut self, mark: Mark) {
        self.mark = Some(mark);
    }

    /// Opens the gate, and puts `earlier` before the events that wait.
    pub fn release(&mut self, mut earlier: Vec<E>) {
        self.is_gated = false;
        earlier.append(&mut self.events);
        self.events = earlier;
    }

    /// Takes the events, and the mark behind them if it has arrived.
    pub fn take(&mut self) -> (Vec<E>, Option<Mark>) {
        (std::mem::take(&mut self.events), self.mark.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_events_precede_those_that_wait() {
        let mut waiting = Waiting::new(true);
        waiting.push(vec![3, 4]);
        assert!(waiting.is_gated());
        waiting.release(vec![1, 2]);
        assert!(!waiting.is_gated());
        waiting.push(vec![5]);
        assert_eq!(waiting.take(), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(waiting.take(), (Vec::new(), None));
    }

    #[test]
    fn a_gate_that_is_closed_again_waits_for_another_release() {
        let mut waiting = Waiting::new(false);
        assert!(waiting.is_empty());
        waiting.close_gate();
        waiting.push(vec![2]);
        assert!(waiting.is_gated() && !waiting.is_empty());
        waiting.release(vec![1]);
        assert_eq!(waiting.take(), (vec![1, 2], None));
    }

    #[test]
    fn the_mark_is_taken_with_the_events_before_it() {
        let mut waiting = Waiting::new(false);
        waiting.push(vec![1]);
        waiting.end_with(Mark(7));
        assert_eq!(waiting.take(), (vec![1], Some(Mark(7))));
        assert_eq!(waiting.take(), (Vec::new(), None));
    }
}
