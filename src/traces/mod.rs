//! Traces: short spans of sessions and events, exported to a collector with OTLP.
//!
//! ```text
//! session ─► SessionTrace ─► Tracer: try_send ─► queue ═► Exporter: batches ─► POST to the collector
//! ```
//!
//! A session that is traced has a span for its start, in the trace of the client's `traceparent` if it sent one, and a
//! span for its end. An event that is sampled has a span from its arrival to its outcome. End and events have
//! separate traces, with links to the start, so that no span and no trace stays open as long as a session.
//!
//! # Correctness
//! Sessions never wait for the exporter: a span that does not fit in the queue is lost and counted. So is a span that the
//! collector does not take.
//!
//! The feature `traces` adds the exporter. Without it, the settings are refused, and no session has a [`SessionTrace`].

mod config;
mod context;
mod counts;
#[cfg(feature = "traces")]
mod export;
mod session;
mod span;
mod tracer;

#[cfg(feature = "traces")]
pub use self::export::Exporter;
pub use self::{
    config::{ClientContext, TracesConfig},
    context::{Ratio, RemoteContext, SpanContext, SpanId, TRACEPARENT, TRACESTATE, TraceId},
    counts::{LossReason, SpanCounts, SpanTotals},
    session::{EventFailure, SessionTrace, StartingTrace},
    span::{EndDetail, EndedSpan, EventDetail, SpanDetail, StartDetail, TracedSession},
    tracer::Tracer,
};
