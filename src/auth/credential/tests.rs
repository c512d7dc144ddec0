//! Tests of credentials in requests.

use actix_http::header::HeaderMap;
use proptest::prelude::*;

use super::*;

/// A request with these headers, this target, and these subprotocols.
fn with<T>(
    lines: &[(&str, &[u8])],
    target: &str,
    offered: &[&str],
    use_it: impl FnOnce(&router::Request<'_>) -> T,
) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    let uri = target.parse().unwrap();
    let subprotocols: Vec<_> = offered.iter().map(|name| (*name).to_owned()).collect();
    let request = router::Request {
        listener: "ws",
        uri: &uri,
        headers: &headers,
        subprotocols: &subprotocols,
        peer: [127, 0, 0, 1].into(),
        tls_name: None,
        is_plain: false,
    };
    use_it(&request)
}

fn sources(from: &[&str]) -> Vec<Source> {
    from.iter().map(|text| Source::parse(text).unwrap()).collect()
}

type Found<'a> = Result<Option<&'a str>, CredentialError>;

/// A source, header lines, a target, subprotocols, and what is found.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a str, &'a [&'a str], Found<'a>);

/// What is found in a request with these header lines.
fn expect(from: &[&str], lines: &[(&str, &[u8])], target: &str, offered: &[&str], expected: Found<'_>) {
    let found = with(lines, target, offered, |request| find(&sources(from), request));
    let found = found.map(|found| found.map(|credential| credential.secret));
    let expected = expected.map(|text| text.map(Secret::from));
    assert!(found == expected, "{from:?} {lines:?} {target} {offered:?}");
}

#[test]
fn a_text_is_a_source_or_refused() {
    for (text, source) in [
        ("authorization", Source::Authorization),
        ("subprotocol:bearer.", Source::Subprotocol("bearer.".to_owned())),
        ("cookie:Session", Source::Cookie("Session".to_owned())),
        ("query:access token", Source::Query("access token".to_owned())),
        ("header:X-Api-Key", Source::Header("x-api-key".to_owned())),
    ] {
        assert_eq!(Source::parse(text), Ok(source));
    }
    for text in [
        "",
        "Authorization",
        "authorization:x",
        "header:",
        "header:a b",
        "header:Authorization",
        "cookie",
        "cookie:a=b",
        "query:",
        "subprotocol:",
        "subprotocol:a,",
        "path:1",
    ] {
        assert_eq!(Source::parse(text), Err(SourceError), "{text}");
    }
}

