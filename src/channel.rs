//! A peer's connection as a bounded stream of events: socket, frames, format and byte budget put together, the same on
//! both sides.
//!
//! ```text
//! socket ──► Link ──Message──► Inbound ──Data──► session or connector      poll_event
//! socket ◄── Link ◄──Message── Outbound ◄──Data── session or connector     push_event, or encode and push
//! ```
//!
//! A turn begins with [`Channel::begin_turn`] and ends with [`Channel::end_turn`]. Between the two the owner calls
//! [`Channel::poll_event`] until it is pending.
//!
//! # Correctness
//! A turn is bounded in steps here, and in frames, reads and bytes by the link (C3). Nothing is read while the budget
//! has no room (C4). Each way to be pending has its own wake-up: the socket, the budget's next free bytes, a yield at
//! the end of the turn's steps or quota, or the alarm that [`Channel::check_liveness`] sets for a message that may not
//! grow.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    event::{Data, Meta, Record},
    flow::{Budget, PartialBytes, Permit},
    format::{Inbound, Outbound},
    settings::Format,
    turn::TURN_STEPS,
    wire::{
        CloseFrame, Incoming, Limits, Link, LinkError, LivenessConfig, LivenessError, Message, Role,
        yield_turn,
    },
};

/// A connection that carries events. `T` travels with each message until the socket has taken it.
pub struct Channel<S, T> {
    link: Link<S, T>,
    inbound: Inbound,
    outbound: Outbound,
    /// The bytes that may be read from this peer and not be written to the other side yet.
    budget: Arc<Budget>,
    /// What is read and is no event yet.
    partial: PartialBytes,
    /// What is left of this turn's `TURN_STEPS`.
    steps: usize,
    /// Whether this turn reads from the peer; false once there is no room for what it sends.
    is_reading: bool,
    /// Room for the messages of one event, kept from event to event.
    messages: Vec<Message>,
}

/// A step of reading.
#[derive(Debug)]
pub enum Received {
    /// The data of the next event, or why it cannot be decoded.
    Event(Result<Data, String>),
    /// A message. [`Channel::feed`] makes it the source of the next events.
    Message(Message),
    /// A ping or a pong. A ping has its pong queued.
    Control,
    /// The peer's close frame. What it left unfinished comes from [`Channel::take_unfinished`].
    Close(Option<CloseFrame>),
}

/// A message of an event, on its way to the socket.
#[derive(Debug)]
pub struct Part {
    /// The message.
    pub message: Message,
    /// Whether it is the last one of its event.
    pub is_last: bool,
    /// The event's permit, with its last message.
    pub permit: Option<Permit>,
}

/// Splits an event's messages: the last one carries the permit.
pub fn parts(messages: &mut Vec<Message>, permit: Option<Permit>) -> impl Iterator<Item = Part> {
    let (mut permit, count) = (permit, messages.len());
    messages.drain(..).enumerate().map(move |(at, message)| {
        let is_last = at + 1 == count;
        Part { message, is_last, permit: permit.take_if(|_| is_last) }
    })
}

