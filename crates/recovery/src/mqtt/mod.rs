//! `mqtt`: MQTT 3.1.1 and 5 over WebSocket, subprotocol `mqtt`.
//!
//! Packets of [3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html) and
//! [5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html), in binary messages:
//!
//! | kind | from | packet | bytes | section |
//! |---|---|---|---|---|
//! | hello | client | CONNECT | `10 0e 00 04 4d 51 54 54 04 02 00 3c 00 02 61 62` | 3.1 |
//! | accepted, rejected | upstream | CONNACK | `20 02 00 00`, code 5: `20 02 00 05` | 3.2 |
//! | open | client | SUBSCRIBE, per topic filter | `82 06 00 01 00 01 61 00` | 3.8 |
//! | answer, refused | upstream | SUBACK | `90 03 00 01 00`, failure: `90 03 00 01 80` | 3.9 |
//! | close | client | UNSUBSCRIBE, per topic filter | `a2 05 00 02 00 01 61` | 3.10 |
//! | data | upstream | PUBLISH | `30 04 00 01 61 31` | 3.3 |
//! | request | client | PUBLISH with QoS 1 or 2; never sent again | `32 06 00 01 61 00 03 31` | 3.3, 4.3 |
//! | pong | upstream | PINGRESP for PINGREQ | `d0 00` | 3.13 |
//!
//! - Where the broker keeps the session (CONNACK with *session present*), it has the subscriptions: only CONNECT is
//!   sent again. Filters whose SUBSCRIBE failed or whose UNSUBSCRIBE was lost are unsubscribed there.
//! - Otherwise each filter is subscribed again with a free packet id, and the SUBACK is hidden.
//! - A PUBLISH in flight gets PUBACK or PUBREC with the code 0x80; 3.1.1 has no such message. A SUBSCRIBE in flight
//!   gets SUBACK with failures.
//! - Acknowledgements of packets from a session that is gone stay here, because the broker may use their packet ids for
//!   other messages. The client's side of the exchange is completed.
//! - The client is not offered topic aliases, which end with the connection (5.0, section 3.3.2.3.4).

mod assembler;
mod client;
mod packet;
mod replay;
mod upstream;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Instant,
};

use bytes::{Bytes, BytesMut};

use self::{
    assembler::Assembler,
    packet::{Ack, Connect, Packet, Subscribe},
};
use crate::{
    outcome::{Message, Offline, Output, Since},
    settings::Settings,
};

/// The number of a filter in the order of the client's subscriptions.
type Number = u64;

/// The journal of one session.
#[derive(Debug)]
pub(crate) struct Engine {
    settings: Settings,
    hello: Option<Hello>,
    from_client: Assembler,
    from_upstream: Assembler,
    filters: BTreeMap<Number, Filter>,
    by_filter: HashMap<Bytes, Number>,
    next: Number,
    /// The client's unanswered packets, by packet id.
    pending: HashMap<u16, Pending>,
    /// SUBSCRIBE packets that go again to the next connection with the client's packet id, and UNSUBSCRIBE packets that
    /// follow them.
    retried: VecDeque<(u64, Bytes)>,
    /// The journal's unanswered packets, by packet id.
    own: HashMap<u16, Own>,
    /// Filters that a kept session may still contain, although the client is not subscribed to them.
    orphans: BTreeSet<Bytes>,
    /// The upstream's PUBLISH packets with QoS 1 and 2 that the client has not settled. The value says whether the
    /// client has sent PUBREC.
    inbound: BTreeMap<u16, bool>,
    /// Whether the broker's session has all filters: no loss has interrupted a replay to a new session.
    is_session_whole: bool,
    /// Messages that wait for the end of the replay.
    early: VecDeque<Bytes>,
    early_bytes: usize,
    phase: Phase,
    /// Whether the caller has fetched [`Output::Ready`], and so all output that precedes the client's messages.
    accepts_client: bool,
    generation: u64,
    connections: u64,
    last_event: Option<u64>,
    lost: Option<Since>,
    is_proved: bool,
    /// The client has sent DISCONNECT.
    is_over: bool,
    bytes: usize,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Hello {
    event: u64,
    connection: u64,
    packet: Bytes,
    connect: Connect,
    is_answered: bool,
}

/// A subscription.
#[derive(Debug)]
struct Filter {
    event: u64,
    filter: Bytes,
    properties: Bytes,
    options: u8,
    state: FilterState,
    gap: Option<Since>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterState {
    Open,
    Reopening,
    Failed,
}

#[derive(Debug)]
enum Pending {
    Subscribe {
        event: u64,
        order: Number,
        subscribe: Subscribe,
        packet: Bytes,
    },
    Unsubscribe {
        event: u64,
        order: Number,
        filters: Box<[Bytes]>,
    },
    Publish {
        event: u64,
        qos: u8,
    },
    /// The broker has the message, and the client has sent PUBREL.
    Release {
        event: u64,
    },
}

/// A packet of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Subscribe(Number),
    /// A SUBSCRIBE whose answer is late: its filter has failed.
    Abandoned(Number),
    /// An UNSUBSCRIBE of a filter to which the client is not subscribed.
    Unsubscribe(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Down,
    /// Waits for CONNACK.
    Connecting {
        deadline: Instant,
    },
    /// The next filter to subscribe is the first one from `next`.
    Subscribing {
        deadline: Instant,
        next: Number,
    },
    Ready,
}

impl Engine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            hello: None,
            from_client: Assembler::default(),
            from_upstream: Assembler::default(),
            filters: BTreeMap::new(),
            by_filter: HashMap::new(),
            next: 0,
            pending: HashMap::new(),
            retried: VecDeque::new(),
            own: HashMap::new(),
            orphans: BTreeSet::new(),
            inbound: BTreeMap::new(),
            is_session_whole: true,
            early: VecDeque::new(),
            early_bytes: 0,
            phase: Phase::Down,
            accepts_client: false,
            generation: 0,
            connections: 0,
            last_event: None,
            lost: None,
            is_proved: false,
            is_over: false,
            bytes: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.accepts_client
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.accepts_client && self.pending.is_empty()
    }

