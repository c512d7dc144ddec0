//! Failures of events and of connections to upstreams. Code compares kinds, not texts.
//!
//! A [`Failure`] travels from the place where something fails to the session, which reports it. On the way,
//! code depends on [`FailureKind`], [`FailureLocation`] and `retryable` only. Only [`reply`](crate::reply)
//! turns a failure into words and codes for the client.
//!
//! A connection fails once, and its events fail with it: [`Failure::connection`] describes the connection's failure,
//! and [`Failure::for_event`] makes the failure of one of its events.

use std::{sync::Arc, time::Duration};

use crate::{
    format_error::{FormatError, FormatErrorKind},
    rate::Excess,
    wire::{LinkError, LivenessError, WireError},
};

/// Why an event or a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// Where it went wrong.
    pub location: FailureLocation,
    /// Whether no part and no copy of the event reached the upstream, so that sending it again cannot duplicate
    /// it. A connection judges its own copy only; [`Failure::of_copies`] accounts for the others. Whether a retry
    /// can succeed depends on `kind`.
    pub retryable: bool,
    /// The upstream server that the event was for, as a masked URL. `None` if the failure concerns no server,
    /// or is the failure of a connection.
    pub server: Option<Arc<str>>,
    /// How much of the event was written to the connection to `server`.
    pub written: Written,
    /// What the kind does not say, such as the text of the socket's error; may be empty. It contains no secrets.
    pub detail: String,
}

/// How much of an event was written to a connection. An event consists of one or several messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// None of the event's messages.
    Nothing,
    /// Some of the event's messages, but not the last one. The upstream may have acted on them.
    Partly,
    /// All of the event's messages.
    Whole,
}

/// The kind of a failure. Each kind has a [label](FailureKind::label) for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A message cannot be decoded by preprocessors or codec.
    Decode(FormatErrorKind),
    /// An event cannot be encoded by codec or postprocessors.
    Encode(FormatErrorKind),
    /// The client exceeded a rate limit.
    RateLimited(Excess),
    /// This many messages were dropped because the client did not read them.
    Gap(u64),
    /// A pipeline's program failed.
    Program,
    /// A pipeline sent the event to its port `err`; the event's data is the text.
    Rejected,
    /// `$url` names a server that is not allowed.
    NotAllowed,
    /// There is no connection at the moment.
    NotConnected,
    /// The connection attempt failed.
    Connect(ConnectFailure),
    /// The socket failed, or the server ended the connection without a close frame.
    Socket,
    /// The server closed the connection with this code; `None` when it gave none. `detail` is its close reason.
    Closed(Option<u16>),
    /// The server violated the WebSocket protocol.
    Protocol,
    /// The server's frame or message is larger than the limit.
    TooLarge,
    /// The server failed a liveness check.
    Unresponsive,
    /// There was no memory for the server's message.
    OutOfMemory,
    /// The reply did not arrive within this time.
    NoReply(Duration),
    /// The server did not read the event within this time.
    NotRead(Duration),
    /// The journal of the session cannot keep the event, or could not restore its subscription or the session.
    Recovery,
    /// The connection is being closed, because the client disconnected or the proxy shuts down.
    Draining,
    /// The credential of the client was not renewed.
    Renewal,
    /// The message arrived after the session's lifetime.
    Outlived,
    /// The actor that held the event or the connection has died.
    Lost,
}

/// Why there is no connection after an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The host name has no address.
    Lookup,
    /// TCP refused the connection: nothing listens there.
    Refused,
    /// The connection ended before the response to the handshake.
    Reset,
    /// The socket failed in another way.
    Socket,
    /// This machine lacks what a connection needs: a file descriptor, a local address or port, or memory.
    Local,
    /// The attempt took longer than `connect_timeout`.
    Timeout,
    /// TLS failed: the proxy rejects the server's certificate, or one side rejects the TLS handshake.
    Tls,
    /// The response is not a valid WebSocket handshake, or agrees to something that was not offered.
    Handshake,
    /// The server refused the handshake with this HTTP status.
    Status(u16),
}

/// Where something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureLocation {
    /// The client, its messages or its connection.
    Downstream,
    /// An upstream server, its messages or its connection.
    Upstream,
    /// A pipeline's program.
    Program,
    /// Towline itself.
    Proxy,
}

// === impl FailureLocation ===

