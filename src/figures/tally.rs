//! What is counted of a session, and of all sessions of a route.

use super::count::{Count, Traffic};

/// What a session, or the sessions of a route on one thread, have done so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// The clients' complete data messages, as they were read.
    pub received: Traffic,
    /// The complete data messages to the clients, as they were written to their sockets.
    pub sent: Traffic,
    /// Accepted events. See [`Counts`].
    pub accepted: Count,
    /// Events with the outcome "answered".
    pub answered: Count,
    /// Events with the outcome "delivered".
    pub delivered: Count,
    /// Events with the outcome "errored".
    pub errored: Count,
    /// Events with the outcome "dropped".
    pub dropped: Count,
    /// Messages to the client that settle no event.
    pub pushed: Count,
    /// Messages that were dropped because the client does not read.
    pub discarded: Count,
    /// Lost connections and failed dials to the upstream after which another attempt follows.
    pub restarts: Count,
    /// Gaps: how often a client may have missed messages of the upstream, because a connection was replaced or messages
    /// were dropped.
    pub gaps: Count,
    /// Moves to another connection.
    pub moves: Count,
}

/// Number of events for each outcome. `accepted` is the sum of the others and of the unsettled events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of all accepted events.
    pub accepted: u64,
    /// Number of events whose reply was sent to the client.
    pub answered: u64,
    /// Number of events that were written to the upstream connection and need no reply.
    pub delivered: u64,
    /// Number of events that failed.
    pub errored: u64,
    /// Number of events that a pipeline dropped.
    pub dropped: u64,
}

// === impl Tally ===

impl Tally {
    /// The events by outcome at this moment.
    pub fn counts(&self) -> Counts {
        // The outcomes first: an event that is accepted and settled meanwhile must not have an outcome only.
        let answered = self.answered.get();
        let (delivered, errored, dropped) = (self.delivered.get(), self.errored.get(), self.dropped.get());
        Counts { accepted: self.accepted.get(), answered, delivered, errored, dropped }
    }
}

// === impl Counts ===

impl Counts {
    /// Number of events with an outcome.
    pub fn settled(&self) -> u64 {
        self.answered + self.delivered + self.errored + self.dropped
    }

    /// Number of events without outcome. On another thread than the session's, it is approximate.
    pub fn unsettled(&self) -> u64 {
        self.accepted.saturating_sub(self.settled())
    }
}
