//! The target of the upstream connections of a client's session.

use actix_http::{StatusCode, Uri};

use crate::{
    listener::answer::Refusal,
    settings::Route,
    upstream::{ClientPath, Destination, PathError, Upstream},
};

/// Determines what the request adds to the upstream's URL, and where the first connection goes. Refuses a
/// path with dot segments (400) and a path that makes the URL too long (414).
pub(super) fn target(
    route: &Route,
    upstream: &Upstream,
    uri: &Uri,
) -> Result<(ClientPath, Destination), Refusal> {
    let path = ClientPath::new(route, upstream.settings(), uri).map_err(refused)?;
    let destination = upstream.destination(&path).map_err(refused)?;
    Ok((path, destination))
}

fn refused(error: PathError) -> Refusal {
    match error {
        PathError::DotSegment => Refusal::new(StatusCode::BAD_REQUEST, "path contains a . or .. segment"),
        PathError::TooLong => Refusal::new(StatusCode::URI_TOO_LONG, "path too long for the upstream's URL"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        path::has_dot_segment,
        settings::{UpstreamUrl, fixture},
    };

    fn ask(route: &str, url: &str, strip: bool, target: &str) -> Result<String, u16> {
        let mut upstream = fixture::upstream();
        upstream.url = UpstreamUrl::parse(url).unwrap();
        let route = Route { strip_prefix: strip, ..fixture::route(None, route) };
        let uri = Uri::try_from(target).unwrap();
        assert!(route.pattern.rest_of(uri.path()).is_some(), "{target}");
        ClientPath::new(&route, &upstream, &uri)
            .and_then(|path| {
                let target = path.at(&upstream.url)?;
                assert!(path.is_at(&upstream.url, &target.text), "{}", target.text);
                assert!(!path.is_at(&upstream.url, &format!("{}x", target.text)));
                Ok(target)
            })
            .map(|target| {
                assert_eq!(target.shown, upstream.url.shown, "the client's query is never shown");
                target.text.to_string()
            })
            .map_err(|error| refused(error).status.as_u16())
    }

    #[test]
    fn a_url_without_path_gets_the_clients_path() {
        for (target, expected) in [
            ("/", "ws://h:1"),
            ("/?a", "ws://h:1/?a"),
            ("/?", "ws://h:1/?"),
            (
                "/a%2Fb//c/%3A;x=1?token=a%20b&q=%2F&empty",
                "ws://h:1/a%2Fb//c/%3A;x=1?token=a%20b&q=%2F&empty",
            ),
            ("/socket.io/?EIO=4&transport=websocket", "ws://h:1/socket.io/?EIO=4&transport=websocket"),
            ("//evil.test/x", "ws://h:1//evil.test/x"),
            ("/@evil.test:2/", "ws://h:1/@evil.test:2/"),
            ("/%00%0d%0a", "ws://h:1/%00%0d%0a"),
        ] {
            assert_eq!(ask("/", "ws://h:1", false, target).as_deref(), Ok(expected), "{target}");
        }
        assert_eq!(ask("/chat", "ws://h", false, "/chat/a").as_deref(), Ok("ws://h/chat/a"));
        assert_eq!(ask("/", "ws://EXAMPLE.com:80", false, "/").as_deref(), Ok("ws://example.com/"));
        assert_eq!(ask("/", "ws://EXAMPLE.com:80", false, "/a").as_deref(), Ok("ws://example.com/a"));
        assert_eq!(ask("/", "ws://u:p@h", false, "/a").as_deref(), Ok("ws://u:p@h/a"));
        assert_eq!(ask("/", "ws://[::1]:9", false, "/a").as_deref(), Ok("ws://[::1]:9/a"));
    }

    #[test]
    fn a_path_in_the_url_replaces_the_routes_path() {
        for (route, url, target, expected) in [
            ("/chat", "ws://h/ws", "/chat", "ws://h/ws"),
            ("/chat", "ws://h/ws", "/chat/", "ws://h/ws/"),
            ("/chat", "ws://h/ws", "/chat/a?x=1", "ws://h/ws/a?x=1"),
            ("/chat", "ws://h/ws/", "/chat/a", "ws://h/ws/a"),
            ("/chat", "ws://h/ws", "/chat//a", "ws://h/ws//a"),
            ("/chat", "ws://h/ws", "/%63hat/a%2fb", "ws://h/ws/a%2fb"),
            ("/chat/", "ws://h/ws", "/chat/a", "ws://h/ws/a"),
            ("/chat/", "ws://h/ws/", "/chat/", "ws://h/ws/"),
            ("/chat", "ws://h/", "/chat", "ws://h/"),
            ("/chat", "ws://h/", "/chat/a", "ws://h/a"),
            ("/", "ws://h/ws", "/", "ws://h/ws"),
            ("/", "ws://h/ws", "/a", "ws://h/ws/a"),
        ] {
            assert_eq!(ask(route, url, false, target).as_deref(), Ok(expected), "{route} {url} {target}");
        }
    }

    #[test]
    fn a_configured_query_is_unchanged() {
        for (url, target, expected) in [
            ("ws://h/ws?token=1", "/?token=2", "ws://h/ws?token=1"),
            ("ws://h?token=1", "/a?token=2", "ws://h/a?token=1"),
            ("ws://h/ws?", "/?a", "ws://h/ws?"),
            ("ws://h/ws", "/?a", "ws://h/ws?a"),
        ] {
            assert_eq!(ask("/", url, false, target).as_deref(), Ok(expected), "{url} {target}");
        }
    }

    #[test]
    fn a_prefix_is_stripped_if_the_route_requires_it() {
        for (route, target, expected) in [
            ("/chat", "/chat", "ws://h"),
            ("/chat", "/chat/", "ws://h"),
            ("/chat", "/chat/a?b", "ws://h/a?b"),
            ("/chat", "/chat?b", "ws://h/?b"),
            ("/chat/", "/chat/a", "ws://h/a"),
        ] {
            assert_eq!(ask(route, "ws://h", true, target).as_deref(), Ok(expected), "{route} {target}");
        }
    }

    #[test]
    fn bytes_not_allowed_in_a_url_are_encoded() {
        for (target, expected) in [
            ("/a|b[c]{d}^e\"f", "ws://h/a%7Cb%5Bc%5D%7Bd%7D%5Ee%22f"),
            ("/a\\b", "ws://h/a%5Cb"),
            ("/100%", "ws://h/100%25"),
            ("/%zz%2", "ws://h/%25zz%252"),
            ("/a?b[]=1&c=50%&d=/?", "ws://h/a?b%5B%5D=1&c=50%25&d=/?"),
        ] {
            assert_eq!(ask("/", "ws://h", false, target).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn dot_segments_are_refused() {
        for target in
            ["/chat/../admin", "/chat/%2e%2E/admin", "/chat/..;/admin", "/chat/a%2f..%2fb", "/chat/."]
        {
            assert_eq!(ask("/chat", "ws://h/ws", false, target), Err(400), "{target}");
        }
        assert!(ask("/chat", "ws://h/ws", false, "/chat/a?b=../c").is_ok(), "a query has no segments");
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let target = format!("/{}", "x".repeat(65_000));
        assert_eq!(ask("/", "ws://h", false, &target).map(|text| text.len()), Ok(65_007));
        assert_eq!(ask("/", &format!("ws://h/{}", "y".repeat(1000)), false, &target), Err(414));
    }

    #[test]
    fn without_forwarding_the_path_has_no_effect() {
        let mut upstream = fixture::upstream();
        upstream.forward_path = false;
        let uri = Uri::from_static("/a/../b?c");
        let path = ClientPath::new(&fixture::route(None, "/"), &upstream, &uri);
        assert_eq!(path.and_then(|path| path.at(&upstream.url)), Ok(upstream.url.clone()));
    }

    proptest! {
        /// For any request target, scheme, host, port and path of the upstream's URL are unchanged, and a URL
        /// parser reads the same URL.
        #[test]
        fn a_target_stays_below_the_upstreams_url(
            route in prop_oneof![Just("/"), Just("/chat"), Just("/chat/")],
            url in prop_oneof![Just("ws://h:1"), Just("ws://h:1/ws"), Just("ws://h:1/ws/"), Just("ws://h:1/?t=1")],
            strip in any::<bool>(),
            asked in r"(/|\.|%2e|%2F|%|;|\?|\\|@|:|//|a|b|\||#){0,12}",
        ) {
            let asked = format!("{}{asked}", if route == "/" { "/" } else { "/chat/" });
            let Ok(uri) = Uri::try_from(asked.as_str()) else { return Ok(()) };
            let Ok(text) = ask(route, url, strip, &asked) else {
                prop_assert!(has_dot_segment(uri.path()));
                return Ok(());
            };
            let base = url.split('?').next().unwrap().trim_end_matches('/');
            prop_assert!(text.starts_with(base), "{}", text);
            let tail = &text[base.len()..];
            prop_assert!(tail.is_empty() || tail.starts_with(['/', '?']), "{}", text);
            let read = Uri::try_from(text.as_str()).unwrap();
            prop_assert_eq!(read.authority().unwrap().as_str(), "h:1");
            prop_assert!(!has_dot_segment(read.path()), "{}", text);
            // The WHATWG parser removes dot segments and encodes what it does not like: there is neither.
            let normal = url::Url::parse(&text).unwrap();
            prop_assert_eq!(normal.path(), read.path());
            prop_assert_eq!(normal.query(), read.query());
            prop_assert_eq!(normal.host_str(), Some("h"));
            let again = UpstreamUrl::parse(&text).unwrap();
            prop_assert_eq!(&*again.text, text);
        }
    }
}
