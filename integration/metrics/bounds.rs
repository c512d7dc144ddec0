//! The number of series, the sums of outcomes, and scrapes under load.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use crate::harness::*;

/// The series of a scrape, without their numbers.
fn names(scraped: &Scraped) -> BTreeSet<(String, Labels)> {
    scraped.samples.keys().cloned().collect()
}

/// Settings whose route echoes by a program, without an upstream.
fn echoing() -> Settings {
    let settings = Settings::bare().with(r#"listener.ws.bind = "127.0.0.1:0""#).route(&[]);
    settings.incoming("select event from in into reply;")
}

#[test]
fn values_of_labels_never_come_from_clients() {
    let upstream = TestUpstream::echo();
    let others: Vec<_> = (0..3).map(|_| TestUpstream::echo()).collect();
    let allowed: Vec<_> = others.iter().map(|other| format!("{:?}", other.url())).collect();
    let program = "define script choose script let $url = event.url; event end; create script choose; \
                   select event from in into choose; select event from choose into out;";
    let settings = Settings::json(&upstream.url())
        .on_route(r#"path = "/chat""#)
        .with(&format!("upstream.echo.allow_urls = [{}]", allowed.join(", ")))
        .incoming(program);
    let proxy = Proxy::start(&settings).expect("client refused").expect("session").expect_restarts();
    let converse = |number: usize| {
        let code = 3000 + (number * 397 % 2000) as u16;
        let opening = Opening::new(proxy.addr()).path(&format!("/chat/{number}?q={number}"));
        let opening = opening.header("Origin", &format!("https://{number}.test"));
        let mut client = opening.header("X-Odd", "\"},{").protocols(&format!("p{number}")).open();
        let other = others[number % others.len()].url();
        assert_eq!(client.ask(&format!(r#"{{"url":"{other}"}}"#)), format!(r#"{{"url":"{other}"}}"#));
        client.text("no JSON {");
        client.recv_error();
        client.close(code, &format!("reason {number}"));
        Opening::new(proxy.addr())
            .path(&format!("/odd/{number}"))
            .header("Host", &format!("h{number}"))
            .refused();
    };
    (0..10).for_each(converse);
    let ended = |count: usize| {
        proxy.wait_metrics("the ends of the sessions", |scraped| {
            scraped.sum("towline_close_total", &[]) == count as f64
                && scraped.sum("towline_sessions_active", &[]) == 0.0
        })
    };
    let before = ended(10);
    (10..60).for_each(converse);
    let after = ended(60);
    let new: Vec<_> = names(&after).difference(&names(&before)).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
    let odd = after.samples.keys().flat_map(|(_, labels)| labels.values());
    let is_odd =
        |value: &&String| ["odd", "chat/", "reason", ".test", "p1"].iter().any(|text| value.contains(text));
    assert_eq!(odd.filter(is_odd).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(after.sum("towline_upstream_connections_total", &[("endpoint", "named")]), 60.0);
}

#[test]
fn ten_thousand_short_sessions_leave_the_number_of_series_as_it_is() {
    const SESSIONS: usize = 10_000;
    const THREADS: usize = 4;
    let proxy = Proxy::start(&echoing());
    let addr = proxy.addr();
    let open = |count: usize| {
        for number in 0..count {
            let mut client = Client::connect(addr);
            if number % 10 == 0 {
                assert_eq!(client.ask("hello"), "hello");
            }
            client.vanish();
        }
    };
    let ended = |count: usize| {
        proxy.wait_metrics("the ends of the sessions", |scraped| {
            scraped.sum("towline_sessions_total", &[]) == count as f64
                && scraped.sum("towline_sessions_active", &[]) == 0.0
        })
    };
    open(20);
    let before = ended(20);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| open(SESSIONS / THREADS));
        }
    });
    let after = ended(SESSIONS + 20);
    assert_eq!(names(&after), names(&before));
    assert!(after.len() < 200, "{}", after.len());
}

#[test]
fn the_outcomes_of_all_messages_add_up_after_many_losses() {
    const SESSIONS: usize = 10;
    const DEATHS: usize = 20;
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    let enough = AtomicBool::new(false);
    let accepted = |scraped: &Scraped| scraped.sum("towline_events_total", &[]);
    let answered = |scraped: &Scraped| scraped.sum("towline_outcomes_total", &[("outcome", "answered")]);
    let sent: usize = std::thread::scope(|threads| {
        let talking = clients.into_iter().map(|mut client| {
            let enough = &enough;
            threads.spawn(move || {
                let mut sent = 0;
                while !enough.load(SeqCst) {
                    (0..8).for_each(|number| client.text(&format!("{number}")));
                    (0..8).for_each(|_| _ = client.recv());
                    sent += 8;
                }
                client.close(1000, "");
                sent
            })
        });
        let talking: Vec<_> = talking.collect();
        let (mut last, mut outcomes) = (proxy.scrape(), 0.0);
        for _ in 0..DEATHS {
            let goal = answered(&last) + 100.0;
            upstream.stop(Death::Reset);
            upstream.start();
            last = proxy.wait_metrics("the load to go on", |scraped| {
                let settled = scraped.sum("towline_outcomes_total", &[]);
                assert!(settled >= outcomes, "a counter fell");
                outcomes = settled;
                answered(scraped) >= goal
            });
        }
        enough.store(true, SeqCst);
        talking.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let end = proxy.wait_metrics("the ends of the sessions", |scraped| {
        scraped.sum("towline_sessions_active", &[]) == 0.0
    });
    let outcome = |outcome: &str| end.sum("towline_outcomes_total", &[("outcome", outcome)]);
    assert_eq!(accepted(&end), sent as f64);
    assert_eq!(end.sum("towline_outcomes_total", &[]), sent as f64, "each message has one outcome (C1)");
    assert_eq!((outcome("delivered"), outcome("dropped")), (0.0, 0.0));
    assert_eq!(outcome("errored"), end.sum("towline_errors_total", &[]));
    assert_eq!(outcome("answered"), end.sum("towline_reply_seconds_count", &[]));
    assert!(outcome("errored") > 0.0 && outcome("answered") > 0.0);
    assert!(end.sum("towline_connector_restarts_total", &[]) >= DEATHS as f64);
}

#[test]
fn a_scrape_every_tenth_of_a_second_under_load_harms_nothing() {
    let proxy = Proxy::start(&echoing());
    let clients: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    let enough = AtomicBool::new(false);
    let sent: usize = std::thread::scope(|threads| {
        let talking = clients.into_iter().map(|mut client| {
            let enough = &enough;
            threads.spawn(move || {
                let mut sent = 0;
                while !enough.load(SeqCst) {
                    let text = format!("{sent}");
                    assert_eq!(client.ask(&text), text);
                    sent += 1;
                }
                sent
            })
        });
        let talking: Vec<_> = talking.collect();
        let mut last = 0.0;
        for _ in 0..30 {
            let scraped = proxy.scrape();
            let answered = scraped.sum("towline_outcomes_total", &[("outcome", "answered")]);
            assert!(answered >= last);
            last = answered;
            pause(Duration::from_millis(100));
        }
        enough.store(true, SeqCst);
        talking.into_iter().map(|client| client.join().unwrap()).sum()
    });
    // An outcome may be counted a moment after the answer has arrived.
    proxy.wait_metrics("all outcomes", |scraped| {
        scraped.sum("towline_outcomes_total", &[("outcome", "answered")]) == sent as f64
    });
    assert!(sent > 0);
}
