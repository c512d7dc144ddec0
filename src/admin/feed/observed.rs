//! The process as the feed observes it once a second.

use std::time::Duration;

use serde::Serialize;

use super::rates::Totals;
use crate::admin::reloads::ReloadView;

/// Number of restarts and of errors in a frame.
pub const NEWS_MAX: usize = 50;

/// The process at one moment.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The time since the observation before.
    pub elapsed: Duration,
    /// The counts of the process.
    pub totals: Totals,
    /// The process.
    pub about: ProcessView,
    /// The routes, in the order of the settings.
    pub routes: Vec<RouteView>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamView>,
    /// The connections that were lost since the observation before, newest first.
    pub restarts: News<RestartView>,
    /// The events that failed since the observation before, newest first.
    pub errors: News<FailureView>,
    /// The latest reloads, the last one first.
    pub reloads: Vec<ReloadView>,
}

/// Facts about the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProcessView {
    /// The version of the program.
    pub version: &'static str,
    /// When it started, in milliseconds since the Unix epoch.
    pub started: u64,
    /// Whether it is draining.
    pub draining: bool,
    /// The number of the configuration in force.
    pub configuration: u64,
    /// The number of configurations in use.
    pub alive: usize,
    /// Whether the settings have a token for actions.
    pub actions: bool,
    /// The number of sessions since the start.
    pub accepted: u64,
}

/// A route with its traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RouteView {
    /// The name of its listener.
    pub listener: String,
    /// Its name.
    pub name: String,
    /// The names of its pipelines.
    pub incoming: Vec<String>,
    /// The names of the pipelines for messages to the client.
    pub outgoing: Vec<String>,
    /// The name of its upstream.
    pub upstream: Option<String>,
    /// The counts of its traffic.
    #[serde(skip)]
    pub counts: RouteCounts,
}

/// Counts of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Number of live sessions.
    pub sessions: u64,
    /// Number of messages from clients.
    pub received: u64,
    /// Number of messages to clients.
    pub sent: u64,
    /// Number of events that failed.
    pub errored: u64,
}

/// An upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UpstreamView {
    /// Its name.
    pub name: String,
    /// The name of its strategy to choose endpoints.
    pub balance: &'static str,
    /// The number of sessions at its endpoints.
    pub sessions: usize,
    /// The number of restarts of connectors to it.
    pub restarts: u64,
    /// The number of endpoints that are not shown.
    pub left_out: usize,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
    /// The supervisors of some of its sessions.
    pub supervisors: Vec<SupervisorView>,
}

/// An endpoint of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// Its id, which no other endpoint has.
    pub id: u64,
    /// Its number in the list of endpoints, from 1.
    pub number: usize,
    /// Its URL, masked. Several endpoints may have the same.
    pub url: String,
    /// Its state.
    pub state: &'static str,
    /// The number of its sessions.
    pub sessions: usize,
    /// The number of its sessions whose ordered moves have not begun.
    pub moving: usize,
    /// The number of dials in progress.
    pub dials: usize,
    /// The number of failures since a connection was last established.
    pub failures: u32,
}

/// The supervisor of a session, with its connector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SupervisorView {
    /// The session's id.
    pub session: String,
    /// The name of its route.
    pub route: String,
    /// The number of restarts.
    pub restarts: u64,
    /// When the connector was last restarted, in milliseconds since the Unix epoch.
    pub last: Option<u64>,
    /// The state of the connector.
    pub connector: &'static str,
    /// The endpoint that it is connected to.
    pub endpoint: Option<String>,
}

/// The loss of a session's connection to an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestartView {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The session's id.
    pub session: String,
    /// The name of the upstream.
    pub upstream: String,
    /// What happened, as the line of the log says it.
    pub kind: &'static str,
    /// The number of the attempt.
    pub attempt: u32,
    /// The time until the attempt, in milliseconds.
    pub delay: u64,
    /// Why the connection ended.
    pub reason: String,
}

/// An event that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FailureView {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The event's id.
    pub id: String,
    /// The session's id.
    pub session: String,
    /// The side that caused the failure.
    pub stage: &'static str,
    /// What went wrong.
    pub kind: &'static str,
    /// The reason in words.
    pub reason: String,
    /// The server, as a masked URL.
    pub upstream: Option<String>,
}

/// New entries, newest first, and the number of those that were left out.
#[derive(Debug, Clone)]
pub struct News<T> {
    /// At most [`NEWS_MAX`] entries.
    pub entries: Vec<T>,
    /// The number of older ones.
    pub missed: u64,
}

impl<T> Default for News<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), missed: 0 }
    }
}
