//! Heads of HTTP requests and responses, and a socket to which a test can write any bytes.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use super::{Frame, PATIENCE};

/// The head of a request or a response.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// The headers with names in lower case, in their order in the head.
    pub headers: Vec<(String, String)>,
    /// The names of the headers as they are spelled in the head.
    pub names: Vec<String>,
}

impl Head {
    /// Reads a head; `None` when the stream ends before it is complete.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            bytes.push(byte[0]);
        }
        Ok(Some(Self::parse(&String::from_utf8_lossy(&bytes))))
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let lines: Vec<_> = lines.collect();
        let names = lines.iter().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned());
        Self { line, names: names.collect(), headers: lines.iter().copied().filter_map(header).collect() }
    }

    /// The value of a header; `None` if it is missing. Several headers with the same name are joined by `, `.
    pub fn get(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The status of a response.
    ///
    /// # Panics
    /// When the head is not that of a response.
    pub fn status(&self) -> u16 {
        self.line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("not an answer: {:?}", self.line))
    }

    /// Reads the body after this head: `Content-Length` bytes, or until the end of the stream.
    pub fn body(&self, stream: &mut impl Read) -> String {
        let mut bytes = Vec::new();
        let limit = self.get("content-length").map_or(u64::MAX, |length| length.parse().unwrap());
        // A reset also ends the body.
        let _ = stream.take(limit).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A connection to which a test writes any bytes.
#[derive(Debug)]
pub struct Raw {
    reader: BufReader<TcpStream>,
}

impl Raw {
    /// Connects to an address.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::with(TcpStream::connect(addr).unwrap())
    }

    /// Connects from another address of this machine.
    pub fn connect_from(ip: IpAddr, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::with(socket.into())
    }

    fn with(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Connects and completes a valid handshake.
    pub fn upgraded(addr: SocketAddr) -> Self {
        Self::connect(addr).shaken()
    }

    fn shaken(mut self) -> Self {
        self.write(request("/", &[]).as_bytes());
        assert_eq!(self.head().status(), 101);
        self
    }

    /// Connects and completes a valid handshake, with a small receive buffer, which is soon full if the test
    /// does not read.
    pub fn upgraded_narrow(addr: SocketAddr) -> Self {
        Self::connect_narrow(addr).shaken()
    }

    /// Connects with a small receive buffer, which is soon full if the test does not read.
    pub fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::with(socket.into())
    }

    /// Reads one chunk of a body that is sent in chunks.
    #[track_caller]
    pub fn chunk(&mut self) -> String {
        let mut size = String::new();
        self.reader.read_line(&mut size).expect("a chunk");
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {size:?}"));
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).expect("a whole chunk");
        bytes.truncate(size);
        String::from_utf8(bytes).unwrap()
    }

    /// Writes bytes. Ignores errors, because the peer may have disconnected.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// Writes a frame.
    pub fn send(&mut self, frame: &Frame) {
        self.write(&frame.bytes());
    }

    /// Reads the head of a response.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        Head::read(&mut self.reader).expect("an answer").expect("an answer before the end")
    }

    /// Reads the body of a response.
    pub fn body(&mut self, head: &Head) -> String {
        head.body(&mut self.reader)
    }

    /// Reads until the end of the connection. Returns what was read.
    #[track_caller]
    pub fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).expect("an orderly end");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one frame; `None` at the end of the stream.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        match Frame::read(&mut self.reader) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            other => other.expect("a frame"),
        }
    }

    /// Expects a close frame with `code` and then the end of the connection.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16) {
        let frame = self.frame().expect("a close frame before the end");
        assert_eq!(frame.opcode, super::CLOSE, "{frame:?}");
        assert_eq!(frame.close_parts().0, code, "{frame:?}");
        assert_eq!(self.frame(), None);
    }

    /// Reads until the end of the connection. Returns the bytes, and whether the end was a reset.
    ///
    /// # Panics
    /// When the connection does not end.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Ok(_) => (bytes, false),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (bytes, true),
            Err(error) => panic!("{error}; so far {:?}", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.reader.get_ref());
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Sends binary messages of `payload` bytes until the peer accepts nothing for half a second, or `limit`
    /// bytes are sent. Returns the number of bytes that the peer accepted.
    pub fn flood(&mut self, payload: usize, limit: usize) -> usize {
        self.flood_with(&Frame::client(super::BINARY, vec![7; payload]), limit)
    }

    /// The same with one frame again and again.
    pub fn flood_with(&mut self, frame: &Frame, limit: usize) -> usize {
        super::flood(self.reader.get_mut(), frame, limit)
    }

    /// Shuts down the writing side of the connection.
    pub fn finish(&mut self) {
        self.reader.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The socket of the connection.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

/// The request of a valid handshake, with additional `headers`. One of them may replace `Host`.
pub fn request(path: &str, headers: &[(&str, &str)]) -> String {
    let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if has_host { "" } else { "Host: towline.test\r\n" };
    let mut text = format!(
        "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// The `Sec-WebSocket-Key` of all handshakes: the example in RFC 6455 section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The status and the body of a plain GET.
pub fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut raw = Raw::connect(addr);
    raw.write(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes());
    let head = raw.head();
    let body = raw.body(&head);
    (head.status(), body)
}
