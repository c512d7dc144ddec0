//! How the sessions of an upstream are spread over its endpoints, and when an endpoint is not used.

use std::{sync::Arc, time::Duration};

use super::Range;

/// The decisions about an upstream's endpoints that its settings make.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolPolicy {
    /// Which endpoint a connection goes to.
    pub balance: Balance,
    /// The value that [`Balance::Hash`] hashes: connections with the same value go to the same endpoint.
    pub hash: HashKey,
    /// How long the share of an endpoint grows from a tenth to its weight after it came up. Zero: at once.
    pub slow_start: Duration,
    /// When an endpoint that is down is probed.
    pub probe: ProbeTimes,
    /// How an endpoint is probed.
    pub check: ProbeCheck,
    /// When endpoints that are up are checked, and what changes their state.
    pub health: HealthChecks,
    /// When an endpoint whose connections keep failing is left out.
    pub ejection: Ejection,
    /// How much one endpoint takes.
    pub breaker: BreakerLimits,
}

/// `balance`: which endpoint a connection goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// The endpoint with the fewest sessions, by weight.
    LeastSessions,
    /// Each in turn, by weight.
    RoundRobin,
    /// The one with fewer sessions of two that are chosen at random, by weight.
    Random,
    /// The same endpoint for the same key, as long as it is there.
    Hash,
}

/// `hash`: the part of a client's request or first message that keeps its connections at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Peer,
    /// The path, without query.
    Path,
    /// The value of this header, in lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this parameter of the query.
    Query(String),
    /// The value of this claim of the authenticated client.
    Claim(String),
    /// The value at this path of the first message; the whole message if the path is empty.
    Message(Arc<[String]>),
}

/// `probe`: when an endpoint that is down is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTimes {
    /// The shortest time between two probes.
    pub min: Duration,
    /// The longest time between two probes.
    pub max: Duration,
}

/// `health`: how an endpoint is probed, whether it is up or down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeCheck {
    /// The kind of probe.
    pub kind: CheckKind,
    /// The path and query of the request; `None`: those of the endpoint's URL.
    pub path: Option<String>,
    /// How long a probe may take; `None`: as long as an attempt to connect.
    pub timeout: Option<Duration>,
}

/// `health.probe`: what a server must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Accept a connection.
    Tcp,
    /// Answer a GET request with one of these statuses.
    Http(Vec<Range>),
    /// Complete a WebSocket handshake, and answer a ping.
    Websocket,
}

/// `health`: when endpoints that are up are checked, and how many results in a row change their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthChecks {
    /// The time between two checks of an endpoint that is up; `None`: it is not checked.
    pub interval: Option<Duration>,
    /// This many failures take an endpoint out of use; at least 1.
    pub unhealthy: u32,
    /// This many successes bring it back; at least 1.
    pub healthy: u32,
}

/// `ejection`: when an endpoint whose connections keep failing is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// The number of failures in a row after which it is left out; 0: never.
    pub failures: u32,
    /// How long it is left out, multiplied by the number of ejections in a row.
    pub time: Duration,
    /// The largest share of the endpoints that is left out at a time, in percent. At least one endpoint always stays.
    pub max_share: u32,
}

/// `breaker`: how much one endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerLimits {
    /// Most sessions, dials in progress included.
    pub sessions: Option<usize>,
    /// Most dials in progress.
    pub dials: Option<usize>,
    /// Most dials that begin within a second.
    pub rate: Option<u32>,
}

// === impl PoolPolicy ===

impl Default for PoolPolicy {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            balance: Balance::LeastSessions,
            hash: HashKey::Peer,
            slow_start: Duration::ZERO,
            probe: ProbeTimes { min: Duration::from_millis(50), max: Duration::from_secs(1) },
            check: ProbeCheck { kind: CheckKind::Tcp, path: None, timeout: None },
            health: HealthChecks { interval: None, unhealthy: 3, healthy: 1 },
            ejection: Ejection { failures: 5, time: Duration::from_secs(30), max_share: 50 },
            breaker: BreakerLimits::default(),
        }
    }
}
