//! Tests of subprotocols: the upstream chooses, if it can be reached (RFC 6455 sections 1.9 and 4.2.2).

use std::time::Duration;

use crate::harness::*;

fn offered(upstream: &TestUpstream, handshake: usize) -> Option<String> {
    upstream.head(handshake).get("sec-websocket-protocol")
}

#[test]
fn the_upstream_chooses_from_the_clients_list() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("graphql-ws"));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut client = Opening::new(proxy.addr()).protocols("mqtt, graphql-ws,soap").open();
    assert_eq!(client.protocol().as_deref(), Some("graphql-ws"));
    let list = offered(&upstream, 0).unwrap();
    assert_eq!(list.split(',').map(str::trim).collect::<Vec<_>>(), ["mqtt", "graphql-ws", "soap"]);
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn two_subprotocol_headers_are_one_list() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("b"));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let client = Opening::new(proxy.addr()).protocols("a").protocols("b, c").open();
    assert_eq!(client.protocol().as_deref(), Some("b"));
    let list = offered(&upstream, 0).unwrap();
    assert_eq!(list.split(',').map(str::trim).collect::<Vec<_>>(), ["a", "b", "c"]);
}

/// RFC 9110 section 5.6.1.2 requires this.
#[test]
fn empty_elements_of_the_list_are_ignored() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("chat"));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    for (number, (list, expected)) in [
        ("chat, ", vec!["chat"]),
        (",chat", vec!["chat"]),
        ("x,,chat", vec!["x", "chat"]),
        (" , chat,\t,", vec!["chat"]),
    ]
    .iter()
    .enumerate()
    {
        let client = Opening::new(proxy.addr()).protocols(list).open();
        assert_eq!(client.protocol().as_deref(), Some("chat"), "{list:?}");
        let offered = offered(&upstream, number).unwrap();
        assert_eq!(offered.split(',').map(str::trim).collect::<Vec<_>>(), *expected, "{list:?}");
    }
}

#[test]
fn a_list_of_empty_elements_counts_as_no_list() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let client = Opening::new(proxy.addr()).protocols(", ,").open();
    assert_eq!(client.protocol(), None);
    assert_eq!(offered(&upstream, 0), None);
}

#[test]
fn the_upstream_may_choose_no_subprotocol() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).on_route(r#"subprotocols = ["a"]"#));
    let mut client = Opening::new(proxy.addr()).protocols("a").open();
    assert_eq!(client.protocol(), None);
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn without_a_list_there_is_no_header() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).on_route(r#"subprotocols = ["a"]"#));
    let client = proxy.client();
    assert_eq!(client.protocol(), None);
    assert_eq!(offered(&upstream, 0), None);
}

#[test]
fn without_upstream_the_route_chooses_the_subprotocol() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    upstream.set_answer(Answer::Choose("b"));
    let settings = Settings::request(&upstream.url()).on_route(r#"subprotocols = ["x", "b", "a"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = Opening::new(proxy.addr()).protocols("a, b").open();
    assert_eq!(client.protocol().as_deref(), Some("b"));
    upstream.start();
    assert_eq!(offered(&upstream, 0).as_deref(), Some("b"));
    proxy.wait_log("connector up session=1:0");
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn without_upstream_and_configured_subprotocols_none_is_chosen() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    for known in [r#"subprotocols = []"#, r#"subprotocols = ["x"]"#] {
        let proxy = Proxy::start(&Settings::request(&upstream.url()).on_route(known)).expect_restarts();
        assert_eq!(Opening::new(proxy.addr()).protocols("a, b").open().protocol(), None);
    }
}

/// A browser closes a connection that lacks the one subprotocol it offered.
#[test]
fn without_upstream_the_only_offered_subprotocol_is_chosen() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    upstream.set_answer(Answer::Choose("mqtt"));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = Opening::new(proxy.addr()).protocols("mqtt").open();
    assert_eq!(client.protocol().as_deref(), Some("mqtt"));
    upstream.start();
    proxy.wait_ups(1);
    assert_eq!(client.ask("hello"), "hello");
    let nobody = Port::take();
    let known = Settings::request(&nobody.url()).on_route(r#"subprotocols = ["x"]"#);
    let proxy = Proxy::start(&known).expect_restarts();
    assert_eq!(Opening::new(proxy.addr()).protocols("mqtt").open().protocol(), None);
}

#[test]
fn a_reconnect_offers_only_the_agreed_subprotocol() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("b"));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = Opening::new(proxy.addr()).protocols("a, b").open();
    upstream.conn(0).die(Death::Fin);
    proxy.wait_ups(2);
    assert_eq!(offered(&upstream, 1).as_deref(), Some("b"));
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn an_upstream_that_never_answers_delays_the_client_by_dial_before_accept() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Silent);
    let settings = Settings::request(&upstream.url())
        .on_route(r#"dial_before_accept = "200ms""#)
        .on_route(r#"subprotocols = ["a"]"#)
        .with(r#"upstream.echo.connect_timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let client = Opening::new(proxy.addr()).protocols("a").open();
    assert_eq!(client.protocol().as_deref(), Some("a"));
    assert!(!proxy.has_log("connector up", Duration::ZERO));
}

#[test]
fn an_upstream_that_chooses_an_unoffered_subprotocol_is_rejected() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("z"));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = Opening::new(proxy.addr()).protocols("a, b").open();
    assert_eq!(client.protocol(), None);
    client.text("a");
    assert_eq!(client.recv_error().1, "1:0:0");
    assert_eq!(upstream.received(), 0);
}
