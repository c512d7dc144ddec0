//! Tests of authentication: who is accepted, which status others get, and where the credential goes.

use serde_json::Value;

use crate::harness::*;

/// The hash of `test`, the key of `tester`, with its claims.
const TESTER: &str =
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:scope=read,team=a";
/// The hash of `other`, the key of `other`.
const OTHER: &str = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

/// Settings of a route that accepts these API keys from these sources.
fn keys(url: &str, from: &str) -> Settings {
    Settings::request(url)
        .with(&format!("auth.partners.from = {from}"))
        .with(&format!("auth.partners.api_keys.keys = {{ tester = {TESTER:?}, other = {OTHER:?} }}"))
        .on_route(r#"name = "chat""#)
        .on_route(r#"auth = ["partners"]"#)
        .on_route(r#"origins = ["*"]"#)
}

#[test]
fn a_client_without_a_valid_key_gets_401_with_a_challenge() {
    let upstream = TestUpstream::echo();
    let settings = keys(&upstream.url(), r#"["authorization", "header:X-Key"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for (header, value) in [("Authorization", "bearer test"), ("X-Key", "test")] {
        assert_eq!(Opening::new(proxy.addr()).header(header, value).open().ask("a"), "a");
    }
    let connections = upstream.connections();
    for (headers, status, body, challenge) in [
        (&[][..], 401, "authentication required\n", "Bearer realm=\"partners\""),
        (&[("Authorization", "Basic test")], 401, "authentication required\n", "Bearer realm=\"partners\""),
        (
            &[("Authorization", "Bearer tes")],
            401,
            "invalid credential\n",
            "Bearer realm=\"partners\", error=\"invalid_token\", error_description=\"unknown key\"",
        ),
        (
            &[("X-Key", "test"), ("X-Key", "test")],
            400,
            "malformed credential\n",
            "Bearer realm=\"partners\", error=\"invalid_request\", error_description=\"more than one credential\"",
        ),
    ] {
        let opening = headers
            .iter()
            .fold(Opening::new(proxy.addr()), |opening, (name, value)| opening.header(name, value));
        let refusal = opening.refused();
        assert_eq!((refusal.status(), refusal.body.as_str()), (status, body), "{headers:?}");
        assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some(challenge), "{headers:?}");
    }
    assert_eq!(upstream.connections(), connections, "a refused client costs the upstream nothing");
    proxy.wait_log(
        "client refused *route=chat status=401 reason=\"invalid credential\" cause=\"unknown key\"",
    );
}

/// 60 wrong credentials at once, then one a second.
#[test]
fn guesses_of_one_address_get_429() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&keys(&upstream.url(), r#"["header:x-key"]"#)).expect("client refused");
    let with = |key: &str| Opening::new(proxy.addr()).header("X-Key", key);
    for _ in 0..60 {
        assert_eq!(
            Opening::new(proxy.addr()).refused().status(),
            401,
            "a request without a credential is not a guess"
        );
    }
    for _ in 0..60 {
        assert_eq!(with("wrong").refused().status(), 401);
    }
    wait_for("the limit", PATIENCE, || {
        let refusal = with("wrong").refused();
        let is_limited = refusal.status() == 429;
        if is_limited {
            assert_eq!(refusal.body, "too many wrong credentials from this address\n");
            assert_eq!(refusal.head.get("retry-after").as_deref(), Some("1"));
        }
        is_limited
    });
    proxy.wait_log("client refused *route=chat status=429 *kind=credentials");
    assert_eq!(upstream.connections(), 0);
    wait_for("a right credential", PATIENCE, || with("test").try_open().is_ok());
}

/// The upstream may read another credential than the one that was checked.
#[test]
fn a_second_credential_at_another_source_is_refused_before_the_upstream() {
    let upstream = TestUpstream::echo();
    let one = keys(&upstream.url(), r#"["subprotocol:bearer.", "authorization", "cookie:s"]"#);
    let two = Settings::request(&upstream.url())
        .with(r#"auth.partners.from = ["subprotocol:bearer."]"#)
        .with(&format!("auth.partners.api_keys.keys = {{ tester = {TESTER:?} }}"))
        .with(r#"auth.users.from = ["authorization", "cookie:s"]"#)
        .with(&format!("auth.users.api_keys.keys = {{ other = {OTHER:?} }}"))
        .on_route(r#"auth = ["partners", "users"]"#)
        .on_route(r#"origins = ["*"]"#);
    for settings in [one, two] {
        let proxy = Proxy::start(&settings).expect("client refused");
        let own = || Opening::new(proxy.addr()).protocols("bearer.test, chat");
        let connections = upstream.connections();
        for (name, value) in [
            ("Authorization", "Bearer forged"),
            ("Authorization", "Bearer other"),
            ("Authorization", "Basic forged"),
            ("Authorization", "Bearer\tforged"),
            ("Cookie", "a=1; s=forged"),
        ] {
            let refusal = own().header(name, value).refused();
            assert_eq!((refusal.status(), refusal.body.as_str()), (400, "malformed credential\n"), "{value}");
            let challenge = refusal.head.get("www-authenticate").unwrap();
            assert!(challenge.contains(r#"error_description="more than one credential""#), "{challenge}");
        }
        assert_eq!(upstream.connections(), connections, "the upstream sees neither credential");
        proxy.wait_log("client refused *status=400 *cause=\"more than one credential\"");
        // Servers differ in what separates cookies, and in whether spaces belong to names.
        for line in [
            "s =forged",
            "a=1; s\t=forged",
            "a=1 s=forged",
            "a=1, s=forged",
            "a=\"; s=forged",
            "a=\"s=forged",
        ] {
            let refusal = own().header("Cookie", line).refused();
            assert_eq!(refusal.status(), 400, "{line}");
        }
        assert_eq!(upstream.connections(), connections, "the upstream sees no second cookie");
        // Other cookies are no credentials.
        assert_eq!(own().header("Cookie", "a=1; ss=2").open().ask("a"), "a");
    }
}

#[test]
fn a_known_client_without_a_required_claim_gets_403() {
    let upstream = TestUpstream::echo();
    let settings = keys(&upstream.url(), r#"["header:x-key"]"#)
        .on_route(r#"require = { scope = ["read", "write"], team = ["a"] }"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let with = |key: &str| Opening::new(proxy.addr()).header("X-Key", key);
    assert_eq!(with("test").open().ask("a"), "a");
    let refusal = with("other").refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (403, "not allowed\n"));
    let challenge = "Bearer realm=\"partners\", error=\"insufficient_scope\"";
    assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some(challenge));
    proxy.wait_log("client refused *status=403 reason=\"not allowed\" cause=\"claim scope\"");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_credential_in_a_subprotocol_is_neither_sent_on_nor_echoed() {
    let upstream = TestUpstream::echo();
    let settings = keys(&upstream.url(), r#"["subprotocol:bearer."]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    upstream.set_answer(Answer::Choose("chat"));
    let client = Opening::new(proxy.addr()).protocols("bearer.test, soap, chat").open();
    assert_eq!(client.protocol().as_deref(), Some("chat"));
    let list = upstream.head(0).get("sec-websocket-protocol").unwrap();
    assert_eq!(list.split(',').map(str::trim).collect::<Vec<_>>(), ["soap", "chat"]);
    // An upstream that knows no subprotocols: a browser needs one in the response nevertheless.
    upstream.set_answer(Answer::Accept);
    let client = Opening::new(proxy.addr()).protocols("bearer.test, app").open();
    assert_eq!(client.protocol().as_deref(), Some("app"));
    let client = Opening::new(proxy.addr()).protocols("bearer.test").open();
    assert_eq!(client.protocol(), None);
    assert_eq!(upstream.head(2).get("sec-websocket-protocol"), None);
    assert_eq!(Opening::new(proxy.addr()).protocols("bearer.tes, app").refused().status(), 401);
}

#[test]
fn programs_and_upstreams_see_no_credential() {
    let upstream = TestUpstream::echo();
    let settings = keys(&upstream.url(), r#"["query:key", "cookie:s", "authorization"]"#)
        .with(r#"listener.ws.codec = "json""#)
        .with(r#"upstream.echo.codec = "json""#)
        .incoming("select $ from in into out;");
    let proxy = Proxy::start(&settings);
    let mut client =
        Opening::new(proxy.addr()).path("/chat?a=1&key=test&b=%20").header("Referer", "/?key=test&c").open();
    client.text("{}");
    let meta = client.recv_json();
    assert_eq!(meta["request"]["headers"]["referer"], "/?c");
    assert_eq!(meta["request"]["query"], "a=1&key=***&b=%20");
    assert_eq!(meta["session"]["subject"], "tester");
    let claims: Value = serde_json::from_str(r#"{"sub": "tester", "scope": "read", "team": "a"}"#).unwrap();
    assert_eq!(meta["session"]["claims"], claims);
    assert_eq!(upstream.head(0).line, "GET /chat?a=1&b=%20 HTTP/1.1");
    let mut client = Opening::new(proxy.addr()).header("Cookie", "a=1; s=test").open();
    client.text("{}");
    assert_eq!(client.recv_json()["request"]["headers"]["cookie"], "a=1; s=***");
    let mut client = Opening::new(proxy.addr()).header("Authorization", "Bearer test").open();
    client.text("{}");
    assert_eq!(client.recv_json()["request"]["headers"]["authorization"], "***");
}

#[test]
fn a_credential_is_sent_to_the_upstream_if_a_setting_says_so() {
    let upstream = TestUpstream::echo();
    let settings = keys(&upstream.url(), r#"["query:key"]"#)
        .with(r#"auth.partners.forward_as = "authorization""#)
        .with(r#"upstream.echo.headers = { x-user = "${session.subject}/${session.claims.team}" }"#);
    let proxy = Proxy::start(&settings);
    let opening = Opening::new(proxy.addr()).path("/?key=test").header("Authorization", "Basic abc");
    let _client = opening.header("X-User", "root").open();
    let head = upstream.head(0);
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer test"));
    assert_eq!(head.get("x-user").as_deref(), Some("tester/a"));
    assert_eq!(head.line, "GET / HTTP/1.1");
}

#[test]
fn a_claim_keeps_a_client_at_one_endpoint() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo(), TestUpstream::echo()];
    let urls: Vec<_> = upstreams.iter().map(TestUpstream::url).collect();
    let settings = keys("ws://127.0.0.1:1", r#"["header:x-key"]"#)
        .endpoints(&format!("{urls:?}"))
        .with(r#"upstream.echo.balance = "hash""#)
        .with(r#"upstream.echo.hash = "claim:sub""#);
    let proxy = Proxy::start(&settings);
    let clients: Vec<_> =
        (0..12).map(|_| Opening::new(proxy.addr()).header("X-Key", "test").open()).collect();
    let used: Vec<_> = upstreams.iter().map(TestUpstream::connections).filter(|count| *count > 0).collect();
    assert_eq!(used, [clients.len()]);
}
