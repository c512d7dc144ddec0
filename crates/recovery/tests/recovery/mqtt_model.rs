//! Random histories of an MQTT session between a checking client and a broker, cut into messages at random places.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};
use towline_recovery::{
    ClientStep, InFlight, Journal, Limits, Loss, Message, Output, Protocol, Recovery, Settings, UpstreamStep,
};

const TOPICS: u8 = 3;
const LIMITS: Limits = Limits { max_entries: 8, max_requests: 400, max_bytes: 4000, max_packet: 200 };

#[derive(Debug, Clone)]
enum Op {
    Subscribe(u8),
    Unsubscribe(u8),
    /// The client publishes with QoS 1 or 2.
    Publish(u8),
    /// The broker publishes a message to the topic with this number.
    Message(u8),
    ToBroker(usize),
    ToClient(usize),
    Lose,
    Connect {
        keeps: bool,
    },
    Refuse,
    Wait,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..TOPICS).prop_map(Op::Subscribe),
        1 => (0..TOPICS).prop_map(Op::Unsubscribe),
        2 => (1..3_u8).prop_map(Op::Publish),
        4 => (0..TOPICS).prop_map(Op::Message),
        6 => (1..30_usize).prop_map(Op::ToBroker),
        6 => (1..30_usize).prop_map(Op::ToClient),
        1 => Just(Op::Lose),
        3 => any::<bool>().prop_map(|keeps| Op::Connect { keeps }),
        1 => Just(Op::Refuse),
        1 => Just(Op::Wait),
    ]
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, body.len() as u8], body].concat()
}

/// Splits what is complete off `stream`.
fn packets(stream: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while stream.len() >= 2 && stream.len() >= 2 + usize::from(stream[1]) {
        let rest = stream.split_off(2 + usize::from(stream[1]));
        packets.push(std::mem::replace(stream, rest));
    }
    packets
}

