//! A client that follows the protocol. It uses `tungstenite`, but makes the handshake itself to give access
//! to status and headers.

use std::{
    io::{self, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Type};
use tungstenite::{
    Error, Message, Utf8Bytes, WebSocket,
    handshake::derive_accept_key,
    protocol::{CloseFrame, Role},
};

use super::{Head, PATIENCE, Value, error_reply, http};

/// A client's handshake before it is sent.
#[derive(Debug, Clone)]
pub struct Opening {
    addr: SocketAddr,
    from: Option<IpAddr>,
    path: String,
    headers: Vec<(String, String)>,
}

/// A response to a handshake with a status other than 101.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub head: Head,
    pub body: String,
}

impl Refusal {
    /// The HTTP status of the response.
    pub fn status(&self) -> u16 {
        self.head.status()
    }
}

// === impl Opening ===

impl Opening {
    /// A handshake for path `/`, without other headers.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, from: None, path: "/".into(), headers: Vec::new() }
    }

    /// Connects from another address of this machine.
    pub fn from(mut self, ip: IpAddr) -> Self {
        self.from = Some(ip);
        self
    }

    /// Sets the path, with or without a query.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the list of offered subprotocols.
    pub fn protocols(self, list: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", list)
    }

    /// Connects and performs the handshake.
    ///
    /// # Errors
    /// When the status of the response is not 101.
    #[track_caller]
    pub fn try_open(&self) -> Result<Client, Refusal> {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        stream.write_all(http::request(&self.path, &headers).as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader).expect("an answer").expect("an answer before the end");
        if head.status() != 101 {
            let body = head.body(&mut reader);
            return Err(Refusal { head, body });
        }
        assert_eq!(head.get("sec-websocket-accept"), Some(derive_accept_key(http::KEY.as_bytes())));
        assert_eq!(head.get("upgrade").unwrap().to_ascii_lowercase(), "websocket");
        let early = reader.buffer().to_vec();
        let socket = WebSocket::from_partially_read(reader.into_inner(), early, Role::Client, None);
        Ok(Client { socket, head, pongs: Vec::new(), pings: 0 })
    }

    fn connect(&self) -> TcpStream {
        let Some(ip) = self.from else { return TcpStream::connect(self.addr).unwrap() };
        let socket = socket2::Socket::new(Domain::for_address(self.addr), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
        socket.connect(&self.addr.into()).unwrap();
        socket.into()
    }

    /// Connects and performs the handshake.
    ///
    /// # Panics
    /// When the status of the response is not 101.
    #[track_caller]
    pub fn open(&self) -> Client {
        self.try_open().unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// Sends the handshake, and returns the refusal.
    #[track_caller]
    pub fn refused(&self) -> Refusal {
        self.try_open().expect_err("the handshake should be refused")
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Client {
    socket: WebSocket<TcpStream>,
    head: Head,
    pongs: Vec<Vec<u8>>,
    pings: usize,
}

// === impl Client ===

impl Client {
    /// Connects with path `/`.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        Opening::new(addr).open()
    }

    /// The value of a header of the handshake's response; `None` if it is missing.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.get(name)
    }

    /// The subprotocol in the handshake's response; `None` if it has none.
    pub fn protocol(&self) -> Option<String> {
        self.header("sec-websocket-protocol")
    }

    /// The socket, for writing frames from another thread while this thread reads.
    pub fn sender(&mut self) -> TcpStream {
        self.socket.get_ref().try_clone().unwrap()
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the client can send");
    }

    /// Sends a text message.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// Sends a text message, and returns the next message.
    #[track_caller]
    pub fn ask(&mut self, text: &str) -> String {
        self.text(text);
        self.recv_text()
    }

    /// Waits for the next message, and skips control frames.
    #[track_caller]
    pub fn recv(&mut self) -> Message {
        match self.try_recv() {
            Ok(message) => message,
            Err(error) => panic!("no message: {error}"),
        }
    }

    /// Waits for the next message. Returns an error when the connection ends first.
    pub fn try_recv(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read()? {
                Message::Pong(payload) => self.pongs.push(payload.to_vec()),
                Message::Ping(_) => self.pings += 1,
                Message::Close(frame) => {
                    return Err(Error::Io(io::Error::other(format!("closed with {frame:?}"))));
                }
                message => return Ok(message),
            }
        }
    }

    /// Waits for the next message, which must be a text message.
    #[track_caller]
    pub fn recv_text(&mut self) -> String {
        match self.recv() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// Waits for the next message, which must be JSON text.
    #[track_caller]
    pub fn recv_json(&mut self) -> Value {
        let text = self.recv_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits for the next message, which must be an error reply. Returns its text and event id.
    #[track_caller]
    pub fn recv_error(&mut self) -> (String, String) {
        error_reply(&self.recv())
    }

    /// Waits for the next ping. The pong is sent with the next read.
    #[track_caller]
    pub fn expect_ping(&mut self) {
        let message = self.socket.read().expect("a ping");
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
        self.pings += 1;
    }

    /// Sends a ping, and waits for the pong.
    #[track_caller]
    pub fn ping(&mut self, payload: &[u8]) {
        self.send(Message::Ping(payload.to_vec().into()));
        while !self.pongs.iter().any(|pong| pong == payload) {
            match self.socket.read().expect("a pong") {
                Message::Pong(payload) => self.pongs.push(payload.to_vec()),
                Message::Ping(_) => self.pings += 1,
                other => panic!("not a pong: {other:?}"),
            }
        }
    }

    /// Starts the closing handshake.
    #[track_caller]
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from(reason) };
        self.socket.close(Some(frame)).expect("the client can close");
        self.socket.flush().expect("the client can close");
    }

    /// Waits for a close frame with `code` and for the end of the connection; returns the reason. Panics if a message
    /// arrives before.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16) -> String {
        let (messages, seen, reason) = self.read_to_end();
        assert_eq!((seen, messages), (Some(code), vec![]), "close code and messages before; {reason}");
        reason
    }

    /// Reads all messages until the end of the connection. Also returns code and reason of the close frame:
    /// the code is 1005 for a close frame without one, and `None` without a close frame.
    #[track_caller]
    pub fn read_to_end(&mut self) -> (Vec<Message>, Option<u16>, String) {
        let (mut messages, mut code, mut reason) = (Vec::new(), None, String::new());
        loop {
            match self.socket.read() {
                Ok(Message::Close(None)) => code = Some(1005),
                Ok(Message::Close(Some(frame))) => {
                    code = Some(frame.code.into());
                    reason = frame.reason.as_str().to_owned();
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => messages.push(message),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the connection does not end; so far {messages:?} {code:?}")
                }
                Err(_) => return (messages, code, reason),
            }
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.socket.get_ref());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Ends the connection without a close frame.
    pub fn vanish(self) {}
}