impl FailureLocation {
    /// All locations.
    pub const ALL: [Self; 4] = [Self::Downstream, Self::Upstream, Self::Program, Self::Proxy];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Program => "program",
            Self::Proxy => "proxy",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// The failure of a message that cannot be decoded. `location` is the side that sent it.
    pub fn decode(location: FailureLocation, FormatError { kind, detail }: FormatError) -> Self {
        // A client's message was sent nowhere. An upstream's may be the reply to an event.
        let retryable = location == FailureLocation::Downstream;
        Self { retryable, detail, ..Self::plain(FailureKind::Decode(kind), location) }
    }

    /// The failure of an event that cannot be encoded. `location` is the side to which it would be sent.
    pub fn encode(location: FailureLocation, FormatError { kind, detail }: FormatError) -> Self {
        let retryable = location == FailureLocation::Upstream;
        Self { retryable, detail, ..Self::plain(FailureKind::Encode(kind), location) }
    }

    /// The failure of a message above a rate limit of the client.
    pub fn rate_limited(excess: Excess) -> Self {
        Self { retryable: true, ..Self::plain(FailureKind::RateLimited(excess), FailureLocation::Downstream) }
    }

    /// The failure of a message that arrived after the session's lifetime.
    pub fn outlived() -> Self {
        Self { retryable: true, ..Self::plain(FailureKind::Outlived, FailureLocation::Downstream) }
    }

    /// The failure of a message that should have renewed the client's credential.
    pub fn renewal(detail: impl Into<String>) -> Self {
        Self {
            retryable: true,
            detail: detail.into(),
            ..Self::plain(FailureKind::Renewal, FailureLocation::Downstream)
        }
    }

    /// The failure that reports `count` messages dropped because the client did not read them.
    pub fn gap(count: u64) -> Self {
        Self::plain(FailureKind::Gap(count), FailureLocation::Downstream)
    }

    /// The failure of a program. `before_upstream` is whether the event was on its way to the upstream.
    pub fn program(detail: impl Into<String>, before_upstream: bool) -> Self {
        Self {
            retryable: before_upstream,
            detail: detail.into(),
            ..Self::plain(FailureKind::Program, FailureLocation::Program)
        }
    }

    /// The failure of an event that a pipeline sent to its port `err`. `before_upstream` is whether the event was
    /// on its way to the upstream. `detail` is what the pipeline says about it; may be empty.
    pub fn rejected(detail: impl Into<String>, before_upstream: bool) -> Self {
        Self {
            retryable: before_upstream,
            detail: detail.into(),
            ..Self::plain(FailureKind::Rejected, FailureLocation::Program)
        }
    }

    /// The failure of an event that the session's journal cannot keep.
    pub fn unrecorded(detail: impl Into<String>) -> Self {
        Self {
            retryable: true,
            detail: detail.into(),
            ..Self::plain(FailureKind::Recovery, FailureLocation::Downstream)
        }
    }

    /// The failure of an event that was lost with its actor.
    pub fn lost() -> Self {
        Self::plain(FailureKind::Lost, FailureLocation::Proxy)
    }

    /// The failure of a connection to an upstream, or of an attempt to connect.
    pub fn connection(kind: FailureKind, detail: impl Into<String>) -> Self {
        let location = match kind {
            FailureKind::NotAllowed => FailureLocation::Program,
            FailureKind::Connect(ConnectFailure::Local)
            | FailureKind::OutOfMemory
            | FailureKind::Draining
            | FailureKind::Lost => FailureLocation::Proxy,
            _ => FailureLocation::Upstream,
        };
        let never_sent =
            matches!(kind, FailureKind::NotAllowed | FailureKind::NotConnected | FailureKind::Connect(_));
        Self { retryable: never_sent, detail: detail.into(), ..Self::plain(kind, location) }
    }

    /// The failure of events while there is no connection.
    pub fn not_connected() -> Self {
        Self::connection(FailureKind::NotConnected, "")
    }

    /// The failure of events on a connection that the proxy is closing.
    pub fn draining() -> Self {
        Self::connection(FailureKind::Draining, "")
    }

    /// The failure of one copy of an event on this connection to `server`. `written` is how much of that copy was
    /// written to the connection. If anything was, it may have reached the server, and is not retryable.
    pub fn for_event(&self, server: &Arc<str>, written: Written) -> Self {
        let retryable = written == Written::Nothing;
        Self { server: Some(Arc::clone(server)), retryable, written, ..self.clone() }
    }

    /// The failure of an event that a pipeline has copied. It is not retryable, because a copy may have reached the
    /// upstream.
    pub fn of_copies(self) -> Self {
        Self { retryable: false, ..self }
    }

