//! The spans of one session.

use std::{collections::BTreeMap, sync::Arc};

use actix_http::header::HeaderValue;

use super::{
    context::{RemoteContext, SpanContext},
    span::{EndDetail, EndedSpan, EventDetail, SpanDetail, StartDetail, TracedSession},
    tracer::{Tracer, random_context},
};
use crate::{
    event::{EventId, EventNumber},
    turn::now_ns,
};

/// Maximum length of a text in a span, in bytes. A span waits in memory.
const TEXT_MAX: usize = 256;

/// The first span of a session that is traced, while its handshake is in progress.
#[derive(Debug, Clone)]
pub struct StartingTrace {
    pub(super) tracer: Arc<Tracer>,
    pub(super) context: SpanContext,
    pub(super) parent: Option<RemoteContext>,
    pub(super) start_ns: u64,
}

/// The trace of a session: it makes spans of what the session's actor reports.
#[derive(Debug)]
pub struct SessionTrace {
    tracer: Arc<Tracer>,
    /// The span of the start, to which all others link.
    start: SpanContext,
    names: Arc<TracedSession>,
    /// The sampled events without outcome.
    events: BTreeMap<EventNumber, OpenEvent>,
    /// When the session began to end, in nanoseconds since 1970.
    ending_ns: Option<u64>,
}

/// A sampled event without outcome.
#[derive(Debug)]
struct OpenEvent {
    context: SpanContext,
    start_ns: u64,
    failure: Option<EventFailure>,
}

/// Why an event has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFailure {
    /// Where it went wrong, such as `upstream`.
    pub stage: &'static str,
    /// What went wrong, such as `connect_refused`.
    pub kind: &'static str,
    /// The text, as the client gets it.
    pub text: Box<str>,
}

// === impl StartingTrace ===

impl StartingTrace {
    /// The `traceparent` for the upstream, which makes this span the parent of the upstream's spans.
    pub fn header(&self) -> Option<HeaderValue> {
        self.context.header()
    }

    /// Whether the span continues the client's trace, so that the client's `tracestate` belongs to it.
    pub fn continues(&self) -> bool {
        self.parent.is_some()
    }

    /// The session has started: its first span ends here.
    pub fn open(self, names: TracedSession, detail: StartDetail) -> SessionTrace {
        let Self { tracer, context, parent, start_ns } = self;
        let names = Arc::new(names);
        let (path, subprotocol) = (cut(&detail.path), detail.subprotocol.as_deref().map(cut));
        let detail = StartDetail { parent, path, subprotocol, ..detail };
        let span = EndedSpan {
            context,
            start_ns,
            end_ns: now_ns().max(start_ns),
            session: Arc::clone(&names),
            detail: SpanDetail::Start(Box::new(detail)),
        };
        tracer.send(span);
        SessionTrace { tracer, start: context, names, events: BTreeMap::new(), ending_ns: None }
    }
}

// === impl SessionTrace ===

impl SessionTrace {
    /// An event has arrived.
    pub fn arrived(&mut self, event: EventNumber) {
        if let Some(context) = self.tracer.event() {
            self.events.insert(event, OpenEvent { context, start_ns: now_ns(), failure: None });
        }
    }

    /// Whether the span of an event is open.
    pub fn follows(&self, event: EventNumber) -> bool {
        self.events.contains_key(&event)
    }

    /// An event has failed. Its outcome follows.
    pub fn failed(&mut self, event: EventNumber, failure: EventFailure) {
        if let Some(open) = self.events.get_mut(&event) {
            let text = cut(&failure.text);
            open.failure = Some(EventFailure { text, ..failure });
        }
    }

    /// An event has its outcome.
    pub fn settled(&mut self, id: EventId, outcome: &'static str) {
        let Some(OpenEvent { context, start_ns, failure }) = self.events.remove(&id.event) else { return };
        let detail = SpanDetail::Event(self.start, Box::new(EventDetail { id, outcome, failure }));
        self.send(context, start_ns, detail);
    }

    /// The session begins to end.
    pub fn ending(&mut self) {
        self.ending_ns.get_or_insert_with(now_ns);
    }

    /// The session has ended.
    pub fn ended(&mut self, detail: EndDetail) {
        let start_ns = self.ending_ns.unwrap_or_else(now_ns);
        self.send(random_context(), start_ns, SpanDetail::End(self.start, Box::new(detail)));
    }

    fn send(&self, context: SpanContext, start_ns: u64, detail: SpanDetail) {
        let (end_ns, session) = (now_ns().max(start_ns), Arc::clone(&self.names));
        self.tracer.send(EndedSpan { context, start_ns, end_ns, session, detail });
    }
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_MAX)].into()
}
