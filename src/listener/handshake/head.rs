//! Reads the head of a client's request (RFC 9112), strictly.
//!
//! # Security
//! Input that two parsers could interpret differently is refused: line ends other than CRLF, folded lines,
//! white space around names, a second Host or Content-Length. `httparse` splits the lines into names and
//! values, and receives only lines that were checked here. A refusal closes the connection, so no byte of a
//! refused request is ever parsed as the start of another one.

use std::io;

use actix_http::{
    Method, RequestHead, StatusCode, Uri, Version,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    uri::PathAndQuery,
};
use bytes::Bytes;
use memchr::memchr2;
use tokio::io::AsyncRead;

use crate::{listener::answer::Refusal, net::read_through};

/// Maximum number of header lines: several times what browsers and proxies send.
const HEADERS_MAX: usize = 100;

/// Initial capacity for a head, in bytes: enough for most heads, and little for one that never completes.
const ROOM: usize = 1024;

/// A request's head, and the bytes received after it. No `Debug` form here: see `RequestContext`.
pub(super) struct ReceivedRequest {
    pub(super) head: RequestHead,
    /// Bytes received after the head.
    pub(super) rest: Vec<u8>,
}

/// The reason why there is no head.
#[derive(Debug)]
pub(super) enum End {
    /// The client disconnected.
    Gone,
    /// The request is malformed or too large.
    Refused(Refusal),
}

/// A parser that reads a head as its bytes arrive, each byte once.
#[derive(Default)]
pub(super) struct Reader {
    /// Number of bytes that have been read.
    at: usize,
    /// Start of the current line.
    line: usize,
    request: Option<RequestLine>,
    /// Start of the header lines, in bytes from the start of the head.
    headers_at: usize,
    /// Number of header lines so far.
    headers: usize,
}

/// The parts of a request line such as `GET /chat?a=1 HTTP/1.1`.
struct RequestLine {
    method: Method,
    /// Path and query of the request target.
    uri: Uri,
    /// The host in the request target, if the target is in absolute form (RFC 9112 section 3.2.2).
    authority: Option<HeaderValue>,
}

// --- The socket

/// Reads the head of a request, whose first bytes `early` have been read. The head and the bytes received after it
/// together have at most `max` bytes.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    early: Vec<u8>,
    max: usize,
) -> Result<ReceivedRequest, End> {
    let mut reader = Reader::default();
    let mut bytes = early;
    loop {
        more(stream, &mut bytes, max).await.map_err(|_| End::Gone)?;
        if let Some((head, length)) = reader.read(&bytes).map_err(End::Refused)? {
            return Ok(ReceivedRequest { head, rest: bytes.split_off(length) });
        }
        if bytes.len() >= max {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(End::Refused(Refusal::new(status, "request head too large")));
        }
    }
}

/// Completes when the client disconnects. Until then it appends what the client sends after its handshake to
/// `rest`.
///
/// When `rest` has `max` bytes, reading stops, and a disconnect goes unnoticed.
pub(super) async fn gone(stream: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>, max: usize) {
    while rest.len() < max {
        if more(stream, rest, max).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

/// Waits for bytes and appends them, up to a total of `max`. Fails when the client has disconnected.
async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>, max: usize) -> io::Result<()> {
    let count = read_through(stream, max - bytes.len(), |part| append(bytes, part, max)).await?;
    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Appends bytes with a capacity that doubles from [`ROOM`] and never exceeds `max`.
fn append(bytes: &mut Vec<u8>, part: &[u8], max: usize) {
    let length = bytes.len() + part.len();
    if length > bytes.capacity() {
        let room = length.max(2 * bytes.capacity()).clamp(ROOM.min(max), max);
        bytes.reserve_exact(room - bytes.len());
    }
    bytes.extend_from_slice(part);
}

// === impl Reader ===

impl Reader {
    /// Parses the bytes that were added to `bytes` since the last call; `bytes` holds the whole head so far.
    /// Returns the head and its length in bytes, once it is complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        loop {
            let new = &bytes[self.at..];
            let count = memchr2(b'\r', b'\n', new).unwrap_or(new.len());
            if has_control(&new[..count]) {
                return Err(bad("control character in the request head"));
            }
            self.at += count;
            match &new[count..] {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => {
                    let line = &bytes[self.line..self.at];
                    self.at += 2;
                    self.line = self.at;
                    if self.ends_with(line)? {
                        return self.finish(bytes).map(|head| Some((head, self.at)));
                    }
                }
                _ => return Err(bad("line not terminated by CRLF")),
            }
        }
    }

    /// Parses a line. Returns true if it is the empty line that ends the head.
    fn ends_with(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        match (&self.request, line) {
            // RFC 9112 section 2.2: empty lines before the request are ignored.
            (None, []) => return Ok(false),
            (None, line) => {
                self.request = Some(RequestLine::parse(line)?);
                self.headers_at = self.at;
            }
            (Some(_), []) => return Ok(true),
            (Some(_), [b' ' | b'\t', ..]) => return Err(bad("folded header line")),
            (Some(_), _) if self.headers == HEADERS_MAX => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Err(Refusal::new(status, "more than 100 header lines"));
            }
            (Some(_), _) => self.headers += 1,
        }
        Ok(false)
    }

    fn finish(&mut self, bytes: &[u8]) -> Result<RequestHead, Refusal> {
        let request = self.request.take().ok_or(bad("missing request line"))?;
        let mut head = RequestHead::default();
        head.method = request.method;
        head.uri = request.uri;
        head.version = Version::HTTP_11;
        read_headers(&bytes[self.headers_at..self.at], &mut head.headers)?;
        check_host(&head.headers)?;
        if head.headers.get_all(header::CONTENT_LENGTH).count() > 1 {
            return Err(bad("more than one Content-Length header"));
        }
        if let Some(authority) = request.authority {
            head.headers.insert(header::HOST, authority);
        }
        Ok(head)
    }
}