impl<S, T> Channel<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// A channel on an upgraded socket; `rest` holds the bytes that arrived behind the handshake.
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
            budget: Arc::clone(budget),
            partial: PartialBytes::new(budget),
            steps: 0,
            is_reading: true,
            messages: Vec::new(),
        }
    }

    /// The connection itself, to write what is queued and to close.
    pub fn link(&mut self) -> &mut Link<S, T> {
        &mut self.link
    }

    /// The connection without format and budget, to close it. What was partly read is free.
    pub fn into_link(self) -> Link<S, T> {
        self.link
    }

    // --- Reading

    /// Begins a turn: it may take `TURN_STEPS` steps.
    pub fn begin_turn(&mut self) {
        self.link.allow(self.budget.allowance().saturating_sub(self.inbound.held()));
        self.steps = TURN_STEPS;
        self.is_reading = true;
    }

    /// The next step: an event, a message or a control frame. Pending when the socket has nothing, the budget has no
    /// room, a message may not grow, or the turn is over; the owner is woken in each of these cases.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing can be read afterwards.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, LinkError>> {
        let Some(steps) = self.steps.checked_sub(1) else {
            yield_turn(cx);
            return Poll::Pending;
        };
        self.steps = steps;
        if !self.budget.room_or_wake(cx.waker()) {
            self.is_reading = false;
            return Poll::Pending;
        }
        if let Some(decoded) = self.inbound.next() {
            return Poll::Ready(Ok(Received::Event(decoded)));
        }
        let Poll::Ready(incoming) = self.link.poll_next(cx) else {
            self.is_reading = !self.link.is_held_up();
            return Poll::Pending;
        };
        Poll::Ready(incoming.map(|incoming| match incoming {
            Incoming::Message(message) => Received::Message(message),
            Incoming::Ping(payload) => {
                self.link.outbox().pong(payload);
                Received::Control
            }
            Incoming::Pong(_) => Received::Control,
            Incoming::Close(frame) => Received::Close(frame),
        }))
    }

    /// Notes that the owner has no room for another event: while it is not read, the peer does not count as silent.
    pub fn hold_back(&mut self) {
        self.is_reading = false;
    }

    /// Ends a turn: counts what is read and is no event yet, and gives the thread's read buffer back.
    pub fn end_turn(&mut self) {
        self.link.end_turn();
        self.partial.set(self.link.unfinished() + self.inbound.held());
    }

    /// Pings a silent peer, and finds one that is silent, idle or blocked for too long. Call it after
    /// [`Channel::end_turn`] and before writing; `waker` is woken for the next check.
    pub fn check_liveness(&mut self, waker: &Waker) -> Option<LivenessError> {
        self.link.check_liveness(waker, self.is_reading)
    }

    /// Makes a message the source of the next events. The events of the one before have to be taken.
    pub fn feed(&mut self, message: Message) {
        self.inbound.feed(message);
    }

    /// The peer has closed and sends nothing more. What it left unfinished, such as a last line without newline, are
    /// its last events: call this until there is none. Each preprocessor has one at most, so no budget is asked.
    pub fn take_unfinished(&mut self) -> Option<Result<Data, String>> {
        self.inbound.finish();
        self.inbound.next()
    }

    /// The connection is gone, or is not read any more: drops what is unfinished and says what that was, if anything.
    pub fn abandon(&mut self) -> Option<String> {
        self.inbound.abandon()
    }

    /// The bytes that may be read from this peer and not be written to the other side yet.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The bytes of an event with this data, taken from the budget.
    pub fn permit(&self, data: &Data) -> Permit {
        self.budget.take(data.size())
    }

    /// The metadata of an event with this data, from the message that was fed last.
    pub fn meta(&self, data: &Data, rest: Option<Arc<Record>>) -> Meta {
        self.inbound.meta(data, rest)
    }

    /// Whether the message that was fed last was a binary one.
    pub fn is_binary(&self) -> bool {
        self.inbound.is_binary()
    }

    // --- Writing

    /// Encodes an event and queues its messages, each with a token that `token` makes of it. Returns how many there
    /// are.
    ///
    /// # Errors
    /// When the format cannot write the data; then nothing is queued.
    pub fn push_event(
        &mut self,
        data: Data,
        meta: &Meta,
        permit: Option<Permit>,
        token: impl Fn(bool, Option<Permit>) -> T,
    ) -> Result<usize, String> {
        let mut messages = self.encode(data, meta)?;
        let count = messages.len();
        for Part { message, is_last, permit } in parts(&mut messages, permit) {
            // Behind our close frame nothing may follow: the token is dropped with its message.
            let _ = self.link.push(message, token(is_last, permit));
        }
        self.reuse(messages);
        Ok(count)
    }

    /// Encodes an event for an owner that queues its messages later, by [`Link::push`]. Give the emptied vector back to
    /// [`Channel::reuse`].
    ///
    /// # Errors
    /// When the format cannot write the data.
    pub fn encode(&mut self, data: Data, meta: &Meta) -> Result<Vec<Message>, String> {
        let mut messages = mem::take(&mut self.messages);
        match self.outbound.encode(data, meta, &mut messages) {
            Ok(()) => Ok(messages),
            Err(detail) => {
                self.messages = messages;
                Err(detail)
            }
        }
    }

    /// Takes an emptied vector back, for the next event.
    pub fn reuse(&mut self, messages: Vec<Message>) {
        self.messages = messages;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::{
        codec,
        event::Value,
        flow::{EVENT_COST, GlobalBudget},
        processor::Spec,
    };

    const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 1 << 20 };

    /// A client's channel with a budget of so many bytes, and the server's end of the socket.
    fn channel(budget: usize) -> (Channel<DuplexStream, bool>, DuplexStream) {
        let (ours, theirs) = duplex(1 << 20);
        let format = Format {
            codec: codec::lookup("string").unwrap(),
            preprocessors: vec![Spec::Lines { buffered: true }],
            postprocessors: Vec::new(),
        };
        let budget = Budget::new(budget, &GlobalBudget::new(usize::MAX));
        let limits = (LIMITS, &LivenessConfig::OFF);
        (Channel::new(ours, Role::Client, limits, &format, &budget, Bytes::new()), theirs)
    }

    /// The events of one turn, with a permit each, and how many steps it took.
    fn turn(channel: &mut Channel<DuplexStream, bool>) -> (Vec<(Value, Permit)>, usize) {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut events, mut steps) = (Vec::new(), 0);
        channel.begin_turn();
        while let Poll::Ready(received) = channel.poll_event(&mut cx) {
            steps += 1;
            match received.unwrap() {
                Received::Event(data) => {
                    let data = data.unwrap();
                    let permit = channel.permit(&data);
                    events.push((data.into_value(), permit));
                }
                Received::Message(message) => channel.feed(message),
                Received::Control | Received::Close(_) => {}
            }
        }
        channel.end_turn();
        (events, steps)
    }

    /// A bare text frame of at most 125 bytes.
    fn text(payload: &str) -> Vec<u8> {
        [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
    }

    #[actix::test]
    async fn a_turn_ends_after_its_steps_and_the_next_goes_on() {
        let (mut channel, mut server) = channel(usize::MAX);
        server.write_all(&text("a\n").repeat(TURN_STEPS)).await.unwrap();
        // A message and its event are a step each.
        for _ in 0..2 {
            let (events, steps) = turn(&mut channel);
            assert_eq!((events.len(), steps), (TURN_STEPS / 2, TURN_STEPS));
            assert!(channel.is_reading);
        }
        assert_eq!(turn(&mut channel).1, 0);
    }

    #[actix::test]
    async fn without_room_nothing_is_read_until_a_permit_is_back() {
        let (mut channel, mut server) = channel(2 * EVENT_COST);
        server.write_all(&text("a\nb\nc\nd\n")).await.unwrap();
        let (events, _) = turn(&mut channel);
        assert_eq!(events.len(), 2);
        assert!(!channel.is_reading, "a peer that is not read does not count as silent");
        assert!(turn(&mut channel).0.is_empty());
        drop(events);
        let (events, _) = turn(&mut channel);
        assert_eq!(events[0].0, Value::string("c"));
    }

    #[actix::test]
    async fn what_is_unfinished_becomes_the_last_event_or_is_abandoned() {
        let (mut channel, mut server) = channel(usize::MAX);
        server.write_all(&text("a\nb")).await.unwrap();
        assert_eq!(turn(&mut channel).0.len(), 1);
        assert_eq!(channel.take_unfinished().unwrap().unwrap().into_value(), Value::string("b"));
        assert!(channel.take_unfinished().is_none());
        assert!(channel.abandon().is_none());
    }

    #[actix::test]
    async fn a_ping_is_answered() {
        let (mut channel, mut server) = channel(usize::MAX);
        server.write_all(&[0x89, 0]).await.unwrap();
        assert_eq!(turn(&mut channel).1, 1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(channel.link().poll_flush(&mut cx, drop).is_ready());
        let mut pong = [0; 6];
        server.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong[0], 0x8a);
    }

    #[actix::test]
    async fn an_event_goes_out_with_its_mark_on_the_last_message() {
        let (mut channel, _server) = channel(usize::MAX);
        let data = Data::from(Value::string("a"));
        let count = channel.push_event(data, &Meta::new(false, None), None, |is_last, _| is_last);
        assert_eq!(count, Ok(1));
        assert_eq!(channel.link().outbox().tokens().collect::<Vec<_>>(), [&true]);
        let mut messages = vec![Message::Text("a".into()), Message::Text("b".into())];
        let permit = channel.budget().take(1);
        let parts: Vec<_> = parts(&mut messages, Some(permit)).collect();
        assert!(!parts[0].is_last && parts[0].permit.is_none());
        assert!(parts[1].is_last && parts[1].permit.is_some());
    }
}
