//! `stomp`: STOMP 1.1 and 1.2 over WebSocket, subprotocols `v11.stomp` and `v12.stomp`.
//!
//! Frames of the [specification](https://stomp.github.io/stomp-specification-1.2.html). A WebSocket message may have
//! several, and a frame may span several messages:
//!
//! | kind | from | frame | section |
//! |---|---|---|---|
//! | hello | client | `CONNECT`, `STOMP` | Connecting |
//! | accepted | upstream | `CONNECTED` | Connecting |
//! | rejected | upstream | `ERROR` during the login | ERROR |
//! | open | client | `SUBSCRIBE` with `id:0`, perhaps `receipt:r1` | SUBSCRIBE |
//! | answer | upstream | `RECEIPT` with `receipt-id:r1` | RECEIPT |
//! | data | upstream | `MESSAGE` with `subscription:0` and perhaps `ack:7` | MESSAGE |
//! | close | client | `UNSUBSCRIBE` with `id:0` | UNSUBSCRIBE |
//! | request | client | any other frame with a `receipt`; never sent again | Standard Headers |
//! | reference | client | `ACK` and `NACK` with `id:7` | ACK |
//!
//! The client's subscription ids are kept. Ids of acknowledgements belong to one connection: they are marked with
//! its generation on the way to the client, and the journal takes back those of an earlier generation. A frame in
//! flight gets `ERROR` with its `receipt-id`. A client that was promised heart-beats has them from the journal's
//! [`Heartbeat`]. `DISCONNECT` ends the session.

pub(crate) mod frames;

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use memchr::memchr;

use crate::{
    kind::{Context, Dialect, FromClient, FromUpstream, Id, Located, Open, Slot, Verdict, text},
    outcome::{Heartbeat, Message},
};

pub(crate) const DIALECT: Dialect = Dialect {
    failed: error,
    dropped: error,
    closed: receipt,
    // Heart-beats (STOMP 1.2, Heart-beating).
    is_dispensable: |message| matches!(message, b"\n" | b"\r\n"),
    is_end: |frame| Frame::new(frame).is_some_and(|frame| frame.command == b"DISCONNECT"),
    accepts: true,
    has_data: true,
    own_requests: true,
    ..Dialect::PLAIN
};

/// A frame's command and headers, as bytes of the message.
struct Frame<'a> {
    text: &'a [u8],
    command: &'a [u8],
    /// The lines between command and body.
    headers: Range<usize>,
}

pub(crate) fn client(message: &[u8]) -> FromClient<'_> {
    Frame::new(message).and_then(|frame| client_kind(&frame)).unwrap_or(FromClient::Plain)
}

fn client_kind<'a>(frame: &Frame<'a>) -> Option<FromClient<'a>> {
    let request = frame.header("receipt");
    match frame.command {
        b"CONNECT" | b"STOMP" => return Some(FromClient::Hello { slot: Slot::Position(0) }),
        b"SUBSCRIBE" => {
            let id = frame.header("id")?.id;
            let key = frame.header("destination").map_or_else(|| id.clone(), |header| header.id);
            let context = frame.context();
            let (instance, resume, once) = (None, None, false);
            return Some(FromClient::Open(Open {
                id: Some(id),
                request,
                instance,
                key,
                resume,
                once,
                context,
            }));
        }
        b"UNSUBSCRIBE" => {
            let (id, request) = (frame.header("id")?, request.map(|header| header.id));
            return Some(FromClient::Close { id, request, context: frame.context() });
        }
        b"ACK" | b"NACK" => {
            if let Some(id) = frame.header("id") {
                return Some(FromClient::Reference(id));
            }
        }
        _ => {}
    }
    Some(FromClient::Call { request: request?.id, context: frame.context() })
}

pub(crate) fn upstream(message: &[u8]) -> FromUpstream<'_> {
    Frame::new(message).and_then(|frame| upstream_kind(&frame)).unwrap_or(FromUpstream::Plain)
}

fn upstream_kind<'a>(frame: &Frame<'a>) -> Option<FromUpstream<'a>> {
    match frame.command {
        b"CONNECTED" => Some(FromUpstream::Accepted),
        b"RECEIPT" => Some(answer(frame.header("receipt-id")?, true)),
        b"ERROR" => match frame.header("receipt-id") {
            Some(receipt) => Some(answer(receipt, false)),
            None => Some(FromUpstream::Rejected),
        },
        b"MESSAGE" => {
            let reference = frame.header("ack").map(|header| header.span);
            Some(FromUpstream::Data { id: frame.header("subscription")?, cursor: None, reference })
        }
        _ => None,
    }
}

