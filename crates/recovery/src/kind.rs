//! What a message is to a journal, whatever its protocol.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::outcome::Heartbeat;

/// An id, written in one way per value.
pub(crate) type Id<'a> = Cow<'a, [u8]>;

/// An id and its place in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<'a> {
    pub(crate) id: Id<'a>,
    pub(crate) span: Range<usize>,
}

/// The values of a message from which a preset makes messages to its client.
pub(crate) type Context = Box<[Bytes]>;

/// Which of several logins a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// That of the pattern at this position.
    Position(usize),
    /// The one that a program calls so.
    Key(Bytes),
}

/// A client's message.
#[derive(Debug)]
pub(crate) enum FromClient<'a> {
    /// Passes.
    Plain,
    /// Logs in. A hello replaces an earlier one in the same slot.
    Hello { slot: Slot },
    /// Opens a subscription.
    Open(Open<'a>),
    /// Ends a subscription.
    Close { id: Located<'a>, request: Option<Id<'a>>, context: Context },
    /// Awaits an answer.
    Call { request: Id<'a>, context: Context },
    /// Names something that exists on one connection only, such as a message to acknowledge.
    Reference(Located<'a>),
}

/// A message that opens a subscription.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    /// The id that the client chooses; `None` when the upstream assigns it.
    pub(crate) id: Option<Id<'a>>,
    /// The id of the answer; `None` when there is none.
    pub(crate) request: Option<Located<'a>>,
    pub(crate) instance: Option<Id<'a>>,
    pub(crate) key: Id<'a>,
    /// Where the cursor belongs from which to continue.
    pub(crate) resume: Option<Range<usize>>,
    /// Never sent again.
    pub(crate) once: bool,
    pub(crate) context: Context,
}

/// An upstream's message.
#[derive(Debug)]
pub(crate) enum FromUpstream<'a> {
    /// Passes.
    Plain,
    /// Begins a connection, unasked.
    Greeting,
    /// Accepts a login.
    Accepted,
    /// Refuses a login.
    Rejected,
    /// Announces that the upstream closes the connection and can be reached again.
    Leaving,
    /// Answers a request.
    Answer { request: Id<'a>, verdict: Verdict<'a> },
    /// Ends a subscription, or answers a request with this id.
    Ended { id: Located<'a>, instance: Option<Id<'a>> },
    /// Belongs to a subscription.
    Data { id: Located<'a>, cursor: Option<Cursor<'a>>, reference: Option<Range<usize>> },
}

/// What an answer says about a request.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    pub(crate) ok: bool,
    /// The id that the upstream assigns to a subscription.
    pub(crate) assigned: Option<Located<'a>>,
    /// The subscription continues at the cursor.
    pub(crate) resumed: bool,
}

/// A position in a subscription.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) token: &'a [u8],
    /// The position rises by one with each message.
    pub(crate) numbered: bool,
}

/// What a message may consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    /// One unit.
    One,
    /// One unit, or a JSON array of units.
    Batch,
    /// Units that follow each other.
    Frames,
}

/// What becomes of one unit of a message: of an element of a batch, or of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Keep,
    Replace(Bytes),
    Drop,
}

/// What a preset says to its client, and knows of it. Texts are whole messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The error of a request or `open` in flight.
    pub(crate) failed: fn(&[Bytes], text: &str) -> Option<String>,
    /// The end of a subscription that the client believes open.
    pub(crate) dropped: fn(&[Bytes], text: &str) -> Option<String>,
    /// The answer to a `close` that the upstream need not hear.
    pub(crate) closed: fn(&[Bytes]) -> Option<String>,
    /// The answer to a message that only asks whether the peer is alive.
    pub(crate) pong: fn(&[u8]) -> Option<String>,
    /// Whether nothing is lost with a client's message that is not sent: it only shows that the client is alive.
    pub(crate) is_dispensable: fn(&[u8]) -> bool,
    /// Whether a client's message ends the session.
    pub(crate) is_end: fn(&[u8]) -> bool,
    /// The upstream assigns ids of subscriptions.
    pub(crate) assigns: bool,
    /// There are messages that belong to a subscription.
    pub(crate) has_data: bool,
    /// Makes the heartbeat that a client expects; `None` where the protocol has none.
    pub(crate) heartbeat: Option<fn() -> Heartbeat>,
    /// Request ids of a replay are replaced by ids that the client does not use.
    pub(crate) own_requests: bool,
    /// A new connection greets, and listens only after that.
    pub(crate) greets: bool,
    /// A login is answered.
    pub(crate) accepts: bool,
    /// A request may have no answer.
    pub(crate) answers_optional: bool,
    /// A `close` may end a request too: both have ids of one kind.
    pub(crate) closes_requests: bool,
    /// Subscriptions are not sent again: the client's library opens them after it has received their end.
    pub(crate) nudges: bool,
    /// Whether a later login makes an earlier one of the same kind superfluous.
    pub(crate) covers: fn(earlier: &[u8], later: &[u8]) -> bool,
    /// Close codes that refuse a login.
    pub(crate) refusals: &'static [u16],
}

impl Dialect {
    /// A protocol of which nothing is known.
    pub(crate) const PLAIN: Self = Self {
        failed: |_, _| None,
        dropped: |_, _| None,
        closed: |_| None,
        pong: |_| None,
        is_dispensable: |_| false,
        is_end: |_| false,
        heartbeat: None,
        assigns: false,
        has_data: false,
        own_requests: false,
        greets: false,
        accepts: false,
        answers_optional: false,
        closes_requests: false,
        nudges: false,
        covers: |_, _| true,
        // RFC 6455 section 7.4.1: policy violation; and what applications make of HTTP's 400, 401, 403 and 408.
        refusals: &[1008, 4400, 4401, 4403, 4408],
    };
}

impl Slot {
    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Position(_) => 0,
            Self::Key(key) => key.len(),
        }
    }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `token` as text; ids of JSON messages are UTF-8.
pub(crate) fn text(token: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(token)
}
