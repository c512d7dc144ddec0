//! Why a server could not be connected.

use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError, WsClientError};

use super::refused::Refused;
use crate::{
    failure::{ConnectFailure, Failure, FailureKind},
    net::LookupError,
};

/// Why a server could not be connected. The texts contain neither addresses nor credentials.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The server answered the handshake with another status than 101.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The server chose a subprotocol that was not offered.
    #[error("handshake failed: subprotocol was not offered")]
    Subprotocol,
    /// The server chose another subprotocol than the one the client was answered with.
    #[error("handshake failed: client was answered with another subprotocol")]
    Promised,
    /// The server chose an extension. None was offered, so its frames could not be read.
    #[error("handshake failed: extension was not offered")]
    Extension,
    /// The connection ended before the answer was complete.
    #[error("handshake failed: connection closed before the answer")]
    Closed,
    /// The answer does not complete a WebSocket handshake.
    #[error("handshake failed: {0}")]
    Handshake(&'static str),
    /// The host name has no address.
    #[error("host name cannot be resolved: {0}")]
    Resolve(LookupError),
    /// The socket failed.
    #[error("IO error: {0}")]
    Io(io::Error),
    /// The dial took longer than `connect_timeout`.
    #[error("no connection within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

impl DialError {
    /// The failure of the connection, for decisions, logs and error replies.
    pub fn failure(&self) -> Failure {
        let detail = match self {
            // The kind has the status, and that is all there is to say.
            Self::Refused(_) => String::new(),
            other => other.to_string(),
        };
        Failure::connection(FailureKind::Connect(self.kind()), detail)
    }

    fn kind(&self) -> ConnectFailure {
        match self {
            Self::Refused(refused) => ConnectFailure::Status(refused.status.as_u16()),
            Self::Subprotocol | Self::Promised | Self::Extension | Self::Handshake(_) => {
                ConnectFailure::Handshake
            }
            Self::Closed => ConnectFailure::Reset,
            Self::Resolve(_) => ConnectFailure::Lookup,
            Self::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => ConnectFailure::Refused,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ConnectFailure::Reset,
                _ => ConnectFailure::Socket,
            },
            Self::Timeout(_) => ConnectFailure::Timeout,
        }
    }
}

impl From<WsClientError> for DialError {
    fn from(error: WsClientError) -> Self {
        match error {
            // `KeepRefusals` turns any other status than 101 into a refusal before awc looks at it.
            WsClientError::InvalidResponseStatus(_) | WsClientError::InvalidUpgradeHeader => {
                Self::Handshake("no upgrade to websocket")
            }
            WsClientError::InvalidConnectionHeader(_) | WsClientError::MissingConnectionHeader => {
                Self::Handshake("connection is not upgraded")
            }
            WsClientError::MissingWebSocketAcceptHeader | WsClientError::InvalidChallengeResponse(..) => {
                Self::Handshake("wrong accept key")
            }
            WsClientError::Protocol(_) => Self::Handshake("no WebSocket"),
            WsClientError::SendRequest(error) => error.into(),
        }
    }
}

impl From<SendRequestError> for DialError {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
                Self::Io(error)
            }
            SendRequestError::Connect(ConnectError::Disconnected) => Self::Closed,
            SendRequestError::Connect(ConnectError::Resolver(error)) => Self::Resolve(lookup_error(&*error)),
            SendRequestError::Connect(_) => Self::Resolve(LookupError::NotFound),
            SendRequestError::Response(ParseError::Io(error)) if error.raw_os_error().is_some() => {
                Self::Io(error)
            }
            // The connection ended in the middle of the answer's head.
            SendRequestError::Response(ParseError::Io(_)) => Self::Closed,
            SendRequestError::Response(_) => Self::Handshake("no HTTP answer"),
            SendRequestError::Custom(error, _) => match error.downcast::<Refused>() {
                Ok(refused) => Self::Refused(refused),
                Err(_) => Self::Handshake("request not sent"),
            },
            _ => Self::Handshake("request not sent"),
        }
    }
}

/// The error of a failed look-up, as `net::Connect` returned it.
fn lookup_error(error: &(dyn Error + 'static)) -> LookupError {
    error.downcast_ref().cloned().unwrap_or(LookupError::NotFound)
}