    /// The failure of events that are sent after the connection ended with this failure. It is the same
    /// failure if the reason says more than that there is no connection.
    pub fn while_down(&self) -> Self {
        match self.kind {
            FailureKind::Connect(ConnectFailure::Refused | ConnectFailure::Reset) => Self::not_connected(),
            FailureKind::Connect(_) => self.clone(),
            _ => Self::not_connected(),
        }
    }

    fn plain(kind: FailureKind, location: FailureLocation) -> Self {
        let (server, written) = (None, Written::Nothing);
        Self { kind, location, retryable: false, server, written, detail: String::new() }
    }
}

impl From<&LinkError> for Failure {
    /// Converts the error of a link to an upstream to the failure of the connection.
    fn from(error: &LinkError) -> Self {
        let kind = match error {
            LinkError::Wire(WireError::FrameTooBig(_) | WireError::MessageTooBig(_)) => FailureKind::TooLarge,
            LinkError::Wire(_) => FailureKind::Protocol,
            LinkError::Eof | LinkError::Io(_) => FailureKind::Socket,
        };
        Self::connection(kind, error.to_string())
    }
}

// === impl FailureKind ===

impl FailureKind {
    /// The labels of all kinds.
    pub const LABELS: [&'static str; 33] = [
        "decode_not_utf8",
        "decode_malformed",
        "decode_too_large",
        "decode_truncated",
        "encode",
        "rate_limited",
        "gap",
        "program",
        "rejected",
        "not_allowed",
        "not_connected",
        "connect_lookup",
        "connect_refused",
        "connect_reset",
        "connect_socket",
        "connect_local",
        "connect_timeout",
        "connect_tls",
        "connect_handshake",
        "connect_status",
        "socket",
        "closed",
        "protocol",
        "too_large",
        "unresponsive",
        "out_of_memory",
        "no_reply",
        "not_read",
        "recovery",
        "draining",
        "renewal",
        "outlived",
        "lost",
    ];

    /// The kind of a failed liveness check of an upstream. `not_read` is the write-stall timeout of the
    /// upstream.
    pub fn of_liveness(error: LivenessError, not_read: Duration) -> Self {
        match error {
            LivenessError::Blocked => Self::NotRead(not_read),
            LivenessError::HeldUp => Self::OutOfMemory,
            LivenessError::Silent | LivenessError::Idle | LivenessError::Dead => Self::Unresponsive,
        }
    }

    /// Whether the server sent something that cannot be decoded, so that one of its messages is lost.
    pub fn loses_message(self) -> bool {
        matches!(self, Self::Protocol | Self::TooLarge)
    }

    /// The label in metrics. The number of labels is fixed, because they omit numbers and times.
    pub fn label(self) -> &'static str {
        match self {
            Self::Decode(FormatErrorKind::NotUtf8) => "decode_not_utf8",
            Self::Decode(FormatErrorKind::Malformed) => "decode_malformed",
            Self::Decode(FormatErrorKind::TooLarge) => "decode_too_large",
            Self::Decode(FormatErrorKind::Truncated) => "decode_truncated",
            Self::Encode(_) => "encode",
            Self::RateLimited(_) => "rate_limited",
            Self::Gap(_) => "gap",
            Self::Program => "program",
            Self::Rejected => "rejected",
            Self::NotAllowed => "not_allowed",
            Self::NotConnected => "not_connected",
            Self::Connect(ConnectFailure::Lookup) => "connect_lookup",
            Self::Connect(ConnectFailure::Refused) => "connect_refused",
            Self::Connect(ConnectFailure::Reset) => "connect_reset",
            Self::Connect(ConnectFailure::Socket) => "connect_socket",
            Self::Connect(ConnectFailure::Local) => "connect_local",
            Self::Connect(ConnectFailure::Timeout) => "connect_timeout",
            Self::Connect(ConnectFailure::Tls) => "connect_tls",
            Self::Connect(ConnectFailure::Handshake) => "connect_handshake",
            Self::Connect(ConnectFailure::Status(_)) => "connect_status",
            Self::Socket => "socket",
            Self::Closed(_) => "closed",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Unresponsive => "unresponsive",
            Self::OutOfMemory => "out_of_memory",
            Self::NoReply(_) => "no_reply",
            Self::NotRead(_) => "not_read",
            Self::Recovery => "recovery",
            Self::Draining => "draining",
            Self::Renewal => "renewal",
            Self::Outlived => "outlived",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests;
