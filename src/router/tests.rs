//! Tests of routes with several parts, and of the check for hidden routes.

use actix_http::header::{COOKIE, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// A request in an owned form.
#[derive(Debug, Clone)]
struct Asked {
    listener: &'static str,
    uri: Uri,
    headers: HeaderMap,
    subprotocols: Vec<String>,
    peer: IpAddr,
    tls_name: Option<&'static str>,
    is_plain: bool,
}

impl Asked {
    fn new(listener: &'static str, uri: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let peer = IpAddr::from([10, 0, 0, 1]);
        Self {
            listener,
            uri: uri.parse().unwrap(),
            headers: map,
            subprotocols: Vec::new(),
            peer,
            tls_name: None,
            is_plain: false,
        }
    }

    fn request(&self) -> Request<'_> {
        let Self { listener, uri, headers, subprotocols, peer, tls_name, is_plain } = self;
        let (peer, tls_name, is_plain) = (*peer, *tls_name, *is_plain);
        Request { listener, uri, headers, subprotocols, peer, tls_name, is_plain }
    }
}

fn prefix(listener: Option<&str>, path: &str) -> Pattern {
    Pattern::of_path(listener.map(str::to_owned), PathPattern::prefix(path).unwrap())
}

fn test(name: &str, expected: &str) -> Box<[ValueTest]> {
    [ValueTest { name: name.to_owned(), expected: expected.into() }].into()
}

fn networks(texts: &[&str]) -> Box<[IpNet]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_first_match_wins() {
    let routes = [(Some("x"), "/a"), (None, "/a/b"), (None, "/a")];
    let router: Router<usize> =
        routes.map(|(listener, path)| prefix(listener, path)).into_iter().zip(0..).collect();
    for (listener, path, expected) in
        [("x", "/a/b", Some(0)), ("y", "/a/b", Some(1)), ("y", "/a", Some(2)), ("x", "/", None)]
    {
        let asked = Asked::new(listener, path, &[]);
        assert_eq!(
            router.find(&asked.request()).map(Option::<&_>::copied),
            Ok(expected),
            "{listener} {path}"
        );
    }
}

#[test]
fn a_path_that_servers_could_read_as_one_of_another_route_is_refused() {
    let exact = Pattern::of_path(None, PathPattern::exact("/status").unwrap());
    let regex = Pattern::of_path(None, PathPattern::regex("/rooms/[^/]+").unwrap());
    let admin = Pattern { networks: networks(&["10.0.0.0/8"]), ..prefix(None, "/admin") };
    let routes = [admin, exact, regex, prefix(None, "/open"), prefix(None, "/")];
    let router: Router<usize> = routes.into_iter().zip(0..).collect();
    let found = |path: &str| router.find(&Asked::new("ws", path, &[]).request()).map(Option::<&_>::copied);
    for path in [
        "//admin/x",
        "/admin%2Fx",
        "/admin%2fx",
        "/admin%5Cx",
        "/admin\\x",
        "/admin;a=b",
        "/admin;a=b/x",
        "/admin%3Ba",
        "/;a/admin",
        "/%2Fadmin",
        "/admin%252Fx",
        "/%2561dmin",
        "//status",
        "/status;x",
        "/rooms/a%2Fb",
        "/status;%2Fx",
        "/open/a;b%2Fc",
    ] {
        assert_eq!(found(path), Err(AmbiguousPath), "{path}");
    }
    for (path, route) in [
        ("/admin//x;a=b", 0),
        ("/%61dmin/x", 0),
        ("/rooms/a;v=1", 2),
        ("/open//a%2Fb;c", 3),
        ("//a%2Fb//;c", 4),
        ("/administer%2Fx", 4),
    ] {
        assert_eq!(found(path), Ok(Some(route)), "{path}");
    }
    let elsewhere = Asked { peer: [192, 0, 2, 1].into(), ..Asked::new("ws", "//admin", &[]) };
    assert_eq!(router.find(&elsewhere.request()), Ok(Some(&4)), "`/admin` does not match this client either");
    let only: Router<usize> = [(prefix(None, "/chat"), 0)].into_iter().collect();
    assert_eq!(only.find(&Asked::new("ws", "//chat", &[]).request()), Ok(None), "nothing is forwarded");
}

