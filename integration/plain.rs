//! Tests of routes that answer requests which do not ask for a WebSocket.

use crate::harness::*;

/// The response to a request with these lines after the request line: its head, and everything after it.
fn ask(proxy: &Proxy, line: &str, lines: &str) -> (Head, String) {
    let mut raw = Raw::connect(proxy.addr());
    raw.write(format!("{line} HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n").as_bytes());
    let head = raw.head();
    (head, raw.read_to_end())
}

fn settings(url: &str) -> Settings {
    Settings::request(url)
        .route(&[r#"match.path_exact = "/healthz""#, r#"name = "health""#, r#"answer.body = "fine""#])
        .route(&[r#"path = "/none""#, "answer.status = 204"])
        .route(&[
            r#"path = "/old""#,
            r#"answer.redirect = "https://${request.host}${request.path}?${request.query.q}""#,
        ])
}

#[test]
fn a_route_answers_plain_requests() {
    let upstream = TestUpstream::echo();
    let proxy =
        Proxy::start(&settings(&upstream.url()).with(r#"log.level = "debug""#)).expect("client refused");
    let (head, body) = ask(&proxy, "GET /healthz", "");
    assert_eq!((head.status(), body.as_str()), (200, "fine"));
    assert_eq!(head.get("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(head.get("content-length").as_deref(), Some("4"));
    assert_eq!(head.get("connection").as_deref(), Some("close"));
    let (head, body) = ask(&proxy, "HEAD /healthz", "");
    assert_eq!((head.status(), body.as_str(), head.get("content-length").as_deref()), (200, "", Some("4")));
    let (head, _) = ask(&proxy, "POST /healthz", "Content-Length: 0\r\n");
    assert_eq!((head.status(), head.get("allow").as_deref()), (405, Some("GET, HEAD")));
    let (head, body) = ask(&proxy, "GET /none/x", "");
    assert_eq!((head.status(), body.as_str(), head.get("content-length")), (204, "", None));
    let (head, _) = ask(&proxy, "GET /elsewhere", "");
    assert_eq!(head.status(), 426, "no route answers");
    proxy.wait_log("request answered listener=ws *path=/healthz route=health status=200");
    assert_eq!(
        Opening::new(proxy.addr()).path("/healthz").open().ask("a"),
        "a",
        "a handshake takes the other route"
    );
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_redirect_cannot_be_split_into_lines() {
    let proxy = Proxy::start(&settings("ws://127.0.0.1:1")).expect("client refused");
    let (head, _) = ask(&proxy, "GET /old/x?q=a%0d%0aSet-Cookie:%20b=c", "");
    assert_eq!(head.status(), 302);
    assert_eq!(head.get("location").as_deref(), Some("https://a.test/old/x?a%0D%0ASet-Cookie: b=c"));
    assert_eq!(head.get("set-cookie"), None);
    assert_eq!(ask(&proxy, "GET /old", "").0.status(), 400, "no q");
    let long = format!("GET /old/{}?q=", "x".repeat(9000));
    assert_eq!(ask(&proxy, &long, "").0.status(), 431);
}

/// Bytes after the request are no second request.
#[test]
fn one_connection_gets_one_answer() {
    let proxy = Proxy::start(&settings("ws://127.0.0.1:1"));
    let (head, rest) =
        ask(&proxy, "GET /healthz", "Content-Length: 5\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a.test\r\n");
    assert_eq!((head.status(), rest.as_str()), (200, "fine"));
}
