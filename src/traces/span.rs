//! Spans, as sessions hand them over.

use std::{net::IpAddr, sync::Arc};

use super::context::{RemoteContext, SpanContext};
use crate::event::EventId;

/// A span that has ended.
#[derive(Debug)]
pub struct EndedSpan {
    /// Its ids.
    pub context: SpanContext,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end_ns: u64,
    /// The session.
    pub session: Arc<TracedSession>,
    /// The part of the session that it covers.
    pub detail: SpanDetail,
}

/// The names of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct TracedSession {
    /// The id, such as `1:0`.
    pub id: String,
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
    /// The upstream's name; `None` on a route without one.
    pub upstream: Option<String>,
}

/// The part of a session that a span covers.
#[derive(Debug)]
pub enum SpanDetail {
    /// The handshake of a session.
    Start(Box<StartDetail>),
    /// An event, from its arrival to its outcome. It links to the session's start.
    Event(SpanContext, Box<EventDetail>),
    /// The end of a session. It links to the session's start.
    End(SpanContext, Box<EndDetail>),
}

/// The handshake of a session.
#[derive(Debug)]
pub struct StartDetail {
    /// The client's span in the same trace.
    pub parent: Option<RemoteContext>,
    /// The client's address.
    pub client: IpAddr,
    /// The path of the request, without its query.
    pub path: Box<str>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<Box<str>>,
}

/// An event of a client.
#[derive(Debug)]
pub struct EventDetail {
    /// Its id.
    pub id: EventId,
    /// Its outcome.
    pub outcome: &'static str,
    /// Why it has failed, if it has.
    pub failure: Option<super::EventFailure>,
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndDetail {
    /// The close code.
    pub code: u16,
    /// Who ended the session.
    pub side: &'static str,
    /// Why it ended.
    pub cause: &'static str,
    /// How long it lived.
    pub seconds: f64,
    /// The client's messages.
    pub received: u64,
    /// The messages to the client.
    pub sent: u64,
    /// Events that failed.
    pub errored: u64,
    /// New connections to the upstream after a loss.
    pub restarts: u64,
}