#[test]
fn a_bearer_token_is_found_in_the_authorization() {
    let cases: [(&[&[u8]], Found<'_>); 16] = [
        (&[], Ok(None)),
        (&[b"Bearer abc"], Ok(Some("abc"))),
        (&[b"bEARER \t abc "], Ok(Some("abc"))),
        (&[b"Bearer"], Ok(None)),
        (&[b"Bearer "], Ok(None)),
        (&[b"Bearerabc"], Ok(None)),
        (&[b"Bearer\tabc"], Ok(None)),
        (&[b"Basic abc"], Ok(None)),
        (&[b"abc"], Ok(None)),
        (&[b""], Ok(None)),
        (&[b"Bearer a b"], Err(CredentialError::NotVisible)),
        (&[b"Bearer a, Bearer b"], Err(CredentialError::NotVisible)),
        (&[b"Bearer \xff"], Err(CredentialError::NotVisible)),
        (&[b"Bearer a", b"Bearer a"], Err(CredentialError::Several)),
        (&[b"Basic a", b"Bearer a"], Err(CredentialError::Several)),
        (&["Bearer \u{e4}".as_bytes()], Err(CredentialError::NotVisible)),
    ];
    for (values, expected) in cases {
        let lines: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        expect(&["authorization"], &lines, "/", &[], expected);
    }
}

#[test]
fn a_credential_is_found_at_its_source_only() {
    let cookie: (&str, &[u8]) = ("cookie", b"a=1; session=abc; sessions=2");
    let cases: [Case<'_>; 26] = [
        ("cookie:session", &[cookie], "/", &[], Ok(Some("abc"))),
        ("cookie:Session", &[cookie], "/", &[], Ok(None)),
        ("cookie:sess", &[cookie], "/", &[], Ok(None)),
        ("cookie:session", &[("cookie", b"session=")], "/", &[], Ok(None)),
        ("cookie:a", &[cookie, ("cookie", b"a=1")], "/", &[], Err(CredentialError::Several)),
        ("cookie:a", &[("cookie", b"a=b c")], "/", &[], Err(CredentialError::NotVisible)),
        ("cookie:a", &[("cookie", b"a =b; a=c")], "/", &[], Err(CredentialError::Several)),
        ("cookie:a", &[("cookie", b"b=\"; a=c; d=e a=f\"")], "/", &[], Err(CredentialError::Several)),
        ("cookie:a", &[("cookie", b"b=c,a=d")], "/", &[], Err(CredentialError::Several)),
        ("cookie:a", &[("cookie", b"ba=c; a=d; a; x=a")], "/", &[], Ok(Some("d"))),
        ("query:token", &[], "/?token=a%2Bb&x", &[], Ok(Some("a+b"))),
        ("query:token", &[], "/?t%6fken=abc", &[], Ok(Some("abc"))),
        ("query:token", &[], "/?token", &[], Ok(None)),
        ("query:token", &[], "/?tokens=abc&Token=abc", &[], Ok(None)),
        ("query:token", &[], "/?token=a+b", &[], Err(CredentialError::NotVisible)),
        ("query:token", &[], "/?token=a&token=a", &[], Err(CredentialError::Several)),
        ("query:token", &[], "/?token=%ff", &[], Err(CredentialError::NotVisible)),
        ("query:token", &[], "/", &[], Ok(None)),
        ("header:x-key", &[("x-key", b"abc")], "/", &[], Ok(Some("abc"))),
        ("header:X-Key", &[("x-key", b"")], "/", &[], Ok(None)),
        ("header:x-key", &[("x-key", b"a"), ("x-key", b"b")], "/", &[], Err(CredentialError::Several)),
        ("subprotocol:bearer.", &[], "/", &["chat", "bearer.a.b.c"], Ok(Some("a.b.c"))),
        ("subprotocol:bearer.", &[], "/", &["Bearer.abc"], Ok(None)),
        ("subprotocol:bearer.", &[], "/", &["bearer.", "chat"], Ok(None)),
        ("subprotocol:bearer.", &[], "/", &["bearer.a", "bearer.b"], Err(CredentialError::Several)),
        ("subprotocol:bearer.", &[], "/", &[], Ok(None)),
    ];
    for (source, lines, target, offered, expected) in cases {
        expect(&[source], lines, target, offered, expected);
    }
}

#[test]
fn the_first_source_that_has_a_credential_counts() {
    let from = ["authorization", "query:t", "cookie:s"];
    expect(&from, &[("cookie", b"s=1")], "/?t=2", &[], Ok(Some("2")));
    expect(&from, &[("authorization", b"Basic x"), ("cookie", b"s=1")], "/?t=", &[], Ok(Some("1")));
    // What is malformed is not skipped.
    expect(&from, &[("authorization", b"Bearer a b")], "/?t=2", &[], Err(CredentialError::NotVisible));
}

#[test]
fn a_second_value_at_another_source_is_refused() {
    let from = sources(&[
        "subprotocol:bearer.",
        "authorization",
        "cookie:s",
        "query:t",
        "header:x-key",
        "subprotocol:bearer.x.",
    ]);
    let auth = |value: &'static [u8]| ("authorization", value);
    let cookie = |value: &'static [u8]| ("cookie", value);
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a str, &'a [&'a str], bool);
    let cases: [Case<'_>; 18] = [
        (&[], "/", &["chat"], true),
        (&[auth(b"Bearer a")], "/", &["chat"], true),
        (&[auth(b"Basic a")], "/", &[], true),
        (&[], "/", &["bearer.a", "chat"], true),
        // One subprotocol for two sources.
        (&[], "/", &["bearer.x.a"], true),
        (&[cookie(b"a=1; s=2; b=3")], "/?a=1&b=2", &[], true),
        (&[auth(b"Bearer a"), cookie(b"a=1; s=; b=3")], "/?t=&a=1", &["bearer."], true),
        (&[auth(b"Bearer "), cookie(b"s=1")], "/", &[], true),
        (&[auth(b""), ("x-key", b"1")], "/", &[], true),
        (&[auth(b"Bearer a")], "/", &["bearer.b"], false),
        (&[auth(b"Basic a")], "/", &["bearer.b"], false),
        (&[auth(b"Bearer\ta")], "/", &["bearer.b"], false),
        (&[auth(b"a")], "/?t=b", &[], false),
        (&[auth(b"Bearer a"), cookie(b"s=a")], "/", &[], false),
        (&[auth(b"Bearer a"), ("x-key", b"a")], "/", &[], false),
        (&[cookie(b"s=a")], "/?t=a", &[], false),
        (&[], "/", &["bearer.a", "bearer.x.b"], false),
        (&[("x-key", b"a"), auth(b"Basic a"), auth(b"Bearer a")], "/", &[], false),
    ];
    for (lines, target, offered, is_accepted) in cases {
        let checked = with(lines, target, offered, |request| only_one(&from, request));
        let expected = if is_accepted { Ok(()) } else { Err(CredentialError::Several) };
        assert_eq!(checked, expected, "{lines:?} {target} {offered:?}");
    }
    // What is no source of the route does not count.
    let own = sources(&["subprotocol:bearer."]);
    assert_eq!(with(&[auth(b"Bearer a")], "/?t=b", &["bearer.b"], |request| only_one(&own, request)), Ok(()));
}

