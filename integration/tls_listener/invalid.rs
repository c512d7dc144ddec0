//! Connections that are no valid TLS connections, or none at all.

use super::*;

fn fixture(change: impl FnOnce(Settings) -> Settings) -> (Proxy, Authority, TestUpstream) {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&change(settings(&upstream, &[&issued])))
        .expect("client refused")
        .expect("client closed before its request");
    (proxy, authority, upstream)
}

/// The bytes of the first message of a client, in one record.
fn client_hello(authority: &Authority) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("chat.test").unwrap();
    let config = std::sync::Arc::new(authority.client(None, ANY_TLS));
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn plain_http_gets_400_with_the_reason() {
    let (proxy, _, upstream) = fixture(|settings| settings);
    for text in
        [request("/", &[]), "GET / HTTP/1.1\r\n".to_owned(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()]
    {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(text.as_bytes());
        let head = raw.head();
        let body = raw.body(&head);
        assert_eq!(head.status(), 400);
        assert_eq!(body, "plain HTTP on an address for TLS; connect with wss:// or https://\n");
        assert_eq!(raw.read_to_end(), "");
    }
    proxy.wait_log("client refused*status=400*reason=\"plain HTTP on an address for TLS\"*");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn tls_on_a_plain_listener_is_refused() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()))
        .expect("client refused")
        .expect("client closed before its request");
    let error = secure(careless(), proxy.addr(), "chat.test").unwrap_err();
    assert!(error.to_string().contains("corrupt message"), "{error}");
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// Garbage, and a handshake that breaks the protocol later, end with an alert (RFC 8446 section 6.2) and an orderly end.
#[test]
fn garbage_ends_with_an_alert() {
    let (proxy, authority, _upstream) = fixture(|settings| settings);
    let hello = client_hello(&authority);
    let mut large = vec![0x16, 3, 1, 0x7f, 0xff];
    large.extend([0; 0x7fff]);
    let mut broken = hello.clone();
    // The length of the session id, after the record's header, the message's, the version and the random bytes.
    broken[5 + 4 + 2 + 32] = 0xff;
    for (what, bytes) in [
        ("zeros", vec![0; 100]),
        ("binary", (128..=255).collect::<Vec<u8>>()),
        ("a record that is too large", large),
        ("a record of another kind first", vec![0x17, 3, 3, 0, 1, 0]),
        ("a hello with a wrong length", broken),
        ("data after the hello", [&hello[..], &[0x17, 3, 3, 0, 1, 0]].concat()),
        ("two hellos", [&hello[..], &hello[..]].concat()),
    ] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&bytes);
        raw.finish();
        let (answer, was_reset) = raw.rest();
        assert!(!was_reset, "{what}");
        let is_alert = |record: &[u8]| record.len() >= 7 && record[0] == 0x15;
        // A server may have answered the first hello before the rest arrived; its alert is encrypted then.
        let is_answered = answer.first() == Some(&0x16);
        assert!(is_alert(&answer) || is_answered, "{what}: {answer:?}");
    }
    proxy.wait_log("client closed before its request*reason=\"TLS handshake failed\"*");
    assert_eq!(ask(&mut open(&proxy, &authority, "chat.test"), "hello"), "hello");
}

/// A client that sends nothing, a part of its handshake, or everything but its request, ends at the deadline.
#[test]
fn truncated_handshakes_end_within_the_deadline() {
    let (proxy, authority, _upstream) =
        fixture(|settings| settings.with(r#"listener.ws.handshake_timeout = "1s""#));
    let before = proxy.descriptors_at_rest();
    let hello = client_hello(&authority);
    let opened = [0, 1, 5, 50, hello.len() - 1, hello.len()].map(|length| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&hello[..length]);
        (length, raw)
    });
    for (length, mut raw) in opened {
        // The server may answer a whole hello, and then waits for the client.
        let (answer, _) = raw.rest();
        assert_eq!(answer.is_empty(), length < hello.len(), "{length} bytes");
    }
    proxy.wait_log("client closed before its request*reason=\"TLS handshake timeout\"*");
    // With the handshake of TLS complete, the missing request is answered like one without TLS.
    let mut stream = secure(authority.client(None, ANY_TLS), proxy.addr(), "chat.test").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    wait_for("no connection is left", PATIENCE, || proxy.descriptors() <= before);
}

#[test]
fn clients_that_disconnect_in_their_handshake_are_not_refused_in_the_log() {
    let (proxy, authority, _upstream) = fixture(|settings| settings.with(r#"log.level = "debug""#));
    let hello = client_hello(&authority);
    let before = proxy.descriptors_at_rest();
    for length in [0, 1, 50, hello.len()] {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&hello[..length]);
        raw.reset();
    }
    proxy.wait_log("client gone in the TLS handshake*");
    wait_for("no connection is left", PATIENCE, || proxy.descriptors() <= before);
    assert_eq!(proxy.count_log("client closed before its request*"), 0);
}

/// A connection without a free slot is closed before its handshake costs anything.
#[test]
fn without_a_slot_for_handshakes_a_connection_is_closed() {
    let (proxy, authority, _upstream) = fixture(|settings| {
        settings.with("server.max_handshakes = 1").with(r#"listener.ws.handshake_timeout = "1h""#)
    });
    let half = client_hello(&authority)[..20].to_vec();
    let connections = [0, 1, 2].map(|_| {
        let mut raw = Raw::connect(proxy.addr());
        raw.write(&half);
        raw.stream().set_nonblocking(true).unwrap();
        raw
    });
    // Whichever comes first has the slot.
    let is_closed = |raw: &Raw| match raw.stream().peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    wait_for("two refusals", PATIENCE, || connections.iter().filter(|raw| is_closed(raw)).count() == 2);
    proxy.wait_log("client closed before its request*reason=\"too many handshakes\"*");
    drop(connections);
    wait_for("a free slot", PATIENCE, || {
        let stream = secure(authority.client(None, ANY_TLS), proxy.addr(), "chat.test");
        stream.is_ok_and(|stream| shaken(stream).is_ok_and(|mut session| ask(&mut session, "a") == "a"))
    });
}

/// A connection that is cut, without close_notify and without a close frame, is a lost one: its message fails.
#[test]
fn a_cut_connection_is_no_clean_end() {
    let upstream = TestUpstream::silent();
    let authority = Authority::new();
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&issued]));
    let mut client = open(&proxy, &authority, "chat.test");
    client.send(Message::text("a")).unwrap();
    upstream.conn(0).wait_messages(1);
    client.get_ref().sock.shutdown(std::net::Shutdown::Both).unwrap();
    proxy.wait_log("session closed session=1:0 code=1006 side=downstream*");
    let account = proxy.account("1:0");
    assert!(account.is_balanced(), "{account:?}");
}

/// A byte that is changed on the way ends the session, and nothing of the record is taken for a message.
#[test]
fn a_changed_record_ends_the_session() {
    let upstream = TestUpstream::echo();
    let authority = Authority::new();
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&issued])).expect("");
    let mut client = open(&proxy, &authority, "chat.test");
    assert_eq!(ask(&mut client, "a"), "a");
    client.get_mut().sock.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    client.get_mut().sock.write_all(&[7; 32]).unwrap();
    let error = client.read().unwrap_err().to_string();
    assert!(error.contains("BadRecordMac"), "{error}");
    proxy.wait_log("session closed session=1:0*");
    assert_eq!(upstream.conn(0).messages().len(), 1);
}
