//! What a session is told. Its data and the upstream's end come as [`DataMessage`](crate::flow::DataMessage), outcomes as
//! [`Ack`](crate::flow::Ack).

use std::time::Duration;

use actix::Message;

use crate::wire::CloseFrame;

/// Listener → session, control plane: the process ends; close the client after `delay`, with `frame`.
///
/// Until then the session goes on; then events that are not settled have `grace` to be.
/// Reply: none. On full: cannot be; there is one in a session's life, and `CONTROL_ROOM`.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// When to begin.
    pub delay: Duration,
    /// How long to wait for outcomes then.
    pub grace: Duration,
    /// What the client is told.
    pub frame: CloseFrame,
}
