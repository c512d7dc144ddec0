//! The supervisor's interface: what it works with, and what it takes.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the last incoming pipeline or the session: events that no connector takes | data |
//! | [`Report`](crate::connector::Report) | connector | control |
//! | [`StopUpstream`], [`SessionOver`] | session | control |
//!
//! It sends `DataMessage` with failures to the first outgoing pipeline, else to the session; [`Attach`] to the last
//! incoming pipeline, else to the session; and events with a `$url`, and `Close`, to its connectors.

use std::sync::Arc;

use actix::Message;

use crate::{
    flow::{AckTracker, Budget, DataMessage, Edge},
    pipeline::Attach,
    wire::CloseFrame,
};

/// The actors and budgets that a supervisor works with.
pub struct SupervisorLinks {
    /// The last actor before the upstream: the last incoming pipeline, or the session.
    pub output: Edge<Attach>,
    /// The first outgoing pipeline, or the session.
    pub back: Edge<DataMessage>,
    /// The session's tracker.
    pub tracker: Arc<AckTracker>,
    /// The bytes that the connectors may have read and not delivered to the client.
    pub budget: Arc<Budget>,
    /// The bytes that may be on their way to the upstream: the listener's `buffer`.
    pub room: usize,
    /// Whether the client stays when an upstream connection is lost.
    pub keeps_client: bool,
    /// Whether a program of the route reads the origin of events.
    pub reads_origin: bool,
}

/// Session → supervisor, control plane: the session drains; close its connectors, and fail what is not
/// settled.
///
/// Reply: the failures, in the queue of the replies. On full: cannot happen; there is one per session, which
/// `CONTROL_ROOM` allows for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopUpstream(pub Option<CloseFrame>);

/// Session → supervisor, control plane: the session is over. Close what is left, and stop.
///
/// Reply: none. On full: cannot happen; there is one per session, which `CONTROL_ROOM` allows for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionOver(pub Option<CloseFrame>);
