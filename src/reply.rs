//! Turns failures into words and codes for a client. No other module does so.
//!
//! An error reply is a record with a text and an event id:
//!
//! ```json
//! {"error":"Error sending event to server ws://localhost:8139: Trying to work with closed connection",
//!  "event_id":"1:0:10"}
//! ```
//!
//! Clients depend on the two texts about the server, `Error sending event to server` and
//! `Error receiving reply from server`. On a route without error replies, a failure becomes a close frame:
//! [`close_for`].
//!
//! # Security
//! URLs are masked before they get here. Texts of pipelines and codecs contain only the client's own data.

mod close;
mod expiry;
mod gap;

pub use close::{close_for, reason_with};
pub use expiry::{expiry_data, renewal_data};
pub use gap::gap_data;

use std::sync::Arc;

use crate::{
    event::{EventId, Record, Value},
    failure::{ConnectFailure, Failure, FailureKind, FailureLocation, Written},
};

/// The text of a failure for the client.
pub fn text(failure: &Failure) -> String {
    if let Some(server) = &failure.server {
        let what = match failure.written {
            Written::Nothing | Written::Partly => "sending event to",
            Written::Whole => "receiving reply from",
        };
        return format!("Error {what} server {server}: {}", reason(failure));
    }
    let detail = &failure.detail;
    match (failure.kind, failure.location) {
        (FailureKind::Encode(_), FailureLocation::Upstream) => {
            format!("Error during serialization (codec/postprocessors): {detail}")
        }
        (FailureKind::Decode(_), FailureLocation::Upstream) => {
            format!("Error deserializing Response message (codec/preprocessors): {detail}")
        }
        (FailureKind::Encode(_), _) => format!("Error encoding message: {detail}"),
        (FailureKind::Gap(1), _) => {
            "Error delivering to client: 1 message dropped, because it was not read".to_owned()
        }
        (FailureKind::Gap(count), _) => {
            format!("Error delivering to client: {count} messages dropped, because they were not read")
        }
        (FailureKind::RateLimited(excess), _) => {
            format!("Error accepting message: more {} than allowed", excess.noun())
        }
        (FailureKind::Recovery, _) => format!("Error accepting message: {detail}"),
        (FailureKind::Renewal, _) => format!("Error renewing session: {detail}"),
        (FailureKind::Outlived, _) => "Error accepting message: the session has ended".to_owned(),
        (FailureKind::Program, _) => format!("Error in pipeline: {detail}"),
        (FailureKind::Rejected, _) if detail.is_empty() => "Error in pipeline: event was refused".to_owned(),
        (FailureKind::Rejected, _) => format!("Error in pipeline: event was refused: {detail}"),
        (FailureKind::Lost, _) => "Error processing event: internal error".to_owned(),
        _ => reason(failure),
    }
}

/// The reason why a connection to an upstream failed, for error replies and for the log. It names no server.
pub fn reason(failure: &Failure) -> String {
    let detail = &failure.detail;
    match failure.kind {
        FailureKind::NotConnected => "Trying to work with closed connection".to_owned(),
        FailureKind::Draining => "Connection is closing".to_owned(),
        FailureKind::Closed(None) => "Connection closed by server".to_owned(),
        FailureKind::Closed(Some(code)) if detail.is_empty() => {
            format!("Connection closed by server with code {code}")
        }
        FailureKind::Closed(Some(code)) => format!("Connection closed by server with code {code}: {detail}"),
        FailureKind::Connect(ConnectFailure::Status(status)) => {
            format!("handshake refused with status {status}")
        }
        FailureKind::NoReply(limit) => format!("no reply within {}", humantime::format_duration(limit)),
        FailureKind::NotRead(limit) => format!("not read within {}", humantime::format_duration(limit)),
        FailureKind::Lost => "internal error".to_owned(),
        _ => detail.clone(),
    }
}

