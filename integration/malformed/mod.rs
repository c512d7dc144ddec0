//! Tests of invalid input from clients, one table for each part of the protocol. A case has a name, the
//! bytes, and the exact response. None of the invalid input may reach the upstream.

mod ends;
mod frames;
mod heads;
mod messages;
mod requests;

use crate::harness::*;

/// A short `close_timeout`, after which a rejected client is disconnected.
const CLOSE_TIMEOUT: &str = r#"listener.ws.close_timeout = "300ms""#;

/// A handshake, and the status of its refusal.
#[derive(Debug)]
struct RefusedRequest {
    name: &'static str,
    bytes: Vec<u8>,
    status: u16,
}

/// Bytes after a valid handshake, and the close frame that the client gets. The expected reason may omit a
/// number at the end.
#[derive(Debug)]
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    code: u16,
    reason: &'static str,
    /// The valid messages in `bytes`, which reach the upstream.
    delivered: &'static [&'static str],
}

/// A request: the lines of its head, and its body.
#[derive(Debug, Clone)]
struct Request {
    lines: Vec<Vec<u8>>,
    body: Vec<u8>,
}

// === impl RefusedRequest ===

impl RefusedRequest {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, status: u16) -> Self {
        Self { name, bytes: bytes.into(), status }
    }

    /// Sends the request on a new connection, followed by a valid handshake that must not be read. Checks
    /// that there is one response, and then the end of the connection.
    #[track_caller]
    fn check(&self, proxy: &Proxy) {
        println!("{}", self.name);
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&[&self.bytes[..], request("/", &[]).as_bytes()].concat());
        self.check_answer(&mut raw);
    }

    #[track_caller]
    fn check_answer(&self, raw: &mut Raw) {
        let name = self.name;
        let (bytes, reset) = raw.rest();
        let text = String::from_utf8_lossy(&bytes);
        let mut stream = &bytes[..];
        let head =
            Head::read(&mut stream).unwrap().unwrap_or_else(|| panic!("{name}: no answer but {text:?}"));
        assert_eq!(head.status(), self.status, "{name}: {text}");
        let body = head.body(&mut stream);
        assert!(stream.is_empty(), "{name}: one answer, not {text:?}");
        assert!(!reset, "{name}: a reset may overtake the answer (RFC 9112, 9.6)");
        assert!(body.ends_with('\n') && body.lines().count() == 1, "{name}: says why: {body:?}");
        let closes =
            head.get("connection").is_some_and(|value| value.split(", ").any(|word| word == "close"));
        assert!(closes, "{name}: {text}");
        self.check_headers(&head);
    }

    /// Checks the headers that a refusal must have (RFC 9110 sections 15.5.6 and 15.5.22; RFC 6455 section
    /// 4.4).
    #[track_caller]
    fn check_headers(&self, head: &Head) {
        let said = |header, value| head.get(header).is_some_and(|said| said.eq_ignore_ascii_case(value));
        match self.status {
            405 => assert!(said("allow", "GET"), "{head:?}"),
            426 => {
                assert!(said("upgrade", "websocket") || said("sec-websocket-version", "13"), "{head:?}")
            }
            _ => {}
        }
    }
}

