//! Messages by which a client's library checks whether its peer is alive, while its session has no use of the upstream.

use std::time::{Duration, Instant};

use crate::harness::*;

const GRAPHQL: &str = r#"preset = "graphql-transport-ws""#;
const CABLE: &str = r#"preset = "action-cable""#;

#[test]
fn a_keepalive_during_an_outage_is_answered() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), GRAPHQL)).expect_restarts();
    let mut client = proxy.client();
    client.text(r#"{"type":"connection_init"}"#);
    upstream.conn(0).wait_messages(1);
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart session=1:0");
    client.text(r#"{"type":"pong"}"#);
    assert_eq!(client.ask(r#"{"type":"ping"}"#), r#"{"type":"pong"}"#);
}

#[test]
fn heartbeats_reach_the_client_during_an_outage() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), CABLE)).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0).text(r#"{"type":"welcome"}"#);
    assert_eq!(client.recv_text(), r#"{"type":"welcome"}"#);
    upstream.stop(Death::Reset);
    for _ in 0..2 {
        assert_eq!(client.recv_json()["type"], "ping");
    }
}

/// The new connection is up, and its server has not answered the login yet: a busy server after a restart may take longer
/// than a library waits.
#[test]
fn a_keepalive_during_a_replay_is_answered() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), GRAPHQL)).expect_restarts();
    let mut client = proxy.client();
    let (init, ack) = (r#"{"type":"connection_init"}"#, r#"{"type":"connection_ack"}"#);
    let (ping, pong) = (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#);
    let first = upstream.conn(0);
    client.text(init);
    first.wait_messages(1);
    first.text(ack);
    assert_eq!(client.recv_text(), ack);
    first.die(Death::Reset);
    let second = upstream.conn(1);
    second.wait_messages(1);
    let query = r#"{"id":"a","type":"subscribe","payload":{"query":"{ n }"}}"#;
    client.text(query);
    for _ in 0..3 {
        assert_eq!(client.ask(ping), pong);
    }
    assert_eq!(second.texts(), [init]);
    second.text(ack);
    second.wait_messages(2);
    assert_eq!(second.texts(), [init, query], "no keepalive is sent late");
    client.text(ping);
    second.wait_messages(3);
    assert_eq!(second.texts()[2], ping, "the upstream answers again");
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert!(account.is_balanced() && account.unsettled == 0 && account.answered >= 3, "{account:?}");
}

/// MQTT sends packets in pieces, so that two bytes like those of PINGREQ are none behind a piece that waits.
#[test]
fn a_piece_of_a_packet_is_no_keepalive_during_a_replay() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(&Settings::recovering(&upstream.url(), r#"preset = "mqtt""#)).expect_restarts();
    let mut client = proxy.client();
    let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    let (connack, pingreq, pingresp) = (b"\x20\x02\x00\x00", b"\xc0\x00", b"\xd0\x00");
    let first = upstream.conn(0);
    client.send(binary(connect));
    first.wait_messages(1);
    first.send(binary(connack));
    assert_eq!(client.recv().into_data(), &connack[..]);
    first.die(Death::Reset);
    let second = upstream.conn(1);
    second.wait_messages(1);
    client.send(binary(pingreq));
    assert_eq!(client.recv().into_data(), &pingresp[..]);
    // PUBLISH to the topic "a" with the payload of two bytes that comes on its own.
    client.send(binary(b"\x30\x05\x00\x01a"));
    client.send(binary(pingreq));
    second.send(binary(connack));
    wait_for("the packet", PATIENCE, || {
        let received = second.wait_messages(2);
        let bytes: Vec<u8> =
            received.iter().skip(1).flat_map(|message| message.clone().into_data()).collect();
        bytes == b"\x30\x05\x00\x01a\xc0\x00"
    });
}

#[test]
fn heartbeats_reach_the_client_during_a_replay() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), CABLE);
    let proxy = Proxy::start(&settings.with(r#"upstream.echo.recovery.timeout = "5m""#)).expect_restarts();
    let mut client = proxy.client();
    upstream.conn(0).text(r#"{"type":"welcome"}"#);
    assert_eq!(client.recv_text(), r#"{"type":"welcome"}"#);
    upstream.conn(0).die(Death::Reset);
    // Its server does not greet.
    upstream.conn(1);
    proxy.wait_ups(2);
    for _ in 0..2 {
        assert_eq!(client.recv_json()["type"], "ping");
    }
    upstream.conn(1).text(r#"{"type":"welcome"}"#);
    upstream.conn(1).text(r#"{"type":"ping","message":7}"#);
    wait_for("the upstream's own", PATIENCE, || client.recv_json()["message"] == 7);
    expect_no_heartbeat(&upstream.conn(1), &mut client);
}

/// After the upstream's own heartbeat, for longer than two intervals of 3 s, the client gets none from the proxy, apart
/// from one that is on its way, and from those that follow an upstream's heartbeat which a busy machine delays.
fn expect_no_heartbeat(upstream: &Conn, client: &mut Client) {
    let begun = Instant::now();
    let (mut number, mut others, mut allowed) = (8, 0, 1);
    let mut last = begun;
    while begun.elapsed() < Duration::from_secs(7) {
        allowed += last.elapsed().as_secs() / 2;
        last = Instant::now();
        upstream.text(&format!(r#"{{"type":"ping","message":{number}}}"#));
        loop {
            match client.recv_json()["message"].as_u64() {
                Some(received) if received == number => break,
                _ => others += 1,
            }
        }
        number += 1;
        pause(Duration::from_millis(100));
    }
    assert!(others <= allowed, "{others} heartbeats of the proxy");
}

/// More bytes than the socket of a client that does not read, and one session, hold.
const MUCH: usize = 32 << 20;

/// Sends heartbeats of Phoenix, whose answers are as long, and reads none of these.
fn flood_heartbeats(proxy: &Proxy, raw: &mut Raw) {
    let heartbeat = format!(r#"[null,"{}","phoenix","heartbeat",{{}}]"#, "7".repeat(1000));
    let before = proxy.resident_kib();
    let taken = raw.flood_with(&Frame::client(TEXT, heartbeat), MUCH);
    assert!(taken < MUCH, "the client is read although it does not read");
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
}

#[test]
fn keepalives_without_a_reader_are_pushed_back_during_an_outage() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), r#"preset = "phoenix""#)
        .with(r#"upstream.echo.restart = { min = "1h", max = "1h", probe = "1h" }"#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut raw = Raw::upgraded_narrow(proxy.addr());
    upstream.conn(0).die(Death::Reset);
    proxy.wait_log("connector restart session=1:0");
    flood_heartbeats(&proxy, &mut raw);
}

#[test]
fn keepalives_without_a_reader_are_pushed_back_during_a_replay() {
    let upstream = TestUpstream::silent();
    let settings = Settings::recovering(&upstream.url(), r#"preset = "phoenix""#)
        .with(r#"upstream.echo.recovery.timeout = "5m""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut raw = Raw::upgraded_narrow(proxy.addr());
    raw.send(&Frame::client(TEXT, br#"["1","1","room","phx_join",{}]"#));
    let first = upstream.conn(0);
    first.wait_messages(1);
    first.text(r#"["1","1","room","phx_reply",{"status":"ok","response":{}}]"#);
    assert!(raw.frame().is_some_and(|frame| frame.opcode == TEXT));
    first.die(Death::Reset);
    // It does not answer the join.
    upstream.conn(1).wait_messages(1);
    flood_heartbeats(&proxy, &mut raw);
}
