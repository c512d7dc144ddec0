//! Tests of headers that pass between the client's handshake and the upstream's.

use crate::harness::*;

#[test]
fn known_headers_are_forwarded_and_others_are_not() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let _client = Opening::new(proxy.addr())
        .header("Authorization", "Bearer t0k3n")
        .header("Cookie", "a=b")
        .header("Cookie", "c=d")
        .header("Origin", "https://example.test")
        .header("User-Agent", "tester/1")
        .header("X-Private", "mine")
        .open();
    let head = upstream.head(0);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer t0k3n"));
    let cookies = head.get("cookie").unwrap();
    assert!(cookies.contains("a=b") && cookies.contains("c=d"), "{cookies}");
    assert_eq!(head.get("origin").as_deref(), Some("https://example.test"));
    assert_eq!(head.get("user-agent").as_deref(), Some("tester/1"));
    assert_eq!(head.get("x-private"), None);
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(head.get("x-forwarded-host").as_deref(), Some("towline.test"));
    assert_eq!(head.get("host"), Some(upstream.addr().to_string()));
    assert!(!proxy.log().join("\n").contains("t0k3n"));
}

#[test]
fn the_settings_choose_forwarded_and_added_headers() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.forward_headers = ["X-Tenant"]"#)
        .with(r#"upstream.echo.headers = { x-api-key = "k3y" }"#);
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr()).header("Cookie", "a=b").header("x-tenant", "blue").open();
    let head = upstream.head(0);
    assert_eq!(head.get("cookie"), None);
    assert_eq!(head.get("x-forwarded-for"), None);
    assert_eq!(head.get("x-api-key").as_deref(), Some("k3y"));
    assert_eq!(head.get("x-tenant").as_deref(), Some("blue"));
    assert!(!proxy.log().join("\n").contains("k3y"));
}

#[test]
fn headers_are_sent_again_after_a_loss() {
    let upstream = TestUpstream::echo();
    let settings =
        Settings::request(&upstream.url()).with(r#"upstream.echo.headers = { x-api-key = "k3y" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let _client = Opening::new(proxy.addr()).header("Authorization", "Bearer x").open();
    upstream.conn(0).die(Death::Fin);
    let head = upstream.head(1);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer x"));
    assert_eq!(head.get("x-api-key").as_deref(), Some("k3y"));
}

#[test]
fn the_host_header_follows_the_settings() {
    let upstream = TestUpstream::echo();
    for (number, (host, expected)) in [
        ("upstream", upstream.addr().to_string()),
        ("client", "towline.test".to_owned()),
        ("chat.example.com", "chat.example.com".to_owned()),
        ("[::1]:8080", "[::1]:8080".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let settings = Settings::request(&upstream.url()).with(&format!(r#"upstream.echo.host = "{host}""#));
        let proxy = Proxy::start(&settings);
        let _client = proxy.client();
        let head = upstream.head(number);
        let hosts: Vec<_> = head.headers.iter().filter(|(name, _)| name == "host").collect();
        assert_eq!(hosts, [&("host".to_owned(), expected)], "one Host (RFC 9112, 3.2)");
        assert_eq!(head.get("x-forwarded-host").as_deref(), Some("towline.test"));
    }
}

#[test]
fn extensions_are_neither_offered_nor_accepted() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let client = Opening::new(proxy.addr()).header("Sec-WebSocket-Extensions", "permessage-deflate").open();
    assert_eq!(client.header("sec-websocket-extensions"), None);
    assert_eq!(upstream.head(0).get("sec-websocket-extensions"), None);
}

/// RFC 9110 section 7.6.1 requires this.
#[test]
fn a_header_that_connection_names_is_not_forwarded() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.forward_headers = ["X-Token", "X-Other", "X-Forwarded-For"]"#);
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr())
        .header("Connection", "x-token, X-Forwarded-For")
        .header("X-Token", "one")
        .header("X-Token", "two")
        .header("X-Other", "three")
        .header("X-Forwarded-For", "192.0.2.7")
        .open();
    let head = upstream.head(0);
    assert_eq!(head.get("x-token"), None);
    assert_eq!(head.get("x-other").as_deref(), Some("three"));
    assert_eq!(
        head.get("x-forwarded-for").as_deref(),
        Some("127.0.0.1"),
        "the client's header is not passed on"
    );
}

/// Some devices compare header names byte by byte, in the spelling of the RFCs.
#[test]
fn names_are_spelled_as_in_the_rfcs() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("chat"));
    let settings =
        Settings::request(&upstream.url()).with(r#"upstream.echo.headers = { x-api-key = "k3y" }"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request("/", &[("sec-websocket-protocol", "chat")]).as_bytes());
    let answer = raw.head();
    assert_eq!(answer.names, ["Connection", "Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"]);
    assert_eq!(answer.get("connection").as_deref(), Some("Upgrade"));
    let asked = upstream.head(0);
    for name in [
        "Host",
        "Connection",
        "Upgrade",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "X-Forwarded-For",
        "X-Api-Key",
    ] {
        assert!(asked.names.iter().any(|known| known == name), "{name} in {:?}", asked.names);
    }
    let starts_small = |name: &&String| name.starts_with(|letter: char| letter.is_ascii_lowercase());
    assert_eq!(asked.names.iter().find(starts_small), None);
    assert_eq!(asked.get("connection").as_deref(), Some("Upgrade"));
    // The frames after the head are unchanged.
    raw.send(&Frame::client(TEXT, "host: a\r\nhost: b\r\n"));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "host: a\r\nhost: b\r\n")));

    let mut refused = Raw::connect(proxy.addr());
    refused.write(b"GET / HTTP/1.1\r\nhost: towline.test\r\n\r\n");
    let names = refused.head().names;
    assert_eq!(names, ["Connection", "Date", "Upgrade", "Content-Type", "Content-Length"]);
}

