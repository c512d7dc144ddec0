//! One line of a tap or of a record.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// A line of a tap.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A message, or the outcome of an event.
    Line(Box<RecordedLine>),
    /// This many lines are missing, because the reader was too slow.
    Lost(u64),
    /// This many lines are missing, because the condition could not be evaluated.
    Skipped(u64),
    /// A line of another kind, such as the header of a record.
    Other,
}

/// A message, or the outcome of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedLine {
    /// When it was seen.
    pub time: SystemTime,
    /// The session, such as `1:0`.
    pub session: String,
    /// The event's id.
    pub event: Option<String>,
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
    /// The direction, or `outcome`.
    pub direction: String,
    /// `message` or `event`; for an outcome where the event failed.
    pub stage: String,
    /// What a message is to the session.
    pub role: String,
    /// Whether a message is binary.
    pub binary: bool,
    /// The size of a message in bytes.
    pub bytes: u64,
    /// The content of a message.
    pub payload: RecordedPayload,
    /// The outcome of an event.
    pub outcome: Option<RecordedOutcome>,
}

/// The content of a message in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedPayload {
    /// The tap was opened without payloads.
    None,
    /// The whole message.
    Whole(Vec<u8>),
    /// The message with masked values.
    Redacted(Vec<u8>),
    /// The begin of the message.
    Truncated(Vec<u8>),
    /// The message has a credential.
    Withheld,
}

/// The outcome of an event in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedOutcome {
    /// `answered`, `delivered`, `errored` or `dropped`.
    pub outcome: String,
    /// The kind of failure and its text.
    pub reason: Option<(String, String)>,
    /// From the arrival of the event to its outcome.
    pub duration: Option<Duration>,
}

/// A line that is not one of a tap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a line of a tap: {0}")]
pub struct BadEntry(String);

// === impl Entry ===

impl Entry {
    /// Parses a line.
    ///
    /// # Errors
    /// When the line is not JSON, or a message or an outcome lacks a field.
    pub fn parse(line: &str) -> Result<Self, BadEntry> {
        let value: Value = serde_json::from_str(line).map_err(|error| BadEntry(error.to_string()))?;
        let count = |key: &str| value.get(key).and_then(Value::as_u64);
        if let Some(lost) = count("lost") {
            return Ok(Self::Lost(lost));
        }
        if let Some(skipped) = count("skipped") {
            return Ok(Self::Skipped(skipped));
        }
        match value.get("direction") {
            Some(_) => Ok(Self::Line(Box::new(RecordedLine::of(&value)?))),
            None if value.is_object() => Ok(Self::Other),
            None => Err(BadEntry("it is not an object".to_owned())),
        }
    }
}

// === impl RecordedLine ===

impl RecordedLine {
    fn of(value: &Value) -> Result<Self, BadEntry> {
        let optional = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let required = |key: &str| optional(key).ok_or_else(|| BadEntry(format!("it has no text {key:?}")));
        let time =
            humantime::parse_rfc3339(&required("time")?).map_err(|error| BadEntry(error.to_string()))?;
        let outcome = optional("outcome").map(|outcome| RecordedOutcome {
            outcome,
            reason: optional("failure").map(|kind| (kind, optional("reason").unwrap_or_default())),
            duration: value.get("duration_us").and_then(Value::as_u64).map(Duration::from_micros),
        });
        Ok(Self {
            time,
            session: required("session")?,
            event: optional("event"),
            listener: optional("listener").unwrap_or_default(),
            route: optional("route").unwrap_or_default(),
            direction: required("direction")?,
            stage: optional("stage").unwrap_or_default(),
            role: optional("role").unwrap_or_default(),
            binary: optional("kind").as_deref() == Some("binary"),
            bytes: value.get("bytes").and_then(Value::as_u64).unwrap_or_default(),
            payload: payload(value)?,
            outcome,
        })
    }

    /// Whether the line is a WebSocket message between client and proxy.
    pub fn is_client_message(&self) -> bool {
        self.stage == "message" && matches!(self.direction.as_str(), "from_client" | "to_client")
    }
}

fn payload(value: &Value) -> Result<RecordedPayload, BadEntry> {
    let is = |key: &str| value.get(key) == Some(&Value::Bool(true));
    if is("withheld") {
        return Ok(RecordedPayload::Withheld);
    }
    let Some(text) = value.get("payload").and_then(Value::as_str) else { return Ok(RecordedPayload::None) };
    let bytes = match value.get("encoding").and_then(Value::as_str) {
        Some("base64") => STANDARD.decode(text).map_err(|error| BadEntry(error.to_string()))?,
        _ => text.as_bytes().to_vec(),
    };
    Ok(match (is("truncated"), is("redacted")) {
        (true, _) => RecordedPayload::Truncated(bytes),
        (false, true) => RecordedPayload::Redacted(bytes),
        (false, false) => RecordedPayload::Whole(bytes),
    })
}

impl RecordedPayload {
    /// The bytes that the record has.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(bytes) | Self::Redacted(bytes) | Self::Truncated(bytes) => Some(bytes),
            Self::None | Self::Withheld => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let line = r#"{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","event":"1:0:9","listener":"ws","route":"main","direction":"from_client","stage":"message","role":"request","kind":"binary","bytes":3,"payload":"AP8B","encoding":"base64"}"#;
        let Ok(Entry::Line(line)) = Entry::parse(line) else { panic!("no line") };
        assert!(line.is_client_message() && line.binary);
        assert_eq!(line.payload, RecordedPayload::Whole(vec![0, 255, 1]));
        let outcome = r#"{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","event":"1:0:9","direction":"outcome","outcome":"errored","stage":"upstream","failure":"no_reply","reason":"late","duration_us":2000}"#;
        let Ok(Entry::Line(line)) = Entry::parse(outcome) else { panic!("no line") };
        let outcome = line.outcome.unwrap();
        assert_eq!(outcome.reason, Some(("no_reply".to_owned(), "late".to_owned())));
        assert_eq!(outcome.duration, Some(Duration::from_millis(2)));
    }

    #[test]
    fn counts_and_other_lines_are_known() {
        assert_eq!(Entry::parse(r#"{"lost":7}"#), Ok(Entry::Lost(7)));
        assert_eq!(Entry::parse(r#"{"skipped":1}"#), Ok(Entry::Skipped(1)));
        assert_eq!(Entry::parse(r#"{"record":1}"#), Ok(Entry::Other));
        assert!(Entry::parse("[]").is_err() && Entry::parse("{").is_err());
        assert!(Entry::parse(r#"{"direction":"to_client"}"#).is_err());
    }

    #[test]
    fn the_state_of_a_payload_is_kept() {
        let parsed = |rest: &str| payload(&serde_json::from_str(rest).unwrap()).unwrap();
        assert_eq!(parsed(r#"{"payload":"a","truncated":true}"#), RecordedPayload::Truncated(b"a".to_vec()));
        assert_eq!(parsed(r#"{"payload":"a","redacted":true}"#), RecordedPayload::Redacted(b"a".to_vec()));
        assert_eq!(parsed(r#"{"withheld":true}"#), RecordedPayload::Withheld);
        assert_eq!(parsed("{}"), RecordedPayload::None);
    }
}
