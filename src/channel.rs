//! A peer's connection as a bounded stream of events: it combines socket, frames, format and byte budget.
//! Session and connector use it in the same way.
//!
//! ```text
//! socket ──► Link ──Message──► Inbound ──Data──► session or connector      poll_event
//! socket ◄── Link ◄──Message── Outbound ◄──Data── session or connector     push_event, or encode and push
//! ```
//!
//! A turn begins with [`Channel::begin_turn`] and ends with [`Channel::end_turn`]. Between these calls the
//! owner calls [`Channel::poll_event`] until it is pending.
//!
//! # Correctness
//! The channel bounds the steps of a turn, and the link bounds its frames, reads and bytes (guarantee C3).
//! Nothing is read while the budget is used up (C4). Whenever [`Channel::poll_event`] is pending, one of
//! these wakes the task: the socket; the budget, when bytes are returned; a yield, when the turn's steps or
//! quota are used up; or, for a message that may not grow, the alarm that [`Channel::check_liveness`] sets.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    event::{Data, Meta, Record},
    flow::{Budget, EVENT_COST, PartialBytes, Permit},
    format::{Inbound, Outbound},
    format_error::FormatError,
    settings::Format,
    turn::TURN_STEPS,
    wire::{
        Burst, BurstLimits, CloseFrame, Incoming, Limits, Link, LinkError, LivenessConfig, LivenessError,
        Message, Role, yield_turn,
    },
};

/// A connection that carries events. Each queued message has a token `T`, which is returned when the message
/// is written to the socket, or dropped with the channel.
pub struct Channel<S, T> {
    link: Link<S, T>,
    inbound: Inbound,
    outbound: Outbound,
    /// Bytes that were read and are not events yet, and the budget for bytes that were read from this peer and are not
    /// written to the other side yet.
    partial: PartialBytes,
    /// Number of messages and events that may still be read in the current turn.
    steps: u32,
    /// Maximum number of messages of the next burst.
    burst_max: u32,
    /// Whether the channel reads from the peer in the current turn. False when the budget is used up or the
    /// owner has called [`Channel::hold_back`].
    is_reading: bool,
}

/// The result of one step of reading.
#[derive(Debug)]
pub enum Received {
    /// The data of the next event, or the reason why it cannot be decoded.
    Event(Result<Data, FormatError>),
    /// A message. [`Channel::feed`] makes it the source of the next events.
    Message(Message),
    /// Messages in a row, each of which is one event. They are not fed.
    Burst(Burst),
    /// A ping or a pong. The answer to a ping has been queued.
    Control,
    /// The peer's close frame. [`Channel::take_unfinished`] yields the incomplete input before it.
    Close(Option<CloseFrame>),
}

/// One message of an event that is sent.
#[derive(Debug)]
pub struct Part {
    /// The message.
    pub message: Message,
    /// Whether the message is the last one of its event.
    pub is_last: bool,
    /// The event's permit; `None` except in the last message.
    pub permit: Option<Permit>,
}

/// Splits an event into its messages. The last message has the permit. The iterator must be used up.
#[inline]
pub fn parts(messages: &mut Vec<Message>, mut permit: Option<Permit>) -> impl Iterator<Item = Part> {
    // Usually there is one, which `pop` takes without moving others.
    messages.reverse();
    std::iter::from_fn(move || {
        let message = messages.pop()?;
        let is_last = messages.is_empty();
        Some(Part { message, is_last, permit: permit.take_if(|_| is_last) })
    })
}

