//! The lines of a tap, and their form as JSON.

use std::{
    fmt,
    io::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::redact::Redaction;
use crate::event::{EventId, EventNumber};

/// The names of a session in the lines of a tap.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionLabels {
    /// The listener's number: the first part of the session's event ids.
    pub source: u32,
    /// The session's number on its listener: the second part.
    pub stream: u64,
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
}

/// Where a tap sees a message, or that an event got its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received from the client.
    FromClient,
    /// Sent to the upstream, after the incoming pipelines.
    ToUpstream,
    /// Received from the upstream, before the outgoing pipelines.
    FromUpstream,
    /// Sent to the client.
    ToClient,
    /// An event has its outcome.
    Outcome,
}

/// The form in which a tap sees a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A WebSocket message, before preprocessors or after postprocessors.
    Message,
    /// An event.
    Event,
}

/// What a message is to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageRole {
    /// A message of the client.
    Request,
    /// The reply to an event.
    Reply,
    /// A message of the upstream that answers no event.
    Push,
    /// An error reply, or a notice.
    Error,
}

/// A line of a tap.
#[derive(Debug, Clone)]
pub struct TapLine {
    /// The time, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The session.
    pub session: Arc<SessionLabels>,
    /// The event; `None` for a message that is not an event yet.
    pub event: Option<EventNumber>,
    /// The rest of the line.
    pub body: LineBody,
}

/// What a line says.
#[derive(Debug, Clone)]
pub enum LineBody {
    /// A message passed.
    Message(MessageLine),
    /// An event has its outcome.
    Outcome(Box<OutcomeLine>),
}

/// A message that passed.
#[derive(Debug, Clone)]
pub struct MessageLine {
    /// Where the tap saw it.
    pub direction: Direction,
    /// In which form.
    pub stage: Stage,
    /// What it is to the session.
    pub role: MessageRole,
    /// Whether it is binary.
    pub binary: bool,
    /// Its size in bytes.
    pub bytes: usize,
    /// Its content, if the tap asks for it.
    pub payload: Option<Payload>,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The first bytes.
    Bytes(Box<[u8]>),
    /// The message contains a credential.
    Withheld,
}

/// The outcome of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeLine {
    /// `answered`, `delivered`, `errored` or `dropped`.
    pub outcome: &'static str,
    /// Why the event failed.
    pub reason: Option<Reason>,
    /// The time from the arrival of the event to its outcome; `None` if the tap did not see it arrive.
    pub duration: Option<Duration>,
}

/// Why an event failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Where it failed.
    pub stage: &'static str,
    /// The kind of failure.
    pub kind: &'static str,
    /// The text of the error reply.
    pub text: String,
}

/// How lines are written.
#[derive(Debug)]
pub struct LineFormat {
    /// What is masked.
    pub redaction: Arc<Redaction>,
    /// The maximum size of a payload in bytes.
    pub max_payload: usize,
}

/// The memory of a line without content, in bytes. The line itself counts twice, because a queue that grows doubles.
pub const SHORTEST_COST: usize = 2 * size_of::<TapLine>() + 16;

/// Maximum size of a payload in a line, in bytes, with the escapes of JSON or as base64. A payload of control characters has
/// six times its size.
const WRITTEN_MAX: usize = 3 << 19;

/// The bytes that are copied behind `max_payload`, so that a secret that begins before the limit is found as a whole, and
/// the name of a value.
pub const OVERLAP: usize = 16 << 10;

// === impl Direction ===

impl Direction {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::FromClient, Self::ToUpstream, Self::FromUpstream, Self::ToClient, Self::Outcome];

    /// The name in lines and in filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::FromClient => "from_client",
            Self::ToUpstream => "to_upstream",
            Self::FromUpstream => "from_upstream",
            Self::ToClient => "to_client",
            Self::Outcome => "outcome",
        }
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Event => "event",
        }
    }
}

impl MessageRole {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
            Self::Push => "push",
            Self::Error => "error",
        }
    }
}

