//! Settings of a WebSocket connection, for both sides of the proxy.

use std::time::Duration;

/// Limits on the memory of one connection, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum size of a message in bytes, the sum of its frames' payloads. A larger message closes the
    /// connection.
    pub max_message: usize,
    /// Maximum size of a frame's payload in bytes. A larger frame closes the connection.
    pub max_frame: usize,
    /// Maximum number of bytes read from this side and not yet written to the other. At this limit the proxy
    /// stops reading from this side.
    pub buffer: usize,
}

/// Times after which a peer counts as gone (guarantee C8). `None` switches a check off.
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
    /// Configuration without any checks.
    pub const OFF: Self = Self {
        ping_interval: None,
        ping_timeout: Duration::from_secs(10),
        idle_timeout: None,
        slow_consumer_timeout: None,
    };
}
