//! Sessions that move because the upstream announces the end of their connection in a message.

use crate::harness::*;

const ON_MESSAGE: &str = r#"upstream.echo.move.on_message = [{ when = { type = "goodbye" } }]"#;
const GOODBYE: &str = r#"{"type":"goodbye","in":30}"#;

/// Two servers, of which the first one gets the sessions.
fn servers() -> [TestUpstream; 2] {
    [TestUpstream::echo(), TestUpstream::echo()]
}

fn at(settings: Settings, servers: &[TestUpstream; 2]) -> Settings {
    settings.endpoints(&format!("[{:?}, {{ url = {:?}, priority = 1 }}]", servers[0].url(), servers[1].url()))
}

#[test]
fn a_message_moves_its_session_and_is_hidden() {
    for settings in [Settings::stream("ws://unused"), Settings::request("ws://unused")] {
        let servers = servers();
        let proxy = Proxy::start(&at(settings, &servers).with(ON_MESSAGE));
        let mut client = proxy.client();
        assert_eq!(client.ask("one"), "one");
        let mut other = proxy.client();
        assert_eq!(other.ask("other"), "other");
        servers[0].conn(0).text(GOODBYE);
        proxy.wait_log("session moved session=1:0 upstream=echo from=*cause=announced generation=2");
        assert!(matches!(servers[0].conn(0).wait_end(), End::Close(1001, _)));
        assert_eq!(client.ask("two"), "two", "the announcement is hidden");
        assert_eq!(servers[1].conn(0).texts(), ["two"]);
        assert_eq!(other.ask("other"), "other");
        assert_eq!(servers[0].conn(1).texts(), ["other", "other"], "its connection was not announced to end");
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert!(account.is_balanced(), "{account:?}");
    }
}

/// The message must not be taken for the reply to a message in flight.
#[test]
fn an_announcement_is_no_reply() {
    let servers = [TestUpstream::silent(), TestUpstream::echo()];
    let settings = at(Settings::request("ws://unused"), &servers).with(ON_MESSAGE);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("question");
    servers[0].conn(0).wait_messages(1);
    servers[0].conn(0).text(GOODBYE);
    servers[0].conn(0).text("answer");
    assert_eq!(client.recv_text(), "answer");
    proxy.wait_log("session moved session=1:0 *cause=announced");
    assert_eq!(client.ask("next"), "next");
    assert_eq!(servers[1].conn(0).texts(), ["next"]);
}

#[test]
fn an_announcement_reaches_the_client_if_the_settings_say_so() {
    let servers = servers();
    let on_message = r#"upstream.echo.move.on_message = [{ when = { type = "goodbye" }, deliver = true }]"#;
    let proxy = Proxy::start(&at(Settings::request("ws://unused"), &servers).with(on_message));
    let mut client = proxy.client();
    assert_eq!(client.ask("one"), "one");
    servers[0].conn(0).text(GOODBYE);
    assert_eq!(client.recv_text(), GOODBYE);
    proxy.wait_log("session moved session=1:0 *cause=announced");
    assert_eq!(client.ask("two"), "two");
}

/// A server that ends only this connection, as providers do to balance their load.
#[test]
fn a_session_of_the_only_server_moves_to_another_connection_of_it() {
    let upstream = TestUpstream::echo();
    let settings = Settings::stream(&upstream.url()).with(ON_MESSAGE);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("one"), "one");
    upstream.conn(0).text(GOODBYE);
    proxy.wait_log("session moved session=1:0 *cause=announced");
    assert_eq!(client.ask("two"), "two");
    assert_eq!(upstream.conn(1).texts(), ["two"]);
    upstream.conn(1).text(GOODBYE);
    proxy.wait_log("session moved session=1:0 *cause=announced generation=3");
    assert_eq!(client.ask("three"), "three");
}

/// The client of a route that closes its clients has to know that its connection ends.
#[test]
fn a_session_that_cannot_move_gets_the_announcement() {
    let upstream = TestUpstream::echo();
    let settings = Settings::plain(&upstream.url())
        .with(ON_MESSAGE)
        .on_route(r#"path = "/closes""#)
        .route(&[r#"upstream = "echo""#, "stateless = true"]);
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).path("/closes").open();
    assert_eq!(client.ask("one"), "one");
    upstream.conn(0).text(GOODBYE);
    assert_eq!(client.recv_text(), GOODBYE);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_program_moves_its_session_and_decides_what_the_client_gets() {
    let servers = servers();
    let program = r#"
        select event from in where event.type == "goodbye" into move;
        select {"type": "notice"} from in where event.type == "goodbye" into out;
        select event from in where event.type == "bye" into move;
        select event from in where event.type != "goodbye" and event.type != "bye" into out;
    "#;
    let settings = at(Settings::stream("ws://unused"), &servers)
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .pipeline("leaves", program)
        .pipeline("pass", "select event from in into out;")
        .on_route(r#"outgoing = ["pass", "leaves", "pass"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    let message = r#"{"type":"x"}"#;
    assert_eq!(client.ask(message), message);
    servers[0].conn(0).text(GOODBYE);
    assert_eq!(client.recv_text(), r#"{"type":"notice"}"#);
    proxy.wait_log("session moved session=1:0 *cause=announced generation=2");
    assert_eq!(client.ask(message), message);
    servers[1].conn(0).text(r#"{"type":"bye"}"#);
    proxy.wait_log("session moved session=1:0 *cause=announced generation=3");
    assert_eq!(client.ask(message), message, "the other announcement was only for port `move`");
}
