//! Sessions are spread over the worker threads.

use crate::harness::*;

/// Sessions that stay, and as many that end before the next one starts.
const STAYING: usize = 24;
/// The largest difference between two threads at any moment at which no session starts or ends.
const DIFFERENCE_MAX: f64 = 1.0;

/// The connections of each thread, when there are `sessions` in all.
#[track_caller]
fn loads(proxy: &Proxy, sessions: usize) -> Vec<f64> {
    let scraped = proxy.wait_metrics("the sessions on the threads", |scraped| {
        scraped.sum("towline_worker_connections", &[]) == sessions as f64
    });
    scraped.series("towline_worker_connections").map(|(_, count)| count).collect()
}

/// Every second session ends at once. If connections were passed to the threads in turn, those that stay would all be on
/// one thread.
#[test]
fn sessions_are_spread_evenly_while_others_come_and_go() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with("server.workers = 2"));
    assert_eq!(loads(&proxy, 0), [0.0, 0.0]);
    let mut staying = Vec::new();
    for count in 1..=STAYING {
        staying.push(Client::connect(proxy.listener("ws")));
        let mut short = Client::connect(proxy.listener("ws"));
        assert_eq!(short.ask("hello"), "hello");
        drop(short);
        let loads = loads(&proxy, count);
        assert!((loads[0] - loads[1]).abs() <= DIFFERENCE_MAX, "{loads:?} with {count} sessions");
    }
    // Half of the sessions end, whichever they are, and others take their place.
    staying.truncate(STAYING / 2);
    loads(&proxy, STAYING / 2);
    while staying.len() < STAYING {
        staying.push(Client::connect(proxy.listener("ws")));
        loads(&proxy, staying.len());
    }
    let spread = loads(&proxy, STAYING);
    assert!((spread[0] - spread[1]).abs() <= DIFFERENCE_MAX, "{spread:?}");
}

/// A thread has one count for all listeners.
#[test]
fn the_sessions_of_all_listeners_are_spread_together() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"listener.other.bind = "127.0.0.1:0""#);
    let proxy = Proxy::start(&settings.with("server.workers = 2"));
    let mut clients = Vec::new();
    for count in 1..=STAYING {
        clients.push(Client::connect(proxy.listener(if count % 2 == 0 { "ws" } else { "other" })));
        let loads = loads(&proxy, count);
        assert!((loads[0] - loads[1]).abs() <= DIFFERENCE_MAX, "{loads:?} with {count} sessions");
    }
}
