//! Tests of listeners with TLS. The certificates are made by the tests.

mod certificates;
mod clients;
mod invalid;
mod rotation;
mod tools;

use std::io::{Read, Write};

use rustls::version::{TLS12, TLS13};
use tungstenite::WebSocket;

use crate::harness::*;

/// A client's WebSocket over TLS.
type Session = WebSocket<Secure>;

/// Settings in request mode with these certificates on the listener.
fn settings(upstream: &TestUpstream, certificates: &[&Issued]) -> Settings {
    with_certificates(Settings::request(&upstream.url()), certificates)
}

fn with_certificates(settings: Settings, certificates: &[&Issued]) -> Settings {
    let table = |issued: &&Issued| format!("{{ cert = {:?}, key = {:?} }}", issued.cert, issued.key);
    let tables: Vec<_> = certificates.iter().map(table).collect();
    settings.with(&format!("listener.ws.tls.certificates = [{}]", tables.join(", ")))
}

/// Connects as a client of this authority, and completes both handshakes.
fn open(proxy: &Proxy, authority: &Authority, name: &str) -> Session {
    let stream = secure(authority.client(None, ANY_TLS), proxy.addr(), name).unwrap();
    shaken(stream).unwrap()
}

fn shaken(stream: Secure) -> Result<Session, String> {
    tungstenite::client("ws://chat.test/", stream)
        .map(|(session, _)| session)
        .map_err(|error| error.to_string())
}

fn ask(session: &mut Session, text: &str) -> String {
    session.send(Message::text(text)).unwrap();
    session.read().unwrap().into_text().unwrap().as_str().to_owned()
}

/// The names of the certificate that a client gets which asks for `name`.
fn names(proxy: &Proxy, name: &str) -> String {
    names_by(proxy, name, careless())
}

fn names_by(proxy: &Proxy, name: &str, config: rustls::ClientConfig) -> String {
    let stream = secure(config, proxy.addr(), name).unwrap();
    let own = &stream.conn.peer_certificates().unwrap()[0];
    let certificate = towline::certificate::Certificate::parse(own).unwrap();
    certificate.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Whether a request over this connection gets any answer; otherwise the reason of the end.
fn answered(mut stream: Secure) -> Result<String, String> {
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

// === connections ===

#[test]
fn messages_of_any_size_are_echoed() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&issued]));
    for version in [&TLS12, &TLS13] {
        let stream = secure(authority.client(None, &[version]), proxy.addr(), "chat.test").unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        let mut client = shaken(stream).unwrap();
        for size in [0, 1, 125, 16_383, 16_384, 16_385, 900_000] {
            let text = "x".repeat(size);
            assert_eq!(ask(&mut client, &text), text, "{size} bytes");
        }
        for number in 0..500 {
            client.send(Message::text(number.to_string())).unwrap();
        }
        for number in 0..500 {
            assert_eq!(client.read().unwrap(), Message::text(number.to_string()));
        }
        client.close(None).unwrap();
        while client.read().is_ok() {}
    }
    wait_for("the ends of both connections", PATIENCE, || upstream.live() == 0);
}

#[test]
fn the_upstream_and_programs_know_that_the_client_uses_tls() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let settings = settings(&upstream, &[&issued]).incoming("select $request.tls from in into out;");
    let proxy = Proxy::start(&settings);
    let mut client = open(&proxy, &authority, "chat.test");
    let facts: Value = serde_json::from_str(&ask(&mut client, "a")).unwrap();
    let expected = json!({
        "version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384", "sni": "chat.test", "client": null
    });
    assert_eq!(facts, expected);
    assert_eq!(upstream.head(0).get("x-forwarded-proto").as_deref(), Some("https"));

    let stream = secure(authority.client(None, &[&TLS12]), proxy.addr(), "chat.test").unwrap();
    let facts: Value = serde_json::from_str(&ask(&mut shaken(stream).unwrap(), "a")).unwrap();
    assert_eq!(facts["version"], "1.2");
    assert_eq!(facts["cipher"], "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
}

#[test]
fn without_tls_there_are_no_facts_about_it() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).incoming("select $request.tls from in into out;");
    let proxy = Proxy::start(&settings);
    assert_eq!(proxy.client().ask("a"), "null");
    assert_eq!(upstream.head(0).get("x-forwarded-proto").as_deref(), Some("http"));
}

#[test]
fn a_route_is_chosen_by_the_name_in_the_handshake() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["*.a.test", "b.test"]));
    let settings = with_certificates(Settings::request(&upstream.url()), &[&issued])
        .on_route(r#"match = { path = "/", tls_name = "*.a.test" }"#)
        .route(&[r#"name = "status""#, r#"answer = { body = "plain" }"#, r#"match.tls_name = "b.test""#]);
    let proxy = Proxy::start(&settings).expect("client refused").expect("client closed before its request");
    let connect = |name| secure(authority.client(None, ANY_TLS), proxy.addr(), name).unwrap();
    assert_eq!(ask(&mut shaken(connect("x.a.test")).unwrap(), "hello"), "hello");
    let error = shaken(connect("b.test")).unwrap_err();
    assert!(error.contains("404"), "{error}");
    assert!(answered(connect("b.test")).unwrap().ends_with("plain"));
    let unnamed = secure(unnamed(careless()), proxy.addr(), "x.a.test").unwrap();
    assert!(shaken(unnamed).unwrap_err().contains("404"), "no name matches no pattern");
}

/// Each connection ends with close_notify, which a cut one does not have.
#[test]
fn answers_end_with_close_notify() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let settings = settings(&upstream, &[&issued])
        .on_route(r#"path = "/ws""#)
        .route(&[r#"name = "status""#, r#"answer = { body = "plain" }"#]);
    let proxy = Proxy::start(&settings).expect("client refused").expect("client closed before its request");
    // The library reports an end without close_notify as an error.
    let text = answered(secure(authority.client(None, ANY_TLS), proxy.addr(), "chat.test").unwrap()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("plain"), "{text}");

    let stream = secure(authority.client(None, ANY_TLS), proxy.addr(), "chat.test").unwrap();
    let (mut client, _) = tungstenite::client("ws://chat.test/ws", stream).unwrap();
    client.close(None).unwrap();
    while client.read().is_ok() {}
    let mut rest = Vec::new();
    client.get_mut().read_to_end(&mut rest).expect("close_notify");
}

/// Guarantee C4 with TLS: a client that does not read stops its upstream, and gets everything once it reads.
#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    const COUNT: usize = 1000;
    let (upstream, authority) = (TestUpstream::silent(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let settings = with_certificates(Settings::stream(&upstream.url()), &[&issued])
        .with(r#"listener.ws.slow_consumer_timeout = "1h""#)
        .with(r#"listener.ws.tcp_user_timeout = "never""#);
    let proxy = Proxy::start(&settings);
    let mut client = open(&proxy, &authority, "chat.test");
    let (conn, before) = (upstream.conn(0), proxy.resident_kib());
    let sender = std::thread::spawn(move || {
        for number in 0..COUNT {
            conn.send(binary(vec![number as u8; 60_000]));
        }
    });
    wait_for("a still proxy", PATIENCE, || proxy.is_quiet());
    assert!(!sender.is_finished(), "the upstream is not read while the client does not read");
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    for number in 0..COUNT {
        assert_eq!(client.read().unwrap(), binary(vec![number as u8; 60_000]));
    }
    sender.join().unwrap();
}