// === impl SessionLabels ===

impl fmt::Display for SessionLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.stream)
    }
}

impl SessionLabels {
    /// The id of an event of the session.
    pub fn id(&self, event: EventNumber) -> EventId {
        EventId { source: self.source, stream: self.stream, event }
    }
}

// === impl TapLine ===

impl TapLine {
    /// Where the tap saw the message.
    pub fn direction(&self) -> Direction {
        match &self.body {
            LineBody::Message(message) => message.direction,
            LineBody::Outcome(_) => Direction::Outcome,
        }
    }

    /// Appends the line as JSON, with a line feed. The order of the fields is fixed.
    pub fn write(&self, format: &LineFormat, out: &mut Vec<u8>) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.time_ns);
        // Writing to memory does not fail.
        let _ = write!(out, "{{\"time\":\"{}\"", humantime::format_rfc3339_micros(time));
        let _ = write!(out, ",\"session\":\"{}\"", self.session);
        if let Some(event) = self.event {
            let _ = write!(out, ",\"event\":\"{}\"", self.session.id(event));
        }
        text(out, "listener", &self.session.listener);
        text(out, "route", &self.session.route);
        text(out, "direction", self.direction().name());
        match &self.body {
            LineBody::Message(message) => message.write(format, out),
            LineBody::Outcome(outcome) => outcome.write(&format.redaction, out),
        }
        out.extend_from_slice(b"}\n");
    }
}

impl MessageLine {
    fn write(&self, format: &LineFormat, out: &mut Vec<u8>) {
        text(out, "stage", self.stage.name());
        text(out, "role", self.role.name());
        text(out, "kind", if self.binary { "binary" } else { "text" });
        let _ = write!(out, ",\"bytes\":{}", self.bytes);
        match &self.payload {
            None => {}
            Some(Payload::Withheld) => out.extend_from_slice(b",\"withheld\":true"),
            Some(Payload::Bytes(bytes)) => self.write_payload(bytes, format, out),
        }
    }

    fn write_payload(&self, bytes: &[u8], format: &LineFormat, out: &mut Vec<u8>) {
        let is_copied_whole = bytes.len() == self.bytes;
        let Some(masked) = format.redaction.mask(bytes, is_copied_whole, format.max_payload) else {
            return out.extend_from_slice(b",\"withheld\":true");
        };
        let (shown, written) = fitting(&masked.bytes, !self.binary);
        let is_cut = masked.is_cut || shown.len() < masked.bytes.len();
        // Growing by doubling would take up to twice the memory.
        out.reserve_exact(written + 128);
        match std::str::from_utf8(shown) {
            Ok(shown) if !self.binary => text(out, "payload", shown),
            _ => {
                text(out, "payload", &STANDARD.encode(shown));
                text(out, "encoding", "base64");
            }
        }
        if is_cut {
            out.extend_from_slice(b",\"truncated\":true");
        }
        if masked.is_changed {
            out.extend_from_slice(b",\"redacted\":true");
        }
    }
}

impl OutcomeLine {
    /// The memory of the line in bytes.
    pub fn cost(&self) -> usize {
        let reason = self.reason.as_ref().map_or(0, |reason| reason.text.len());
        SHORTEST_COST + size_of::<Self>() + reason
    }

    fn write(&self, redaction: &Redaction, out: &mut Vec<u8>) {
        text(out, "outcome", self.outcome);
        if let Some(reason) = &self.reason {
            text(out, "stage", reason.stage);
            text(out, "failure", reason.kind);
            text(out, "reason", &redaction.mask_text(&reason.text));
        }
        if let Some(duration) = self.duration {
            let _ = write!(out, ",\"duration_us\":{}", duration.as_micros());
        }
    }
}

