//! Tests of connections to upstreams with TLS. The certificates are made by the tests.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use crate::harness::*;

/// Both test servers behind a door, and the authority of its certificate.
struct Secured {
    authority: Authority,
    upstream: TestUpstream,
    door: Door,
}

impl Secured {
    /// An echo server whose certificate is for `localhost` and `127.0.0.1`.
    fn echo() -> Self {
        Self::with(TestUpstream::echo(), &Leaf::new(&["localhost", "127.0.0.1"]))
    }

    fn with(upstream: TestUpstream, leaf: &Leaf) -> Self {
        let authority = Authority::new();
        let door = Door::accepting(authority.issue(leaf).server(), upstream.addr());
        Self { authority, upstream, door }
    }

    /// Settings in request mode that accept the certificates of the authority.
    fn settings(&self) -> Settings {
        trusting(Settings::request(&self.door.url("localhost")), &self.authority)
    }
}

fn trusting(settings: Settings, authority: &Authority) -> Settings {
    settings.with(&format!("upstream.echo.tls.ca = {:?}", authority.file()))
}

/// The line of the settings for a file.
fn file(key: &str, path: &Path) -> String {
    format!("upstream.echo.tls.{key} = {path:?}")
}

// === connections ===

#[test]
fn messages_of_any_size_are_echoed_through_tls() {
    let secured = Secured::echo();
    let proxy = Proxy::start(&secured.settings());
    let mut client = proxy.client();
    for size in [1, 125, 16_383, 16_384, 16_385, 900_000] {
        let text = "x".repeat(size);
        assert_eq!(client.ask(&text), text, "{size} bytes");
    }
    for number in 0..500 {
        client.text(&number.to_string());
    }
    for number in 0..500 {
        assert_eq!(client.recv_text(), number.to_string());
    }
    let head = secured.upstream.head(0);
    assert_eq!(head.get("host"), Some(format!("localhost:{}", secured.door.addr().port())));
    client.close(1000, "done");
    assert_eq!(secured.upstream.conn(0).wait_end(), End::Close(1000, "done".into()));
}

