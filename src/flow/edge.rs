//! The one way to send to an actor.

use std::fmt;

use actix::{Actor, Addr, Context, Handler, Message, Recipient, WeakRecipient, dev::SendError};

use super::EVENT_COST;

/// Room in each mailbox for control messages, beyond what permits admit: a session sends a handful in its
/// life, and each restart two.
pub const CONTROL_ROOM: usize = 64;

/// The mailbox room for an edge whose events are bounded by a budget of `buffer` bytes: more batches than
/// events cannot be under way, and one message may exceed the budget.
pub fn mailbox_room(buffer: usize) -> usize {
    buffer / EVENT_COST + CONTROL_ROOM
}

/// A way to send to an actor.
///
/// # Correctness
/// An address that is cloned for each message ignores the mailbox's capacity. A *held* edge is therefore
/// cloned when actors are tied together and at no other time. A *rare* edge makes its address anew for each
/// message; it carries what is few by its nature or has permits, and saves an idle session's memory.
pub struct Edge<M: Message + Send + 'static>(Way<M>)
where
    M::Result: Send;

enum Way<M: Message + Send + 'static>
where
    M::Result: Send,
{
    Held(Recipient<M>),
    Rare(WeakRecipient<M>),
}

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
    /// A held edge to an actor, which keeps it alive.
    pub fn to<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Way::Held(addr.clone().recipient()))
    }

    /// A rare edge to an actor, which does not keep it alive.
    pub fn rare<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Way::Rare(addr.clone().into()))
    }

    /// Hands a message over, or gives it back.
    pub fn push(&self, message: M) -> Pushed<M> {
        let sent = match &self.0 {
            Way::Held(address) => address.try_send(message),
            Way::Rare(address) => match address.upgrade() {
                Some(address) => address.try_send(message),
                None => return Pushed::Refused(message),
            },
        };
        match sent {
            Ok(()) => Pushed::Taken,
            Err(SendError::Closed(message) | SendError::Full(message)) => Pushed::Refused(message),
        }
    }

    /// Tells a fact or gives an order that means nothing to an actor that is gone.
    pub fn notify(&self, message: M) {
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
        Self(match &self.0 {
            Way::Held(address) => Way::Held(address.clone()),
            Way::Rare(address) => Way::Rare(address.clone()),
        })
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