/// The first bytes of a payload, at most [`WRITTEN_MAX`] with the escapes of JSON or as base64, and their length with them.
fn fitting(bytes: &[u8], is_text: bool) -> (&[u8], usize) {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| is_text) else {
        let shown = &bytes[..bytes.len().min(WRITTEN_MAX / 4 * 3)];
        return (shown, shown.len().div_ceil(3) * 4);
    };
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let length = match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | b'\x08' | b'\x0c' => 2,
            0..0x20 => 6,
            _ => 1,
        };
        if written + length > WRITTEN_MAX {
            return (&bytes[..text.floor_char_boundary(at)], written);
        }
        written += length;
    }
    (bytes, written)
}

/// Appends a field with a text.
fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = write!(out, ",\"{name}\":");
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_NS: u64 = 1_790_000_000_123_456_789;

    fn format(max_payload: usize) -> LineFormat {
        LineFormat { redaction: Arc::new(Redaction::built_in()), max_payload }
    }

    fn line(body: LineBody) -> TapLine {
        let labels =
            SessionLabels { source: 1, stream: 0, listener: "ws".to_owned(), route: "main".to_owned() };
        TapLine { time_ns: TIME_NS, session: Arc::new(labels), event: Some(EventNumber(9)), body }
    }

    fn message(bytes: usize, payload: Option<Payload>) -> TapLine {
        let (direction, stage) = (Direction::FromClient, Stage::Event);
        let role = MessageRole::Request;
        line(LineBody::Message(MessageLine { direction, stage, role, binary: false, bytes, payload }))
    }

    fn written(line: &TapLine, max_payload: usize) -> String {
        let mut out = Vec::new();
        line.write(&format(max_payload), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn payload(text: &str) -> TapLine {
        message(text.len(), Some(Payload::Bytes(text.as_bytes().into())))
    }

    #[test]
    fn the_order_of_the_fields_is_fixed() {
        assert_eq!(
            written(&message(5, None), 64),
            "{\"time\":\"2026-09-21T14:13:20.123456Z\",\"session\":\"1:0\",\"event\":\"1:0:9\",\"listener\":\"ws\",\
             \"route\":\"main\",\"direction\":\"from_client\",\"stage\":\"event\",\"role\":\"request\",\
             \"kind\":\"text\",\"bytes\":5}\n"
        );
        let reason = Reason { stage: "upstream", kind: "no_reply", text: "no reply within 30s".to_owned() };
        let duration = Some(Duration::from_millis(2));
        let outcome = OutcomeLine { outcome: "errored", reason: Some(reason), duration };
        let shown = written(&line(LineBody::Outcome(Box::new(outcome))), 64);
        let expected = "\"direction\":\"outcome\",\"outcome\":\"errored\",\"stage\":\"upstream\",\
             \"failure\":\"no_reply\",\"reason\":\"no reply within 30s\",\"duration_us\":2000}\n";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn a_payload_is_cut_between_characters_and_says_so() {
        assert!(written(&payload("häl\"o"), 64).ends_with(",\"bytes\":6,\"payload\":\"häl\\\"o\"}\n"));
        assert!(written(&payload("häl"), 2).ends_with(",\"payload\":\"h\",\"truncated\":true}\n"));
        let copied_in_part = message(4096, Some(Payload::Bytes(b"abc".as_slice().into())));
        assert!(written(&copied_in_part, 64).ends_with(",\"payload\":\"abc\",\"truncated\":true}\n"));
    }

    #[test]
    fn a_masked_payload_says_so() {
        let shown = written(&payload(r#"{"password":"hunter2"}"#), 64);
        assert!(
            shown.ends_with(",\"payload\":\"{\\\"password\\\":\\\"***\\\"}\",\"redacted\":true}\n"),
            "{shown}"
        );
        assert!(written(&message(9, Some(Payload::Withheld)), 64).ends_with(",\"withheld\":true}\n"));
    }

    #[test]
    fn binary_is_base64() {
        let mut line = message(3, Some(Payload::Bytes([0, 255, 1].as_slice().into())));
        let LineBody::Message(body) = &mut line.body else { panic!() };
        body.binary = true;
        assert!(written(&line, 64).ends_with(",\"payload\":\"AP8B\",\"encoding\":\"base64\"}\n"));
    }
}
