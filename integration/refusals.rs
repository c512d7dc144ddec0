//! Tests of an upstream that refuses the handshake: the client gets the status, challenge, `Retry-After` and
//! a bounded body of the refusal (RFC 9110 sections 15.5.2 and 10.2.3).

use crate::harness::*;

/// A proxy whose upstream answers handshakes as the test sets.
struct Scene {
    upstream: TestUpstream,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(settings: impl FnOnce(Settings) -> Settings) -> Self {
        let upstream = TestUpstream::echo();
        let proxy = Proxy::start(&settings(Settings::request(&upstream.url())));
        Self { upstream, proxy: proxy.expect("client refused") }
    }

    /// The refusal that a client gets when the upstream responds with `answer`.
    #[track_caller]
    fn refused(&self, answer: Answer) -> Refusal {
        self.upstream.set_answer(answer);
        Opening::new(self.proxy.addr()).refused()
    }

    #[track_caller]
    fn serves(&self) {
        self.upstream.set_answer(Answer::Accept);
        assert_eq!(self.proxy.client().ask("hello"), "hello");
    }
}

#[test]
fn a_challenge_and_its_body_reach_the_client() {
    let scene = Scene::new();
    let refusal = scene.refused(Answer::Bytes(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"chat\", error=\"invalid_token\"\r\n\
         WWW-Authenticate: Basic realm=\"chat\"\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: 28\r\nServer: internal/1.0\r\nProxy-Authenticate: Basic\r\n\r\n\
         {\"error\": \"token expired\"}\r\nand what is behind it",
    ));
    assert_eq!(refusal.status(), 401);
    let challenge = r#"Bearer realm="chat", error="invalid_token", Basic realm="chat""#;
    assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some(challenge));
    assert_eq!(refusal.head.get("content-type").as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!(refusal.head.get("content-length").as_deref(), Some("28"));
    assert_eq!(refusal.body, "{\"error\": \"token expired\"}\r\n");
    assert_eq!(refusal.head.get("server"), None);
    assert_eq!(refusal.head.get("proxy-authenticate"), None, "hop-by-hop headers are not passed on");
    scene.serves();
}

/// For example, an upstream removes the cookie of an expired login.
#[test]
fn listed_headers_reach_the_client_once() {
    let list = r#"upstream.echo.forward_response_headers = ["set-cookie", "retry-after", "date", "x-id"]"#;
    let scene = Scene::with(|settings| settings.with(list));
    let refusal = scene.refused(Answer::Bytes(
        "HTTP/1.1 401 Unauthorized\r\nSet-Cookie: sid=; Max-Age=0\r\nSet-Cookie: a=b\r\nRetry-After: 1\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Id: 7\r\nX-Other: 8\r\nContent-Length: 0\r\n\r\n",
    ));
    assert_eq!(refusal.head.get("set-cookie").as_deref(), Some("sid=; Max-Age=0, a=b"));
    assert_eq!(refusal.head.get("retry-after").as_deref(), Some("1"));
    assert_eq!(refusal.head.get("x-id").as_deref(), Some("7"));
    assert_eq!(refusal.head.get("x-other"), None);
    assert!(!refusal.head.get("date").unwrap().contains("1994"), "the date is that of the proxy's answer");
    scene.serves();
}

#[test]
fn the_time_to_wait_reaches_the_client() {
    let scene = Scene::new();
    let refusal = scene.refused(Answer::Bytes(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n",
    ));
    assert_eq!((refusal.status(), refusal.body.as_str()), (429, ""));
    assert_eq!(refusal.head.get("retry-after").as_deref(), Some("17"));
    scene.serves();
}

#[test]
fn a_body_is_read_with_any_framing() {
    let scene = Scene::new();
    for (name, answer, body) in [
        (
            "chunked",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n6\r\n today\r\n0\r\n\r\n",
            "not today",
        ),
        ("up to the end", "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nnot today", "not today"),
        ("HTTP/1.0", "HTTP/1.0 403 Forbidden\r\n\r\nnot today", "not today"),
        (
            "with an upgrade",
            "HTTP/1.1 403 Forbidden\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nnot",
            "not",
        ),
        (
            "behind interim answers",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nnot",
            "not",
        ),
    ] {
        let refusal = scene.refused(Answer::Bytes(answer));
        assert_eq!((refusal.status(), refusal.body.as_str()), (403, body), "{name}");
    }
    scene.serves();
}

