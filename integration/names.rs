//! Tests of name resolution for upstreams, and of the choice among several addresses.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::harness::*;

/// A name server that never answers; `None` if the test may not bind port 53.
pub fn silent_server() -> Option<(UdpSocket, IpAddr)> {
    for last in 1..=254 {
        let ip = Ipv4Addr::new(127, 53, 0, last);
        match UdpSocket::bind((ip, 53)) {
            Ok(socket) => return Some((socket, ip.into())),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => {
                println!("skipped: no name server can listen on port 53: {error}");
                return None;
            }
        }
    }
    None
}

/// A listening socket whose backlog is full, so that it answers no SYN.
struct BlackHole {
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl BlackHole {
    /// Opens a listening socket with a full backlog at an address. `None` if the kernel answers SYNs anyway,
    /// or if the machine does not have the address.
    fn open(address: SocketAddr) -> Option<Self> {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.set_reuse_address(true).unwrap();
        if let Err(error) = listener.bind(&address.into()).and_then(|()| listener.listen(0)) {
            println!("skipped: {address} cannot be listened on: {error}");
            return None;
        }
        let mut queued = Vec::new();
        for _ in 0..16 {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            if socket.connect_timeout(&address.into(), Duration::from_millis(200)).is_err() {
                return Some(Self { _listener: listener, _queued: queued });
            }
            queued.push(socket);
        }
        println!("skipped: a full backlog does not silence a socket here");
        None
    }
}

/// Settings that route `/silent` to a name that the name server does not resolve, and `/live` to a name in
/// the hosts file.
fn two_routes(port: u16) -> Settings {
    Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .upstream("silent", &format!("ws://silent.test:{port}"))
        .upstream("live", &format!("ws://live.test:{port}"))
        .with(r#"upstream.silent.exchange = "request""#)
        .with(r#"upstream.live.exchange = "request""#)
        .with(r#"upstream.live.connect_timeout = "10s""#)
        .route(&[r#"path = "/silent""#, r#"upstream = "silent""#])
        .on_route(r#"dial_before_accept = "200ms""#)
        .route(&[r#"path = "/live""#, r#"upstream = "live""#])
}

/// Many sessions wait for the same name. Sessions of another upstream are unaffected.
#[test]
fn a_silent_name_server_affects_no_other_upstream() {
    let Some((_server, ip)) = silent_server() else { return };
    let upstream = TestUpstream::echo();
    let settings = two_routes(upstream.addr().port());
    let Some(proxy) = Proxy::start_with_names(&settings, "127.0.0.1 live.test\n", ip) else { return };
    let proxy = proxy.expect_restarts();
    let mut waiting: Vec<_> = (0..700)
        .map(|_| {
            let mut raw = Raw::connect(proxy.addr());
            raw.write(request("/silent", &[]).as_bytes());
            raw
        })
        .collect();
    for raw in &mut waiting {
        assert_eq!(raw.head().status(), 101, "the client does not wait for the name server");
    }
    let begun = Instant::now();
    for _ in 0..20 {
        let mut client = Opening::new(proxy.addr()).path("/live").open();
        assert_eq!(client.ask("hello"), "hello");
    }
    // The resolver waits 30 seconds for a silent server. A session that waited for it would take longer.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(proxy.threads("name look-up"), 1, "one look-up thread for one name");
    drop(waiting);
}

#[test]
fn a_dial_ends_at_its_own_deadline_while_the_look_up_continues() {
    let Some((_server, ip)) = silent_server() else { return };
    let settings = two_routes(1).with(r#"upstream.silent.connect_timeout = "300ms""#);
    let Some(proxy) = Proxy::start_with_names(&settings, "", ip) else { return };
    let proxy = proxy.expect_restarts();
    let _client = Opening::new(proxy.addr()).path("/silent").open();
    for attempt in 1..=3 {
        proxy.wait_log(&format!("connector restart*attempt={attempt} *no connection within 300ms"));
    }
    assert_eq!(proxy.threads("name look-up"), 1);
}

/// The first address of the name does not answer SYNs.
#[test]
fn the_second_address_is_tried_when_the_first_is_a_black_hole() {
    let upstream = TestUpstream::echo();
    let port = upstream.addr().port();
    let Some(_hole) = BlackHole::open(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)) else { return };
    let settings = Settings::request(&format!("ws://two.test:{port}"));
    let hosts = "::1 two.test\n127.0.0.1 two.test\n";
    let server = Ipv4Addr::LOCALHOST.into();
    let Some(proxy) = Proxy::start_with_names(&settings, hosts, server) else { return };
    let begun = Instant::now();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200), "::1 was not tried first: {took:?}");
    // A dial that waited for `::1` would time out, and the connector would restart.
    assert_eq!(proxy.count_log("connector restart"), 0);
}

#[test]
fn after_a_refused_address_the_other_is_used_at_once() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: this machine has no IPv6 loopback address");
        return;
    }
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("ws://two.test:{}", upstream.addr().port()));
    let hosts = "::1 two.test\n127.0.0.1 two.test\n";
    let Some(proxy) = Proxy::start_with_names(&settings, hosts, Ipv4Addr::LOCALHOST.into()) else { return };
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(proxy.count_log("connector restart"), 0);
}

#[test]
fn an_unknown_name_is_reported_as_such() {
    let settings = Settings::request("ws://nowhere.invalid:1");
    // No name server listens there, so the look-up fails at once.
    let Some(proxy) = Proxy::start_with_names(&settings, "", Ipv4Addr::new(127, 53, 1, 1).into()) else {
        return;
    };
    let proxy = proxy.expect_restarts();
    let _client = proxy.client();
    proxy.wait_log(
        "connector restart*reason=\"host name cannot be resolved: Temporary failure in name resolution\"",
    );
}
