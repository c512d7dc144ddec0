//! Whether a route keeps its client when the upstream connection is lost, and whether failures become
//! messages to the client.

/// `on_upstream_loss`: what happens to the client when its upstream connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpstreamLoss {
    /// Keep the client if the route has no upstream or is `stateless`, or if its upstream uses request mode,
    /// because the session can then continue on a new connection. Otherwise close the client.
    Auto,
    /// Keep the client and reconnect to the upstream.
    Keep,
    /// Close the client with the close code 1012.
    Close,
}

/// `error_replies`: whether failures become messages to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorReplies {
    /// Send error replies if the route has no upstream or has errors pipelines, or if its upstream uses
    /// request mode.
    Auto,
    /// Send error replies.
    On,
    /// Send no error replies. A failure that the client must notice closes the session.
    Off,
}
