//! The only place where a failure becomes text for a client.
//!
//! An error reply is a record: `{"error":"Error sending event to server ws://localhost:8139: Trying to work
//! with closed connection","event_id":"1:0:10"}`. Clients depend on the two texts about the server, `Error
//! sending event to server` and `Error receiving reply from server`.
//!
//! # Security
//! URLs are masked before they get here. Texts of pipelines and codecs contain only the client's own data.

use std::{sync::Arc, time::Duration};

use crate::event::{EventId, Record, Value};

/// Why an event failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A client's message could not become an event; the text of its preprocessors or codec.
    Decode(String),
    /// The event could not be sent to the upstream.
    NotSent {
        /// The upstream's URL, masked.
        server: Arc<str>,
        /// Why.
        reason: Reason,
    },
    /// The event was sent, and no reply arrived.
    NoReply {
        /// The upstream's URL, masked.
        server: Arc<str>,
        /// Why.
        reason: Reason,
    },
    /// The upstream's codec or postprocessors could not encode the event.
    Serialize(String),
    /// The upstream's codec or preprocessors could not decode a message.
    Deserialize(String),
    /// The listener's codec or postprocessors could not encode the reply.
    Encode(String),
    /// This many messages were dropped because the client did not read them.
    Gap(u64),
    /// The client exceeded a rate limit.
    RateLimited(&'static str),
    /// A pipeline's program failed.
    Program(String),
    /// A pipeline sent the event to its port `err`, and the event's data is the text.
    Refused,
    /// An actor that held the event died.
    Lost,
}

/// Why a connection does not serve an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no connection now.
    NoConnection,
    /// The connection is being closed, because the client disconnected or the proxy shuts down.
    Closing,
    /// The socket failed; the link's error text.
    Link(String),
    /// The server violated the protocol or a limit; the link's error text. A message from the server is lost.
    Protocol(String),
    /// The server closed the connection.
    Closed {
        /// Its close code; `None` when it gave none.
        code: Option<u16>,
        /// Its close reason; empty when it gave none.
        reason: String,
    },
    /// The connection attempt failed for a reason worth reporting: the name has no address, or the server did
    /// not answer in time. The text contains no address.
    Dial(String),
    /// The TCP connection was refused, or closed before the handshake's answer: the server is not running.
    /// The text contains no address.
    Unreachable(String),
    /// The server refused the handshake with this status.
    Refused(u16),
    /// `$url` names a server that is not allowed.
    NotAllowed(String),
    /// The reply did not arrive within this time.
    Timeout(Duration),
    /// The server did not read the event within this time.
    Stalled(Duration),
    /// The server failed a liveness check, or there was no memory for its message; the link's error text.
    Unwell(String),
    /// The connector died.
    Panicked,
}

impl Reason {
    /// The reason for events sent after a connection ended for this reason: the same one where it says more
    /// than that there is no connection.
    pub fn while_down(&self) -> Self {
        match self {
            Self::Dial(_) | Self::Refused(_) => self.clone(),
            _ => Self::NoConnection,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoConnection => f.write_str("Trying to work with closed connection"),
            Self::Closing => f.write_str("Connection is closing"),
            Self::Link(words)
            | Self::Protocol(words)
            | Self::Dial(words)
            | Self::Unreachable(words)
            | Self::NotAllowed(words)
            | Self::Unwell(words) => f.write_str(words),
            Self::Closed { code: None, .. } => f.write_str("Connection closed by server"),
            Self::Closed { code: Some(code), reason } if reason.is_empty() => {
                write!(f, "Connection closed by server with code {code}")
            }
            Self::Closed { code: Some(code), reason } => {
                write!(f, "Connection closed by server with code {code}: {reason}")
            }
            Self::Refused(status) => write!(f, "handshake refused with status {status}"),
            Self::Timeout(limit) => write!(f, "no reply within {}", humantime::format_duration(*limit)),
            Self::Stalled(limit) => write!(f, "not read within {}", humantime::format_duration(*limit)),
            Self::Panicked => f.write_str("internal error"),
        }
    }
}

impl Failure {
    /// The text for the client.
    pub fn text(&self) -> String {
        match self {
            Self::Decode(words) => words.clone(),
            Self::NotSent { server, reason } => format!("Error sending event to server {server}: {reason}"),
            Self::NoReply { server, reason } => {
                format!("Error receiving reply from server {server}: {reason}")
            }
            Self::Serialize(words) => format!("Error during serialization (codec/postprocessors): {words}"),
            Self::Deserialize(words) => {
                format!("Error deserializing Response message (codec/preprocessors): {words}")
            }
            Self::Encode(words) => format!("Error encoding message: {words}"),
            Self::Gap(1) => {
                "Error delivering to client: 1 message dropped, because it was not read".to_owned()
            }
            Self::Gap(count) => {
                format!("Error delivering to client: {count} messages dropped, because they were not read")
            }
            Self::RateLimited(what) => format!("Error accepting message: more {what} than allowed"),
            Self::Program(words) => format!("Error in pipeline: {words}"),
            Self::Refused => "Error in pipeline: event was refused".to_owned(),
            Self::Lost => "Error processing event: internal error".to_owned(),
        }
    }
}

/// The data of an error event. `source` names the listener of a message that could not become an event.
///
/// ```
/// # use towline::{event::EventId, reply::{Failure, error_data}};
/// let id = EventId { source: 1, stream: 0, event: 9 };
/// assert_eq!(
///     error_data(&Failure::Decode("not this".into()), id, Some("ws")).to_json(),
///     r#"{"error":"not this","event_id":"1:0:9","source_id":"listener.ws"}"#,
/// );
/// ```
pub fn error_data(failure: &Failure, id: EventId, source: Option<&str>) -> Value {
    let mut record = Record::with_capacity(3);
    record.insert("error".into(), Value::string(failure.text()));
    record.insert("event_id".into(), Value::string(id.to_string()));
    if let Some(name) = source {
        record.insert("source_id".into(), Value::string(format!("listener.{name}")));
    }
    Value::Record(Arc::new(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_texts_of_the_reference_system() {
        let server: Arc<str> = "ws://localhost:8139".into();
        let lost = Reason::Link(crate::wire::LinkError::Eof.to_string());
        assert_eq!(
            Failure::NoReply { server: Arc::clone(&server), reason: lost }.text(),
            "Error receiving reply from server ws://localhost:8139: \
             WebSocket protocol error: Connection reset without closing handshake"
        );
        assert_eq!(
            Failure::NotSent { server, reason: Reason::NoConnection }.text(),
            "Error sending event to server ws://localhost:8139: Trying to work with closed connection"
        );
    }
}