#[test]
fn every_part_of_a_pattern_must_match() {
    let any = prefix(None, "/chat");
    let good = Asked {
        subprotocols: vec!["soap".to_owned(), "mqtt".to_owned()],
        tls_name: Some("eu.example.com"),
        ..Asked::new(
            "ws",
            "/chat?room=a%20b",
            &[
                ("host", "EU.example.com:81"),
                ("x-tenant", "b"),
                ("x-tenant", "a"),
                ("cookie", "x=1; beta=yes"),
            ],
        )
    };
    let table = [
        (any.clone(), true),
        (Pattern { takes_handshakes: false, takes_plain: true, ..any.clone() }, false),
        (Pattern { takes_plain: true, ..any.clone() }, true),
        (Pattern { host: HostPattern::parse("*.example.com").ok(), ..any.clone() }, true),
        (Pattern { tls_name: HostPattern::parse("*.example.com").ok(), ..any.clone() }, true),
        (Pattern { tls_name: HostPattern::parse("example.com").ok(), ..any.clone() }, false),
        (Pattern { host: HostPattern::parse("example.com").ok(), ..any.clone() }, false),
        (Pattern { headers: test("x-tenant", "a"), ..any.clone() }, true),
        (Pattern { headers: test("x-tenant", "c"), ..any.clone() }, false),
        (Pattern { headers: test("x-other", "*"), ..any.clone() }, false),
        (Pattern { query: test("room", "a b"), ..any.clone() }, true),
        (Pattern { query: test("room", "a%20b"), ..any.clone() }, false),
        (Pattern { cookies: test("beta", "y*"), ..any.clone() }, true),
        (Pattern { cookies: test("beta", "no"), ..any.clone() }, false),
        (Pattern { subprotocol: Some("mqtt".to_owned()), ..any.clone() }, true),
        (Pattern { subprotocol: Some("MQTT".to_owned()), ..any.clone() }, false),
        (Pattern { networks: networks(&["192.0.2.0/24", "10.0.0.0/8"]), ..any.clone() }, true),
        (Pattern { networks: networks(&["::/0"]), ..any.clone() }, false),
        (Pattern { cookies: test("beta", "*"), headers: test("x-tenant", "c"), ..any.clone() }, false),
    ];
    for (pattern, expected) in table {
        assert_eq!(pattern.matches(&good.request()), expected, "{pattern:?}");
    }
}

/// Listener and path.
type Parts = (Option<&'static str>, &'static str);
/// The routes before, the route, and the positions of those that hide it.
type Case = (&'static [Parts], Parts, Option<&'static [usize]>);

#[test]
fn routes_hide_later_ones() {
    let table: [Case; 8] = [
        (&[(None, "/")], (None, "/a"), Some(&[0])),
        (&[(None, "/a")], (None, "/"), None),
        (&[(None, "/a")], (None, "/ab"), None),
        (&[(Some("x"), "/")], (None, "/"), None),
        (&[(Some("x"), "/")], (Some("y"), "/"), None),
        (&[(Some("x"), "/"), (Some("y"), "/")], (None, "/a"), Some(&[0, 1])),
        (&[(None, "/a/")], (None, "/a"), None),
        (&[(None, "/a")], (None, "/a/"), Some(&[0])),
    ];
    for (before, (listener, path), expected) in table {
        let before: Vec<_> = before.iter().map(|(listener, path)| prefix(*listener, path)).collect();
        let before: Vec<_> = before.iter().collect();
        let hidden = hidden_by(&prefix(listener, path), &before, &["x", "y"]);
        assert_eq!(hidden.as_deref(), expected, "{listener:?} {path}");
    }
}