#[test]
fn a_credential_has_a_maximum_length() {
    let value = |length| format!("Bearer {}", "x".repeat(length));
    let found = |length: usize| {
        let value = value(length);
        with(&[("authorization", value.as_bytes())], "/", &[], |request| {
            find(&[Source::Authorization], request)
        })
    };
    assert!(matches!(found(CREDENTIAL_MAX), Ok(Some(_))));
    assert_eq!(found(CREDENTIAL_MAX + 1), Err(CredentialError::TooLong));
}

#[test]
fn credentials_are_removed_from_query_and_subprotocols() {
    let from = sources(&["query:token", "query:a b", "subprotocol:bearer.", "cookie:s"]);
    for (target, uri, shown) in [
        ("/", "/", None),
        ("/?", "/?", Some("")),
        ("/x?token=1", "/x", Some("token=***")),
        ("/x?a=%20&token=1&b", "/x?a=%20&b", Some("a=%20&token=***&b")),
        ("/x?t%6Fken=1&token&token=2", "/x", Some("token=***&token=***&token=***")),
        ("/x?a+b=1&c=token", "/x?c=token", Some("a+b=***&c=token")),
        ("/x?&&token=1&", "/x?&&", Some("&&token=***&")),
    ] {
        let offered = ["chat", "bearer.abc", "bearer", "bearer."];
        let hidden = with(&[], target, &offered, |request| Hidden::new(&from, request));
        assert_eq!(
            (hidden.uri.to_string().as_str(), hidden.shown_query.as_deref()),
            (uri, shown),
            "{target}"
        );
        assert_eq!(hidden.subprotocols, ["chat", "bearer"]);
        assert_eq!(
            hidden.headers,
            [(header::SEC_WEBSOCKET_PROTOCOL, vec![HeaderValue::from_static("chat, bearer")])]
        );
    }
    let hidden = with(&[], "/", &["bearer.x"], |request| Hidden::new(&from, request));
    assert_eq!(hidden.headers, [(header::SEC_WEBSOCKET_PROTOCOL, vec![])]);
}

