//! What actors hand to one another, and the rules by which they do.
//!
//! * [`Envelope`]: an event on its way, with its [`Ticket`] and its [`Permit`].
//! * [`Ticket`]: the obligation to give the event an outcome. Whoever ends an event's way stamps its
//!   ticket; a ticket that is dropped without a stamp, in a panic say, is reported as lost (C1).
//! * [`Permit`]: bytes of a bounded [`Budget`], given back on drop (C4).
//! * [`Edge`]: the one way to send to an actor.
//!
//! Three planes, never mixed in one type: data is [`DataMessage`]; control are the messages of each actor's
//! `messages.rs`; back are the [`Ack`]s of the [`AckTracker`], which no sender ever waits on.
//!
//! # Correctness
//! Tickets, budgets and trackers are shared between the actors of one session, which all live on one
//! thread: their locks are never contended. They are `Sync` because an actor's messages must be, and no
//! wake-up is lost if they are used from several threads: the models in `loom/` check that (`make loom`).

mod batch;
mod budget;
mod edge;
mod sync;
mod ticket;

pub use batch::{Batch, recycle};
pub use budget::{Budget, EVENT_COST, GlobalBudget, PartialBytes, Permit};
pub use edge::{CONTROL_ROOM, Edge, Pushed, mailbox_room};
pub use ticket::{Ack, AckStatus, AckTracker, Cause, Ticket};

use actix::Message;

use crate::{event::Event, reply::Failure, wire::CloseFrame};

/// An event on its way.
#[derive(Debug)]
pub struct Envelope {
    /// The event.
    pub event: Event,
    /// Why it travels.
    pub kind: Kind,
    /// The outcome it still owes.
    pub ticket: Ticket,
    /// The bytes it takes from the budget of the side it came from; none once they are written.
    pub permit: Option<Permit>,
}

/// Why an envelope travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From the client to the upstream.
    Request,
    /// From the upstream, or from a pipeline's port `reply`, to the client: settles its event.
    Reply,
    /// From the upstream to the client, settling nothing.
    Push,
    /// To the client: tells it that its event failed.
    Error,
}

/// Data plane, along the arrows of the house: session → incoming pipelines → connector or supervisor,
/// connector or supervisor → outgoing pipelines → session, any → errors pipelines → session.
///
/// Failures travel in the same line as replies, so that a loss is told after what came before it (C2).
/// Reply: none; outcomes come back as stamps on the tickets.
/// On full: cannot be; permits run out first, and then the side they belong to is not read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DataMessage {
    /// Events, in order.
    Events(Vec<Envelope>),
    /// Events that failed behind the pipelines, in order.
    Failed(Vec<Failed>),
    /// The upstream has ended, and the session ends with it.
    Ended(Box<UpstreamEnd>),
}

/// The end of an upstream that ends its session. It travels in the line of the replies, so that what the
/// upstream sent before it reaches the client before the close.
#[derive(Debug)]
pub struct UpstreamEnd {
    /// Events that failed with it, in order.
    pub failed: Vec<Failed>,
    /// The close frame for the client; none: one without a code.
    pub frame: Option<CloseFrame>,
    /// Where it is a loss, what the reason has to name.
    pub loss: Option<Loss>,
}

/// Where the gap begins after the loss of an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// The first event that was lost.
    pub first: Option<u64>,
    /// In a stream, the last event that was written; it and those before it may be lost as well.
    pub last_written: Option<u64>,
}

/// An event that failed, on its way to become an error reply.
#[derive(Debug)]
pub struct Failed {
    /// The outcome it still owes; none for a notice about an event that is settled already.
    pub ticket: Option<Ticket>,
    /// The event that the reply names.
    pub event: u64,
    /// What went wrong.
    pub failure: Failure,
    /// `$correlation` of the event, for the reply.
    pub correlation: Option<crate::event::Value>,
}
