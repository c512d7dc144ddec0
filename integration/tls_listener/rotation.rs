//! Certificates that are replaced while sessions run.

use super::*;

/// Replaces the files of a certificate, as a program does that writes a new file and renames it.
fn replace(files: &Issued, by: &Issued) {
    for (file, new) in [(&files.cert, &by.cert), (&files.key, &by.key)] {
        let temporary = file.with_extension("new");
        std::fs::copy(new, &temporary).unwrap();
        std::fs::rename(&temporary, file).unwrap();
    }
}

/// 500 sessions with traffic keep their connections through two rotations, and new handshakes get the new certificate.
#[test]
fn open_sessions_keep_their_connections_and_new_ones_get_the_new_certificate() {
    const SESSIONS: usize = 500;
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let files = authority.issue(&Leaf::new(&["chat.test", "old.test"]));
    // The files may be read when only one of them is new.
    let proxy = Proxy::start(&settings(&upstream, &[&files])).expect("certificate files refused");
    let config = authority.client(None, ANY_TLS);
    let mut clients: Vec<_> = (0..SESSIONS)
        .map(|_| shaken(secure(config.clone(), proxy.addr(), "chat.test").unwrap()).unwrap())
        .collect();
    let mut sent = 0;
    let mut traffic = |clients: &mut Vec<Session>| {
        for client in clients.iter_mut() {
            let text = format!("message {sent}");
            client.send(Message::text(&text)).unwrap();
            sent += 1;
        }
        for (client, number) in clients.iter_mut().zip(sent - SESSIONS..) {
            assert_eq!(client.read().unwrap(), Message::text(format!("message {number}")));
        }
    };
    traffic(&mut clients);
    for name in ["new.test", "newer.test"] {
        replace(&files, &authority.issue(&Leaf::new(&["chat.test", name])));
        let expected = format!("chat.test {name}");
        wait_for("the new certificate", PATIENCE, || {
            traffic(&mut clients);
            names(&proxy, "chat.test") == expected
        });
        // A ticket of the old certificate resumes nothing.
        let stream = secure(config.clone(), proxy.addr(), "chat.test").unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
        traffic(&mut clients);
    }
    proxy.wait_log("certificates changed*listener=ws");
    assert_eq!(upstream.connections(), SESSIONS, "no session was connected again");
    assert_eq!(proxy.count_log("session closed*"), 0);
    assert_eq!(upstream.received(), sent);
    println!("{SESSIONS} sessions, {sent} messages, 2 rotations: none closed");
}

#[test]
fn a_wrong_file_changes_nothing_and_is_reported_once() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let files = authority.issue(&Leaf::new(&["one.test"]));
    let kept = std::fs::read(&files.key).unwrap();
    let proxy = Proxy::start(&settings(&upstream, &[&files])).expect("certificate files refused");
    assert_eq!(names(&proxy, "x.test"), "one.test");

    std::fs::write(&files.key, "no key").unwrap();
    let refused =
        "certificate files refused listener=ws reason=\"tls.certificates[1].key has no unencrypted *";
    proxy.wait_log(refused);
    assert_eq!(names(&proxy, "x.test"), "one.test");
    std::fs::write(&files.key, "no key either").unwrap();
    std::fs::write(&files.key, &kept).unwrap();
    proxy.wait_log("certificate files are good again listener=ws");
    assert_eq!(proxy.count_log(refused), 1);

    // A key without its certificate is refused until the certificate is there too.
    let next = authority.issue(&Leaf::new(&["two.test"]));
    std::fs::copy(&next.key, &files.key).unwrap();
    proxy.wait_log("certificate files refused*tls.certificates[1].key has the key of another certificate*");
    std::fs::copy(&next.cert, &files.cert).unwrap();
    wait_for("the new certificate", PATIENCE, || names(&proxy, "x.test") == "two.test");
    proxy.wait_log("certificates changed, the files are good again listener=ws");

    std::fs::remove_file(&files.cert).unwrap();
    proxy
        .wait_log("certificate files refused*tls.certificates[1].cert cannot read *.cert.pem: No such file*");
    assert_eq!(names(&proxy, "x.test"), "two.test");
    let key = std::str::from_utf8(&kept).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!proxy.log().join("\n").contains(&key), "no part of a key is logged");
}