/// A page whose own URL has the credential sends it with each request of that page.
#[test]
fn a_credential_in_the_query_is_removed_from_referer_and_other_urls() {
    let from = sources(&["query:token", "query:a b"]);
    for (value, left) in [
        ("https://x.test/", Some("https://x.test/")),
        ("https://x.test/?", Some("https://x.test/?")),
        ("https://x.test/p?token=1", Some("https://x.test/p")),
        ("https://x.test/p?x=1&t%6fken=2&a+b=3&y#token=4", Some("https://x.test/p?x=1&y#token=4")),
        ("/p?token=1", Some("/p")),
        ("?token", Some("")),
        ("https://x.test/\u{e4}?token=1", None),
    ] {
        for name in URLS {
            let name = HeaderName::from_static(name);
            let hidden =
                with(&[(name.as_str(), value.as_bytes())], "/", &[], |request| Hidden::new(&from, request));
            match left {
                Some(left) if left == value => assert_eq!(hidden.headers, []),
                left => {
                    let left = left.into_iter().map(HeaderValue::from_static).collect();
                    assert_eq!(hidden.headers, [(name, left)], "{value}");
                }
            }
        }
    }
    let others = sources(&["authorization", "cookie:token"]);
    let referer = [("referer", &b"/?token=1"[..])];
    assert_eq!(with(&referer, "/", &[], |request| Hidden::new(&others, request)).headers, []);
}

/// Sources of a method that has read some of them, header lines, and whether nothing else has a value.
type Besides<'a> = (&'a [Source], &'a [(&'a str, &'a [u8])], bool);

#[test]
fn a_value_that_the_accepting_method_has_not_read_is_refused() {
    let inspected = |name: &'static str| Source::inspected(&HeaderName::from_static(name)).unwrap();
    let mut all =
        sources(&["authorization", "cookie:s", "header:x-key", "query:token", "subprotocol:bearer."]);
    all.extend([inspected("cookie"), inspected("x-api-key")]);
    assert_eq!(inspected("authorization"), Source::Authorization);
    for name in ["user-agent", "referer", "origin"] {
        assert_eq!(Source::inspected(&HeaderName::from_static(name)), None, "all browsers send it");
    }
    let service = [inspected("cookie"), inspected("x-api-key")];
    let (bearer, cookies, key) =
        (("authorization", &b"Basic x"[..]), ("cookie", &b"s=1; t=2"[..]), ("x-api-key", &b"k"[..]));
    let cases: [Besides<'_>; 12] = [
        (&[], &[], true),
        (&[], &[("authorization", b"Bearer")], true),
        (&[], &[("cookie", b"")], true),
        (&[], &[bearer], false),
        (&[], &[cookies], false),
        (&[], &[("cookie", b"t=2")], false),
        (&[], &[("cookie", b"t")], false),
        (&[], &[key], false),
        (&[Source::Authorization], &[bearer], true),
        (&[Source::Cookie("s".to_owned())], &[("cookie", b"s=1")], true),
        (&[Source::Cookie("s".to_owned())], &[cookies], false),
        (&service, &[cookies, key], true),
    ];
    for (read, lines, expected) in cases {
        let checked = with(lines, "/", &[], |request| none_besides(&all, read, request));
        assert_eq!(checked.is_ok(), expected, "{read:?} {lines:?}");
    }
    for (target, offered) in [("/?token=1", &[][..]), ("/", &["chat", "bearer.x"])] {
        assert!(with(&[], target, offered, |request| none_besides(&all, &service, request)).is_err());
        assert!(with(&[], target, offered, |request| none_besides(&all, &all[3..5], request)).is_ok());
    }
}

#[test]
fn a_renewed_credential_takes_the_place_of_the_first_one() {
    for (source, name, before, secret, after) in [
        ("authorization", "authorization", "bearer old", "new", "Bearer new"),
        ("header:x-key", "x-key", "old", "new", "new"),
        ("cookie:s", "cookie", "a=1; s=old; ss=2", "new", "a=1; s=new; ss=2"),
        ("cookie:s", "cookie", "a=1; s=old", "n;ew", "a=1"),
        ("query:s", "cookie", "s=old", "new", "s=old"),
    ] {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), HeaderValue::from_static(before));
        Source::parse(source).unwrap().replace(&mut headers, &Secret::from(secret));
        assert_eq!(headers.get_all(name).collect::<Vec<_>>(), [after], "{source}");
    }
}

