//! Tests of tokens with signatures (RFC 7519) as credentials.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::harness::*;

/// The secrets of two issuers.
const FIRST: &str = "first-planted-secret-with-thirty-two-bytes-or-more";
const SECOND: &str = "second-planted-secret-with-thirty-two-bytes-or-more";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token for `chat` with the subject 7, further `claims`, and this time from now to its end.
fn token(secret: &str, claims: &str, seconds: i64) -> String {
    let claims =
        format!(r#"{{"sub": "7", "aud": "chat", "exp": {}{claims}}}"#, now().saturating_add_signed(seconds));
    let signed = format!("{}.{}", encoded(r#"{"alg": "HS256", "typ": "JWT"}"#), encoded(claims));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", encoded(mac))
}

/// A folder with the secret of the first issuer, and settings of a route that requires its tokens.
fn users(url: &str, from: &str) -> (tempfile::TempDir, PathBuf, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, FIRST).unwrap();
    let settings = Settings::request(url)
        .with(&format!("auth.users.from = {from}"))
        .with(&jwt(&file))
        .on_route(r#"name = "chat""#)
        .on_route(r#"auth = ["users"]"#)
        .on_route(r#"origins = ["*"]"#);
    (folder, file, settings)
}

fn jwt(file: &Path) -> String {
    format!(r#"auth.users.jwt = {{ secret_file = {file:?}, audience = ["chat"], leeway = "1s" }}"#)
}

fn bearer(proxy: &Proxy, token: &str) -> Opening {
    Opening::new(proxy.addr()).header("Authorization", &format!("Bearer {token}"))
}

/// The error in the challenge to a client that is refused with 401.
fn error(opening: &Opening) -> String {
    let refusal = opening.refused();
    assert_eq!(refusal.status(), 401);
    let challenge = refusal.head.get("www-authenticate").unwrap();
    let error = challenge.strip_prefix(r#"Bearer realm="users", error="invalid_token", error_description=""#);
    error.and_then(|error| error.strip_suffix('"')).unwrap_or_else(|| panic!("{challenge}")).to_owned()
}

#[test]
fn a_valid_token_is_accepted_and_others_are_refused_with_the_reason() {
    let upstream = TestUpstream::echo();
    let (_folder, _file, settings) = users(&upstream.url(), r#"["authorization"]"#);
    let settings = settings.with(
        r#"upstream.echo.headers = { x-user = "${session.subject}", x-role = "${session.claims.role}" }"#,
    );
    let proxy = Proxy::start(&settings).expect("client refused");
    let mut client = bearer(&proxy, &token(FIRST, r#", "role": "a\r\nx: y""#, 60)).open();
    assert_eq!(client.ask("a"), "a");
    let head = upstream.head(0);
    assert_eq!(
        (head.get("x-user").as_deref(), head.get("x-role").as_deref()),
        (Some("7"), Some("a%0D%0Ax: y"))
    );
    let good = token(FIRST, "", 60);
    let [header, claims, _] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let unsigned = encoded(r#"{"alg": "none"}"#);
    for (token, expected) in [
        (token(FIRST, "", -2), "token expired"),
        (token(FIRST, &format!(r#", "nbf": {}"#, now() + 60), 60), "token not valid yet"),
        (token(SECOND, "", 60), "wrong signature"),
        (format!("{unsigned}.{claims}."), "algorithm not allowed"),
        (format!("{header}.{claims}."), "wrong signature"),
        (format!("{header}.{claims}"), "malformed token"),
        (token(FIRST, r#", "sub": "8""#, 60), "malformed token"),
        ("x".repeat(8000), "malformed token"),
    ] {
        assert_eq!(error(&bearer(&proxy, &token)), expected);
    }
    assert_eq!(upstream.connections(), 1);
    proxy.wait_log("client refused *status=401 reason=\"invalid credential\" cause=\"token expired\"");
}

/// The leeway accepts a token after its expiry, but a session of it would end at once.
#[test]
fn a_token_whose_session_would_be_over_costs_the_upstream_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, FIRST).unwrap();
    let path = format!("/?token={}", token(FIRST, "", -5));
    for (skew, is_accepted) in [("0s", false), ("4s", false), ("10m", true)] {
        let upstream = TestUpstream::echo();
        let settings = Settings::plain(&upstream.url())
            .with(r#"auth.users.from = ["query:token"]"#)
            .with(&format!(
                r#"auth.users.jwt = {{ secret_file = {file:?}, audience = ["chat"], leeway = "10m" }}"#
            ))
            .on_route(r#"auth = ["users"]"#)
            .on_route(r#"origins = ["*"]"#)
            .on_route("forward_http = true")
            .on_route(&format!(r#"session_expiry = {{ skew = "{skew}" }}"#));
        let proxy = Proxy::start(&settings).expect("client refused");
        let opening = Opening::new(proxy.addr()).path(&path);
        if is_accepted {
            assert_eq!(opening.open().ask("a"), "a");
            continue;
        }
        assert_eq!(error(&opening), "token expired");
        assert_eq!(get(proxy.addr(), &path).0, 401);
        assert_eq!(upstream.connections(), 0);
    }
}

/// All clients have one address behind a balancer that is not in `trusted_proxies`.
#[test]
fn wrong_tokens_do_not_lock_out_other_clients_of_their_address() {
    let upstream = TestUpstream::echo();
    let (_folder, _, settings) = users(&upstream.url(), r#"["authorization"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for _ in 0..80 {
        assert_eq!(error(&bearer(&proxy, &token(SECOND, "", 60))), "wrong signature");
    }
    assert_eq!(bearer(&proxy, &token(FIRST, "", 60)).open().ask("a"), "a");
}

#[test]
fn a_file_of_keys_is_read_again_and_a_wrong_one_is_not_used() {
    let upstream = TestUpstream::echo();
    let (folder, file, settings) = users(&upstream.url(), r#"["authorization"]"#);
    let proxy = Proxy::start(&settings).expect("client refused").expect("keys refused");
    let mut client = bearer(&proxy, &token(FIRST, "", 60)).open();
    assert_eq!(error(&bearer(&proxy, &token(SECOND, "", 60))), "wrong signature");
    fs::write(&file, "short").unwrap();
    proxy.wait_log("keys refused auth=users *reason=\"has a secret of less than 32 bytes\"");
    assert_eq!(bearer(&proxy, &token(FIRST, "", 60)).open().ask("a"), "a");
    // As Kubernetes and editors do it: another file takes the place of the old one.
    let other = folder.path().join("other");
    fs::write(&other, SECOND).unwrap();
    fs::rename(&other, &file).unwrap();
    proxy.wait_log("keys changed auth=users *keys=1");
    assert_eq!(bearer(&proxy, &token(SECOND, "", 60)).open().ask("a"), "a");
    assert_eq!(error(&bearer(&proxy, &token(FIRST, "", 60))), "wrong signature");
    assert_eq!(client.ask("still here"), "still here");
}

/// Everything that a client can read, and everything in the log of all crates at the finest level.
#[test]
fn no_credential_occurs_in_any_output() {
    let upstream = TestUpstream::echo();
    let from =
        r#"["authorization", "subprotocol:bearer.", "cookie:session", "query:token", "header:x-token"]"#;
    let (_folder, _file, settings) = users(&upstream.url(), from);
    let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let settings = settings
        .with(r#"auth.users.forward_as = "authorization""#)
        .with(r#"auth.partners.from = ["header:x-api-key"]"#)
        .with(&format!("auth.partners.api_keys.keys = {{ a = {hash:?} }}"))
        .on_route(r#"auth = ["users", "partners"]"#)
        .route(&[r#"path = "/down""#, r#"upstream = "down""#, r#"auth = ["users"]"#, r#"origins = ["*"]"#])
        .upstream("down", "ws://127.0.0.1:1");
    let text = settings.text();
    let (chat, down) = text.split_at(text.rfind("[[route]]").unwrap());
    let chat = chat.replace("[[route]]", &format!("{down}[[route]]"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("towline.toml"), chat).unwrap();
    let program =
        Program::start(&["run", "--config", "towline.toml"], &[("RUST_LOG", "trace")], folder.path());
    let line = program.wait_log("listening listener=ws address=*");
    let addr = line.rsplit_once("address=").unwrap().1.trim().parse().unwrap();
    let (good, expired, forged) = (token(FIRST, "", 60), token(FIRST, "", -60), token(SECOND, "", 60));
    let key = "planted-api-key";
    let mut seen = String::new();
    for token in [&good, &expired, &forged, &"planted-garbage".to_owned()] {
        for path in ["/", "/down"] {
            let new = || Opening::new(addr);
            for opening in [
                new().path(path).header("Authorization", &format!("Bearer {token}")),
                new().path(path).protocols(&format!("bearer.{token}, chat")),
                new().path(path).header("Cookie", &format!("a=1; session={token}")),
                new().path(&format!("{path}?a=1&token={token}&b=2")),
                new().path(path).header("X-Token", token),
                new().path(path).header("X-Api-Key", key),
                new().path(path).header("X-Token", token).header("X-Token", token),
            ] {
                match opening.try_open() {
                    Ok(mut client) => seen += &client.ask("hello"),
                    Err(refusal) => seen += &format!("{refusal:?}"),
                }
            }
        }
    }
    program.signal("TERM");
    program.wait_log("stopped");
    seen += &program.log().join("\n");
    assert!(seen.contains("TRACE") && seen.contains("token expired") && seen.contains("hello"), "{seen}");
    let parts = [&good, &expired, &forged].into_iter().flat_map(|token| token.split('.').skip(1));
    for secret in parts.chain([key, "planted-garbage", FIRST, &hash[7..]]) {
        let found = seen.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} is in the output");
    }
}
