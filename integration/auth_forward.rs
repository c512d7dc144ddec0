//! Tests of the method `forward`: what the service is asked, what its response does, and that a service that fails, hangs
//! or floods accepts nobody and holds nothing.

mod failing;
mod service;

use serde_json::json;

use self::service::{Service, reply};
use crate::harness::*;

/// The hash of `test`.
const TEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Settings of a route that asks this service, on one worker thread.
fn asking(url: &str, service: &Service) -> Settings {
    Settings::request(url)
        .with("server.workers = 1")
        .with(&format!("auth.gate.forward.url = {:?}", service.url("/verify?a=b")))
        .with(r#"auth.gate.forward.timeout = "60s""#)
        .on_route(r#"name = "chat""#)
        .on_route(r#"auth = ["gate"]"#)
        .on_route(r#"origins = ["*"]"#)
}

#[test]
fn the_service_gets_the_listed_headers_and_what_the_client_asks_for() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.gate.forward.request_headers = ["Cookie", "X-Tenant", "authorization", "X-Real-IP"]"#);
    let proxy = Proxy::start(&settings);
    let opening = Opening::new(proxy.addr())
        .path("/chat?room=1&x=%20")
        .header("X-Real-IP", "192.0.2.1")
        .header("Connection", "X-Real-IP")
        .header("Cookie", "session=1")
        .header("Cookie", "b=2")
        .header("X-Tenant", "acme")
        .header("X-Other", "x")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Forwarded-Uri", "/admin");
    assert_eq!(opening.open().ask("a"), "a");
    let head = service.head(0);
    assert_eq!(head.line, "GET /verify?a=b HTTP/1.1");
    for (name, value) in [
        ("host", Some(service.addr().to_string())),
        ("cookie", Some("session=1, b=2".to_owned())),
        ("x-tenant", Some("acme".to_owned())),
        ("authorization", None),
        ("x-other", None),
        ("upgrade", None),
        ("sec-websocket-key", None),
        ("x-forwarded-for", Some("127.0.0.1".to_owned())),
        ("x-real-ip", Some("127.0.0.1".to_owned())),
        ("x-forwarded-proto", Some("http".to_owned())),
        ("x-forwarded-host", Some("towline.test".to_owned())),
        ("x-forwarded-method", Some("GET".to_owned())),
        ("x-forwarded-uri", Some("/chat?room=1&x=%20".to_owned())),
    ] {
        assert_eq!(head.get(name), value, "{name}");
    }
}

#[test]
fn headers_of_the_response_become_claims_and_headers_for_the_upstream() {
    let upstream = TestUpstream::echo();
    let headers = [("X-User", "7"), ("X-Role", "read"), ("X-Role", "write"), ("X-Internal", "1")];
    let service = Service::start(reply("204 No Content", &headers));
    let settings = asking(&upstream.url(), &service)
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .with(r#"upstream.echo.forward_headers = ["x-user", "x-team", "x-other", "authorization"]"#)
        .with(r#"auth.gate.forward.claims_from = { sub = "X-User", role = "X-Role", none = "X-None" }"#)
        .with(r#"auth.gate.forward.upstream_headers = ["X-User", "X-Team"]"#)
        .on_route(r#"require = { role = ["write"] }"#)
        .incoming("select $ from in into out;");
    let proxy = Proxy::start(&settings).expect("client refused");
    let opening = Opening::new(proxy.addr())
        .header("X-User", "root")
        .header("X-Team", "root")
        .header("X-Other", "x")
        .header("Authorization", "Bearer hunter2");
    let mut client = opening.open();
    client.text("{}");
    let meta = client.recv_json();
    assert_eq!(meta["session"]["subject"], "7");
    assert_eq!(meta["session"]["claims"], json!({"sub": "7", "role": ["read", "write"]}));
    assert_eq!(meta["request"]["headers"]["authorization"], "***");
    let head = upstream.head(0);
    assert_eq!(head.get("x-user").as_deref(), Some("7"), "not what the client says");
    assert_eq!(head.get("x-team"), None, "not what the client says, also without a value from the service");
    assert_eq!(head.get("x-other").as_deref(), Some("x"));
    service.answer(reply("200 OK", &[("X-User", "8"), ("X-Role", "read")]));
    let refusal = Opening::new(proxy.addr()).refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (403, "not allowed\n"));
}

#[test]
fn connections_to_the_service_are_used_again() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let proxy = Proxy::start(&asking(&upstream.url(), &service));
    for _ in 0..5 {
        assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    }
    assert_eq!((service.requests(), service.connections()), (5, 1));
    // A service that closes connections without notice costs no client its session.
    service.close_all();
    for _ in 0..5 {
        assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    }
}

#[test]
fn a_denial_of_the_service_reaches_the_client() {
    let upstream = TestUpstream::echo();
    let challenges = [("WWW-Authenticate", "Basic realm=\"x\""), ("WWW-Authenticate", "Bearer")];
    let service = Service::start(reply("401 Unauthorized", &challenges));
    let settings = asking(&upstream.url(), &service)
        .with(
            r#"auth.partners.api_keys.keys = { a = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }"#,
        )
        .with(r#"auth.partners.from = ["header:x-key"]"#)
        .on_route(r#"auth = ["partners", "gate"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let refusal = Opening::new(proxy.addr()).refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (401, "authentication required\n"));
    let challenge = refusal.head.get("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer realm=\"partners\", Basic realm=\"x\", Bearer", "of each method");
    proxy.wait_log("client refused *status=401 *cause=\"status 401 from the service\"");
    service.answer(reply("403 Forbidden", &challenges[..1]));
    let refusal = Opening::new(proxy.addr()).refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (403, "not allowed\n"));
    assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some("Basic realm=\"x\""));
    // The method before it decides alone about clients with a credential for it.
    let asked = service.requests();
    assert_eq!(Opening::new(proxy.addr()).header("X-Key", "test").open().ask("a"), "a");
    assert_eq!(Opening::new(proxy.addr()).header("X-Key", "tes").refused().status(), 401);
    assert_eq!((service.requests(), upstream.connections()), (asked, 1));
}

#[test]
fn with_sources_the_service_is_asked_about_credentials_only() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.gate.from = ["subprotocol:bearer.", "query:token"]"#)
        .with(r#"auth.gate.forward_as = "authorization""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let refusal = Opening::new(proxy.addr()).header("Authorization", "Bearer x").refused();
    assert_eq!(refusal.status(), 401);
    assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some("Bearer realm=\"gate\""));
    assert_eq!(service.requests(), 0);
    let opening = || Opening::new(proxy.addr()).protocols("chat, bearer.abc");
    // The service may get `authorization` too, so that it is a second credential.
    assert_eq!(opening().header("Authorization", "Bearer x").refused().status(), 400);
    assert_eq!(service.requests(), 0);
    let client = opening().open();
    assert_eq!(client.protocol().as_deref(), Some("chat"));
    assert_eq!(service.head(0).get("authorization").as_deref(), Some("Bearer abc"));
    assert_eq!(upstream.head(0).get("authorization").as_deref(), Some("Bearer abc"));
    assert_eq!(Opening::new(proxy.addr()).path("/?token=def").open().ask("a"), "a");
    let head = service.head(1);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer def"));
    assert_eq!(head.get("x-forwarded-uri").as_deref(), Some("/"));
    assert_eq!(upstream.head(1).line, "GET / HTTP/1.1");
}

/// The service logs the URI, and may send it on.
#[test]
fn the_service_gets_no_credential_of_another_method_in_a_uri() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.gate.forward.request_headers = ["referer", "x-original-uri"]"#)
        .with(r#"auth.keys.from = ["query:key", "subprotocol:key."]"#)
        .with(&format!("auth.keys.api_keys.keys = {{ tester = {TEST:?} }}"))
        .with(r#"upstream.echo.forward_headers = ["referer", "x-original-uri"]"#)
        .on_route(r#"auth = ["keys", "gate"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    // An empty value does not count as a credential, so the service is asked.
    let opening = Opening::new(proxy.addr())
        .path("/chat?a=1&key=")
        .header("Referer", "https://a.test/page?key=planted&b=2")
        .header("X-Original-Uri", "/chat?key=planted")
        .protocols("chat, key.");
    assert_eq!(opening.open().ask("a"), "a");
    for head in [service.head(0), upstream.head(0)] {
        assert_eq!(head.get("referer").as_deref(), Some("https://a.test/page?b=2"));
        assert_eq!(head.get("x-original-uri").as_deref(), Some("/chat"));
    }
    assert_eq!(upstream.head(0).get("sec-websocket-protocol").as_deref(), Some("chat"));
    assert_eq!(service.head(0).get("x-forwarded-uri").as_deref(), Some("/chat?a=1"));
}

#[test]
fn programs_see_no_cookie_and_no_key_that_the_service_gets() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.gate.forward.request_headers = ["cookie", "x-api-key", "user-agent"]"#)
        .incoming("select $request.headers from in into out;");
    let proxy = Proxy::start(&settings);
    let opening = Opening::new(proxy.addr())
        .header("Cookie", "session=planted; other=planted")
        .header("X-Api-Key", "planted")
        .header("User-Agent", "tester");
    let mut client = opening.open();
    client.text("{}");
    let headers = client.recv_json();
    assert_eq!(headers["cookie"], "session=***; other=***");
    assert_eq!((&headers["x-api-key"], &headers["user-agent"]), (&json!("***"), &json!("tester")));
    assert_eq!(service.head(0).get("cookie").as_deref(), Some("session=planted; other=planted"));
}

/// The upstream could rely on a cookie that the service would have checked.
#[test]
fn a_cookie_for_the_service_beside_the_credential_of_another_method_is_refused() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.keys.from = ["header:x-key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {{ tester = {TEST:?} }}"))
        .on_route(r#"auth = ["keys", "gate"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let opening = || Opening::new(proxy.addr()).header("X-Key", "test");
    assert_eq!(opening().header("Cookie", "session=forged").refused().status(), 400);
    assert_eq!(opening().header("Authorization", "Basic Zm9yZ2Vk").refused().status(), 400);
    assert_eq!((service.requests(), upstream.connections()), (0, 0));
    assert_eq!(opening().open().ask("a"), "a");
    assert_eq!(Opening::new(proxy.addr()).header("Cookie", "session=1").open().ask("a"), "a");
    assert_eq!(service.requests(), 1);
}

#[test]
fn no_log_has_a_credential() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[("X-User", "7")]));
    let settings = asking(&upstream.url(), &service)
        .with(&format!("auth.gate.forward.url = {:?}", service.url("/verify?key=hunter2-key")))
        .with(r#"auth.gate.forward.claims_from = { sub = "X-User" }"#);
    let proxy = Proxy::start_with(&settings, &[("RUST_LOG", "trace")]).expect("client refused");
    let open = || {
        Opening::new(proxy.addr())
            .header("Authorization", "Bearer hunter2-token")
            .header("Cookie", "session=hunter2-cookie")
    };
    assert_eq!(open().open().ask("a"), "a");
    service.answer(reply("401 Unauthorized", &[("WWW-Authenticate", "Bearer")]));
    let refusal = open().refused();
    assert!(!refusal.body.contains("hunter2"), "{}", refusal.body);
    service.answer(reply("500 Internal Server Error", &[]));
    let refusal = open().refused();
    assert!(!refusal.body.contains("hunter2"), "{}", refusal.body);
    proxy.wait_log("client refused *status=503");
    let leaks: Vec<_> = proxy.log().into_iter().filter(|line| line.contains("hunter2")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn the_service_may_have_tls() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let service = Service::start(reply("200 OK", &[]));
    let trusting = |door: &Door| {
        asking(&upstream.url(), &service)
            .with(&format!("auth.gate.forward.url = \"https://{}/verify\"", door.addr()))
            .with(&format!("auth.gate.forward.ca = {:?}", authority.file()))
    };
    let door = Door::accepting(authority.issue(&Leaf::new(&["127.0.0.1"])).server(), service.addr());
    let proxy = Proxy::start(&trusting(&door));
    assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    assert_eq!(service.head(0).get("host"), Some(door.addr().to_string()));
    let door = Door::accepting(authority.issue(&Leaf::new(&["other.test"])).server(), service.addr());
    let proxy = Proxy::start(&trusting(&door)).expect("client refused");
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 503);
    proxy.wait_log("client refused *cause=\"no response from the service: TLS: *");
    assert_eq!((service.requests(), upstream.connections()), (1, 1));
}

#[test]
fn changed_roots_of_the_service_are_read_again() {
    let (upstream, authority, stranger) = (TestUpstream::echo(), Authority::new(), Authority::new());
    let service = Service::start(reply("200 OK", &[]));
    let door = Door::accepting(authority.issue(&Leaf::new(&["127.0.0.1"])).server(), service.addr());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(stranger.file(), &ca).unwrap();
    let settings = asking(&upstream.url(), &service)
        .with(&format!("auth.gate.forward.url = \"https://{}/verify\"", door.addr()))
        .with(&format!("auth.gate.forward.ca = {ca:?}"));
    let proxy = Proxy::start(&settings).expect("client refused").expect("certificate files refused");
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 503);
    std::fs::copy(authority.file(), &ca).unwrap();
    proxy.wait_log("certificates changed auth=gate");
    assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    std::fs::write(&ca, "none").unwrap();
    proxy.wait_log("certificate files refused auth=gate reason=*");
    assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
}
