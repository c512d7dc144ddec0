//! The connector's interface: how one starts, what it takes, and what it reports.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the last incoming pipeline or the session; the supervisor for `$url` | data |
//! | [`Close`] | supervisor | control |
//!
//! It sends `DataMessage` to the first outgoing pipeline, else to the session, and [`Report`] to its supervisor.

use std::sync::Arc;

use actix::Message;

use crate::{
    connector::exchange::Unsettled,
    event::Origin,
    flow::{AckTracker, Budget, DataMessage, Edge, Envelope, Ticket},
    reply::Reason,
    upstream::{Dialed, Dialing},
    wire::CloseFrame,
};

/// How a connector starts.
pub enum Start {
    /// With a connection that the listener made for the client's handshake.
    With(Box<Dialed>),
    /// With a dial, which may be under way already.
    Dialing(Dialing),
}

/// The actors and budgets that a connector works with.
pub struct ConnectorLinks {
    /// Gets its reports.
    pub supervisor: Edge<Report>,
    /// The first outgoing pipeline, or the session.
    pub back: Edge<DataMessage>,
    /// The session's tracker.
    pub tracker: Arc<AckTracker>,
    /// The bytes that the session's connectors may have read and not delivered to the client.
    pub budget: Arc<Budget>,
    /// The bytes of client messages that may be on their way: the listener's `buffer`.
    pub room: usize,
    /// The origin of its events; none where no program asks for it.
    pub origin: Option<Arc<Origin>>,
}

/// Numbers the connections of a session: nothing of an old one is taken for a new one's (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Supervisor → connector, control plane: close the connection, the session is over.
///
/// Reply: [`Ended`]. On full: cannot be; there is one in a connector's life, and `CONTROL_ROOM`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close(pub Option<CloseFrame>);

/// Connector → supervisor, control plane: what has become of a connection.
///
/// Reply: none. On full: cannot be; there are three facts in a connector's life, and `CONTROL_ROOM`, and
/// events that came too late have the permits of their side.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Report {
    /// Which connection.
    pub generation: Generation,
    /// What became of it.
    pub fact: Fact,
}

/// What has become of a connection.
#[derive(Debug)]
pub enum Fact {
    /// Its handshake is done.
    Up,
    /// Its peer has sent something else than a close frame: it works.
    Proved,
    /// It is over. Reported once, whatever the end: by the connector, or by its drop in a panic.
    Ended(Ended),
    /// Events that came after the end.
    Unsent(Vec<Envelope>),
}

/// The end of a connection and what it leaves.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub reason: Reason,
    /// Events that were sent and are not settled, oldest first.
    pub unsettled: Vec<Unsettled<Ticket>>,
    /// Events that waited for the connection, when there never was one.
    pub unsent: Vec<Envelope>,
    /// The last event on the wire.
    pub last_written: Option<u64>,
}