#[test]
fn a_body_of_16_kib_is_passed_on_and_a_larger_one_replaced() {
    let scene = Scene::new();
    let answer = |length: usize, framing: &str| -> &'static str {
        let body = "x".repeat(length);
        let body =
            if framing.contains("chunked") { format!("{length:x}\r\n{body}\r\n0\r\n\r\n") } else { body };
        format!("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n{framing}\r\n{body}").leak()
    };
    const MAX: usize = 16 * 1024;
    for framing in ["", "Content-Length: 16384\r\n", "Transfer-Encoding: chunked\r\n"] {
        let refusal = scene.refused(Answer::Bytes(answer(MAX, framing)));
        assert_eq!(refusal.body.len(), MAX, "{framing}");
        let larger = framing.replace("16384", "16385");
        let refusal = scene.refused(Answer::Bytes(answer(MAX + 1, &larger)));
        assert_eq!(refusal.status(), 403);
        let text = "refused by the upstream; its answer has more than 16 KiB and is not passed on\n";
        assert_eq!(refusal.body, text, "{framing}");
        assert_eq!(refusal.head.get("content-type").as_deref(), Some("text/plain"));
    }
    scene.serves();
}

#[test]
fn a_body_that_never_ends_does_not_delay_the_answer() {
    // A wait for `connect_timeout` would outlast the client's patience.
    let scene = Scene::with(|settings| {
        settings.on_route(r#"dial_before_accept = "1s""#).with(r#"upstream.echo.connect_timeout = "60s""#)
    });
    for answer in [
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 100\r\n\r\nthe beginning",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\nthe beginning",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthe ",
    ] {
        let refusal = scene.refused(Answer::BytesThenSilence(answer));
        assert_eq!(refusal.status(), 401);
        assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some("Bearer"));
        let text = "refused by the upstream; its answer was not complete in time and is not passed on\n";
        assert_eq!(refusal.body, text);
    }
    scene.serves();
}

#[test]
fn a_body_that_ends_early_is_replaced() {
    let scene = Scene::new();
    let refusal =
        scene.refused(Answer::Bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nthe beginning"));
    assert_eq!(refusal.status(), 404);
    assert_eq!(refusal.body, "refused by the upstream; its answer was incomplete and is not passed on\n");
    scene.serves();
}

/// A header of the upstream cannot add a line to the proxy's response.
#[test]
fn a_header_cannot_add_another() {
    let scene = Scene::new();
    let mut raw = Raw::connect(scene.proxy.addr());
    scene.upstream.set_answer(Answer::Bytes(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\nX-Injected: a\r\nContent-Length: 0\r\n\r\n",
    ));
    raw.write(request("/", &[]).as_bytes());
    let head = raw.head();
    assert_eq!(head.get("x-injected"), None, "{head:?}");
    assert!(head.headers.iter().all(|(_, value)| !value.contains('\n')), "{head:?}");
    scene.serves();
}

#[test]
fn an_internal_location_is_not_passed_on() {
    let scene = Scene::new();
    for (location, expected) in [
        ("http://127.0.0.1:1/login", None),
        ("https://login.example.com/", Some("https://login.example.com/")),
        ("/login", Some("/login")),
    ] {
        let answer = format!("HTTP/1.1 403 Forbidden\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let refusal = scene.refused(Answer::Bytes(answer.leak()));
        assert_eq!(refusal.head.get("location").as_deref(), expected);
    }
}

/// A 407 asks a client for credentials for a proxy. The upstream's 407 is meant for Towline, so the client
/// does not get it.
#[test]
fn a_407_is_not_passed_on() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Refuse(407));
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let _client = proxy.client();
    proxy.wait_log("connector restart session=1:0 *reason=\"handshake refused with status 407\"");
}

#[test]
fn interim_answers_of_the_upstream_are_skipped() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    upstream.set_answer(Answer::Bytes(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    ));
    let _client = proxy.client();
    proxy.wait_ups(1);
}

/// On a route that closes its client on a loss, a dial that fails before the client is accepted refuses the
/// client, as a TCP tunnel would.
mod where_the_client_is_not_kept {
    use super::*;