#[test]
fn cookies_of_the_upstreams_answer_reach_the_client() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::AcceptWith(
        "Set-Cookie: a=1; Path=/\r\nX-Served-By: one\r\nSet-Cookie: b=2, c\r\nSet-Cookie: d\r\nServer: x\r\n",
    ));
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request("/", &[]).as_bytes());
    let head = raw.head();
    assert_eq!(head.status(), 101);
    let cookies: Vec<_> = head.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    let expected = ["a=1; Path=/", "b=2, c", "d"].map(|value| ("set-cookie".to_owned(), value.to_owned()));
    assert_eq!(cookies, expected.iter().collect::<Vec<_>>());
    assert_eq!((head.get("x-served-by"), head.get("server")), (None, None));
    raw.send(&Frame::client(TEXT, "hello"));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "hello")));
}

#[test]
fn only_configured_headers_of_an_answer_reach_the_client() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::AcceptWith(
        "Connection: x-hop\r\nX-Hop: here\r\nSet-Cookie: a=1\r\nX-Served-By: one\r\n",
    ));
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.forward_response_headers = ["X-Served-By", "x-hop"]"#);
    let proxy = Proxy::start(&settings);
    let client = proxy.client();
    assert_eq!(client.header("x-served-by").as_deref(), Some("one"));
    assert_eq!((client.header("x-hop"), client.header("set-cookie")), (None, None));
}

#[test]
fn the_size_of_forwarded_answer_headers_is_limited() {
    let upstream = TestUpstream::echo();
    let lines = format!("Set-Cookie: a={}\r\nSet-Cookie: b=1\r\n", "x".repeat(20_000));
    upstream.set_answer(Answer::AcceptWith(lines.leak()));
    let proxy =
        Proxy::start(&Settings::request(&upstream.url())).expect("response headers left out*headers=1");
    let mut client = proxy.client();
    assert_eq!(client.header("set-cookie").as_deref(), Some("b=1"));
    assert_eq!(client.ask("hello"), "hello");
    proxy.wait_log("response headers left out listener=ws peer=*upstream=echo headers=1");
}

#[test]
fn user_and_password_of_the_url_are_sent_in_place_of_the_clients() {
    let upstream = TestUpstream::echo();
    // Percent-encoded: `:pä ss@`.
    let url = format!("ws://Aladdin:%3Ap%C3%A4%20ss%40@{}/chat?a=b", upstream.addr());
    let settings = Settings::request(&url).with("upstream.echo.forward_path = false");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = Opening::new(proxy.addr()).header("Authorization", "Bearer t0k3n").open();
    assert_eq!(client.ask("hello"), "hello");
    upstream.conn(0).die(Death::Fin);
    for number in [0, 1] {
        let head = upstream.head(number);
        assert_eq!(head.get("authorization").as_deref(), Some("Basic QWxhZGRpbjo6cMOkIHNzQA=="));
        assert_eq!(head.get("host"), Some(upstream.addr().to_string()));
        assert_eq!(head.line, "GET /chat?a=b HTTP/1.1");
    }
    let log = proxy.log().join("\n");
    assert!(!log.contains("Aladdin") && !log.contains("QWxhZGRpbj"), "{log}");
}

