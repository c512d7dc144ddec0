//! `/metrics`: each metric is moved by what it counts.

mod bounds;
mod deploy;
mod reloads;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::harness::*;

/// The labels of the first route of the test settings.
const ROUTE: [(&str, &str); 1] = [("listener", "ws")];

/// Name, labels and expected sum of series.
type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

/// Waits until a scrape has all these numbers: what moves them may be counted a moment after it is seen elsewhere.
#[track_caller]
fn expect(proxy: &Proxy, numbers: &[Expected<'_>]) -> Scraped {
    let is_other = |scraped: &Scraped| {
        let mut others = numbers.iter().filter(|(name, labels, number)| scraped.sum(name, labels) != *number);
        others.next().map(|(name, labels, number)| format!("{number} for {name} {labels:?}"))
    };
    let (mut scraped, end) = (proxy.scrape(), Instant::now() + PATIENCE);
    while let Some(other) = is_other(&scraped) {
        assert!(Instant::now() < end, "no {other} in\n{}", scraped.text);
        pause(Duration::from_millis(10));
        scraped = proxy.scrape();
    }
    scraped
}

#[test]
fn a_scrape_has_each_metric_of_the_table_in_both_formats() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let scraped = proxy.scrape();
    let listed: BTreeSet<_> = towline::metrics::ALL.iter().map(|family| family.name.to_owned()).collect();
    assert_eq!(scraped.types.keys().cloned().collect::<BTreeSet<_>>(), listed);
    for family in towline::metrics::ALL {
        assert_eq!(scraped.types[family.name], family.kind.label());
        for (labels, _) in scraped.series(family.name) {
            assert!(labels.keys().all(|label| family.labels.contains(&label.as_str())), "{labels:?}");
        }
    }
    let mut raw = Raw::connect(proxy.admin());
    raw.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n");
    let head = raw.head();
    assert_eq!(
        head.get("content-type").unwrap(),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let body = raw.body(&head);
    assert!(body.ends_with("# EOF\n") && body.contains("# UNIT towline_reply_seconds seconds\n"), "{body}");
}

#[test]
fn messages_outcomes_and_replies_move_the_metrics_of_their_route() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    expect(&proxy, &[("towline_sessions_total", &ROUTE, 0.0), ("towline_reply_seconds_count", &ROUTE, 0.0)]);
    let mut client = proxy.client();
    for text in ["a", "four"] {
        assert_eq!(client.ask(text), text);
    }
    upstream.conn(0).text("push");
    assert_eq!(client.recv_text(), "push");
    let scraped = expect(
        &proxy,
        &[
            ("towline_sessions_active", &ROUTE, 1.0),
            ("towline_sessions_total", &ROUTE, 1.0),
            ("towline_messages_total", &[("direction", "received")], 2.0),
            ("towline_message_bytes_total", &[("direction", "received")], 5.0),
            ("towline_message_bytes_total", &[("direction", "sent")], 9.0),
            ("towline_events_total", &ROUTE, 2.0),
            ("towline_outcomes_total", &[("outcome", "answered")], 2.0),
            ("towline_outcomes_total", &[], 2.0),
            ("towline_pushes_total", &ROUTE, 1.0),
            ("towline_reply_seconds_count", &ROUTE, 2.0),
            ("towline_upstream_up", &[("endpoint", &upstream.url())], 1.0),
            ("towline_upstream_sessions", &[("upstream", "echo")], 1.0),
            ("towline_upstream_connections_total", &[("upstream", "echo")], 1.0),
            ("towline_upstream_messages_total", &[("direction", "sent")], 2.0),
            ("towline_upstream_messages_total", &[("direction", "received")], 3.0),
            ("towline_upstream_message_bytes_total", &[("direction", "received")], 9.0),
            ("towline_close_total", &[], 0.0),
            ("towline_errors_total", &[], 0.0),
        ],
    );
    assert!(scraped.sum("towline_reply_seconds_sum", &[]) > 0.0);
    client.close(4321, "bye");
    expect(
        &proxy,
        &[
            ("towline_sessions_active", &[], 0.0),
            ("towline_close_total", &[("side", "downstream"), ("code", "4xxx")], 1.0),
            ("towline_sessions_total", &[], 1.0),
            ("towline_upstream_sessions", &[], 0.0),
        ],
    );
}

#[test]
fn an_outage_moves_errors_restarts_and_the_state_of_the_endpoint() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with("upstream.echo.recovery.notice = true");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("lost");
    upstream.conn(0).wait_messages(1);
    upstream.stop(Death::Reset);
    client.recv_error();
    expect(
        &proxy,
        &[
            ("towline_upstream_up", &[], 0.0),
            ("towline_outcomes_total", &[("outcome", "errored")], 1.0),
            ("towline_errors_total", &[("stage", "upstream"), ("kind", "socket")], 1.0),
            ("towline_outage_seconds_count", &[], 0.0),
        ],
    );
    let restarts = [("upstream", "echo"), ("reason", "socket")];
    proxy.wait_metrics("a restart", |scraped| {
        scraped.sum("towline_connector_restarts_total", &restarts) >= 1.0
    });
    upstream.start();
    let up = expect(
        &proxy,
        &[("towline_outage_seconds_count", &[("upstream", "echo")], 1.0), ("towline_upstream_up", &[], 1.0)],
    );
    assert!(up.sum("towline_outage_seconds_sum", &[]) > 0.0);
    proxy.wait_metrics("a gap", |scraped| scraped.sum("towline_gaps_total", &ROUTE) >= 1.0);
}

