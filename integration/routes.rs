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

/// Settings with one upstream for each route. A route is a name and its lines.
fn routed(routes: &[(&'static str, &[&str])]) -> (Settings, Vec<TestUpstream>) {
    let upstreams: Vec<_> = routes.iter().map(|(name, _)| labelled(name)).collect();
    let mut settings = Settings::bare().with(r#"listener.ws.bind = "127.0.0.1:0""#);
    for ((name, lines), upstream) in routes.iter().zip(&upstreams) {
        settings = settings
            .upstream(name, &upstream.url())
            .with(&format!(r#"upstream.{name}.exchange = "request""#));
        settings = settings.route(&[&format!("upstream = {name:?}"), &format!("name = {name:?}")]);
        settings = lines.iter().fold(settings, |settings, line| settings.on_route(line));
    }
    (settings, upstreams)
}

#[test]
fn each_part_of_a_request_selects_a_route() {
    let (settings, _upstreams) = routed(&[
        ("network", &[r#"match.networks = ["127.0.0.9", "192.0.2.0/24"]"#]),
        ("exact-host", &[r#"match.host = "Chat.example.com""#]),
        ("wild-host", &[r#"match.host = "*.example.com""#]),
        ("exact", &[r#"match.path_exact = "/status""#]),
        ("regex", &[r#"match.path_regex = "/rooms/[0-9]+""#]),
        ("header", &[r#"match.headers = { X-Tenant = "eu-*" }"#]),
        ("query", &[r#"match.query = { room = "a b", "v" = "*" }"#]),
        ("cookie", &[r#"match.cookies = { beta = "yes" }"#]),
        ("subprotocol", &[r#"match.subprotocol = "mqtt""#]),
        ("two", &[r#"match = { path = "/two", headers = { x-a = "1" } }"#]),
    ]);
    let proxy = Proxy::start(&settings).expect("client refused");
    let new = || Opening::new(proxy.addr());
    let host = |host: &str| new().header("Host", host);
    for (opening, label) in [
        (new().from([127, 0, 0, 9].into()), Some("network")),
        (host("CHAT.example.com:9139"), Some("exact-host")),
        (host("a.b.example.com."), Some("wild-host")),
        (host("example.com"), None),
        (new().path("/%73tatus?a"), Some("exact")),
        (new().path("/status/"), None),
        (new().path("/rooms/7"), Some("regex")),
        (new().path("/rooms/7/x"), None),
        (new().header("x-tenant", "us-1").header("x-tenant", "eu-1"), Some("header")),
        (new().header("x-tenant", "EU-1"), None),
        (new().path("/?v=&room=a+b"), Some("query")),
        (new().path("/?room=a+b"), None),
        (new().header("Cookie", "alpha=1; beta=yes"), Some("cookie")),
        (new().header("Cookie", "beta=no"), None),
        (new().protocols("soap, mqtt"), Some("subprotocol")),
        (new().protocols("soap"), None),
        (new().path("/two/x").header("x-a", "1"), Some("two")),
        (new().path("/two/x").header("x-a", "2"), None),
    ] {
        match label {
            Some(label) => assert_eq!(opening.open().ask("who?"), label, "{opening:?}"),
            None => {
                let refusal = opening.refused();
                assert_eq!(
                    (refusal.status(), refusal.body.as_str()),
                    (404, "no route for this request\n"),
                    "{opening:?}"
                );
            }
        }
    }
    proxy.wait_log("session opened *path=/two/x route=two upstream=two ");
    proxy.wait_log("client refused *route=- status=404 reason=\"no route for this request\"");
}

#[test]
fn a_whole_path_is_replaced_by_the_path_of_the_url() {
    let upstream = TestUpstream::echo();
    let settings =
        Settings::request(&format!("{}/ws", upstream.url())).on_route(r#"match.path_regex = "/(a|b)/.*""#);
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr()).path("/b/c?d").open();
    assert_eq!(upstream.head(0).line, "GET /ws?d HTTP/1.1");
}

#[test]
fn programs_see_the_name_of_the_route() {
    let program = "select $session.route from in into reply;";
    let settings = Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .route(&[r#"path = "/a""#, r#"name = "alpha""#])
        .incoming(program)
        .route(&[r#"incoming = ["incoming"]"#]);
    let proxy = Proxy::start(&settings);
    assert_eq!(Opening::new(proxy.addr()).path("/a").open().ask("?"), "alpha");
    assert_eq!(proxy.client().ask("?"), "route[2]");
    proxy.wait_log("session opened session=1:1 *route=route[2] upstream=-");
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

/// Servers that merge slashes, decode them or cut parameters would read these paths as `/admin`.
#[test]
fn a_client_cannot_avoid_a_route_by_writing_its_path_differently() {
    let (settings, _upstreams) = routed(&[
        ("admin", &[r#"path = "/admin""#, r#"match.networks = ["127.0.0.0/8"]"#, "forward_http = true"]),
        ("open", &[r#"path = "/""#, "forward_http = true"]),
    ]);
    let proxy = Proxy::start(&settings).expect("client refused");
    for path in
        ["//admin/x", "/admin%2Fx", "/admin%5cx", "/admin;a=b", "/admin\\x", "/;x/admin", "/%2561dmin"]
    {
        let refusal = Opening::new(proxy.addr()).path(path).refused();
        assert_eq!((refusal.status(), refusal.body.as_str()), (400, "ambiguous path\n"), "{path}");
    }
    for (path, label) in [("/admin//x;a=b", "admin"), ("//a%2Fb;c", "open")] {
        assert_eq!(Opening::new(proxy.addr()).path(path).open().ask("who?"), label, "{path}");
    }
    let mut raw = Raw::connect(proxy.addr());
    raw.write(b"GET //admin/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(raw.head().status(), 400, "plain requests too");
    proxy.wait_log("client refused *path=//admin/x route=- status=400 reason=\"ambiguous path\"");
}
