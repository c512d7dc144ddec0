//! The tracer of the process: which sessions are traced, and the queue to the exporter.

use std::sync::{Arc, Mutex, PoisonError};

use actix_http::header::HeaderMap;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{
    config::{ClientContext, TracesConfig},
    context::{RemoteContext, SpanContext},
    counts::{LossReason, SpanCounts, SpanTotals},
    session::StartingTrace,
    span::EndedSpan,
};
use crate::turn::now_ns;

/// The tracer of the process.
#[derive(Debug)]
pub struct Tracer {
    config: Arc<TracesConfig>,
    counts: Arc<SpanCounts>,
    queue: Sender<EndedSpan>,
    /// The other end of the queue, until the exporter takes it.
    spans: Mutex<Option<Receiver<EndedSpan>>>,
}

// === impl Tracer ===

impl Tracer {
    /// Creates a tracer, whose spans wait for an exporter.
    pub fn new(config: Arc<TracesConfig>) -> Arc<Self> {
        let (queue, spans) = mpsc::channel(config.queue);
        Arc::new(Self { config, counts: Arc::default(), queue, spans: Mutex::new(Some(spans)) })
    }

    /// Begins the first span of a session, if the session is traced. Call it when the request has been read.
    ///
    /// The client decides, if its `traceparent` is continued; chance otherwise.
    pub fn start(self: &Arc<Self>, headers: &HeaderMap) -> Option<StartingTrace> {
        let parent = match self.config.client_context {
            ClientContext::Continue => RemoteContext::of(headers),
            ClientContext::Ignore => None,
        };
        let (context, is_traced) = match &parent {
            Some(parent) => {
                let own = SpanContext { trace: parent.context.trace, ..random_context() };
                (own, parent.is_sampled)
            }
            None => {
                let own = random_context();
                (own, self.config.sessions.includes(own.trace))
            }
        };
        is_traced.then(|| StartingTrace { tracer: Arc::clone(self), context, parent, start_ns: now_ns() })
    }

    /// The ids of the span of an event, if the event is sampled.
    pub(super) fn event(&self) -> Option<SpanContext> {
        let context = random_context();
        self.config.events.includes(context.trace).then_some(context)
    }

    /// Hands a span to the exporter. If the queue is full, the span is lost and counted.
    pub(super) fn send(&self, span: EndedSpan) {
        if self.queue.try_send(span).is_err() {
            self.counts.lost(LossReason::QueueFull, 1);
        }
    }

    /// How many spans were exported and lost.
    pub fn totals(&self) -> SpanTotals {
        self.counts.totals()
    }

    /// The settings.
    pub fn config(&self) -> &Arc<TracesConfig> {
        &self.config
    }

    /// The counts, for the exporter.
    pub fn counts(&self) -> &Arc<SpanCounts> {
        &self.counts
    }

    /// The spans, for the exporter; `None` if they have been taken.
    pub fn take_spans(&self) -> Option<Receiver<EndedSpan>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// New ids of a span and its trace.
pub(super) fn random_context() -> SpanContext {
    SpanContext::new(rand::random(), rand::random())
}
