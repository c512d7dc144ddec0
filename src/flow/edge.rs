//! The one way to send to an actor.

use std::fmt;

use actix::{Actor, Addr, Context, Handler, Message, Recipient, dev::SendError};

use super::EVENT_COST;

/// Room in each mailbox for control messages, beyond what permits admit: a session sends a handful in its
/// life, and each restart two.
pub const CONTROL_ROOM: usize = 64;

/// The mailbox room for an edge whose events are bounded by a budget of `buffer` bytes: more batches than
/// events cannot be under way, and one message may exceed the budget.
pub fn mailbox_room(buffer: usize) -> usize {
    buffer / EVENT_COST + CONTROL_ROOM
}

/// A held address: the only kind whose mailbox is bounded.
///
/// An address that is cloned for each message ignores the mailbox's capacity, so an edge is cloned when
/// actors are tied together and at no other time.
pub struct Edge<M: Message + Send + 'static>(Recipient<M>)
where
    M::Result: Send;

/// What became of a message.
#[derive(Debug)]
#[must_use = "a message that was not taken still owes its outcome"]
pub enum Pushed<M> {
    /// It is in the mailbox.
    Taken,
    /// The actor is gone, or its mailbox is full, which permits rule out: here is the message.
    Refused(M),
}

impl<M: Message + Send + 'static> Edge<M>
where
    M::Result: Send,
{
    /// An edge to an actor.
    pub fn to<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(addr.clone().recipient())
    }

    /// Hands a message over, or gives it back.
    pub fn push(&self, message: M) -> Pushed<M> {
        match self.0.try_send(message) {
            Ok(()) => Pushed::Taken,
            Err(SendError::Closed(message) | SendError::Full(message)) => Pushed::Refused(message),
        }
    }

    /// Tells a fact or gives an order that means nothing to an actor that is gone.
    pub fn tell(&self, message: M) {
        if let Pushed::Refused(_) = self.push(message) {
            log::trace!("message to an actor that is gone");
        }
    }
}

impl<M: Message + Send + 'static> Clone for Edge<M>
where
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message + Send + 'static> fmt::Debug for Edge<M>
where
    M::Result: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge")
    }
}
