//! Collectors that fail: sessions go on, and each lost span is counted.

use std::time::Duration;

use super::{
    collector::{Collector, Reply},
    traced,
};
use crate::harness::*;

/// The time in which the exporter tries again after an outage of a few seconds, and much more.
const LATE: Duration = Duration::from_secs(90);

const LOST: &str = "towline_trace_spans_lost_total";
const EXPORTED: &str = "towline_trace_spans_exported_total";

fn lost(scraped: &Scraped, reason: &str) -> f64 {
    scraped.sum(LOST, &[("reason", reason)])
}

/// A client that asks this many times, and gets all replies.
#[track_caller]
fn ask(proxy: &Proxy, times: usize) -> Client {
    let mut client = proxy.client();
    for number in 0..times {
        assert_eq!(client.ask(&format!("{number}")), format!("{number}"));
    }
    client
}

#[test]
fn sessions_go_on_while_there_is_no_collector_and_spans_reach_it_later() {
    let (upstream, port) = (TestUpstream::echo(), Port::take());
    let url = format!("http://{}/v1/traces", port.addr());
    let settings = traced(&upstream.url(), &url).with("traces.queue = 2");
    let proxy = Proxy::start(&settings).expect("traces not exported");
    let _client = ask(&proxy, 1);
    proxy.wait_log("traces not exported url=*reason=*refused*");
    // The exporter waits until it tries again, so the queue fills.
    let _client = ask(&proxy, 50);
    let scraped = proxy.wait_metrics("lost spans", |scraped| lost(scraped, "queue_full") > 0.0);
    assert_eq!(scraped.sum(EXPORTED, &[]), 0.0);
    let collector = Collector::on(port.listen(), Reply::Take);
    wait_for("spans at the collector", LATE, || collector.requests() > 0);
    proxy.wait_log("INFO *traces are exported again url=");
    proxy.wait_metrics("exported spans", |scraped| scraped.sum(EXPORTED, &[]) > 0.0);
    assert_eq!(proxy.count_log("traces not exported url="), 1, "one line for the outage");
}

#[test]
fn sessions_go_on_while_the_collector_does_not_answer() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Hang));
    let settings = traced(&upstream.url(), &collector.url())
        .with("traces.queue = 2")
        .with(r#"traces.export_timeout = "1m""#);
    let mut proxy = Proxy::start(&settings).expect("spans left at the end");
    let _client = ask(&proxy, 1);
    wait_for("a request", PATIENCE, || collector.requests() > 0);
    let mut client = ask(&proxy, 50);
    proxy.wait_metrics("lost spans", |scraped| lost(scraped, "queue_full") > 0.0);
    // The end of the process does not wait for it either.
    proxy.signal("TERM");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
    proxy.wait_log("spans left at the end spans=");
}

#[test]
fn spans_that_a_collector_refuses_are_lost_at_once() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Status("400 Bad Request")));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url())).expect("traces not exported");
    let mut client = ask(&proxy, 5);
    client.close(1000, "");
    client.expect_closed(1000);
    // The start, five events, and the end.
    let scraped = proxy.wait_metrics("lost spans", |scraped| lost(scraped, "not_exported") == 7.0);
    assert_eq!((scraped.sum(LOST, &[]), scraped.sum(EXPORTED, &[])), (7.0, 0.0));
    assert_eq!(collector.spans().len(), 7, "none is sent again");
    proxy.wait_log("traces not exported url=*reason=\"status 400\"");
}

#[test]
fn spans_that_an_overloaded_collector_refuses_are_sent_again() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Status("503 Busy")));
    let proxy = Proxy::start(&traced(&upstream.url(), &collector.url())).expect("traces not exported");
    let _client = proxy.client();
    wait_for("a request", PATIENCE, || collector.requests() > 0);
    collector.answer(Reply::Take);
    wait_for("exported spans", LATE, || proxy.scrape().sum(EXPORTED, &[]) == 1.0);
    assert_eq!(proxy.scrape().sum(LOST, &[]), 0.0);
    let spans = collector.spans();
    assert!(spans.len() >= 2 && spans.iter().all(|span| span.span_id == spans[0].span_id), "{spans:?}");
}

#[test]
fn spans_that_a_collector_takes_out_of_a_request_are_counted() {
    let (upstream, collector) = (TestUpstream::echo(), Collector::start(Reply::Reject(1)));
    let settings = traced(&upstream.url(), &collector.url());
    let proxy = Proxy::start(&settings).expect("spans refused by the collector");
    let mut client = ask(&proxy, 3);
    client.close(1000, "");
    client.expect_closed(1000);
    let scraped = proxy
        .wait_metrics("all spans", |scraped| lost(scraped, "rejected") + scraped.sum(EXPORTED, &[]) == 5.0);
    // One in each request.
    assert_eq!(lost(&scraped, "rejected"), collector.requests() as f64);
    proxy.wait_log("spans refused by the collector spans=1 reason=\"too many\"");
}
