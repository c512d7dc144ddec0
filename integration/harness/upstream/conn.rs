//! One connection of a test upstream.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tungstenite::Message;

use super::UpstreamState;
use crate::harness::{BINARY, CLOSE, CONTINUATION, Frame, Head, PATIENCE, PING, PONG, TEXT, flood, wait_for};

/// How the upstream ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// End the stream between two frames.
    Fin,
    /// Reset the connection.
    Reset,
    /// End the stream in the middle of a frame.
    MidFrame,
    /// Send a close frame.
    Close(u16, &'static str),
}

/// How the peer ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a close frame; the code is 1005 if it had none.
    Close(u16, String),
    /// With the end of the stream, without a close frame.
    Eof,
    /// With a reset, or with bytes that are not a frame.
    Broken(io::ErrorKind),
}

/// One connection at the upstream.
#[derive(Debug)]
pub struct Conn {
    head: Head,
    peer: SocketAddr,
    /// `None` after the upstream has ended the connection.
    pub(super) writer: Mutex<Option<TcpStream>>,
    seen: Mutex<Seen>,
}

/// What a connection has received.
#[derive(Debug, Default)]
struct Seen {
    messages: Vec<Message>,
    pings: usize,
    ignores_pings: bool,
    pongs: Vec<Vec<u8>>,
    closing: bool,
    /// The close frames that the upstream ignored.
    closes: Vec<(u16, String)>,
    peer_ended_first: Option<bool>,
    end: Option<End>,
}

// === impl Conn ===

impl Conn {
    pub(super) fn new(head: Head, stream: TcpStream) -> Self {
        let peer = stream.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)));
        Self { head, peer, writer: Mutex::new(Some(stream)), seen: Mutex::default() }
    }

    /// The proxy's address of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The request of the connection's handshake.
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

    /// Sends binary messages of `payload` bytes until the peer accepts nothing for half a second, or `limit`
    /// bytes are sent. Returns the number of bytes that the peer accepted.
    pub fn flood(&self, payload: usize, limit: usize) -> usize {
        let mut writer = self.writer.lock().unwrap();
        let stream = writer.as_mut().expect("the connection is open");
        flood(stream, &Frame::server(BINARY, vec![7; payload]), limit)
    }

    /// Sends the same frame until the peer ends the connection.
    pub fn pour(&self, frame: &Frame) {
        let bytes = frame.bytes();
        let bytes = bytes.repeat((64 << 10) / bytes.len());
        let mut writer = self.writer.lock().unwrap();
        let Some(stream) = writer.as_mut() else { return };
        while stream.write_all(&bytes).is_ok() {}
    }

    /// Writes bytes. Ignores errors, because the reader detects the end of the connection.
    pub fn write(&self, bytes: &[u8]) {
        if let Some(stream) = self.writer.lock().unwrap().as_mut() {
            let _ = stream.write_all(bytes);
        }
    }

    /// Ends the connection in the given way.
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

    /// Shuts down the writing side. The reader continues until the peer's end, so that no reset overtakes the
    /// FIN.
    fn finish(&self) {
        if let Some(stream) = self.writer.lock().unwrap().take() {
            // The peer may have disconnected already.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Resets the connection: with a linger time of 0, closing the last descriptor sends RST.
    /// `shutdown(Read)` sends nothing, but wakes the reader, which then drops its descriptor.
    fn reset(&self) {
        if let Some(stream) = self.writer.lock().unwrap().take() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// All messages received so far.
    pub fn messages(&self) -> Vec<Message> {
        self.seen.lock().unwrap().messages.clone()
    }

    /// All text messages received so far.
    pub fn texts(&self) -> Vec<String> {
        self.messages().iter().map(|message| message.to_text().unwrap().to_owned()).collect()
    }

    /// Waits for `count` messages, and returns all messages received so far.
    #[track_caller]
    pub fn wait_messages(&self, count: usize) -> Vec<Message> {
        let what = format!("{count} messages at the upstream");
        wait_for(&what, PATIENCE, || self.messages().len() >= count);
        self.messages()
    }

    /// Makes the upstream count later pings without answering them.
    pub fn ignore_pings(&self) {
        self.seen.lock().unwrap().ignores_pings = true;
    }

    /// The number of pings received so far.
    pub fn pings(&self) -> usize {
        self.seen.lock().unwrap().pings
    }

    /// The payloads of the pongs received so far.
    pub fn pongs(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().pongs.clone()
    }

    /// The close frames that the upstream ignored.
    pub fn closes(&self) -> Vec<(u16, String)> {
        self.seen.lock().unwrap().closes.clone()
    }

    /// How the peer ended the connection; `None` while it is open.
    pub fn end(&self) -> Option<End> {
        self.seen.lock().unwrap().end.clone()
    }

    /// Waits for the end of the connection.
    #[track_caller]
    pub fn wait_end(&self) -> End {
        wait_for("the end of the connection at the upstream", PATIENCE, || self.end().is_some());
        self.end().expect("just seen")
    }

    pub(super) fn ended(&self, end: End) {
        self.writer.lock().unwrap().take();
        self.seen.lock().unwrap().end.get_or_insert(end);
    }

    /// Reads frames until the connection ends, and passes complete messages to the handler. Returns how the
    /// connection ended.
    pub(super) fn read_all(&self, reader: &mut BufReader<TcpStream>, shared: &UpstreamState) -> End {
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
                    let ignores_pings = {
                        let mut seen = self.seen.lock().unwrap();
                        seen.pings += 1;
                        seen.ignores_pings || shared.ignores_pings.load(Ordering::SeqCst)
                    };
                    if !ignores_pings {
                        self.frame(&Frame::server(PONG, &frame.payload));
                    }
                }
                PONG => self.seen.lock().unwrap().pongs.push(frame.payload),
                CLOSE if shared.ignores_closes.load(Ordering::SeqCst) => {
                    self.seen.lock().unwrap().closes.push(frame.close_parts());
                }
                CLOSE => {
                    let end = self.closed(&frame);
                    if shared.ends_late.load(Ordering::SeqCst) {
                        self.wait_for_the_peer(reader);
                    }
                    return end;
                }
                _ => {
                    if let Some(message) = parts.take(frame) {
                        // First the handler: a message that the test sees is not handled by one that it sets then.
                        let on_message = Arc::clone(&shared.on_message.lock().unwrap());
                        self.seen.lock().unwrap().messages.push(message.clone());
                        on_message(self, message);
                    }
                }
            }
        }
    }

    /// Whether the peer ended the TCP connection before the upstream did; `None` while the connection is open. See
    /// [`TestUpstream::end_late`](super::TestUpstream::end_late).
    pub fn peer_ended_first(&self) -> Option<bool> {
        self.seen.lock().unwrap().peer_ended_first
    }

    fn wait_for_the_peer(&self, reader: &mut BufReader<TcpStream>) {
        reader.get_ref().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let is_open = matches!(reader.fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.seen.lock().unwrap().peer_ended_first = Some(!is_open);
    }

    /// Completes the closing handshake. Returns how the connection ended.
    fn closed(&self, frame: &Frame) -> End {
        if !self.seen.lock().unwrap().closing {
            self.frame(&Frame::server(CLOSE, &frame.payload));
        }
        let (code, reason) = frame.close_parts();
        End::Close(code, reason)
    }
}

/// The payload of an incomplete message.
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
