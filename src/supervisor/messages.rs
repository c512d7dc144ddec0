//! The supervisor's interface: what it needs to start, and the messages it handles.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the last incoming pipeline or the session: events that have no connector | data |
//! | [`Report`](crate::connector::Report) | connector | control |
//! | [`StopUpstream`], [`SessionOver`], [`Describe`] | session | control |
//!
//! It sends `DataMessage` with failures to the first outgoing pipeline or, without one, to the session;
//! [`Attach`] to the last incoming pipeline or, without one, to the session; and events with a `$url`, and
//! `Close`, to its connectors.

use std::sync::Arc;

use actix::Message;
use tokio::sync::oneshot;

use crate::{
    figures::{SessionFigures, Snapshot},
    flow::{AckTracker, Budget, DataMessage, Edge},
    pipeline::Attach,
    settings,
    tap::SessionTap,
    upstream::Announced,
    wire::CloseFrame,
};

/// The actors and budgets that a supervisor works with.
pub struct SupervisorLinks {
    /// The last actor before the upstream: the last incoming pipeline, or the session.
    pub output: Edge<Attach>,
    /// Whether the output is a pipeline. One that is not can be attached to a connector before the session starts.
    pub has_incoming: bool,
    /// The first outgoing pipeline, or the session. It gets the failures.
    pub back: Edge<DataMessage>,
    /// Whether `back` is a pipeline.
    pub has_outgoing: bool,
    /// The session's tracker.
    pub tracker: Arc<AckTracker>,
    /// The session's figures.
    pub figures: Arc<SessionFigures>,
    /// The session's tap; `None` if the settings forbid taps.
    pub tap: Option<Arc<SessionTap>>,
    /// The upstream's `buffer`: the bytes that the connectors have read and that are not written to the
    /// client yet.
    pub budget: Arc<Budget>,
    /// The listener's `buffer` in bytes. It bounds the events on their way to the upstream.
    pub room: usize,
    /// Whether the client stays when an upstream connection is lost.
    pub keeps_client: bool,
    /// Whether the client gets error replies, and gap notices with them.
    pub replies_errors: bool,
    /// Whether a program of the route reads the origin of events.
    pub reads_origin: bool,
    /// The pipeline whose program says what the upstream's messages are to the session's journal.
    pub classifier: Option<Arc<settings::Pipeline>>,
    /// Has the session move when the upstream announces the end of its connection; `None` if it cannot move.
    pub announced: Option<Announced>,
}

/// Session → supervisor, control plane: the session drains. Close its connectors, and make the unsettled
/// events fail.
///
/// The reply is the failures, in the queue of the replies. There is one such message per session, so it
/// always fits in the `CONTROL_ROOM` of the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopUpstream(pub Option<CloseFrame>);

/// Session → supervisor, control plane: the session is over. Close what is left, and stop.
///
/// There is no reply. There is one such message per session, so it always fits in the `CONTROL_ROOM` of the
/// mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionOver(pub Option<CloseFrame>);

/// Session → supervisor, control plane: an operator asks what the session is doing.
///
/// The supervisor adds its part to the snapshot, and sends the reply. The admin server limits how many questions wait
/// for an answer; one that does not fit in the mailbox is dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Describe {
    /// What the session has said.
    pub snapshot: Snapshot,
    /// Where the reply goes.
    pub reply: oneshot::Sender<Snapshot>,
}