    pub(crate) fn entries(&self) -> usize {
        self.filters.len()
    }

    pub(crate) fn unfinished(&self) -> [usize; 2] {
        [self.from_client.bytes(), self.from_upstream.bytes()]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.early_bytes + self.from_client.bytes() + self.from_upstream.bytes()
    }

    /// The failure of the first packet in the client's `message`.
    pub(crate) fn error_reply(&self, message: &Message) -> Option<Message> {
        let packets = Assembler::default().push(&message.payload, self.settings.limits.max_packet).ok()?;
        match packet::read(packets.first()?, self.is_v5()).ok()? {
            Packet::Subscribe(subscribe) => Some(self.subscribe_failed(&subscribe)),
            Packet::Unsubscribe { id, filters } => self.unsubscribe_failed(id, filters.len()),
            Packet::Publish { qos: qos @ 1.., id } => packet::publish_failed(self.is_v5(), qos, id),
            _ => None,
        }
    }

    /// Handles a message that cannot be sent. A packet in several messages gets its outcome with the last one.
    /// UNSUBSCRIBE takes effect all the same.
    pub(crate) fn offline(&mut self, message: &Message) -> Offline {
        let Ok(packets) = self.from_client.push(&message.payload, self.settings.limits.max_packet) else {
            self.from_client.clear();
            return Offline::Failed(None);
        };
        let (mut replies, mut has_failed, mut is_silent) = (Vec::new(), false, false);
        for packet in packets {
            let packet = Message::binary(packet);
            if is_pingreq(&packet) {
                replies.push(packet::pingresp());
                continue;
            }
            if is_repeated(&packet) {
                continue;
            }
            match packet::read(&packet.payload, self.is_v5()) {
                Ok(Packet::Disconnect { .. }) => self.is_over = true,
                // A subscription that is sent again would return.
                Ok(Packet::Unsubscribe { id, filters }) if self.retried.is_empty() => {
                    filters.iter().for_each(|filter| self.remove_filter(&Bytes::copy_from_slice(filter)));
                    replies.push(self.unsubscribed(id, filters.len()));
                }
                _ => {
                    has_failed = true;
                    let reply = self.error_reply(&packet);
                    is_silent |= reply.is_none();
                    replies.extend(reply);
                }
            }
        }
        let reply = (!replies.is_empty()).then(|| concatenated(&replies));
        if has_failed { Offline::Failed(reply.filter(|_| !is_silent)) } else { Offline::Done(reply) }
    }

    /// PINGRESP for PINGREQ (3.12).
    pub(crate) fn keepalive(&self, message: &Message) -> Option<Message> {
        (self.from_client.bytes() == 0 && is_pingreq(message)).then(packet::pingresp)
    }

