//! Tests of invalid responses to the proxy's handshake (RFC 6455 section 4.1): the client is accepted, and
//! its events fail with the reason until the upstream responds correctly.

use super::{finish, sending};
use crate::harness::*;

/// A name, a response to the handshake, and the reason in the log.
type Case = (&'static str, Answer, &'static str);

/// Runs each case in a new session, and checks that the error reply has the same reason as the log.
#[track_caller]
fn answered(cases: &[Case]) {
    answered_with(cases, 0, |reason| reason);
}

/// Runs each case in a new session. `waiting` events wait for the dial, and `reported` maps the reason in the
/// log to the reason in the error reply.
#[track_caller]
fn answered_with(cases: &[Case], waiting: usize, reported: impl Fn(&'static str) -> &'static str) {
    let upstream = TestUpstream::echo();
    // The dial of an event that waits takes longer than the client waits to be accepted.
    let (connect, accept) = if waiting == 0 { ("10s", "10s") } else { ("1s", "150ms") };
    let settings = Settings::request(&upstream.url())
        .with(&format!("upstream.echo.connect_timeout = {connect:?}"))
        .on_route(&format!("dial_before_accept = {accept:?}"));
    let proxy = Proxy::start(&settings).expect_restarts();
    for (session, (name, answer, reason)) in cases.iter().enumerate() {
        println!("{name}");
        upstream.set_answer(answer.clone());
        let mut client = proxy.client();
        client.text("question");
        let error = sending(&upstream, reported(reason));
        assert_eq!(client.recv_error(), (error, format!("1:{session}:0")), "{name}");
        let line = format!("connector restart session=1:{session} upstream=echo attempt=1 delay=*ms reason=");
        let line = proxy.wait_log(&line);
        assert!(line.ends_with(&format!("reason=\"{reason}\" unsettled={waiting}")), "{name}: {line}");
        upstream.set_answer(Answer::Accept);
        proxy.wait_ups_of(&format!("1:{session}"), 1);
        assert_eq!(client.ask("hello"), "hello", "{name}");
        finish(client, &proxy, session, 2);
    }
    assert_eq!(upstream.received(), cases.len(), "each message is sent once");
}

#[test]
fn statuses() {
    let refuses = |name, status, reason| (name, Answer::Refuse(status), reason);
    answered(&[
        refuses("200", 200, "handshake refused with status 200"),
        refuses("204", 204, "handshake refused with status 204"),
        refuses("301, which is not followed", 301, "handshake refused with status 301"),
        refuses("302", 302, "handshake refused with status 302"),
        refuses("307", 307, "handshake refused with status 307"),
        refuses("500", 500, "handshake refused with status 500"),
        refuses("502", 502, "handshake refused with status 502"),
        refuses("503", 503, "handshake refused with status 503"),
        refuses("an unassigned status", 599, "handshake refused with status 599"),
        (
            "a redirect with a location",
            Answer::Bytes("HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            "handshake refused with status 301",
        ),
    ]);
}

/// A refusal with a 4xx status is passed on to the client.
#[test]
fn refusals() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("client refused");
    for status in [400, 401, 403, 404, 410, 421, 426, 429, 499] {
        upstream.set_answer(Answer::Refuse(status));
        assert_eq!(Opening::new(proxy.addr()).refused().status(), status);
    }
    // The log has a line for the first refusal; the throttle combines the others.
    proxy.wait_log(
        "client refused listener=ws *path=/ route=route[1] status=400 reason=\"refused by the upstream\"",
    );
    assert_eq!(proxy.sessions(), 0);
    assert_eq!(proxy.count_log("connector"), 0, "a refused client causes no reconnects");
}

#[test]
fn headers() {
    const KEY: &str = "handshake failed: wrong accept key";
    const UPGRADE: &str = "handshake failed: no upgrade to websocket";
    const CONNECTION: &str = "handshake failed: connection is not upgraded";
    const PROTOCOL: &str = "handshake failed: subprotocol was not offered";
    const EXTENSION: &str = "handshake failed: extension was not offered";
    macro_rules! answer {
        ($($line:literal),*) => {
            Answer::Bytes(concat!("HTTP/1.1 101 Switching Protocols\r\n", $($line, "\r\n",)* "\r\n"))
        };
    }
    answered(&[
        ("another key's accept", Answer::WrongKey, KEY),
        ("no accept", answer!("Upgrade: websocket", "Connection: Upgrade"), KEY),
        (
            "an empty accept",
            answer!("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "),
            KEY,
        ),
        ("no Upgrade", answer!("Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"), UPGRADE),
        (
            "an Upgrade to something else",
            answer!("Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"),
            UPGRADE,
        ),
        (
            "an Upgrade to something like it",
            answer!("Upgrade: websocket2", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"),
            UPGRADE,
        ),
        ("no Connection", answer!("Upgrade: websocket", "Sec-WebSocket-Accept: {accept}"), CONNECTION),
        (
            "a Connection that is closed",
            answer!("Upgrade: websocket", "Connection: close", "Sec-WebSocket-Accept: {accept}"),
            CONNECTION,
        ),
        ("a subprotocol that was not offered", Answer::Choose("chat"), PROTOCOL),
        ("an empty subprotocol", Answer::AcceptWith("Sec-WebSocket-Protocol: \r\n"), PROTOCOL),
        (
            "two subprotocols",
            Answer::AcceptWith("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
            PROTOCOL,
        ),
        (
            "compression that was not offered",
            Answer::AcceptWith("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            EXTENSION,
        ),
        (
            "an unknown extension that was not offered",
            Answer::AcceptWith("Sec-WebSocket-Extensions: x-new; a=b\r\n"),
            EXTENSION,
        ),
    ]);
}

/// Empty elements of lists are ignored (RFC 9110 section 5.6.1.2).
#[test]
fn empty_list_elements_in_an_answer_are_ignored() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::AcceptWith(
        "Upgrade: ,\r\nConnection: , ,\r\nSec-WebSocket-Extensions: \r\nSec-WebSocket-Extensions: ,\r\n",
    ));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// A response may have only one subprotocol (RFC 6455 section 11.3.4).
#[test]
fn two_subprotocols_that_were_offered() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::AcceptWith("Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Protocol: a\r\n"));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let client = Opening::new(proxy.addr()).protocols("a, b").open();
    assert_eq!(client.protocol(), None);
    proxy.wait_log("connector restart session=1:0 *reason=\"handshake failed: subprotocol was not offered\"");
    assert_eq!(proxy.count_log("connector up"), 0);
}

#[test]
fn bytes() {
    const NO_HTTP: &str = "handshake failed: no HTTP answer";
    answered(&[
        ("something else than HTTP", Answer::Garbage, NO_HTTP),
        (
            "a header without colon",
            Answer::Bytes("HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n"),
            NO_HTTP,
        ),
        ("a frame", Answer::Bytes("\u{1}\u{5}hello\r\n\r\n"), NO_HTTP),
    ]);
}

/// The client is accepted before the dial fails, and its event waits for the dial.
#[test]
fn silence() {
    let cases = [
        ("silence", Answer::Silent, "no connection within 1s"),
        ("half an answer and silence", Answer::Half(60), "no connection within 1s"),
    ];
    answered_with(&cases, 1, |reason| reason);
}

/// A connection that ends during the handshake has the reference system's text for a server that is not running.
#[test]
fn ends() {
    const RESET: &str = "IO error: Connection reset by peer (os error 104)";
    const CLOSED: &str = "handshake failed: connection closed before the answer";
    let cases = [
        ("the end", Answer::Cut(0), CLOSED),
        ("the end in the first line", Answer::Cut(12), CLOSED),
        ("the end in the headers", Answer::Cut(60), CLOSED),
        ("a reset", Answer::Reset(0), RESET),
    ];
    answered_with(&cases, 0, |_| "Trying to work with closed connection");
}

/// A handshake response that never ends: the proxy stops reading at the maximum size of a head, and the
/// handshake fails.
#[test]
fn an_answer_that_never_ends() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let before = proxy.resident_kib();
    upstream.set_answer(Answer::Endless);
    let mut client = proxy.client();
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=3");
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
    assert!(upstream.endless_taken() < 32 << 20, "{} bytes in 3 answers", upstream.endless_taken());
    upstream.set_answer(Answer::Accept);
    proxy.wait_ups(1);
    assert_eq!(client.ask("hello"), "hello");
}
