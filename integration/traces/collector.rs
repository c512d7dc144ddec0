//! A collector of traces: an HTTP server that reads OTLP with the messages of the OpenTelemetry project.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message as _;

use crate::harness::*;

/// What the collector does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// It takes all spans.
    Take,
    /// It takes the request without this many of its spans.
    Reject(i64),
    /// It answers with this status and takes nothing.
    Status(&'static str),
    /// It does not answer.
    Hang,
}

/// The running collector.
pub(super) struct Collector {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    reply: Mutex<Reply>,
    requests: Mutex<Vec<(Head, ExportTraceServiceRequest)>>,
}

impl Collector {
    pub(super) fn start(reply: Reply) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    /// Starts a collector that listens already.
    pub(super) fn on(listener: TcpListener, reply: Reply) -> Self {
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State { reply: Mutex::new(reply), requests: Mutex::default() });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.serve(stream));
            }
        });
        Self { addr, state }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.addr)
    }

    /// What the collector does with further requests.
    pub(super) fn answer(&self, reply: Reply) {
        *self.state.reply.lock().unwrap() = reply;
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> usize {
        self.state.requests.lock().unwrap().len()
    }

    /// The head of a request.
    pub(super) fn head(&self, number: usize) -> Head {
        self.state.requests.lock().unwrap()[number].0.clone()
    }

    /// The attributes of the service in a request.
    pub(super) fn service(&self, number: usize) -> Vec<KeyValue> {
        let requests = self.state.requests.lock().unwrap();
        requests[number].1.resource_spans[0].resource.as_ref().unwrap().attributes.clone()
    }

    /// All spans so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        let requests = self.state.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits until this many spans of that name have arrived, and returns them.
    #[track_caller]
    pub(super) fn wait_spans(&self, name: &str, count: usize) -> Vec<Span> {
        let named = || self.spans().into_iter().filter(|span| span.name == name).collect::<Vec<_>>();
        wait_for(&format!("{count} spans {name:?}"), PATIENCE, || named().len() >= count);
        named()
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        while let Ok(Some(head)) = Head::read(&mut stream) {
            let length: usize = head.get("content-length").expect("a length").parse().unwrap();
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let request = ExportTraceServiceRequest::decode(&*body).expect("a request of OTLP");
            self.requests.lock().unwrap().push((head, request));
            let reply = self.reply.lock().unwrap().clone();
            let (status, rejected_spans) = match reply {
                Reply::Take => ("200 OK", 0),
                Reply::Reject(spans) => ("200 OK", spans),
                Reply::Status(status) => (status, 0),
                Reply::Hang => {
                    let _ = stream.read_to_end(&mut Vec::new());
                    return;
                }
            };
            let refused = ExportTracePartialSuccess { rejected_spans, error_message: "too many".to_owned() };
            let partial_success = (rejected_spans > 0).then_some(refused);
            let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    }
}

/// The text or number of an attribute; empty if it is missing.
pub(super) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.clone()).and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        other => other.map_or_else(String::new, |other| panic!("{key}: {other:?}")),
    }
}

/// The ids of a span as a `traceparent` has them.
pub(super) fn traceparent(span: &Span) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
}
