//! The types that travel between actors, and the rules for sending them.
//!
//! * [`Envelope`]: an event in flight, with its [`Ticket`] and its [`Permit`].
//! * [`Ticket`]: the obligation to give the event an outcome. The actor at which the event ends records the
//!   outcome. A ticket that is dropped without one, in a panic for example, is reported as lost (C1).
//! * [`Permit`]: bytes of a bounded [`Budget`], returned on drop (C4).
//! * [`Edge`]: the only way to send to an actor.
//!
//! There are three planes, never mixed in one type. Data: [`DataMessage`]. Control: the messages of each
//! actor's `messages.rs`. Back: the [`Ack`]s of the [`AckTracker`], on which no sender ever waits.
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
pub use ticket::{Ack, AckStatus, AckTracker, Cause, EventNumber, Ticket};

use actix::Message;

use crate::{event::Event, failure::Failure, wire::CloseFrame};

/// An event in flight.
#[derive(Debug)]
pub struct Envelope {
    /// The event.
    pub event: Event,
    /// The purpose of this delivery.
    pub kind: Kind,
    /// The obligation to settle the event.
    pub ticket: Ticket,
    /// The bytes it uses of the budget of the side it came from; `None` once they are written.
    pub permit: Option<Permit>,
}

/// The purpose of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event on its way from the client to the upstream.
    Request,
    /// A reply on its way to the client, from the upstream or from a pipeline's port `reply`. It settles its
    /// event.
    Reply,
    /// A push: a message from the upstream to the client that settles no event.
    Push,
    /// An error event on its way to the client: it reports a failed event.
    Error,
    /// An event that a pipeline sent to its port `err`, on its way to the session, which fails it.
    Rejected {
        /// Whether it was on its way from the client to the upstream.
        before_upstream: bool,
    },
}

impl Kind {
    /// The kind of an event that a pipeline sends to its port `err`. An error event stays one.
    pub fn rejected(self) -> Self {
        match self {
            Self::Request => Self::Rejected { before_upstream: true },
            Self::Reply | Self::Push => Self::Rejected { before_upstream: false },
            Self::Error | Self::Rejected { .. } => self,
        }
    }
}

/// Data plane: session → incoming pipelines → connector or supervisor; connector or supervisor → outgoing
/// pipelines → session; any actor → errors pipelines → session.
///
/// Failures travel in the same queue as replies, so that a loss is reported after everything that preceded it
/// (C2). Reply: none; outcomes come back as [`Ack`]s. On full: cannot happen; permits run out first, and then
/// the side they belong to is not read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DataMessage {
    /// Events, in order.
    Events(Vec<Envelope>),
    /// Failed events that do not pass the pipelines any more, in order.
    Failed(Vec<Failed>),
    /// The upstream connection has ended, and the session ends with it.
    Ended(Box<UpstreamEnd>),
}

/// An upstream's end that ends its session. It travels in the queue of the replies, so that everything the
/// upstream sent before reaches the client before the close.
#[derive(Debug)]
pub struct UpstreamEnd {
    /// Events that failed with the connection, in order.
    pub failed: Vec<Failed>,
    /// The close frame for the client; `None` is a close frame without a code.
    pub frame: Option<CloseFrame>,
    /// For a loss, the events that the close reason names.
    pub loss: Option<Loss>,
}

/// Where the gap begins after the loss of an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// The first lost event.
    pub first: Option<EventNumber>,
    /// In stream mode, the last event written; it and earlier ones may be lost as well.
    pub last_written: Option<EventNumber>,
}

/// A failed event that is to become an error reply.
#[derive(Debug)]
pub struct Failed {
    /// The obligation to settle the event; `None` for a notice about a settled event.
    pub ticket: Option<Ticket>,
    /// The event that the error reply names.
    pub event: EventNumber,
    /// Why it failed.
    pub failure: Failure,
    /// The event's `$correlation`, for the error reply.
    pub correlation: Option<crate::event::Value>,
}
