//! Tests of listener addresses: several addresses, names, and both address families.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
};

use crate::harness::*;

/// Whether this machine has IPv6. Prints a note if not.
fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("skipped: this machine has no IPv6 loopback address");
    }
    has
}

/// The addresses of the lines `listening listener=NAME address=…`, in order.
fn addresses(proxy: &Proxy, name: &str) -> Vec<SocketAddr> {
    let prefix = format!("listening listener={name} address=");
    let log = proxy.log();
    let found = log.iter().filter_map(|line| line.split_once(&prefix));
    found.map(|(_, address)| address.parse().unwrap()).collect()
}

/// A port that is free on all addresses. The socket keeps it from others, and does not listen.
fn free_port() -> (u16, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address.port(), socket)
}

fn listening_on(upstream: &TestUpstream, bind: &str) -> Settings {
    Settings::request(&upstream.url()).with(&format!("listener.ws.bind = {bind}"))
}

#[test]
fn a_listener_accepts_clients_at_each_of_its_addresses() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&listening_on(&upstream, r#"["127.0.0.1:0", "127.0.0.2:0"]"#));
    proxy.wait_log("listening admin");
    let addresses = addresses(&proxy, "ws");
    let ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.1", "127.0.0.2"]);
    for address in addresses {
        assert_eq!(Client::connect(address).ask("hello"), "hello");
    }
}

/// Limits, session numbers and the drain apply to the listener as a whole.
#[test]
fn the_addresses_of_a_listener_share_limits_and_numbers() {
    let upstream = TestUpstream::echo();
    let settings =
        listening_on(&upstream, r#"["127.0.0.1:0", "127.0.0.2:0"]"#).with("listener.ws.max_sessions = 2");
    let mut proxy = Proxy::start(&settings).expect("client refused");
    proxy.wait_log("listening admin");
    let addresses = addresses(&proxy, "ws");
    let mut clients: Vec<_> = addresses.iter().map(|address| Client::connect(*address)).collect();
    for address in &addresses {
        assert_eq!(Opening::new(*address).refused().status(), 503);
    }
    let opened = |session| proxy.count_log(&format!("session opened session={session} listener=ws"));
    wait_for("two numbers", PATIENCE, || opened("1:0") == 1 && opened("1:1") == 1);
    proxy.signal("TERM");
    for client in &mut clients {
        client.expect_closed(1001);
    }
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn localhost_listens_on_both_families_with_one_port() {
    if !has_ipv6() {
        return;
    }
    let upstream = TestUpstream::echo();
    let settings = listening_on(&upstream, r#""localhost:0""#).with(r#"admin.bind = "localhost:0""#);
    let proxy = Proxy::start(&settings);
    let addresses = addresses(&proxy, "ws");
    let ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.1", "::1"]);
    assert_eq!(addresses[0].port(), addresses[1].port());
    for address in addresses {
        assert_eq!(Client::connect(address).ask("hello"), "hello");
    }
    wait_for("both admin addresses", PATIENCE, || proxy.count_log("listening admin address=") == 2);
    let port = proxy.admin().port();
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), port);
        assert_eq!(get(address, "/healthz").0, 200, "{address}");
    }
}

#[test]
fn wildcard_addresses_of_both_families_can_be_listed_together() {
    if !has_ipv6() {
        return;
    }
    let upstream = TestUpstream::echo();
    let (port, _held) = free_port();
    let _proxy = Proxy::start(&listening_on(&upstream, &format!(r#"["0.0.0.0:{port}", "[::]:{port}"]"#)));
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), port);
        assert_eq!(Client::connect(address).ask("hello"), "hello", "{address}");
    }
}

#[test]
fn one_taken_address_among_several_prevents_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    let settings = listening_on(&upstream, &format!(r#"["127.0.0.2:0", "{taken}"]"#));
    std::fs::write(&file, settings.text()).unwrap();
    let finished = Program::finish(&["run", "--config", file.to_str().unwrap()], &[], folder.path());
    assert_eq!(finished.code, Some(1));
    let expected = format!("cannot listen on {taken}: Address already in use");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert!(finished.stderr.contains("(listener.ws.bind)"), "{}", finished.stderr);
}

/// `::ffff:127.0.0.1` is the form in which an IPv6 socket shows an IPv4 client. The client's address is
/// `127.0.0.1`.
#[test]
fn an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address() {
    if !has_ipv6() {
        return;
    }
    let upstream = TestUpstream::echo();
    let settings = listening_on(&upstream, r#""[::]:0""#)
        .with("listener.ws.max_sessions_per_address = 1")
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .incoming(
            "use tremor::origin; \
             select { \"peer\": $request.peer.ip, \"host\": origin::host(), \"uri\": origin::as_uri_string() } \
             from in into out;",
        );
    let proxy = Proxy::start(&settings).expect("client refused");
    let port = proxy.addr().port();
    let v4 = SocketAddr::new("127.0.0.1".parse().unwrap(), port);
    if TcpStream::connect(v4).is_err() {
        println!("skipped: IPv6 sockets take no IPv4 clients on this machine");
        return;
    }
    let mut client = Client::connect(v4);
    let answer: Value = serde_json::from_str(&client.ask("1")).unwrap();
    assert_eq!(answer["peer"], "127.0.0.1");
    assert_eq!(answer["host"], "127.0.0.1");
    assert!(!answer["uri"].as_str().unwrap().contains("ffff"), "{answer}");
    assert_eq!(upstream.head(0).get("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    proxy.wait_log("session opened session=1:0 listener=ws peer=127.0.0.1:*");
    // The limit is per IPv4 address, although all mapped addresses are in the same /64 network.
    assert_eq!(Opening::new(v4).refused().status(), 429);
    let other: IpAddr = "127.0.0.2".parse().unwrap();
    assert!(!Opening::new(v4).from(other).open().ask("1").is_empty());
    let peers: BTreeSet<_> = proxy.log().iter().filter(|line| line.contains("ffff")).cloned().collect();
    assert!(peers.is_empty(), "{peers:?}");
}

#[test]
fn there_may_be_more_than_512_workers() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with("server.workers = 513"));
    assert_eq!(proxy.client().ask("hello"), "hello");
}
