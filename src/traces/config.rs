//! The checked form of the section `[traces]`.

use std::{sync::Arc, time::Duration};

use actix_http::header::{HeaderName, HeaderValue};

use super::context::Ratio;
use crate::{http_url::HttpUrl, net::TlsClient};

/// Where spans go, and which there are.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The URL of the collector for spans: OTLP over HTTP.
    pub url: HttpUrl,
    /// TLS to the collector; `None` for a URL of `http`.
    pub tls: Option<TlsClient>,
    /// Headers of each request. The values are secret.
    pub headers: Box<[(HeaderName, HeaderValue)]>,
    /// The `service.name` of the spans.
    pub service: Arc<str>,
    /// The part of the sessions that is traced, unless their clients decide.
    pub sessions: Ratio,
    /// The part of the events of traced sessions that have a span.
    pub events: Ratio,
    /// Whether a client's `traceparent` decides.
    pub client_context: ClientContext,
    /// Maximum number of spans that wait for the exporter.
    pub queue: usize,
    /// The time that a span waits for others before they are sent.
    pub interval: Duration,
    /// How long a request to the collector may take.
    pub timeout: Duration,
}

/// What a valid `traceparent` of a client means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientContext {
    /// The start of the session is in the client's trace, and is exported if the client has sampled it.
    Continue,
    /// Nothing: each session begins a trace.
    Ignore,
}
