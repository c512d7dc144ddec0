//! Tests of the health pages, requested as various probes do.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use crate::harness::*;

/// The whole response to a request for a page. The connection ends after it.
fn answer(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(addr: SocketAddr, method: &str, path: &str) -> String {
    answer(addr, &format!("{method} {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"))
}

/// The head of a response in lower case, and the body.
fn parts(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

#[track_caller]
fn expect_pages(addr: SocketAddr, pages: &[&str]) {
    for path in pages {
        let (head, body) = parts(&ask(addr, "GET", path));
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let (head_of_head, none) = parts(&ask(addr, "HEAD", path));
        assert!(head_of_head.starts_with("http/1.1 200"), "{path}: {head_of_head}");
        assert!(head_of_head.contains(&format!("content-length: {}", body.len())), "{head_of_head}");
        assert_eq!(none, "", "an answer to HEAD has no content");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
            let (head, _) = parts(&ask(addr, method, path));
            assert!(head.starts_with("http/1.1 405"), "{method} {path}: {head}");
            assert!(head.contains("\r\nallow: get, head"), "{method} {path}: {head}");
        }
        for method in ["GET", "HEAD"] {
            let (head, _) = parts(&answer(addr, &format!("{method} {path} HTTP/1.0\r\n\r\n")));
            assert!(head.starts_with("http/1.0 200"), "{method} {path}: {head}");
        }
    }
}

#[test]
fn health_pages_accept_get_and_head_and_answer_405_to_other_methods() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    expect_pages(proxy.admin(), &["/healthz", "/readyz"]);
    assert_eq!(Operator::new(proxy.admin()).send("HEAD", "/nowhere", None).status, 404);
}

#[test]
fn the_health_page_of_the_echo_server_is_the_same() {
    let echo = Program::start(&["echo", "--bind", "127.0.0.1:0"], &[], Path::new("/"));
    let line = echo.wait_log("listening echo *address=127.0.0.1:");
    let addr = line.rsplit_once("address=").unwrap().1.parse().unwrap();
    expect_pages(addr, &["/healthz"]);
}

#[test]
fn the_command_asks_the_admin_server_of_the_environment() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let admin = format!("http://{}", proxy.admin());
    let port = Port::take();
    let nobody = format!("http://{}", port.addr());
    let code = |args: &[&str], at: &str| Program::finish(args, &[("TOWLINE_ADMIN", at)], Path::new("/")).code;
    assert_eq!(code(&["health"], &admin), Some(0));
    assert_eq!(code(&["health"], &nobody), Some(1));
    assert_eq!(code(&["health", "--admin", &admin], &nobody), Some(0));
    assert_eq!(code(&["health", &format!("{admin}/readyz")], &nobody), Some(0));
}

#[test]
fn head_requests_report_a_drain() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"drain.grace = "8s""#);
    let mut proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    let admin = proxy.admin();
    proxy.signal("TERM");
    wait_for("readiness to turn", PATIENCE, || ask(admin, "HEAD", "/readyz").starts_with("HTTP/1.1 503"));
    assert!(ask(admin, "HEAD", "/healthz").starts_with("HTTP/1.1 200"));
    upstream.conn(0).text("b");
    assert_eq!(client.recv_text(), "b");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}
