//! `recovery.preset = "program"`: pipelines say what the messages are (`into journal`), and sessions continue.

use crate::harness::*;

/// The programs in docs/recovery.md, for a protocol of text lines.
fn of_the_documentation(url: &str) -> Settings {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recovery.md")).unwrap();
    let program = |name: &str| {
        let source = text.split(&format!("[pipeline.{name}]\nsource = '''\n")).nth(1).unwrap();
        source.split("'''").next().unwrap().to_owned()
    };
    Settings::recovering(url, r#"preset = "program""#)
        .pipeline("requests", &program("requests"))
        .pipeline("ticks", &program("ticks"))
        .on_route(r#"incoming = ["requests"]"#)
        .on_route(r#"outgoing = ["ticks"]"#)
        .on_route("error_replies = true")
}

/// The client's messages of a protocol whose upstream assigns the ids.
const REQUESTS: &str = r#"
select {"kind": "open", "request": event.ref, "key": event.topic} from in where event.op == "open" into journal;
select {"kind": "close", "id_at": "sub", "request": event.ref} from in where event.op == "close" into journal;
select {"kind": "request", "request": event.ref} from in where event.op == "pay" into journal;
select {"kind": event.kind, "id": event.ref} from in where event.op == "wrong" into journal;
select event from in into out;
"#;

/// The upstream's messages. A script counts those that the program has seen.
const ANSWERS: &str = r#"
define script says
state 0
script
    let state = state + 1;
    match event of
        case %{ op == "opened" } => {"kind": "answer", "request": event.ref, "id_at": "sub"}
        case %{ op == "closed" } => {"kind": "answer", "request": event.ref, "id_at": "sub"}
        case %{ op == "paid" } => {"kind": "answer", "request": event.ref}
        case %{ op == "data" } => {"kind": "data", "id_at": "sub", "cursor": state, "numbered": true}
        case %{ op == "wrong" } => {"kind": "data", "id": event.sub}
        default => drop
    end
end;
create script says;
select event from in into says;
select event from says into journal;
select event from in into out;
"#;

fn assigning(url: &str) -> Settings {
    Settings::recovering(url, r#"preset = "program""#)
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .pipeline("requests", REQUESTS)
        .pipeline("answers", ANSWERS)
        .on_route(r#"incoming = ["requests"]"#)
        .on_route(r#"outgoing = ["answers"]"#)
        .on_route("error_replies = true")
}

/// Sends a message of the upstream, and returns what the client gets.
fn told(conn: &Conn, client: &mut Client, text: &str) -> String {
    conn.text(text);
    client.recv_text()
}

/// The texts that a connection has received, once there are that many.
fn heard(conn: &Conn, count: usize) -> Vec<String> {
    conn.wait_messages(count).into_iter().map(|message| message.into_text().unwrap().to_string()).collect()
}

#[test]
fn a_protocol_of_text_lines_continues_as_the_recipe_says() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&of_the_documentation(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("LOGIN secret");
    heard(&upstream.conn(0), 1);
    assert_eq!(told(&upstream.conn(0), &mut client, "READY"), "READY");
    for text in ["SUB 7 EURUSD", "SUB 8 USDCHF", "END 8", "STATUS"] {
        client.text(text);
    }
    heard(&upstream.conn(0), 5);
    assert_eq!(told(&upstream.conn(0), &mut client, "TICK 7 15 1.09"), "TICK 7 15 1.09");
    upstream.conn(0).die(Death::Reset);
    let next = upstream.conn(1);
    assert_eq!(heard(&next, 1), ["LOGIN secret"]);
    next.text("READY");
    assert_eq!(heard(&next, 2)[1], "SUB 7 EURUSD");
    client.text("STATUS");
    assert_eq!(heard(&next, 3)[2], "STATUS");
    next.text("TICK 7 18 1.10");
    let notice = client.recv_json();
    assert_eq!(notice["gap"]["entry"]["key"], "EURUSD", "{notice}");
    assert_eq!((&notice["gap"]["entry"]["id"], &notice["gap"]["lost"]), (&json!("7"), &json!(2)));
    assert_eq!(client.recv_text(), "TICK 7 18 1.10", "the answer to the second login is hidden");
    client.close(1000, "");
    assert!(proxy.account("1:0").is_balanced());
}

#[test]
fn ids_that_the_upstream_assigns_anew_are_those_that_the_client_knows() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&assigning(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    let open = r#"{"op":"open","ref":1,"topic":"news"}"#;
    client.text(open);
    heard(&upstream.conn(0), 1);
    let opened = r#"{"op":"opened","ref":1,"sub":"s-1"}"#;
    assert_eq!(told(&upstream.conn(0), &mut client, opened), opened);
    let data = r#"{"op":"data","sub":"s-1","n":1}"#;
    assert_eq!(told(&upstream.conn(0), &mut client, data), data);
    client.text(r#"{"op":"pay","ref":2}"#);
    heard(&upstream.conn(0), 2);
    upstream.conn(0).die(Death::Reset);
    let (text, event) = client.recv_error();
    assert!(text.starts_with("Error receiving reply from server"), "{text}");
    assert_eq!(event, "1:0:3", "the payment is not sent again");
    let next = upstream.conn(1);
    assert_eq!(heard(&next, 1), [open]);
    next.text(r#"{"op":"opened","ref":1,"sub":"s-9"}"#);
    // The state of the first run has seen the hidden answer: four messages, and the third and fourth are the next data.
    next.text(r#"{"op":"data", "sub" : "s-9","n":2}"#);
    assert_eq!(client.recv_json()["gap"]["lost"], 1, "the hidden answer counts in the state of the session");
    assert_eq!(client.recv_text(), r#"{"op":"data", "sub" : "s-1","n":2}"#);
    client.text(r#"{"op":"close","ref":3,"sub":"s-1"}"#);
    assert_eq!(heard(&next, 2)[1], r#"{"op":"close","ref":3,"sub":"s-9"}"#);
    let closed = told(&next, &mut client, r#"{"op":"closed","ref":3,"sub":"s-9"}"#);
    assert_eq!(closed, r#"{"op":"closed","ref":3,"sub":"s-1"}"#);
    next.die(Death::Fin);
    proxy.wait_ups(3);
    client.text(r#"{"op":"ping"}"#);
    assert_eq!(heard(&upstream.conn(2), 1), [r#"{"op":"ping"}"#], "it stays closed");
}

/// The first upstream is gone before it answers, and the next one has no such subscription.
#[test]
fn a_close_with_a_request_that_nothing_answers_fails() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&assigning(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"op":"open","ref":1,"topic":"news"}"#);
    heard(&upstream.conn(0), 1);
    let opened = r#"{"op":"opened","ref":1,"sub":"s-1"}"#;
    assert_eq!(told(&upstream.conn(0), &mut client, opened), opened);
    client.text(r#"{"op":"close","ref":2,"sub":"s-1"}"#);
    heard(&upstream.conn(0), 2);
    upstream.conn(0).die(Death::Reset);
    let (text, _) = client.recv_error();
    assert!(text.starts_with("Error receiving reply from server"), "{text}");
    proxy.wait_ups(2);
    client.text(r#"{"op":"close","ref":3,"sub":"s-1"}"#);
    wait_for("the error", PATIENCE, || {
        client.recv_text().contains("the subscription is not open at the upstream")
    });
    assert_eq!(upstream.conn(1).texts(), [""; 0], "it stays closed");
    client.close(1000, "");
    assert!(proxy.account("1:0").is_balanced());
}

#[test]
fn wrong_records_fail_their_messages_and_nothing_else() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&assigning(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"op":"wrong","ref":1,"kind":"opne"}"#);
    let (text, event) = client.recv_error();
    let expected = "port `journal`: unknown kind \"opne\"; known: hello, open, close, request";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(event, "1:0:0");
    client.text(r#"{"op":"open","ref":1,"topic":"news"}"#);
    heard(&upstream.conn(0), 1);
    told(&upstream.conn(0), &mut client, r#"{"op":"opened","ref":1,"sub":5}"#);
    let place = "port `journal`: the upstream assigns ids, so that `id_at` is needed in place of `id`";
    client.text(r#"{"op":"wrong","ref":5,"kind":"close"}"#);
    assert!(client.recv_error().0.ends_with(place));
    upstream.conn(0).text(r#"{"op":"wrong","sub":5}"#);
    assert!(client.recv_error().0.ends_with(place));
    upstream.conn(0).text(r#"{"op":"data","id":5}"#);
    assert!(client.recv_error().0.ends_with("port `journal`: the message has no id at the path in `id_at`"));
    let data = r#"{"op":"data","sub":5}"#;
    assert_eq!(told(&upstream.conn(0), &mut client, data), data);
    client.text(r#"{"op":"ping"}"#);
    assert_eq!(heard(&upstream.conn(0), 2)[1], r#"{"op":"ping"}"#);
}

/// What a program says stays with a message that waits for a connection or is not sent.
#[test]
fn what_a_program_says_holds_without_a_connection() {
    for hold in [false, true] {
        let upstream = TestUpstream::silent();
        let settings = of_the_documentation(&upstream.url());
        let settings = match hold {
            true => settings.with(r#"upstream.echo.recovery.hold = "30s""#),
            false => settings,
        };
        let proxy = Proxy::start(&settings).expect_restarts();
        let mut client = proxy.client();
        client.text("SUB 1 A");
        client.text("SUB 2 B");
        heard(&upstream.conn(0), 2);
        upstream.stop(Death::Reset);
        proxy.wait_log("connector restart");
        client.text("END 1");
        client.text("SUB 3 C");
        client.ping(b"read?");
        let expected: &[&str] = match hold {
            true => &["SUB 1 A", "SUB 2 B", "END 1", "SUB 3 C"],
            false => {
                assert!(client.recv_error().0.starts_with("Error sending event to server"), "SUB 3 fails");
                &["SUB 2 B"]
            }
        };
        upstream.start();
        assert_eq!(heard(&upstream.conn(1), expected.len()), expected);
        upstream.conn(1).die(Death::Reset);
        let kept: &[&str] = if hold { &["SUB 2 B", "SUB 3 C"] } else { &["SUB 2 B"] };
        assert_eq!(heard(&upstream.conn(2), kept.len()), kept);
    }
}
