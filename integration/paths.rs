//! Tests of path and query of the upstream's handshake, which are derived from the client's.

use crate::harness::*;

/// Opens a session for each request target, and compares the target that the upstream receives.
#[track_caller]
fn asked(upstream: &TestUpstream, settings: &Settings, cases: &[(&str, &str)]) {
    let before = upstream.handshakes();
    let proxy = Proxy::start(settings);
    for (number, (target, expected)) in cases.iter().enumerate() {
        let mut client = Opening::new(proxy.addr()).path(target).open();
        let line = upstream.head(before + number).line;
        assert_eq!(line, format!("GET {expected} HTTP/1.1"), "{target}");
        assert_eq!(client.ask("hello"), "hello");
    }
}

#[test]
fn path_and_query_arrive_unchanged() {
    let upstream = TestUpstream::echo();
    let targets = [
        "/",
        "/?",
        "/a%2Fb//c/%3A;x=1?token=a%20b&q=%2F&empty",
        "/socket.io/?EIO=4&transport=websocket",
        "/api/kernels/3f0c/channels?session_id=1%2D2",
        "//evil.test/x",
    ];
    asked(&upstream, &Settings::request(&upstream.url()), &targets.map(|target| (target, target)));
}

#[test]
fn a_path_in_the_url_replaces_the_routes() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("{}/ws", upstream.url())).on_route(r#"path = "/chat""#);
    asked(
        &upstream,
        &settings,
        &[
            ("/chat", "/ws"),
            ("/chat/a?x=1", "/ws/a?x=1"),
            ("/chat/", "/ws/"),
            ("/%63hat//a%2fb", "/ws//a%2fb"),
        ],
    );
    let settings = Settings::request(&format!("{}/ws", upstream.url()));
    asked(&upstream, &settings, &[("/", "/ws"), ("/a", "/ws/a")]);
    let settings = Settings::request(&format!("{}/", upstream.url())).on_route(r#"path = "/chat""#);
    asked(&upstream, &settings, &[("/chat", "/"), ("/chat/a", "/a")]);
}

#[test]
fn a_client_cannot_change_a_query_in_the_url() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("{}/ws?token=op", upstream.url()));
    asked(&upstream, &settings, &[("/?token=client", "/ws?token=op"), ("/a", "/ws/a?token=op")]);
}

#[test]
fn a_route_may_strip_its_path() {
    let upstream = TestUpstream::echo();
    let settings =
        Settings::request(&upstream.url()).on_route(r#"path = "/chat""#).on_route("strip_prefix = true");
    asked(&upstream, &settings, &[("/chat", "/"), ("/chat/a%20b?c", "/a%20b?c"), ("/chat?c", "/?c")]);
}

#[test]
fn a_route_may_keep_the_path() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("{}/ws?a", upstream.url()));
    let settings = settings.with("upstream.echo.forward_path = false");
    asked(&upstream, &settings, &[("/", "/ws?a"), ("/elsewhere/../x?y", "/ws?a")]);
}

#[test]
fn an_absolute_target_is_forwarded_by_its_path() {
    let upstream = TestUpstream::echo();
    asked(
        &upstream,
        &Settings::request(&upstream.url()),
        &[("http://towline.test/a/b?c", "/a/b?c"), ("ws://other.test?c", "/?c")],
    );
}

#[test]
fn bytes_not_allowed_in_a_url_are_encoded() {
    let upstream = TestUpstream::echo();
    asked(
        &upstream,
        &Settings::request(&upstream.url()),
        &[("/a|b?ids[]=1&q=100%", "/a%7Cb?ids%5B%5D=1&q=100%25"), ("/a\\b", "/a%5Cb")],
    );
}

#[test]
fn a_client_cannot_leave_its_prefix() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("{}/ws", upstream.url())).on_route(r#"path = "/chat""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for target in [
        "/chat/../admin",
        "/chat/./a",
        "/chat/..",
        "/chat/%2e%2E/admin",
        "/chat/%252e%252e/admin",
        "/chat/..%2fadmin",
        "/chat/..;/admin",
        "/chat/a\\..\\admin",
    ] {
        assert_eq!(Opening::new(proxy.addr()).path(target).refused().status(), 400, "{target}");
    }
    assert_eq!(Opening::new(proxy.addr()).path("/chat%2Fadmin").refused().status(), 404);
    assert_eq!(upstream.handshakes(), 0);
}

#[test]
fn reconnects_use_the_same_path() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = Opening::new(proxy.addr()).path("/room/a%2Fb?token=t0k3n").open();
    upstream.conn(0).die(Death::Fin);
    assert_eq!(upstream.head(1).line, "GET /room/a%2Fb?token=t0k3n HTTP/1.1");
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello"), "hello");
}

