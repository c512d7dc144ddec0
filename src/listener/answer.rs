//! HTTP responses to handshakes, and the orderly end of a refused connection.

use std::{
    io,
    time::{Duration, SystemTime},
};

use actix_http::{
    RequestHead, StatusCode,
    header::{self, HeaderName, HeaderValue},
    ws,
};
use bytes::Bytes;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::refusals::RefusalKind;
use crate::{
    http1,
    net::{Stream, read_through},
};

/// Maximum time in which a refused client can read the response and disconnect. Its connection holds a
/// handshake slot until then.
const LINGER: Duration = Duration::from_secs(1);

/// Maximum number of bytes that a refused client may send within [`LINGER`].
const LINGER_BYTES: usize = 256 * 1024;

/// The refusal of a handshake, as an HTTP response and as a line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Why, for the log and for metrics.
    pub(super) kind: RefusalKind,
    /// The reason, for the log and for the client.
    pub(super) text: &'static str,
    /// Details for the log only.
    pub(super) cause: Option<String>,
    /// An explanation in the response to the client, after `text`.
    pub(super) note: Option<&'static str>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of the response to the client, in place of `text`. `headers` describe it.
    pub(super) body: Option<Bytes>,
    /// Whether it is the configured answer of a route, not a refusal.
    pub(super) is_configured: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            kind: RefusalKind::of(status),
            text,
            cause: None,
            note: None,
            headers: Vec::new(),
            body: None,
            is_configured: false,
        }
    }

    /// Sets a kind other than the one that follows from the status.
    pub(super) fn of_kind(self, kind: RefusalKind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The bytes of the response, which announces that the connection closes. The response to a HEAD request
    /// has no body, so `with_body` is false.
    ///
    /// ```text
    /// HTTP/1.1 400 Bad Request
    /// Connection: close
    /// Date: Sun, 06 Nov 1994 08:49:37 GMT
    /// Content-Type: text/plain
    /// Content-Length: 29
    ///
    /// request target is not a path
    /// ```
    pub(super) fn answer(&self, with_body: bool) -> Vec<u8> {
        let mut answer = Answer::new(self.status);
        // RFC 9110 section 7.8: a sender of Upgrade lists it in Connection.
        let upgrades = self.headers.iter().any(|(name, _)| name == header::UPGRADE);
        answer.header("connection", if upgrades { b"close, Upgrade" } else { b"close" });
        answer.header("date", httpdate::fmt_http_date(SystemTime::now()).as_bytes());
        for (name, value) in &self.headers {
            answer.header(name.as_str(), value.as_bytes());
        }
        let body = self.body.clone().unwrap_or_else(|| {
            answer.header("content-type", b"text/plain");
            self.message().into()
        });
        // RFC 9110 section 8.6: not with 204.
        if self.status != StatusCode::NO_CONTENT {
            answer.header("content-length", body.len().to_string().as_bytes());
        }
        let mut bytes = answer.finish();
        if with_body {
            bytes.extend_from_slice(&body);
        }
        bytes
    }

    fn message(&self) -> String {
        match self.note {
            None => format!("{}\n", self.text),
            Some(note) => format!("{}; {note}\n", self.text),
        }
    }
}

/// The response that accepts a checked handshake (RFC 6455 section 4.2.2), with `headers` of the upstream's
/// response.
pub(super) fn accepted(
    head: &RequestHead,
    protocol: Option<&str>,
    headers: &[(HeaderName, HeaderValue)],
) -> Vec<u8> {
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY).map_or(&[][..], HeaderValue::as_bytes);
    let mut answer = Answer(Vec::with_capacity(256));
    for part in [SWITCHING, &ws::hash_key(key), b"\r\n"] {
        answer.0.extend_from_slice(part);
    }
    if let Some(protocol) = protocol {
        answer.header("sec-websocket-protocol", protocol.as_bytes());
    }
    for (name, value) in headers {
        answer.header(name.as_str(), value.as_bytes());
    }
    answer.finish()
}

/// The beginning of each response that accepts a handshake.
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ";

/// Sends the response that accepts the handshake, until no byte of it waits in the stream.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &[u8]) -> io::Result<()> {
    timeout(LINGER, async {
        stream.write_all(answer).await?;
        stream.flush().await
    })
    .await?
}

/// Sends a refusal and closes the connection in a way that lets the client read it.
///
/// Closing a socket with unread bytes resets the connection, and the client loses the response. What the
/// client still sends is therefore read and discarded, within [`LINGER`] and [`LINGER_BYTES`].
pub(super) async fn refuse(mut stream: Stream, answer: &[u8]) {
    // A client that has disconnected, or that does not read in time, goes without the answer.
    let _ = timeout(LINGER, async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        discard(&mut stream).await
    })
    .await;
}

/// Closes the connection after a response in a way that lets the client read it, as [`refuse`] does.
pub(super) async fn end(stream: &mut Stream) {
    let _ = timeout(LINGER, async {
        stream.shutdown().await?;
        discard(stream).await
    })
    .await;
}

/// Reads until the client disconnects or has sent [`LINGER_BYTES`].
async fn discard(stream: &mut Stream) -> io::Result<()> {
    let mut discarded = 0;
    while discarded < LINGER_BYTES {
        match read_through(stream, LINGER_BYTES, |_| ()).await? {
            0 => break,
            count => discarded += count,
        }
    }
    Ok(())
}

/// The head of a response under construction.
struct Answer(Vec<u8>);

impl Answer {
    fn new(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes())
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        http1::push_line(&mut self.0, name, value);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}
