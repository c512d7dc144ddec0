//! Tests in which the upstream dies and starts again, and the session stays (guarantees C5, C6, C7). The
//! scenarios of the README use the real echo server.

use std::time::{Duration, Instant};

use crate::harness::*;

const EOF: &str = "WebSocket protocol error: Connection reset without closing handshake";

#[test]
fn one_session_survives_a_kill_and_restart_of_its_upstream() {
    let mut echo = EchoProcess::start();
    let proxy = Proxy::start(&Settings::request(&echo.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(client.ask("snot"), "badger");
    proxy.wait_log("connector up session=1:0 upstream=echo generation=1");
    echo.kill();
    for event in 2..5 {
        client.text("question");
        let (error, id) = client.recv_error();
        assert!(error.contains(&echo.url()), "{error}");
        assert_eq!(id, format!("1:0:{event}"));
    }
    let line = proxy
        .wait_log("connector restart session=1:0 upstream=echo attempt=1 delay=*ms reason=\"*unsettled=");
    assert!(line.to_ascii_lowercase().contains("warn"), "{line}");
    echo.start_again();
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello again"), "hello again");
    client.close(1000, "");
    proxy.wait_log("session closed session=1:0 *accepted=6 answered=3 delivered=0 errored=3 dropped=0");
}

#[test]
fn websocat_survives_a_kill_and_restart_of_the_upstream() {
    let mut echo = EchoProcess::start();
    let settings = Settings::request(&echo.url())
        .with(r#"listener.ws.preprocessors = ["lines"]"#)
        .with(r#"upstream.echo.postprocessors = ["lines"]"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut websocat = Websocat::open(proxy.addr());
    websocat.type_line("snot");
    assert_eq!(websocat.line(), "badger");
    echo.kill();
    for event in 1..4 {
        websocat.type_line("question");
        let (error, id) = error_reply(&Message::text(websocat.line()));
        assert!(error.contains(&echo.url()), "{error}");
        assert_eq!(id, format!("1:0:{event}"));
    }
    echo.start_again();
    proxy.wait_ups(2);
    websocat.type_line("hello");
    assert_eq!(websocat.line(), "hello");
}

/// Ends the upstream by `death` while a message is in flight, and checks that three messages get one error
/// reply each, with consecutive ids. Then starts the upstream again.
fn away_and_back(death: Death, reason: &str) {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    client.text("first");
    upstream.conn(0).wait_messages(1);
    upstream.stop(death);
    let (error, id) = client.recv_error();
    assert_eq!(error, format!("Error receiving reply from server {}: {reason}", upstream.url()));
    assert_eq!(id, "1:0:0");
    for event in ["1:0:1", "1:0:2"] {
        client.text("next");
        let (error, id) = client.recv_error();
        let url = upstream.url();
        assert_eq!(
            error,
            format!("Error sending event to server {url}: Trying to work with closed connection")
        );
        assert_eq!(id, event);
    }
    let line = proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1 *unsettled=");
    assert!(line.ends_with("unsettled=1") || line.contains("unsettled=1 "), "{line}");
    assert!(line.contains(&format!("reason=\"{reason}")), "{line}");
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=3");
    upstream.set(|conn, message| conn.send(message));
    upstream.start();
    proxy.wait_ups(2);
    assert_eq!(client.ask("again"), "again");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_session_survives_the_end_of_its_upstream_connection() {
    away_and_back(Death::Fin, EOF);
}

#[test]
fn a_session_survives_an_end_in_the_middle_of_a_frame() {
    away_and_back(Death::MidFrame, EOF);
}

#[test]
fn a_session_survives_a_reset() {
    away_and_back(Death::Reset, "IO error: Connection reset by peer (os error 104)");
}

#[test]
fn a_session_survives_a_close_frame() {
    away_and_back(Death::Close(1000, ""), "Connection closed by server with code 1000");
}

#[test]
fn events_time_out_if_the_upstream_never_answers() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.reply_timeout = "300ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    for event in 0..2 {
        client.text("question");
        let (error, id) = client.recv_error();
        let url = upstream.url();
        assert_eq!(error, format!("Error receiving reply from server {url}: no reply within 300ms"));
        assert_eq!(id, format!("1:0:{event}"));
    }
    assert_eq!(upstream.live(), 1);
}

#[test]
fn a_connection_without_replies_is_replaced() {
    let upstream = TestUpstream::silent();
    let settings = Settings::request(&upstream.url()).with(r#"upstream.echo.reply_timeout = "100ms""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    let mut events = 0;
    wait_for("another connection", PATIENCE, || {
        client.text("question");
        assert_eq!(client.recv_error().1, format!("1:0:{events}"));
        events += 1;
        upstream.connections() >= 2
    });
    assert!(events >= 3, "one overdue reply does not end the connection: {events}");
    upstream.set(|conn, message| conn.send(message));
    proxy.wait_ups(2);
    // An earlier message may have been sent on the new connection and may still await its reply.
    wait_for("an answer", PATIENCE, || client.ask("hello") == "hello");
}

#[test]
fn the_delays_grow_for_a_flapping_upstream() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(
        &Settings::request(&upstream.url()).with(
            r#"upstream.echo.restart = { min = "20ms", max = "400ms", max_restarts = 1000, window = "60s", probe = "1s", rate = 1000 }"#,
        ),
    )
    .expect_restarts();
    let mut client = proxy.client();
    // The upstream accepts and ends each connection at once, with or without a close frame. That does not prove that
    // it works, so the backoff is not reset.
    for number in 0..6 {
        let death = if number % 2 == 0 { Death::Fin } else { Death::Close(1013, "try later") };
        upstream.conn(number).die(death);
    }
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=6");
    let delays: Vec<u64> = proxy
        .log()
        .iter()
        .filter_map(|line| line.split_once("delay=")?.1.split_once("ms")?.0.parse().ok())
        .collect();
    assert!(delays.iter().all(|delay| *delay <= 400), "{delays:?}");
    client.ping(b"still here");
}

#[test]
fn giving_up_may_close_the_client() {
    let port = Port::take();
    let settings = Settings::request(&port.url())
        .with(r#"upstream.echo.on_give_up = "close""#)
        .with(r#"upstream.echo.restart = { min = "10ms", max = "20ms", max_restarts = 3, window = "60s" }"#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    client.expect_closed(1013);
    let line = proxy.wait_log("connector gave up session=1:0 upstream=echo");
    assert!(line.to_ascii_lowercase().contains("error"), "{line}");
    assert_eq!(proxy.count_log("connector restart session=1:0"), 3);
    assert_eq!(proxy.count_log("upstream ended"), 0, "the log line is the one in docs/closing.md");
}

/// The close follows the messages that the pipelines still hold.
#[test]
fn giving_up_closes_the_client_after_everything_the_upstream_sent() {
    const MESSAGES: usize = 300;
    const LINE: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let upstream = TestUpstream::with(|conn, _| {
        (0..MESSAGES).for_each(|number| conn.text(&number.to_string()));
        conn.die(Death::Fin);
    });
    let settings = Settings::stream(&upstream.url())
        .with(r#"upstream.echo.on_give_up = "close""#)
        .with(r#"upstream.echo.restart = { min = "10ms", max = "20ms", max_restarts = 1, window = "60s" }"#)
        .on_route(&format!("outgoing = {LINE:?}"));
    let settings = LINE
        .iter()
        .fold(settings, |settings, name| settings.pipeline(name, "select event from in into out;"));
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    upstream.conn(0).die(Death::Fin);
    proxy.wait_ups(2);
    client.text("now");
    let (messages, code, _) = client.read_to_end();
    let pushes = messages.iter().filter(|message| !message.to_text().unwrap().contains("error")).count();
    assert_eq!((pushes, code), (MESSAGES, Some(1013)));
}

#[test]
fn giving_up_keeps_the_client_and_probes() {
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings = Settings::request(&upstream.url()).with(
        r#"upstream.echo.restart = { min = "10ms", max = "20ms", max_restarts = 2, window = "60s", probe = "200ms" }"#,
    );
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    proxy.wait_log("connector gave up session=1:0 upstream=echo");
    client.text("a");
    assert_eq!(client.recv_error().1, "1:0:0");
    upstream.start();
    proxy.wait_log("connector up session=1:0 upstream=echo");
    assert_eq!(client.ask("b"), "b");
    // The next loss starts with a full number of restarts.
    upstream.conn(0).die(Death::Fin);
    proxy.wait_ups(2);
    assert_eq!(client.ask("c"), "c");
}

#[test]
fn reconnects_to_one_upstream_are_paced_together() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(
        r#"upstream.echo.restart = { min = "10ms", max = "20ms", max_restarts = 1000, window = "60s", rate = 20 }"#,
    );
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut clients: Vec<_> = (0..30).map(|_| proxy.client()).collect();
    let start = Instant::now();
    upstream.kill_all(Death::Fin);
    wait_for("all to be back", PATIENCE, || upstream.connections() == 60);
    // 30 reconnects at 20 per second, with a small burst.
    assert!(start.elapsed() > Duration::from_millis(400), "30 reconnects took only {:?}", start.elapsed());
    wait_for("all to be up", PATIENCE, || proxy.count_log("connector up") == 60);
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
    }
}

#[test]
fn a_server_of_another_implementation_works_as_upstream() {
    let port = Port::take();
    let listener = port.listen();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let message = socket.read().unwrap();
        socket.send(Message::Ping("ping".into())).unwrap();
        socket.send(message).unwrap();
        while socket.read().is_ok() {}
    });
    let proxy = Proxy::start(&Settings::request(&port.url()));
    let stream = std::net::TcpStream::connect(proxy.addr()).unwrap();
    let (mut client, _) = tungstenite::client(format!("ws://{}/", proxy.addr()), stream).unwrap();
    client.send(Message::text("hello")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("hello"));
    client.close(None).unwrap();
    while client.read().is_ok() {}
    server.join().unwrap();
}

/// The upstream ends after n bytes of its reply, for each n.
#[test]
fn an_end_at_any_byte_of_a_reply_gives_one_outcome() {
    let reply = Frame::server(TEXT, "reply").bytes();
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    for cut in 0..=reply.len() {
        let conn = upstream.conn(cut);
        client.text("question");
        conn.wait_messages(1);
        conn.write(&reply[..cut]);
        conn.die(Death::Fin);
        if cut == reply.len() {
            assert_eq!(client.recv_text(), "reply");
        } else {
            let error = format!("Error receiving reply from server {}: {EOF}", upstream.url());
            assert_eq!(client.recv_error(), (error, format!("1:0:{cut}")));
        }
        proxy.wait_ups(cut + 2);
    }
}

/// The upstream ends after n bytes of its handshake, for each n.
#[test]
fn an_end_at_any_byte_of_the_handshake_fails_the_dial() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.restart = { min = "1h", max = "1h", max_restarts = 10, window = "2h" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    for (session, cut) in (0..129).step_by(8).enumerate() {
        upstream.set_answer(Answer::Cut(cut));
        let mut client = proxy.client();
        client.text("question");
        let (error, id) = client.recv_error();
        assert!(error.starts_with("Error sending event to server"), "{cut}: {error}");
        assert_eq!(id, format!("1:{session}:0"));
    }
    assert_eq!(upstream.connections(), 0);
}
