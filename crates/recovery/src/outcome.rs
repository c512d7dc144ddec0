//! What a journal exchanges with its caller.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// One WebSocket message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The content; UTF-8 when the message is text.
    pub payload: Bytes,
    /// Whether it is a binary message.
    pub binary: bool,
}

impl Message {
    /// A text message.
    pub fn text(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), binary: false }
    }

    /// A binary message.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), binary: true }
    }
}

/// What to do with a client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Write this to the upstream in place of the client's message.
    Send(Message),
    /// Write nothing: the journal has answered the message or waits for the rest of it. Settle the event as
    /// delivered.
    Hide,
    /// Write nothing: the event has failed. The message is too much for the journal's limits.
    Refuse(Failure),
    /// The replay is in progress. Offer the message again after [`Output::Ready`].
    Wait(Message),
}

/// What to do with a client's message while no upstream is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offline {
    /// The message need not reach the upstream. Deliver this answer, if there is one; otherwise settle the event as
    /// delivered.
    Done(Option<Message>),
    /// The event has failed. The message reports that in the client's protocol; `None` where the protocol has none.
    Failed(Option<Message>),
}

/// What to do with an upstream's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamStep {
    /// Deliver this to the client in place of the upstream's message.
    Deliver {
        /// What the client receives.
        message: Message,
        /// The events that the message answers, where the protocol shows it.
        answers: Vec<u64>,
    },
    /// Deliver nothing: the message answers the journal, or it comes later as [`Output::Deliver`].
    Hide,
    /// Deliver nothing: the class that a program gave the message does not fit it.
    Refuse(Reason),
}

/// What the caller has to do, in this order. Drain [`Journal::poll`](crate::Journal::poll) after each other call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write this to the upstream. It belongs to no event of the client.
    Send(Message),
    /// Deliver this to the client.
    Deliver {
        /// What the client receives.
        message: Message,
        /// The events that the message answers.
        answers: Vec<u64>,
    },
    /// Report a gap to the client.
    Notice(Gap),
    /// One entry could not be restored. Report it as an error of the event that opened it.
    Failed(Failure),
    /// The replay is complete: client messages may pass.
    Ready,
    /// The session cannot go on at this upstream. Close the connection to it.
    Broken(Broken),
}

/// Why a session cannot be restored at an upstream connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The upstream refused a login. Its message was delivered to the client; end the session instead of trying
    /// again.
    #[error("the upstream refused the login of the replay")]
    Refused,
    /// The upstream did not answer a login in time. Dial again, with the usual backoff.
    #[error("the upstream did not answer the login of the replay within {}", humane(.0))]
    TimedOut(Duration),
    /// The upstream takes no sessions now. Dial again, with the usual backoff.
    #[error("the upstream is not available")]
    Unavailable,
    /// The upstream's bytes are not packets of the protocol, or a packet exceeds the limit.
    #[error("{0}")]
    Malformed(&'static str),
}

fn humane(time: &Duration) -> String {
    format!("{time:?}")
}

/// An event that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The number of the event in its session.
    pub event: u64,
    /// Why it failed.
    pub reason: Reason,
    /// The message that reports the failure in the client's protocol; `None` where the protocol has none.
    pub reply: Option<Message>,
}

/// Why an event failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The connection was lost before the upstream answered.
    #[error("the connection to the upstream was lost before it answered")]
    Lost,
    /// The upstream refused to restore the subscription.
    #[error("the upstream refused the subscription after a reconnect")]
    Refused,
    /// The upstream did not answer the replay of a subscription in time.
    #[error("the upstream did not answer the subscription after a reconnect in time")]
    TimedOut,
    /// The subscription cannot be restored without a second effect.
    #[error("the subscription cannot be restored at a new connection")]
    NotReplayable,
    /// The client's bytes are not packets of the protocol, or a packet exceeds the limit. End the session.
    #[error("{0}")]
    Malformed(&'static str),
    /// A program names a place of an id, and the message has no id there.
    #[error("port `journal`: the message has no id at the path in `id_at`")]
    NoId,
    /// The upstream assigns ids, and a program does not say where in the message the id is.
    #[error("port `journal`: the upstream assigns ids, so that `id_at` is needed in place of `id`")]
    Unplaced,
    /// The client closes a subscription that the upstream does not have, so that its request gets no answer.
    #[error("the subscription is not open at the upstream, so that nothing answers its end")]
    NotOpen,
    /// The replay has sent a request with the same id, and the upstream may still answer that one.
    #[error(
        "the id of the request is in use: the upstream may still answer a subscription after a reconnect"
    )]
    RequestInUse,
    /// The session has too many logins; the number is the limit.
    #[error("too many logins: recovery.max_entries allows {0}")]
    TooManyLogins(usize),
    /// The session has too many subscriptions; the number is the limit.
    #[error("too many subscriptions: recovery.max_entries allows {0}")]
    TooManyEntries(usize),
    /// The session has too many requests without answer; the number is the limit.
    #[error("too many requests without answer: the limit is {0}")]
    TooManyRequests(usize),
    /// The journal of the session is full; the number is the limit in bytes.
    #[error("the recovery journal is full: recovery.max_bytes allows {0} bytes")]
    TooManyBytes(usize),
}

