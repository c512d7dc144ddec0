//! The upstream: topics whose messages are numbered. Each connection assigns other ids.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tungstenite::handshake::derive_accept_key;

use super::protocol::{Protocol, Request};
use crate::harness::*;

/// Topics of an upstream.
pub const TOPICS: usize = 40;

/// The time between the messages of two topics.
const PUBLISHING: Duration = Duration::from_millis(25);

/// What has arrived at a connection is read within this time.
const READ: Duration = Duration::from_secs(3);

/// The most messages that an upstream sends again for a cursor.
const KEPT: u64 = 400;

/// How a connection dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Reset,
    Fin,
    Close,
    /// The connection stays open, and the upstream neither sends nor reads anything more.
    Hang,
    MidFrame,
    /// A reset, after which the upstream refuses connections for a while.
    Refuse,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Reset, Self::Fin, Self::Close, Self::Hang, Self::MidFrame, Self::Refuse];
}

/// An upstream of one protocol.
#[derive(Debug)]
pub struct Double {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    /// The last number of each topic. Its lock is held while a number is sent, which keeps the order.
    topics: Vec<Mutex<u64>>,
    conns: Mutex<BTreeMap<u64, Arc<Conn>>>,
    random: Mutex<StdRng>,
    refuses_until: Mutex<Instant>,
    /// Connections to come that die during their replay.
    ambushes: Mutex<Vec<Kind>>,
    stopped: AtomicBool,
    is_calm: AtomicBool,
    seen: Seen,
}

/// What the upstream has received and sent, over all connections.
#[derive(Debug, Default)]
pub struct Seen {
    calls: Mutex<HashSet<u64>>,
    tokens: Mutex<HashSet<u64>>,
    /// Subscriptions that the client has closed or never had. The clients add to it.
    pub gone: Mutex<HashSet<u64>>,
    pub connections: AtomicUsize,
    pub replayed: AtomicUsize,
    /// Opens that the upstream has refused, of clients and of replays.
    pub refused: AtomicUsize,
    pub ambushed: AtomicUsize,
    /// What the upstream should not have received.
    pub violations: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Conn {
    /// `None` after the upstream has ended the connection.
    writer: Mutex<Option<TcpStream>>,
    state: Mutex<ConnState>,
    is_dead: AtomicBool,
}

#[derive(Debug)]
struct ConnState {
    next_id: u64,
    is_logged_in: bool,
    /// Open subscriptions: id, topic, token.
    open: Vec<(Value, usize, u64)>,
    /// A subscription that was opened after its end. On a connection that the proxy has given up, its message may have
    /// been sent before the end and read after it; then the end of the connection follows at once.
    suspect: Option<(Instant, u64)>,
    /// How the connection dies, and after how many more messages.
    ambush: Option<(Kind, usize)>,
}

// === impl Double ===

impl Double {
    /// Starts an upstream and its publisher.
    pub fn start(protocol: Protocol, random: StdRng) -> Self {
        let shared = Arc::new(Shared {
            protocol,
            topics: (0..TOPICS).map(|_| Mutex::new(0)).collect(),
            conns: Mutex::default(),
            random: Mutex::new(random),
            refuses_until: Mutex::new(Instant::now()),
            ambushes: Mutex::default(),
            stopped: AtomicBool::new(false),
            is_calm: AtomicBool::new(false),
            seen: Seen::default(),
        });
        let port = Port::take();
        let (listener, accepting, publishing) = (port.listen(), Arc::clone(&shared), Arc::clone(&shared));
        std::thread::spawn(move || accepting.accept(&listener));
        std::thread::spawn(move || publishing.publish());
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        self.port.url()
    }

    pub fn seen(&self) -> &Seen {
        &self.shared.seen
    }

    /// Ends some connections: one, a tenth or all. With `ambush`, those that replace them die during their replay.
    pub fn kill(&self, kind: Kind, ambush: bool, random: &mut StdRng) -> usize {
        let mut conns: Vec<_> = self.shared.conns.lock().unwrap().values().cloned().collect();
        let count = match random.random_range(0..10) {
            0 => conns.len(),
            1..5 => conns.len().div_ceil(10),
            _ => 1,
        };
        while conns.len() > count {
            conns.swap_remove(random.random_range(0..conns.len()));
        }
        if ambush {
            let other = Kind::ALL[random.random_range(0..5)];
            *self.shared.ambushes.lock().unwrap() = vec![other; conns.len()];
        }
        if kind == Kind::Refuse {
            let time = Duration::from_millis(random.random_range(50..600));
            *self.shared.refuses_until.lock().unwrap() = Instant::now() + time;
        }
        conns.iter().for_each(|conn| conn.die(kind, random.random_range(0..3)));
        conns.len()
    }