/// The query is secret, because it may contain a token.
#[test]
fn the_clients_query_appears_in_no_log_line_or_reply() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = Settings::request(&upstream.url()).with(r#"log.level = "trace""#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("client refused");
    let mut client = Opening::new(proxy.addr()).path("/room?token=t0k3n").open();
    client.text("a");
    let (error, _) = client.recv_error();
    let expected =
        format!("Error sending event to server {}: Trying to work with closed connection", upstream.url());
    assert_eq!(error, expected);
    upstream.start();
    proxy.wait_ups(1);
    assert_eq!(client.ask("b"), "b");
    drop(client);
    proxy.wait_log("session closed session=1:0");
    assert_eq!(Opening::new(proxy.addr()).path("/../room?token=t0k3n").refused().status(), 400);
    proxy.wait_log("session opened session=1:0 *path=/room ");
    let log = proxy.log().join("\n");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("t0k3n")).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

/// When programs set `$url` for every event, the proxy makes no connection to the route's own URL.
#[test]
fn a_session_routed_by_url_alone_has_no_idle_connection() {
    let upstream = TestUpstream::echo();
    let program = format!(
        "define script room script let $url = \"{}\" + $request.path; event end;\ncreate script room;\n\
         select event from in into room;\nselect event from room into out;",
        upstream.url()
    );
    let settings = Settings::request(&upstream.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}/*"]"#, upstream.url()))
        .incoming(&program);
    let proxy = Proxy::start(&settings).expect("connector lost");
    let mut client = Opening::new(proxy.addr()).path("/room/a%2Fb").open();
    assert_eq!(upstream.handshakes(), 0, "no connection before an event needs it");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(client.ask("again"), "again");
    assert_eq!(upstream.head(0).line, "GET /room/a%2Fb HTTP/1.1");
    assert_eq!((upstream.handshakes(), proxy.count_log("connector restart")), (1, 0));
    // The session continues after a loss.
    upstream.conn(0).die(Death::Fin);
    proxy.wait_log("connector lost session=1:0 ");
    let mut answer = client.ask("back?");
    wait_for("the upstream again", PATIENCE, || {
        answer == "back?" || {
            answer = client.ask("back?");
            false
        }
    });
    assert_eq!(upstream.handshakes(), 2);
    drop(client);
    assert!(proxy.account("1:0").is_balanced());
}

/// The subprotocol is the upstream's choice, so a client that offers subprotocols makes the proxy dial the
/// upstream.
#[test]
fn a_session_routed_by_url_dials_the_upstream_for_the_subprotocol() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Choose("chat"));
    let program = "define script s script let $url = event; event end; create script s;
                   select event from in into s; select event from s into out;";
    let proxy = Proxy::start(&Settings::request(&upstream.url()).incoming(program));
    let client = Opening::new(proxy.addr()).protocols("mqtt, chat").open();
    assert_eq!(client.protocol().as_deref(), Some("chat"));
    assert_eq!(upstream.handshakes(), 1);
}

/// An event whose `$url` is the session's own target uses the route's connector.
#[test]
fn an_event_may_name_the_sessions_own_target() {
    let upstream = TestUpstream::echo();
    let program = format!(
        "define script own script\n  match event of\n    case \"own\" => let $url = \"{}/room?a\"\n    \
         default => null\n  end;\n  event\nend;\ncreate script own;\nselect event from in into own;\n\
         select event from own into out;",
        upstream.url()
    );
    let proxy = Proxy::start(&Settings::request(&upstream.url()).incoming(&program)).expect_restarts();
    let mut client = Opening::new(proxy.addr()).path("/room?a").open();
    assert_eq!(client.ask("own"), "own");
    assert_eq!(client.ask("other"), "other");
    assert_eq!(upstream.handshakes(), 1);
    // Without a connection it fails like any other event.
    upstream.stop(Death::Fin);
    proxy.wait_log("connector restart session=1:0 ");
    client.text("own");
    let (error, _) = client.recv_error();
    assert!(error.ends_with("Trying to work with closed connection"), "{error}");
}

/// A program may choose the upstream's own URL with another path.
#[test]
fn a_program_may_choose_the_whole_url() {
    let upstream = TestUpstream::echo();
    let program = format!(
        "define script choose script let $url = \"{}/chosen?x\"; event end;\ncreate script choose;\n\
         select event from in into choose;\nselect event from choose into out;",
        upstream.url()
    );
    let settings = Settings::request(&upstream.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}/*"]"#, upstream.url()))
        .incoming(&program);
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).path("/asked").open();
    assert_eq!(client.ask("hello"), "hello");
    let lines: Vec<_> = (0..upstream.handshakes()).map(|number| upstream.head(number).line).collect();
    assert!(lines.contains(&"GET /chosen?x HTTP/1.1".to_owned()), "{lines:?}");
}
