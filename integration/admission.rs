//! Tests of the limits on sessions and handshakes: the response to a client above each limit, and that ended
//! clients free their slots (guarantee C4).

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use crate::harness::*;

/// A second client address on the same machine.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn start(url: &str, lines: &[&str]) -> Proxy {
    let settings = lines.iter().fold(Settings::request(url), |settings, line| settings.with(line));
    Proxy::start(&settings).expect("client refused")
}

/// Expects a refusal with `Retry-After`.
#[track_caller]
fn refused(opening: &Opening, status: u16, text: &str) {
    let refusal = opening.refused();
    assert_eq!((refusal.status(), refusal.body.trim_end()), (status, text));
    let seconds: u32 = refusal.head.get("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
}

/// Retries until a client is accepted.
#[track_caller]
fn let_in(opening: &Opening) -> Client {
    let mut client = None;
    wait_for("a client to be accepted", PATIENCE, || {
        client = opening.try_open().ok();
        client.is_some()
    });
    client.expect("just seen")
}

#[test]
fn the_sessions_of_a_listener_are_limited() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream.url(), &["listener.ws.max_sessions = 2"]);
    let opening = Opening::new(proxy.addr());
    let mut clients = vec![opening.open(), opening.open()];
    refused(&opening, 503, "too many sessions at this listener");
    assert_eq!(upstream.handshakes(), 2, "a refused client causes no dial");
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    // However a session ends, its slot is free afterwards.
    clients.remove(0).reset();
    let mut third = let_in(&opening);
    refused(&opening, 503, "too many sessions at this listener");
    third.close(1000, "");
    third.expect_closed(1000);
    assert_eq!(let_in(&opening).ask("hello"), "hello");
}

#[test]
fn the_sessions_of_the_process_are_limited() {
    let upstream = TestUpstream::echo();
    let lines = ["server.max_sessions = 2", r#"listener.other.bind = "127.0.0.1:0""#];
    let proxy = start(&upstream.url(), &lines);
    let openings = ["ws", "other"].map(|name| Opening::new(proxy.listener(name)));
    let [one, _other] = [openings[0].open(), openings[1].open()];
    for opening in &openings {
        refused(opening, 503, "too many sessions");
    }
    drop(one);
    assert_eq!(let_in(&openings[1]).ask("hello"), "hello");
}

#[test]
fn the_sessions_of_an_address_are_limited() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream.url(), &["listener.ws.max_sessions_per_address = 1"]);
    let opening = Opening::new(proxy.addr());
    let client = opening.open();
    refused(&opening, 429, "too many sessions from this address");
    assert_eq!(opening.clone().from(ELSEWHERE).open().ask("hello"), "hello");
    drop(client);
    assert_eq!(let_in(&opening).ask("hello"), "hello");
}

#[test]
fn new_sessions_are_limited_by_rate() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream.url(), &["listener.ws.max_new_sessions = 3"]);
    let opening = Opening::new(proxy.addr());
    let begun = Instant::now();
    let tries: Vec<_> = (0..20).map(|_| opening.try_open()).collect();
    let clients = tries.iter().filter(|tried| tried.is_ok()).count();
    // Three more per second may have been accepted if the machine is slow.
    assert!((3..=3 + 3 * (1 + begun.elapsed().as_secs() as usize)).contains(&clients), "{clients}");
    if let Some(Err(refusal)) = tries.iter().find(|tried| tried.is_err()) {
        assert_eq!((refusal.status(), refusal.head.get("retry-after").as_deref()), (503, Some("1")));
        assert_eq!(refusal.body, "too many new sessions\n");
    }
    assert_eq!(let_in(&opening).ask("hello"), "hello", "all the others are still there");
}

