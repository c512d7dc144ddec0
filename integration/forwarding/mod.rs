//! Tests of requests that do not ask for a WebSocket and are forwarded to the upstream (`forward_http`).

mod bodies;
mod ends;
mod secure;
mod smuggling;

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::harness::*;

/// The bytes that a connection has received so far.
type Record = Arc<Mutex<Vec<u8>>>;

/// An HTTP server whose answers the test writes. A separate thread serves each connection.
pub struct HttpUpstream {
    addr: SocketAddr,
    /// What each connection has received so far.
    received: Arc<Mutex<Vec<Record>>>,
}

/// A connection to the server.
pub struct HttpConn(BufReader<Recorded>);

/// A socket that records what is read.
struct Recorded {
    stream: TcpStream,
    record: Record,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.record.lock().unwrap().extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl HttpUpstream {
    /// Starts a server.
    pub fn start(serve: impl Fn(&mut HttpConn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let (all, serve) = (Arc::clone(&received), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let record = Record::default();
                all.lock().unwrap().push(Arc::clone(&record));
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(&mut HttpConn(BufReader::new(Recorded { stream, record }))));
            }
        });
        Self { addr, received }
    }

    /// A server that answers each request without a body with `answer`, and closes the connection.
    pub fn answering(answer: &'static str) -> Self {
        Self::start(move |conn| {
            conn.head();
            conn.write(answer);
        })
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Waits until the head of a request has arrived on a connection.
    #[track_caller]
    pub fn wait_request(&self, index: usize) {
        wait_for("a request at the upstream", PATIENCE, || self.received(index).contains("\r\n\r\n"));
    }

    /// What a connection has received.
    #[track_caller]
    pub fn received(&self, index: usize) -> String {
        wait_for("a connection to the upstream", PATIENCE, || self.connections() > index);
        let record = Arc::clone(&self.received.lock().unwrap()[index]);
        String::from_utf8_lossy(&record.lock().unwrap()).into_owned()
    }
}

impl HttpConn {
    /// Reads the head of a request.
    pub fn head(&mut self) -> Head {
        Head::read(&mut self.0).unwrap().unwrap_or_default()
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.get_mut().stream.write_all(bytes.as_ref());
    }

    /// Reads this number of bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a body of chunks.
    pub fn chunks(&mut self) -> Vec<u8> {
        chunks(&mut self.0)
    }

    /// Waits until the peer ends the connection.
    pub fn wait_end(&mut self) {
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}

/// Reads a body of chunks without extensions and trailers.
pub fn chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a chunk");
            line.push(byte[0]);
        }
        let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).expect("a whole chunk");
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        if size == 0 {
            return body;
        }
        body.extend(chunk);
    }
}

