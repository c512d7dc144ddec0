use proptest::prelude::*;

use super::*;
use crate::settings::{AllowedUrl, Upstream, fixture};

fn upstream(allow: &[&str]) -> Upstream {
    let mut upstream = fixture::upstream();
    upstream.allow_urls = allow.iter().map(|text| AllowedUrl::parse(text).unwrap()).collect();
    upstream
}

#[test]
fn a_url_stays_as_written_where_that_is_safe() {
    let table = [
        ("ws://localhost:8139", "ws://localhost:8139"),
        ("ws://127.0.0.1:8139/a?b=c", "ws://127.0.0.1:8139/a?b=c"),
        ("ws://EXAMPLE.com:80", "ws://example.com/"),
        ("WS://h/a/../b", "ws://h/b"),
        ("ws://[::1]:9/", "ws://[::1]:9/"),
        ("ws://bücher.example/", "ws://xn--bcher-kva.example/"),
        ("ws://u:p@h/", "ws://u:p@h/"),
        ("wss://h", "wss://h"),
        ("WSS://H:443/a", "wss://h/a"),
    ];
    for (written, text) in table {
        assert_eq!(&*UpstreamUrl::parse(written).unwrap().text, text, "{written}");
    }
}

#[test]
fn a_url_has_the_parts_that_were_written() {
    let parts = |origin, path, query| UrlParts { origin, path, query };
    for (written, expected) in [
        ("ws://h:1", parts("ws://h:1", None, None)),
        ("ws://H:80", parts("ws://h", None, None)),
        ("ws://h/", parts("ws://h", Some("/"), None)),
        ("ws://h?a/b?", parts("ws://h", None, Some("a/b?"))),
        ("ws://u:p@h/a/b?c", parts("ws://u:p@h", Some("/a/b"), Some("c"))),
        ("ws://[::1]:9/a?", parts("ws://[::1]:9", Some("/a"), Some(""))),
    ] {
        assert_eq!(UpstreamUrl::parse(written).unwrap().parts(), expected, "{written}");
    }
}

#[test]
fn a_secure_url_has_its_own_port_and_a_request_without_tls() {
    let url = |text| UpstreamUrl::parse(text).unwrap();
    for (text, port, request) in [
        ("wss://h", 443, "ws://h"),
        ("wss://h:80/a", 80, "ws://h:80/a"),
        ("wss://h:8443/a?b", 8443, "ws://h:8443/a?b"),
    ] {
        assert_eq!(url(text).place(), Some(&Place::Host("h".to_owned(), port)), "{text}");
        assert_eq!((&*url(text).request(), url(text).is_secure()), (request, true), "{text}");
    }
    assert_eq!(url("ws://h").place(), Some(&Place::Host("h".to_owned(), 80)));
    assert!(!url("ws://wss").is_secure() && !url("unix:/a").is_secure());
    assert_eq!(url("wss://[::1]:1").host().as_deref(), Some("::1"));
    let address = IpAddr::from([10, 0, 0, 1]);
    let one = url("wss://h").with_address(address);
    assert_eq!(one.place(), Some(&Place::Address(SocketAddr::new(address, 443))));
    assert_eq!((one.address(), one.without_address()), (Some(address), url("wss://h")));
    assert_eq!(url("wss://h").origin().map(|origin| origin.port), Some(None));
}

