//! Tests of the limits of a route on clients with the same claim or header: sessions, and rates that they share.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::harness::*;

const TOO_MANY: &str = "Error accepting message: more messages than allowed";

fn limited(url: &str, limits: &str) -> Settings {
    Settings::request(url).on_route(&format!("limits = {limits}"))
}

/// Opens a session of a tenant.
fn of(proxy: &Proxy, tenant: &str) -> Opening {
    Opening::new(proxy.addr()).header("X-Tenant", tenant)
}

#[test]
fn a_cap_refuses_further_sessions_of_the_same_header() {
    let upstream = TestUpstream::echo();
    let settings = limited(&upstream.url(), r#"[{ by = "header:X-Tenant", max_sessions = 2 }]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let first = of(&proxy, "a").open();
    let mut second = of(&proxy, "a").open();
    for _ in 0..2 {
        let refusal = of(&proxy, "a").refused();
        assert_eq!((refusal.status(), refusal.head.get("retry-after").as_deref()), (429, Some("5")));
        assert_eq!(refusal.body, "too many sessions with the same claim or header\n");
    }
    let mut other = of(&proxy, "b").open();
    assert_eq!((second.ask("second"), other.ask("other")), ("second".to_owned(), "other".to_owned()));
    drop(first);
    let mut third = None;
    wait_for("the end of the first session", PATIENCE, || {
        third = of(&proxy, "a").try_open().ok();
        third.is_some()
    });
    assert_eq!(third.unwrap().ask("third"), "third");
    let line = proxy.wait_log("client refused *status=429 reason=\"too many sessions with the same claim");
    assert!(line.contains(" kind=key_sessions total=1 "), "{line}");
}

/// A client must not escape a limit by leaving out the header.
#[test]
fn sessions_without_the_header_share_one_limit() {
    let upstream = TestUpstream::echo();
    let settings = limited(&upstream.url(), r#"[{ by = "header:X-Tenant", max_sessions = 1 }]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut first = proxy.client();
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 429);
    assert_eq!(of(&proxy, "a").open().ask("a"), "a");
    assert_eq!(first.ask("first"), "first");
}

#[test]
fn each_limit_of_a_route_counts() {
    let upstream = TestUpstream::echo();
    let limits =
        r#"[{ by = "header:X-Tenant", max_sessions = 2 }, { by = "header:X-User", max_sessions = 1 }]"#;
    let proxy = Proxy::start(&limited(&upstream.url(), limits)).expect("client refused");
    let open = |user: &str| of(&proxy, "a").header("X-User", user);
    let _first = open("1").open();
    assert_eq!(open("1").refused().status(), 429);
    let _second = open("2").open();
    assert_eq!(open("3").refused().status(), 429);
}

#[test]
fn with_close_a_session_beyond_the_shared_rate_is_closed() {
    let upstream = TestUpstream::echo();
    let limits = r#"[{ by = "header:X-Tenant", messages = 1, burst = "3s", on_limit = "close" }]"#;
    let proxy = Proxy::start(&limited(&upstream.url(), limits));
    let [mut first, mut second] = [(); 2].map(|()| of(&proxy, "a").open());
    (0..3).for_each(|_| assert_eq!(first.ask("x"), "x"));
    (0..10).for_each(|_| second.text("x"));
    let (messages, code, reason) = second.read_to_end();
    assert_eq!((code, reason.as_str()), (Some(1008), TOO_MANY));
    assert_eq!(error_reply(messages.last().unwrap()).0, TOO_MANY);
}

/// A session that asks until its messages are refused. Returns how many were answered, and when the last message was
/// sent and refused.
fn exhaust(client: &mut Client) -> (usize, Instant, Instant) {
    let mut answered = 0;
    loop {
        let sent = Instant::now();
        if client.ask("x").starts_with('{') {
            return (answered, sent, Instant::now());
        }
        answered += 1;
    }
}

/// Fifty sessions that want more than the rate get exactly the rate together. The bounds hold whatever the load of the
/// machine: the bucket is full when the first message is sent, and empty when the last one is refused.
#[test]
fn the_rate_of_fifty_sessions_of_one_header_is_exact() {
    const SESSIONS: usize = 50;
    const RATE: f64 = 200.0;
    const MEASURED: Duration = Duration::from_secs(4);
    let upstream = TestUpstream::echo();
    let limits = r#"[{ by = "header:X-Tenant", messages = 200, burst = "5s" }]"#;
    let proxy = Proxy::start(&limited(&upstream.url(), limits));
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| of(&proxy, "a").open()).collect();
    let sent = Instant::now();
    assert_eq!(clients[0].ask("x"), "x");
    let answered = Instant::now();
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let mut count = 0;
                while answered.elapsed() < MEASURED {
                    count += exhaust(&mut client).0;
                    pause(Duration::from_millis(20));
                }
                (count, client)
            })
        })
        .collect();
    let (counts, mut clients): (Vec<_>, Vec<_>) =
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip();
    let (rest, last_sent, refused) = exhaust(&mut clients[0]);
    let count = 1 + counts.iter().sum::<usize>() + rest;
    let allowed = |time: Duration| RATE * (5.0 + time.as_secs_f64());
    let (least, most) = (allowed(last_sent - answered) - 1.0, allowed(refused - sent));
    println!("sessions={SESSIONS} answered={count} allowed={least:.1}..{most:.1}");
    assert!((least * 0.99..=most * 1.01).contains(&(count as f64)), "{count} is not within {least}..{most}");
    assert_eq!(upstream.received(), count);
}

/// Two keys of one team, and one of another.
#[test]
fn clients_with_the_same_claim_share_a_limit() {
    let upstream = TestUpstream::echo();
    // The hashes of `1`, `2` and `3`.
    let keys = r#"{ one = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b:team=a",
        two = "sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35:team=a",
        three = "sha256:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce:team=b" }"#;
    let settings =
        limited(&upstream.url(), r#"[{ by = "claim:team", max_sessions = 1, messages = 2, burst = "1s" }]"#)
            .with(r#"auth.keys.from = ["header:X-Key"]"#)
            .with(&format!("auth.keys.api_keys.keys = {}", keys.replace('\n', "")))
            .on_route(r#"auth = ["keys"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let open = |key: &str| Opening::new(proxy.addr()).header("X-Key", key);
    let mut first = open("1").open();
    assert_eq!(first.ask("first"), "first");
    assert_eq!(open("2").refused().status(), 429);
    assert_eq!(open("3").open().ask("other"), "other");
    (0..5).for_each(|_| first.text("x"));
    assert!((0..5).any(|_| first.recv_text().contains(TOO_MANY)), "the rate counts too");
}
