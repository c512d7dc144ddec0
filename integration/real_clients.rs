//! Tests with clients and servers that others wrote: curl, openssl, websocat, and Python's HTTP server. See
//! `tls_listener::tools` for TLS on the listener, and `realworld` for Chromium.

mod curl;
mod servers;

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use self::{
    curl::Curl,
    servers::{Gate, SecureServer},
};
use crate::harness::*;

/// The password `secret` of `ada`.
const USERS: &str = "ada:$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC\n";
/// The hash of `test`.
const KEY: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn curl_reaches_the_route_that_matches_its_request() {
    let authority = Authority::new();
    let issued = authority.issue(&Leaf::new(&["devices.test", "other.test"]));
    let routes = [
        ("name", r#"match.tls_name = "devices.test""#),
        ("host", r#"match.host = "*.tenants.test""#),
        ("exact", r#"match.path_exact = "/status""#),
        ("regex", r#"match.path_regex = "/rooms/[0-9]+""#),
        ("query", r#"match.query = { version = "2*" }"#),
        ("cookie", r#"match.cookies = { beta = "*" }"#),
        ("header", r#"match.headers = { x-tenant = "acme" }"#),
        ("network", r#"match.networks = ["127.0.0.77"]"#),
        ("prefix", r#"match.path = "/chat""#),
    ];
    let settings = Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .with(r#"listener.wss.bind = "127.0.0.1:0""#)
        .with(&format!(
            "listener.wss.tls.certificates = [{{ cert = {:?}, key = {:?} }}]",
            issued.cert, issued.key
        ));
    let settings = routes.iter().fold(settings, |settings, (name, condition)| {
        settings.route(&[&format!("name = {name:?}"), condition, &format!("answer.body = {name:?}")])
    });
    let proxy = Proxy::start(&settings).expect("client refused");
    let curl = Curl::new(proxy.listener("ws"));
    for (path, args, expected) in [
        ("/", &["-H", "Host: a.b.tenants.test:80"][..], "host"),
        ("/status", &[], "exact"),
        ("/rooms/7", &[], "regex"),
        ("/?a=1&version=2.1", &[], "query"),
        ("/", &["-b", "a=1; beta=1"], "cookie"),
        ("/", &["-H", "X-Tenant: acme"], "header"),
        ("/", &["--interface", "127.0.0.77"], "network"),
        ("/chat/room", &[], "prefix"),
    ] {
        assert_eq!(curl.page(path, args), (200, expected.to_owned()), "{path} {args:?}");
    }
    assert_eq!(curl.page("/rooms/main", &[]).0, 426);
    let secure = Curl::secure(proxy.listener("wss"), &authority);
    assert_eq!(secure.page_at("devices.test", "/", &[]), (200, "name".to_owned()));
    assert_eq!(secure.page_at("other.test", "/", &[]).0, 426);
}

#[test]
fn curl_names_its_address_as_a_balancer_does() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.proxy_protocol = "required""#)
        .with(r#"listener.ws.trusted_proxies = ["127.0.0.1", "127.0.0.77"]"#)
        .with(r#"listener.http.bind = "127.0.0.1:0""#)
        .with(r#"listener.http.trusted_proxies = ["127.0.0.77"]"#);
    let proxy = Proxy::start(&settings).expect("client closed before its request");
    let curl = Curl::new(proxy.listener("ws"));
    assert_eq!(curl.shake("/", &["--haproxy-protocol", "--interface", "127.0.0.77"]).status(), 101);
    proxy.wait_log("session opened *peer=127.0.0.77:");
    assert_eq!(upstream.head(0).get("x-forwarded-for").as_deref(), Some("127.0.0.77"));
    // From elsewhere than a balancer, and without a header.
    for args in [&["--haproxy-protocol", "--interface", "127.0.0.78"][..], &[]] {
        curl.fails("/", args);
    }
    proxy.wait_log("client closed before its request *peer=127.0.0.78:*reason=\"PROXY header not trusted\"");
    proxy.wait_log("client closed before its request *reason=\"PROXY header missing\"");
    let curl = Curl::new(proxy.listener("http"));
    let forwarded = ["-H", "X-Forwarded-For: 192.0.2.7"];
    for (number, interface, list) in
        [(1, "127.0.0.77", "192.0.2.7, 127.0.0.77"), (2, "127.0.0.78", "127.0.0.78")]
    {
        let args = [&forwarded[..], &["--interface", interface]].concat();
        assert_eq!(curl.shake("/", &args).status(), 101);
        assert_eq!(upstream.head(number).get("x-forwarded-for").as_deref(), Some(list));
    }
}

/// A token that openssl signs.
fn token(folder: &std::path::Path, claims: &str) -> String {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encoded(br#"{"alg":"RS256"}"#), encoded(claims.as_bytes()));
    let signature = servers::openssl(folder, &["dgst", "-sha256", "-sign", "issuer.key"], &signed);
    format!("{signed}.{}", encoded(&signature))
}

/// A folder with the keys of an issuer, which openssl makes, and with users.
fn identities() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |args: &[&str]| servers::openssl(folder.path(), args, "");
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "issuer.key"]);
    openssl(&["pkey", "-in", "issuer.key", "-pubout", "-out", "issuer.pem"]);
    fs::write(folder.path().join("users"), USERS).unwrap();
    folder
}

#[test]
fn curl_authenticates_in_each_way() {
    let (upstream, folder, gate) = (TestUpstream::echo(), identities(), Gate::start());
    let file = |name: &str| folder.path().join(name);
    let settings = Settings::request(&upstream.url())
        .with(&format!(r#"auth.users.jwt = {{ keys = {:?}, audience = ["chat"] }}"#, file("issuer.pem")))
        .with(&format!("auth.staff.basic.file = {:?}", file("users")))
        .with(r#"auth.programs.from = ["header:x-api-key", "query:key"]"#)
        .with(&format!("auth.programs.api_keys.keys = {{ a = {KEY:?} }}"))
        .with(&format!("auth.gate.forward.url = {:?}", gate.url()))
        .with(r#"auth.gate.forward.request_headers = ["cookie"]"#)
        .with(r#"auth.gate.forward.claims_from = { sub = "X-User" }"#)
        .with(r#"upstream.echo.headers = { x-user = "${session.subject}" }"#)
        .on_route(r#"path = "/jwt""#)
        .on_route(r#"auth = ["users", "programs"]"#)
        .route(&[r#"path = "/staff""#, r#"upstream = "echo""#, r#"auth = ["staff"]"#])
        .route(&[
            r#"path = "/gate""#,
            r#"upstream = "echo""#,
            r#"auth = ["gate"]"#,
            r#"require = { sub = ["7"] }"#,
        ]);
    let proxy = Proxy::start(&settings).expect("client refused");
    let token = |end: u64| token(folder.path(), &format!(r#"{{"sub":"ada","aud":"chat","exp":{end}}}"#));
    let (good, expired) = (token(now() + 60), token(now() - 600));
    let curl = Curl::new(proxy.addr());
    for (path, args, status, user) in [
        ("/jwt", &["--oauth2-bearer", &good][..], 101, "ada"),
        (
            "/jwt",
            &["--oauth2-bearer", &expired],
            401,
            "Bearer realm=\"users\", error=\"invalid_token\", error_description=\"token expired\"",
        ),
        ("/jwt", &["-H", "X-Api-Key: test"], 101, "a"),
        ("/jwt?key=test", &[], 101, "a"),
        ("/jwt", &["-H", "X-Api-Key: other"], 401, "unknown key"),
        ("/jwt?key=test", &["--oauth2-bearer", &good], 400, "invalid_request"),
        ("/staff", &["--user", "ada:secret"], 101, "ada"),
        ("/staff", &["--user", "ada:Secret"], 401, "Basic realm="),
        ("/gate", &["-b", "session=7"], 101, "7"),
        ("/gate", &["-b", "session=8"], 403, "insufficient_scope"),
        ("/gate", &[], 401, "Session realm=\"gate\""),
    ] {
        let connections = upstream.connections();
        let head = curl.shake(path, args);
        assert_eq!(head.status(), status, "{path} {args:?} {head:?}");
        let found = match status {
            101 => upstream.head(connections).get("x-user"),
            _ => head.get("www-authenticate"),
        };
        let found = found.unwrap_or_default();
        assert!(if status == 101 { found == user } else { found.contains(user) }, "{path} {args:?} {found}");
        assert_eq!(upstream.connections(), connections + usize::from(status == 101), "{path} {args:?}");
    }
}

#[test]
fn websocat_gets_a_notice_renews_and_is_closed() {
    let upstream = TestUpstream::echo();
    let keys: Vec<_> = [now() + 9, now() + 14].iter().map(|end| format!("{KEY}:exp={end}")).collect();
    // Two keys of one subject: a file may have the second one later.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, format!("a:{}\n", keys[0])).unwrap();
    let settings = Settings::request(&upstream.url())
        .with(&format!("auth.keys.api_keys.file = {file:?}"))
        .with(r#"auth.keys.renew = { path = "type", value = "renew", token = "token" }"#)
        .on_route(r#"auth = ["keys"]"#)
        .on_route(r#"session_expiry = { lead = "4s" }"#);
    let proxy = Proxy::start(&settings);
    let mut websocat = Websocat::open_with(proxy.addr(), &["Authorization: Bearer test"]);
    websocat.type_line("hello");
    assert_eq!(websocat.line(), "hello");
    // As a whole: a file that is empty for a moment revokes the key.
    fs::write(folder.path().join("new"), format!("a:{}\n", keys[1])).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    proxy.wait_log("keys changed auth=keys");
    assert!(websocat.line().starts_with(r#"{"error":"session expires""#));
    websocat.type_line(r#"{"type":"renew","token":"test"}"#);
    assert!(websocat.line().starts_with(r#"{"notice":"session renewed""#));
    assert!(websocat.line().starts_with(r#"{"error":"session expires""#));
    proxy.wait_log("session closed session=1:0 code=1008 side=proxy reason=\"token expired\"");
    assert_eq!(upstream.conn(0).texts().iter().map(|text| text.trim()).collect::<Vec<_>>(), ["hello"]);
}

#[test]
fn origins_headers_and_limits_apply_to_curl_and_websocat() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.remove_headers = ["cookie"]"#)
        .with(r#"upstream.echo.headers = { x-room = "${request.query.room}" }"#)
        .with(r#"upstream.echo.response_headers = { x-route = "${session.route}" }"#)
        .on_route(r#"name = "chat""#)
        .on_route(r#"origins = ["https://app.test"]"#)
        .on_route(r#"limits = [{ by = "header:X-Tenant", max_sessions = 1 }]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let curl = Curl::new(proxy.addr());
    let own = ["-H", "Origin: https://app.test"];
    let head = curl.shake("/?room=7", &[&own[..], &["-b", "session=1"]].concat());
    assert_eq!((head.status(), head.get("x-route").as_deref()), (101, Some("chat")));
    assert_eq!(upstream.head(0).get("x-room").as_deref(), Some("7"));
    assert_eq!(upstream.head(0).get("cookie"), None);
    for args in [&["-H", "Origin: https://other.test"][..], &[]] {
        assert_eq!(curl.shake("/", args).status(), 403, "{args:?}");
    }
    let mut websocat = Websocat::open_with(proxy.addr(), &["Origin: https://app.test", "X-Tenant: a"]);
    websocat.type_line("hello");
    assert_eq!(websocat.line(), "hello");
    let of = |tenant: &str| curl.shake("/", &[&own[..], &["-H", &format!("X-Tenant: {tenant}")]].concat());
    assert_eq!([of("a").status(), of("b").status()], [429, 101]);
    proxy.wait_log("client refused *status=403 *kind=origin ");
    proxy.wait_log("client refused *status=429 *kind=key_sessions total=1 ");
}

/// The server is `openssl s_server`, which answers requests with a page about the connection.
#[test]
fn pages_of_a_server_with_tls_are_forwarded_to_curl() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = SecureServer::start(&servers.issue(&Leaf::new(&["pages.test"])), Some(&clients));
    let own = clients.issue(&Leaf::client("towline", &[]));
    let trust = format!(r#"ca = {:?}, server_name = "pages.test""#, servers.file());
    let identity = format!("cert = {:?}, key = {:?}", own.cert, own.key);
    for (tls, expected) in [
        (format!("{{ {trust}, {identity} }}"), "Client certificate"),
        (format!("{{ {trust} }}"), "TLS: handshake refused"),
        (
            format!(r#"{{ ca = {:?}, {identity} }}"#, servers.file()),
            "TLS: the certificate is for another name",
        ),
        (
            format!(r#"{{ ca = {:?}, server_name = "pages.test", {identity} }}"#, clients.file()),
            "TLS: the certificate has an unknown issuer",
        ),
    ] {
        let settings = Settings::plain(&format!("wss://{}", server.addr()))
            .with(&format!("upstream.echo.tls = {tls}"))
            .on_route("forward_http = true");
        let proxy = Proxy::start(&settings).expect("client refused").expect("endpoint down");
        let (status, page) = Curl::new(proxy.addr()).page("/", &[]);
        if expected.starts_with("TLS") {
            assert_eq!(status, 502, "{expected}: {page}");
            proxy.wait_log(&format!("client refused *status=502 *{expected}"));
        } else {
            assert_eq!(status, 200, "{page}");
            assert!(
                page.contains(expected) && page.contains("TLSv1.3") && page.contains("towline"),
                "{page}"
            );
        }
    }
}

#[test]
fn curl_gets_pages_and_websockets_at_one_address() {
    let (upstream, gate) = (TestUpstream::echo(), Gate::start());
    let settings = Settings::request(&upstream.url())
        .on_route(r#"match.path = "/ws""#)
        .upstream("pages", &gate.url().replace("http://", "ws://"))
        .route(&[r#"match.path_exact = "/healthz""#, r#"answer.body = "fine""#])
        .route(&[r#"upstream = "pages""#, "forward_http = true"]);
    let proxy = Proxy::start(&settings).expect("client refused");
    let curl = Curl::new(proxy.addr());
    assert_eq!(curl.shake("/ws", &[]).status(), 101);
    assert_eq!(curl.page("/healthz", &[]), (200, "fine".to_owned()));
    let body = "x".repeat(300_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    for chunked in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
        let (status, echoed) = curl.page("/echo", &[&["--data-binary", &data][..], chunked].concat());
        assert_eq!((status, echoed.len()), (200, body.len()), "{chunked:?}");
    }
    assert_eq!(curl.page("/echo", &["-X", "TRACE"]).0, 405);
    let doubled = ["-H", "Transfer-Encoding: chunked", "-H", "Content-Length: 3", "--data-binary", "abc"];
    assert_eq!(curl.page("/echo", &doubled).0, 400);
}
