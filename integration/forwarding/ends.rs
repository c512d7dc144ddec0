//! What ends a forwarded request: the upstream, the client, time, limits, a drain.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_upstream_that_cannot_answer_is_502_or_504() {
    let down = Port::take();
    let proxy = Proxy::start(&forwarding(&down.url())).expect("client refused").expect("endpoint down");
    let (head, body) = ask(&proxy, GET);
    assert_eq!((head.status(), body.as_str()), (502, "the upstream is not available\n"));

    let gone = HttpUpstream::start(|conn| _ = conn.head());
    let proxy = Proxy::start(&forwarding(&gone.url())).expect("client refused");
    let (head, body) = ask(&proxy, GET);
    assert_eq!(
        (head.status(), body.as_str()),
        (502, "the upstream ended the connection before its answer\n")
    );
    proxy.wait_log("client refused *status=502 *cause=\"connection closed\"");

    let silent = HttpUpstream::start(|conn| {
        conn.head();
        conn.wait_end();
    });
    let settings = forwarding(&silent.url()).on_route(r#"http_timeout = "300ms""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let (head, body) = ask(&proxy, GET);
    assert_eq!((head.status(), body.as_str()), (504, "the upstream did not answer in time\n"));
}

/// The time limit is for progress, not for the whole response.
#[test]
fn a_response_may_take_longer_than_the_time_limit() {
    let upstream = HttpUpstream::start(|conn| {
        conn.head();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            pause(std::time::Duration::from_millis(300));
            conn.write("a");
        }
        conn.wait_end();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()).on_route(r#"http_timeout = "2s""#));
    assert_eq!(ask(&proxy, GET).1, "aaaaaaaaaa");
}

/// The client can tell that a response is not complete.
#[test]
fn a_response_that_is_cut_off_has_no_end() {
    for (answer, rest) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nhello\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nwrong", "5\r\nhello\r\n"),
    ] {
        let upstream = HttpUpstream::answering(answer);
        let proxy = Proxy::start(&forwarding(&upstream.url())).expect("response cut off");
        let (head, body) = ask(&proxy, GET);
        assert_eq!(head.status(), 200);
        assert!(rest.starts_with(&body), "{body:?}");
        proxy.wait_log("response cut off listener=ws *route=route[1] reason=\"response incomplete\" cause=");
    }
}

#[test]
fn a_client_that_goes_ends_the_upstreams_connection() {
    let (ended, ends) = std::sync::mpsc::channel();
    let upstream = HttpUpstream::start(move |conn| {
        conn.head();
        conn.wait_end();
        ended.send(()).unwrap();
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let requests = [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"];
    for (number, request) in requests.into_iter().enumerate() {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(request.as_bytes());
        upstream.wait_request(number);
        drop(raw);
        ends.recv_timeout(PATIENCE).expect("the connection ends");
    }
    wait_for("both have ended", PATIENCE, || proxy.count_log("request forwarded *status=-") == 2);
}

/// A server that answers each request when the test says so.
fn held() -> (HttpUpstream, std::sync::Arc<Latch>) {
    let latch = std::sync::Arc::<Latch>::default();
    let opened = std::sync::Arc::clone(&latch);
    let upstream = HttpUpstream::start(move |conn| {
        conn.head();
        opened.wait();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        conn.wait_end();
    });
    (upstream, latch)
}

#[test]
fn a_request_counts_as_a_session_while_it_is_forwarded() {
    let (upstream, latch) = held();
    let settings = forwarding(&upstream.url()).with("listener.ws.max_sessions_per_address = 1");
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut first = Raw::connect(proxy.addr());
    first.write(GET.as_bytes());
    upstream.wait_request(0);
    assert_eq!(ask(&proxy, GET).0.status(), 429);
    assert_eq!(upstream.connections(), 1);
    latch.open();
    assert_eq!(first.head().status(), 200);
    assert_eq!(first.read_to_end(), "late");
    // Its place is free a moment after its answer.
    wait_for("the next answer", PATIENCE, || ask(&proxy, GET).1 == "late");
}

#[test]
fn a_drain_waits_for_the_answer() {
    let (upstream, latch) = held();
    let mut proxy = Proxy::start(&forwarding(&upstream.url()).with(r#"drain.grace = "30s""#));
    let mut raw = Raw::connect(proxy.addr());
    raw.write(GET.as_bytes());
    upstream.wait_request(0);
    proxy.signal("TERM");
    proxy.wait_log("draining sessions=1");
    latch.open();
    assert_eq!(raw.head().status(), 200);
    assert_eq!(raw.read_to_end(), "late");
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_drain_ends_a_request_without_an_answer() {
    let (upstream, _latch) = held();
    let settings = forwarding(&upstream.url()).with(r#"drain.grace = "300ms""#);
    let mut proxy = Proxy::start(&settings).expect("client refused");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(GET.as_bytes());
    upstream.wait_request(0);
    proxy.signal("TERM");
    let head = raw.head();
    assert_eq!((head.status(), head.get("retry-after").as_deref()), (503, Some("5")));
    drop(raw);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// The hash of `test`.
const TEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A server that begins a response without end, and reports when its connection has ended.
fn endless(begin: &'static str) -> (HttpUpstream, std::sync::mpsc::Receiver<()>) {
    let (ended, ends) = std::sync::mpsc::channel();
    let upstream = HttpUpstream::start(move |conn| {
        conn.head();
        conn.write(begin);
        conn.wait_end();
        let _ = ended.send(());
    });
    (upstream, ends)
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

/// A stream of events is as long as a session, and needs a credential that is valid for as long.
#[test]
fn a_response_ends_when_the_credential_expires() {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    let (upstream, ends) = endless(EVENTS);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expires = now().as_secs() + 6;
    let settings = forwarding(&upstream.url())
        .with(r#"auth.keys.from = ["header:x-key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {{ tester = \"{TEST}:exp={expires}\" }}"))
        .on_route(r#"auth = ["keys"]"#)
        .on_route(r#"origins = ["*"]"#)
        .on_route(r#"session_expiry = { lead = "1s", skew = "1s" }"#);
    let proxy = Proxy::start(&settings).expect("response cut off");
    let (head, body) = ask(&proxy, "GET / HTTP/1.1\r\nHost: a\r\nX-Key: test\r\n\r\n");
    assert!(now() >= Duration::from_secs(expires + 1), "the skew counts");
    assert_eq!((head.status(), body.as_str()), (200, "9\r\ndata: 1\n\n\r\n"), "without a last chunk");
    ends.recv_timeout(PATIENCE).expect("the upstream's connection ends");
    proxy.wait_log("response cut off listener=ws *cause=\"credential expired\"");
}

#[test]
fn a_request_is_no_older_than_a_session_may_get() {
    let (upstream, ends) = endless("");
    let (events, _) = endless(EVENTS);
    let aged = |url: &str| {
        let settings =
            forwarding(url).on_route(r#"max_session_age = "2s""#).on_route("max_session_age_jitter = 0");
        Proxy::start(&settings).expect("client refused").expect("response cut off")
    };
    let proxy = aged(&upstream.url());
    let (head, body) = ask(&proxy, GET);
    assert_eq!((head.status(), body.as_str()), (504, "the upstream did not answer in time\n"));
    ends.recv_timeout(PATIENCE).expect("the upstream's connection ends");
    proxy.wait_log("client refused *status=504 *cause=\"maximum age reached\"");
    let proxy = aged(&events.url());
    assert_eq!(ask(&proxy, GET).1, "9\r\ndata: 1\n\n\r\n");
    proxy.wait_log("response cut off listener=ws *cause=\"maximum age reached\"");
}
