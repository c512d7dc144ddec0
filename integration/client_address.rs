//! Tests of clients behind balancers: PROXY headers, `X-Forwarded-*` and `Forwarded`.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::harness::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with this command and family byte, and this content.
fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, content].concat()
}

/// 192.0.2.7:50000 to 198.51.100.1:443.
const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x01, 0xbb];

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n";

/// Settings of an echo upstream behind balancers on loopback.
fn behind(url: &str, proxy_protocol: &str) -> Settings {
    Settings::request(url)
        .with(&format!(r#"listener.ws.proxy_protocol = "{proxy_protocol}""#))
        .with(r#"listener.ws.trusted_proxies = ["127.0.0.0/29"]"#)
}

/// Sends a header and a handshake in these pieces, and expects a session.
#[track_caller]
fn session(addr: SocketAddr, pieces: &[&[u8]]) -> Raw {
    let mut raw = Raw::connect(addr);
    pieces.iter().for_each(|piece| raw.write(piece));
    assert_eq!(raw.head().status(), 101);
    raw.send(&Frame::client(TEXT, "a"));
    assert_eq!(raw.frame(), Some(Frame::server(TEXT, "a")));
    raw
}

/// Expects that a connection that begins with these bytes is closed without an answer.
#[track_caller]
fn expect_closed(addr: SocketAddr, bytes: &[u8]) {
    let mut raw = Raw::connect(addr);
    raw.write(bytes);
    let (answer, _is_reset) = raw.rest();
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

#[test]
fn both_versions_of_the_header_name_the_client() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&behind(&upstream.url(), "required"));
    let handshake = request("/", &[]);
    let with_extra = [&IPV4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    for (number, header) in
        [V1.to_vec(), v2(1, 0x11, &IPV4), v2(1, 0x11, &with_extra)].into_iter().enumerate()
    {
        let _raw = session(proxy.addr(), &[&[&header, handshake.as_bytes()].concat()]);
        proxy.wait_log(&format!("session opened session=1:{number} *peer=192.0.2.7:50000 "));
        assert_eq!(upstream.head(number).get("x-forwarded-for").as_deref(), Some("192.0.2.7"));
        // Byte by byte.
        let pieces: Vec<_> = header.chunks(1).chain([handshake.as_bytes()]).collect();
        session(proxy.addr(), &pieces);
    }
}

#[test]
fn a_balancer_that_speaks_for_itself_keeps_its_address() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&behind(&upstream.url(), "required"));
    let headers = [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, 0, &[]), v2(0, 0x11, &IPV4), v2(1, 0, &[0; 520])];
    for (number, header) in headers.into_iter().enumerate() {
        session(proxy.addr(), &[&header, request("/", &[]).as_bytes()]);
        proxy.wait_log(&format!("session opened session=1:{number} *peer=127.0.0.1:"));
    }
}