    /// Ends the connections that are to die, and lets no others die.
    pub fn calm(&self) {
        self.shared.is_calm.store(true, SeqCst);
        self.shared.ambushes.lock().unwrap().clear();
        let conns: Vec<_> = self.shared.conns.lock().unwrap().values().cloned().collect();
        for conn in conns.iter().filter(|conn| conn.state.lock().unwrap().ambush.take().is_some()) {
            conn.die(Kind::Reset, 0);
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.port.addr());
        let conns = self.shared.conns.lock().unwrap();
        conns.values().for_each(|conn| conn.die(Kind::Reset, 0));
    }
}

// === impl Shared ===

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for (number, stream) in (0..).zip(listener.incoming()) {
            if self.stopped.load(SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = Arc::clone(&self);
            // The proxy may end the connection at any point.
            std::thread::spawn(move || shared.serve(number, stream).unwrap_or_default());
        }
    }

    fn serve(&self, number: u64, mut stream: TcpStream) -> io::Result<()> {
        if Instant::now() < *self.refuses_until.lock().unwrap() {
            return match self.random(2) {
                0 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
                _ => stream.write_all(b"HTTP/1.1 503 Whatever\r\nContent-Length: 0\r\n\r\n"),
            };
        }
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let Some(head) = Head::read(&mut reader)? else { return Ok(()) };
        let accept = derive_accept_key(head.get("sec-websocket-key").unwrap_or_default().as_bytes());
        let conn = Arc::new(self.conn(stream.try_clone()?));
        self.conns.lock().unwrap().insert(number, Arc::clone(&conn));
        self.seen.connections.fetch_add(1, SeqCst);
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        drop(stream);
        let read = self.read_all(&conn, &mut reader);
        self.conns.lock().unwrap().remove(&number);
        conn.writer.lock().unwrap().take();
        read
    }

    fn conn(&self, stream: TcpStream) -> Conn {
        let ambush = self.ambushes.lock().unwrap().pop().map(|kind| (kind, 1 + self.random(11)));
        // Few ids, so that each connection uses those of others for other subscriptions.
        let state = ConnState {
            next_id: self.random(8) as u64,
            is_logged_in: !self.protocol.has_login(),
            open: Vec::new(),
            suspect: None,
            ambush,
        };
        Conn { writer: Mutex::new(Some(stream)), state: Mutex::new(state), is_dead: AtomicBool::new(false) }
    }

    fn random(&self, below: usize) -> usize {
        self.random.lock().unwrap().random_range(0..below)
    }

