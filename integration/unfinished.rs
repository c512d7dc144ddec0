//! Tests of incomplete input when a peer closes: lines that span messages.

use std::io::Write;

use crate::harness::*;

const BUFFERED: &str = r#"preprocessors = [{ name = "lines", buffered = true }]"#;

fn client_side(url: &str) -> Settings {
    Settings::request(url).with(&format!("listener.ws.{BUFFERED}"))
}

fn upstream_side(settings: Settings) -> Settings {
    settings.with(&format!("upstream.echo.{BUFFERED}")).on_route(r#"on_upstream_loss = "keep""#)
}

#[test]
fn an_incomplete_line_is_the_last_event_when_the_client_closes() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&client_side(&upstream.url()));
    let mut client = proxy.client();
    client.text("one\ntw");
    assert_eq!(client.recv_text(), "one");
    client.text("o");
    client.close(1000, "");
    let (messages, code, _) = client.read_to_end();
    assert_eq!((messages, code), (vec![Message::text("two")], Some(1000)));
    assert_eq!(upstream.conn(0).texts(), ["one", "two"]);
    proxy.wait_log("session closed session=1:0 code=1000 *accepted=2 answered=2 *errored=0 *unsettled=0");
}

#[test]
fn an_incomplete_line_is_an_error_when_the_client_vanishes() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&client_side(&upstream.url()));
    let mut client = proxy.client();
    client.text("one\ntw");
    assert_eq!(client.recv_text(), "one");
    client.vanish();
    proxy.wait_log("session closed session=1:0 code=1006 *accepted=2 answered=1 *errored=1 *unsettled=0");
    assert_eq!(upstream.conn(0).texts(), ["one"], "an incomplete line is not sent");
}

#[test]
fn an_incomplete_line_is_an_error_reply_when_the_proxy_drains() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&client_side(&upstream.url()));
    let mut client = proxy.client();
    client.text("one\ntw");
    assert_eq!(client.recv_text(), "one");
    proxy.signal("TERM");
    let (error, id) = client.recv_error();
    assert!(error.contains("the connection ended before the end of the line"), "{error}");
    assert_eq!(id, "1:0:1");
    client.expect_closed(1001);
}

#[test]
fn an_incomplete_line_of_the_upstream_is_its_last_message_when_it_closes() {
    let upstream = TestUpstream::with(|conn, _| {
        conn.text("repl");
        conn.text("y");
        conn.die(Death::Close(1012, "restart"));
    });
    let proxy = Proxy::start(&upstream_side(Settings::request(&upstream.url()))).expect_restarts();
    assert_eq!(proxy.client().ask("a"), "reply");
}

#[test]
fn an_incomplete_line_of_a_lost_upstream_is_an_error() {
    let upstream = TestUpstream::with(|conn, _| {
        conn.text("repl");
        conn.die(Death::Fin);
    });
    let proxy = Proxy::start(&upstream_side(Settings::request(&upstream.url()))).expect_restarts();
    let mut client = proxy.client();
    client.text("a");
    let (error, id) = client.recv_error();
    assert!(error.contains("the connection ended before the end of the line"), "{error}");
    assert_eq!(id, "1:0:0");
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=1 answered=0 *errored=1 *unsettled=0");
}

/// The incomplete line counts as part of the loss, not as a message that cannot be decoded.
#[test]
fn an_incomplete_line_of_a_lost_upstream_is_part_of_the_loss() {
    let upstream = TestUpstream::silent();
    let settings = Settings::plain(&upstream.url()).with(&format!("upstream.echo.{BUFFERED}"));
    let proxy = Proxy::start(&settings).expect("upstream ended");
    let mut client = proxy.client();
    client.text("a");
    let conn = upstream.conn(0);
    conn.wait_messages(1);
    conn.text("who");
    conn.text("le\nhal");
    assert_eq!(client.recv_text(), "whole");
    conn.die(Death::Fin);
    assert_eq!(client.expect_closed(1012), "upstream connection lost; last event sent 1:0:0");
}

#[test]
fn an_incomplete_line_of_a_lost_upstream_does_not_close_a_kept_client() {
    let upstream = TestUpstream::silent();
    let settings = upstream_side(Settings::plain(&upstream.url()));
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let conn = upstream.conn(0);
    conn.text("whole\nhal");
    assert_eq!(client.recv_text(), "whole");
    conn.die(Death::Fin);
    proxy.wait_ups(2);
    upstream.conn(1).text("again\n");
    assert_eq!(client.recv_text(), "again");
}

/// The first fragment alone is not a message, so there is nothing to report.
#[test]
fn an_incomplete_message_is_not_an_event() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = proxy.client();
    assert_eq!(client.ask("one"), "one");
    client.sender().write_all(&Frame::client(TEXT, "tw").more().bytes()).unwrap();
    client.vanish();
    proxy.wait_log("session closed session=1:0 code=1006 *accepted=1 answered=1 *errored=0 *unsettled=0");
}