#[test]
fn a_connection_without_the_required_header_is_closed_with_a_log_line() {
    let upstream = TestUpstream::echo();
    let settings = behind(&upstream.url(), "required").with(r#"listener.ws.handshake_timeout = "3s""#);
    let proxy =
        Proxy::start(&settings).expect("client closed before its request").expect("client refused again");
    let line = |reason: &str| {
        proxy.wait_log(&format!(
            "client closed before its request listener=ws peer=127.0.0.*reason=\"{reason}\""
        ))
    };
    expect_closed(proxy.addr(), request("/", &[]).as_bytes());
    line("PROXY header missing");
    expect_closed(proxy.addr(), b"PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\nGET / HTTP/1.1\r\n");
    line("PROXY header malformed");
    expect_closed(proxy.addr(), format!("PROXY UNKNOWN {}", "f".repeat(200)).as_bytes());
    expect_closed(proxy.addr(), &[SIGNATURE, &[0x21, 0x11, 0x10, 0]].concat());
    line("PROXY header too long");
    expect_closed(proxy.addr(), b"PROXY TCP4 192.0");
    line("PROXY header timeout");
    let mut untrusted = Raw::connect_from([127, 0, 0, 9].into(), proxy.addr());
    untrusted.write(&[V1, request("/", &[]).as_bytes()].concat());
    assert_eq!(untrusted.rest().0, b"");
    line("PROXY header not trusted");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(proxy.count_log("192.0.2.7"), 0);
}

#[test]
fn an_optional_header_is_read_only_from_trusted_balancers() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&behind(&upstream.url(), "optional"))
        .expect("client closed before its request")
        .expect("client refused");
    session(proxy.addr(), &[&[V1, request("/", &[]).as_bytes()].concat()]);
    proxy.wait_log("session opened session=1:0 *peer=192.0.2.7:50000 ");
    assert_eq!(proxy.client().ask("a"), "a");
    proxy.wait_log("session opened session=1:1 *peer=127.0.0.1:");
    // Empty lines and a method that begin like a header, in any pieces.
    let spaced = [&b"\r\n"[..], b"\r\n", request("/", &[]).as_bytes()].concat();
    session(proxy.addr(), &[&spaced]);
    session(proxy.addr(), &spaced.chunks(1).collect::<Vec<_>>());
    for pieces in
        [&[&b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"[..]][..], &[b"P", b"OST / HTTP/1.1\r\nHost: a\r\n\r\n"]]
    {
        let mut raw = Raw::connect(proxy.addr());
        pieces.iter().for_each(|piece| raw.write(piece));
        assert_eq!(raw.head().status(), 405);
    }
    let from = Opening::new(proxy.addr()).from([127, 0, 0, 9].into());
    assert_eq!(from.open().ask("a"), "a");
    let mut untrusted = Raw::connect_from([127, 0, 0, 9].into(), proxy.addr());
    untrusted.write(&[V1, request("/", &[]).as_bytes()].concat());
    assert_eq!(untrusted.rest().0, b"");
    proxy.wait_log("client closed before its request *peer=127.0.0.9:*reason=\"PROXY header not trusted\"");
}

/// Without the setting, a header is no HTTP.
#[test]
fn a_header_that_is_not_expected_is_a_malformed_request() {
    let proxy = Proxy::start(&Settings::request("ws://127.0.0.1:1")).expect("client refused");
    let mut raw = Raw::connect(proxy.addr());
    raw.write(&[V1, request("/", &[]).as_bytes()].concat());
    assert_eq!(raw.head().status(), 400);
}

/// Limits, routes and programs use the address behind the balancer.
#[test]
fn the_clients_address_counts_everywhere() {
    let settings = Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .with(r#"listener.ws.proxy_protocol = "optional""#)
        .with(r#"listener.ws.trusted_proxies = ["127.0.0.1"]"#)
        .with("listener.ws.max_sessions_per_address = 1")
        .with(r#"listener.ws.codec = "json""#)
        .pipeline("who", "select {\"route\": $session.route, \"peer\": $request.peer} from in into reply;")
        .route(&[r#"name = "net""#, r#"match.networks = ["192.0.2.0/24"]"#, r#"incoming = ["who"]"#])
        .route(&[r#"name = "other""#, r#"incoming = ["who"]"#]);
    let proxy = Proxy::start(&settings).expect("client refused");
    let open = |ip: &str| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(format!("PROXY TCP4 {ip} 198.51.100.1 50000 443\r\n{}", request("/", &[])).as_bytes());
        let status = raw.head().status();
        (raw, status)
    };
    let ask = |raw: &mut Raw| {
        raw.send(&Frame::client(TEXT, "1"));
        String::from_utf8(raw.frame().unwrap().payload).unwrap()
    };
    let (mut first, status) = open("192.0.2.7");
    assert_eq!(status, 101);
    assert_eq!(ask(&mut first), r#"{"route":"net","peer":{"ip":"192.0.2.7","port":50000}}"#);
    let (mut second, status) = open("203.0.113.1");
    assert_eq!(status, 101);
    assert_eq!(ask(&mut second), r#"{"route":"other","peer":{"ip":"203.0.113.1","port":50000}}"#);
    assert_eq!(open("192.0.2.7").1, 429, "a session of this address is open");
    proxy.wait_log("client refused listener=ws peer=192.0.2.7:50000 *status=429");
    let forwarded = Opening::new(proxy.addr()).header("X-Forwarded-For", "203.0.113.1").refused();
    assert_eq!(forwarded.status(), 429);
    let mut third = Opening::new(proxy.addr()).header("X-Forwarded-For", "192.0.2.8").open();
    assert_eq!(third.ask("1"), r#"{"route":"net","peer":{"ip":"192.0.2.8","port":0}}"#);
}

#[test]
fn forwarding_headers_of_others_are_replaced() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(
        r#"upstream.echo.forward_headers = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"]"#,
    );
    let proxy = Proxy::start(&settings);
    let _client = Opening::new(proxy.addr())
        .header("X-Forwarded-For", "192.0.2.7")
        .header("X-Forwarded-For", "192.0.2.8")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "www.example.test")
        .header("Forwarded", "for=192.0.2.7;proto=https")
        .open();
    let head = upstream.head(0);
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(head.get("x-forwarded-host").as_deref(), Some("towline.test"));
    assert_eq!(head.get("forwarded").as_deref(), Some("for=127.0.0.1;host=towline.test;proto=http"));
    proxy.wait_log("session opened *peer=127.0.0.1:");
}

#[test]
fn headers_with_the_clients_address_never_have_what_the_client_writes() {
    let upstream = TestUpstream::echo();
    let names = ["X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded-Port"];
    let listed = format!("upstream.echo.forward_headers = {names:?}");
    let forged = |addr| {
        let opening = Opening::new(addr).header("X-Forwarded-For", "192.0.2.7");
        names.iter().fold(opening, |opening, name| opening.header(name, "203.0.113.9")).open()
    };
    let direct = Proxy::start(&Settings::request(&upstream.url()).with(&listed));
    let _direct = forged(direct.addr());
    let trusted = Proxy::start(&behind(&upstream.url(), "off").with(&listed));
    let _trusted = forged(trusted.addr());
    for (at, address, port) in [(0, "127.0.0.1", None), (1, "192.0.2.7", Some("203.0.113.9"))] {
        let head = upstream.head(at);
        for name in &names[..3] {
            assert_eq!(head.get(&name.to_lowercase()).as_deref(), Some(address), "{name}");
        }
        assert_eq!(head.get("x-forwarded-port").as_deref(), port);
    }
}

#[test]
fn forwarding_headers_of_trusted_proxies_are_extended() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&behind(&upstream.url(), "off"));
    let _client = Opening::new(proxy.addr())
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-For", "192.0.2.7, 127.0.0.3")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "www.example.test")
        .open();
    let head = upstream.head(0);
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("203.0.113.9, 192.0.2.7, 127.0.0.3, 127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(head.get("x-forwarded-host").as_deref(), Some("www.example.test"));
    proxy.wait_log("session opened *peer=192.0.2.7:0 ");
}

#[test]
fn forwarded_is_read_where_the_settings_say_so() {
    let upstream = TestUpstream::echo();
    let settings = behind(&upstream.url(), "off")
        .with(r#"listener.ws.trusted_headers = "forwarded""#)
        .with(r#"upstream.echo.forward_headers = ["x-forwarded-for", "x-forwarded-proto", "forwarded"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let forwarded = "for=203.0.113.9, for=\"[2001:db8::7]:4711\";proto=https";
    let _client = Opening::new(proxy.addr())
        .header("Forwarded", forwarded)
        .header("X-Forwarded-For", "192.0.2.99")
        .open();
    let head = upstream.head(0);
    let extended = format!("{forwarded}, for=127.0.0.1;host=towline.test;proto=http");
    assert_eq!(head.get("forwarded"), Some(extended));
    assert_eq!(head.get("x-forwarded-for").as_deref(), Some("2001:db8::7"));
    assert_eq!(head.get("x-forwarded-proto").as_deref(), Some("https"));
    proxy.wait_log("session opened *peer=[2001:db8::7]:4711 ");
    let refusal = Opening::new(proxy.addr()).header("Forwarded", "for=\"192.0.2.7").refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (400, "malformed Forwarded header\n"));
}

/// A balancer of TCP connections passes on the headers that a client writes, and a client may have an address that is
/// trusted as a proxy's.
#[test]
fn behind_a_required_proxy_header_other_headers_name_nobody() {
    let upstream = TestUpstream::echo();
    let forged = request("/", &[("X-Forwarded-For", "203.0.113.9")]);
    let header = "PROXY TCP4 127.0.0.3 198.51.100.1 50000 443\r\n";
    let proxy = Proxy::start(&behind(&upstream.url(), "required"));
    let _raw = session(proxy.addr(), &[header.as_bytes(), forged.as_bytes()]);
    proxy.wait_log("session opened *peer=127.0.0.3:50000 ");
    assert_eq!(upstream.head(0).get("x-forwarded-for").as_deref(), Some("127.0.0.3"));
    let settings = behind(&upstream.url(), "required").with(r#"listener.ws.trusted_headers = "x-forwarded""#);
    let proxy = Proxy::start(&settings);
    let _raw = session(proxy.addr(), &[header.as_bytes(), forged.as_bytes()]);
    proxy.wait_log("session opened *peer=203.0.113.9:0 ");
}

/// A running HAProxy, killed when dropped.
struct HaProxy(Child, #[expect(dead_code, reason = "holds the folder")] tempfile::TempDir);

impl HaProxy {
    /// Starts HAProxy on `port` in front of `server`; `None` where it is not installed.
    fn start(port: &Port, server: SocketAddr, options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n mode {}\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n timeout tunnel 30s\n\
             listen front\n bind {}\n server towline {server} {options}\n",
            if options.is_empty() { "http\n option forwardfor" } else { "tcp" },
            port.addr()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: haproxy is not installed");
            return None;
        };
        wait_for("haproxy listens", PATIENCE, || std::net::TcpStream::connect(port.addr()).is_ok());
        Some(Self(child, folder))
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn haproxy_names_the_client() {
    for (options, protocol) in [("send-proxy", "required"), ("send-proxy-v2", "required"), ("", "off")] {
        let upstream = TestUpstream::echo();
        let settings = Settings::request(&upstream.url())
            .with(&format!(r#"listener.ws.proxy_protocol = "{protocol}""#))
            .with(r#"listener.ws.trusted_proxies = ["127.0.0.1"]"#);
        let proxy = Proxy::start(&settings);
        let port = Port::take();
        let Some(_haproxy) = HaProxy::start(&port, proxy.addr(), options) else { return };
        let mut client = Opening::new(port.addr()).from([127, 0, 0, 77].into()).open();
        assert_eq!(client.ask("through both"), "through both");
        proxy.wait_log("session opened *peer=127.0.0.77:");
        let list = upstream.head(0).get("x-forwarded-for").unwrap();
        let expected = if protocol == "off" { "127.0.0.77, 127.0.0.1" } else { "127.0.0.77" };
        assert_eq!(list, expected, "{options}");
    }
}