    fn scene() -> Scene {
        let upstream = TestUpstream::echo();
        let settings = Settings::plain(&upstream.url())
            .with(r#"upstream.echo.connect_timeout = "1s""#)
            .with("listener.ws.max_sessions = 1")
            .on_route(r#"dial_before_accept = "10s""#);
        let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint down");
        Scene { upstream, proxy }
    }

    /// Checks that no session exists and that the proxy does not dial the upstream again.
    #[track_caller]
    fn is_served_next(scene: &Scene) {
        assert_eq!((scene.proxy.sessions(), scene.proxy.count_log("connector")), (0, 0));
        scene.serves();
        wait_for("the end of the session", PATIENCE, || scene.proxy.sessions() == 0);
    }

    #[test]
    fn an_upstream_that_is_not_running_is_a_502() {
        let scene = scene();
        scene.upstream.stop(Death::Fin);
        let refusal = Opening::new(scene.proxy.addr()).refused();
        assert_eq!((refusal.status(), refusal.body.as_str()), (502, "the upstream is not available\n"));
        scene.proxy.wait_log(
            "client refused listener=ws *status=502 reason=\"the upstream is not available\" \
             cause=\"IO error: Connection refused",
        );
        scene.upstream.start();
        is_served_next(&scene);
    }

    #[test]
    fn an_upstream_that_does_not_answer_is_a_504() {
        let scene = scene();
        for answer in [Answer::Silent, Answer::Half(60)] {
            let refusal = scene.refused(answer);
            let text = "the upstream did not answer in time\n";
            assert_eq!((refusal.status(), refusal.body.as_str()), (504, text));
        }
        scene.proxy.wait_log("client refused *status=504 *cause=\"no connection within 1s\"");
        is_served_next(&scene);
    }

    #[test]
    fn a_name_without_address_is_a_502() {
        let settings = Settings::plain("ws://no-such-host.invalid:81")
            .with(r#"upstream.echo.connect_timeout = "20s""#)
            .on_route(r#"dial_before_accept = "20s""#);
        let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint down");
        assert_eq!(Opening::new(proxy.addr()).refused().status(), 502);
        proxy.wait_log("client refused *status=502 *cause=\"host name cannot be resolved");
    }

    #[test]
    fn the_status_of_the_upstream_is_passed_on() {
        let scene = scene();
        for status in [301, 307, 400, 401, 404, 429, 500, 502, 503, 504, 599] {
            let refusal = scene.refused(Answer::Refuse(status));
            assert_eq!((refusal.status(), refusal.body.as_str()), (status, "no entry"));
        }
        let refusal = scene.refused(Answer::Bytes(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Type: text/html\r\n\r\n<p>later",
        ));
        assert_eq!((refusal.status(), refusal.body.as_str()), (503, "<p>later"));
        assert_eq!(refusal.head.get("retry-after").as_deref(), Some("120"));
        assert_eq!(refusal.head.get("content-type").as_deref(), Some("text/html"));
        is_served_next(&scene);
    }

    #[test]
    fn an_invalid_answer_is_a_502() {
        let scene = scene();
        for answer in [
            Answer::Refuse(200),
            Answer::Refuse(204),
            Answer::Refuse(407),
            Answer::Garbage,
            Answer::WrongKey,
            Answer::Cut(60),
            Answer::Choose("chat"),
        ] {
            assert_eq!(scene.refused(answer.clone()).status(), 502, "{answer:?}");
        }
        is_served_next(&scene);
    }

    /// A route that keeps its client accepts the client although the dial failed.
    #[test]
    fn a_route_that_keeps_its_client_accepts_it() {
        let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
        let kept = Settings::plain(&upstream.url()).on_route(r#"on_upstream_loss = "keep""#);
        let _client = Proxy::start(&kept).expect_restarts().client();
        let closed = Settings::plain(&upstream.url())
            .with(r#"upstream.echo.exchange = "request""#)
            .on_route(r#"on_upstream_loss = "close""#);
        let proxy = Proxy::start(&closed).expect("client refused").expect("endpoint down");
        assert_eq!(Opening::new(proxy.addr()).refused().status(), 502);
    }
}
