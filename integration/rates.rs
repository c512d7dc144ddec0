//! Tests of rate limits on messages: of a session, and of all sessions of an address.

use std::time::{Duration, Instant};

use crate::harness::*;

fn limited(url: &str, lines: &[&str]) -> Settings {
    lines.iter().fold(Settings::request(url), |settings, line| settings.with(line))
}

const TOO_MANY: &str = "Error accepting message: more messages than allowed";

#[test]
fn messages_above_the_rate_get_error_replies_and_never_reach_the_upstream() {
    let upstream = TestUpstream::echo();
    let lines = ["listener.ws.rate.messages = 1", r#"listener.ws.rate.burst = "5s""#];
    let proxy = Proxy::start(&limited(&upstream.url(), &lines));
    let mut client = proxy.client();
    (0..20).for_each(|number| client.text(&format!("{number}")));
    let begun = Instant::now();
    let got: Vec<_> = (0..20).map(|_| client.recv()).collect();
    let replies = got.iter().filter(|message| !message.to_text().unwrap().starts_with('{')).count();
    // One more per second may have been accepted if the machine is slow.
    assert!((5..=5 + 1 + begun.elapsed().as_secs() as usize).contains(&replies), "{replies}");
    for (number, message) in got.iter().enumerate().skip(replies) {
        assert_eq!(error_reply(message), (TOO_MANY.to_owned(), format!("1:0:{number}")));
    }
    assert_eq!(upstream.received(), replies);
}

#[test]
fn bytes_above_the_rate_get_error_replies() {
    let upstream = TestUpstream::echo();
    let lines = [r#"listener.ws.rate.bytes = "10KiB""#, r#"listener.ws.rate.burst = "10s""#];
    let proxy = Proxy::start(&limited(&upstream.url(), &lines));
    let mut client = proxy.client();
    let large = "x".repeat(100_000);
    assert_eq!(client.ask(&large), large);
    assert_eq!(client.ask("more"), "more", "the rest of the burst");
    client.text(&large);
    assert_eq!(client.recv_error().0, "Error accepting message: more bytes than allowed");
}

#[test]
fn with_delay_a_client_above_the_rate_is_not_read() {
    let upstream = TestUpstream::echo();
    let lines = [
        "listener.ws.rate.messages = 20",
        r#"listener.ws.rate.burst = "100ms""#,
        r#"listener.ws.rate.on_limit = "delay""#,
    ];
    let proxy = Proxy::start(&limited(&upstream.url(), &lines));
    let mut client = proxy.client();
    let begun = Instant::now();
    (0..22).for_each(|number| client.text(&format!("{number}")));
    (0..22).for_each(|number| assert_eq!(client.recv_text(), format!("{number}")));
    // Two messages at once, then 20 per second. The test does not wait for the last one.
    assert!(begun.elapsed() >= Duration::from_millis(850), "{:?}", begun.elapsed());
}

#[test]
fn with_close_a_client_above_the_rate_is_closed() {
    let upstream = TestUpstream::echo();
    let lines = [
        "listener.ws.rate.messages = 1",
        r#"listener.ws.rate.burst = "2s""#,
        r#"listener.ws.rate.on_limit = "close""#,
    ];
    let proxy = Proxy::start(&limited(&upstream.url(), &lines));
    let mut client = proxy.client();
    (0..10).for_each(|number| client.text(&format!("{number}")));
    let (messages, code, reason) = client.read_to_end();
    assert_eq!((code, reason.as_str()), (Some(1008), TOO_MANY));
    let (refused, answered) = messages.split_last().expect("an error reply for the last message");
    assert_eq!(error_reply(refused).0, TOO_MANY);
    assert!((2..10).contains(&answered.len()), "{messages:?}");
}

#[test]
fn the_sessions_of_an_address_share_its_rate() {
    let upstream = TestUpstream::echo();
    let lines = ["listener.ws.address_rate.messages = 1", r#"listener.ws.address_rate.burst = "4s""#];
    let proxy = Proxy::start(&limited(&upstream.url(), &lines));
    let mut clients = [proxy.client(), proxy.client()];
    let begun = Instant::now();
    let mut replies = 0;
    for number in 0..20 {
        let client = &mut clients[number % 2];
        replies += usize::from(!client.ask("hello").starts_with('{'));
    }
    let most = || 4 + 1 + begun.elapsed().as_secs() as usize;
    assert!((4..=most()).contains(&replies), "{replies}");
    // Reconnecting does not reset the limit.
    drop(clients);
    proxy.wait_log("session closed session=1:1");
    let mut client = proxy.client();
    replies += (0..20).filter(|_| !client.ask("hello").starts_with('{')).count();
    assert!(replies <= most(), "{replies}");
}
