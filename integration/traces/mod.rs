//! Traces: which spans reach the collector, what the upstream gets, and what happens when the collector fails.

#[cfg(feature = "traces")]
mod collector;
#[cfg(feature = "traces")]
mod failing;
#[cfg(feature = "traces")]
mod spans;

use crate::harness::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Settings that trace everything, and send spans at once.
fn traced(url: &str, collector: &str) -> Settings {
    Settings::request(url)
        .with(&format!("traces.url = {collector:?}"))
        .with("traces.sample_events = 1")
        .with(r#"traces.export_interval = "10ms""#)
}

#[test]
fn the_trace_headers_of_a_client_reach_the_upstream() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let _client = Opening::new(proxy.addr()).header("traceparent", PARENT).header("tracestate", "a=1").open();
    let head = upstream.head(0);
    assert_eq!(head.get("traceparent").as_deref(), Some(PARENT));
    assert_eq!(head.get("tracestate").as_deref(), Some("a=1"));
}

#[test]
#[cfg(not(feature = "traces"))]
fn a_program_without_traces_refuses_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, traced("ws://127.0.0.1:9", "http://127.0.0.1:4318/v1/traces").text()).unwrap();
    let finished = Program::finish(&["run", "--config", file.to_str().unwrap()], &[], folder.path());
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("built without traces"), "{finished:?}");
}
