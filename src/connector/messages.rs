//! What a connector is told and what it tells. Its data comes and goes as [`DataMessage`](crate::flow::DataMessage).

use actix::Message;

use crate::{
    connector::exchange::Unsettled,
    flow::{Envelope, Ticket},
    reply::Reason,
    wire::CloseFrame,
};

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
