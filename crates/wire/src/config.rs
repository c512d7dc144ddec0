//! Settings of a WebSocket connection, for both sides of the proxy.

use std::time::Duration;

/// Limits on the memory of one connection, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest message accepted, the sum of its frames' payloads.
    pub max_message: usize,
    /// Largest frame payload accepted.
    pub max_frame: usize,
    /// Bytes read from this side and not yet written to the other. When they reach this limit, reading stops.
    pub buffer: usize,
}

/// Times after which a peer counts as gone (C8). `None` switches a check off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessConfig {
    /// Send a ping after this long without receiving anything.
    pub ping_interval: Option<Duration>,
    /// Close the connection if nothing arrives within this time after a ping.
    pub ping_timeout: Duration,
    /// Close the connection after this long without a message in either direction.
    pub idle_timeout: Option<Duration>,
    /// Close the connection if the peer reads none of its queued data for this long.
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