#[test]
fn the_roots_of_clients_are_read_again() {
    let (upstream, servers) = (TestUpstream::echo(), Authority::new());
    let (before, after) = (Authority::new(), Authority::new());
    let issued = servers.issue(&Leaf::new(&["chat.test"]));
    let settings =
        settings(&upstream, &[&issued]).with(&format!("listener.ws.tls.client_ca = {:?}", before.file()));
    let proxy = Proxy::start(&settings).expect("client refused").expect("client closed before its request");
    // The file may be read while it is written.
    let proxy = proxy.expect("certificate files refused");
    let (old, new) = (before.issue(&Leaf::client("old", &[])), after.issue(&Leaf::client("new", &[])));
    let connects = |identity: &Issued| {
        let config = servers.client(Some(identity), ANY_TLS);
        secure(config, proxy.addr(), "chat.test").is_ok_and(|stream| shaken(stream).is_ok())
    };
    assert!(connects(&old) && !connects(&new));
    std::fs::copy(after.file(), before.file()).unwrap();
    wait_for("the new roots", PATIENCE, || connects(&new));
    assert!(!connects(&old));
}

#[test]
fn a_certificate_that_expires_is_reported_when_it_is_read() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let files = authority.issue(&Leaf::new(&["one.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&files])).expect("certificate warning");
    let proxy = proxy.expect("certificate files refused");
    replace(&files, &authority.issue(&Leaf::new(&["two.test"]).years(2001, 2002)));
    proxy.wait_log(
        "certificate warning listener=ws key=tls.certificates[1].cert reason=\"the certificate has expired\"",
    );
    assert_eq!(names(&proxy, "x.test"), "two.test");
}

/// The roots of upstreams and the certificate of the proxy are read again too.
#[test]
fn the_certificates_of_an_upstream_are_read_again() {
    let (upstream, before, after) = (TestUpstream::echo(), Authority::new(), Authority::new());
    let [leaf, own] = [Leaf::new(&["localhost"]), Leaf::client("towline", &[])];
    let old = Door::accepting(before.issue(&leaf).server(), upstream.addr());
    let new = Door::accepting(after.requiring(&after.issue(&leaf)), upstream.addr());
    let own = before.issue(&own);
    let settings = Settings::request(&old.url("localhost"))
        .with(&format!("upstream.echo.allow_urls = [\"{}/*\"]", new.url("localhost")))
        .with(&format!("upstream.echo.tls.ca = {:?}", before.file()))
        .with(&format!("upstream.echo.tls.cert = {:?}", own.cert))
        .with(&format!("upstream.echo.tls.key = {:?}", own.key))
        .incoming(&format!(
            "define script url script match event of case \"new\" => let $url = \"{}/a\" default => null end; event end; \
             create script url; select event from in into url; select event from url into out;",
            new.url("localhost")
        ));
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector lost");
    let proxy = proxy.expect("certificate files refused");
    let mut client = proxy.client();
    assert_eq!(client.ask("old"), "old");
    client.text("new");
    let (error, _) = client.recv_error();
    assert!(error.contains("unknown issuer"), "{error}");

    let roots = [after.file(), before.file()].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(before.file(), roots.concat()).unwrap();
    replace(&own, &after.issue(&Leaf::client("towline", &[])));
    proxy.wait_log("certificates changed*upstream=echo");
    wait_for("the new certificates", PATIENCE, || proxy.client().ask("new") == "new");
    assert_eq!(client.ask("still old"), "still old", "the open connection keeps its certificates");
}