/// Settings that forward requests to this upstream.
pub fn forwarding(url: &str) -> Settings {
    Settings::plain(url).on_route("forward_http = true").with(r#"log.level = "debug""#)
}

/// Sends a request, and returns the head and the rest of the response.
#[track_caller]
pub fn ask(proxy: &Proxy, request: &str) -> (Head, String) {
    let mut raw = Raw::connect(proxy.addr());
    raw.write(request.as_bytes());
    let head = raw.head();
    (head, raw.read_to_end())
}

#[test]
fn one_route_serves_both_kinds_of_requests() {
    let upstream = TestUpstream::echo();
    upstream.set_answer_at(
        "/app?x=1",
        Answer::Bytes(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-App: 1\r\nServer: secret\r\nContent-Length: 5\r\n\
             Connection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello",
        ),
    );
    let settings = forwarding(&upstream.url())
        .with(r#"upstream.echo.headers = { x-route = "${session.route}" }"#)
        .with(r#"upstream.echo.response_headers = { x-served-by = "towline" }"#)
        .with(r#"upstream.echo.remove_response_headers = ["server"]"#);
    let proxy = Proxy::start(&settings);
    let (head, body) = ask(
        &proxy,
        "GET /app?x=1 HTTP/1.1\r\nHost: app.test\r\nCookie: c=d\r\nAccept: text/html\r\nConnection: keep-alive, X-Hop\r\n\
         X-Hop: 1\r\nX-User: root\r\nX-Forwarded-For: 203.0.113.9\r\nX-Route: forged\r\nX-CSRF-Token: t\r\n\r\n",
    );
    assert_eq!((head.status(), body.as_str()), (200, "hello"));
    let get = |name| head.get(name);
    assert_eq!(get("content-type").as_deref(), Some("text/html"));
    assert_eq!(get("content-length").as_deref(), Some("5"));
    assert_eq!(get("set-cookie").as_deref(), Some("a=1, b=2"));
    assert_eq!((get("x-app").as_deref(), get("x-served-by").as_deref()), (Some("1"), Some("towline")));
    assert_eq!((get("server"), get("x-hop"), get("connection").as_deref()), (None, None, Some("close")));
    assert!(get("date").is_some());
    let sent = &upstream.heads_at("/app?x=1")[0];
    for (name, expected) in [
        ("host", Some(&*upstream.addr().to_string())),
        ("connection", Some("close")),
        ("via", Some("1.1 towline")),
        ("cookie", Some("c=d")),
        ("accept", Some("text/html")),
        ("x-csrf-token", Some("t")),
        ("x-route", Some("route[1]")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("app.test")),
        ("x-forwarded-proto", Some("http")),
        ("x-hop", None),
        ("x-user", None),
        ("content-length", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(sent.get(name).as_deref(), expected, "{name}");
    }
    proxy.wait_log("request forwarded listener=ws *method=GET path=/app route=route[1] status=200");
    assert_eq!(Opening::new(proxy.addr()).path("/app?x=2").open().ask("a"), "a");
}

/// The routes of plain requests are found as those of handshakes.
#[test]
fn plain_requests_may_have_a_route_of_their_own() {
    let upstream = TestUpstream::echo();
    let pages = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage");
    let settings = Settings::plain(&upstream.url())
        .on_route(r#"path = "/chat""#)
        .upstream("pages", &pages.url())
        .route(&[r#"match.path_exact = "/healthz""#, r#"answer.body = "ok""#])
        .route(&[r#"upstream = "pages""#, "forward_http = true"]);
    let proxy = Proxy::start(&settings).expect("client refused");
    assert_eq!(get(proxy.addr(), "/chat"), (200, "page".to_owned()));
    assert_eq!(get(proxy.addr(), "/healthz"), (200, "ok".to_owned()));
    assert_eq!(Opening::new(proxy.addr()).path("/chat").open().ask("a"), "a");
    assert_eq!((upstream.connections(), pages.connections()), (1, 1));
    assert!(pages.received(0).starts_with("GET /chat HTTP/1.1\r\n"));
}

#[test]
fn a_page_of_another_site_is_refused_and_a_request_without_origin_is_not() {
    let upstream = HttpUpstream::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let settings = forwarding(&upstream.url()).on_route(r#"origins = ["https://a.test"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for (line, expected) in [
        ("", 204),
        ("Origin: https://a.test\r\n", 204),
        ("Origin: https://b.test\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{line}Content-Length: 0\r\n\r\n");
        assert_eq!(ask(&proxy, &request).0.status(), expected, "{line}");
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn the_upstreams_own_url_becomes_a_path() {
    let upstream = HttpUpstream::start(|conn| {
        let host = conn.head().get("host").unwrap();
        conn.write(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/login?a\r\nContent-Length: 0\r\n\r\n"
        ));
    });
    let proxy = Proxy::start(&forwarding(&upstream.url()));
    let (head, _) = ask(&proxy, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!((head.status(), head.get("location").as_deref()), (302, Some("/login?a")));
}

#[test]
fn a_server_on_a_unix_socket_gets_plain_requests_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = Head::read(&mut stream).unwrap().unwrap();
        stream
            .write_all(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", head.line.len(), head.line)
                    .as_bytes(),
            )
            .unwrap();
    });
    let proxy = Proxy::start(&forwarding(&format!("unix:{}:/base", path.display())));
    let (head, body) = ask(&proxy, "GET /a?b HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!((head.status(), body.as_str()), (200, "GET /base/a?b HTTP/1.1"));
}

/// The hash of `test`.
const TEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A request that asks for no WebSocket can have the header all the same.
#[test]
fn a_credential_among_the_subprotocols_counts_on_plain_requests() {
    let upstream = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let settings = forwarding(&upstream.url())
        .with(r#"auth.partners.from = ["header:x-key", "subprotocol:key."]"#)
        .with(&format!("auth.partners.api_keys.keys = {{ tester = {TEST:?} }}"))
        .with(r#"upstream.echo.forward_headers = ["authorization"]"#)
        .on_route(r#"auth = ["partners"]"#)
        .on_route(r#"origins = ["*"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for (lines, status) in [
        ("X-Key: test\r\nSec-WebSocket-Protocol: chat, key.forged\r\n", 400),
        ("Sec-WebSocket-Protocol: key.forged\r\n", 401),
        ("Sec-WebSocket-Protocol: key.test, key.test\r\n", 400),
        ("Sec-WebSocket-Protocol: chat, key.test\r\n", 200),
        ("X-Key: test\r\nSec-WebSocket-Protocol: chat\r\n", 200),
    ] {
        let (head, _) = ask(&proxy, &format!("GET /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(head.status(), status, "{lines}");
    }
    assert_eq!(upstream.connections(), 2);
    assert!((0..2).all(|index| !upstream.received(index).contains("key.")));
}

/// The page of a client may have been loaded with the credential in its URL.
#[test]
fn a_referer_is_forwarded_without_the_credential_in_its_query() {
    let upstream = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let settings = forwarding(&upstream.url())
        .with(r#"auth.partners.from = ["header:x-key", "query:key"]"#)
        .with(&format!("auth.partners.api_keys.keys = {{ tester = {TEST:?} }}"))
        .on_route(r#"auth = ["partners"]"#)
        .on_route(r#"origins = ["*"]"#);
    let proxy = Proxy::start(&settings);
    let lines = "Referer: http://a.test/page?a=1&key=planted\r\nX-Key: test\r\n";
    let (head, _) = ask(&proxy, &format!("GET /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(head.status(), 200);
    let received = upstream.received(0);
    assert!(
        received.contains("Referer: http://a.test/page?a=1\r\n") && !received.contains("planted"),
        "{received}"
    );
}

/// A header that says who the client is may have a name that plain requests are forwarded with.
#[test]
fn a_header_that_the_settings_set_is_never_the_clients() {
    let upstream = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let settings = forwarding(&upstream.url())
        .with(r#"upstream.echo.headers = { x-csrf-token = "${request.query.csrf}" }"#)
        .on_route(r#"origins = ["*"]"#);
    let proxy = Proxy::start(&settings);
    for (target, expected) in [("/?csrf=a", Some("a")), ("/", None)] {
        let index = upstream.connections();
        let lines = "X-CSRF-Token: planted\r\nX-Requested-With: b";
        assert_eq!(
            ask(&proxy, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")).0.status(),
            200
        );
        let received = upstream.received(index).to_ascii_lowercase();
        let line = received.lines().find_map(|line| line.strip_prefix("x-csrf-token: "));
        assert_eq!((line, received.contains("planted")), (expected, false), "{received}");
        assert!(received.contains("x-requested-with: b\r\n"), "{received}");
    }
}

/// A request that is forwarded needs the same credential as a handshake.
#[test]
fn authentication_applies_to_plain_requests() {
    let upstream = HttpUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let settings = forwarding(&upstream.url())
        .with(r#"auth.partners.from = ["query:key"]"#)
        .with(&format!("auth.partners.api_keys.keys = {{ tester = {TEST:?} }}"))
        .with(r#"upstream.echo.headers = { x-user = "${session.subject}" }"#)
        .on_route(r#"auth = ["partners"]"#)
        .on_route(r#"origins = ["*"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for target in ["/a", "/a?key=wrong"] {
        let (head, _) =
            ask(&proxy, &format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(head.status(), 401, "{target}");
        assert!(head.get("www-authenticate").is_some());
    }
    assert_eq!(upstream.connections(), 0);
    let (head, body) = ask(&proxy, "GET /a?key=test&b=c HTTP/1.1\r\nHost: a\r\nX-User: root\r\n\r\n");
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    let received = upstream.received(0);
    assert!(
        received.starts_with("GET /a?b=c HTTP/1.1\r\n") && received.contains("X-User: tester\r\n"),
        "{received}"
    );
}
