//! The spans of sessions and events.

use super::{
    PARENT,
    collector::{Collector, Reply, attribute, traceparent},
    traced,
};
use crate::harness::*;

/// The kinds of spans in OTLP.
const SPAN_KIND_INTERNAL: i32 = 1;
const SPAN_KIND_SERVER: i32 = 2;

#[test]
fn a_session_continues_the_trace_of_its_client_and_links_its_events_and_its_end() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url()));
    let opening = Opening::new(proxy.addr()).path("/room?key=hidden");
    let mut client = opening.header("traceparent", PARENT).header("tracestate", "a=1").open();
    assert_eq!(client.ask("payload"), "payload");
    client.close(4001, "bye");
    let end = collector.wait_spans("session end", 1).remove(0);
    let start = collector.wait_spans("session start", 1).remove(0);
    let event = collector.wait_spans("event", 1).remove(0);

    assert_eq!(traceparent(&start)[..36], PARENT[..36], "the client's trace");
    assert_eq!(start.parent_span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert_eq!((start.trace_state.as_str(), start.flags, start.kind), ("a=1", 0x301, SPAN_KIND_SERVER));
    let of_start = |key: &str| attribute(&start.attributes, key);
    assert_eq!(
        ["towline.session", "towline.listener", "towline.upstream"].map(of_start),
        ["1:0", "ws", "echo"]
    );
    assert_eq!([of_start("url.path"), of_start("client.address")], ["/room", "127.0.0.1"]);

    // The upstream continues the span.
    let head = upstream.head(0);
    assert_eq!(head.get("traceparent"), Some(traceparent(&start)));
    assert_eq!(head.get("tracestate").as_deref(), Some("a=1"));

    assert_eq!((event.kind, end.kind), (SPAN_KIND_SERVER, SPAN_KIND_INTERNAL));
    for span in [&event, &end] {
        assert_ne!(span.trace_id, start.trace_id);
        assert!(span.parent_span_id.is_empty());
        let [link] = span.links.as_slice() else { panic!("{span:?}") };
        assert_eq!((&link.trace_id, &link.span_id), (&start.trace_id, &start.span_id));
    }
    for span in [&start, &event, &end] {
        assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    assert!(start.end_time_unix_nano <= event.start_time_unix_nano);
    assert_eq!(attribute(&event.attributes, "towline.event"), "1:0:0");
    assert_eq!(attribute(&event.attributes, "towline.outcome"), "answered");
    assert_eq!(event.status, None);
    let of_end = |key: &str| attribute(&end.attributes, key);
    assert_eq!(
        ["towline.close_code", "towline.side", "towline.cause"].map(of_end),
        ["4001", "downstream", "client_close"]
    );
    assert_eq!(["towline.received", "towline.sent", "towline.errored"].map(of_end), ["1", "1", "0"]);
}

#[test]
fn a_request_has_what_the_settings_say_and_no_contents() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let settings = traced(&upstream.url(), &collector.url())
        .with(r#"traces.headers = { x-token = "s3cret" }"#)
        .with(r#"traces.service_name = "chat""#);
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).path("/room?key=hidden").open();
    assert_eq!(client.ask("payload"), "payload");
    collector.wait_spans("event", 1);
    let (head, service) = (collector.head(0), collector.service(0));
    assert_eq!(head.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(head.get("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(head.get("x-token").as_deref(), Some("s3cret"));
    assert_eq!(attribute(&service, "service.name"), "chat");
    assert_eq!(attribute(&service, "service.version"), env!("CARGO_PKG_VERSION"));
    let spans = format!("{:?}", collector.spans());
    for secret in ["payload", "hidden", "s3cret"] {
        assert!(!spans.contains(secret) && !proxy.log().join("\n").contains(secret), "{secret}");
    }
}

#[test]
fn a_session_without_a_traceparent_begins_a_trace() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url()));
    let _client =
        Opening::new(proxy.addr()).header("traceparent", "00-xyz").header("tracestate", "a=1").open();
    let start = collector.wait_spans("session start", 1).remove(0);
    assert!(start.parent_span_id.is_empty() && start.trace_state.is_empty());
    assert_eq!(start.flags, 0x101);
    let head = upstream.head(0);
    assert_eq!(head.get("traceparent"), Some(traceparent(&start)));
    assert_eq!(head.get("tracestate"), None, "it belongs to another trace");
}

#[test]
fn the_client_decides_whether_its_session_is_traced() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url()).with("traces.sample = 0"));
    let unsampled = PARENT.replace("-01", "-00");
    let mut first = Opening::new(proxy.addr()).header("traceparent", &unsampled).open();
    let mut second = proxy.client();
    let mut third = Opening::new(proxy.addr()).header("traceparent", PARENT).open();
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.ask("a"), "a");
        client.close(1000, "");
        client.expect_closed(1000);
    }
    assert_eq!(upstream.head(0).get("traceparent"), Some(unsampled), "what the client has sent");
    assert_eq!(upstream.head(1).get("traceparent"), None);
    collector.wait_spans("session end", 1);
    // The spans of sessions that ended before are in earlier requests, or in the same one.
    let spans = collector.spans();
    let sessions: Vec<_> = spans.iter().map(|span| attribute(&span.attributes, "towline.session")).collect();
    assert_eq!(sessions, ["1:2"; 3], "{spans:?}");
}

