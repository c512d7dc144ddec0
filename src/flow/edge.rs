//! Edges: the only way to send a message to an actor.

use std::fmt;

use actix::{Actor, Addr, Context, Handler, Message, Recipient, WeakRecipient, dev::SendError};

use super::EVENT_COST;

/// Mailbox slots for control messages, in addition to those for messages with permits. A session gets a
/// handful of control messages in its life, and each restart causes two.
pub const CONTROL_ROOM: usize = 64;

/// The mailbox capacity, in messages, for an edge whose events are bounded by a budget of `buffer` bytes.
/// Each message in the mailbox contains at least one event in flight, and each event costs at least
/// `EVENT_COST` bytes of the budget. What has no permit, as a notice, travels in one message for each turn of its
/// sender: [`Run`](super::Run). The slots for control messages cover those, and the one event that may exceed
/// the budget.
pub fn mailbox_room(buffer: usize) -> usize {
    buffer / EVENT_COST + CONTROL_ROOM
}

/// A sender of messages to one actor.
///
/// # Correctness
/// A sender whose address is cloned for each message ignores the mailbox's capacity. The address of a *held*
/// edge is therefore cloned once, when the actors are connected to each other. A *rare* edge clones its
/// address for each message. Its messages are few or have permits, and it saves memory in idle sessions.
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
    /// The actor has stopped, or its mailbox is full, which permits prevent. Contains the message.
    Refused(M),
}

impl<M: Message + Send + 'static> Edge<M>
where
    M::Result: Send,
{
    /// Creates a held edge to an actor, which keeps the actor alive.
    pub fn to<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Sender::Held(addr.clone().recipient()))
    }

    /// Creates a rare edge to an actor, which does not keep the actor alive.
    pub fn rare<A>(addr: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        Self(Sender::Rare(addr.downgrade().recipient()))
    }

    /// A held edge to the same actor; a rare one if the actor has stopped.
    pub fn held(&self) -> Self {
        Self(match &self.0 {
            Sender::Held(address) => Sender::Held(address.clone()),
            Sender::Rare(address) => match address.upgrade() {
                Some(address) => Sender::Held(address),
                None => Sender::Rare(address.clone()),
            },
        })
    }

    /// Sends a message, or returns it when the actor cannot accept it.
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

    /// Sends a message that may be dropped when the actor has stopped, by an address that the sender keeps.
    pub fn notify_at<A>(addr: &Addr<A>, message: M)
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        if addr.try_send(message).is_err() {
            log::trace!("message to a stopped actor");
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
