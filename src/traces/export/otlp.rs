//! Spans as messages of OTLP: those parts of `opentelemetry/proto/trace/v1/trace.proto` and of the service
//! `opentelemetry/proto/collector/trace/v1` that are used, with the numbers of their fields.

use std::{borrow::Cow, sync::Arc};

use prost::{Message, Oneof};

use crate::traces::{EndDetail, EndedSpan, EventDetail, SpanContext, SpanDetail, StartDetail};

/// The flags of a span or link in a trace that is recorded, whose other span is in this process.
const LOCAL: u32 = 0x101;
/// The flags of a span in a trace that is recorded, whose parent is in another process.
const REMOTE: u32 = 0x301;

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const ERROR: i32 = 2;

/// The body of a request.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

/// The body of a response.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// What the collector did not take.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<OtlpSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct OtlpSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Scalar", tags = "1, 3, 4")]
    value: Option<Scalar>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Scalar {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

/// What all spans of the process have in common.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// The `service.name`.
    pub(super) name: Arc<str>,
    /// The `service.instance.id`, which differs between processes.
    pub(super) instance: String,
}

impl ExportRequest {
    /// The request for these spans.
    pub(super) fn new(service: &Service, spans: &[EndedSpan]) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            text("service.name", &*service.name),
            text("service.version", version),
            text("service.instance.id", &*service.instance),
        ];
        let scope = Scope { name: "towline".to_owned(), version: version.to_owned() };
        let scope_spans =
            ScopeSpans { scope: Some(scope), spans: spans.iter().map(OtlpSpan::from).collect() };
        let resource = Some(Resource { attributes });
        Self { resource_spans: vec![ResourceSpans { resource, scope_spans: vec![scope_spans] }] }
    }
}

impl From<&EndedSpan> for OtlpSpan {
    fn from(span: &EndedSpan) -> Self {
        let EndedSpan { context, start_ns, end_ns, session, detail } = span;
        let mut attributes = vec![
            text("towline.session", &*session.id),
            text("towline.listener", &*session.listener),
            text("towline.route", &*session.route),
        ];
        attributes.extend(session.upstream.as_deref().map(|upstream| text("towline.upstream", upstream)));
        let own = Self {
            trace_id: context.trace.bytes().to_vec(),
            span_id: context.span.bytes().to_vec(),
            start_time_unix_nano: *start_ns,
            end_time_unix_nano: *end_ns,
            attributes,
            flags: LOCAL,
            ..Self::default()
        };
        match detail {
            SpanDetail::Start(start) => own.of_start(start),
            SpanDetail::Event(link, event) => own.linked(*link).of_event(event),
            SpanDetail::End(link, end) => own.linked(*link).of_end(end),
        }
    }
}

impl OtlpSpan {
    fn linked(mut self, to: SpanContext) -> Self {
        let (trace_id, span_id) = (to.trace.bytes().to_vec(), to.span.bytes().to_vec());
        self.links.push(Link { trace_id, span_id, flags: LOCAL });
        self
    }

    fn of_start(mut self, start: &StartDetail) -> Self {
        (self.name, self.kind) = ("session start".to_owned(), SERVER);
        if let Some(parent) = &start.parent {
            self.parent_span_id = parent.context.span.bytes().to_vec();
            self.trace_state = parent.state.as_deref().unwrap_or_default().to_owned();
            self.flags = REMOTE;
        }
        self.attributes.extend([
            text("network.protocol.name", "websocket"),
            text("client.address", start.client.to_string()),
            text("url.path", &*start.path),
        ]);
        let subprotocol = start.subprotocol.as_deref();
        self.attributes.extend(subprotocol.map(|name| text("towline.subprotocol", name)));
        self
    }

    fn of_event(mut self, event: &EventDetail) -> Self {
        (self.name, self.kind) = ("event".to_owned(), SERVER);
        self.attributes
            .extend([text("towline.event", event.id.to_string()), text("towline.outcome", event.outcome)]);
        if let Some(failure) = &event.failure {
            self.attributes.extend([text("error.type", failure.kind), text("towline.stage", failure.stage)]);
            self.status = Some(Status { message: failure.text.to_string(), code: ERROR });
        }
        self
    }

    fn of_end(mut self, end: &EndDetail) -> Self {
        (self.name, self.kind) = ("session end".to_owned(), INTERNAL);
        self.attributes.extend([
            int("towline.close_code", end.code.into()),
            text("towline.side", end.side),
            text("towline.cause", end.cause),
            attribute("towline.seconds", Scalar::Double(end.seconds)),
            int("towline.received", end.received),
            int("towline.sent", end.sent),
            int("towline.errored", end.errored),
            int("towline.restarts", end.restarts),
        ]);
        self
    }
}

fn text<'a>(key: &str, value: impl Into<Cow<'a, str>>) -> KeyValue {
    attribute(key, Scalar::Text(value.into().into_owned()))
}

fn int(key: &str, value: u64) -> KeyValue {
    attribute(key, Scalar::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Scalar) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