/// Checks that each case is refused with its status, and that no case reaches the upstream.
#[track_caller]
fn expect_refused(cases: &[RefusedRequest]) {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("client refused");
    let before = proxy.descriptors_at_rest();
    for case in cases {
        case.check(&proxy);
    }
    assert_eq!(upstream.handshakes(), 0, "the upstream of a refused client is not dialed");
    assert_eq!(proxy.sessions(), 0);
    for case in cases {
        // The log throttle suppresses later refusals with the same reason.
        proxy.wait_log(&format!("client refused listener=ws *status={} reason=", case.status));
    }
    wait_for("descriptors to be closed", PATIENCE, || proxy.descriptors() <= before);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

// === impl Request ===

impl Request {
    /// A request whose handshake is accepted.
    fn good() -> Self {
        let lines = request("/", &[]);
        let lines = lines.split("\r\n").filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec());
        Self { lines: lines.collect(), body: Vec::new() }
    }

    /// Replaces the request line.
    fn line(mut self, line: &str) -> Self {
        self.lines[0] = line.into();
        self
    }

    /// Adds a header.
    fn with(mut self, line: impl AsRef<[u8]>) -> Self {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// Removes a header.
    fn without(mut self, name: &str) -> Self {
        let before = self.lines.len();
        self.lines.retain(|line| !line.starts_with(format!("{name}:").as_bytes()));
        assert!(self.lines.len() < before, "{name}");
        self
    }

    /// Replaces the value of a header.
    fn instead(self, name: &str, value: &str) -> Self {
        self.without(name).with(format!("{name}: {value}"))
    }

    /// Adds a body.
    fn body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The bytes of the request, with `end` in place of the CR LF at the end of lines.
    fn ended_by(&self, end: &str) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.lines.iter().flat_map(|line| [line, end.as_bytes()].concat()).collect();
        bytes.extend(end.as_bytes());
        bytes.extend(&self.body);
        bytes
    }
}

impl From<Request> for Vec<u8> {
    fn from(request: Request) -> Self {
        request.ended_by("\r\n")
    }
}

// === impl Case ===

impl Case {
    fn new(name: &'static str, bytes: Vec<u8>, code: u16, reason: &'static str) -> Self {
        Self { name, bytes, code, reason, delivered: &[] }
    }

    /// Sets the valid messages that reach the upstream.
    fn delivering(self, delivered: &'static [&'static str]) -> Self {
        Self { delivered, ..self }
    }

    /// The bytes in one piece, and the bytes one by one. The result must be the same.
    fn ways(&self) -> [Vec<&[u8]>; 2] {
        [vec![&self.bytes], self.bytes.chunks(1 + self.bytes.len() / 1000).collect()]
    }

    #[track_caller]
    fn check(&self, pieces: &[&[u8]], proxy: &Proxy, conn: impl FnOnce() -> std::sync::Arc<Conn>) {
        let mut raw = Raw::upgraded(proxy.addr());
        pieces.iter().for_each(|piece| raw.write(piece));
        let name = self.name;
        let close = raw.frame().unwrap_or_else(|| panic!("{name}: no close frame"));
        assert_eq!(close.opcode, CLOSE, "{name}: {close:?}");
        let (code, reason) = close.close_parts();
        assert_eq!(code, self.code, "{name}: {reason}");
        assert!(reason.starts_with(self.reason), "{name}: {reason}");
        raw.finish();
        assert_eq!(raw.frame(), None, "{name}: nothing follows");
        let conn = conn();
        assert_eq!(conn.wait_end(), End::Close(code, reason), "{name}: the upstream gets the same close");
        assert_eq!(conn.texts(), self.delivered, "{name}: the upstream gets nothing else");
    }
}

/// Settings of a proxy with low limits: `max_frame` 4 KiB, `max_message` 10 KiB.
fn narrow(upstream: &TestUpstream) -> Settings {
    Settings::request(&upstream.url())
        .with(CLOSE_TIMEOUT)
        .with(r#"listener.ws.max_message = "10KiB""#)
        .with(r#"listener.ws.max_frame = "4KiB""#)
}

/// Checks that each case ends its own connection with its close frame, and no other connection.
#[track_caller]
fn speak(cases: &[Case]) {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&narrow(&upstream));
    let mut bystander = Raw::upgraded(proxy.addr());
    let mut session = 0;
    for case in cases {
        println!("{}", case.name);
        for pieces in case.ways() {
            session += 1;
            case.check(&pieces, &proxy, || upstream.conn(session));
            let line = format!("session closed session=1:{session} code={} side=proxy", case.code);
            proxy.wait_log(&line);
        }
        bystander.send(&Frame::client(PING, "still here"));
        assert_eq!(bystander.frame(), Some(Frame::server(PONG, "still here")));
    }
    assert_eq!(upstream.live(), 1, "the other client's message");
}