#[test]
fn a_route_with_a_weaker_condition_hides_a_later_one() {
    let any = prefix(None, "/");
    let tenant = |value| Pattern { headers: test("x-tenant", value), ..any.clone() };
    let from = |texts: &[&str]| Pattern { networks: networks(texts), ..any.clone() };
    let plain = Pattern { takes_handshakes: false, takes_plain: true, ..any.clone() };
    let both = Pattern { takes_plain: true, ..any.clone() };
    let offers = |name: &str| Pattern { subprotocol: Some(name.to_owned()), ..any.clone() };
    for (earlier, later, expected) in [
        (any.clone(), tenant("a"), true),
        (tenant("a"), any.clone(), false),
        (tenant("*"), tenant("a"), true),
        (tenant("a"), tenant("*"), false),
        (tenant("a"), Pattern { cookies: test("x-tenant", "a"), ..any.clone() }, false),
        (tenant("*"), Pattern { query: test("b", "c"), ..tenant("a") }, true),
        (from(&["10.0.0.0/8"]), from(&["10.1.0.0/16", "10.2.0.0/16"]), true),
        (from(&["10.0.0.0/8"]), from(&["10.1.0.0/16", "192.0.2.0/24"]), false),
        (from(&["10.0.0.0/8"]), any.clone(), false),
        (from(&["0.0.0.0/0"]), from(&["::/0"]), false),
        (offers("a"), offers("a"), true),
        (offers("a"), offers("b"), false),
        (offers("a"), any.clone(), false),
        (any.clone(), plain.clone(), false),
        (plain.clone(), any.clone(), false),
        (plain.clone(), both.clone(), false),
        (any.clone(), both.clone(), false),
        (both.clone(), plain, true),
        (both, any.clone(), true),
    ] {
        assert_eq!(hidden_by(&later, &[&earlier], &["x"]).is_some(), expected, "{earlier:?} {later:?}");
    }
}

fn path_pattern() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        Just("/").prop_map(|text| PathPattern::prefix(text).unwrap()),
        "(/[ab]{1,2}){1,3}/?".prop_map(|text| PathPattern::prefix(&text).unwrap()),
        "(/[ab]{1,2}){0,2}/[ab]{0,2}".prop_map(|text| PathPattern::exact(&text).unwrap()),
        prop_oneof![Just("/.*"), Just("/a+"), Just("/[ab]/b?"), Just("(/[ab]*)+")]
            .prop_map(|text| PathPattern::regex(text).unwrap()),
    ]
}