    /// Whether a message can stay unsent without loss.
    pub(crate) fn is_dispensable(&self, message: &Message) -> bool {
        self.from_client.bytes() == 0 && is_repeated(message)
    }

    fn is_v5(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.connect.is_v5)
    }

    fn subscribe_failed(&self, subscribe: &Subscribe) -> Message {
        packet::suback(self.is_v5(), subscribe.id, &vec![packet::FAILURE; subscribe.filters.len()])
    }

    fn unsubscribed(&self, id: u16, filters: usize) -> Message {
        packet::unsuback(self.is_v5(), id, &vec![0; filters])
    }

    /// The failure of an UNSUBSCRIBE; `None` in 3.1.1, which has none.
    fn unsubscribe_failed(&self, id: u16, filters: usize) -> Option<Message> {
        self.is_v5().then(|| packet::unsuback(true, id, &vec![packet::FAILURE; filters]))
    }

    fn deliver(&mut self, message: Message) {
        self.outputs.push_back(Output::Deliver { message, answers: Vec::new() });
    }

    fn put_pending(&mut self, id: u16, pending: Pending) {
        self.take_pending(id);
        self.bytes += pending.bytes();
        self.pending.insert(id, pending);
    }

    fn take_pending(&mut self, id: u16) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.bytes -= pending.bytes();
        Some(pending)
    }

    fn put_filter(&mut self, event: u64, subscribe: &Subscribe, index: usize) {
        let (filter, options) = &subscribe.filters[index];
        self.remove_filter(filter);
        self.orphans.remove(filter);
        let filter = Filter {
            event,
            filter: Bytes::copy_from_slice(filter),
            properties: Bytes::copy_from_slice(&subscribe.properties),
            options: *options,
            state: FilterState::Open,
            gap: None,
        };
        self.bytes += filter.bytes();
        let number = self.number();
        self.by_filter.insert(filter.filter.clone(), number);
        self.filters.insert(number, filter);
    }

    /// The next number in the order of the client's subscriptions.
    fn number(&mut self) -> Number {
        self.next += 1;
        self.next
    }

    /// Whether the client is subscribed to `filter`, as far as the client knows.
    fn has(&self, filter: &Bytes) -> bool {
        let entry = self.by_filter.get(filter).and_then(|number| self.filters.get(number));
        entry.is_some_and(|entry| entry.state != FilterState::Failed)
    }

    fn remove_filter(&mut self, filter: &Bytes) {
        let entry = self.by_filter.remove(filter).and_then(|number| self.filters.remove(&number));
        self.bytes -= entry.map_or(0, |entry| entry.bytes());
    }
}

impl Filter {
    fn bytes(&self) -> usize {
        self.filter.len() + self.properties.len()
    }
}

impl Pending {
    fn bytes(&self) -> usize {
        match self {
            Self::Subscribe { packet, .. } => packet.len(),
            Self::Unsubscribe { filters, .. } => filters.iter().map(Bytes::len).sum(),
            Self::Publish { .. } | Self::Release { .. } => 0,
        }
    }

    fn subscribes(&self, filter: &Bytes) -> bool {
        match self {
            Self::Subscribe { subscribe, .. } => subscribe.filters.iter().any(|(other, _)| other == filter),
            _ => false,
        }
    }

    fn filters(&self) -> usize {
        if let Self::Subscribe { subscribe, .. } = self { subscribe.filters.len() } else { 0 }
    }
}

/// Packets as one message; `None` when there are none.
fn joined(packets: &[Bytes]) -> Option<Message> {
    match packets {
        [] => None,
        [packet] => Some(Message::binary(packet.clone())),
        _ => {
            let mut payload = BytesMut::with_capacity(packets.iter().map(Bytes::len).sum());
            packets.iter().for_each(|packet| payload.extend_from_slice(packet));
            Some(Message::binary(payload))
        }
    }
}

/// Messages as one.
fn concatenated(messages: &[Message]) -> Message {
    let packets: Vec<_> = messages.iter().map(|message| message.payload.clone()).collect();
    joined(&packets).unwrap_or_else(|| Message::binary(Bytes::new()))
}

fn is_pingreq(message: &Message) -> bool {
    message.payload[..] == [0xc0, 0]
}

/// One PUBACK or PUBCOMP: the broker sends what it acknowledges again (4.4).
fn is_repeated(message: &Message) -> bool {
    matches!(message.payload[..], [0x40 | 0x70, rest, ..] if usize::from(rest) + 2 == message.payload.len())
}