    fn read_all(&self, conn: &Conn, reader: &mut BufReader<TcpStream>) -> io::Result<()> {
        while let Some(frame) = Frame::read(reader)? {
            // What arrives at a dying connection has no effect.
            if conn.is_dead.load(SeqCst) {
                continue;
            }
            match frame.opcode {
                PING => conn.write(&Frame::server(PONG, &frame.payload)),
                PONG => {
                    let refused = str::from_utf8(&frame.payload).expect("the text of a ping").parse();
                    self.seen.gone.lock().unwrap().insert(refused.expect("the token of a ping"));
                }
                CLOSE => {
                    conn.write(&Frame::server(CLOSE, &frame.payload));
                    return Ok(());
                }
                TEXT => {
                    if let Some(token) = conn.suspected() {
                        self.violation(format!("subscription {token} returned after its end"));
                    }
                    let text = String::from_utf8(frame.payload).expect("text is UTF-8");
                    self.serve_request(conn, &text);
                    if let Some(kind) = conn.ambushed() {
                        self.seen.ambushed.fetch_add(1, SeqCst);
                        conn.die(kind, self.random(3));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn serve_request(&self, conn: &Conn, text: &str) {
        let protocol = self.protocol;
        let (request, written) = protocol.read_request(text);
        let is_logged_in = conn.state.lock().unwrap().is_logged_in;
        if !is_logged_in && request != Request::Login {
            self.violation(format!("before the login: {text}"));
        }
        match request {
            Request::Login => {
                conn.state.lock().unwrap().is_logged_in = true;
                conn.text(r#"{"op":"logged_in"}"#);
            }
            Request::Open { topic, token, since, .. } => self.open(conn, &written, topic, token, since),
            Request::Close { request, id } => self.close(conn, &id, request.map(|_| &written)),
            Request::Call { request } => {
                if !self.seen.calls.lock().unwrap().insert(request) {
                    self.violation(format!("a second time: {text}"));
                }
                // Some have no answer until the connection is lost.
                if self.is_calm.load(SeqCst) || self.random(30) > 0 {
                    conn.text(&protocol.write_answered(&written));
                } else {
                    conn.state.lock().unwrap().ambush.get_or_insert((Kind::Reset, 3));
                }
            }
        }
    }

    fn open(&self, conn: &Conn, written: &Value, topic: usize, token: u64, since: Option<u64>) {
        if self.seen.gone.lock().unwrap().contains(&token) {
            conn.state.lock().unwrap().suspect.get_or_insert((Instant::now(), token));
        }
        if !self.seen.tokens.lock().unwrap().insert(token) {
            self.seen.replayed.fetch_add(1, SeqCst);
        }
        if self.random(200) == 0 {
            self.seen.refused.fetch_add(1, SeqCst);
            conn.text(&self.protocol.write_refused(written));
            // Its pong shows that the refusal has arrived, and is not lost with the connection.
            return conn.write(&Frame::server(PING, token.to_string()));
        }
        // Nothing is published to the topic meanwhile.
        let last = self.topics[topic].lock().unwrap();
        let resumed = since.filter(|since| *since > 0 && *last - *since <= KEPT && self.random(4) > 0);
        let id = {
            let mut state = conn.state.lock().unwrap();
            let id = self.protocol.id(state.next_id);
            state.next_id += 1;
            state.open.push((id.clone(), topic, token));
            id
        };
        conn.text(&self.protocol.write_opened(written, &id, resumed.is_some()));
        for number in resumed.map_or(*last, |since| since) + 1..=*last {
            conn.text(&self.protocol.write_data(&id, topic, token, number));
        }
    }

    /// `written`: the request, where it has an answer.
    fn close(&self, conn: &Conn, id: &Value, written: Option<&Value>) {
        let open = conn.state.lock().unwrap().open.clone();
        // Nothing is published to the topic meanwhile, and so nothing follows the answer.
        let _last =
            open.iter().find(|(other, ..)| other == id).map(|(_, topic, _)| self.topics[*topic].lock());
        conn.state.lock().unwrap().open.retain(|(other, ..)| other != id);
        if let Some(written) = written {
            conn.text(&self.protocol.write_answered(written));
        }
    }

    /// Sends the next number of one topic after the other.
    fn publish(&self) {
        for topic in (0..TOPICS).cycle() {
            if self.stopped.load(SeqCst) {
                return;
            }
            self.publish_topic(topic);
            pause(PUBLISHING);
        }
    }

    fn publish_topic(&self, topic: usize) {
        let conns: Vec<_> = self.conns.lock().unwrap().values().cloned().collect();
        let mut last = self.topics[topic].lock().unwrap();
        *last += 1;
        for conn in conns {
            let open = conn.state.lock().unwrap().open.clone();
            for (id, _, token) in open.iter().filter(|(_, other, _)| *other == topic) {
                conn.text(&self.protocol.write_data(id, topic, *token, *last));
            }
        }
    }

    fn violation(&self, text: String) {
        self.seen.violations.lock().unwrap().push(text);
    }
}

// === impl Conn ===

impl Conn {
    fn text(&self, text: &str) {
        self.write(&Frame::server(TEXT, text));
    }

    fn write(&self, frame: &Frame) {
        if self.is_dead.load(SeqCst) {
            return;
        }
        if let Some(stream) = self.writer.lock().unwrap().as_mut() {
            // The reader notices the end of the connection.
            let _ = stream.write_all(&frame.bytes());
        }
    }

    /// The subscription that has returned after its end.
    fn suspected(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap();
        state.suspect.take_if(|(at, _)| at.elapsed() > READ).map(|(_, token)| token)
    }

    /// How the connection dies now, if it does.
    fn ambushed(&self) -> Option<Kind> {
        let mut state = self.state.lock().unwrap();
        let (kind, left) = state.ambush.as_mut()?;
        *left = left.saturating_sub(1);
        (*left == 0).then_some(*kind)
    }

    /// `choice` below 3 is one of the close codes.
    fn die(&self, kind: Kind, choice: usize) {
        if self.is_dead.swap(true, SeqCst) || kind == Kind::Hang {
            return;
        }
        // Nothing else is written behind the last bytes.
        let Some(mut stream) = self.writer.lock().unwrap().take() else { return };
        let last = match kind {
            // A code of the application is a loss too, because the settings pass none on.
            Kind::Close => {
                let code = [1001, 1011, 4000][choice];
                Frame::server(CLOSE, Frame::close_payload(code, "chaos")).bytes()
            }
            Kind::MidFrame => [&*Frame::header(true, 0, TEXT, false, 100), b"half"].concat(),
            _ => Vec::new(),
        };
        // The proxy may have ended the connection.
        let _ = stream.write_all(&last);
        match kind {
            Kind::Reset | Kind::Refuse => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                // Sends nothing, and wakes the reader, whose descriptor is the last.
                let _ = stream.shutdown(Shutdown::Read);
            }
            // The reader continues, so that no reset overtakes the end.
            _ => drop(stream.shutdown(Shutdown::Write)),
        }
    }
}
