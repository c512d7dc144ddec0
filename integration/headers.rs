//! What of the client's handshake reaches the upstream.

use crate::harness::*;

#[test]
fn known_headers_are_forwarded_and_others_are_not() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let _client = Opening::new(proxy.addr())
        .header("Authorization", "Bearer t0k3n")
        .header("Cookie", "a=b")
        .header("Cookie", "c=d")
        .header("Origin", "https://example.test")
        .header("User-Agent", "tester/1")
        .header("X-Private", "mine")
        .open();
    let head = origin.head(0);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer t0k3n"));
    let cookies = head.get("cookie").unwrap();
    assert!(cookies.contains("a=b") && cookies.contains("c=d"), "{cookies}");
    assert_eq!(head.get("origin").as_deref(), Some("https://example.test"));
    assert_eq!(head.get("user-agent").as_deref(), Some("tester/1"));
    assert_eq!(head.get("x-private"), None);
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(head.get("x-forwarded-host").as_deref(), Some("towline.test"));
    assert_eq!(head.get("host"), Some(origin.addr().to_string()));
    assert!(!proxy.log().join("\n").contains("t0k3n"));
}

#[test]
fn forwarding_headers_are_extended() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let _client = Opening::new(proxy.addr())
        .header("X-Forwarded-For", "192.0.2.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "www.example.test")
        .open();
    let head = origin.head(0);
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("192.0.2.7, 127.0.0.1"));
    assert!(head.get("x-forwarded-proto").unwrap().starts_with("https"));
    assert!(head.get("x-forwarded-host").unwrap().starts_with("www.example.test"));
}

#[test]
fn the_settings_say_what_is_forwarded_and_added() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url())
        .with(r#"upstream.echo.forward_headers = ["X-Tenant"]"#)
        .with(r#"upstream.echo.headers = { x-api-key = "k3y" }"#);
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr()).header("Cookie", "a=b").header("x-tenant", "blue").open();
    let head = origin.head(0);
    assert_eq!(head.get("cookie"), None);
    assert_eq!(head.get("x-forwarded-for"), None);
    assert_eq!(head.get("x-api-key").as_deref(), Some("k3y"));
    assert_eq!(head.get("x-tenant").as_deref(), Some("blue"));
    assert!(!proxy.log().join("\n").contains("k3y"));
}

#[test]
fn headers_are_sent_again_after_a_loss() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url()).with(r#"upstream.echo.headers = { x-api-key = "k3y" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let _client = Opening::new(proxy.addr()).header("Authorization", "Bearer x").open();
    origin.conn(0).die(Death::Fin);
    let head = origin.head(1);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer x"));
    assert_eq!(head.get("x-api-key").as_deref(), Some("k3y"));
}

#[test]
fn host_is_what_the_settings_say() {
    let origin = Origin::echo();
    for (number, (host, expected)) in [
        ("upstream", origin.addr().to_string()),
        ("client", "towline.test".to_owned()),
        ("chat.example.com", "chat.example.com".to_owned()),
        ("[::1]:8080", "[::1]:8080".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let settings = Settings::request(&origin.url()).with(&format!(r#"upstream.echo.host = "{host}""#));
        let proxy = Proxy::start(&settings);
        let _client = proxy.client();
        let head = origin.head(number);
        let hosts: Vec<_> = head.headers.iter().filter(|(name, _)| name == "host").collect();
        assert_eq!(hosts, [&("host".to_owned(), expected)], "one Host (RFC 9112, 3.2)");
        assert_eq!(head.get("x-forwarded-host").as_deref(), Some("towline.test"));
    }
}

#[test]
fn extensions_are_neither_offered_nor_agreed() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let client = Opening::new(proxy.addr()).header("Sec-WebSocket-Extensions", "permessage-deflate").open();
    assert_eq!(client.header("sec-websocket-extensions"), None);
    assert_eq!(origin.head(0).get("sec-websocket-extensions"), None);
}

#[test]
fn a_list_of_proxies_in_several_headers_is_one_list() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url()));
    let _client = Opening::new(proxy.addr())
        .header("X-Forwarded-For", "192.0.2.7")
        .header("X-Forwarded-For", "198.51.100.1, 198.51.100.2")
        .open();
    let list = origin.head(0).get("x-forwarded-for").unwrap();
    let list: Vec<_> = list.split(',').map(str::trim).collect();
    assert_eq!(list, ["192.0.2.7", "198.51.100.1", "198.51.100.2", "127.0.0.1"]);
}

/// RFC 9110, 7.6.1.
#[test]
fn a_header_that_connection_names_ends_here() {
    let origin = Origin::echo();
    let settings = Settings::request(&origin.url())
        .with(r#"upstream.echo.forward_headers = ["X-Token", "X-Other", "X-Forwarded-For"]"#);
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr())
        .header("Connection", "x-token, X-Forwarded-For")
        .header("X-Token", "one")
        .header("X-Token", "two")
        .header("X-Other", "three")
        .header("X-Forwarded-For", "192.0.2.7")
        .open();
    let head = origin.head(0);
    assert_eq!(head.get("x-token"), None);
    assert_eq!(head.get("x-other").as_deref(), Some("three"));
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("127.0.0.1"), "the client's list ends here");
}
