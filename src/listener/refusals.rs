//! Why handshakes are refused, as a closed list of kinds, and how often each kind has occurred.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use actix_http::StatusCode;

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The connection was closed before its request was read, for example because its PROXY header is wrong.
    Connection,
    /// The request is no valid WebSocket handshake.
    Request,
    /// The request, or the request to the upstream that follows from it, is too long.
    TooLarge,
    /// The request was not complete in time.
    Timeout,
    /// No route takes the request.
    NoRoute,
    /// The route does not accept pages of this origin.
    Origin,
    /// The request has no valid credential.
    Unauthenticated,
    /// The client is authenticated, but may not use the route.
    Forbidden,
    /// There are too many handshakes at the moment.
    Handshakes,
    /// The process has too many sessions.
    Sessions,
    /// The listener has too many sessions.
    ListenerSessions,
    /// The client's address has too many sessions.
    AddressSessions,
    /// The route has too many sessions with the same claim or header.
    KeySessions,
    /// There are too many new sessions at the moment.
    NewSessions,
    /// The client's address has sent too many credentials.
    Credentials,
    /// The upstream refuses the client, or cannot be reached.
    Upstream,
    /// The process drains.
    Draining,
    /// A service that the decision depends on is not available.
    Unavailable,
}

/// Number of refused handshakes of each kind.
#[derive(Debug, Default)]
pub struct RefusalCounts([AtomicU64; RefusalKind::ALL.len()]);

// === impl RefusalKind ===

impl RefusalKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Connection,
        Self::Request,
        Self::TooLarge,
        Self::Timeout,
        Self::NoRoute,
        Self::Origin,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Handshakes,
        Self::Sessions,
        Self::ListenerSessions,
        Self::AddressSessions,
        Self::KeySessions,
        Self::NewSessions,
        Self::Credentials,
        Self::Upstream,
        Self::Draining,
        Self::Unavailable,
    ];

    /// The kind that follows from a status, for refusals without a more specific kind.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NoRoute,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::TooLarge,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Self::Upstream,
            status if status.is_server_error() => Self::Unavailable,
            _ => Self::Request,
        }
    }

    /// The label in logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Request => "request",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::NoRoute => "no_route",
            Self::Origin => "origin",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Handshakes => "handshakes",
            Self::Sessions => "sessions",
            Self::ListenerSessions => "listener_sessions",
            Self::AddressSessions => "address_sessions",
            Self::KeySessions => "key_sessions",
            Self::NewSessions => "new_sessions",
            Self::Credentials => "credentials",
            Self::Upstream => "upstream",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

// === impl RefusalCounts ===

impl RefusalCounts {
    /// Counts a refusal. Returns how many of its kind there were, with this one.
    pub fn count(&self, kind: RefusalKind) -> u64 {
        self.0[kind as usize].fetch_add(1, Relaxed) + 1
    }

    /// The number of refusals of each kind.
    pub fn totals(&self) -> impl Iterator<Item = (RefusalKind, u64)> {
        RefusalKind::ALL.into_iter().map(|kind| (kind, self.0[kind as usize].load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_kind_has_its_label_and_its_count() {
        let labels: HashSet<_> = RefusalKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), RefusalKind::ALL.len());
        let counts = RefusalCounts::default();
        for (number, kind) in (1..).zip(RefusalKind::ALL) {
            let last = (0..number).map(|_| counts.count(kind)).last();
            assert_eq!(last, Some(number), "{kind}");
        }
        assert!(counts.totals().map(|(_, count)| count).eq(1..=RefusalKind::ALL.len() as u64));
    }

    #[test]
    fn the_documentation_lists_each_kind_once() {
        let docs = include_str!("../../docs/closing.md");
        let part =
            docs.split("## When a handshake is refused").nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows = part.unwrap().lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let listed: Vec<_> = rows.map(|(label, _)| label).filter(|label| *label != "kind").collect();
        assert_eq!(listed, RefusalKind::ALL.map(RefusalKind::label));
    }

    #[test]
    fn a_status_has_a_kind() {
        for (status, kind) in [
            (400, RefusalKind::Request),
            (401, RefusalKind::Unauthenticated),
            (404, RefusalKind::NoRoute),
            (431, RefusalKind::TooLarge),
            (503, RefusalKind::Unavailable),
            (504, RefusalKind::Upstream),
        ] {
            assert_eq!(RefusalKind::of(StatusCode::from_u16(status).unwrap()), kind);
        }
    }
}
