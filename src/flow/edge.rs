//! Edges: the only way to send a message to an actor.

use std::fmt;

use actix::{Actor, Addr, Context, Handler, Message, Recipient, WeakRecipient, dev::SendError};

use super::EVENT_COST;

/// Mailbox slots for control messages, beyond what permits admit: a session sends a handful in its life, and
/// each restart two.
pub const CONTROL_ROOM: usize = 64;

/// The mailbox capacity for an edge whose events are bounded by a budget of `buffer` bytes. There are never
/// more batches than events in flight, and one message may exceed the budget.
pub fn mailbox_room(buffer: usize) -> usize {
    buffer / EVENT_COST + CONTROL_ROOM
}

/// A sender to one actor.
///
/// # Correctness
/// An address that is cloned for each message ignores the mailbox's capacity. A *held* edge is therefore
/// cloned once, when actors are connected to each other. A *rare* edge makes its address anew for each
/// message; it carries messages that are few or have permits, and saves memory in idle sessions.
pub struct Edge<M: Message + Send + 'static>(Sender<M>)
where
    M::Result: Send;

enum Sender<M: Message + Send + 'static>
where
    M::Result: Send,
{
    Held(Recipient<M>),
    Rare(WeakRecipient<M>),
}

/// The result of sending a message.
#[derive(Debug)]
#[must_use = "a message that was not sent still owes its outcome"]
pub enum Pushed<M> {
    /// The message is in the mailbox.
    Taken,
    /// The actor has stopped, or its mailbox is full, which permits rule out. Contains the message.
    Refused(M),
}

impl<M: Message + Send + 'static> Edge<M>
where
    M::Result: Send,
{
    /// A held edge to an actor; keeps the actor alive.
    pub fn to<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Sender::Held(addr.clone().recipient()))
    }

    /// A rare edge to an actor; does not keep the actor alive.
    pub fn rare<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Sender::Rare(addr.clone().into()))
    }

    /// Sends a message, or returns it when the actor cannot take it.
    pub fn push(&self, message: M) -> Pushed<M> {
        let sent = match &self.0 {
            Sender::Held(address) => address.try_send(message),
            Sender::Rare(address) => match address.upgrade() {
                Some(address) => address.try_send(message),
                None => return Pushed::Refused(message),
            },
        };
        match sent {
            Ok(()) => Pushed::Taken,
            Err(SendError::Closed(message) | SendError::Full(message)) => Pushed::Refused(message),
        }
    }

    /// Sends a message that may be dropped when the actor has stopped.
    pub fn notify(&self, message: M) {
        if let Pushed::Refused(_) = self.push(message) {
            log::trace!("message to a stopped actor");
        }
    }
}

impl<M: Message + Send + 'static> Clone for Edge<M>
where
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Sender::Held(address) => Sender::Held(address.clone()),
            Sender::Rare(address) => Sender::Rare(address.clone()),
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
