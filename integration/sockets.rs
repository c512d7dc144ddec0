//! Tests of socket options on both sides, by which the kernel also finds dead and blocked peers (guarantee
//! C8).

use std::{net::SocketAddr, time::Instant};

use crate::harness::*;

/// An IPv4 address in the form of the kernel's tables: `0100007F:23B3`.
fn written(addr: SocketAddr) -> String {
    let SocketAddr::V4(addr) = addr else { panic!("not an address of IPv4: {addr}") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port())
}

/// The timers of the established connections with this local or remote address: 0 for none, 2 for keepalive.
fn timers(addr: SocketAddr, own_side: bool) -> Vec<u8> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let addr = written(addr);
    rows.filter(|row| row[if own_side { 1 } else { 2 }] == addr && row[3] == "01")
        .map(|row| row[5][..2].parse().unwrap())
        .collect()
}

/// Whether a connection is in TIME_WAIT, with these addresses at the side that waits. An earlier test may have left other
/// connections in TIME_WAIT at one of its ports.
fn is_waiting(local: SocketAddr, remote: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let (local, remote) = (written(local), written(remote));
    rows.into_iter().any(|row| row[1] == local && row[2] == remote && row[3] == "06")
}

/// By RFC 6455 section 7.1.1, the server ends the TCP connection first, so that it has the port in TIME_WAIT.
#[test]
fn the_server_ends_the_connection_to_an_upstream_first() {
    let upstream = TestUpstream::echo();
    upstream.end_late();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    // Once closed by the server, once by the client. After 1001 or 1012 the proxy would probe the server, and the
    // connection of the probe would be in TIME_WAIT.
    upstream.conn(0).die(Death::Close(1011, "error"));
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello"), "hello");
    client.close(1000, "");
    client.expect_closed(1000);
    for (number, code) in [1011, 1000].into_iter().enumerate() {
        let conn = upstream.conn(number);
        assert!(matches!(conn.wait_end(), End::Close(end, _) if end == code), "{:?}", conn.end());
        assert_eq!(conn.peer_ended_first(), Some(false), "connection {number}");
    }
    let (server, proxy_sides) = (upstream.addr(), [0, 1].map(|number| upstream.conn(number).peer()));
    wait_for("the server's sockets to wait", PATIENCE, || {
        proxy_sides.iter().all(|proxy_side| is_waiting(server, *proxy_side))
    });
    for proxy_side in proxy_sides {
        assert!(!is_waiting(proxy_side, server), "the connection of the proxy is in TIME_WAIT: {proxy_side}");
    }
}

/// On the connection of a client, the proxy is the server.
#[test]
fn the_proxy_ends_the_connection_of_a_client_first() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()));
    let mut raw = Raw::upgraded(proxy.addr());
    raw.send(&Frame::client(CLOSE, Frame::close_payload(1000, "")));
    raw.expect_closed(1000);
    let client = raw.stream().local_addr().unwrap();
    drop(raw);
    wait_for("the proxy's socket to wait", PATIENCE, || is_waiting(proxy.addr(), client));
    assert!(!is_waiting(client, proxy.addr()), "the connection of the client is in TIME_WAIT");
}

#[test]
fn keepalive_is_set_on_both_sides_unless_switched_off() {
    let upstream = TestUpstream::echo();
    // With pings, the upstream's socket gets its options only when the connection has lasted.
    for (value, timer, ping) in [("60s", 2, "2s"), ("60s", 2, "never"), ("never", 0, "2s")] {
        let settings = Settings::request(&upstream.url())
            .with(&format!("listener.ws.tcp_keepalive = \"{value}\""))
            .with(&format!("upstream.echo.tcp_keepalive = \"{value}\""))
            .with(&format!("upstream.echo.ping_interval = \"{ping}\""));
        let proxy = Proxy::start(&settings);
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        // Shortly after data was sent, the timer is that of its acknowledgement.
        wait_for("both sockets to rest", PATIENCE, || {
            timers(proxy.addr(), true) == [timer] && timers(upstream.addr(), false) == [timer]
        });
        drop(client);
        drop(proxy);
        wait_for("the connections to end", PATIENCE, || timers(upstream.addr(), false).is_empty());
    }
}

#[test]
fn the_kernel_ends_the_connection_of_a_client_that_acknowledges_nothing() {
    let upstream = TestUpstream::with(|conn, _| _ = conn.flood(1000, 64 << 20));
    let settings = Settings::stream(&upstream.url())
        .with(r#"listener.ws.slow_consumer_timeout = "never""#)
        .with(r#"listener.ws.tcp_user_timeout = "1s""#);
    let proxy = Proxy::start(&settings);
    let mut raw = Raw::upgraded(proxy.addr());
    let begun = Instant::now();
    raw.send(&Frame::client(TEXT, b"flood"));
    proxy.wait_log("session closed session=1:0 code=1006 side=downstream");
    assert!(begun.elapsed().as_secs() >= 1, "{:?}", begun.elapsed());
}

#[test]
fn the_kernel_ends_the_connection_of_an_upstream_that_acknowledges_nothing() {
    let upstream = TestUpstream::with(|_, _| pause(2 * PATIENCE));
    let settings = Settings::stream(&upstream.url())
        .with(r#"upstream.echo.slow_consumer_timeout = "never""#)
        .with(r#"upstream.echo.ping_interval = "never""#)
        .with(r#"upstream.echo.tcp_user_timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut raw = Raw::upgraded(proxy.addr());
    let begun = Instant::now();
    raw.stream().set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    // More than both connections hold.
    (0..200).for_each(|_| raw.write(&Frame::client(TEXT, "x".repeat(100_000)).bytes()));
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1*timed out");
    assert!(begun.elapsed().as_secs() >= 1, "{:?}", begun.elapsed());
}