#[test]
fn a_client_that_is_not_trusted_decides_nothing() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let settings = traced(&upstream.url(), &collector.url()).with(r#"traces.client_context = "ignore""#);
    let proxy = Proxy::start(&settings);
    let unsampled = PARENT.replace("-01", "-00");
    let _client =
        Opening::new(proxy.addr()).header("traceparent", &unsampled).header("tracestate", "a=1").open();
    let start = collector.wait_spans("session start", 1).remove(0);
    assert!(start.parent_span_id.is_empty());
    assert_ne!(traceparent(&start)[..36], PARENT[..36]);
    let head = upstream.head(0);
    assert_eq!((head.get("traceparent"), head.get("tracestate")), (Some(traceparent(&start)), None));
}

#[test]
fn an_event_that_fails_has_a_span_with_the_reason() {
    let (upstream, collector) = (TestUpstream::silent(), Collector::start(Reply::Take));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("lost");
    upstream.conn(0).wait_messages(1);
    upstream.stop(Death::Reset);
    let (text, id) = client.recv_error();
    let event = collector.wait_spans("event", 1).remove(0);
    let of_event = |key: &str| attribute(&event.attributes, key);
    assert_eq!(of_event("towline.event"), id);
    assert_eq!([of_event("towline.outcome"), of_event("towline.stage")], ["errored", "upstream"]);
    assert_eq!(of_event("error.type"), "socket");
    let status = event.status.expect("a status");
    assert_eq!((status.code, status.message), (2, text));
}

#[test]
fn only_a_part_of_the_events_has_spans() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url()).with("traces.sample_events = 0"));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    client.close(1000, "");
    client.expect_closed(1000);
    collector.wait_spans("session end", 1);
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["session start", "session end"]);
}

#[test]
fn what_is_left_is_exported_when_the_process_ends() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let settings = traced(&upstream.url(), &collector.url()).with(r#"traces.export_interval = "1m""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    proxy.signal("TERM");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["session start", "event", "session end"]);
}

#[test]
fn spans_reach_a_collector_with_tls() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Take));
    let authority = Authority::new();
    let door = Door::accepting(authority.issue(&Leaf::new(&["localhost"])).server(), collector.addr());
    let url = format!("https://localhost:{}/v1/traces", door.addr().port());
    let settings = traced(&upstream.url(), &url).with(&format!("traces.ca = {:?}", authority.file()));
    let proxy = Proxy::start(&settings);
    let _client = proxy.client();
    collector.wait_spans("session start", 1);
    assert_eq!(collector.head(0).get("host"), Some(format!("localhost:{}", door.addr().port())));
}