#[test]
fn the_handshakes_of_the_process_are_limited() {
    let upstream = TestUpstream::echo();
    // A single worker accepts clients in the order of their connections.
    let lines =
        ["server.workers = 1", "server.max_handshakes = 2", r#"listener.ws.handshake_timeout = "1m""#];
    let proxy = start(&upstream.url(), &lines);
    let opening = Opening::new(proxy.addr());
    // A client with a session does not count as a handshake.
    let mut clients: Vec<_> = (0..3).map(|_| let_in(&opening)).collect();
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    let mut slow = [Raw::connect(proxy.addr()), Raw::connect(proxy.addr())];
    refused(&opening, 503, "too many handshakes");
    let mut third = Raw::connect(proxy.addr());
    assert_eq!(third.head().status(), 503, "before it has sent anything");
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    slow[0].write(request("/", &[]).as_bytes());
    assert_eq!(slow[0].head().status(), 101);
    assert_eq!(let_in(&opening).ask("hello"), "hello");
}

#[test]
fn a_client_that_the_upstream_refuses_frees_its_slot() {
    let upstream = TestUpstream::echo();
    let lines = ["listener.ws.max_sessions = 1", "listener.ws.max_sessions_per_address = 1"];
    let proxy = start(&upstream.url(), &lines);
    upstream.set_answer(Answer::Refuse(403));
    for _ in 0..3 {
        assert_eq!(Opening::new(proxy.addr()).refused().status(), 403);
    }
    upstream.set_answer(Answer::Accept);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn a_client_that_disconnects_during_the_dial_frees_its_slot() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with("listener.ws.max_sessions = 1")
        .with(r#"upstream.echo.connect_timeout = "1h""#)
        .on_route(r#"dial_before_accept = "1h""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let opening = Opening::new(proxy.addr());
    upstream.set_answer(Answer::Silent);
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request("/", &[]).as_bytes());
    upstream.head(0);
    refused(&opening, 503, "too many sessions at this listener");
    upstream.set_answer(Answer::Accept);
    drop(raw);
    assert_eq!(let_in(&opening).ask("hello"), "hello");
}

#[test]
fn a_flood_of_refusals_causes_few_log_lines() {
    let upstream = TestUpstream::echo();
    let proxy = start(&upstream.url(), &["listener.ws.max_sessions = 1"]);
    let _client = proxy.client();
    let begun = Instant::now();
    for _ in 0..200 {
        Opening::new(proxy.addr()).refused();
    }
    let seconds = begun.elapsed().as_secs() as usize;
    let suppressed_in =
        |line: &str| line.rsplit_once("suppressed=").map_or(0, |(_, count)| count.parse::<usize>().unwrap());
    wait_for("all refusals to be logged", PATIENCE, || {
        let log = proxy.log();
        let lines: Vec<_> = log.iter().filter(|line| line.contains("client refused ")).collect();
        let written = lines.iter().filter(|line| line.contains("status=503")).count();
        let suppressed: usize = lines.iter().map(|line| suppressed_in(line)).sum();
        assert!(lines.len() <= seconds + 3, "{lines:?}");
        written + suppressed == 200
    });
}

#[test]
fn the_limit_on_sessions_is_logged_at_start() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url());
    let proxy = Proxy::start(&settings);
    let line = proxy.wait_log("limits sessions=*open_files=");
    let (before, open_files) = line.split_once(" open_files=").unwrap();
    let sessions: u64 = before.rsplit_once('=').unwrap().1.parse().unwrap();
    let open_files: u64 = open_files.parse().unwrap();
    assert!(open_files >= 1024 && sessions == (open_files - 128) / 2, "{line}");
    let settings = settings.with("server.max_sessions = 10_000_000");
    if open_files < 20_000_000 {
        let proxy = Proxy::start(&settings).expect("the limit on open files is too low for max_sessions");
        proxy.wait_log("limits sessions=10000000 open_files=");
        proxy.wait_log(&format!("the limit on open files is too low for max_sessions*sessions={sessions}"));
        assert!(proxy.has_log("listening", Duration::ZERO));
    }
}