/// Otherwise nobody could tell which endpoint has the sessions that another series counts.
#[test]
fn all_metrics_of_an_endpoint_have_the_same_label_among_many_endpoints() {
    let upstream = TestUpstream::echo();
    let rest = (0..80).map(|number| format!("{{ url = \"ws://127.0.0.1:1/{number}\", priority = 1 }}"));
    let own = format!("{:?}", upstream.url());
    let list = rest.chain([own]).collect::<Vec<_>>().join(", ");
    let proxy = Proxy::start(&Settings::request(&upstream.url()).endpoints(&format!("[{list}]")));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let url = upstream.url();
    let own: [(&str, &str); 1] = [("endpoint", &url)];
    let numbers = [
        ("towline_upstream_connections_total", &own[..], 1.0),
        ("towline_upstream_sessions", &own, 1.0),
        ("towline_upstream_sessions", &[("endpoint", "other")], 0.0),
    ];
    expect(&proxy, &numbers);
    let scraped = proxy.scrape();
    let names = scraped.series("towline_upstream_sessions").map(|(labels, _)| labels["endpoint"].clone());
    assert_eq!(names.count(), 65);
    expect(&proxy, &numbers);
}

#[test]
fn refused_handshakes_and_suppressed_lines_are_counted() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).on_route(r#"path = "/chat""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for _ in 0..5 {
        Opening::new(proxy.addr()).path("/other").refused();
    }
    expect(
        &proxy,
        &[
            ("towline_handshakes_refused_total", &[("reason", "no_route")], 5.0),
            ("towline_handshakes_refused_total", &[], 5.0),
            ("towline_sessions_total", &[], 0.0),
        ],
    );
    proxy.wait_metrics("a suppressed line", |scraped| {
        scraped.sum("towline_log_lines_suppressed_total", &[]) >= 1.0
    });
    expect(&proxy, &[("towline_log_lines_dropped_total", &[], 0.0)]);
}

#[test]
fn a_client_that_does_not_read_moves_queue_bytes_discarded_messages_and_gaps() {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url())
        .with(r#"listener.ws.slow_consumer_timeout = "200ms""#)
        .with(r#"listener.ws.slow_consumer = "drop_oldest""#)
        .with(r#"listener.ws.tcp_user_timeout = "never""#);
    let proxy = Proxy::start(&settings).expect("client does not read: dropping session=1:0");
    let mut client = proxy.client();
    let (conn, text) = (upstream.conn(0), "x".repeat(10_000));
    (0..2000).for_each(|_| conn.text(&text));
    let scraped = proxy.wait_metrics("messages to be dropped", |scraped| {
        scraped.sum("towline_messages_discarded_total", &ROUTE) > 0.0
    });
    let (queued, limit) =
        (scraped.sum("towline_queue_bytes", &[]), scraped.sum("towline_queue_limit_bytes", &[]));
    assert!(queued > 0.0 && limit > queued, "{queued} of {limit}");
    while client.recv().to_text().unwrap() == text {}
    proxy.wait_metrics("a gap", |scraped| scraped.sum("towline_gaps_total", &ROUTE) >= 1.0);
}

#[test]
fn moves_and_replays_are_counted() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.max_age = "300ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    proxy
        .wait_metrics("a move", |scraped| scraped.sum("towline_moves_total", &[("upstream", "echo")]) >= 1.0);
    expect(&proxy, &[("towline_outage_seconds_count", &[], 0.0)]);

    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), r#"preset = "graphql-transport-ws""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let (init, ack) = (r#"{"type":"connection_init"}"#, r#"{"type":"connection_ack"}"#);
    client.text(init);
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).text(ack);
    assert_eq!(client.recv_text(), ack);
    upstream.conn(0).die(Death::Reset);
    upstream.conn(1).wait_messages(1);
    upstream.conn(1).text(ack);
    proxy.wait_metrics("a replay", |scraped| {
        scraped.sum("towline_replays_total", &[("upstream", "echo")]) == 1.0
    });
}

#[test]
fn the_state_of_the_process_is_shown() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let settings = Settings::request(&upstream.url())
        .with(&format!(
            "listener.ws.tls.certificates = [{{ cert = {:?}, key = {:?} }}]",
            issued.cert, issued.key
        ))
        .with(r#"drain.grace = "30s""#)
        .with(r#"listener.plain.bind = "127.0.0.1:0""#);
    let proxy = Proxy::start(&settings);
    let scraped = expect(
        &proxy,
        &[
            ("towline_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
            ("towline_configuration_number", &[], 1.0),
            ("towline_configurations_alive", &[], 1.0),
            ("towline_draining", &[], 0.0),
        ],
    );
    assert_eq!(scraped.series("towline_certificate_expiry_timestamp_seconds").count(), 1);
    let started = scraped.sum("process_start_time_seconds", &[]);
    let expires = scraped.sum("towline_certificate_expiry_timestamp_seconds", &[("listener", "ws")]);
    assert!(started > 1.7e9 && expires > started, "{started} {expires}");
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(scraped.sum(name, &[]) > 0.0, "{name}");
    }
    // A session with an unsettled event keeps the drain going.
    upstream.set(|_, _| {});
    let mut client = Client::connect(proxy.listener("plain"));
    client.text("unsettled");
    upstream.conn(0).wait_messages(1);
    proxy.signal("TERM");
    proxy.wait_metrics("the drain", |scraped| scraped.sum("towline_draining", &[]) == 1.0);
}
