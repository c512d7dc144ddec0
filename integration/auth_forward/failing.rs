//! Tests with a service that hangs, is slow, floods, fails, or is full.

use std::sync::Arc;

use super::{
    TEST, asking,
    service::{Act, Service, reply},
};
use crate::harness::*;

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A client gets 503, and the log has the cause.
#[track_caller]
fn expect_503(proxy: &Proxy, cause: &str) {
    let refusal = Opening::new(proxy.addr()).refused();
    let answer = (refusal.status(), refusal.body.as_str(), refusal.head.get("retry-after"));
    assert_eq!(answer, (503, "authentication is not available\n", Some("1".to_owned())), "{cause}");
    // The log has each reason once a second at most, so that the cause of another refusal may be in the line.
    proxy.wait_log("client refused *status=503 reason=\"authentication is not available\"");
}

#[test]
fn a_service_that_does_not_answer_in_time_accepts_nobody() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service).with(r#"auth.gate.forward.timeout = "300ms""#);
    for act in [Act::Hang(Vec::new()), Act::Hang(bytes("HTTP/1.1 200 OK\r\nX-User: a"))] {
        service.answer(act);
        let proxy = Proxy::start(&settings).expect("client refused");
        expect_503(&proxy, "hang");
        proxy.wait_log("client refused *cause=\"no response from the service within 300ms\"");
        service.wait_ended();
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_service_that_fails_accepts_nobody() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let settings = asking(&upstream.url(), &service)
        .with(r#"auth.gate.forward.claims_from = { exp = "X-Expires" }"#)
        .with(r#"auth.gate.forward.upstream_headers = ["X-User"]"#);
    let large = "x".repeat(20 * 1024);
    for (act, cause) in [
        (reply("500 Internal Server Error", &[]), "status 500 from the service"),
        (reply("302 Found", &[("Location", "/login")]), "status 302 from the service"),
        (Act::Close(Vec::new()), "no response from the service: connection closed"),
        (Act::Close(bytes("HTTP/1.1 200 OK\r\n")), "no response from the service: connection closed"),
        (Act::Hang(bytes("SSH-2.0-x\r\n\r\n")), "no response from the service: no HTTP response"),
        (Act::Flood(bytes("HTTP/1.1 200 OK\r\n"), bytes("X-A: a\r\n")), "no response from the service: *"),
        (Act::Flood(bytes("HTTP/1.1 200 OK\r\nX: "), vec![b'x'; 4096]), "no response from the service: *"),
        (reply("200 OK", &[("X-User", &large)]), "headers from the service are too large"),
        (reply("200 OK", &[("X-Expires", "soon")]), "unusable header x-expires from the service"),
    ] {
        service.answer(act);
        // The HTTP client logs that a head is too large.
        let proxy = Proxy::start(&settings).expect("client refused").expect("MAX_BUFFER_SIZE");
        expect_503(&proxy, cause);
        proxy.wait_log(&format!("client refused *cause=\"{cause}\""));
    }
    assert_eq!(upstream.connections(), 0);
    service.answer(reply("200 OK", &[]));
    assert_eq!(Opening::new(Proxy::start(&settings).addr()).open().ask("a"), "a");
}

#[test]
fn a_service_that_cannot_be_reached_accepts_nobody() {
    let upstream = TestUpstream::echo();
    let service = Service::start(reply("200 OK", &[]));
    let port = Port::take();
    let url = format!("http://{}/verify", port.addr());
    let settings = asking(&upstream.url(), &service).with(&format!("auth.gate.forward.url = {url:?}"));
    let proxy = Proxy::start(&settings).expect("client refused");
    expect_503(&proxy, "refused");
    proxy.wait_log("client refused *cause=\"no response from the service: IO error: Connection refused*");
}

#[test]
fn a_client_does_not_wait_for_the_body() {
    let upstream = TestUpstream::echo();
    let endless = Act::Flood(bytes("HTTP/1.1 200 OK\r\n\r\n"), vec![b'x'; 4096]);
    let service = Service::start(endless);
    let proxy = Proxy::start(&asking(&upstream.url(), &service));
    assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    // The proxy stops to read, although the time limit is far away.
    service.wait_ended();
    service.answer(Act::Hang(bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")));
    assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    // A body that ends leaves the connection for the next request.
    service.answer(Act::Write(bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")));
    let before = service.connections();
    for _ in 0..3 {
        assert_eq!(Opening::new(proxy.addr()).open().ask("a"), "a");
    }
    assert!(service.connections() <= before + 3, "{}", service.connections());
}

#[test]
fn requests_to_the_service_are_limited_and_end_with_their_client() {
    let upstream = TestUpstream::echo();
    let service = Service::start(Act::Hang(Vec::new()));
    let settings = asking(&upstream.url(), &service).with("auth.gate.forward.max_requests = 2");
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut waiting: Vec<_> = (0..2).map(|_| Raw::connect(proxy.addr())).collect();
    for client in &mut waiting {
        client.write(request("/", &[]).as_bytes());
    }
    service.wait_requests(2);
    expect_503(&proxy, "full");
    proxy.wait_log("client refused *cause=\"too many requests to the service in progress\"");
    assert_eq!(service.requests(), 2);
    // The clients leave, and so do their requests.
    drop(waiting);
    service.wait_ended();
    service.answer(reply("200 OK", &[]));
    wait_for("a free slot", PATIENCE, || Opening::new(proxy.addr()).try_open().is_ok());
    assert_eq!(upstream.connections(), 1);
}

/// One address has 32 places for checks that wait.
#[test]
fn a_service_that_hangs_does_not_refuse_clients_of_the_same_address_whose_check_does_not_wait() {
    const WAITING: usize = 32;
    let upstream = TestUpstream::echo();
    let service = Service::start(Act::Hang(Vec::new()));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "planted-secret-with-thirty-two-bytes-or-more").unwrap();
    let settings = asking(&upstream.url(), &service)
        .with(&format!("auth.users.jwt.secret_file = {:?}", folder.path().join("secret")))
        .with(r#"auth.keys.from = ["header:x-key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {{ one = {TEST:?} }}"))
        .on_route(r#"path = "/gate""#)
        .route(&[
            r#"name = "known""#,
            r#"path = "/known""#,
            r#"upstream = "echo""#,
            r#"auth = ["keys", "users"]"#,
            r#"origins = ["*"]"#,
        ]);
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut waiting: Vec<_> = (0..WAITING).map(|_| Raw::connect(proxy.addr())).collect();
    for client in &mut waiting {
        client.write(request("/gate", &[]).as_bytes());
    }
    service.wait_requests(WAITING);
    let refusal = Opening::new(proxy.addr()).path("/gate").refused();
    assert_eq!((refusal.status(), refusal.head.get("retry-after").as_deref()), (429, Some("1")));
    assert_eq!(refusal.body, "too many credentials from this address at a time\n");
    assert_eq!(service.requests(), WAITING);
    let known = || Opening::new(proxy.addr()).path("/known");
    assert_eq!(known().header("X-Key", "test").open().ask("a"), "a");
    let denied = known().header("Authorization", "Bearer e30.e30.e30").refused();
    assert_eq!(denied.status(), 401, "a token is checked");
    drop(waiting);
    service.wait_ended();
}

/// A 103 (RFC 8297) leaves a response on the connection, which the next request must not take for its own.
#[test]
fn no_request_gets_the_response_to_another() {
    let upstream = TestUpstream::echo();
    let latch = Arc::new(Latch::default());
    let late = bytes("HTTP/1.1 200 OK\r\nX-User: first\r\nContent-Length: 0\r\n\r\n");
    let early = bytes("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let service = Service::start(Act::Then(early, Arc::clone(&latch), late));
    let settings =
        asking(&upstream.url(), &service).with(r#"auth.gate.forward.upstream_headers = ["X-User"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    expect_503(&proxy, "status 103");
    service.answer(reply("403 Forbidden", &[]));
    let next = std::thread::spawn({
        let addr = proxy.addr();
        move || Opening::new(addr).refused().status()
    });
    service.wait_requests(2);
    latch.open();
    assert_eq!(next.join().unwrap(), 403);
    assert_eq!((service.connections(), upstream.connections()), (2, 0));
}
