//! The error of a dial: why a server could not be connected.

use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError};

use super::refused::Refused;
use crate::{
    failure::{ConnectFailure, Failure, FailureKind},
    net::{LookupError, TlsError},
};

/// The process has no file descriptor left (EMFILE).
const PROCESS_FILES: i32 = 24;

/// The system has no file descriptor left (ENFILE).
const SYSTEM_FILES: i32 = 23;

/// The kernel has no buffer left (ENOBUFS).
const KERNEL_BUFFERS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };

/// Why a server could not be connected. The texts contain neither addresses nor credentials.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The server answered the handshake with a status other than 101.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The server chose a subprotocol that was not offered.
    #[error("handshake failed: subprotocol was not offered")]
    Subprotocol,
    /// The server chose another subprotocol than the one in the response to the client.
    #[error("handshake failed: client was answered with another subprotocol")]
    Promised,
    /// The server chose an extension. The proxy offered none, so it could not decode the frames.
    #[error("handshake failed: extension was not offered")]
    Extension,
    /// The connection ended before the response was complete.
    #[error("handshake failed: connection closed before the answer")]
    Closed,
    /// The response does not complete a WebSocket handshake. The field says why.
    #[error("handshake failed: {0}")]
    Handshake(&'static str),
    /// The host name has no address.
    #[error("host name cannot be resolved: {0}")]
    Resolve(LookupError),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(TlsError),
    /// The socket failed.
    #[error("IO error: {0}")]
    Io(io::Error),
    /// All endpoints are down, and this is why.
    #[error("{}", .0.detail)]
    Down(Failure),
    /// The dial took longer than `connect_timeout`.
    #[error("no connection within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

impl DialError {
    /// The failure of the connection, for logs, error replies and the reaction to it.
    pub fn failure(&self) -> Failure {
        if let Self::Down(reason) = self {
            return reason.clone();
        }
        let detail = match self {
            // The kind has the status, and that is all there is to say.
            Self::Refused(_) => String::new(),
            other => other.to_string(),
        };
        Failure::connection(FailureKind::Connect(self.kind()), detail)
    }

    /// Whether the server did not answer in time.
    pub fn is_timeout(&self) -> bool {
        self.failure().kind == FailureKind::Connect(ConnectFailure::Timeout)
    }

    /// Whether another endpoint may accept the same handshake. An answer to the client's own request, such as a 401,
    /// would be the same there.
    pub(super) fn concerns_endpoint(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.status.is_server_error(),
            Self::Subprotocol | Self::Promised | Self::Extension => false,
            _ => true,
        }
    }

    fn kind(&self) -> ConnectFailure {
        match self {
            Self::Refused(refused) => ConnectFailure::Status(refused.status.as_u16()),
            Self::Subprotocol | Self::Promised | Self::Extension | Self::Handshake(_) => {
                ConnectFailure::Handshake
            }
            Self::Closed => ConnectFailure::Reset,
            Self::Resolve(_) => ConnectFailure::Lookup,
            Self::Tls(_) => ConnectFailure::Tls,
            Self::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => ConnectFailure::Refused,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ConnectFailure::Reset,
                _ if is_local(error) => ConnectFailure::Local,
                _ => ConnectFailure::Socket,
            },
            Self::Timeout(_) => ConnectFailure::Timeout,
            // `failure` returns before.
            Self::Down(_) => ConnectFailure::Socket,
        }
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match TlsError::of(&error) {
            Some(error) => Self::Tls(error),
            None => Self::Io(error),
        }
    }
}

impl From<SendRequestError> for DialError {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
                error.into()
            }
            SendRequestError::Connect(ConnectError::Disconnected) => Self::Closed,
            SendRequestError::Connect(ConnectError::Resolver(error)) => Self::Resolve(lookup_error(&*error)),
            SendRequestError::Connect(_) => Self::Resolve(LookupError::NotFound),
            SendRequestError::Response(ParseError::Io(error))
                if error.raw_os_error().is_some() || TlsError::of(&error).is_some() =>
            {
                error.into()
            }
            // The connection ended in the middle of the answer's head.
            SendRequestError::Response(ParseError::Io(_)) => Self::Closed,
            SendRequestError::Response(_) => Self::Handshake("no HTTP answer"),
            _ => Self::Handshake("request not sent"),
        }
    }
}

/// Whether this machine lacks what a connection needs, which says nothing about the server.
fn is_local(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(PROCESS_FILES | SYSTEM_FILES | KERNEL_BUFFERS))
}

impl From<actix_tls::connect::ConnectError> for DialError {
    fn from(error: actix_tls::connect::ConnectError) -> Self {
        use actix_tls::connect::ConnectError;
        match error {
            ConnectError::Io(error) => error.into(),
            ConnectError::Resolver(error) => Self::Resolve(lookup_error(&*error)),
            _ => Self::Resolve(LookupError::NotFound),
        }
    }
}

/// The error of a failed look-up, as `net::Connect` returned it.
fn lookup_error(error: &(dyn Error + 'static)) -> LookupError {
    error.downcast_ref().cloned().unwrap_or(LookupError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureLocation;

    #[test]
    fn what_this_machine_lacks_is_not_the_servers_failure() {
        let failure = |number| DialError::Io(io::Error::from_raw_os_error(number)).failure();
        for number in [PROCESS_FILES, SYSTEM_FILES, KERNEL_BUFFERS] {
            let Failure { kind, location, detail, .. } = failure(number);
            assert_eq!(
                (kind, location),
                (FailureKind::Connect(ConnectFailure::Local), FailureLocation::Proxy)
            );
            assert!(detail.starts_with("IO error: "), "{detail}");
        }
        for kind in [ErrorKind::AddrNotAvailable, ErrorKind::OutOfMemory] {
            let failure = DialError::Io(kind.into()).failure();
            assert_eq!(failure.location, FailureLocation::Proxy, "{kind:?}");
        }
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable]
        {
            let failure = DialError::Io(kind.into()).failure();
            assert_eq!(failure.location, FailureLocation::Upstream, "{kind:?}");
        }
    }
}
