//! The journal of protocols with whole messages: JSON and STOMP.
//!
//! ```text
//!            lost                connected            greeting, each hello and each open answered
//!   Ready ──────────► Down ──────────────► Replay ─────────────────────────────────────► Ready
//!     ▲                 ▲                    │ lost, or a login refused or not answered
//!     └─ first          └────────────────────┘
//!        connection
//! ```

mod classified;
mod client;
mod entry;
mod patch;
mod replay;
mod upstream;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;

use self::entry::{Entry, EntryState};
use crate::{
    class::UpstreamClass,
    kind::{Context, Dialect, FromClient, Open, Slot, Unit, Units},
    outcome::{Failure, Heartbeat, Message, Offline, Output, Reason, Since},
    preset::{Grammar, stomp::frames::Assembler},
    settings::Settings,
};

/// Maximum size in bytes of a message that [`Engine::is_dispensable`] examines. Dispensable messages have no content.
const MAX_DISPENSABLE: usize = 128;

/// The number of an entry in the order of the client's opens.
type Number = u64;

/// The journal of one session.
#[derive(Debug)]
pub(crate) struct Engine {
    grammar: std::sync::Arc<Grammar>,
    /// The grammar's dialect, extended by what classified messages have shown.
    dialect: Dialect,
    settings: Settings,
    /// Unfinished frames of each direction.
    from_client: Assembler,
    from_upstream: Assembler,
    hellos: Vec<Hello>,
    /// The client has received a greeting.
    is_greeted: bool,
    heartbeat: Option<Heartbeat>,
    entries: BTreeMap<Number, Entry>,
    /// Whether no entry can be removed in favour of another one while the current message is handled. A batch then
    /// looks through the entries once, not once for each of its requests.
    is_full: bool,
    next: Number,
    /// Entries by the id that the client knows.
    by_client: HashMap<Bytes, Number>,
    /// Entries by the id at the current connection.
    by_upstream: HashMap<Bytes, Number>,
    /// The unanswered requests on the current connection, by id.
    pending: HashMap<Bytes, Pending>,
    /// The last events on the current connection that close a subscription without a request.
    closes: VecDeque<u64>,
    /// The last subscriptions that the client has closed on this connection. The upstream may still send to them.
    closed: VecDeque<Closed>,
    early: Early,
    phase: Phase,
    /// Whether the caller has fetched [`Output::Ready`], and so all output that precedes the client's messages.
    accepts_client: bool,
    generation: u64,
    /// Number of connections so far.
    connections: u64,
    /// The last event of the client that was written to any connection.
    last_event: Option<u64>,
    /// When the last connection was lost.
    lost: Option<Since>,
    /// The current connection has delivered data of a subscription, or answered a request.
    is_proved: bool,
    /// A login of the journal was sent on the current connection.
    has_replayed_login: bool,
    /// The client has ended the session in its protocol.
    is_over: bool,
    /// Logins that the client has sent on the current connection and that have no answer.
    awaited_logins: usize,
    /// Bytes of hellos, entries, pending requests and ids of closed subscriptions.
    bytes: usize,
    /// Bytes of recent cursors.
    recent_bytes: usize,
    /// Gaps whose size the next message shows, each with the deadline of its notice.
    deferred: VecDeque<(Instant, Number)>,
    outputs: VecDeque<Output>,
}

/// A login.
#[derive(Debug)]
struct Hello {
    slot: Slot,
    event: u64,
    /// The number of the connection on which the client sent it.
    connection: u64,
    message: Message,
    /// The client has received the answer.
    is_answered: bool,
}

/// A request on the current connection.
#[derive(Debug)]
enum Pending {
    /// The client's request.
    Call { event: u64, context: Context },
    /// The client's `close` of `id`, which is `upstream_id` to the upstream.
    Close { event: u64, id: Bytes, upstream_id: Bytes, context: Context },
    /// The client's `open`.
    Open(Number),
    /// The replay's `open`.
    Replay(Number),
    /// The replay's `open` of an entry that no longer waits for the answer, which may still come.
    Abandoned(Number),
}