/// Adds the headers of these lines, which include the empty line after them. The values share a copy of the lines, so that
/// the read buffer can be freed.
fn read_headers(lines: &[u8], headers: &mut HeaderMap) -> Result<(), Refusal> {
    let lines = Bytes::copy_from_slice(lines);
    let mut found = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let Ok(httparse::Status::Complete((_, found))) = httparse::parse_headers(&lines, &mut found) else {
        return Err(bad("malformed header line: expected name, colon and value"));
    };
    for line in found {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        match (name, HeaderValue::from_maybe_shared(lines.slice_ref(line.value))) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(bad("malformed header line: expected name, colon and value")),
        }
    }
    Ok(())
}

/// Requires exactly one Host header with valid characters (RFC 9112 section 3.2, RFC 3986 section 3.2.2).
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("expected exactly one Host header"));
    };
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    if host.as_bytes().iter().all(fits) { Ok(()) } else { Err(bad("invalid character in the Host header")) }
}

/// Whether a part of a line has a control character other than a tab. It has no early end, so that the compiler compares
/// several bytes at once.
fn has_control(part: &[u8]) -> bool {
    part.iter().fold(false, |found, byte| found | (byte.is_ascii_control() & (*byte != b'\t')))
}

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

// === impl RequestLine ===

impl RequestLine {
    fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let malformed = || bad("malformed HTTP/1.1 request line");
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        match version {
            b"HTTP/1.1" => {}
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
                return Err(Refusal::new(status, "only HTTP/1.1 is supported"));
            }
            _ => return Err(malformed()),
        }
        let method = Method::from_bytes(method).map_err(|_| malformed())?;
        let (uri, authority) = target_of(target).ok_or(bad("request target is not a path"))?;
        Ok(Self { method, uri, authority })
    }
}

