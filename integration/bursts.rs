//! Tests of small messages that arrive at once: they pass as one, and each keeps its place, its kind and its outcome
//! (guarantees C1 and C2).

use std::io::Write;

use crate::{harness::*, losses::expect_first_unwritten_named};

/// Frames of texts and binary messages, most of them small, and the messages.
fn mixed(count: usize) -> (Vec<Frame>, Vec<Message>) {
    let one = |number: usize| {
        let text = format!("message {number} {}", "é".repeat(number % 90));
        match number {
            _ if number % 17 == 16 => {
                (Frame::client(BINARY, vec![0xff; 5000]), Message::binary(vec![0xff; 5000]))
            }
            _ if number % 5 == 4 => (Frame::client(BINARY, &text), Message::binary(text)),
            _ => (Frame::client(TEXT, &text), Message::text(text)),
        }
    };
    (0..count).map(one).unzip()
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

#[test]
fn messages_that_arrive_at_once_keep_order_kind_and_outcome() {
    const COUNT: usize = 400;
    let (frames, messages) = mixed(COUNT);
    let variants: [fn(Settings) -> Settings; 3] = [
        |settings| settings,
        |settings| settings.with(r#"listener.ws.buffer = "16KiB""#).with(r#"upstream.echo.buffer = "16KiB""#),
        |settings| settings.with("upstream.echo.max_in_flight = 3"),
    ];
    for variant in variants {
        let upstream = TestUpstream::echo();
        let proxy = Proxy::start(&variant(Settings::stream(&upstream.url())));
        let mut client = proxy.client();
        let mut sender = client.sender();
        let frames = bytes(&frames);
        let sending = std::thread::spawn(move || sender.write_all(&frames).unwrap());
        for message in &messages {
            assert_eq!(client.recv(), *message);
        }
        sending.join().unwrap();
        assert_eq!(upstream.conn(0).messages(), messages);
        client.close(1000, "");
        client.expect_closed(1000);
        let account = proxy.account("1:0");
        assert!(account.is_balanced(), "{account:?}");
        assert_eq!((account.accepted, account.delivered), (COUNT, COUNT));
    }
}

#[test]
fn messages_before_one_that_is_not_utf_8_are_delivered() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::plain(&upstream.url())).expect("protocol");
    let mut raw = Raw::upgraded(proxy.addr());
    let frames = [&b"a"[..], b"b", b"\xff", b"c"].map(|payload| Frame::client(TEXT, payload));
    raw.write(&bytes(&frames));
    raw.expect_closed(1007);
    assert_eq!(upstream.conn(0).wait_messages(2), ["a", "b"].map(Message::text));
}

#[test]
fn of_messages_that_arrived_at_once_the_first_that_was_not_written_is_named() {
    expect_first_unwritten_named(Frame::client(TEXT, "x".repeat(3000)).bytes().repeat(20));
}

#[test]
fn each_message_that_arrives_during_an_outage_gets_its_error_reply() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::stream(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0);
    upstream.stop(Death::Fin);
    proxy.wait_log("connector restart");
    let frames = ["a", "b", "c", "d"].map(|text| Frame::client(TEXT, text));
    client.sender().write_all(&bytes(&frames)).unwrap();
    let ids: Vec<_> = (0..4).map(|_| client.recv_error().1).collect();
    assert_eq!(ids, ["1:0:0", "1:0:1", "1:0:2", "1:0:3"]);
}
