//! An upstream that does what a test tells it.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tungstenite::{Message, handshake::derive_accept_key};

use super::{BINARY, CLOSE, CONTINUATION, Frame, Head, PATIENCE, PING, PONG, Port, TEXT, wait_for};

/// What the upstream does with a message.
type OnMessage = Arc<dyn Fn(&Conn, Message) + Send + Sync>;

/// How the upstream answers a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// Accepts, without a subprotocol.
    Accept,
    /// Accepts and names this subprotocol, offered or not.
    Choose(&'static str),
    /// Ends the connection after so many bytes of its answer, which has 129 bytes and ends with an empty
    /// line.
    Cut(usize),
    /// Accepts and sends this text in the same segment.
    Greet(&'static str),
    /// Answers with this status and a body that says `no entry`.
    Refuse(u16),
    /// Answers with something that is not HTTP.
    Garbage,
    /// Accepts with a `Sec-WebSocket-Accept` that is not the key's.
    WrongKey,
    /// Reads the handshake and never answers.
    Silent,
    /// Accepts with these header lines besides, each with its CR LF.
    With(&'static str),
    /// Answers with these bytes, in which `{accept}` stands for the right key, and ends the connection.
    Say(&'static str),
    /// Answers with these bytes and keeps the connection open.
    Hold(&'static str),
    /// Reads the handshake and answers it like the next door that the test sets.
    Wait,
    /// Sends so many bytes of its answer and then nothing.
    Half(usize),
    /// Resets the connection after so many bytes of its answer.
    Reset(usize),
    /// Begins to accept and sends headers for as long as the peer takes them.
    Endless,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The stream ends between two frames.
    Fin,
    /// The connection is reset.
    Reset,
    /// The stream ends in the middle of a frame.
    MidFrame,
    /// A close frame.
    Close(u16, &'static str),
}

/// How the other side ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a close frame; 1005 when it named no code.
    Close(u16, String),
    /// Without one.
    Eof,
    /// By a reset, or by what is no frame.
    Broken(io::ErrorKind),
}

/// An upstream under the test's control. It may be stopped and started on the same port.
#[derive(Debug)]
pub struct Origin {
    port: Port,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<Acceptor>>,
}

struct Shared {
    on_message: Mutex<OnMessage>,
    door: Mutex<Door>,
    /// The heads of all handshakes, refused ones included.
    heads: Mutex<Vec<Head>>,
    /// All connections since the start, ended ones included.
    conns: Mutex<Vec<Arc<Conn>>>,
    /// Sockets behind a silent door.
    stranded: Mutex<Vec<TcpStream>>,
    /// How many bytes of an endless answer peers have taken.
    endless: AtomicUsize,
    /// Whether close frames are neither answered nor an end.
    deaf: AtomicBool,
    /// Whether connections stay open for a while behind the close frames.
    late: AtomicBool,
}

impl Shared {
    /// The door that answers a handshake: the first one that is not [`Door::Wait`].
    fn open_door(&self, stopped: &AtomicBool) -> Door {
        loop {
            let door = self.door.lock().unwrap().clone();
            if door != Door::Wait || stopped.load(Ordering::SeqCst) {
                return door;
            }
            super::pause(super::POLL);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Acceptor {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

// === impl Origin ===

impl Origin {
    /// Starts an upstream that does `on_message` with each message.
    pub fn with(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let origin = Self::stopped(on_message);
        origin.start();
        origin
    }

    /// The same, not yet listening.
    pub fn stopped(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let shared = Shared {
            on_message: Mutex::new(Arc::new(on_message)),
            door: Mutex::new(Door::Accept),
            heads: Mutex::default(),
            conns: Mutex::default(),
            stranded: Mutex::default(),
            endless: AtomicUsize::new(0),
            deaf: AtomicBool::new(false),
            late: AtomicBool::new(false),
        };
        Self { port: Port::take(), shared: Arc::new(shared), acceptor: Mutex::new(None) }
    }

    /// One that answers each message with itself.
    pub fn echo() -> Self {
        Self::with(|conn, message| conn.send(message))
    }

    /// One that answers nothing; the test answers for it.
    pub fn silent() -> Self {
        Self::with(|_, _| ())
    }

    /// Changes what it does with messages from now on.
    pub fn set(&self, on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) {
        *self.shared.on_message.lock().unwrap() = Arc::new(on_message);
    }

    /// Changes how it answers handshakes from now on.
    pub fn set_door(&self, door: Door) {
        *self.shared.door.lock().unwrap() = door;
    }

    /// From now on close frames are noted, but neither answered nor taken for an end.
    pub fn ignore_closes(&self) {
        self.shared.deaf.store(true, Ordering::SeqCst);
    }

    /// From now on connections stay open for a while behind the close frames; see [`Conn::peer_ended_first`].
    pub fn end_late(&self) {
        self.shared.late.store(true, Ordering::SeqCst);
    }

    /// How many bytes of answers without end peers have taken.
    pub fn endless_taken(&self) -> usize {
        self.shared.endless.load(Ordering::SeqCst)
    }

    /// `ws://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// `127.0.0.1:PORT`
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Listens, again.
    pub fn start(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        assert!(acceptor.is_none(), "the origin runs already");
        let listener = self.port.listen();
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&self.shared), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || accept_until(&listener, &shared, &flag));
        *acceptor = Some(Acceptor { stopped, thread });
    }

    /// Stops to listen; connections go on.
    pub fn close_door(&self) {
        if let Some(acceptor) = self.acceptor.lock().unwrap().take() {
            acceptor.stopped.store(true, Ordering::SeqCst);
            // wakes the acceptor, which then sees the flag
            let _ = TcpStream::connect(self.addr());
            acceptor.thread.join().unwrap();
        }
    }

    /// Stops to listen and ends all connections.
    pub fn stop(&self, death: Death) {
        self.close_door();
        self.shared.stranded.lock().unwrap().clear();
        self.kill_all(death);
    }

    /// Ends all connections; goes on listening.
    pub fn kill_all(&self, death: Death) {
        let conns = self.shared.conns.lock().unwrap().clone();
        conns.iter().filter(|conn| conn.end().is_none()).for_each(|conn| conn.die(death));
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.conns.lock().unwrap().len()
    }

    /// How many connections there are.
    pub fn live(&self) -> usize {
        self.shared.conns.lock().unwrap().iter().filter(|conn| conn.end().is_none()).count()
    }

    /// The connection number `index` since the start, waiting for it.
    #[track_caller]
    pub fn conn(&self, index: usize) -> Arc<Conn> {
        let what = format!("connection {index} at the upstream");
        wait_for(&what, PATIENCE, || self.connections() > index);
        Arc::clone(&self.shared.conns.lock().unwrap()[index])
    }

    /// The head of handshake number `index` since the start, refused or not, waiting for it.
    #[track_caller]
    pub fn head(&self, index: usize) -> Head {
        let what = format!("handshake {index} at the upstream");
        wait_for(&what, PATIENCE, || self.handshakes() > index);
        self.shared.heads.lock().unwrap()[index].clone()
    }

    /// How many handshakes there have been, refused ones included.
    pub fn handshakes(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    /// How many messages all connections have received.
    pub fn received(&self) -> usize {
        self.shared.conns.lock().unwrap().iter().map(|conn| conn.messages().len()).sum()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop(Death::Reset);
    }
}

fn accept_until(listener: &TcpListener, shared: &Arc<Shared>, stopped: &Arc<AtomicBool>) {
    for stream in listener.incoming() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        // a connection that ended in the queue is none
        let Ok(stream) = stream else { continue };
        let (shared, stopped) = (Arc::clone(shared), Arc::clone(stopped));
        std::thread::spawn(move || {
            // the peer may go at any point of the handshake
            let _ = serve(stream, &shared, &stopped);
        });
    }
}

/// Shakes hands and reads one connection to its end.
fn serve(mut stream: TcpStream, shared: &Shared, stopped: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(head) = Head::read(&mut reader)? else { return Ok(()) };
    shared.heads.lock().unwrap().push(head.clone());
    let door = shared.open_door(stopped);
    let answer = match door {
        Door::Accept => accept(&head, None).into_bytes(),
        Door::Choose(protocol) => accept(&head, Some(protocol)).into_bytes(),
        Door::Greet(text) => [accept(&head, None).as_bytes(), &Frame::server(TEXT, text).bytes()].concat(),
        Door::Cut(length) => return stream.write_all(&accept(&head, None).as_bytes()[..length]),
        Door::WrongKey => {
            let other = derive_accept_key(b"another key");
            return stream.write_all(switching(&other, None).as_bytes());
        }
        Door::Garbage => return stream.write_all(b"SSH-2.0-Whatever\r\n\r\n"),
        Door::Refuse(status) => return stream.write_all(refusal(status).as_bytes()),
        Door::With(lines) => {
            let answer = accept(&head, None);
            format!("{}{lines}\r\n", &answer[..answer.len() - 2]).into_bytes()
        }
        Door::Say(text) => {
            let key = derive_accept_key(head.get("sec-websocket-key").unwrap_or_default().as_bytes());
            return stream.write_all(text.replace("{accept}", &key).as_bytes());
        }
        Door::Hold(text) => {
            stream.write_all(text.as_bytes())?;
            shared.stranded.lock().unwrap().push(stream);
            return Ok(());
        }
        Door::Half(length) => {
            stream.write_all(&accept(&head, None).as_bytes()[..length])?;
            shared.stranded.lock().unwrap().push(stream);
            return Ok(());
        }
        Door::Reset(length) => {
            stream.write_all(&accept(&head, None).as_bytes()[..length])?;
            return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        Door::Endless => return answer_without_end(&mut stream, shared),
        Door::Silent | Door::Wait => {
            shared.stranded.lock().unwrap().push(stream);
            return Ok(());
        }
    };
    let conn = Arc::new(Conn::new(head, stream));
    {
        // who knows of the connection can write to it only behind the answer; who has the answer finds the
        // connection counted
        let mut writer = conn.writer.lock().unwrap();
        let mut conns = shared.conns.lock().unwrap();
        if stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        conns.push(Arc::clone(&conn));
        drop(conns);
        // a peer that has gone is seen by the reader
        let _ = writer.as_mut().expect("just made").write_all(&answer);
    }
    let end = conn.read_all(&mut reader, shared);
    drop(reader);
    conn.ended(end);
    Ok(())
}

fn answer_without_end(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n")?;
    let header = format!("X-Padding: {}\r\n", "x".repeat(1000));
    while shared.endless.load(Ordering::SeqCst) < 64 << 20 {
        stream.write_all(header.as_bytes())?;
        shared.endless.fetch_add(header.len(), Ordering::SeqCst);
    }
    Ok(())
}

fn accept(head: &Head, protocol: Option<&str>) -> String {
    switching(&derive_accept_key(head.get("sec-websocket-key").unwrap_or_default().as_bytes()), protocol)
}

fn switching(accept: &str, protocol: Option<&str>) -> String {
    let protocol = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
}

fn refusal(status: u16) -> String {
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno entry")
}

/// One connection at the upstream.
#[derive(Debug)]
pub struct Conn {
    head: Head,
    /// None once the connection is given up.
    writer: Mutex<Option<TcpStream>>,
    seen: Mutex<Seen>,
}

/// What came over a connection.
#[derive(Debug, Default)]
struct Seen {
    messages: Vec<Message>,
    pings: usize,
    is_mute: bool,
    pongs: Vec<Vec<u8>>,
    closing: bool,
    /// The close frames that were ignored.
    closes: Vec<(u16, String)>,
    peer_ended_first: Option<bool>,
    end: Option<End>,
}

// === impl Conn ===

impl Conn {
    fn new(head: Head, stream: TcpStream) -> Self {
        Self { head, writer: Mutex::new(Some(stream)), seen: Mutex::default() }
    }

    /// The handshake's request.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Sends a message.
    pub fn send(&self, message: Message) {
        match message {
            Message::Text(text) => self.frame(&Frame::server(TEXT, text.as_bytes())),
            Message::Binary(bytes) => self.frame(&Frame::server(BINARY, &bytes)),
            Message::Ping(bytes) => self.frame(&Frame::server(PING, &bytes)),
            other => panic!("use `frame` for {other:?}"),
        }
    }

    /// Sends a text.
    pub fn text(&self, text: &str) {
        self.send(Message::text(text));
    }

    /// Sends a frame.
    pub fn frame(&self, frame: &Frame) {
        self.write(&frame.bytes());
    }

    /// Sends binary messages until the peer takes no more for half a second, or `limit` bytes are sent;
    /// tells how many bytes it took.
    pub fn flood(&self, payload: usize, limit: usize) -> usize {
        let mut writer = self.writer.lock().unwrap();
        let stream = writer.as_mut().expect("the connection is open");
        super::flood(stream, &Frame::server(BINARY, vec![7; payload]), limit)
    }

    /// Sends a frame again and again, until the peer ends the connection.
    pub fn pour(&self, frame: &Frame) {
        let bytes = frame.bytes();
        let bytes = bytes.repeat((64 << 10) / bytes.len());
        let mut writer = self.writer.lock().unwrap();
        let Some(stream) = writer.as_mut() else { return };
        while stream.write_all(&bytes).is_ok() {}
    }

    /// Writes bytes; that the peer has gone is seen by the reader.
    pub fn write(&self, bytes: &[u8]) {
        if let Some(stream) = self.writer.lock().unwrap().as_mut() {
            let _ = stream.write_all(bytes);
        }
    }

    /// Ends the connection.
    pub fn die(&self, death: Death) {
        match death {
            Death::Close(code, reason) => {
                self.seen.lock().unwrap().closing = true;
                self.frame(&Frame::server(CLOSE, Frame::close_payload(code, reason)));
            }
            Death::MidFrame => {
                self.write(&Frame::header(true, 0, TEXT, false, 100));
                self.write(b"half of it");
                self.finish();
            }
            Death::Fin => self.finish(),
            Death::Reset => self.reset(),
        }
    }

    /// Ends the writing side; the reader goes on to the peer's end, so that no reset overtakes the FIN.
    fn finish(&self) {
        if let Some(stream) = self.writer.lock().unwrap().take() {
            // it may be gone already
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Resets: with linger 0, the close of the last descriptor sends RST. `shutdown(Read)` sends nothing
    /// and wakes the reader, which then drops its own.
    fn reset(&self) {
        if let Some(stream) = self.writer.lock().unwrap().take() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// All messages so far.
    pub fn messages(&self) -> Vec<Message> {
        self.seen.lock().unwrap().messages.clone()
    }

    /// All texts so far.
    pub fn texts(&self) -> Vec<String> {
        self.messages().iter().map(|message| message.to_text().unwrap().to_owned()).collect()
    }

    /// The first `count` messages, waiting for them.
    #[track_caller]
    pub fn wait_messages(&self, count: usize) -> Vec<Message> {
        let what = format!("{count} messages at the upstream");
        wait_for(&what, PATIENCE, || self.messages().len() >= count);
        self.messages()
    }

    /// From now on pings are noted and not answered.
    pub fn ignore_pings(&self) {
        self.seen.lock().unwrap().is_mute = true;
    }

    /// How many pings came so far.
    pub fn pings(&self) -> usize {
        self.seen.lock().unwrap().pings
    }

    /// The payloads of the pongs so far.
    pub fn pongs(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().pongs.clone()
    }

    /// The close frames that were ignored.
    pub fn closes(&self) -> Vec<(u16, String)> {
        self.seen.lock().unwrap().closes.clone()
    }

    /// How the peer ended the connection; none while it is open.
    pub fn end(&self) -> Option<End> {
        self.seen.lock().unwrap().end.clone()
    }

    /// How the peer ended the connection, waiting for it.
    #[track_caller]
    pub fn wait_end(&self) -> End {
        wait_for("the end of the connection at the upstream", PATIENCE, || self.end().is_some());
        self.end().expect("just seen")
    }

    fn ended(&self, end: End) {
        self.writer.lock().unwrap().take();
        self.seen.lock().unwrap().end.get_or_insert(end);
    }

    /// Reads frames to the end of the connection; hands complete messages to the behaviour.
    fn read_all(&self, reader: &mut BufReader<TcpStream>, shared: &Shared) -> End {
        let mut parts = Parts::default();
        loop {
            let frame = match Frame::read(reader) {
                Ok(Some(frame)) => frame,
                Ok(None) => return End::Eof,
                Err(error) => return End::Broken(error.kind()),
            };
            assert!(frame.masked, "clients mask their frames (RFC 6455, 5.1)");
            match frame.opcode {
                PING => {
                    let is_mute = {
                        let mut seen = self.seen.lock().unwrap();
                        seen.pings += 1;
                        seen.is_mute
                    };
                    if !is_mute {
                        self.frame(&Frame::server(PONG, &frame.payload));
                    }
                }
                PONG => self.seen.lock().unwrap().pongs.push(frame.payload),
                CLOSE if shared.deaf.load(Ordering::SeqCst) => {
                    self.seen.lock().unwrap().closes.push(frame.close_parts());
                }
                CLOSE => {
                    let end = self.closed(&frame);
                    if shared.late.load(Ordering::SeqCst) {
                        self.wait_for_the_peer(reader);
                    }
                    return end;
                }
                _ => {
                    if let Some(message) = parts.take(frame) {
                        self.seen.lock().unwrap().messages.push(message.clone());
                        let on_message = Arc::clone(&shared.on_message.lock().unwrap());
                        on_message(self, message);
                    }
                }
            }
        }
    }

    /// Whether the peer ended the connection before us, once we have; see [`Origin::end_late`].
    pub fn peer_ended_first(&self) -> Option<bool> {
        self.seen.lock().unwrap().peer_ended_first
    }

    fn wait_for_the_peer(&self, reader: &mut BufReader<TcpStream>) {
        reader.get_ref().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let is_open = matches!(reader.fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.seen.lock().unwrap().peer_ended_first = Some(!is_open);
    }

    /// Completes the closing handshake.
    fn closed(&self, frame: &Frame) -> End {
        if !self.seen.lock().unwrap().closing {
            self.frame(&Frame::server(CLOSE, &frame.payload));
        }
        let (code, reason) = frame.close_parts();
        End::Close(code, reason)
    }
}

/// The frames of a message that is not complete.
#[derive(Debug, Default)]
struct Parts {
    opcode: u8,
    bytes: Vec<u8>,
}

impl Parts {
    fn take(&mut self, frame: Frame) -> Option<Message> {
        if frame.opcode != CONTINUATION {
            self.opcode = frame.opcode;
        }
        self.bytes.extend(frame.payload);
        if !frame.fin {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        Some(match self.opcode {
            TEXT => Message::text(String::from_utf8(bytes).expect("text is UTF-8 (RFC 6455, 5.6)")),
            _ => Message::binary(bytes),
        })
    }
}
