//! The types that travel between actors, and the rules for sending them.
//!
//! * [`Envelope`]: an event in flight, with its [`Ticket`] and its [`Permit`].
//! * [`Ticket`]: the obligation to give the event an outcome. The actor at which the event ends records the
//!   outcome. A ticket that is dropped without an outcome, for example in a panic, is reported as lost (guarantee
//!   C1).
//! * [`Permit`]: bytes of a bounded [`Budget`], returned on drop (guarantee C4).
//! * [`Edge`]: the only way to send to an actor.
//!
//! There are three planes, that is, kinds of messages that no type mixes. *Data*: [`DataMessage`]. *Control*:
//! the messages of each actor's `messages.rs`. *Back*: the [`Ack`]s of the [`AckTracker`], on which no sender
//! ever waits.
//!
//! # Correctness
//! The actors of one session share tickets, budgets and trackers. They all live on one thread, so the locks
//! are never contended. The types are `Sync` because an actor's messages must be, and no wake-up is lost if
//! several threads use them: the models in `loom/` check that (`make loom`).

mod batch;
mod budget;
mod burst;
mod edge;
mod sync;
mod ticket;

pub use batch::{Batch, Run, recycle};
pub use budget::{Budget, EVENT_COST, GlobalBudget, PartialBytes, Permit};
pub use burst::EventBurst;
pub use edge::{CONTROL_ROOM, Edge, Pushed, mailbox_room};
pub use ticket::{Ack, AckStatus, AckTracker, Acks, Cause, Ticket, Tickets};

use std::sync::{Arc, OnceLock};

use actix::Message;

use crate::{
    event::{Event, EventNumber},
    failure::Failure,
    recovery::{ClientClass, Gap},
    settings::Route,
    wire::CloseFrame,
};

/// An event in flight.
#[derive(Debug)]
pub struct Envelope {
    /// The event.
    pub event: Event,
    /// The purpose of this delivery.
    pub kind: Kind,
    /// The obligation to settle the event.
    pub ticket: Ticket,
    /// The event's bytes in the budget of the side it came from; `None` once they are written.
    pub permit: Option<Permit>,
    /// What the client's event is to the session's journal; `None` if no program says it.
    pub class: Option<Box<ClientClass>>,
}

/// The purpose of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event on its way from the client to the upstream.
    Request,
    /// A reply on its way to the client, from the upstream or from a pipeline's port `reply`. It settles an
    /// event.
    Reply,
    /// A push: a message from the upstream to the client that settles no event.
    Push,
    /// An error event on its way to the client. It reports a failed event.
    Error,
    /// An event that a pipeline sent to its port `err`, on its way to the session, which fails it.
    Rejected {
        /// Whether the event was on its way from the client to the upstream.
        before_upstream: bool,
    },
}

impl Kind {
    /// The kind of an event that a pipeline sends to its port `err`. An error event remains an error event.
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
/// (guarantee C2). There is no reply; outcomes come back as [`Ack`]s. The mailbox is never full, because the
/// budget is used up before, and then the proxy stops reading from that side.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DataMessage {
    /// Events, in order.
    Events(Vec<Envelope>),
    /// Events in a row that no program looks at.
    Burst(Box<EventBurst>),
    /// Failed events that bypass the pipelines, in order.
    Failed(Vec<Failed>),
    /// The upstream connection has ended, and the session ends with it.
    Ended(Box<UpstreamEnd>),
    /// The upstream connection was replaced.
    Notice(Box<Notice>),
    /// Messages of one turn, in order. None of them contains messages itself.
    Several(Vec<DataMessage>),
    /// The last message to this actor before the sender switches to another one.
    Mark(Mark),
    /// The session continues with other settings. It passes all actors of the session, between two events of each:
    /// the incoming pipelines, the supervisor, and the outgoing pipelines; the supervisor passes it to its connectors,
    /// and the session to its errors pipelines.
    Adopt(Arc<Adopt>),
}

/// The settings with which a session continues.
#[derive(Debug)]
pub struct Adopt {
    /// The route of the session, with its upstream and its pipelines.
    pub route: Arc<Route>,
    /// Mailbox capacity for error events, in bytes of budget.
    pub errors_room: usize,
    /// The first outgoing pipeline, if the outgoing pipelines begin to change events with these settings. The
    /// supervisor starts them, and its connectors send to this one.
    pub outgoing: OnceLock<Edge<DataMessage>>,
}

/// The last actor before the upstream → its connector or supervisor: the sender switches to another target, and has
/// sent everything that precedes the switch.
///
/// A mark travels behind the events on the same edge, so its arrival shows that all of them have arrived. The number
/// is that of the [`Attach`](crate::pipeline::Attach) that causes the switch, counted from 1 in each session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// The report of a gap that the client gets when its upstream connection was replaced (guarantee C11). It travels in
/// the queue of the replies, before the first message of the new connection.
#[derive(Debug)]
pub struct Notice {
    /// The obligation to settle the notice, which is a new event.
    pub ticket: Ticket,
    /// When the connection was replaced, and what may be missing.
    pub gap: Gap,
}

/// The end of an upstream that ends its session. It travels in the queue of the replies, so that everything
/// the upstream sent before reaches the client before the close. The outcomes of events that end with it follow in the
/// same [`DataMessage::Several`]: the session drains then, and a failure does not close it.
#[derive(Debug)]
pub struct UpstreamEnd {
    /// The close frame for the client; `None` is a close frame without a code.
    pub frame: Option<CloseFrame>,
    /// Why the upstream ends the session.
    pub cause: UpstreamEndCause,
}

/// Why an upstream ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEndCause {
    /// It closed the connection on purpose, or refused it.
    Closed,
    /// The connection was lost. The close reason names these events.
    Lost(Loss),
    /// It could not be reached for too long.
    GivenUp,
}

// === impl UpstreamEndCause ===

impl UpstreamEndCause {
    /// The events that the close reason names, after a loss.
    pub fn into_loss(self) -> Option<Loss> {
        match self {
            Self::Lost(loss) => Some(loss),
            Self::Closed | Self::GivenUp => None,
        }
    }
}

/// The gap that the loss of an upstream connection leaves: the events that may not have reached the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// The first lost event; `None` if no event was lost.
    pub first: Option<EventNumber>,
    /// In stream mode, the last event that was written. It and earlier events may be lost as well.
    pub last_written: Option<EventNumber>,
}

/// A failed event that will become an error reply.
#[derive(Debug)]
pub struct Failed {
    /// The obligation to settle the event; `None` if the event is settled already.
    pub ticket: Option<Ticket>,
    /// The event that the error reply names.
    pub event: EventNumber,
    /// Why the event failed.
    pub failure: Failure,
    /// The event's `$correlation`, for the error reply.
    pub correlation: Option<crate::event::Value>,
}
