//! Tests of several listeners, upstreams and routes, and of the isolation of sessions from each other.

use crate::harness::*;

fn labelled(label: &'static str) -> TestUpstream {
    TestUpstream::with(move |conn, _| conn.text(label))
}

#[test]
fn the_first_route_that_matches_wins() {
    let upstreams = [labelled("chat"), labelled("special"), labelled("rest")];
    let settings = Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .upstream("chat", &upstreams[0].url())
        .upstream("special", &upstreams[1].url())
        .upstream("rest", &upstreams[2].url())
        .with(r#"upstream.chat.exchange = "request""#)
        .with(r#"upstream.special.exchange = "request""#)
        .with(r#"upstream.rest.exchange = "request""#)
        .route(&[r#"path = "/chat/special""#, r#"upstream = "special""#])
        .route(&[r#"path = "/chat""#, r#"upstream = "chat""#])
        .route(&[r#"path = "/rest/""#, r#"upstream = "rest""#]);
    let proxy = Proxy::start(&settings).expect("client refused");
    for (path, label) in [
        ("/chat", "chat"),
        ("/chat/", "chat"),
        ("/chat/x?y=z", "chat"),
        ("/chat?special", "chat"),
        ("/chat/special", "special"),
        ("/chat/special/x", "special"),
        ("/chat/specially", "chat"),
        ("/rest/x", "rest"),
    ] {
        assert_eq!(Opening::new(proxy.addr()).path(path).open().ask("who?"), label, "{path}");
    }
    for path in ["/", "/chatter", "/elsewhere", "/Chat"] {
        assert_eq!(Opening::new(proxy.addr()).path(path).refused().status(), 404, "{path}");
    }
}

#[test]
fn listeners_have_numbers_and_routes_of_their_own() {
    let upstream = TestUpstream::echo();
    let settings = Settings::bare()
        .with(r#"listener.first.bind = "127.0.0.1:0""#)
        .with(r#"listener.second.bind = "127.0.0.1:0""#)
        .with(r#"listener.second.codec = "json""#)
        .upstream("echo", &upstream.url())
        .with(r#"upstream.echo.exchange = "request""#)
        .with(r#"upstream.echo.codec = "json""#)
        .route(&[r#"listener = "first""#, r#"path = "/only""#, r#"upstream = "echo""#])
        .route(&[r#"listener = "second""#, r#"upstream = "echo""#]);
    let proxy = Proxy::start(&settings).expect("client refused");
    assert_eq!(Opening::new(proxy.listener("first")).refused().status(), 404);
    let mut client = Client::connect(proxy.listener("second"));
    assert_eq!(client.ask("1"), "1");
    client.text("{");
    let reply = client.recv_json();
    assert_eq!((&reply["event_id"], &reply["source_id"]), (&json!("2:0:1"), &json!("listener.second")));
}

#[test]
fn each_session_has_its_own_connection() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    assert_eq!(upstream.connections(), 10);
    for (number, client) in clients.iter_mut().enumerate() {
        client.text(&format!("from {number}"));
    }
    for number in (0..10).rev() {
        let conn = upstream.conn(number);
        let message = conn.wait_messages(1).remove(0);
        assert_eq!(message, Message::text(format!("from {number}")));
        conn.send(message);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.recv_text(), format!("from {number}"));
    }
}

#[test]
fn a_lost_connection_affects_only_its_session() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect("connector restart session=1:0 ");
    let (mut one, mut other) = (proxy.client(), proxy.client());
    one.text("a");
    other.text("b");
    upstream.conn(0).wait_messages(1);
    upstream.conn(1).wait_messages(1);
    upstream.conn(0).die(Death::Reset);
    assert_eq!(one.recv_error().1, "1:0:0");
    upstream.conn(1).text("b");
    assert_eq!(other.recv_text(), "b");
}

#[test]
fn a_client_that_does_not_read_delays_no_other_session() {
    let big = "x".repeat(100_000);
    let upstream = TestUpstream::with(move |conn, message| match message.to_text().unwrap() {
        "flood" => (0..200).for_each(|_| conn.text(&big)),
        _ => conn.send(message),
    });
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let mut stalled = proxy.client();
    stalled.text("flood");
    upstream.conn(0).wait_messages(1);
    for number in 0..20 {
        let mut other = proxy.client();
        assert_eq!(other.ask(&format!("{number}")), format!("{number}"));
    }
    // The client gets all messages when it reads again.
    for _ in 0..200 {
        assert_eq!(stalled.recv_text().len(), 100_000);
    }
}