/// A subscription that the client has closed.
#[derive(Debug)]
struct Closed {
    id: Bytes,
    upstream_id: Bytes,
    /// Whether the client has received the notices of all gaps. Otherwise a delivered message would reveal a gap that
    /// was not reported.
    is_current: bool,
}

/// Data of subscriptions whose id is not known yet.
#[derive(Debug, Default)]
struct Early {
    messages: VecDeque<EarlyMessage>,
    bytes: usize,
    /// Whether some messages were dropped because the bound was reached.
    has_lost: bool,
}

/// A message of a subscription whose id is not known yet.
#[derive(Debug)]
struct EarlyMessage {
    id: Bytes,
    unit: Bytes,
    binary: bool,
    /// The class that a program gave it.
    class: Option<UpstreamClass>,
}

/// The state of the session's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no usable connection.
    Down,
    Replay {
        deadline: Instant,
        step: Step,
        /// Number of opens without answer.
        awaited: usize,
    },
    Ready,
}

/// The progress of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Waits for the upstream's greeting.
    Greeting,
    /// The hello at this position is next.
    Hello(usize),
    /// Waits for the answer to the hello at this position.
    Accepting(usize),
    /// The first entry from this number is next.
    Open(Number),
}

impl Engine {
    pub(crate) fn new(grammar: std::sync::Arc<Grammar>, settings: Settings) -> Self {
        Self {
            heartbeat: grammar.heartbeat(&[], &[]),
            dialect: *grammar.dialect(),
            grammar,
            settings,
            from_client: Assembler::default(),
            from_upstream: Assembler::default(),
            hellos: Vec::new(),
            is_greeted: false,
            entries: BTreeMap::new(),
            next: 0,
            is_full: false,
            by_client: HashMap::new(),
            by_upstream: HashMap::new(),
            pending: HashMap::new(),
            closes: VecDeque::new(),
            closed: VecDeque::new(),
            early: Early::default(),
            phase: Phase::Down,
            accepts_client: false,
            generation: 0,
            connections: 0,
            last_event: None,
            lost: None,
            is_proved: false,
            has_replayed_login: false,
            is_over: false,
            awaited_logins: 0,
            bytes: 0,
            recent_bytes: 0,
            deferred: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.accepts_client
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let answers_optional = self.dialect().answers_optional;
        let is_owed = |pending: &Pending| match pending {
            Pending::Call { .. } => !answers_optional,
            Pending::Close { .. } | Pending::Open(_) | Pending::Replay(_) => true,
            Pending::Abandoned(_) => false,
        };
        let is_in_flight = |entry: &Entry| match entry.state {
            EntryState::Opening => true,
            EntryState::Open | EntryState::Reopening => entry.once,
            EntryState::Failed => false,
        };
        self.accepts_client && !self.pending.values().any(is_owed) && !self.entries.values().any(is_in_flight)
    }

    pub(crate) fn has_optional_calls(&self) -> bool {
        let mut pending = self.pending.values();
        self.dialect().answers_optional && pending.any(|pending| matches!(pending, Pending::Call { .. }))
    }

    pub(crate) fn forget_optional_calls(&mut self) {
        while self.has_optional_calls() {
            self.forget_older_calls();
        }
    }

    pub(crate) fn heartbeat(&self) -> Option<&Heartbeat> {
        self.heartbeat.as_ref()
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn unfinished(&self) -> [usize; 2] {
        [self.from_client.bytes(), self.from_upstream.bytes()]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.early.bytes + self.from_client.bytes() + self.from_upstream.bytes()
    }

    /// The error reply to the client's `message`, in the client's protocol.
    pub(crate) fn error_reply(&self, message: &Message, text: &str) -> Option<Message> {
        let dialect = self.dialect();
        patch::rewrite(message.clone(), self.grammar.units(), |unit| {
            let context = match self.grammar.client(&unit) {
                FromClient::Open(open) => open.context,
                FromClient::Call { context, .. } | FromClient::Close { context, .. } => context,
                _ => return Unit::Drop,
            };
            let reply = (dialect.failed)(&context, text);
            reply.map_or(Unit::Drop, |reply| Unit::Replace(reply.into()))
        })
    }

    /// Handles a message that cannot be sent. A close takes effect all the same.
    pub(crate) fn offline(&mut self, message: &Message, text: &str) -> Offline {
        if let Some(answer) = self.keepalive(message) {
            return Offline::Done(Some(answer));
        }
        if self.is_dispensable(message) {
            return Offline::Done(None);
        }
        let (grammar, dialect) = (self.grammar.clone(), self.dialect());
        let Ok(message) = self.assembled(message.clone()) else { return Offline::Failed(None) };
        let Some(message) = message else { return Offline::Done(None) };
        let mut has_failed = false;
        let reply = patch::rewrite(message, grammar.units(), |unit| {
            if (dialect.is_dispensable)(&unit) {
                return Unit::Drop;
            }
            let reply = match grammar.client(&unit) {
                FromClient::Call { context, .. } if (dialect.is_end)(&unit) => {
                    self.is_over = true;
                    (dialect.closed)(&context)
                }
                FromClient::Plain if (dialect.is_end)(&unit) => {
                    self.is_over = true;
                    None
                }
                FromClient::Close { id, request, context } => {
                    self.close_offline(&id.id);
                    let reply = (dialect.closed)(&context);
                    // The request remains without its answer.
                    has_failed |= reply.is_none() && request.is_some();
                    reply.or_else(|| request.and_then(|_| (dialect.failed)(&context, text)))
                }
                FromClient::Open(Open { context, .. }) | FromClient::Call { context, .. } => {
                    has_failed = true;
                    (dialect.failed)(&context, text)
                }
                _ => {
                    has_failed = true;
                    None
                }
            };
            reply.map_or(Unit::Drop, |reply| Unit::Replace(reply.into()))
        });
        if has_failed { Offline::Failed(reply) } else { Offline::Done(reply) }
    }

    /// Returns the frames that a client's message completes, in protocols whose frames may span messages. An
    /// unfinished frame gets its outcome with the message that completes it.
    fn assembled(&mut self, message: Message) -> Result<Option<Message>, &'static str> {
        if self.grammar.units() != Units::Frames {
            return Ok(Some(message));
        }
        let payload = self.from_client.push(&message.payload, self.settings.limits.max_packet);
        if payload.is_err() {
            self.from_client.clear();
        }
        Ok(payload?.map(|payload| Message { payload, ..message }))
    }

    pub(crate) fn has_whole_messages(&self) -> bool {
        self.grammar.units() != Units::Frames
    }

    /// Forgets the subscription with the client's `id`, so that no connection opens it again.
    fn close_offline(&mut self, id: &[u8]) {
        if let Some(number) = self.by_client.get(id).copied() {
            self.remove(number);
        }
    }

    /// The answer to a `message` that only asks whether the peer is alive.
    pub(crate) fn keepalive(&self, message: &Message) -> Option<Message> {
        (self.dialect().pong)(&message.payload).map(Message::text)
    }

    /// Whether a client's message can stay unsent without loss.
    pub(crate) fn is_dispensable(&self, message: &Message) -> bool {
        self.from_client.bytes() == 0
            && message.payload.len() <= MAX_DISPENSABLE
            && (self.dialect().is_dispensable)(&message.payload)
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Forgets an entry.
    fn remove(&mut self, number: Number) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes -= entry.bytes();
        self.recent_bytes -= entry.recent_bytes();
        for (ids, id) in [(&mut self.by_client, &entry.id), (&mut self.by_upstream, &entry.upstream_id)] {
            if let Some(id) = id
                && ids.get(id) == Some(&number)
            {
                ids.remove(id);
            }
        }
        Some(entry)
    }

    /// Changes an entry and counts its bytes anew.
    fn change<T>(&mut self, number: Number, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        let (bytes, recent_bytes) = (entry.bytes(), entry.recent_bytes());
        let value = change(entry);
        self.bytes = self.bytes - bytes + entry.bytes();
        self.recent_bytes = self.recent_bytes - recent_bytes + entry.recent_bytes();
        Some(value)
    }

    /// Restores the byte limit after an upstream message has made an entry larger: removes recent cursors, then the
    /// entry's `open`. An entry without `open` ends with its connection.
    fn keep_bound(&mut self, number: Number) {
        let limit = self.settings.limits.max_bytes;
        while self.bytes > limit && self.forget_recent() {}
        if self.bytes > limit {
            self.change(number, Entry::forget_open);
        }
    }

    /// Forgets the recent cursors, or the ids of closed subscriptions if there are none. Returns whether that freed
    /// bytes.
    fn forget_recent(&mut self) -> bool {
        if self.recent_bytes == 0 {
            let has_closed = !self.closed.is_empty();
            self.forget_closed(|_| true);
            return has_closed;
        }
        self.entries.values_mut().for_each(Entry::forget_recent);
        self.bytes -= std::mem::take(&mut self.recent_bytes);
        true
    }

    fn forget_closed(&mut self, is_over: impl Fn(&Closed) -> bool) {
        let over = self.closed.iter().filter(|closed| is_over(closed));
        self.bytes -= over.map(Closed::bytes).sum::<usize>();
        self.closed.retain(|closed| !is_over(closed));
    }

    /// The entry cannot be restored at this connection. It stays until the client closes it.
    fn fail(&mut self, number: Number, reason: Reason) {
        let dropped = self.dialect().dropped;
        let late_on = (reason == Reason::TimedOut).then_some(self.connections);
        self.change(number, |entry| entry.fail(late_on));
        let Some(entry) = self.entries.get(&number) else { return };
        let reply = dropped(&entry.context, &reason.to_string()).map(Message::text);
        self.outputs.push_back(Output::Failed(Failure { event: entry.event, reason, reply }));
    }

    fn take_pending(&mut self, request: &[u8]) -> Option<Pending> {
        let (request, pending) = self.pending.remove_entry(request)?;
        self.bytes -= pending.bytes(&request);
        Some(pending)
    }

    fn put_pending(&mut self, request: Bytes, pending: Pending) {
        self.take_pending(&request);
        self.bytes += pending.bytes(&request);
        self.pending.insert(request, pending);
    }

    /// Whether a `close` of this id has no answer yet. Until then, the client may consider the id in use.
    fn is_closing(&self, id: &[u8]) -> bool {
        self.pending
            .values()
            .any(|pending| matches!(pending, Pending::Close { id: other, .. } if *other == id))
    }

    /// Whether the upstream has yet to assign an id on this connection.
    fn awaits_id(&self) -> bool {
        let is_unassigned = |number| self.entries.get(number).is_some_and(|entry| entry.is_assigned);
        self.pending.values().any(|pending| match pending {
            Pending::Open(number) | Pending::Replay(number) => is_unassigned(number),
            _ => false,
        })
    }
}

impl Hello {
    /// Bytes that it keeps.
    fn bytes(&self) -> usize {
        self.slot.bytes() + self.message.payload.len()
    }
}

impl Closed {
    /// Bytes that it keeps.
    fn bytes(&self) -> usize {
        self.id.len() + self.upstream_id.len()
    }
}

impl EarlyMessage {
    /// Bytes that it keeps.
    fn bytes(&self) -> usize {
        self.unit.len() + self.id.len() + self.class.as_ref().map_or(0, UpstreamClass::size)
    }
}

impl Pending {
    /// Bytes that it keeps. Those of the journal's own requests are bounded by the number of entries.
    fn bytes(&self, request: &[u8]) -> usize {
        match self {
            Self::Call { context, .. } => request.len() + context.iter().map(Bytes::len).sum::<usize>(),
            Self::Close { id, upstream_id, context, .. } => {
                let context: usize = context.iter().map(Bytes::len).sum();
                request.len() + id.len() + upstream_id.len() + context
            }
            Self::Open(_) => request.len(),
            Self::Replay(_) | Self::Abandoned(_) => 0,
        }
    }
}
