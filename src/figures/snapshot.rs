//! What a session is doing, as it reports it itself.

use std::time::Duration;

use super::SessionPhase;
use crate::event::EventId;

/// What a session is doing at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state of the session.
    pub phase: SessionPhase,
    /// The number of the session's events without outcome.
    pub unsettled: usize,
    /// The oldest of them.
    pub oldest: Option<EventId>,
    /// Bytes of the client's messages that the session holds, and the limit.
    pub from_client: (usize, usize),
    /// Bytes of the upstream's messages that the session holds; `None` without upstream.
    pub from_upstream: Option<usize>,
    /// Events that wait for a connection to the upstream.
    pub held: usize,
    /// What the log shows of the client's claims.
    pub claims: Vec<(String, String)>,
    /// When the client's credential expires, in seconds since 1970; `None` if it does not.
    pub expires: Option<u64>,
    /// The servers that the session is connected to, or was last.
    pub servers: Vec<ServerSnapshot>,
}

/// A server of a session at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSnapshot {
    /// Its URL, without secrets.
    pub server: String,
    /// The state of its connector: `idle`, `backoff`, `paced`, `dialing` or `up`.
    pub state: &'static str,
    /// The generation of its connector, or of its last connector.
    pub generation: u64,
    /// The attempts since a connection last proved good.
    pub attempts: u32,
    /// How long until the next attempt.
    pub next: Option<Duration>,
    /// Why the last connection ended; `None` while one is up.
    pub failure: Option<String>,
}
