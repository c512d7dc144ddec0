//! The commands of operators, which use the admin server of a running proxy.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use crate::failure::{FailureKind, FailureLocation};

/// The keys by which sessions are sorted.
const SORTS: [&str; 10] =
    ["id", "age", "active", "received", "sent", "bytes", "unsettled", "errored", "restarts", "gaps"];

/// How to reach the admin server.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct AdminOptions {
    /// The admin server of the proxy
    #[arg(
        long,
        value_name = "URL",
        env = "TOWLINE_ADMIN",
        default_value = "http://127.0.0.1:9140",
        global = true
    )]
    pub admin: String,
    /// A file with the token that actions need
    #[arg(long, value_name = "FILE", env = "TOWLINE_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// Print the answer of the admin server as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// The options of `towline sessions`.
#[derive(Debug, Args, PartialEq, Eq)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Sessions {
    /// How to reach the admin server.
    #[command(flatten)]
    pub admin: AdminOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: SessionsCommand,
}

/// The subcommands of `towline sessions`.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum SessionsCommand {
    /// List sessions
    List(ListSessions),
    /// Show one session
    Show {
        /// The id of the session, such as 1:42
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Close one session, or all that meet the conditions
    Close(CloseSessions),
    /// Show the order that closes sessions
    Closing,
    /// Call off the order that closes sessions
    Abort,
    /// Extend the time until the credential of a session's client expires
    Renew(RenewSession),
}

/// The options of `towline sessions renew`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct RenewSession {
    /// The id of the session, such as 1:42
    #[arg(value_name = "ID")]
    pub id: String,
    /// The subject of the client; the session of any other client is not changed
    #[arg(long, value_name = "NAME")]
    pub subject: String,
    /// The time from now until the credential expires, such as 2h
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time: Duration,
}

/// Conditions for sessions. A session must meet all that are given.
#[derive(Debug, Default, Args, PartialEq, Eq)]
pub struct Conditions {
    /// Sessions of this listener
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Sessions of this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Sessions of clients with this address, or in this network
    #[arg(long, value_name = "ADDR|NET")]
    pub peer: Option<String>,
    /// Sessions in this state
    #[arg(long, value_name = "STATE", value_parser = ["starting", "open", "draining", "closing"])]
    pub state: Option<String>,
    /// Sessions of clients with this claim
    #[arg(long, value_name = "NAME=VALUE")]
    pub claim: Option<String>,
}

/// The options of `towline sessions list`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct ListSessions {
    /// Which sessions.
    #[command(flatten)]
    pub conditions: Conditions,
    /// The key to sort by
    #[arg(long, value_name = "KEY", default_value = "id", value_parser = SORTS)]
    pub sort: String,
    /// List at most this many sessions, up to 1000
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Skip this many sessions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: usize,
}

/// The options of `towline sessions close`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct CloseSessions {
    /// The id of the session, such as 1:42
    #[arg(value_name = "ID", conflicts_with_all = ["listener", "route", "peer", "state", "claim", "all", "rate"])]
    pub id: Option<String>,
    /// Which sessions.
    #[command(flatten)]
    pub conditions: Conditions,
    /// All sessions
    #[arg(long, conflicts_with_all = ["listener", "route", "peer", "state", "claim"])]
    pub all: bool,
    /// The code of the close frames [default: 1001]
    #[arg(long, value_name = "CODE")]
    pub code: Option<u16>,
    /// The reason in the close frames
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The number of sessions to close per second [default: 200]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
}

/// The options of `towline events`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Events {
    /// How to reach the admin server.
    #[command(flatten)]
    pub admin: AdminOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// The subcommands of `towline events`.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum EventsCommand {
    /// List the latest failed events, newest first
    List(ListEvents),
    /// Show why one event failed
    Show {
        /// The id of the event, such as 1:42:7: the `event_id` of an error reply
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// The options of `towline events list`. An event must meet all conditions that are given.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct ListEvents {
    /// Events of this session, such as 1:42; it may have ended
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Events whose failure this side caused
    #[arg(long, value_name = "SIDE", value_parser = FailureLocation::ALL.map(FailureLocation::label))]
    pub stage: Option<String>,
    /// Events with this kind of failure
    #[arg(long, value_name = "KIND", value_parser = FailureKind::LABELS)]
    pub kind: Option<String>,
    /// Events with this text in their reason
    #[arg(long, value_name = "TEXT")]
    pub contains: Option<String>,
    /// List at most this many events, up to 1000
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// The options of `towline upstreams`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Upstreams {
    /// How to reach the admin server.
    #[command(flatten)]
    pub admin: AdminOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: UpstreamsCommand,
}

/// The subcommands of `towline upstreams`.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum UpstreamsCommand {
    /// List upstreams and their endpoints
    List,
    /// Move all sessions of an endpoint to others; it gets no more connections
    Drain {
        /// Which endpoint.
        #[command(flatten)]
        endpoint: EndpointName,
        /// Moves per second [default: move.rate of the upstream]
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
    },
    /// Use an endpoint again
    Undrain(EndpointName),
    /// Move sessions of an endpoint to others
    Move {
        /// Which endpoint.
        #[command(flatten)]
        endpoint: EndpointName,
        /// How many sessions [default: all]
        #[arg(long, value_name = "N")]
        count: Option<usize>,
        /// Moves per second [default: move.rate of the upstream]
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
    },
    /// Call off the moves and the drain of an endpoint
    Abort(EndpointName),
}

/// An endpoint of an upstream.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct EndpointName {
    /// The name of the upstream
    #[arg(value_name = "UPSTREAM")]
    pub upstream: String,
    /// The number of the endpoint in the list, or its URL
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: String,
}
