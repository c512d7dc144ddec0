//! What a message means for a journal, independent of the protocol.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::outcome::Heartbeat;

/// An id in canonical form: equal ids have equal bytes.
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
    /// The login that the pattern at this position recognises.
    Position(usize),
    /// The login to which a program gives this key.
    Key(Bytes),
}

/// A client's message.
#[derive(Debug)]
pub(crate) enum FromClient<'a> {
    /// A message that passes unchanged.
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
    /// The place of the cursor at which the upstream continues.
    pub(crate) resume: Option<Range<usize>>,
    /// Whether it is never sent again.
    pub(crate) once: bool,
    pub(crate) context: Context,
}

/// An upstream's message.
#[derive(Debug)]
pub(crate) enum FromUpstream<'a> {
    /// A message that passes unchanged.
    Plain,
    /// The first message of a connection, sent without a request.
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
    /// Whether the subscription continues at the cursor.
    pub(crate) resumed: bool,
}

/// A position in a subscription.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) token: &'a [u8],
    /// Whether the position increases by one with each message.
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

/// The result for one unit of a message: for an element of a batch, or for a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Keep,
    Replace(Bytes),
    Drop,
}

/// The properties of a preset's protocol, and the messages that the proxy creates for its client. Each text is a
/// whole message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The error of a request or `open` in flight.
    pub(crate) failed: fn(&[Bytes], text: &str) -> Option<String>,
    /// The end of a subscription that the client believes open.
    pub(crate) dropped: fn(&[Bytes], text: &str) -> Option<String>,
    /// The answer to a `close` that is not sent to the upstream.
    pub(crate) closed: fn(&[Bytes]) -> Option<String>,
    /// The answer to a message that only asks whether the peer is alive.
    pub(crate) pong: fn(&[u8]) -> Option<String>,
    /// Whether a client's message can stay unsent without loss, because it only shows that the client is alive.
    pub(crate) is_dispensable: fn(&[u8]) -> bool,
    /// Whether a client's message ends the session.
    pub(crate) is_end: fn(&[u8]) -> bool,
    /// Whether the upstream assigns the ids of subscriptions.
    pub(crate) assigns: bool,
    /// Whether there are messages that belong to a subscription.
    pub(crate) has_data: bool,
    /// Makes the heartbeat that a client expects; `None` where the protocol has none.
    pub(crate) heartbeat: Option<fn() -> Heartbeat>,
    /// Whether the replay replaces request ids by ids that the client does not use.
    pub(crate) own_requests: bool,
    /// Whether the upstream greets each new connection, and accepts messages only after that.
    pub(crate) greets: bool,
    /// Whether a login is answered.
    pub(crate) accepts: bool,
    /// Whether a request may stay without answer.
    pub(crate) answers_optional: bool,
    /// Whether a `close` may end a request too, because both have ids of one kind.
    pub(crate) closes_requests: bool,
    /// Whether subscriptions are not sent again, because the client's library opens them after it has received their
    /// end.
    pub(crate) nudges: bool,
    /// Whether a later login makes an earlier one of the same kind superfluous.
    pub(crate) covers: fn(earlier: &[u8], later: &[u8]) -> bool,
    /// Close codes that refuse a login.
    pub(crate) refusals: &'static [u16],
}

impl Dialect {
    /// A protocol without known features.
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