/// The path and query of a request target, and its host if it is in absolute form (RFC 9112 section 3.2).
/// `None` if the target is invalid.
fn target_of(target: &[u8]) -> Option<(Uri, Option<HeaderValue>)> {
    // A request target has no fragment, and bytes outside ASCII are percent-encoded.
    if target.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return None;
    }
    let uri = Uri::try_from(target).ok()?;
    if target.starts_with(b"/") {
        return Some((uri, None));
    }
    let authority = uri.authority()?.as_str();
    if !matches!(uri.scheme_str()?, "http" | "https" | "ws" | "wss") || authority.contains('@') {
        return None;
    }
    let authority = HeaderValue::from_str(authority).ok()?;
    // An empty path is "/" in text form.
    let path = PathAndQuery::try_from(uri.path_and_query()?.as_str()).ok()?;
    Some((path.into(), Some(authority)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "GET /chat?a=1 HTTP/1.1\r\nHost: h.test\r\nX-Two:  two words \r\nX-Empty:\r\n\r\n";

    fn read(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, u16> {
        Reader::default().read(bytes).map_err(|refusal| refusal.status.as_u16())
    }

    fn status(text: &str) -> Option<u16> {
        read(text.as_bytes()).err()
    }

    /// A head with a request line, a Host header, and then `lines`.
    fn with(lines: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: h.test\r\n{lines}\r\n")
    }

    #[test]
    fn a_good_head_is_read() {
        let (head, length) = read(format!("{GOOD}rest").as_bytes()).unwrap().unwrap();
        assert_eq!(length, GOOD.len());
        assert_eq!((&head.method, head.version), (&Method::GET, Version::HTTP_11));
        assert_eq!((head.uri.path(), head.uri.query()), ("/chat", Some("a=1")));
        assert_eq!(head.headers.get("x-two").unwrap(), "two words");
        assert_eq!(head.headers.get("x-empty").unwrap(), "");
    }

    #[test]
    fn empty_lines_before_it_are_ignored() {
        let text = format!("\r\n\r\n{GOOD}");
        assert_eq!(read(text.as_bytes()).unwrap().unwrap().1, text.len());
    }

    #[test]
    fn a_malformed_request_line_is_refused_at_its_end() {
        for (line, expected) in [
            ("SSH-2.0-OpenSSH_9.9", 400),
            ("GET /", 400),
            ("GET  / HTTP/1.1", 400),
            (" GET / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET\t/\tHTTP/1.1", 400),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1.", 400),
            ("GET / HTTP/1.11", 400),
            ("GET / HTTP/1.0", 505),
            ("GET / HTTP/9.9", 505),
            ("PRI * HTTP/2.0", 505),
            ("G(T / HTTP/1.1", 400),
            ("OPTIONS * HTTP/1.1", 400),
            ("CONNECT h.test:80 HTTP/1.1", 400),
            ("GET chat HTTP/1.1", 400),
            ("GET /a#b HTTP/1.1", 400),
            ("GET /\u{e4} HTTP/1.1", 400),
            ("GET /a\u{7f} HTTP/1.1", 400),
            ("GET http://user@h.test/ HTTP/1.1", 400),
            ("GET ftp://h.test/ HTTP/1.1", 400),
            ("GET http:///a HTTP/1.1", 400),
        ] {
            assert_eq!(status(&format!("{line}\r\n")), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_malformed_header_line_is_refused() {
        for lines in [
            "no colon\r\n",
            ": no name\r\n",
            "X-Space : before\r\n",
            "X(Odd): name\r\n",
            "X-\u{e4}: name\r\n",
            "X-Folded: a\r\n b\r\n",
            "X-Folded: a\r\n\tb\r\n",
            "X-Nul: a\0b\r\n",
            "X-Bell: a\x07b\r\n",
            "X-Delete: a\x7fb\r\n",
            "X-Cr: a\rb\r\n",
            "X-Lf: a\nX-Lf: b\r\n",
            "X-Crcrlf: a\r\r\n",
            "Host: other.test\r\n",
            "Content-Length: 0\r\nContent-Length: 0\r\n",
        ] {
            assert_eq!(status(&with(lines)), Some(400), "{lines:?}");
        }
        assert_eq!(status("GET / HTTP/1.1\r\n folded: line\r\n"), Some(400));
        assert_eq!(status("GET / HTTP/1.1\r\nX: y\r\n\r\n"), Some(400), "no host");
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), Some(400), "no host name");
        assert_eq!(status("\n"), Some(400));
        assert_eq!(status("\x16\x03\x01"), Some(400), "TLS is refused with its first byte");
        assert_eq!(status(&with("X-Text: \u{e4}\t\u{f6}\r\n")), None, "RFC 9110 section 5.5: obs-text");
    }

    #[test]
    fn a_hundred_header_lines_are_enough() {
        let lines = |count| "X-Many: x\r\n".repeat(count);
        assert_eq!(status(&with(&lines(99))), None);
        assert_eq!(status(&with(&lines(100))), Some(431));
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        for (target, uri, host) in [
            ("http://other.test:81/chat?b", "/chat?b", "other.test:81"),
            ("HTTP://other.test", "/", "other.test"),
            ("http://other.test?b", "/?b", "other.test"),
            ("ws://[::1]:80/x", "/x", "[::1]:80"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: h.test\r\n\r\n");
            let (head, _) = read(text.as_bytes()).unwrap().unwrap();
            assert_eq!(
                (head.uri.to_string().as_str(), head.headers.get("host").unwrap()),
                (uri, &HeaderValue::from_static(host))
            );
            assert_eq!(head.headers.get_all("host").count(), 1);
        }
    }

    proptest! {
        /// A head gives the same result when it arrives in any pieces.
        #[test]
        fn a_head_is_the_same_in_any_pieces(cuts in proptest::collection::vec(1_usize..20, 1..100)) {
            let mut reader = Reader::default();
            let (mut end, mut found) = (0, None);
            for cut in cuts {
                end = (end + cut).min(GOOD.len());
                found = reader.read(&GOOD.as_bytes()[..end]).unwrap();
                prop_assert_eq!(found.is_some(), end == GOOD.len());
                if found.is_some() { break; }
            }
            if let Some((head, length)) = found {
                prop_assert_eq!((length, head.headers.len()), (GOOD.len(), 3));
            }
        }

        /// Any bytes are a head, the beginning of a head, or refused, with the same result in one piece and
        /// in many.
        #[test]
        fn any_bytes_get_the_same_result_in_any_pieces(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b"\r\n".to_vec()), Just(b"GET / HTTP/1.1".to_vec()), Just(b"Host: h".to_vec()),
                    proptest::collection::vec(any::<u8>(), 1..4)], 0..12).prop_map(|parts| parts.concat()),
        ) {
            let whole = read(&bytes).map(|found| found.map(|(_, length)| length));
            let mut reader = Reader::default();
            let mut piecewise = Ok(None);
            for end in 0..=bytes.len() {
                piecewise = reader.read(&bytes[..end]).map_err(|refusal| refusal.status.as_u16());
                if !matches!(piecewise, Ok(None)) { break; }
            }
            prop_assert_eq!(piecewise.map(|found| found.map(|(_, length)| length)), whole);
        }
    }
}
