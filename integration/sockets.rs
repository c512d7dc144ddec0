//! Options of the sockets on both sides: the kernel finds dead and blocked peers too (C8).

use std::{net::SocketAddr, time::Instant};

use crate::harness::*;

/// `0100007F:23B3`, as the kernel writes an address of IPv4.
fn written(addr: SocketAddr) -> String {
    let SocketAddr::V4(addr) = addr else { panic!("not an address of IPv4: {addr}") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port())
}

/// The timers of the established connections that have this address on their own side, or on the other:
/// 0 for none, 2 for keepalive.
fn timers(addr: SocketAddr, own_side: bool) -> Vec<u8> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let addr = written(addr);
    rows.filter(|row| row[if own_side { 1 } else { 2 }] == addr && row[3] == "01")
        .map(|row| row[5][..2].parse().unwrap())
        .collect()
}

#[test]
fn both_sides_are_probed_unless_the_settings_say_never() {
    let origin = Origin::echo();
    for (value, timer) in [("60s", 2), ("never", 0)] {
        let settings = Settings::request(&origin.url())
            .with(&format!("listener.ws.tcp_keepalive = \"{value}\""))
            .with(&format!("upstream.echo.tcp_keepalive = \"{value}\""));
        let proxy = Proxy::start(&settings);
        let mut client = proxy.client();
        assert_eq!(client.ask("hello"), "hello");
        // a moment after data the timer is one for its acknowledgement
        wait_for("both sockets to rest", PATIENCE, || {
            timers(proxy.addr(), true) == [timer] && timers(origin.addr(), false) == [timer]
        });
        drop(client);
        drop(proxy);
        wait_for("the connections to end", PATIENCE, || timers(origin.addr(), false).is_empty());
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up_by_the_kernel_as_well() {
    let origin = Origin::with(|conn, _| _ = conn.flood(1000, 64 << 20));
    let settings = Settings::stream(&origin.url())
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
fn an_upstream_that_takes_nothing_is_given_up_by_the_kernel_as_well() {
    let origin = Origin::with(|_, _| std::thread::park_timeout(2 * PATIENCE));
    let settings = Settings::stream(&origin.url())
        .with(r#"upstream.echo.slow_consumer_timeout = "never""#)
        .with(r#"upstream.echo.ping_interval = "never""#)
        .with(r#"upstream.echo.tcp_user_timeout = "1s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut raw = Raw::upgraded(proxy.addr());
    let begun = Instant::now();
    raw.stream().set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    // more than both connections hold
    (0..200).for_each(|_| raw.write(&Frame::client(TEXT, "x".repeat(100_000)).bytes()));
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1*timed out");
    assert!(begun.elapsed().as_secs() >= 1, "{:?}", begun.elapsed());
}
