//! Tests of the harness itself: its clients connect to its test upstream directly.

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::harness::*;

#[test]
fn a_client_talks_to_an_upstream() {
    let upstream = TestUpstream::echo();
    let mut client = Opening::new(upstream.addr()).path("/a?b=c").header("X-One", "1").open();
    assert_eq!(client.ask("hello"), "hello");
    client.send(binary([0, 255]));
    assert_eq!(client.recv(), binary([0, 255]));
    client.ping(b"are you there");
    let conn = upstream.conn(0);
    assert_eq!(conn.head().line, "GET /a?b=c HTTP/1.1");
    assert_eq!(conn.head().get("x-one").as_deref(), Some("1"));
    assert_eq!(conn.messages(), [Message::text("hello"), binary([0, 255])]);
    client.close(4000, "enough");
    assert_eq!(conn.wait_end(), End::Close(4000, "enough".into()));
    client.expect_closed(4000);
}

#[test]
fn an_upstream_ends_connections_as_requested() {
    for (death, code) in [
        (Death::Fin, None),
        (Death::Reset, None),
        (Death::MidFrame, None),
        (Death::Close(1001, "going"), Some(1001)),
    ] {
        let upstream = TestUpstream::echo();
        let mut client = Client::connect(upstream.addr());
        assert_eq!(client.ask("hello"), "hello");
        upstream.stop(death);
        assert_eq!(client.read_to_end().1, code, "{death:?}");
        assert_eq!(TcpStream::connect(upstream.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        upstream.start();
        assert_eq!(Client::connect(upstream.addr()).ask("again"), "again");
        assert_eq!(upstream.connections(), 2);
    }
}

#[test]
fn resets_and_ends_are_distinguished() {
    let upstream = TestUpstream::silent();
    for (death, kind) in [(Death::Reset, Some(ErrorKind::ConnectionReset)), (Death::Fin, None)] {
        let mut raw = Raw::upgraded(upstream.addr());
        let conn = upstream.conn(upstream.connections() - 1);
        raw.send(&Frame::client(TEXT, "unanswered"));
        conn.wait_messages(1);
        conn.die(death);
        let mut byte = [0];
        let read = std::io::Read::read(&mut raw.stream(), &mut byte);
        assert_eq!(read.err().map(|error| error.kind()), kind, "{death:?}");
    }
}

#[test]
fn an_upstream_refuses_handshakes_as_requested() {
    let upstream = TestUpstream::echo();
    upstream.set_answer(Answer::Refuse(403));
    let refusal = Opening::new(upstream.addr()).refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (403, "no entry"));
    upstream.set_answer(Answer::Choose("b"));
    let client = Opening::new(upstream.addr()).protocols("a, b").open();
    assert_eq!(client.protocol().as_deref(), Some("b"));
    assert_eq!(upstream.handshakes(), 2);
    assert_eq!(upstream.head(1).get("sec-websocket-protocol").as_deref(), Some("a, b"));
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn frames_are_decoded_as_encoded() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        for frame in [Frame::client(BINARY, vec![7; length]), Frame::server(TEXT, vec![b'a'; length]).more()]
        {
            let bytes = frame.bytes();
            assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap(), Some(frame));
            assert_eq!(Frame::read(&mut &bytes[..bytes.len() - 1]).unwrap(), None);
        }
    }
}

#[test]
fn connections_to_a_port_are_refused_until_a_server_listens() {
    let port = Port::take();
    assert_eq!(TcpStream::connect(port.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listener: TcpListener = port.listen();
    TcpStream::connect(port.addr()).unwrap();
    drop(listener);
    assert_eq!(TcpStream::connect(port.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    port.listen();
}

#[test]
fn patterns_match_in_order() {
    assert!(matches("connector up session=1:0 upstream=echo generation=2", "up *upstream=echo*generation=2"));
    assert!(!matches("b a", "a*b"));
}

#[test]
fn warnings_errors_and_panics_are_recognized() {
    for line in [
        "2026-01-01T00:00:00Z WARN session connector restart",
        "[2026-01-01T00:00:00Z ERROR towline] x",
        r#"time=1 level=warn msg="x""#,
        "thread 'main' panicked at src/main.rs:1:1:",
    ] {
        assert!(is_trouble(line), "{line}");
    }
    for line in ["2026-01-01T00:00:00Z INFO session session closed reason=error", "    at src/error.rs"] {
        assert!(!is_trouble(line), "{line}");
    }
}

#[test]
fn websocat_talks_to_an_upstream() {
    let upstream = TestUpstream::with(|conn, message| conn.text(message.to_text().unwrap().trim_end()));
    assert_eq!(Websocat::one(upstream.addr(), "hello\n"), "hello\n");
    let mut websocat = Websocat::open(upstream.addr());
    for line in ["one", "two"] {
        websocat.type_line(line);
        assert_eq!(websocat.line(), line);
    }
    assert_eq!(upstream.conn(1).texts(), ["one\n", "two\n"]);
}

/// A listener has a second descriptor, as in a process that another test starts meanwhile.
#[test]
fn a_port_is_listened_on_once_its_last_listener_is_gone() {
    let port = Port::take();
    let inherited = port.listen().try_clone().unwrap();
    let closing = std::thread::spawn(move || {
        pause(Duration::from_millis(50));
        drop(inherited);
    });
    port.listen();
    closing.join().unwrap();
}
