//! Tests of the codecs and processors of listeners and upstreams.

use crate::harness::*;

/// Settings in which listener and upstream are as in the reference system: codec `string`, with `lines` as
/// preprocessor and postprocessor.
fn reference(url: &str) -> Settings {
    Settings::request(url)
        .with(r#"listener.ws.codec = "string""#)
        .with(r#"upstream.echo.codec = "string""#)
        .with(r#"listener.ws.preprocessors = ["lines"]"#)
        .with(r#"upstream.echo.postprocessors = ["lines"]"#)
}

/// An upstream that answers with the same text, without the end of the line.
fn chomping() -> TestUpstream {
    TestUpstream::with(|conn, message| match message {
        Message::Text(text) => conn.text(text.as_str().strip_suffix('\n').unwrap_or("no line")),
        Message::Binary(bytes) => conn.send(binary(bytes.strip_suffix(b"\n").unwrap_or(b"no line"))),
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_reference_case_gets_the_expected_answers() {
    let upstream = chomping();
    let proxy = Proxy::start(&reference(&upstream.url()));
    let mut client = proxy.client();
    for (sent, reply) in
        [("hello\n", "hello"), ("hello", "hello"), ("x\r\n", "x\r"), ("\n", ""), ("a\n\nb", "a")]
    {
        assert_eq!(client.ask(sent), reply, "{sent:?}");
    }
    // The rest of the last message: an empty line, and a line that ends with the message.
    assert_eq!(client.recv_text(), "");
    assert_eq!(client.recv_text(), "b");
    client.send(binary("bin\n"));
    assert_eq!(client.recv(), binary("bin"));
    let first = &upstream.conn(0).messages()[0];
    assert_eq!(*first, Message::text("hello\n"), "postprocessor `lines` ends the line");
}

#[test]
fn each_line_is_an_event_with_an_id_and_an_outcome() {
    let upstream = chomping();
    let settings = reference(&upstream.url()).with(r#"listener.ws.codec = "json""#);
    let proxy = Proxy::start(&settings.with(r#"upstream.echo.codec = "json""#));
    let mut client = proxy.client();
    client.text("1\nnonsense\n3\n");
    assert_eq!(client.recv_text(), "1");
    let reply = client.recv_json();
    assert_eq!((&reply["event_id"], &reply["source_id"]), (&json!("1:0:1"), &json!("listener.ws")));
    assert_eq!(client.recv_text(), "3");
    client.text("nonsense");
    assert_eq!(client.recv_json()["event_id"], "1:0:3");
}

#[test]
fn buffered_lines_may_span_messages() {
    let upstream = chomping();
    let settings = reference(&upstream.url())
        .with(r#"listener.ws.preprocessors = [{ name = "lines", buffered = true }]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("hel");
    client.text("lo\nwor");
    assert_eq!(client.recv_text(), "hello");
    assert_eq!(client.ask("ld\n"), "world");
}

#[test]
fn two_sessions_do_not_share_a_line() {
    let upstream = chomping();
    let settings = reference(&upstream.url())
        .with(r#"listener.ws.preprocessors = [{ name = "lines", buffered = true }]"#);
    let proxy = Proxy::start(&settings);
    let (mut one, mut other) = (proxy.client(), proxy.client());
    one.text("secret of one");
    one.ping(b"read?");
    assert_eq!(other.ask("hello\n"), "hello");
    assert_eq!(one.ask("\n"), "secret of one");
}

#[test]
fn json_that_does_not_parse_gets_an_error_reply() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::json(&upstream.url()));
    let mut client = proxy.client();
    let bomb = "[".repeat(200_000);
    let bad = ["{", "", "nul", "{\"a\":1} x", "[1,]", "'a'", bomb.as_str()];
    for (event, text) in bad.into_iter().enumerate() {
        client.text(text);
        let reply = client.recv_json();
        assert_eq!(reply["event_id"], format!("1:0:{event}"), "{}", &text[..text.len().min(20)]);
        assert_eq!(reply["source_id"], "listener.ws");
        assert!(!reply["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(client.ask(r#"{"a":[1,2.5,null,"x"]}"#), r#"{"a":[1,2.5,null,"x"]}"#);
    assert_eq!(upstream.received(), 1);
}

#[test]
fn a_reply_that_is_not_json_becomes_an_error_reply() {
    let upstream = TestUpstream::with(|conn, _| conn.text("{"));
    let proxy = Proxy::start(&Settings::json(&upstream.url()));
    let mut client = proxy.client();
    for event in ["1:0:0", "1:0:1"] {
        client.text("1");
        let (error, id) = client.recv_error();
        assert!(error.starts_with("Error deserializing Response message (codec/preprocessors): "), "{error}");
        assert_eq!(id, event);
    }
}

/// Checks that a JSON string becomes its text when the client's side uses JSON and the upstream's side plain
/// text, whether or not a program has read it.
fn json_to_text(settings: Settings, upstream: &TestUpstream) {
    let proxy = Proxy::start(&settings.with(r#"listener.ws.codec = "json""#));
    let mut client = proxy.client();
    client.text(r#""he\"llo""#);
    assert_eq!(upstream.conn(0).wait_messages(1), [Message::text("he\"llo")]);
    assert_eq!(client.recv_text(), r#""he\"llo""#);
    assert_eq!(client.ask(r#"{"a":1}"#), r#""{\"a\":1}""#);
    assert_eq!(upstream.conn(0).texts()[1], r#"{"a":1}"#);
}

#[test]
fn a_json_string_becomes_text_for_the_upstream() {
    let upstream = TestUpstream::echo();
    json_to_text(Settings::request(&upstream.url()), &upstream);
}

#[test]
fn a_json_string_read_by_a_program_becomes_text_for_the_upstream() {
    let upstream = TestUpstream::echo();
    let program = r#"select event from in where event != "x" into out;"#;
    json_to_text(Settings::request(&upstream.url()).incoming(program), &upstream);
}

#[test]
fn text_becomes_a_json_string_for_the_upstream() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(r#"upstream.echo.codec = "json""#));
    assert_eq!(proxy.client().ask("he\"llo"), "he\"llo");
    assert_eq!(upstream.conn(0).texts(), [r#""he\"llo""#]);
}

#[test]
fn numbers_and_escapes_survive_json() {
    let upstream = TestUpstream::echo();
    let settings = Settings::json(&upstream.url()).incoming(r#"select {"v": event.v} from in into out;"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for value in [
        json!({"v": 18_446_744_073_709_551_615_u64}),
        json!({"v": i64::MIN}),
        json!({"v": 0.1}),
        json!({"v": "\u{0}\u{1f}\"\\/é🦀\u{2028}"}),
        json!({"v": {"": []}}),
    ] {
        client.text(&value.to_string());
        assert_eq!(client.recv_json(), value);
    }
}

/// Numbers outside the ranges of 64-bit integers and floats, in their JSON notation.
const BIG: [&str; 5] = [
    "92233720368547758423",
    "123456789012345678901234567890",
    "18446744073709551616",
    "-9223372036854775809",
    "1e400",
];

#[test]
fn numbers_that_no_program_reads_are_unchanged() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::json(&upstream.url()));
    let mut client = proxy.client();
    for number in BIG {
        let text = format!(r#"{{ "x": {number}, "y": [-0, 1E3, 0.1000000000000000055511151231257827] }}"#);
        assert_eq!(client.ask(&text), text);
        assert_eq!(upstream.conn(0).texts().pop(), Some(text));
    }
}

#[test]
fn an_integer_beyond_64_bits_keeps_its_digits_when_a_program_writes_another_key() {
    let upstream = TestUpstream::echo();
    let program = r#"select merge event of {"x": 1} end from in where event.id != 1 into out;"#;
    let proxy = Proxy::start(&Settings::json(&upstream.url()).incoming(program));
    let mut client = proxy.client();
    for number in BIG {
        let text = format!(r#"{{"id":{number},"x":0}}"#);
        assert_eq!(client.ask(&text), format!(r#"{{"id":{number},"x":1}}"#));
    }
}

#[test]
fn arithmetic_with_an_integer_beyond_64_bits_is_an_overflow() {
    let upstream = TestUpstream::echo();
    let proxy =
        Proxy::start(&Settings::json(&upstream.url()).incoming("select event.id + 1 from in into out;"));
    let mut client = proxy.client();
    client.text(r#"{"id":18446744073709551616}"#);
    let (error, _) = client.recv_error();
    assert!(error.contains("integer overflow: 18446744073709551616 does not fit 64 bits"), "{error}");
}

#[test]
fn the_binary_codec_passes_any_bytes() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.codec = "binary""#)
        .with(r#"upstream.echo.codec = "binary""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    let bytes: Vec<u8> = (0..=255).collect();
    for message in [binary(bytes), Message::text("text"), binary("")] {
        client.send(message.clone());
        assert_eq!(client.recv(), message);
    }
}

#[test]
fn lines_of_the_upstream_are_events() {
    let upstream = TestUpstream::with(|conn, _| conn.text("reply\npush\n"));
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.preprocessors = ["lines"]"#)
        .with(r#"listener.ws.postprocessors = ["lines"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "reply\n");
    assert_eq!(client.recv_text(), "push\n");
}

/// All byte values, repeated to fill more than one TCP segment.
fn any_bytes() -> Vec<u8> {
    (0..=255).cycle().take(100_000).collect()
}

#[test]
fn by_default_text_stays_text_and_binary_stays_binary() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()));
    let mut client = proxy.client();
    let messages =
        [binary(any_bytes()), Message::text("grüß dich"), binary(""), Message::text(""), binary("text")];
    for (at, message) in messages.iter().enumerate() {
        client.send(message.clone());
        assert_eq!(upstream.conn(0).wait_messages(at + 1)[at], *message);
        assert_eq!(client.recv(), *message);
    }
}

#[test]
fn the_message_kind_is_kept_by_programs_that_do_not_change_the_data() {
    let upstream = TestUpstream::echo();
    let program = "define script mark script let $ = merge $ of {\"seen\": true} end; event end; create script mark; \
                   select event from in into mark; select event from mark into out;";
    let settings = Settings::request(&upstream.url())
        .incoming(program)
        .pipeline("outgoing", "select event from in into out;")
        .on_route(r#"outgoing = ["outgoing"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for message in [binary(b"\xff\x00"), Message::text("text")] {
        client.send(message.clone());
        assert_eq!(client.recv(), message);
    }
}

/// The message that the upstream receives when the program `script` changes the text message `a`.
fn made(script: &str) -> Message {
    let upstream = TestUpstream::silent();
    let program = format!(
        "define script make script {script} end; create script make; \
         select event from in into make; select event from make into out;"
    );
    let proxy = Proxy::start(&Settings::stream(&upstream.url()).incoming(&program));
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1).remove(0)
}

#[test]
fn a_program_that_changes_the_type_changes_the_message_kind() {
    assert_eq!(made("<< 255 >>"), binary(b"\xff"));
    assert_eq!(made(r#"{"a": event}"#), Message::text(r#"{"a":"a"}"#));
    assert_eq!(made("let $binary = true; event"), binary("a"));
    assert_eq!(made("let $binary = false; << 97 >>"), Message::text("a"));
}

#[test]
fn sending_invalid_utf8_as_text_is_an_error() {
    let upstream = TestUpstream::echo();
    let program = "define script cut script let $binary = false; event end; create script cut; \
                   select event from in into cut; select event from cut into out;";
    let proxy = Proxy::start(&Settings::request(&upstream.url()).incoming(program));
    let mut client = proxy.client();
    client.send(binary(b"\xff"));
    let (error, id) = client.recv_error();
    assert!(error.contains("of a text message ($binary is false)"), "{error}");
    assert_eq!(id, "1:0:0");
    client.send(binary("text"));
    assert_eq!(client.recv(), Message::text("text"));
}

#[test]
fn an_error_reply_to_a_binary_message_is_text() {
    let upstream = TestUpstream::echo();
    let proxy =
        Proxy::start(&Settings::request(&upstream.url()).incoming("select event.x from in into out;"));
    let mut client = proxy.client();
    client.send(binary(b"\xff"));
    assert_eq!(client.recv_error().1, "1:0:0");
}

#[test]
fn lines_of_binary_messages_are_binary() {
    let upstream = chomping();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.preprocessors = ["lines"]"#)
        .with(r#"upstream.echo.postprocessors = ["lines"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.send(binary(b"\xff\n\xfe"));
    assert_eq!(client.recv(), binary(b"\xff"));
    assert_eq!(client.recv(), binary(b"\xfe"));
    assert_eq!(client.ask("text"), "text");
    assert_eq!(upstream.conn(0).messages()[0], binary(b"\xff\n"));
}