#[test]
fn user_and_password_reach_the_upstream_with_the_clients_path() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&format!("ws://me:pw@{}", upstream.addr())));
    let _client = Opening::new(proxy.addr()).path("/elsewhere?x=1").open();
    let head = upstream.head(0);
    assert_eq!(head.line, "GET /elsewhere?x=1 HTTP/1.1");
    assert_eq!(head.get("authorization").as_deref(), Some("Basic bWU6cHc="));
}

/// User and password belong to the setting that allows the URL. Other URLs that a program chooses do not get
/// them.
#[test]
fn a_chosen_url_gets_the_credentials_of_its_setting() {
    let (own, other, open) = (TestUpstream::echo(), TestUpstream::echo(), TestUpstream::echo());
    let allowed = format!(r#"["ws://you:pw2@{}/*", "ws://{}/*"]"#, other.addr(), open.addr());
    let settings = Settings::request(&format!("ws://me:pw@{}", own.addr()))
        .with(&format!("upstream.echo.allow_urls = {allowed}"))
        .incoming(
            "define script choose script match event of case \"own\" => null \
             default => let $url = event end; event end; create script choose; \
             select event from in into choose; select event from choose into out; select event from choose/err into err;",
        );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.ask("own");
    client.ask(&format!("ws://{}/a", other.addr()));
    client.ask(&format!("ws://{}/b", open.addr()));
    assert_eq!(own.head(0).get("authorization").as_deref(), Some("Basic bWU6cHc="));
    assert_eq!(other.head(0).get("authorization").as_deref(), Some("Basic eW91OnB3Mg=="));
    assert_eq!(other.head(0).get("host"), Some(other.addr().to_string()));
    assert_eq!(open.head(0).get("authorization"), None);
}

#[test]
fn headers_are_removed_and_set_from_the_request() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.remove_headers = ["cookie", "Origin"]"#)
        .with(
            r#"upstream.echo.headers = { x-user = "${request.cookies.user}", x-room = "<${request.query.room}>", x-at = "${session.listener}/${session.route} $${x}", x-none = "${request.headers.x-none}" }"#,
        )
        .with(r#"upstream.echo.response_headers = { x-path = "${request.path}", set-cookie = "a=1" }"#)
        .on_route(r#"name = "chat""#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("client refused");
    let opening = Opening::new(proxy.addr())
        .path("/a%2Fb?room=1%0d%0aX-Evil:%20yes%00%C3%BC")
        .header("Cookie", "user=me; other=t0k3n")
        .header("Origin", "https://a.test")
        .header("X-User", "root")
        .header("X-None", "");
    let client = opening.open();
    assert_eq!(client.header("x-path").as_deref(), Some("/a%2Fb"));
    assert_eq!(client.header("set-cookie").as_deref(), Some("a=1"));
    upstream.conn(0).die(Death::Fin);
    for connection in [0, 1] {
        let head = upstream.head(connection);
        for (name, expected) in [
            ("cookie", None),
            ("origin", None),
            ("x-evil", None),
            ("x-user", Some("me")),
            ("x-room", Some("<1%0D%0AX-Evil: yes%00%C3%BC>")),
            ("x-at", Some("ws/chat ${x}")),
            ("x-none", Some("")),
        ] {
            assert_eq!(head.get(name).as_deref(), expected, "{connection} {name}");
        }
    }
    drop(client);
    let _client = Opening::new(proxy.addr()).header("X-User", "root").open();
    assert_eq!(upstream.head(2).get("x-user"), None, "no client sets what the settings set");
    let long = "x".repeat(9000);
    let refusal = Opening::new(proxy.addr()).path(&format!("/?room={long}")).refused();
    assert_eq!(
        (refusal.status(), refusal.body.as_str()),
        (431, "request too long for a configured header\n")
    );
    assert!(!proxy.log().join("\n").contains("t0k3n"));
}

#[test]
fn headers_of_a_refusal_follow_the_settings() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.remove_response_headers = ["www-authenticate"]"#)
        .with(r#"upstream.echo.response_headers = { retry-after = "7", x-host = "${request.host}" }"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    upstream.set_answer(Answer::Bytes(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    ));
    let refusal = Opening::new(proxy.addr()).refused();
    assert_eq!(refusal.status(), 401);
    assert_eq!(refusal.head.get("www-authenticate"), None);
    assert_eq!(refusal.head.get("retry-after").as_deref(), Some("7"));
    assert_eq!(refusal.head.get("x-host").as_deref(), Some("towline.test"));
}
