//! Tests with peers that send without end: every deadline still holds, and the other sessions of the worker
//! get their turns (guarantees C3, C8).

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::*;

/// `close_timeout` of the listener in these tests.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A thread that sends `first`, then `again` repeatedly until the connection ends.
struct Flood {
    stream: TcpStream,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(stream: &TcpStream, first: Vec<u8>, again: &[u8]) -> Self {
        let stream = stream.try_clone().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let again = again.repeat((64 << 10) / again.len());
        let thread = std::thread::spawn(move || {
            let _ = writer.write_all(&first);
            while writer.write_all(&again).is_ok() {}
        });
        Self { stream, thread }
    }

    /// A flood of empty fragments of one message that never ends.
    fn of_fragments(stream: &TcpStream) -> Self {
        Self::start(
            stream,
            Frame::client(BINARY, "").more().bytes(),
            &Frame::client(CONTINUATION, "").more().bytes(),
        )
    }

    fn of_messages(stream: &TcpStream) -> Self {
        Self::start(stream, Vec::new(), &Frame::client(TEXT, "").bytes())
    }

    /// Waits until the peer ends the connection. A deadline that a flood disables never passes.
    #[track_caller]
    fn end(self) {
        wait_for("the end of the flood", CLOSE_TIMEOUT + PATIENCE, || self.thread.is_finished());
        self.thread.join().unwrap();
    }

    fn stop(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.thread.join().unwrap();
    }
}

fn close_frame(raw: &mut Raw) -> (u16, String) {
    loop {
        let frame = raw.frame().expect("a close frame");
        if frame.opcode == CLOSE {
            return frame.close_parts();
        }
    }
}

/// Checks the end of a client that floods the proxy: it gets a close frame with `code`, continues to send,
/// and is disconnected after `close_timeout`.
#[track_caller]
fn is_cut_off(line: &str, code: u16, flood: impl FnOnce(&TcpStream) -> Flood) {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url())
        .with("server.workers = 1")
        .with(&format!("listener.ws.close_timeout = \"{}ms\"", CLOSE_TIMEOUT.as_millis()))
        .with(line);
    let proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    let flood = flood(raw.stream());
    assert_eq!(close_frame(&mut raw).0, code);
    flood.end();
    proxy.wait_log(&format!("session closed session=1:0 code={code} side=proxy"));
}

const IDLE: &str = r#"listener.ws.idle_timeout = "300ms""#;

#[test]
fn a_client_that_sends_fragments_after_our_close_frame_is_cut_off() {
    is_cut_off(IDLE, 1001, Flood::of_fragments);
}

#[test]
fn a_client_that_sends_control_frames_after_our_close_frame_is_cut_off() {
    is_cut_off(IDLE, 1001, |stream| Flood::start(stream, Vec::new(), &Frame::client(PONG, "").bytes()));
}

#[test]
fn a_client_that_sends_messages_after_our_close_frame_is_cut_off() {
    let line = r#"listener.ws.rate = { messages = 10, on_limit = "close" }"#;
    is_cut_off(line, 1008, Flood::of_messages);
}

#[test]
fn a_client_that_sends_garbage_after_our_close_frame_is_cut_off() {
    is_cut_off(r#"listener.ws.idle_timeout = "1h""#, 1002, |stream| {
        Flood::start(stream, Vec::new(), &[0xff; 64])
    });
}

#[test]
fn a_client_that_floods_gets_its_close_frame_at_a_drain() {
    let upstream = TestUpstream::silent();
    let settings = Settings::stream(&upstream.url()).with("server.workers = 1");
    for flood in [Flood::of_fragments, Flood::of_messages] {
        let mut proxy = Proxy::start(&settings);
        let mut raw = Raw::upgraded(proxy.addr());
        let flood = flood(raw.stream());
        proxy.signal("TERM");
        assert_eq!(close_frame(&mut raw), (1001, "shutting down".to_owned()));
        assert_eq!(proxy.exit_code(), Some(0));
        flood.end();
    }
}

#[test]
fn an_upstream_that_floods_does_not_disable_the_reply_timeout() {
    let upstream = TestUpstream::with(|conn, _| {
        conn.frame(&Frame::server(BINARY, "").more());
        conn.pour(&Frame::server(CONTINUATION, "").more());
    });
    let settings = Settings::request(&upstream.url())
        .with("server.workers = 1")
        .with(r#"upstream.echo.reply_timeout = "300ms""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("a question");
    let (error, _) = client.recv_error();
    assert!(error.ends_with("no reply within 300ms"), "{error}");
    client.close(1000, "");
    client.expect_closed(1000);
}

/// The median round trip of a ping on the only worker while another client floods it.
fn round_trip_beside(flood: fn(&TcpStream) -> Flood) -> Duration {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url()).with("server.workers = 1"));
    let raw = Raw::upgraded(proxy.addr());
    let mut neighbour = proxy.client();
    let flood = flood(raw.stream());
    let mut times: Vec<_> = (0..41_u8)
        .map(|number| {
            let start = Instant::now();
            neighbour.ping(&[number]);
            start.elapsed()
        })
        .collect();
    flood.stop();
    times.sort();
    times[times.len() / 2]
}

/// Compares two floods on the same machine. Without the bound on a turn, the flood of fragments delays the
/// neighbour 40 times as long, each time. `wire::flood_tests` tests the bound itself, in steps.
#[test]
fn a_flood_of_fragments_delays_a_neighbour_no_more_than_a_flood_of_messages() {
    // The load of the machine may change between the two.
    let mut seen = Vec::new();
    let is_no_more = (0..5).any(|_| {
        let pair = (round_trip_beside(Flood::of_fragments), round_trip_beside(Flood::of_messages));
        seen.push(pair);
        pair.0 < 3 * pair.1 + Duration::from_millis(30)
    });
    assert!(is_no_more, "beside fragments, and beside messages: {seen:?}");
}
