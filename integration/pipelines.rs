//! Tests of pipelines: filters, ports, streams, errors, and the choice of the upstream.

use crate::harness::*;

#[test]
fn a_filter_drops_events_without_a_reply() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .incoming(r#"select event from in where event != "drop me" into out;"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for text in ["a", "drop me", "b"] {
        client.text(text);
    }
    assert_eq!(client.recv_text(), "a");
    assert_eq!(client.recv_text(), "b");
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=3 answered=2 delivered=0 errored=0 dropped=1");
    assert_eq!(upstream.conn(0).texts(), ["a", "b"]);
}

#[test]
fn an_event_sent_to_reply_does_not_go_upstream() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).incoming(
        r#"select "pong" from in where event == "ping" into reply;
           select event from in where event != "ping" into out;"#,
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for text in ["a", "ping", "b"] {
        client.text(text);
    }
    for text in ["a", "pong", "b"] {
        assert_eq!(client.recv_text(), text);
    }
    assert_eq!(upstream.conn(0).texts(), ["a", "b"]);
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=3 answered=3 delivered=0 errored=0 dropped=0");
}

#[test]
fn copies_of_an_event_share_one_outcome() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).incoming(
        r#"select event from in into out;
           select {"seen": event} from in into reply;"#,
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("a");
    let mut both = [client.recv_text(), client.recv_text()];
    both.sort();
    assert_eq!(both, ["a", r#"{"seen":"a"}"#]);
    assert!(!client.ask("b").is_empty());
    client.recv_text();
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=2 answered=2 delivered=0 errored=0 dropped=0");
}

#[test]
fn a_reply_from_a_pipeline_keeps_the_order() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).incoming(
        r#"select "pong" from in where event == "ping" into reply;
           select event from in where event != "ping" into out;"#,
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("a");
    client.text("ping");
    client.text("b");
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    client.ping(b"nothing yet?");
    conn.text("a");
    assert_eq!(client.recv_text(), "a");
    assert_eq!(client.recv_text(), "pong");
    conn.text("b");
    assert_eq!(client.recv_text(), "b");
}

#[test]
fn correlation_travels_from_request_to_reply_and_error() {
    let upstream = TestUpstream::silent();
    let tag = r#"select {"is": $correlation, "data": event} from in into out;"#;
    let settings = Settings::request(&upstream.url())
        .incoming(
            "define script c script let $correlation = {\"of\": event}; event end;
             create script c;
             select event from in into c;
             select event from c into out;",
        )
        .pipeline("outgoing", tag)
        .on_route(r#"outgoing = ["outgoing"]"#)
        .pipeline("errors", r#"select {"is": $correlation, "id": event.event_id} from in into out;"#)
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("one");
    client.text("two");
    let conn = upstream.conn(0);
    conn.wait_messages(2);
    conn.text("reply");
    assert_eq!(client.recv_json(), json!({"is": {"of": "one"}, "data": "reply"}));
    conn.die(Death::Fin);
    assert_eq!(client.recv_json(), json!({"is": {"of": "two"}, "id": "1:0:1"}));
}

#[test]
fn a_route_without_upstream_answers_from_its_pipeline() {
    let settings = Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .with(r#"listener.ws.codec = "json""#)
        .route(&[])
        .incoming(r#"select {"you": event, "twice": event.n * 2} from in into reply;"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"n":21}"#);
    assert_eq!(client.recv_json(), json!({"you": {"n": 21}, "twice": 42}));
}

#[test]
fn an_event_sent_to_err_passes_the_errors_pipeline() {
    let upstream = TestUpstream::echo();
    let settings = Settings::json(&upstream.url())
        .incoming(
            r#"select {"refused": event.x} from in where event.x < 0 into err;
               select event from in where event.x >= 0 into out;"#,
        )
        .pipeline("errors", r#"select {"kind": "error", "data": event} from in into out;"#)
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"x":-1}"#);
    client.text(r#"{"x":1}"#);
    assert_eq!(client.recv_json(), json!({"kind": "error", "data": {"refused": -1}}));
    assert_eq!(client.recv_json(), json!({"x": 1}));
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=2 answered=1 delivered=0 errored=1 dropped=0");
}

/// The client gets the record of the program as it is, and the operator finds the error by the event's id.
#[test]
fn the_error_of_a_script_that_the_client_gets_is_kept_for_operators() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("half.trickle");
    let program =
        "define script half script event / 2 end; create script half; select event from in into half;
                   select event from half into out; select event from half/err into err;";
    std::fs::write(&file, program).unwrap();
    let settings = Settings::json(&upstream.url())
        .with(&format!("pipeline.half.file = {:?}", file.display().to_string()))
        .on_route(r#"incoming = ["half"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#""four""#);
    let text = "`/` is not defined for string and integer at half.trickle:1:33";
    assert_eq!(client.recv_json(), json!({"error": text, "event": "four"}));
    let found = Operator::new(proxy.admin()).json("/api/events/1:0:0");
    assert_eq!(found["reason"], json!(format!("Error in pipeline: event was refused: {text}")));
}

/// The folders of the machine are no business of clients. The log has them.
#[test]
fn an_error_reply_names_the_file_of_the_program_without_its_folder() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter.trickle");
    std::fs::write(&file, "select event.type from in into out;").unwrap();
    let file = file.display().to_string();
    let settings = Settings::json(&upstream.url())
        .with(&format!("pipeline.filter.file = {file:?}"))
        .with(r#"log.level = "info,pipeline=debug""#)
        .on_route(r#"incoming = ["filter"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("{}");
    let (error, _) = client.recv_error();
    assert_eq!(error, "Error in pipeline: there is no key `type` at filter.trickle:1:13");
    proxy.wait_log(&format!("program failed pipeline=filter event=1:0:0 error=*at {file}:1:13"));
}

#[test]
fn an_errors_pipeline_shapes_error_replies() {
    let upstream = TestUpstream::stopped(|_, _| ());
    let settings = Settings::json(&upstream.url())
        .pipeline("errors", r#"select {"id": event.event_id, "text": event.error} from in into out;"#)
        .on_route(r#"errors = ["errors"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("1");
    let reply = client.recv_json();
    assert_eq!(reply["id"], "1:0:0");
    assert!(reply["text"].as_str().unwrap().starts_with("Error sending event to server"), "{reply}");
}

#[test]
fn events_pass_streams_and_pipelines_in_order() {
    let upstream = TestUpstream::echo();
    let settings = Settings::json(&upstream.url())
        .pipeline(
            "split",
            r#"create stream even;
               create stream odd;
               select event from in where event.n % 2 == 0 into even;
               select event from in where event.n % 2 == 1 into odd;
               select {"n": event.n, "kind": "even"} from even into out;
               select {"n": event.n, "kind": "odd"} from odd into out;"#,
        )
        .pipeline("tag", r#"select {"tagged": event} from in into out;"#)
        .pipeline("back", r#"select {"answer": event} from in into out;"#)
        .on_route(r#"incoming = ["split", "tag"]"#)
        .on_route(r#"outgoing = ["back"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"n":1}"#);
    client.text(r#"{"n":2}"#);
    assert_eq!(client.recv_json(), json!({"answer": {"tagged": {"n": 1, "kind": "odd"}}}));
    assert_eq!(client.recv_json(), json!({"answer": {"tagged": {"n": 2, "kind": "even"}}}));
}

#[test]
fn a_reply_dropped_by_an_outgoing_pipeline_is_an_outcome() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .pipeline("outgoing", r#"select event from in where event != "b" into out;"#)
        .on_route(r#"outgoing = ["outgoing"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for text in ["a", "b", "c"] {
        client.text(text);
    }
    assert_eq!(client.recv_text(), "a");
    assert_eq!(client.recv_text(), "c");
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=3 answered=2 delivered=0 errored=0 dropped=1");
}

#[test]
fn a_runtime_error_is_an_error_reply() {
    let upstream = TestUpstream::echo();
    let settings = Settings::json(&upstream.url()).incoming("select event.wanted from in into out;");
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"wanted":1}"#);
    client.text(r#"{"other":1}"#);
    client.text(r#"{"wanted":2}"#);
    assert_eq!(client.recv_text(), "1");
    let (error, id) = client.recv_error();
    assert!(error.contains("wanted"), "{error}");
    assert_eq!(id, "1:0:1");
    assert_eq!(client.recv_text(), "2");
    assert_eq!(upstream.received(), 2);
}

#[test]
fn a_runtime_error_in_an_outgoing_pipeline_is_an_error_reply() {
    let upstream = TestUpstream::echo();
    let settings = Settings::json(&upstream.url())
        .pipeline("outgoing", "select event.wanted from in into out;")
        .on_route(r#"outgoing = ["outgoing"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(r#"{"other":1}"#);
    assert_eq!(client.recv_error().1, "1:0:0");
    client.text(r#"{"wanted":2}"#);
    assert_eq!(client.recv_text(), "2");
}

#[test]
fn a_program_can_read_request_and_session() {
    let settings = Settings::bare().with(r#"listener.ws.bind = "127.0.0.1:0""#).route(&[]).incoming(
        r#"select {"path": $request.path, "query": $request.query, "agent": $request.headers["user-agent"],
                       "listener": $session.listener, "binary": $binary, "data": event} from in into reply;"#,
    );
    let proxy = Proxy::start(&settings);
    let mut client = Opening::new(proxy.addr()).path("/a/b?c=d").header("User-Agent", "test/1").open();
    client.text("hello");
    let reply = client.recv_json();
    assert_eq!(reply["path"], "/a/b");
    assert_eq!(reply["query"], "c=d");
    assert_eq!(reply["agent"], "test/1");
    assert_eq!(reply["listener"], "ws");
    assert_eq!(reply["binary"], false);
    assert_eq!(reply["data"], "hello");
}

#[test]
fn a_program_can_read_the_origin_of_events() {
    let (home, other) = (TestUpstream::echo(), TestUpstream::echo());
    let settings = Settings::json(&home.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}/*"]"#, other.url()))
        .incoming(
            "define script r
             script
                 let $url = event.url;
                 {\"client\": tremor::origin::as_uri_record(), \"peer\": $request.peer}
             end;
             create script r;
             select event from in into r;
             select event from r into out;",
        )
        .pipeline(
            "outgoing",
            "select merge event of {\"server\": tremor::origin::as_uri_string()} end from in into out;",
        )
        .on_route(r#"outgoing = ["outgoing"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    let as_origin = |url: &str| url.replacen("ws://", "tremor-ws://", 1);
    for (url, server) in [
        (home.url(), as_origin(&home.url())),
        (format!("{}/rooms/7", other.url()), format!("{}/rooms/7", as_origin(&other.url()))),
    ] {
        client.text(&json!({ "url": url }).to_string());
        let reply = client.recv_json();
        assert_eq!(reply["server"], server);
        let (came, peer) = (&reply["client"], &reply["peer"]);
        let path = [proxy.addr().port().to_string()];
        let expected =
            json!({ "scheme": "tremor-ws", "host": peer["ip"], "port": peer["port"], "path": path });
        assert_eq!(came, &expected);
    }
}

#[test]
fn a_script_chooses_the_message_kind() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).incoming(
        "define script b script let $binary = true; event end;
         create script b;
         select event from in into b;
         select event from b into out;",
    );
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("hello");
    assert_eq!(client.recv(), binary("hello"));
    assert_eq!(upstream.conn(0).messages(), [binary("hello")]);
}

/// A program that takes the upstream's URL from the event.
const BY_URL: &str = "define script r script let $url = event.url; event end;
                      create script r;
                      select event from in into r;
                      select event from r into out;";

fn labelled(label: &'static str) -> TestUpstream {
    TestUpstream::with(move |conn, _| conn.text(&json!({ "from": label }).to_string()))
}

#[test]
fn an_event_chooses_its_upstream() {
    let (home, other) = (labelled("home"), labelled("other"));
    let settings = Settings::json(&home.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}", "{}/rooms/*"]"#, other.url(), other.url()))
        .incoming(BY_URL);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for (url, from) in [
        (other.url(), "other"),
        (home.url(), "home"),
        (format!("{}/rooms/7", other.url()), "other"),
        (other.url(), "other"),
    ] {
        client.text(&json!({ "url": url }).to_string());
        assert_eq!(client.recv_json(), json!({ "from": from }));
    }
    let lines: Vec<_> = (0..other.handshakes()).map(|index| other.head(index).line).collect();
    assert!(lines.contains(&"GET /rooms/7 HTTP/1.1".to_owned()), "{lines:?}");
    assert!(lines.contains(&"GET / HTTP/1.1".to_owned()), "{lines:?}");
}

#[test]
fn an_upstream_that_is_not_allowed_is_an_error_reply() {
    let (home, other) = (labelled("home"), Port::take());
    let settings = Settings::json(&home.url())
        .with(
            r#"upstream.echo.allow_urls = ["ws://allowed.test:1234/", "ws://allowed.test:99/x?key=hunter2"]"#,
        )
        .incoming(BY_URL);
    let proxy = Proxy::start(&settings).expect("not allowed");
    let mut client = proxy.client();
    for (event, url) in [
        other.url(),
        "ws://allowed.test:1234.evil.test/".into(),
        "http://allowed.test:1234/".into(),
        "nonsense".into(),
        "ws://u:s3cr3t@nowhere.test/?token=t0k3n".into(),
    ]
    .into_iter()
    .enumerate()
    {
        client.text(&json!({ "url": url }).to_string());
        let (error, id) = client.recv_error();
        assert_eq!(id, format!("1:0:{event}"));
        for secret in ["allowed.test:1234/\"", "allowed.test:99", "hunter2", "s3cr3t", "t0k3n"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
    client.text(&json!({ "url": home.url() }).to_string());
    assert_eq!(client.recv_json(), json!({"from": "home"}));
}

#[test]
fn the_loss_of_a_chosen_upstream_affects_no_other() {
    let (home, other) = (labelled("home"), labelled("other"));
    let settings = Settings::json(&home.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}"]"#, other.url()))
        .incoming(BY_URL);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector lost");
    let mut client = proxy.client();
    let to = |upstream: &TestUpstream| json!({ "url": upstream.url() }).to_string();
    assert_eq!(client.ask(&to(&other)), r#"{"from":"other"}"#);
    other.stop(Death::Fin);
    client.text(&to(&other));
    client.text(&to(&home));
    let (error, id) = client.recv_error();
    assert!(error.contains(&other.url()), "{error}");
    assert_eq!(id, "1:0:1");
    assert_eq!(client.recv_json(), json!({"from": "home"}));
    other.start();
    let mut answer = client.ask(&to(&other));
    wait_for("the other upstream again", PATIENCE, || {
        answer == r#"{"from":"other"}"# || {
            answer = client.ask(&to(&other));
            false
        }
    });
}

#[test]
fn an_error_reply_names_the_chosen_server_that_does_not_answer() {
    let (home, other) = (labelled("home"), TestUpstream::silent());
    let settings = Settings::json(&home.url())
        .with(&format!(r#"upstream.echo.allow_urls = ["{}"]"#, other.url()))
        .with(r#"upstream.echo.reply_timeout = "300ms""#)
        .incoming(BY_URL);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text(&json!({ "url": other.url() }).to_string());
    let (error, _) = client.recv_error();
    assert_eq!(error, format!("Error receiving reply from server {}: no reply within 300ms", other.url()));
}