fn id(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// Subscriptions with QoS 1, and exactly-once publishes of the client.
#[derive(Default)]
struct Broker {
    stream: Vec<u8>,
    out: VecDeque<u8>,
    is_connected: bool,
    topics: BTreeSet<u8>,
    numbers: BTreeMap<u8, u8>,
    next_id: u16,
    /// Sent and not acknowledged, by packet id.
    unacked: BTreeMap<u16, Vec<u8>>,
    published: HashSet<u8>,
    refuses: bool,
}

impl Broker {
    fn connect(&mut self, keeps: bool) {
        self.stream.clear();
        self.out.clear();
        self.is_connected = false;
        if !keeps {
            self.topics.clear();
            self.unacked.clear();
            // Packet ids begin again, so that they meet those of the lost session.
            self.next_id = 0;
        }
    }

    fn publish(&mut self, topic: u8) {
        let number = self.numbers.entry(topic).or_default();
        *number = number.wrapping_add(1);
        let number = *number;
        if !self.topics.contains(&topic) {
            return;
        }
        self.next_id += 1;
        let [high, low] = self.next_id.to_be_bytes();
        let publish = packet(0x32, &[0, 1, topic, high, low, number]);
        if self.is_connected {
            self.out.extend(&publish);
        }
        self.unacked.insert(self.next_id, publish);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.stream.extend(bytes);
        for packet in packets(&mut self.stream) {
            self.receive_packet(&packet);
        }
    }

    fn receive_packet(&mut self, received: &[u8]) {
        assert!(self.is_connected || received[0] == 0x10, "{received:02x?} before CONNECT");
        match received[0] {
            0x10 => {
                assert!(!std::mem::replace(&mut self.is_connected, true), "a second CONNECT");
                let is_present = u8::from(!self.topics.is_empty() || !self.unacked.is_empty());
                self.out.extend(packet(0x20, &[is_present, 0]));
                for publish in self.unacked.values_mut() {
                    publish[0] |= 8;
                    self.out.extend(publish.iter());
                }
            }
            0x82 => {
                let refused = !self.topics.contains(&received[6]) && std::mem::take(&mut self.refuses);
                if !refused {
                    self.topics.insert(received[6]);
                }
                self.out.extend(packet(0x90, &[received[2], received[3], if refused { 0x80 } else { 1 }]));
            }
            0xa2 => {
                self.topics.remove(&received[6]);
                self.out.extend(packet(0xb0, &received[2..4]));
            }
            0x32 | 0x34 => {
                let (id, payload) = (&received[5..7], received[7]);
                assert!(self.published.insert(payload), "published twice");
                self.out.extend(packet(if received[0] == 0x32 { 0x40 } else { 0x50 }, id));
            }
            0x62 => self.out.extend(packet(0x70, &received[2..4])),
            0x40 => assert!(self.unacked.remove(&id(received)).is_some(), "an acknowledgement of nothing"),
            _ => panic!("{received:02x?} is not expected"),
        }
    }
}

#[derive(Default)]
struct Topic {
    is_open: bool,
    event: u64,
    last: Option<u8>,
    is_noticed: bool,
}

struct World {
    journal: Journal,
    broker: Broker,
    now: Instant,
    generation: u64,
    is_connected: bool,
    /// The client's packets that are held back until the replay is over, each with the number of its event.
    held: VecDeque<(u64, Vec<u8>)>,
    to_broker: VecDeque<u8>,
    from_broker: Vec<u8>,
    written: Option<u64>,
    next_event: u64,
    next_id: u16,
    topics: [Topic; TOPICS as usize],
    /// What the client awaits: the first byte of the answer and the packet id, with topic (or none: [`TOPICS`]) and event.
    waiting: BTreeMap<(u8, u16), (u8, u64)>,
    has_connack: bool,
}

impl World {
    fn new(keeps: bool, in_flight: InFlight) -> Self {
        let settings = Settings { limits: LIMITS, timeout: Duration::from_secs(1), in_flight };
        let mut world = Self {
            journal: Recovery::new(&Protocol::Mqtt, settings).unwrap().journal(),
            broker: Broker::default(),
            now: Instant::now(),
            generation: 0,
            is_connected: false,
            held: VecDeque::new(),
            to_broker: VecDeque::new(),
            from_broker: Vec::new(),
            written: None,
            next_event: 0,
            next_id: 0,
            topics: Default::default(),
            waiting: BTreeMap::new(),
            has_connack: false,
        };
        world.connect(false);
        let flags = if keeps { 0 } else { 2 };
        world.send(&packet(0x10, &[0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60, 0, 1, b'c']));
        world
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Subscribe(topic) => self.request(0x82, 0x90, topic, &[0, 1, topic, 1]),
            Op::Unsubscribe(topic) => {
                self.topics[usize::from(topic)] = Topic::default();
                self.request(0xa2, 0xb0, topic, &[0, 1, topic]);
            }
            Op::Publish(qos) if self.next_event < 250 => {
                self.next_id += 1;
                let [high, low] = self.next_id.to_be_bytes();
                let answer = if qos == 1 { 0x40 } else { 0x50 };
                self.waiting.insert((answer, self.next_id), (TOPICS, self.next_event));
                self.send(&packet(0x30 | qos << 1, &[0, 1, b'p', high, low, self.next_event as u8]));
            }
            Op::Publish(_) => {}
            Op::Message(topic) => self.broker.publish(topic),
            Op::ToBroker(count) => self.feed_broker(count),
            Op::ToClient(count) => self.feed_client(count),
            Op::Lose => self.lose(),
            Op::Connect { keeps } => self.connect(keeps),
            Op::Refuse => self.broker.refuses = true,
            Op::Wait => {
                self.now += Duration::from_millis(600);
                self.drain();
            }
        }
        assert!(self.journal.entries() <= LIMITS.max_entries);
        assert!(self.journal.bytes() <= 2 * LIMITS.max_bytes + 2 * LIMITS.max_packet);
    }

    fn request(&mut self, first: u8, answer: u8, topic: u8, body: &[u8]) {
        self.next_id += 1;
        self.waiting.insert((answer, self.next_id), (topic, self.next_event));
        self.send(&packet(first, &[&self.next_id.to_be_bytes(), body].concat()));
    }

    fn send(&mut self, packet: &[u8]) {
        self.held.push_back((self.next_event, packet.to_vec()));
        self.next_event += 1;
        self.send_held();
    }

    fn send_held(&mut self) {
        while self.is_connected
            && let Some((event, packet)) = self.held.pop_front()
        {
            match self.journal.client(event, Message::binary(packet)) {
                ClientStep::Wait(message) => return self.held.push_front((event, message.payload.to_vec())),
                ClientStep::Send(message) => {
                    self.written = Some(event);
                    self.to_broker.extend(&message.payload);
                }
                ClientStep::Hide => {}
                ClientStep::Refuse(failure) => self.fail(event, failure.reply),
            }
            self.drain();
        }
    }

    fn feed_broker(&mut self, count: usize) {
        let count = count.min(self.to_broker.len());
        let bytes: Vec<_> = self.to_broker.drain(..count).collect();
        self.broker.receive(&bytes);
    }

    fn feed_client(&mut self, count: usize) {
        let count = count.min(self.broker.out.len());
        if count == 0 {
            return;
        }
        let bytes: Vec<_> = self.broker.out.drain(..count).collect();
        if let UpstreamStep::Deliver { message, .. } =
            self.journal.upstream(self.generation, Message::binary(bytes), self.now)
        {
            self.receive(&message);
        }
        self.drain();
    }

    fn receive(&mut self, message: &Message) {
        self.from_broker.extend(&message.payload);
        let packets = packets(&mut self.from_broker);
        assert!(self.from_broker.is_empty(), "a part of a packet");
        for packet in packets {
            self.receive_packet(&packet);
        }
    }

    fn receive_packet(&mut self, received: &[u8]) {
        match received[0] {
            0x20 => assert!(!std::mem::replace(&mut self.has_connack, true), "a second CONNACK"),
            0x32 | 0x3a => self.receive_publish(received),
            0x50 => {
                self.answered(0x50, id(received));
                self.waiting.insert((0x70, id(received)), (TOPICS, self.next_event));
                self.send(&packet(0x62, &received[2..4]));
            }
            0x90 => {
                let (topic, event) = self.answered(0x90, id(received));
                let is_closed = self
                    .waiting
                    .iter()
                    .any(|((kind, _), (other, newer))| *kind == 0xb0 && *other == topic && *newer > event);
                if received[4] < 0x80 && !is_closed {
                    let topic = &mut self.topics[usize::from(topic)];
                    if !topic.is_open {
                        *topic = Topic { is_open: true, ..Topic::default() };
                    }
                    topic.event = event;
                }
            }
            first @ (0x40 | 0x70 | 0xb0) => {
                self.answered(first, id(received));
            }
            _ => panic!("{received:02x?} is not expected"),
        }
    }

    fn answered(&mut self, first: u8, id: u16) -> (u8, u64) {
        self.waiting.remove(&(first, id)).unwrap_or_else(|| panic!("{first:02x} {id} answers nothing"))
    }

    fn receive_publish(&mut self, received: &[u8]) {
        let (number, topic) = (received[7], &mut self.topics[usize::from(received[4])]);
        let is_repeated = received[0] & 8 != 0;
        if topic.is_open
            && let Some(last) = topic.last
        {
            let step = number.wrapping_sub(last);
            assert!(is_repeated || (1..128).contains(&step), "{number} after {last}");
            assert!(is_repeated || step == 1 || topic.is_noticed, "a hole without a notice");
        }
        (topic.last, topic.is_noticed) = (Some(number).filter(|_| topic.is_open), false);
        let [high, low] = [received[5], received[6]];
        self.send(&packet(0x40, &[high, low]));
    }

    fn fail(&mut self, event: u64, reply: Option<Message>) {
        let waiting = self.waiting.iter().find(|(_, (_, other))| *other == event);
        let (&(answer, id), _) = waiting.unwrap_or_else(|| panic!("a second outcome of {event}"));
        match reply {
            Some(message) => self.receive(&message),
            None => {
                assert!(self.waiting.remove(&(answer, id)).is_some() && (answer == 0x40 || answer == 0x50))
            }
        }
    }

    fn lose(&mut self) {
        if !std::mem::replace(&mut self.is_connected, false) {
            return;
        }
        self.to_broker.clear();
        self.broker.is_connected = false;
        let loss = Loss { now: self.now, last_event: self.written, close: None, text: "gone" };
        let lost = self.journal.lost(loss);
        for failure in lost.failed {
            self.fail(failure.event, failure.reply);
        }
        for (_, reply) in lost.done {
            self.receive(&reply.unwrap());
        }
        let held = self.held.front().map_or(u64::MAX, |(event, _)| *event);
        let open = self.waiting.values().find(|(_, event)| *event < held && !lost.kept.contains(event));
        assert_eq!(open, None, "lost without an outcome");
        self.drain();
    }

    fn connect(&mut self, keeps: bool) {
        if std::mem::replace(&mut self.is_connected, true) {
            return;
        }
        self.generation += 1;
        self.written = None;
        self.broker.connect(keeps);
        self.journal.connected(self.generation, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut is_broken = false;
        while let Some(output) = self.journal.poll(self.now) {
            match output {
                Output::Send(message) => self.to_broker.extend(&message.payload),
                Output::Deliver { message, .. } => self.receive(&message),
                Output::Notice(gap) => {
                    if let Some(entry) = gap.entry {
                        self.topics[usize::from(entry.key[0])].is_noticed = true;
                    }
                }
                Output::Failed(failure) => {
                    // None when the client has unsubscribed it meanwhile.
                    let is_failed = |topic: &&mut Topic| topic.is_open && topic.event == failure.event;
                    self.topics.iter_mut().filter(is_failed).for_each(|topic| *topic = Topic::default());
                }
                Output::Ready => self.send_held(),
                Output::Broken(_) => is_broken = true,
            }
        }
        if is_broken {
            self.lose();
        }
    }

    fn settle(&mut self) {
        while !self.to_broker.is_empty() || !self.broker.out.is_empty() {
            self.feed_broker(1000);
            self.feed_client(1000);
        }
    }

    /// One good connection at the end: both sides agree on what is subscribed.
    fn end(&mut self, keeps: bool) {
        self.broker.refuses = false;
        self.lose();
        self.connect(keeps);
        self.settle();
        assert!(self.journal.is_ready() && self.held.is_empty());
        assert!(self.waiting.is_empty(), "requests without outcome: {:?}", self.waiting);
        let open: BTreeSet<u8> =
            (0..TOPICS).filter(|topic| self.topics[usize::from(*topic)].is_open).collect();
        assert_eq!(self.broker.topics, open, "what is subscribed");
        assert!(self.broker.unacked.is_empty(), "all messages are acknowledged");
    }
}

proptest! {
    #[test]
    fn no_history_breaks_a_session(keeps: bool, retry: bool, ops in vec(op(), 0..150)) {
        let mut world = World::new(keeps, super::model::in_flight(retry));
        for op in ops {
            let op = match op {
                Op::Connect { keeps: other } => Op::Connect { keeps: keeps && other },
                op => op,
            };
            world.apply(op);
        }
        world.end(keeps);
    }
}
