//! What a connection can be told, on either side.

use std::time::Duration;

/// Sizes that one connection may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest message accepted, in bytes, all its frames together.
    pub max_message: usize,
    /// The largest frame accepted, in bytes.
    pub max_frame: usize,
    /// Bytes read from this side and not yet written to the other. Reading stops when they are used up.
    pub buffer: usize,
}

/// When a peer counts as gone (C8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessConfig {
    /// Send a ping after this long without receiving anything.
    pub ping_interval: Option<Duration>,
    /// Give the peer up if nothing arrives within this time after a ping.
    pub ping_timeout: Duration,
    /// Give the peer up after this long without a message in either direction.
    pub idle_timeout: Option<Duration>,
    /// Give the peer up if it reads nothing of what is queued for this long.
    pub slow_consumer_timeout: Option<Duration>,
}

impl LivenessConfig {
    /// No checks.
    pub const OFF: Self = Self {
        ping_interval: None,
        ping_timeout: Duration::from_secs(10),
        idle_timeout: None,
        slow_consumer_timeout: None,
    };
}