/// The interval in which the upstream must send something: the longer of the one that it offers and the one that the
/// client wants (STOMP 1.2, "Heart-beating").
pub(super) fn heartbeat(hello: &[u8], accepted: &[u8]) -> Option<Heartbeat> {
    let [offered, _] = intervals(accepted)?;
    let [_, wanted] = intervals(hello)?;
    let every = Duration::from_millis(offered.max(wanted));
    (offered > 0 && wanted > 0).then(|| Heartbeat { every, message: Message::text("\n") })
}

/// What the sender of a frame can send, and what it wants to receive, in milliseconds.
fn intervals(frame: &[u8]) -> Option<[u64; 2]> {
    let header = Frame::new(frame)?.header("heart-beat")?;
    let (sends, wants) = std::str::from_utf8(&header.id).ok()?.split_once(',')?;
    Some([sends.trim().parse().ok()?, wants.trim().parse().ok()?])
}

fn answer(receipt: Located<'_>, ok: bool) -> FromUpstream<'_> {
    FromUpstream::Answer { request: receipt.id, verdict: Verdict { ok, assigned: None, resumed: false } }
}

impl<'a> Frame<'a> {
    /// The frame in `text`, after the line ends of a heartbeat.
    fn new(text: &'a [u8]) -> Option<Self> {
        let start = text.iter().position(|byte| !b"\r\n".contains(byte))?;
        let end = start + memchr(b'\n', &text[start..])?;
        let headers = end + 1..end + 1 + headers_length(text.get(end + 1..)?)?;
        Some(Self { text, command: text[start..end].trim_ascii_end(), headers })
    }

    /// The value of the first header `name`: of repeated headers the first one counts.
    fn header(&self, name: &str) -> Option<Located<'a>> {
        let mut at = self.headers.start;
        while at < self.headers.end {
            let end = at + memchr(b'\n', &self.text[at..self.headers.end])?;
            let line = self.text[at..end].strip_suffix(b"\r").unwrap_or(&self.text[at..end]);
            let value = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
            if let Some(value) = value {
                let start = at + line.len() - value.len();
                return Some(Located { id: Id::Borrowed(value), span: start..at + line.len() });
            }
            at = end + 1;
        }
        None
    }

    fn context(&self) -> Context {
        let receipt = self.header("receipt").map(|header| Bytes::copy_from_slice(&header.id));
        receipt.into_iter().collect()
    }
}

/// The length of the lines before the empty line.
fn headers_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + memchr(b'\n', &text[at..])?;
        if text[at..end].trim_ascii_end().is_empty() {
            return Some(at);
        }
        at = end + 1;
    }
}

/// Only a frame with a receipt has an error: `ERROR` without one concerns the whole connection.
fn error(context: &[Bytes], reason: &str) -> Option<String> {
    let id = text(context.first()?);
    let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // A colon in a header's value is escaped, see "Value Encoding".
    let escaped = reason.replace('\\', "\\\\").replace(':', "\\c");
    Some(format!("ERROR\nreceipt-id:{id}\nmessage:{escaped}\ncontent-type:text/plain\n\n{reason}\0"))
}

fn receipt(context: &[Bytes]) -> Option<String> {
    Some(format!("RECEIPT\nreceipt-id:{}\n\n\0", text(context.first()?)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn headers_end_at_the_empty_line() {
        let frame = Frame::new(b"\n\nSEND\r\nreceipt:a\\cb\r\nreceipt:c\r\n\r\nid:5\n\0").unwrap();
        assert_eq!(frame.command, b"SEND");
        assert_eq!(&*frame.header("receipt").unwrap().id, br"a\cb");
        assert!(frame.header("id").is_none());
    }

    #[test]
    fn heartbeats_and_partial_frames_pass() {
        for text in [&b"\n"[..], b"", b"SEND", b"SEND\n", b"SEND\nreceipt:1\n"] {
            assert!(matches!(client(text), FromClient::Plain), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in vec(prop::sample::select(&b"ACK\n\r:id\0"[..]), 0..40)) {
            let _ = (client(&bytes), upstream(&bytes));
        }
    }
}