#[test]
fn invalid_urls_are_refused() {
    let table = [
        ("", "not a URL: relative URL without a base"),
        ("127.0.0.1:8139", "not a URL: relative URL without a base"),
        ("localhost:8139", "the scheme is not ws or wss"),
        ("ws+unix:/run/chat.sock", "a unix socket is written as unix:/path/of/socket or"),
        ("ws+unix:///run/chat.sock:/ws", "a unix socket is written as unix:/path/of/socket or"),
        ("ws://", "not a URL: empty host"),
        ("ws:host", "not a URL: empty host"),
        ("ws:///host", "not a URL: empty host"),
        ("ws://h:99999", "not a URL: invalid port number"),
        ("ws://h:0", "port 0"),
        ("wss:h", "not a URL: empty host"),
        ("https://h", "the scheme is not ws or wss"),
        ("http://h", "the scheme is not ws or wss"),
        ("ws://h/#a", "fragment"),
        ("ws://h/a b", "spaces"),
        ("ws://h\t/", "spaces"),
        ("ws:\\\\h", "backslash"),
        ("ws://a%3Ab:secret@h", "the user has no colon"),
        ("ws://a:%0d%0ax@h", "without control characters"),
        ("ws://a:%ff@h", "percent-encoded UTF-8"),
    ];
    for (text, expected) in table {
        let error = UpstreamUrl::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_allowed_url_names_its_host() {
    assert_eq!(AllowedUrl::parse("ws://H:80/a"), Ok(AllowedUrl::Exact("ws://h/a".to_owned())));
    assert_eq!(AllowedUrl::parse("ws://h:1/*"), Ok(AllowedUrl::Prefix("ws://h:1/".to_owned())));
    let table = [
        ("*", UrlError::OpenPrefix),
        ("ws://*", UrlError::OpenPrefix),
        ("ws://h*", UrlError::OpenPrefix),
        ("ws://h:80*", UrlError::OpenPrefix),
        ("wss://h*", UrlError::OpenPrefix),
        ("https://h/*", UrlError::Scheme),
        ("ws://*/a", UrlError::Star),
        ("ws://h/*/a", UrlError::Star),
        ("ws://h/a**", UrlError::Star),
        ("ws://u%3Av@h/", UrlError::BadUserinfo(BadUserinfo)),
        ("ws://u@h*", UrlError::OpenPrefix),
        ("ws://h/../*", UrlError::DotSegment),
    ];
    for (text, error) in table {
        let refused = AllowedUrl::parse(text).unwrap_err();
        let same_kind = std::mem::discriminant(&refused) == std::mem::discriminant(&error);
        assert!(same_kind, "{text}: {refused:?}");
    }
}

#[test]
fn a_pipeline_chooses_among_the_allowed_urls() {
    let upstream = upstream(&["ws://good.example/app/*", "ws://other.example:81/x"]);
    for (text, dialled) in [
        ("ws://good.example/app/a?b", "ws://good.example/app/a?b"),
        ("ws://GOOD.example:80/app/a", "ws://good.example/app/a"),
        ("ws://other.example:81/x", "ws://other.example:81/x"),
        ("ws://127.0.0.1:8139", "ws://127.0.0.1:8139"),
        ("ws://127.1:8139/", "ws://127.0.0.1:8139/"),
    ] {
        assert_eq!(upstream.allows(text).map(|url| url.text.clone()).as_deref(), Ok(dialled), "{text}");
    }
}

#[test]
fn user_and_password_are_those_of_the_entry_that_admits_a_url() {
    let mut upstream = upstream(&["ws://me:s%C3%A9cret@good.example/app/*", "ws://you@good.example/x"]);
    upstream.url = UpstreamUrl::parse("ws://own:pw@127.0.0.1:8139").unwrap();
    for (text, dialled, shown) in [
        ("ws://good.example/app/a", "ws://me:s%C3%A9cret@good.example/app/a", "ws://***@good.example/app/a"),
        ("ws://good.example/x", "ws://you@good.example/x", "ws://***@good.example/x"),
        ("ws://127.0.0.1:8139", "ws://own:pw@127.0.0.1:8139", "ws://***@127.0.0.1:8139"),
        ("ws://127.0.0.1:8139/", "ws://own:pw@127.0.0.1:8139/", "ws://***@127.0.0.1:8139/"),
    ] {
        let url = upstream.allows(text).unwrap();
        assert_eq!((&*url.text, &*url.shown), (dialled, shown), "{text}");
    }
    for text in ["ws://me:s%C3%A9cret@good.example/app/a", "ws://you@good.example/x"] {
        assert_eq!(upstream.allows(text), Err(UrlError::Userinfo), "a program has no credentials: {text}");
    }
}

#[test]
fn lookalikes_of_an_allowed_url_are_refused() {
    let upstream = upstream(&["ws://good.example/app/*"]);
    let other = UrlError::NotAllowed("echo".to_owned());
    let table = [
        ("ws://good.example@evil/app/", UrlError::Userinfo),
        ("ws://good.example:80@evil/app/", UrlError::Userinfo),
        ("ws://@good.example/app/", UrlError::Userinfo),
        ("ws://good.example.evil/app/", other.clone()),
        ("ws://good.example:81/app/", other.clone()),
        ("ws://good.example/ap", other.clone()),
        ("ws://good.example/application", other.clone()),
        ("ws://good.example/app/../admin", UrlError::DotSegment),
        ("ws://good.example/app/%2e%2E/admin", UrlError::DotSegment),
        ("ws://good.example/app/..%2fadmin", UrlError::DotSegment),
        ("ws://good.example/app/%252e%252e/admin", UrlError::DotSegment),
        ("ws://good.example/app/..;/admin", UrlError::DotSegment),
        ("ws://good.example/app/..%3bx/admin", UrlError::DotSegment),
        ("ws://good.example/app/%5c..", UrlError::Backslash),
        ("ws://good.example\\@evil/app/", UrlError::Backslash),
        ("ws://good.example/app/\r\nHost: evil", UrlError::Blank),
        ("ws://good.example/app/%0d%0a", UrlError::Blank),
        ("ws://go\u{200b}od.example/app/", other.clone()),
        ("wss://good.example/app/", other.clone()),
        ("", UrlError::Syntax(url::ParseError::RelativeUrlWithoutBase)),
    ];
    for (text, error) in table {
        if text.contains('\u{200b}') {
            // dropped by IDNA: the very same host, in its normal form
            assert_eq!(&*upstream.allows(text).unwrap().text, "ws://good.example/app/");
        } else {
            assert_eq!(upstream.allows(text), Err(error), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn what_passes_begins_with_what_is_allowed(text in r"(ws:|/|\\|@|:|80|good\.example|evil|app|\.|%2e|%2f|\?|#|\*|[a-z]){0,14}") {
        let upstream = upstream(&["ws://good.example/app/*"]);
        for text in [text.clone(), format!("ws://{text}"), format!("ws://good.example{text}")] {
            if let Ok(url) = upstream.allows(&text) {
                prop_assert!(url.text.starts_with("ws://good.example/app/"), "{} from {}", url.text, text);
            }
        }
    }
}