/// The loss of a connection, as the caller saw it.
#[derive(Debug, Clone, Copy)]
pub struct Loss<'a> {
    /// When it was noticed.
    pub now: Instant,
    /// The last event of the client that was written to the lost connection; `None` when there was none.
    pub last_event: Option<u64>,
    /// The close code that the upstream sent.
    pub close: Option<u16>,
    /// The text of the error messages for events in flight.
    pub text: &'a str,
}

/// What a loss means for the events of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events that have failed. Each was written and not answered, or was not written; none is sent again.
    pub failed: Vec<Failure>,
    /// Subscriptions that have ended with the connection, by the events that opened them. These events had their
    /// outcome before.
    pub dropped: Vec<Failure>,
    /// Events that the journal sends again at the next connection. Their outcome is still to come, so that the
    /// caller reports no error for them, whether or not they were written.
    pub kept: Vec<u64>,
    /// Events whose purpose the loss has fulfilled, such as the end of a subscription, with their answers.
    pub done: Vec<(u64, Option<Message>)>,
    /// The session is over: close the client with this code instead of trying again. The upstream refused the replay
    /// with it, or the client has ended the session in its protocol.
    pub pass_on: Option<u16>,
}

impl Lost {
    /// Makes one outcome per event, in the order of events: requests that shared a message share its outcome, and
    /// `join` makes one message of their replies.
    pub(crate) fn merge(&mut self, join: fn(&[Message]) -> Message) {
        let done = self.done.drain(..).map(|(event, reply)| Failure { event, reason: Reason::Lost, reply });
        let done = merged(done.collect(), join);
        self.failed = merged(std::mem::take(&mut self.failed), join);
        for outcome in done {
            match self.failed.iter_mut().find(|failure| failure.event == outcome.event) {
                Some(failure) => failure.reply = both(failure.reply.take(), outcome.reply, join),
                None => self.done.push((outcome.event, outcome.reply)),
            }
        }
        self.kept.sort_unstable();
        self.kept.dedup();
        let failed = &self.failed;
        self.kept.retain(|event| failed.iter().all(|failure| failure.event != *event));
    }
}

fn merged(mut failures: Vec<Failure>, join: fn(&[Message]) -> Message) -> Vec<Failure> {
    failures.sort_by_key(|failure| failure.event);
    let mut merged: Vec<Failure> = Vec::new();
    for failure in failures {
        match merged.last_mut() {
            Some(last) if last.event == failure.event => {
                last.reply = both(last.reply.take(), failure.reply, join);
            }
            _ => merged.push(failure),
        }
    }
    merged
}

fn both(first: Option<Message>, second: Option<Message>, join: fn(&[Message]) -> Message) -> Option<Message> {
    match (first, second) {
        (Some(first), Some(second)) => Some(join(&[first, second])),
        (first, second) => first.or(second),
    }
}

/// The beginning of a gap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    pub(crate) at: Instant,
    /// The last event that was written before.
    pub(crate) last_event: Option<u64>,
}

/// A time in which a client may have missed messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The subscription, with the client's id; `None` when the gap concerns the whole session.
    pub entry: Option<GapEntry>,
    /// The last event of the client that was written before the gap.
    pub last_event: Option<u64>,
    /// When the connection was lost.
    pub since: Instant,
    /// When the subscription was restored.
    pub until: Instant,
    /// The generation of the connection that restored it.
    pub generation: u64,
    /// What was lost.
    pub missing: Missing,
}

/// The subscription that a gap concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapEntry {
    /// What was subscribed to, in the protocol's writing: a topic, a method, the id of an operation.
    pub key: Bytes,
    /// The subscription's id that the client was given, in the protocol's writing, such as `"0x1"` with its quotes.
    pub id: Bytes,
    /// The event that opened the subscription.
    pub event: u64,
}

/// How many messages a client has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// None, because the upstream continued at the cursor.
    None,
    /// Unknown.
    Unknown,
    /// This many, according to the numbers of the messages.
    Count(u64),
}

impl Since {
    /// The gap that ends at `until`, at the connection of `generation`. `entry` is `None` for the whole session.
    pub(crate) fn gap(
        self,
        entry: Option<GapEntry>,
        until: Instant,
        generation: u64,
        missing: Missing,
    ) -> Gap {
        Gap { entry, last_event: self.last_event, since: self.at, until, generation, missing }
    }
}

impl Output {
    /// Whether the output stays due when the connection is lost. The others are for that connection.
    pub(crate) fn is_for_client(&self) -> bool {
        matches!(self, Self::Deliver { .. } | Self::Notice(_) | Self::Failed(_))
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Unknown => f.write_str("unknown"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// A message that the client's library expects at intervals, also while no upstream is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often the client needs it.
    pub every: Duration,
    /// What to deliver.
    pub message: Message,
}
