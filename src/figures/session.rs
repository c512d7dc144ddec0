//! The figures of one session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::count::{Count, Traffic, TrafficTotals};

/// What a session has done so far. The actors of the session write it, all on one thread; see the module
/// [`figures`](super) for readers.
#[derive(Debug, Default)]
pub struct SessionFigures {
    /// The client's complete data messages, as they were read.
    pub received: Traffic,
    /// The complete data messages to the client, as they were written to its socket.
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
    /// Gaps: how often the client may have missed messages of the upstream, because a connection was replaced or
    /// messages were dropped.
    pub gaps: Count,
    /// Moves to another connection.
    pub moves: Count,
    /// When the last data message was read from the client or written to it, in milliseconds since the Unix epoch; 0
    /// before the first one.
    active_ms: Count,
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

/// [`SessionFigures`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionTotals {
    /// The client's complete data messages.
    pub received: TrafficTotals,
    /// The complete data messages to the client.
    pub sent: TrafficTotals,
    /// The events by outcome.
    pub counts: Counts,
    /// Messages to the client that settle no event.
    pub pushed: u64,
    /// Messages that were dropped because the client does not read.
    pub discarded: u64,
    /// Lost connections and failed dials after which another attempt follows.
    pub restarts: u64,
    /// How often the client may have missed messages of the upstream.
    pub gaps: u64,
    /// Moves to another connection.
    pub moves: u64,
    /// When the last data message was read from the client or written to it; `None` before the first one.
    pub active: Option<SystemTime>,
}

// === impl SessionFigures ===

impl SessionFigures {
    /// Records that data messages were read or written at this time, in nanoseconds since the Unix epoch.
    #[inline]
    pub fn active(&self, now_ns: u64) {
        self.active_ms.set(now_ns / 1_000_000);
    }

    /// The events by outcome at this moment.
    pub fn counts(&self) -> Counts {
        // The outcomes first: an event that is accepted and settled meanwhile must not have an outcome only.
        let answered = self.answered.get();
        let (delivered, errored, dropped) = (self.delivered.get(), self.errored.get(), self.dropped.get());
        Counts { accepted: self.accepted.get(), answered, delivered, errored, dropped }
    }

    /// All figures at this moment.
    pub fn totals(&self) -> SessionTotals {
        let active = Some(self.active_ms.get()).filter(|time| *time > 0);
        SessionTotals {
            received: self.received.totals(),
            sent: self.sent.totals(),
            counts: self.counts(),
            pushed: self.pushed.get(),
            discarded: self.discarded.get(),
            restarts: self.restarts.get(),
            gaps: self.gaps.get(),
            moves: self.moves.get(),
            active: active.map(|time| UNIX_EPOCH + Duration::from_millis(time)),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn totals_have_what_was_counted() {
        let figures = SessionFigures::default();
        assert_eq!(figures.totals(), SessionTotals::default());
        figures.received.message(5);
        figures.received.message(0);
        figures.sent.message(7);
        for count in [&figures.accepted, &figures.accepted, &figures.answered, &figures.pushed] {
            count.add(1);
        }
        figures.discarded.set(3);
        figures.active(1_767_323_045_123_456_789);
        let totals = figures.totals();
        assert_eq!(totals.received, TrafficTotals { messages: 2, bytes: 5 });
        assert_eq!(totals.sent, TrafficTotals { messages: 1, bytes: 7 });
        assert_eq!(totals.counts, Counts { accepted: 2, answered: 1, ..Counts::default() });
        assert_eq!((totals.counts.settled(), totals.counts.unsettled()), (1, 1));
        assert_eq!((totals.pushed, totals.discarded), (1, 3));
        assert_eq!(totals.active, Some(UNIX_EPOCH + Duration::from_millis(1_767_323_045_123)));
    }

    #[test]
    fn another_thread_reads_what_the_writer_counts() {
        let figures = Arc::new(SessionFigures::default());
        let reader = Arc::clone(&figures);
        let reading = std::thread::spawn(move || {
            let mut last = Counts::default();
            while last.accepted < 100_000 {
                let counts = reader.counts();
                assert!(counts.accepted >= last.accepted && counts.answered >= last.answered);
                last = counts;
                std::thread::yield_now();
            }
        });
        for _ in 0..100_000 {
            figures.accepted.add(1);
            figures.answered.add(1);
        }
        reading.join().unwrap();
        assert_eq!(figures.counts().unsettled(), 0);
    }
}
