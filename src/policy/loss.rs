//! Whether a route keeps its client when the upstream connection is lost, and whether failures become
//! messages to the client.

/// `on_upstream_loss`: what happens to the client when its upstream connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpstreamLoss {
    /// Keep the client where its session can continue on a new connection, else close it.
    Auto,
    /// Keep the client and reconnect to the upstream.
    Keep,
    /// Close the client with 1012.
    Close,
}

/// `error_replies`: whether failures become messages to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorReplies {
    /// Yes, where the client's protocol has a place for them.
    Auto,
    /// Yes.
    On,
    /// No: a failure that the client must notice closes the session.
    Off,
}
