//! The connector's interface: how to start a connector, the messages it handles, and what it reports.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the last incoming pipeline or the session; the supervisor for `$url` | data |
//! | [`Release`] | supervisor | data |
//! | [`Yield`], [`Close`], [`Lend`](super::Lend) | supervisor | control |
//!
//! It sends `DataMessage` to the first outgoing pipeline or, without one, to the session, and [`Report`] to
//! its supervisor.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Message;

use crate::{
    connector::{exchange::Unsettled, journal::SessionJournal},
    event::EventNumber,
    failure::Failure,
    figures::SessionFigures,
    flow::{AckTracker, Budget, DataMessage, Edge, Envelope, Mark, Ticket},
    tap::SessionTap,
    upstream::{Announced, Destination, Dialed, Dialing, IdleFlag},
    wire::CloseFrame,
};

/// How a connector starts.
pub enum Start {
    /// On a connection that is up. The connector reports it.
    With(Box<Dialed>),
    /// On the first connection of a session, which is up. The connector does not report it, because the output sends to it
    /// before any event.
    Attached(Box<Dialed>),
    /// With a dial, which may already be in progress.
    Dialing(Dialing),
}

/// The actors and budgets that a connector works with.
pub struct ConnectorLinks {
    /// The supervisor, to which the reports go.
    pub supervisor: Edge<Report>,
    /// The first outgoing pipeline, or the session.
    pub back: Edge<DataMessage>,
    /// Whether `back` is a pipeline.
    pub has_outgoing: bool,
    /// The session's tracker.
    pub tracker: Arc<AckTracker>,
    /// The session's figures.
    pub figures: Arc<SessionFigures>,
    /// The session's tap; `None` if the settings forbid taps.
    pub tap: Option<Arc<SessionTap>>,
    /// The upstream's `buffer`: the bytes that the session's connectors have read and that are not written to
    /// the client yet.
    pub budget: Arc<Budget>,
    /// The listener's `buffer` in bytes. It bounds the events in flight to the connector.
    pub room: usize,
    /// Whether a program reads the origin of its events.
    pub reads_origin: bool,
    /// Whether the endpoint is counted separately. Servers that events name count together.
    pub counts_endpoint: bool,
    /// Whether the client gets gap notices.
    pub has_notices: bool,
    /// Whether the connector neither sends nor receives before [`Release`].
    pub is_gated: bool,
    /// Whether the connector reads and sends nothing before [`Lend`](super::Lend).
    pub has_journal: bool,
    /// Has the session move when the upstream announces the end of the connection; `None` if it cannot move.
    pub announced: Option<Announced>,
    /// Where the connector records whether nothing is in flight.
    pub idle: IdleFlag,
}

/// The number of a connector within its session. The supervisor ignores reports of older connectors (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Supervisor → connector, control plane: close the connection, because the session ends.
///
/// The reply is [`Ended`]. A connector gets at most one `Close`, so it always fits in the `CONTROL_ROOM` of
/// the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close(pub Option<CloseFrame>);

/// Supervisor → connector, control plane: serve the events that it has, and close the connection, because the session
/// moves to another one. The output has been switched to the supervisor, and its mark has arrived.
///
/// The reply is [`Ended`] with `is_yielded`, or [`Fact::Stayed`]. The next `Yield` follows only after that, so it
/// always fits in the `CONTROL_ROOM` of the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Yield {
    /// The connector stays if something is still in flight then.
    pub until: Instant,
}

/// Supervisor → connector, data plane: begin to send and to receive.
///
/// There is no reply; a connector that has ended returns the message as [`Fact::Returned`]. A connector gets one
/// `Release` for each time that its gate was closed. Its events have permits, so it always fits in the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Release {
    /// The events to send before those that wait at the gate. They are earlier than all that the output sends to the
    /// connector.
    pub events: Vec<Envelope>,
    /// The connection that this one replaces; `None` for the first one.
    pub replaces: Option<Replaced>,
}

/// A lost connection that another one replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// When it was lost.
    pub since: Instant,
    /// The last event that was written to it, or to one before it.
    pub last_event: Option<EventNumber>,
}

/// Connector → supervisor, control plane: a change of the connection's state.
///
/// There is no reply. A connector sends at most six reports, and one for each `Yield`, which fit in the `CONTROL_ROOM`
/// of the mailbox, and one for each batch of late events, whose number is bounded by their permits.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Report {
    /// The connector that reports.
    pub generation: Generation,
    /// The change.
    pub fact: Fact,
}

/// A change of a connection's state.
#[derive(Debug)]
pub enum Fact {
    /// The handshake with this server is complete.
    Up(Destination),
    /// The upstream has sent a frame other than a close frame, which shows that it works.
    Proved,
    /// The connection has ended. This is reported exactly once. If the connector panics, its drop reports it.
    Ended(Ended),
    /// Events that arrived after the end of the connection.
    Unsent(Vec<Envelope>),
    /// A [`Release`] that arrived after the end of the connection. Its events follow those in [`Ended::unwritten`], and
    /// precede those in [`Ended::waiting`] and [`Fact::Unsent`].
    Returned(Release),
    /// The mark of the output has arrived, and each event before it has been sent or reported.
    Marked(Mark),
    /// The replay is complete, and the client's events pass from now on.
    Restored(Restored),
    /// The journal, which a connector that had ended did not take.
    Journal(Box<SessionJournal>),
    /// After [`Yield`], something was in flight for too long. The connector goes on, and waits at its gate for
    /// [`Release`].
    Stayed,
    /// The connector has died in a panic, so no event and no mark comes back from it after this.
    Died,
}

/// What a replay has done.
#[derive(Debug, Clone, Copy)]
pub struct Restored {
    /// The number of messages that were sent again.
    pub messages: usize,
    /// How long it took from the moment when the connection had the journal.
    pub duration: Duration,
}

/// The end of a connection, with the events that it leaves unsettled.
#[derive(Debug)]
pub struct Ended {
    /// Why the connection ended.
    pub failure: Failure,
    /// Whether the connection was closed because of [`Yield`], with nothing in flight.
    pub is_yielded: bool,
    /// Unsettled events that were sent, oldest first.
    pub unsettled: Vec<Unsettled<Ticket>>,
    /// With `recovery.hold`, the events that were queued for the socket and of which nothing was written, in order.
    pub unwritten: Vec<Envelope>,
    /// The events that waited for the connection or at the gate, in order. They are later than all others.
    pub waiting: Vec<Envelope>,
    /// The last event that was written to the socket.
    pub last_written: Option<EventNumber>,
    /// The session's journal, if the connector had it.
    pub journal: Option<Box<SessionJournal>>,
    /// The close frame for the client, if the session cannot go on at any connection.
    pub verdict: Option<CloseFrame>,
}

impl Ended {
    /// Number of events that the connection leaves unsettled.
    pub fn left(&self) -> usize {
        self.unsettled.len() + self.unwritten.len() + self.waiting.len()
    }
}