impl<S, T> Channel<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Creates a channel on an upgraded socket. `rest` holds the bytes received after the handshake.
    pub fn new(
        socket: S,
        role: Role,
        (limits, liveness): (Limits, &LivenessConfig),
        format: &Format,
        budget: &Arc<Budget>,
        rest: Bytes,
    ) -> Self {
        Self {
            link: Link::new(socket, role, limits, liveness, rest),
            inbound: Inbound::new(format),
            outbound: Outbound::new(format),
            partial: PartialBytes::new(budget),
            steps: 0,
            burst_max: 0,
            is_reading: true,
        }
    }

    /// The connection itself, for writing queued messages and for closing.
    pub fn link(&mut self) -> &mut Link<S, T> {
        &mut self.link
    }

    /// The connection without format and budget, for closing it. Drops incomplete input and returns its bytes
    /// to the budget.
    pub fn into_link(self) -> Link<S, T> {
        self.link
    }

    // --- Reading

    /// Begins a turn of at most `TURN_STEPS` steps.
    pub fn begin_turn(&mut self) {
        self.link.allow(self.budget().allowance().saturating_sub(self.inbound.held()));
        self.link.reserve_ahead(self.budget().ahead());
        self.steps = TURN_STEPS;
        self.burst_max = 0;
        self.is_reading = true;
    }

    /// Begins and ends a turn that reads nothing, if there is nothing to read: in an earlier turn the socket had nothing
    /// more, and it has not woken the owner since. Returns false if the owner must begin a turn and read. It must while
    /// anything is incomplete, because that may have to wait for memory now.
    pub fn skip_turn(&mut self) -> bool {
        let skips = self.partial.is_empty() && !self.inbound.has_input() && self.link.skip_reading();
        // Another turn may have held back.
        self.is_reading |= skips;
        skips
    }

    /// Allows bursts of at most `messages` messages in the current turn, if the format keeps messages as they are.
    pub fn allow_bursts(&mut self, messages: usize) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.burst_max = if self.inbound.keeps_messages() { messages } else { 0 };
    }

    /// Polls for the next event, message or control frame, which takes one step. Pending when the socket has
    /// no data, the budget is used up, an incomplete message may not grow, or the turn's steps are used up.
    /// The task is woken in each of these cases.
    ///
    /// # Errors
    /// See [`LinkError`]. After an error, nothing can be read from the channel.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, LinkError>> {
        let Some(steps) = self.steps.checked_sub(1) else {
            yield_turn(cx);
            return Poll::Pending;
        };
        self.steps = steps;
        if !self.budget().room_or_wake(cx.waker()) {
            self.is_reading = false;
            return Poll::Pending;
        }
        if self.inbound.has_input()
            && let Some(decoded) = self.inbound.next()
        {
            return Poll::Ready(Ok(Received::Event(decoded)));
        }
        self.link.set_room(self.partial.budget().room());
        self.link.set_bursts(self.burst_limits());
        let Poll::Ready(incoming) = self.link.poll_next(cx) else {
            self.is_reading = !self.link.is_held_up();
            return Poll::Pending;
        };
        Poll::Ready(incoming.map(|incoming| match incoming {
            Incoming::Message(message) => Received::Message(message),
            Incoming::Burst(burst) => {
                // Each message takes a step, and its event another.
                let steps = u32::try_from(2 * burst.len() - 1).unwrap_or(u32::MAX);
                self.steps = self.steps.saturating_sub(steps);
                Received::Burst(burst)
            }
            Incoming::Ping(payload) => {
                self.link.outbox().pong(payload);
                Received::Control
            }
            Incoming::Pong(_) => Received::Control,
            Incoming::Close(frame) => Received::Close(frame),
        }))
    }

    fn burst_limits(&self) -> BurstLimits {
        let messages = self.burst_max.min(self.steps / 2 + 1) as usize;
        BurstLimits { messages, bytes: self.budget().room_of_burst(), overhead: EVENT_COST }
    }

    /// Records that the owner cannot accept another event, so that the channel does not read. Meanwhile the
    /// peer does not count as silent.
    pub fn hold_back(&mut self) {
        self.is_reading = false;
    }

    /// Whether the channel reads from the peer in the current turn, or did so in the last one.
    pub fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Ends a turn: updates the number of bytes that are not events yet, and releases the thread's read
    /// buffer.
    pub fn end_turn(&mut self) {
        self.link.end_turn();
        self.partial.set(self.link.unfinished() + self.inbound.held());
    }

    /// Sends a ping to a silent peer. Returns an error when the peer has been silent, idle or blocked for too
    /// long. Call it after [`Channel::end_turn`] and before writing. `waker` is woken when the next check is
    /// due.
    pub fn check_liveness(&mut self, waker: &Waker) -> Option<LivenessError> {
        self.link.check_liveness(waker, self.is_reading)
    }

    /// Whether a message would begin or end within an event. Call it only before the message is fed.
    pub fn splits(&self, message: &Message) -> bool {
        self.inbound.splits(message)
    }

    /// Makes a message the source of the next events. All events of the previous message must have been taken.
    pub fn feed(&mut self, message: Message) {
        self.inbound.feed(message);
    }

    /// Decodes a message at once if it is one event. The event takes a step of the turn, but does not wait for the budget,
    /// which had room for the message. Otherwise, this is the same as [`Channel::feed`], and returns `None`.
    pub fn decode(&mut self, message: Message) -> Option<Result<Data, FormatError>> {
        let decoded = self.inbound.decode(message);
        if decoded.is_some() {
            self.steps = self.steps.saturating_sub(1);
        }
        decoded
    }

    /// The next event of the message that was fed last; `None` if there is none. It takes no step of the turn and does
    /// not wait for the budget. For an owner that feeds messages on its own account, whose number is bounded otherwise.
    pub fn take_event(&mut self) -> Option<Result<Data, FormatError>> {
        self.inbound.next()
    }

    /// The next event of incomplete input after the peer has closed, such as a last line without newline.
    /// Call it until it returns `None`. It does not wait for the budget, because each preprocessor has at
    /// most one such event.
    pub fn take_unfinished(&mut self) -> Option<Result<Data, FormatError>> {
        self.inbound.finish();
        self.inbound.next()
    }

    /// Drops incomplete input whose rest will not be read. Returns the error to report for it; `None` if
    /// there was no input.
    pub fn abandon(&mut self) -> Option<FormatError> {
        self.inbound.abandon()
    }

    /// The budget for bytes that were read from this peer and are not written to the other side yet.
    pub fn budget(&self) -> &Arc<Budget> {
        self.partial.budget()
    }

    /// Uses bytes of the budget for an event with this data. The permit returns them.
    pub fn permit(&self, data: &Data) -> Permit {
        self.budget().take(data.size())
    }

    /// Uses bytes of the budget for the events of a burst.
    pub fn permit_burst(&self, burst: &Burst) -> Permit {
        self.budget().take_many(burst.bytes(), burst.len())
    }

    /// The metadata of an event with this data from the message that was fed last. `rest` is the metadata
    /// besides `$binary`.
    pub fn meta(&self, data: &Data, rest: Option<Arc<Record>>) -> Meta {
        self.inbound.meta(data, rest)
    }

    /// Whether the message that was fed last was a binary one.
    pub fn is_binary(&self) -> bool {
        self.inbound.is_binary()
    }

    // --- Writing

    /// Encodes an event and queues its messages. `token` makes the token of each message; its arguments are whether
    /// the message is the last one, the length of its payload, and the permit. Returns the number of messages.
    ///
    /// # Errors
    /// When the format cannot encode the data. Nothing is queued then.
    pub fn push_event(
        &mut self,
        data: Data,
        meta: &Meta,
        permit: Option<Permit>,
        token: impl Fn(bool, usize, Option<Permit>) -> T,
    ) -> Result<usize, FormatError> {
        if self.encodes_one() {
            let message = self.encode_one(data, meta)?;
            let token = token(true, message.len(), permit);
            let _ = self.link.push(message, token);
            return Ok(1);
        }
        let mut messages = Vec::new();
        self.encode(data, meta, &mut messages)?;
        let count = messages.len();
        for Part { message, is_last, permit } in parts(&mut messages, permit) {
            // After our close frame `push` refuses; message and token are dropped.
            let token = token(is_last, message.len(), permit);
            let _ = self.link.push(message, token);
        }
        Ok(count)
    }

    /// Whether bursts can be written as they are.
    pub fn writes_bursts(&self) -> bool {
        self.outbound.keeps_messages()
    }

    /// Whether each event is one message, so that [`Channel::encode_one`] encodes it.
    #[inline]
    pub fn encodes_one(&self) -> bool {
        self.outbound.encodes_one()
    }

    /// Encodes an event that is one message. See [`Channel::encodes_one`].
    ///
    /// # Errors
    /// When the format cannot encode the data.
    #[inline]
    pub fn encode_one(&mut self, data: Data, meta: &Meta) -> Result<Message, FormatError> {
        self.outbound.encode_one(data, meta)
    }

    /// Encodes an event for an owner that queues the messages with [`Link::push`]. Appends the messages to `messages`.
    ///
    /// # Errors
    /// When the format cannot encode the data. `messages` is then unchanged.
    pub fn encode(
        &mut self,
        data: Data,
        meta: &Meta,
        messages: &mut Vec<Message>,
    ) -> Result<(), FormatError> {
        self.outbound.encode(data, meta, messages)
    }
}

#[cfg(test)]
mod tests;