#[test]
fn an_endpoint_may_be_an_address_and_a_name_may_be_set_for_it() {
    let by_address = Secured::with(TestUpstream::echo(), &Leaf::new(&["127.0.0.1"]));
    let by_name = Secured::with(TestUpstream::echo(), &Leaf::new(&["chat.test"]));
    let settings = by_address.settings().endpoints(&format!("[{:?}]", by_address.door.url("127.0.0.1")));
    let proxy = Proxy::start(&settings);
    assert_eq!(proxy.client().ask("hello"), "hello");
    let settings = by_name.settings().with(r#"upstream.echo.tls.server_name = "chat.test""#);
    let proxy = Proxy::start(&settings);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn each_address_of_a_name_has_the_certificate_of_the_name() {
    let secured = Secured::with(TestUpstream::echo(), &Leaf::new(&["chat.test"]));
    let settings = trusting(Settings::request(&secured.door.url("chat.test")), &secured.authority)
        .with(r#"upstream.echo.resolve = "each""#);
    let Some(proxy) =
        Proxy::start_with_names(&settings, "127.0.0.1 chat.test\n", IpAddr::V4(Ipv4Addr::LOCALHOST))
    else {
        return;
    };
    proxy.wait_log("endpoints changed*(127.0.0.1)");
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn the_roots_of_the_machine_are_the_default() {
    let secured = Secured::echo();
    let settings = Settings::request(&secured.door.url("localhost"));
    let roots = secured.authority.file();
    let proxy = Proxy::start_with(&settings, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn a_program_may_choose_a_server_with_tls() {
    let (secured, other) = (Secured::echo(), TestUpstream::echo());
    let source = "define script url script match event of case \"own\" => null default => let $url = event end; event end; \
                  create script url; \
                  select event from in into url; select event from url into out;";
    let url = secured.door.url("localhost");
    let settings = trusting(Settings::request(&other.url()), &secured.authority)
        .with(&format!("upstream.echo.allow_urls = [\"{url}/*\"]"))
        .incoming(source);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask(&format!("{url}/a")), format!("{url}/a"));
    client.text(&url.replace("wss:", "ws:"));
    let (error, _) = client.recv_error();
    assert!(error.ends_with("not among the allow_urls of upstream echo"), "{error}");
}

#[test]
fn a_file_of_endpoints_may_list_servers_with_tls() {
    let secured = Secured::echo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.toml");
    std::fs::write(&path, format!("endpoints = [{:?}]", secured.door.url("localhost"))).unwrap();
    let proxy = Proxy::start(&secured.settings().endpoints_file(path.to_str().unwrap()));
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn the_proxy_presents_its_certificate_to_servers_that_require_one() {
    let (authority, upstream) = (Authority::new(), TestUpstream::echo());
    let server = authority.issue(&Leaf::new(&["localhost"]));
    let door = Door::accepting(authority.requiring(&server), upstream.addr());
    let settings = trusting(Settings::request(&door.url("localhost")), &authority);
    let own = authority.issue(&Leaf::client("towline", &[]));
    let known = settings.clone().with(&file("cert", &own.cert)).with(&file("key", &own.key));
    assert_eq!(Proxy::start(&known).client().ask("hello"), "hello");

    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("who is there");
    let (error, _) = client.recv_error();
    assert!(error.ends_with(": TLS: handshake refused: certificate required"), "{error}");
}

// === refusals ===

/// The error reply to a message, and the refusal on a route that closes its clients.
#[track_caller]
fn expect_error(authority: &Authority, url: &str, expected: &str) {
    let proxy = Proxy::start(&trusting(Settings::request(url), authority)).expect_restarts();
    let mut client = proxy.client();
    client.text("hello");
    let (error, _) = client.recv_error();
    assert_eq!(error, format!("Error sending event to server {url}: {expected}"));
    proxy.wait_log(&format!("reason=\"{expected}\""));

    let proxy = Proxy::start(&trusting(Settings::plain(url), authority))
        .expect("client refused")
        .expect("endpoint down");
    let refusal = Opening::new(proxy.addr()).refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (502, "the upstream is not available\n"));
    proxy.wait_log(&format!("client refused *status=502*cause=\"{expected}\""));
}

#[test]
fn a_certificate_that_is_not_accepted_is_named_in_the_error() {
    let (authority, other, upstream) = (Authority::new(), Authority::new(), TestUpstream::echo());
    let valid = Leaf::new(&["localhost"]);
    for (issuer, leaf, expected) in [
        (&authority, valid.clone().years(2001, 2002), "TLS: the certificate has expired"),
        (&authority, valid.clone().years(2901, 2902), "TLS: the certificate is not valid yet"),
        (&other, valid.clone(), "TLS: the certificate has an unknown issuer"),
        (&authority, Leaf::new(&["other.test"]), "TLS: the certificate is for another name"),
        (&authority, Leaf::client("localhost", &["localhost"]), "TLS: the certificate is invalid"),
    ] {
        let door = Door::accepting(issuer.issue(&leaf).server(), upstream.addr());
        expect_error(&authority, &door.url("localhost"), expected);
    }
    assert_eq!(upstream.handshakes(), 0, "no request went to a server that was not verified");
}

#[test]
fn a_server_without_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // As web servers do when they get TLS on a plain port.
            let _ = stream.read(&mut [0; 512]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    expect_error(&Authority::new(), &format!("wss://localhost:{port}"), "TLS: no TLS there");
}

#[test]
fn a_server_that_is_silent_in_the_tls_handshake_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let authority = Authority::new();
    let settings =
        trusting(Settings::plain(&url), &authority).with(r#"upstream.echo.connect_timeout = "300ms""#);
    let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint down");
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 504);
    proxy.wait_log("client refused *cause=\"no connection within 300ms\"");
}

#[test]
fn a_server_that_ends_the_tls_handshake_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    expect_error(&Authority::new(), &url, "TLS: connection closed in the handshake");
}

#[test]
fn with_insecure_every_certificate_is_accepted_and_a_warning_is_logged() {
    let secured = Secured::with(TestUpstream::echo(), &Leaf::new(&["other.test"]).years(2001, 2002));
    let settings =
        Settings::request(&secured.door.url("localhost")).with("upstream.echo.tls.insecure = true");
    let proxy = Proxy::start(&settings).expect("accepts every certificate");
    proxy.wait_log("WARN*[upstream.echo] accepts every certificate: tls.insecure");
    assert_eq!(proxy.client().ask("hello"), "hello");
}

// === life of a connection ===

#[test]
fn a_connection_that_is_cut_without_close_notify_counts_as_reset() {
    let secured = Secured::echo();
    let proxy = Proxy::start(&secured.settings()).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    secured.upstream.set(|_, _| ());
    client.text("never answered");
    secured.upstream.conn(0).wait_messages(2);
    let url = secured.door.url("localhost");
    drop(secured.door);
    let (error, _) = client.recv_error();
    let expected = "WebSocket protocol error: Connection reset without closing handshake";
    assert_eq!(error, format!("Error receiving reply from server {url}: {expected}"));
}

#[test]
fn a_lost_connection_is_replaced_by_one_with_tls() {
    let secured = Secured::echo();
    let proxy = Proxy::start(&secured.settings()).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("one"), "one");
    secured.upstream.kill_all(Death::Fin);
    proxy.wait_ups(2);
    assert_eq!(client.ask("two"), "two");
}

/// What TLS keeps while the socket is full is written when it has room again, though nothing else is to be done.
#[test]
fn everything_arrives_at_a_server_that_reads_late_and_little_memory_is_used() {
    let gate = Arc::new(Latch::default());
    let waiting = Arc::clone(&gate);
    let upstream = TestUpstream::with(move |_, _| waiting.wait());
    let secured = Secured::with(upstream, &Leaf::new(&["localhost"]));
    let settings = trusting(Settings::stream(&secured.door.url("localhost")), &secured.authority);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("first");
    secured.upstream.conn(0).wait_messages(1);
    let before = proxy.resident_kib();
    let mut sender = client.sender();
    let writer = thread::spawn(move || {
        // More than the kernel's buffers of three connections can hold, which grow to 10 MB each.
        let frame = Frame::client(BINARY, vec![7; 60_000]).bytes();
        (0..1000).for_each(|_| std::io::Write::write_all(&mut sender, &frame).unwrap());
    });
    let grown = || proxy.resident_kib().saturating_sub(before);
    wait_for("the client to be stopped", PATIENCE, || {
        measure_for(Duration::from_millis(300), || proxy.busy().as_millis() as i64) < 5
    });
    assert!(grown() < 8 * 1024, "{} KiB for one session", grown());
    assert!(!writer.is_finished(), "the client is not read while the server does not read");
    gate.open();
    writer.join().unwrap();
    secured.upstream.conn(0).wait_messages(1001);
    assert!(secured.upstream.conn(0).messages()[1..].iter().all(|message| message.len() == 60_000));
}

// === probes ===

#[test]
fn probes_use_tls() {
    let secured = Secured::echo();
    for probe in [r#"probe = "tcp""#, r#"probe = "http", path = "/health""#, r#"probe = "websocket""#] {
        let other = Authority::new();
        let settings = trusting(Settings::stream(&secured.door.url("localhost")), &other)
            .with(&format!("upstream.echo.health = {{ {probe}, interval = \"100ms\", unhealthy = 1 }}"));
        let proxy = Proxy::start(&settings).expect_restarts();
        proxy.wait_log("endpoint down upstream=echo*TLS: the certificate has an unknown issuer");
    }
    assert_eq!(secured.upstream.handshakes(), 0);
    let settings = secured
        .settings()
        .with("upstream.echo.health = { probe = \"websocket\", path = \"/health\", interval = \"100ms\" }");
    let proxy = Proxy::start(&settings);
    wait_for("probes", PATIENCE, || secured.upstream.heads_at("/health").len() > 2);
    assert_eq!(proxy.client().ask("hello"), "hello");
}

// === settings ===

/// Runs `towline check` and returns what it reports.
fn problems(settings: &Settings) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("towline.toml");
    std::fs::write(&path, settings.text()).unwrap();
    let finished = Program::finish(&["check", "--config", path.to_str().unwrap()], &[], folder.path());
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    finished.stderr
}

#[test]
fn wrong_files_are_named_with_their_keys() {
    let authority = Authority::new();
    let (one, two) = (authority.issue(&Leaf::client("one", &[])), authority.issue(&Leaf::client("two", &[])));
    let settings = || Settings::request("wss://localhost");
    for (settings, expected) in [
        (settings().with(&file("ca", &one.key)), "tls.ca = *: has no certificate"),
        (
            settings().with(r#"upstream.echo.tls.ca = "none.pem""#),
            "tls.ca = \"none.pem\"*: cannot read */none.pem: No such",
        ),
        (settings().with(&file("cert", &one.cert)), "tls.cert = *: needs tls.key too"),
        (
            settings().with(&file("cert", &one.cert)).with(&file("key", &two.key)),
            "tls.key = *: has the key of another certificate",
        ),
        (
            settings().with(&file("cert", &one.cert)).with(&file("key", &one.cert)),
            "tls.key = *: has no unencrypted private key",
        ),
        (
            settings().with("upstream.echo.tls.insecure = true").with(r#"upstream.echo.tls.roots = "web""#),
            "tls.roots = \"web\"*: has no effect with tls.insecure = true",
        ),
        (
            settings().with(r#"upstream.echo.tls.server_name = "a b""#),
            "tls.server_name = \"a b\"*: takes the name of a host",
        ),
        (
            Settings::request("ws://localhost").with("upstream.echo.tls.insecure = true"),
            "tls.insecure = true*: needs a server with TLS",
        ),
    ] {
        let text = problems(&settings);
        assert!(text.lines().any(|line| matches(line, expected)), "{expected}\n{text}");
        assert!(text.contains("1 error in the settings"), "{text}");
    }
}

#[test]
fn check_warns_about_insecure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("towline.toml");
    let settings = Settings::request("wss://localhost").with("upstream.echo.tls.insecure = true");
    std::fs::write(&path, settings.text()).unwrap();
    let finished = Program::finish(&["check", "--config", path.to_str().unwrap()], &[], folder.path());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("[upstream.echo] accepts every certificate"), "{}", finished.stderr);
}

/// Each block of settings in docs/tls.md is valid, with the files that it names and the sections that it leaves out.
#[test]
fn the_settings_in_the_document_are_valid() {
    let text = include_str!("../docs/tls.md");
    let blocks: Vec<_> =
        text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("toml\n")).collect();
    assert!(blocks.len() >= 9, "{blocks:?}");
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    for roots in ["ca.pem", "clients.pem"] {
        std::fs::copy(authority.file(), folder.path().join(roots)).unwrap();
    }
    let names = ["towline", "chat.example.com", "devices"];
    for name in names {
        let issued = authority.issue(&Leaf::new(&["chat.example.com"]));
        std::fs::copy(issued.cert, folder.path().join(format!("{name}.pem"))).unwrap();
        std::fs::copy(issued.key, folder.path().join(format!("{name}.key"))).unwrap();
    }
    let path = folder.path().join("towline.toml");
    for block in blocks {
        let mut settings = block.to_owned();
        for (section, text) in [
            ("[listener.", "[listener.ws]\nbind = \"127.0.0.1:0\"\n"),
            ("[upstream.", "[upstream.chat]\nurl = \"ws://127.0.0.1:1\"\n"),
            ("[[route]]", "[[route]]\nupstream = \"chat\"\n"),
        ] {
            if !settings.contains(section) {
                settings += text;
            }
        }
        std::fs::write(&path, &settings).unwrap();
        let env = [("SSL_CERT_FILE", authority.file())];
        let env = env.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
        let finished = Program::finish(&["check", "--config", path.to_str().unwrap()], &env, folder.path());
        assert_eq!(finished.code, Some(0), "{settings}\n{}", finished.stderr);
    }
}