#[test]
fn programs_see_headers_without_credentials() {
    let from = sources(&["authorization", "cookie:s", "header:x-key"]);
    for (name, value, shown) in [
        ("authorization", "Basic abc", "***"),
        ("x-key", "abc", "***"),
        ("x-keys", "abc", "abc"),
        ("cookie", "a=1; s=2;s=3; ss=4", "a=1; s=***;s=***; ss=4"),
        ("cookie", "s", "s"),
        ("cookies", "s=1", "s=1"),
    ] {
        assert_eq!(Hidden::shown(&from, &HeaderName::try_from(name).unwrap(), value), shown);
    }
    assert_eq!(Hidden::shown(&[], &header::AUTHORIZATION, "abc"), "abc");
    let names = ["cookie", "x-api-key", "user-agent"].map(HeaderName::from_static);
    let inspected: Vec<_> = names.iter().filter_map(Source::inspected).collect();
    let shown = names.map(|name| Hidden::shown(&inspected, &name, "a=1; b"));
    assert_eq!(shown, ["a=***;***", "***", "a=1; b"], "what a service gets");
}

proptest! {
    /// Nothing that a client sends makes the extraction panic, a credential is what was sent, and no trace of one in
    /// the query is left.
    #[test]
    fn a_credential_in_a_query_is_found_and_removed(
        before in r"([a-z%=&+;]|%7[0-9a-f]|token=?){0,10}", secret in "[!-~]{1,40}", after in r"([a-z%=&+;]|%[0-9a-f]{2}){0,10}",
    ) {
        let pair: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("token", &secret).finish();
        let target = format!("/?{before}&{pair}&{after}");
        let Ok(uri) = Uri::try_from(target.as_str()) else { return Ok(()) };
        let from = [Source::Query("token".to_owned())];
        with(&[], &target, &[], |request| {
            match find(&from, request) {
                Ok(found) => prop_assert_eq!(found.map(|found| found.secret), Some(Secret::from(secret.as_str()))),
                // Another one is there too.
                Err(error) => prop_assert!(
                    error == CredentialError::Several || parameters(uri.query().unwrap(), "token").count() > 1
                ),
            }
            let hidden = Hidden::new(&from, request);
            let left = hidden.uri.query().unwrap_or_default();
            prop_assert_eq!(parameters(left, "token").count(), 0);
            let shown = hidden.shown_query.unwrap();
            prop_assert!(parameters(&shown, "token").all(|value| value == MASK));
            prop_assert!(secret.len() < 12 || !shown.contains(&pair));
            // All other parameters are there, in their order.
            let all: Vec<_> = form_urlencoded::parse(uri.query().unwrap().as_bytes()).collect();
            let others: Vec<_> = all.into_iter().filter(|(name, _)| name != "token").collect();
            let kept: Vec<_> = form_urlencoded::parse(left.as_bytes()).collect();
            prop_assert_eq!(kept, others);
            Ok(())
        })?;
    }

    /// Any bytes in any source are a credential, none, or an error.
    #[test]
    fn no_request_makes_the_extraction_panic(
        value in proptest::collection::vec(prop_oneof![Just(9_u8), 32..127_u8, 128..=255_u8], 0..60),
        offered in proptest::collection::vec("[a-z.]{1,12}", 0..5),
    ) {
        let names = ["authorization", "cookie", "x-key"];
        let lines: Vec<_> = names.iter().map(|name| (*name, &value[..])).collect();
        let offered: Vec<_> = offered.iter().map(String::as_str).collect();
        let from = sources(&["authorization", "cookie:a", "header:x-key", "subprotocol:a"]);
        with(&lines, "/", &offered, |request| {
            for source in &from {
                if let Ok(Some(found)) = source.find(request) {
                    let text = found.expose();
                    prop_assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
            let hidden = Hidden::new(&from, request);
            prop_assert!(hidden.subprotocols.iter().all(|name| !name.starts_with('a')));
            Ok(())
        })?;
    }

    /// A credential in a cookie is masked wherever it stands.
    #[test]
    fn a_credential_in_a_cookie_is_masked(
        before in "[ -~]{0,20}", secret in "[A-Z]{12}", after in "[ -~]{0,20}",
    ) {
        let line = format!("{before}; session={secret}; {after}");
        let shown = Hidden::shown(&sources(&["cookie:session"]), &header::COOKIE, &line);
        prop_assert!(!shown.contains(&secret));
        prop_assert!(shown.contains("session=***"));
    }
}
