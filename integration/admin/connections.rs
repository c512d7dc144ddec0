//! Tests of connections to the admin server that nobody uses, or that send many requests.

use std::{io::Write, time::Duration};

use super::*;

/// More connections than the admin server has at a time.
const MANY: usize = 300;

/// Before, the health pages and all others waited until the idle connections had timed out.
#[test]
fn idle_connections_shut_nobody_out() {
    const CLOSED: &str = "admin connection closed, too many are open";
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect(CLOSED);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin());
    let mut first = Raw::connect(proxy.admin());
    first.write(request.as_bytes());
    let head = first.head();
    assert_eq!((head.status(), first.body(&head).as_str()), (200, "ok\n"));
    let mut idle: Vec<_> = (0..MANY).map(|_| Raw::connect(proxy.admin())).collect();
    proxy.wait_log(&format!("{CLOSED} peer=127.0.0.1*"));
    assert_eq!(get(proxy.admin(), "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(operator.json("/api/sessions")["total"], 0);
    assert_eq!(operator.act("/api/sessions/closing/abort").status, 202);
    // The oldest one was closed for the others, without an answer.
    assert_eq!(first.rest().0, b"");
    // The last one is open.
    let last = idle.last_mut().unwrap();
    last.write(request.as_bytes());
    assert_eq!(last.head().status(), 200);
}

/// Before, the thread answered all requests that it had read before it read the health check: for seconds.
#[test]
fn requests_whose_answers_nobody_reads_do_not_delay_a_health_check() {
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin());
    let many = request.repeat(200);
    let connect = || {
        let mut flood = Raw::connect(proxy.admin());
        flood.write(many.as_bytes());
        flood
    };
    let floods: Vec<_> = (0..64).map(|_| connect()).collect();
    for _ in 0..10 {
        assert_eq!(get(proxy.admin(), "/healthz"), (200, "ok\n".to_owned()));
    }
    drop(floods);
}

/// Before, a script that leaks connections shut out the health pages until the connections had timed out.
#[test]
fn connections_of_operators_make_room_for_a_health_check() {
    const CLOSED: &str = "admin connection closed, too many are open";
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect(CLOSED);
    let token = std::fs::read_to_string(token_file()).unwrap();
    let request = format!(
        "POST /api/sessions/closing/abort HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 2\r\n\r\n{{}}",
        proxy.admin(),
        token.trim()
    );
    let mut leaked = Vec::new();
    for _ in 0..140 {
        let mut connection = Raw::connect(proxy.admin());
        connection.write(request.as_bytes());
        assert_eq!(connection.head().status(), 202);
        leaked.push(connection);
    }
    proxy.wait_log(CLOSED);
    assert_eq!(get(proxy.admin(), "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(operator.act("/api/sessions/closing/abort").status, 202);
    drop(leaked);
}

/// Before, the server decoded all requests that it had read: up to 19 MB for each connection.
#[test]
fn requests_whose_answers_nobody_reads_take_little_memory() {
    const FLOODS: u64 = 20;
    const EACH_KIB: u64 = 3 * 1024;
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin());
    let many = request.repeat(3000);
    assert_eq!(get(proxy.admin(), "/metrics").0, 200);
    let before = proxy.anonymous_kib();
    let connect = || {
        let flood = Raw::connect(proxy.admin());
        flood.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // The server need not take all of it.
        let _ = flood.stream().write_all(many.as_bytes());
        flood
    };
    let floods: Vec<_> = (0..FLOODS).map(|_| connect()).collect();
    for _ in 0..10 {
        assert_eq!(get(proxy.admin(), "/healthz").0, 200);
    }
    let each = proxy.anonymous_kib().saturating_sub(before) / FLOODS;
    assert!(each <= EACH_KIB, "{each} KiB for each connection");
    drop(floods);
}

#[test]
fn all_requests_of_a_connection_are_answered_in_order() {
    const COUNT: usize = 1000;
    let upstream = TestUpstream::echo();
    let (proxy, _) = operated(&upstream);
    let token = std::fs::read_to_string(token_file()).unwrap();
    let page = |number: usize| {
        let path = if number.is_multiple_of(2) { "/healthz".to_owned() } else { format!("/no/{number}") };
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin())
    };
    let pages: String = (0..COUNT).map(page).collect();
    let body = format!("{{}}{}", " ".repeat(60_000));
    let action = format!(
        "POST /api/sessions/closing/abort HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        proxy.admin(),
        token.trim(),
        body.len()
    );
    let mut raw = Raw::connect(proxy.admin());
    let mut sender = raw.stream().try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all((pages + &action).as_bytes()).unwrap());
    for number in 0..COUNT {
        let head = raw.head();
        let body = raw.body(&head);
        match number.is_multiple_of(2) {
            true => assert_eq!((head.status(), &*body), (200, "ok\n")),
            false => assert!(head.status() == 404 && body.contains(&format!("/no/{number}")), "{body}"),
        }
    }
    assert_eq!(raw.head().status(), 202);
    sending.join().unwrap();
}
