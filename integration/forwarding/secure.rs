//! Forwarded requests over TLS, on both sides.

use super::*;

/// A balancer's header comes before the TLS handshake, and the upstream hears of both.
#[test]
fn a_request_over_tls_behind_a_balancer_is_forwarded() {
    let (upstream, authority) =
        (HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Authority::new());
    let issued = authority.issue(&Leaf::new(&["app.test"]));
    let certificate = format!("[{{ cert = {:?}, key = {:?} }}]", issued.cert, issued.key);
    let settings = forwarding(&upstream.url())
        .with(&format!("listener.ws.tls.certificates = {certificate}"))
        .with(r#"listener.ws.proxy_protocol = "required""#)
        .with(r#"listener.ws.trusted_proxies = ["127.0.0.1"]"#);
    let proxy = Proxy::start(&settings).expect("client closed before its request");
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n";
    let mut stream = secure_after(header, authority.client(None, ANY_TLS), proxy.addr(), "app.test").unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let received = upstream.received(0);
    for line in
        ["X-Forwarded-For: 192.0.2.7\r\n", "X-Forwarded-Proto: https\r\n", "X-Forwarded-Host: app.test\r\n"]
    {
        assert!(received.contains(line), "{line} in {received}");
    }
    proxy.wait_log("request forwarded listener=ws peer=192.0.2.7:50000 ");
    assert!(secure(authority.client(None, ANY_TLS), proxy.addr(), "app.test").is_err(), "without the header");
    proxy.wait_log("client closed before its request *reason=\"PROXY header missing\"");
}

#[test]
fn a_request_is_forwarded_to_a_server_with_tls() {
    let (body, authority) = ("x".repeat(200_000), Authority::new());
    let upstream = HttpUpstream::start(|conn| {
        let body = match conn.head().get("content-length") {
            Some(length) => conn.read(length.parse().unwrap()),
            None => Vec::new(),
        };
        conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        conn.write(body);
        conn.wait_end();
    });
    let certificate = authority.issue(&Leaf::new(&["localhost", "127.0.0.1"]));
    let door = Door::accepting(certificate.server(), upstream.addr);
    let settings =
        forwarding(&door.url("localhost")).with(&format!("upstream.echo.tls.ca = {:?}", authority.file()));
    let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint down");
    let (head, answer) =
        ask(&proxy, &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(head.status(), 200);
    assert!(answer == body, "the body is changed: {} bytes", answer.len());
    let other = Authority::new();
    let settings =
        forwarding(&door.url("localhost")).with(&format!("upstream.echo.tls.ca = {:?}", other.file()));
    let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint");
    assert_eq!(ask(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").0.status(), 502, "an unknown issuer");
}

/// A server with TLS whose response ends with its connection, with and without `close_notify`.
fn ending(config: rustls::ServerConfig, notifies: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, config) = (listener.local_addr().unwrap(), Arc::new(config));
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let conn = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::new(conn, socket);
        Head::read(&mut stream).unwrap().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        if notifies {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
        // An end, not a reset.
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.sock.read_to_end(&mut Vec::new());
    });
    addr
}

/// Everybody on the way can end a TCP connection. Only the server can end the TLS connection.
#[test]
fn a_response_that_is_cut_off_inside_of_tls_has_no_end() {
    let authority = Authority::new();
    for (notifies, expected) in [(true, "5\r\nhello\r\n0\r\n\r\n"), (false, "5\r\nhello\r\n")] {
        let certificate = authority.issue(&Leaf::new(&["localhost", "127.0.0.1"]));
        let addr = ending(certificate.server(), notifies);
        let settings = forwarding(&format!("wss://localhost:{}", addr.port()))
            .with(&format!("upstream.echo.tls.ca = {:?}", authority.file()));
        let proxy = Proxy::start(&settings).expect("response cut off");
        let (head, body) = ask(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((head.status(), body.as_str()), (200, expected));
        if !notifies {
            proxy.wait_log("response cut off listener=ws *cause=\"IO error: connection aborted\"");
        }
    }
}
