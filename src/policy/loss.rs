//! Whether a route keeps its client when the upstream connection is lost, and whether failures become
//! messages to the client.

/// `on_upstream_loss`: what becomes of the client when its upstream connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpstreamLoss {
    /// The client is kept where its session can go on on a new connection, else closed.
    Auto,
    /// The client is kept and the upstream is connected to again.
    Keep,
    /// The client is closed with 1012.
    Close,
}

/// `error_replies`: whether failures become messages to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorReplies {
    /// They do where the client's protocol has a place for them.
    Auto,
    /// They always do.
    On,
    /// They never do: a failure that the client must learn of closes the session.
    Off,
}
