//! The events whose messages are queued for the socket, kept so that they can be held when the connection is lost.
//!
//! No actors, sockets or clocks are used here. Nothing of these events was written, except possibly of the first one,
//! so that they may be sent on another connection (guarantee C6).

use std::collections::VecDeque;

use super::exchange::Unsettled;
use crate::{failure::Written, wire::memory};

/// The queued events of a connection, oldest first. `E` is an event.
#[derive(Debug)]
pub struct Unwritten<E> {
    events: VecDeque<E>,
}

impl<E> Default for Unwritten<E> {
    fn default() -> Self {
        Self { events: VecDeque::new() }
    }
}

impl<E> Unwritten<E> {
    /// Adds an event that was queued. Each event of the connection must be added.
    pub fn queued(&mut self, event: E) {
        self.events.push_back(event);
    }

    /// Removes the oldest event, because its last message was written.
    pub fn written(&mut self) {
        self.events.pop_front();
        memory::shrink_if_idle(&mut self.events);
    }

    /// Takes the events of which nothing was written. `unsettled` has all unsettled events of the connection, oldest
    /// first. Each event that is taken leaves it, and is returned with its obligation.
    pub fn take<T>(&mut self, unsettled: &mut Vec<Unsettled<T>>) -> Vec<(E, T)> {
        let queued = unsettled.split_off(unsettled.len().saturating_sub(self.events.len()));
        let mut taken = Vec::new();
        for (lost, event) in queued.into_iter().zip(self.events.drain(..)) {
            match lost.written {
                Written::Nothing => taken.push((event, lost.owed)),
                Written::Partly | Written::Whole => unsettled.push(lost),
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        connector::exchange::{InFlight, Tags},
        event::EventNumber,
        settings::ExchangeMode::{Request, Stream},
    };

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Send,
        /// A message is written that is not the last one of its event.
        WritePart,
        Write,
        Reply,
        Expire,
    }

    proptest! {
        /// The taken events are those of which nothing was written, in order, each with its own obligation.
        #[test]
        fn the_events_of_which_nothing_was_written_are_taken(
            steps in proptest::collection::vec(
                prop_oneof![
                    4 => Just(Step::Send),
                    1 => Just(Step::WritePart),
                    3 => Just(Step::Write),
                    2 => Just(Step::Reply),
                    1 => Just(Step::Expire),
                ],
                0..60,
            ),
            stream: bool,
        ) {
            let timeout = Duration::from_secs(1);
            let mut exchange = InFlight::new(if stream { Stream } else { Request }, false, timeout, 1000);
            let mut unwritten = Unwritten::default();
            let (mut now, mut sent, mut written, mut is_partly_written) = (Instant::now(), 0, 0, false);
            for step in steps {
                match step {
                    Step::Send => {
                        exchange.sent(EventNumber(sent), Tags::default(), sent, now);
                        unwritten.queued(sent);
                        sent += 1;
                    }
                    Step::WritePart if written < sent => {
                        exchange.partly_written();
                        is_partly_written = true;
                    }
                    Step::Write if written < sent => {
                        exchange.written(|| now);
                        unwritten.written();
                        (written, is_partly_written) = (written + 1, false);
                    }
                    Step::Reply => _ = exchange.reply(None),
                    Step::Expire => {
                        now += timeout;
                        exchange.expire(now);
                    }
                    Step::WritePart | Step::Write => {}
                }
            }
            let mut unsettled = exchange.end();
            let taken = unwritten.take(&mut unsettled);
            let first = written + u64::from(is_partly_written);
            prop_assert_eq!(taken, (first..sent).map(|event| (event, event)).collect::<Vec<_>>());
            prop_assert!(unsettled.iter().all(|lost| lost.written != Written::Nothing));
        }
    }
}