fn tests() -> impl Strategy<Value = Box<[ValueTest]>> {
    let one = |name: &'static str| {
        proptest::option::weighted(0.3, prop_oneof!["[ab]{0,2}", "[ab]{0,2}[*]"]).prop_map(move |expected| {
            expected.map(|text| ValueTest { name: name.to_owned(), expected: text.as_str().into() })
        })
    };
    (one("x-one"), one("x-two")).prop_map(|(one, two)| one.into_iter().chain(two).collect())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let listener = proptest::option::weighted(0.2, prop_oneof![Just("x".to_owned()), Just("y".to_owned())]);
    let host = proptest::option::weighted(0.4, prop_oneof!["([*][.])?[ab]([.][ab]){0,2}"])
        .prop_map(|host| host.map(|text| HostPattern::parse(&text).unwrap()));
    let subprotocol = proptest::option::weighted(0.2, "[ab]");
    let nets = proptest::sample::subsequence(
        vec!["10.0.0.0/8", "10.1.0.0/16", "10.1.0.1", "::/0", "0.0.0.0/0"],
        0..2,
    );
    let nets = nets.prop_map(|texts| {
        texts
            .into_iter()
            .map(|text| text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().unwrap())))
    });
    let tls_name = proptest::option::weighted(0.3, prop_oneof!["([*][.])?[ab]([.][ab]){0,2}"])
        .prop_map(|name| name.map(|text| HostPattern::parse(&text).unwrap()));
    (listener, host, path_pattern(), tests(), tests(), tests(), subprotocol, nets, tls_name).prop_map(
        |(listener, host, path, headers, query, cookies, subprotocol, nets, tls_name)| Pattern {
            listener,
            host,
            path,
            headers,
            query,
            cookies,
            subprotocol,
            networks: nets.collect(),
            tls_name,
            takes_handshakes: true,
            takes_plain: false,
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let value = || proptest::option::of("[ab]{0,3}");
    let peer =
        prop_oneof![Just([10, 1, 0, 1].into()), Just([10, 2, 0, 1].into()), Just([192, 0, 2, 1].into())];
    let peer = prop_oneof![3 => peer, 1 => Just(IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1]))];
    let names = (value(), value(), value(), value(), value(), value());
    let tls_name = proptest::option::of(proptest::sample::select(vec!["a", "b", "a.b", "b.a.b", "a.a"]));
    let parts =
        (prop_oneof![Just("x"), Just("y")], "(/(a|b|%61){0,3}){1,4}", "[aAbB]([.][ab]){0,3}(:80)?", tls_name);
    (parts, names, proptest::collection::vec("[ab]", 0..2), peer).prop_map(
        |((listener, path, host, tls_name), names, subprotocols, peer)| {
            let (one, two, query_one, query_two, cookie_one, cookie_two) = names;
            let pair = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
            let query: Vec<_> =
                pair("x-one", query_one).into_iter().chain(pair("x-two", query_two)).collect();
            let mut asked = Asked::new(listener, &format!("{path}?{}", query.join("&")), &[("host", &host)]);
            for (name, value) in [("x-one", one), ("x-two", two)] {
                if let Some(value) = value {
                    asked
                        .headers
                        .append(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
                }
            }
            for cookie in pair("x-one", cookie_one).into_iter().chain(pair("x-two", cookie_two)) {
                asked.headers.append(COOKIE, HeaderValue::from_str(&cookie).unwrap());
            }
            Asked { subprotocols, peer, tls_name, ..asked }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// A request that reaches a route first proves that the route is not hidden.
    #[test]
    fn a_route_that_matches_anything_first_is_not_hidden(
        before in prop::collection::vec(pattern(), 0..4), last in pattern(), asked in asked()
    ) {
        let request = asked.request();
        let before: Vec<_> = before.iter().collect();
        let taken = last.matches(&request) && !before.iter().any(|earlier| earlier.matches(&request));
        prop_assert!(!(taken && hidden_by(&last, &before, &["x", "y"]).is_some()));
    }

    /// A pattern that covers another one matches whatever the other one matches.
    #[test]
    fn covering_is_sound(wide in pattern(), parts in pattern(), keep in any::<[bool; 8]>(), asked in asked()) {
        // Parts of the wide pattern are taken over, so that it often covers the narrow one.
        let narrow = Pattern {
            listener: wide.listener.clone(),
            host: if keep[0] { wide.host.clone() } else { parts.host },
            path: if keep[1] { wide.path.clone() } else { parts.path },
            headers: if keep[2] { wide.headers.clone() } else { parts.headers },
            query: if keep[3] { wide.query.clone() } else { parts.query },
            cookies: if keep[4] { wide.cookies.clone() } else { parts.cookies },
            subprotocol: if keep[5] { wide.subprotocol.clone() } else { parts.subprotocol },
            networks: if keep[6] { wide.networks.clone() } else { parts.networks },
            tls_name: if keep[7] { wide.tls_name.clone() } else { parts.tls_name },
            takes_handshakes: true,
            takes_plain: false,
        };
        if wide.covers(&narrow) && narrow.matches(&asked.request()) {
            prop_assert!(wide.matches(&asked.request()), "{:?} {:?}", wide, narrow);
        }
    }

    /// However a server reads a path that is accepted, it belongs to the same route.
    #[test]
    fn a_server_that_reads_a_path_in_another_way_finds_the_same_route(
        texts in prop::collection::vec("(/(a|b)){1,2}/?", 1..4),
        kinds in prop::collection::vec(any::<bool>(), 4),
        path in r"(/|//)(a|b|/|;|%2F|%5c|%3B|\\|%252f|%61){0,6}",
        steps in prop::collection::vec(0..4_usize, 0..6),
    ) {
        let patterns = texts.iter().zip(kinds).map(|(text, is_exact)| {
            let path = if is_exact { PathPattern::exact(text) } else { PathPattern::prefix(text) };
            Pattern::of_path(None, path.unwrap())
        });
        let router: Router<usize> = patterns.chain([prefix(None, "/")]).zip(0..).collect();
        let find = |path: &str| router.find(&Asked::new("ws", path, &[]).request()).map(Option::<&_>::copied);
        if let Ok(found) = find(&path) {
            let read = steps.iter().fold(path, |path, step| reading(*step, &path));
            let at = router.position(&read, &Asked::new("ws", "/", &[]).request());
            prop_assert_eq!(at, found, "{}", read);
        }
    }
}

/// The path after one step of a server that does not read it byte for byte.
fn reading(step: usize, path: &str) -> String {
    match step {
        0 => path.replace("//", "/"),
        1 => {
            let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
            names.collect::<Vec<_>>().join("/")
        }
        2 => path.replace('\\', "/"),
        _ => ["%2F", "%2f", "%5c", "%3B", "%25", "%61"]
            .iter()
            .zip(["/", "/", "\\", ";", "%", "a"])
            .fold(path.to_owned(), |path, (escape, text)| path.replace(escape, text)),
    }
}
