//! Settings of a journal.

use std::time::Duration;

/// What happens to an `open` that has no answer when its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InFlight {
    /// It fails.
    #[default]
    Error,
    /// It is sent again at the next connection.
    Retry,
}

/// Settings of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What happens to an `open` in flight at a loss.
    pub in_flight: InFlight,
    /// The bounds of one session.
    pub limits: Limits,
    /// How long a replay may take, from the connection to the last answer.
    pub timeout: Duration,
}

/// The bounds of one session's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions.
    pub max_entries: usize,
    /// Requests without answer.
    pub max_requests: usize,
    /// Bytes of all kept messages with their ids and cursors, and apart from these the bytes of messages that wait for a
    /// replay.
    pub max_bytes: usize,
    /// Bytes of one packet of a protocol whose packets may span messages.
    pub max_packet: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_flight: InFlight::Error, limits: Limits::default(), timeout: Duration::from_secs(5) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_entries: 1024, max_requests: 1024, max_bytes: 256 << 10, max_packet: 1 << 20 }
    }
}
