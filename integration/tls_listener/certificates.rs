//! Which certificate a client gets, and what is said about certificates at the start.

use super::*;

#[test]
fn a_client_gets_the_certificate_for_its_name() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let [first, wild, chat] = [&["first.test", "127.0.0.1"][..], &["*.a.test"], &["chat.a.test", "b.test"]]
        .map(|names| authority.issue(&Leaf::new(names)));
    let proxy = Proxy::start(&settings(&upstream, &[&first, &wild, &chat]))
        .expect("client refused")
        .expect("client closed before its request");
    for (name, expected) in [
        ("first.test", "first.test 127.0.0.1"),
        ("x.a.test", "*.a.test"),
        ("X.A.TEST", "*.a.test"),
        ("chat.a.test", "chat.a.test b.test"),
        ("b.test", "chat.a.test b.test"),
        ("unknown.test", "first.test 127.0.0.1"),
        ("y.x.a.test", "first.test 127.0.0.1"),
        ("a.test", "first.test 127.0.0.1"),
        ("127.0.0.1", "first.test 127.0.0.1"),
    ] {
        assert_eq!(names(&proxy, name), expected, "{name}");
    }
    assert_eq!(names_by(&proxy, "b.test", unnamed(careless())), "first.test 127.0.0.1");
    // A client that checks the name refuses the first certificate, and says so.
    let error = secure(authority.client(None, ANY_TLS), proxy.addr(), "unknown.test").unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn a_client_is_served_without_alpn_and_with_http_1_1_among_others() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&issued]))
        .expect("client refused")
        .expect("client closed before its request");
    for (offered, agreed) in
        [(&[][..], None), (&["h2", "http/1.1"], Some(&b"http/1.1"[..])), (&["http/1.1"], Some(b"http/1.1"))]
    {
        let mut config = authority.client(None, ANY_TLS);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = secure(config, proxy.addr(), "chat.test").unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed);
        assert_eq!(ask(&mut shaken(stream).unwrap(), "hello"), "hello");
    }
    let mut config = authority.client(None, ANY_TLS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let error = secure(config, proxy.addr(), "chat.test").unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    proxy.wait_log("*TLS handshake failed*cause=\"no TLS version, cipher or protocol in common\"*");
}

#[test]
fn tls_1_2_can_be_refused() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let settings = settings(&upstream, &[&issued]).with(r#"listener.ws.tls.min_version = "1.3""#);
    let proxy = Proxy::start(&settings).expect("client refused").expect("client closed before its request");
    let error = secure(authority.client(None, &[&TLS12]), proxy.addr(), "chat.test").unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    assert_eq!(ask(&mut open(&proxy, &authority, "chat.test"), "hello"), "hello");
}

// === settings ===

/// Runs `towline check`. Returns its exit code and what it reports.
fn check(settings: &Settings) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("towline.toml");
    std::fs::write(&path, settings.text()).unwrap();
    let finished = Program::finish(&["check", "--config", path.to_str().unwrap()], &[], folder.path());
    (finished.code, finished.stderr)
}

#[test]
fn wrong_files_are_named_with_their_keys() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let [one, two] = ["one.test", "two.test"].map(|name| authority.issue(&Leaf::new(&[name])));
    let other_key = Issued { key: two.key.clone(), ..one.clone() };
    let no_key = Issued { key: one.cert.clone(), ..one.clone() };
    let missing = Issued { cert: "none.pem".into(), ..one.clone() };
    let folder = Issued { cert: std::env::temp_dir(), ..one.clone() };
    for (settings, expected) in [
        (
            settings(&upstream, &[&two, &other_key]),
            "certificates[2].key = *: has the key of another certificate",
        ),
        (settings(&upstream, &[&no_key]), "certificates[1].key = *: has no unencrypted private key"),
        (
            settings(&upstream, &[&missing]),
            "certificates[1].cert = \"none.pem\"*: cannot read *none.pem: No such file",
        ),
        (settings(&upstream, &[&folder]), "certificates[1].cert = *: cannot read *: not a regular file"),
        (
            settings(&upstream, &[&one]).with(&format!("listener.ws.tls.client_ca = {:?}", one.key)),
            "tls.client_ca = *: has no certificate",
        ),
    ] {
        let (code, text) = check(&settings);
        assert_eq!(code, Some(78), "{text}");
        assert!(text.lines().any(|line| matches(line, expected)), "{expected}\n{text}");
        assert!(text.contains("1 error in the settings"), "{text}");
    }
    let (code, text) = check(&settings(&upstream, &[&missing, &other_key]));
    assert!(code == Some(78) && text.contains("2 errors in the settings"), "{text}");
}

#[test]
fn certificates_that_expire_are_warned_about_at_the_start_and_in_check() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issue = |from, to| authority.issue(&Leaf::new(&["a.test"]).days(from, to));
    let [good, soon, expired, future] =
        [(-90, 15), (-90, 3), (-90, -1), (1, 90)].map(|(from, to)| issue(from, to));
    let client = authority.issue(&Leaf::client("towline", &[]).years(2001, 2002));
    let settings = settings(&upstream, &[&good, &soon, &expired, &future])
        .on_route("path = \"/ws\"")
        .with("upstream.other.url = \"wss://localhost\"")
        .with(&format!(
            "upstream.other.tls = {{ roots = \"web\", cert = {:?}, key = {:?} }}",
            client.cert, client.key
        ))
        .route(&["path = \"/other\"", "upstream = \"other\"", "origins = [\"*\"]"]);
    let expected = [
        "[listener.ws] tls.certificates[2].cert: the certificate expires in 3 days",
        "[listener.ws] tls.certificates[3].cert: the certificate has expired",
        "[listener.ws] tls.certificates[4].cert: the certificate is not valid yet",
        "[upstream.other] tls.cert: the certificate has expired",
    ];
    let (code, text) = check(&settings);
    assert_eq!(code, Some(0), "{text}");
    for warning in expected {
        assert!(text.contains(warning), "{warning}\n{text}");
    }
    assert_eq!(text.matches("the certificate").count(), expected.len(), "{text}");
    let proxy = Proxy::start(&settings).expect("the certificate");
    for warning in expected {
        proxy.wait_log(&format!("settings warning*{warning}"));
    }
}
