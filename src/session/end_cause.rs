//! Why a session ends, for the log.

use std::fmt;

use crate::{figures::Side, flow::UpstreamEndCause, wire::LivenessError};

/// Why a session ends: a closed list, which docs/logs.md explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// The client has sent a close frame.
    ClientClose,
    /// The client's connection has ended without a close frame.
    ClientGone,
    /// The client broke the protocol, or its message is too large.
    ProtocolError,
    /// The client did not answer a ping.
    ClientSilent,
    /// Nothing was sent or received for `idle_timeout`.
    Idle,
    /// The client did not read what was sent to it.
    SlowConsumer,
    /// There was no memory for the rest of the client's message.
    NoMemory,
    /// The client sent more than a rate permits.
    RateLimit,
    /// An event failed on a route without error replies.
    EventFailed,
    /// The client's credential has expired.
    Expired,
    /// The session has reached its maximum age.
    MaxAge,
    /// The process drains.
    Drain,
    /// An operator has closed it.
    Operator,
    /// One of the session's actors has ended because of a bug.
    Internal,
    /// The upstream closed the connection on purpose, or refused it.
    UpstreamClose,
    /// The connection to the upstream was lost.
    UpstreamLost,
    /// The upstream could not be reached for too long.
    UpstreamGivenUp,
}

// === impl EndCause ===

impl EndCause {
    /// The side that ended the session.
    pub fn side(self) -> Side {
        match self {
            Self::ClientClose | Self::ClientGone => Side::Downstream,
            Self::UpstreamClose | Self::UpstreamLost | Self::UpstreamGivenUp => Side::Upstream,
            Self::Operator => Side::Operator,
            _ => Side::Proxy,
        }
    }

    /// The label in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientClose => "client_close",
            Self::ClientGone => "client_gone",
            Self::ProtocolError => "protocol_error",
            Self::ClientSilent => "client_silent",
            Self::Idle => "idle",
            Self::SlowConsumer => "slow_consumer",
            Self::NoMemory => "no_memory",
            Self::RateLimit => "rate_limit",
            Self::EventFailed => "event_failed",
            Self::Expired => "expired",
            Self::MaxAge => "max_age",
            Self::Drain => "drain",
            Self::Operator => "operator",
            Self::Internal => "internal",
            Self::UpstreamClose => "upstream_close",
            Self::UpstreamLost => "upstream_lost",
            Self::UpstreamGivenUp => "upstream_given_up",
        }
    }
}

impl From<LivenessError> for EndCause {
    fn from(error: LivenessError) -> Self {
        match error {
            LivenessError::Silent | LivenessError::Dead => Self::ClientSilent,
            LivenessError::Idle => Self::Idle,
            LivenessError::Blocked => Self::SlowConsumer,
            LivenessError::HeldUp => Self::NoMemory,
        }
    }
}

impl From<&UpstreamEndCause> for EndCause {
    fn from(cause: &UpstreamEndCause) -> Self {
        match cause {
            UpstreamEndCause::Closed => Self::UpstreamClose,
            UpstreamEndCause::Lost(_) => Self::UpstreamLost,
            UpstreamEndCause::GivenUp => Self::UpstreamGivenUp,
        }
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