/// The data of an error event. `source` is the listener's name, for a message that could not become an event.
///
/// ```
/// # use towline::{event::{EventId, EventNumber}, failure::Failure, reply::error_data};
/// let id = EventId { source: 1, stream: 0, event: EventNumber(9) };
/// assert_eq!(
///     error_data(&Failure::program("division by zero", true), id, Some("ws")).to_json(),
///     r#"{"error":"Error in pipeline: division by zero","event_id":"1:0:9","source_id":"listener.ws"}"#,
/// );
/// ```
pub fn error_data(failure: &Failure, id: EventId, source: Option<&str>) -> Value {
    let mut record = Record::with_capacity(3);
    record.insert("error".into(), Value::string(text(failure)));
    record.insert("event_id".into(), Value::string(id.to_string()));
    if let Some(name) = source {
        record.insert("source_id".into(), Value::string(format!("listener.{name}")));
    }
    Value::Record(Arc::new(record))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        format_error::{FormatError, FormatErrorKind},
        rate::Excess,
        wire::LinkError,
    };

    fn server() -> Arc<str> {
        "ws://localhost:8139".into()
    }

    #[test]
    fn the_two_texts_of_the_reference_system() {
        let lost = Failure::from(&LinkError::Eof);
        assert_eq!(
            text(&lost.for_event(&server(), Written::Whole)),
            "Error receiving reply from server ws://localhost:8139: \
             WebSocket protocol error: Connection reset without closing handshake"
        );
        assert_eq!(
            text(&Failure::not_connected().for_event(&server(), Written::Nothing)),
            "Error sending event to server ws://localhost:8139: Trying to work with closed connection"
        );
        assert_eq!(
            text(&Failure::not_connected().for_event(&server(), Written::Partly)),
            "Error sending event to server ws://localhost:8139: Trying to work with closed connection"
        );
    }

    #[test]
    fn each_failure_of_a_message_has_its_text() {
        let error = || FormatError::new(FormatErrorKind::Malformed, "invalid JSON");
        for (failure, expected) in [
            (Failure::decode(FailureLocation::Downstream, error()), "invalid JSON"),
            (
                Failure::decode(FailureLocation::Upstream, error()),
                "Error deserializing Response message (codec/preprocessors): invalid JSON",
            ),
            (
                Failure::encode(FailureLocation::Upstream, error()),
                "Error during serialization (codec/postprocessors): invalid JSON",
            ),
            (Failure::encode(FailureLocation::Downstream, error()), "Error encoding message: invalid JSON"),
            (Failure::gap(1), "Error delivering to client: 1 message dropped, because it was not read"),
            (Failure::gap(2), "Error delivering to client: 2 messages dropped, because they were not read"),
            (Failure::rate_limited(Excess::Messages), "Error accepting message: more messages than allowed"),
            (Failure::rate_limited(Excess::Bytes), "Error accepting message: more bytes than allowed"),
            (Failure::program("no such field", true), "Error in pipeline: no such field"),
            (Failure::rejected("", true), "Error in pipeline: event was refused"),
            (Failure::rejected("no such field", true), "Error in pipeline: event was refused: no such field"),
            (Failure::unrecorded("too many"), "Error accepting message: too many"),
            (Failure::renewal("expired key"), "Error renewing session: expired key"),
            (Failure::outlived(), "Error accepting message: the session has ended"),
            (Failure::lost(), "Error processing event: internal error"),
        ] {
            assert_eq!(text(&failure), expected, "{failure:?}");
        }
    }

    #[test]
    fn each_failure_of_a_connection_has_its_reason() {
        let second = Duration::from_secs(1);
        for (kind, detail, expected) in [
            (FailureKind::NotConnected, "", "Trying to work with closed connection"),
            (FailureKind::Draining, "", "Connection is closing"),
            (FailureKind::Socket, "IO error: reset", "IO error: reset"),
            (FailureKind::Protocol, "detail", "detail"),
            (FailureKind::TooLarge, "detail", "detail"),
            (FailureKind::Unresponsive, "detail", "detail"),
            (FailureKind::OutOfMemory, "detail", "detail"),
            (FailureKind::NotAllowed, "detail", "detail"),
            (FailureKind::Recovery, "detail", "detail"),
            (FailureKind::Connect(ConnectFailure::Lookup), "detail", "detail"),
            (FailureKind::Connect(ConnectFailure::Status(401)), "", "handshake refused with status 401"),
            (FailureKind::Closed(None), "", "Connection closed by server"),
            (FailureKind::Closed(Some(1000)), "", "Connection closed by server with code 1000"),
            (FailureKind::Closed(Some(4000)), "bye", "Connection closed by server with code 4000: bye"),
            (FailureKind::NoReply(second), "", "no reply within 1s"),
            (FailureKind::NotRead(second), "", "not read within 1s"),
            (FailureKind::Lost, "", "internal error"),
        ] {
            let failure = Failure::connection(kind, detail);
            assert_eq!(reason(&failure), expected, "{failure:?}");
            let sending = text(&failure.for_event(&server(), Written::Nothing));
            assert_eq!(sending, format!("Error sending event to server ws://localhost:8139: {expected}"));
            let receiving = text(&failure.for_event(&server(), Written::Whole));
            assert_eq!(
                receiving,
                format!("Error receiving reply from server ws://localhost:8139: {expected}")
            );
        }
    }
}
