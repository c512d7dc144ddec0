//! Tests of messages by which clients renew their credentials.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::harness::*;

/// The secret with which tokens are signed.
const SECRET: &str = "planted-secret-with-thirty-two-bytes-or-more";

/// The hashes of `1` and `2`.
const KEYS: &str = "{ one = \"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b:team=a,exp=4000000000\", \
                    two = \"sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35\" }";

/// Settings of a route whose clients renew by messages such as `{"type":"auth.renew","auth":{"token":"1"}}`.
fn renewable(settings: Settings) -> Settings {
    settings
        .with(r#"auth.keys.from = ["header:X-Key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {KEYS}"))
        .with(r#"auth.keys.renew = { path = "type", value = "auth.renew", token = "auth.token" }"#)
        .on_route(r#"auth = ["keys"]"#)
}

fn open(proxy: &Proxy) -> Client {
    Opening::new(proxy.addr()).header("X-Key", "1").open()
}

fn renewal(token: &str) -> String {
    format!(r#"{{"type":"auth.renew","auth":{{"token":"{token}"}}}}"#)
}

fn acknowledgement(event: usize) -> Value {
    let at = "2096-10-02T07:06:40Z";
    json!({
        "notice": "session renewed",
        "event_id": format!("1:0:{event}"),
        "expiry": { "at": at, "closes_at": at }
    })
}

#[test]
fn a_renewal_is_acknowledged_and_never_forwarded() {
    for settings in [Settings::stream, Settings::request, Settings::json, Settings::plain] {
        let upstream = TestUpstream::echo();
        let proxy = Proxy::start(&renewable(settings(&upstream.url())));
        let mut client = open(&proxy);
        assert_eq!(client.ask("1"), "1");
        client.text(&renewal("1"));
        // A push of the upstream has a number too.
        let acknowledged = client.recv_json();
        let event: usize = acknowledged["event_id"].as_str().unwrap()[4..].parse().unwrap();
        assert!(matches!(event, 1 | 2));
        assert_eq!(acknowledged, acknowledgement(event));
        assert_eq!(client.ask("2"), "2");
        assert_eq!(upstream.conn(0).texts(), ["1", "2"]);
        proxy.wait_log("session renewed session=1:0");
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert!(account.is_balanced() && account.accepted == 3 && account.errored == 0, "{account:?}");
    }
}

#[test]
fn a_wrong_renewal_gets_an_error_with_its_reason_and_changes_nothing() {
    let upstream = TestUpstream::echo();
    // A client that renews knows the answers to it, with and without error replies.
    for settings in [Settings::request, Settings::plain] {
        let settings = renewable(settings(&upstream.url())).with(r#"log.level = "trace""#);
        let proxy = Proxy::start(&settings);
        let mut client = open(&proxy);
        let received = upstream.received();
        for (number, (message, reason)) in [
            (renewal("planted-secret"), "unknown key"),
            (renewal("2"), "another subject"),
            (renewal(""), "no credential"),
            (r#"{"type":"auth.renew"}"#.to_owned(), "no credential"),
            (r#"{"type":"auth\u002erenew","auth":{"token":"planted-secret"}}"#.to_owned(), "unknown key"),
        ]
        .into_iter()
        .enumerate()
        {
            client.text(&message);
            assert_eq!(
                client.recv_error(),
                (format!("Error renewing session: {reason}"), format!("1:0:{number}"))
            );
        }
        assert_eq!(upstream.received(), received);
        assert_eq!(client.ask("still here"), "still here");
        proxy.wait_log("renewal refused session=1:0 reason=\"another subject\"");
        let log = proxy.log().join("\n");
        assert!(!log.contains("planted-secret"), "{log}");
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert!(account.is_balanced() && account.errored == 5, "{account:?}");
    }
}

#[test]
fn a_renewal_under_traffic_loses_and_reorders_nothing() {
    const MESSAGES: usize = 2000;
    for settings in [Settings::stream, Settings::request] {
        let upstream = TestUpstream::echo();
        let proxy = Proxy::start(&renewable(settings(&upstream.url())));
        let mut client = open(&proxy);
        let mut sender = client.sender();
        let writer = std::thread::spawn(move || {
            for number in 0..MESSAGES {
                if number % 600 == 300 {
                    std::io::Write::write_all(&mut sender, &Frame::client(TEXT, renewal("1")).bytes())
                        .unwrap();
                }
                let frame = Frame::client(TEXT, number.to_string());
                std::io::Write::write_all(&mut sender, &frame.bytes()).unwrap();
            }
        });
        let (mut next, mut renewed) = (0, 0);
        while next < MESSAGES || renewed < 3 {
            let text = client.recv_text();
            match text.parse::<usize>() {
                Ok(number) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                Err(_) => {
                    assert!(text.contains("session renewed"), "{text}");
                    renewed += 1;
                }
            }
        }
        writer.join().unwrap();
        assert_eq!((renewed, upstream.received()), (3, MESSAGES));
        client.close(1000, "");
        let account = proxy.account("1:0");
        assert!(account.is_balanced() && account.accepted == MESSAGES + 3, "{account:?}");
    }
}

#[test]
fn too_many_renewals_are_refused_one_by_one() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&renewable(Settings::stream(&upstream.url())));
    let mut client = open(&proxy);
    (0..20).for_each(|_| client.text(&renewal("1")));
    client.text("end");
    let (mut renewed, mut refused) = (0, 0);
    loop {
        match client.recv_text() {
            text if text == "end" => break,
            text if text.contains("session renewed") => renewed += 1,
            text => {
                assert!(text.contains("too many renewals") || text.contains("has no answer yet"), "{text}");
                refused += 1;
            }
        }
    }
    assert!(renewed >= 1 && refused >= 1 && renewed + refused == 20, "{renewed} {refused}");
    assert_eq!(upstream.conn(0).texts(), ["end"]);
}

/// A token with these claims and this expiry, in seconds since 1970.
fn token(secret: &str, claims: &str, expires: u64) -> String {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let claims = format!(r#"{{"exp":{expires},{claims}}}"#);
    let signed = format!("{}.{}", encoded(br#"{"alg":"HS256"}"#), encoded(claims.as_bytes()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", encoded(mac.as_ref()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Settings of a route that accepts tokens signed with `SECRET`.
fn with_tokens(settings: Settings, folder: &Path) -> Settings {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET).unwrap();
    settings
        .with(&format!("auth.users.jwt = {{ secret_file = {file:?}, leeway = \"0s\" }}"))
        .with(r#"auth.users.renew = { path = "type", value = "auth.renew", token = "auth.token" }"#)
        .on_route(r#"auth = ["users"]"#)
        .on_route(r#"require = { scope = ["chat"] }"#)
        .on_route(r#"session_expiry = { lead = "3s" }"#)
}

fn with_token(proxy: &Proxy, token: &str) -> Client {
    Opening::new(proxy.addr()).header("Authorization", &format!("Bearer {token}")).open()
}

/// Half of the clients renew when they get their notice. They stay connected, the others are closed.
#[test]
fn a_session_that_is_renewed_is_not_closed() {
    const SESSIONS: u64 = 40;
    let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
    let proxy = Proxy::start(&with_tokens(Settings::request(&upstream.url()), folder.path()));
    // Time to open all sessions on a busy machine.
    let expires = now() + 14;
    let of = |number: u64| format!(r#""sub":"{number}","scope":"chat""#);
    let clients: Vec<_> = (0..SESSIONS)
        .map(|number| (number, with_token(&proxy, &token(SECRET, &of(number), expires + number % 2))))
        .collect();
    let sessions: Vec<_> = clients
        .into_iter()
        .map(|(number, mut client)| {
            let renewed = token(SECRET, &of(number), expires + 600);
            std::thread::spawn(move || {
                assert_eq!(client.ask("before"), "before");
                // A client waits at most `PATIENCE` for a message.
                pause(Duration::from_secs((expires - 5).saturating_sub(now())));
                assert_eq!(client.recv_json()["error"], "session expires");
                if number % 4 < 2 {
                    client.expect_closed(1008);
                    return false;
                }
                client.text(&renewal(&renewed));
                let acknowledged = client.recv_json();
                assert_eq!(acknowledged["notice"], "session renewed", "{acknowledged}");
                while now() < expires + 4 {
                    assert_eq!(client.ask("during"), "during");
                    pause(Duration::from_millis(50));
                }
                client.close(1000, "");
                true
            })
        })
        .collect();
    let renewed = sessions.into_iter().map(|session| session.join().unwrap());
    let renewed = renewed.filter(|renewed| *renewed).count() as u64;
    assert_eq!(renewed, SESSIONS / 2);
    wait_for("the ends", PATIENCE, || proxy.count_log("session closed session=") as u64 == SESSIONS);
    println!(
        "sessions={SESSIONS} renewed={renewed} closed with 1008={}",
        proxy.count_log("session closed session=*code=1008 ")
    );
    assert_eq!(proxy.count_log("session closed session=*code=1008 ") as u64, SESSIONS - renewed);
    assert_eq!(proxy.count_log("session closed session=*code=1000 ") as u64, renewed);
}

#[test]
fn a_renewed_token_has_its_own_claims_and_rights() {
    let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
    let settings = with_tokens(Settings::json(&upstream.url()), folder.path())
        .incoming("select $session.claims.role from in into reply;")
        .on_route(r#"log_claims = ["sub", "role"]"#);
    let proxy = Proxy::start(&settings);
    let later = now() + 600;
    let mut client = with_token(&proxy, &token(SECRET, r#""sub":"7","scope":"chat","role":"reader""#, later));
    assert_eq!(client.ask("1"), r#""reader""#);
    for (claims, expires, reason) in [
        (r#""sub":"7","iss":"https://other.test","scope":"chat","role":"admin""#, later, "another issuer"),
        (r#""sub":"7","scope":"mail","role":"admin""#, later, "not allowed"),
        (r#""sub":"7","scope":"chat","role":"admin""#, now() - 1, "token expired"),
    ] {
        client.text(&renewal(&token(SECRET, claims, expires)));
        assert_eq!(client.recv_error().0, format!("Error renewing session: {reason}"));
    }
    assert_eq!(client.ask("2"), r#""reader""#);
    client.text(&renewal(&token(SECRET, r#""sub":"7","scope":"chat","role":"writer""#, later)));
    assert_eq!(client.recv_json()["notice"], "session renewed");
    assert_eq!(client.ask("3"), r#""writer""#);
    proxy.wait_log("session renewed session=1:0 claim.sub=7 claim.role=writer");
    assert_eq!(upstream.received(), 0);
}

/// An order to close the sessions of a role must not spare a client that has got it since, nor end one that has lost it.
#[test]
fn an_operator_finds_a_client_by_the_claims_of_its_latest_credential() {
    let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
    let settings = with_tokens(Settings::json(&upstream.url()), folder.path())
        .operated()
        .on_route(r#"log_claims = ["role"]"#);
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let of = |role: &str| token(SECRET, &format!(r#""sub":"7","scope":"chat","role":"{role}""#), now() + 600);
    let mut client = with_token(&proxy, &of("reader"));
    client.text(&renewal(&of("writer")));
    assert_eq!(client.recv_json()["notice"], "session renewed");
    let list = operator.json("/api/sessions?claim=role%3Dwriter");
    assert_eq!((&list["matched"], &list["sessions"][0]["claims"]), (&json!(1), &json!({ "role": "writer" })));
    let close = |role: &str| {
        let conditions = json!({ "where": { "claim": format!("role={role}") } });
        operator.post("/api/sessions/close", &conditions).json()["matched"].clone()
    };
    assert_eq!(close("reader"), json!(0));
    assert_eq!(client.ask("1"), "1");
    wait_for("the end of the first order", PATIENCE, || close("writer") == json!(1));
    client.expect_closed(1001);
}

/// What the upstream has of a client in the handshakes before and after a renewal and the loss of its connection.
fn handshakes(settings: Settings, upstream: &TestUpstream, header: (&str, &str), new: &str) -> [Head; 2] {
    let proxy = Proxy::start(&settings).expect("connector restart");
    let mut client = Opening::new(proxy.addr()).header(header.0, header.1).open();
    assert_eq!(client.ask("1"), "1");
    client.text(&renewal(new));
    assert_eq!(client.recv_json()["notice"], "session renewed");
    upstream.kill_all(Death::Reset);
    [upstream.head(0), upstream.head(1)]
}

#[test]
fn the_next_handshake_with_the_upstream_has_the_renewed_credential() {
    let folder = tempfile::tempdir().unwrap();
    let claims = |scope: &str| format!(r#""sub":"7","scope":"{scope}""#);
    let [old, new] =
        [("chat", 60), ("chat write", 120)].map(|(scope, left)| token(SECRET, &claims(scope), now() + left));
    // The second part of each case is the header of the upstream's handshake that has the token.
    for (from, forward_as, header, value, name) in [
        (r#"["header:x-token"]"#, true, "X-Token", old.clone(), "authorization"),
        (r#"["authorization"]"#, true, "Authorization", format!("Bearer {old}"), "authorization"),
        (r#"["authorization"]"#, false, "Authorization", format!("Bearer {old}"), "authorization"),
        (r#"["cookie:token"]"#, false, "Cookie", format!("a=1; token={old}"), "cookie"),
        (r#"["header:x-token"]"#, false, "X-Token", old.clone(), "x-token"),
    ] {
        let upstream = TestUpstream::echo();
        let settings = with_tokens(Settings::request(&upstream.url()), folder.path())
            .with(&format!("auth.users.from = {from}"))
            .with(r#"upstream.echo.forward_headers = ["authorization", "cookie", "x-token"]"#)
            .with(r#"upstream.echo.headers = { x-scope = "${session.claims.scope}" }"#);
        let settings =
            if forward_as { settings.with(r#"auth.users.forward_as = "authorization""#) } else { settings };
        let heads = handshakes(settings, &upstream, (header, &value), &new);
        let [before, after] = heads.each_ref().map(|head| head.get(name).unwrap());
        assert!(before.ends_with(&old), "{from} {before}");
        assert_eq!(after, before.replace(&old, &new), "{from}");
        let scopes = heads.map(|head| head.get("x-scope").unwrap());
        assert_eq!(scopes, ["chat", "chat write"].map(str::to_owned), "{from}");
    }
}

/// A renewal that is refused leaves the credential of the handshake in force.
#[test]
fn a_refused_renewal_does_not_reach_the_upstream() {
    let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
    let settings = with_tokens(Settings::request(&upstream.url()), folder.path())
        .with(r#"auth.users.forward_as = "authorization""#);
    let proxy = Proxy::start(&settings).expect("connector restart");
    let old = token(SECRET, r#""sub":"7","scope":"chat""#, now() + 60);
    let mut client = with_token(&proxy, &old);
    assert_eq!(client.ask("1"), "1");
    client.text(&renewal(&token(SECRET, r#""sub":"8","scope":"chat""#, now() + 60)));
    assert_eq!(client.recv_error().0, "Error renewing session: another subject");
    upstream.kill_all(Death::Reset);
    assert_eq!(upstream.head(1).get("authorization"), Some(format!("Bearer {old}")));
}

/// A client that sends all its messages as binary must not send its credential to the upstream.
#[test]
fn a_binary_message_renews() {
    let upstream = TestUpstream::echo();
    for settings in [Settings::stream, Settings::json] {
        let proxy = Proxy::start(&renewable(settings(&upstream.url())));
        let mut client = open(&proxy);
        let received = upstream.received();
        client.send(Message::binary(renewal("1")));
        assert_eq!(client.recv_json()["notice"], "session renewed");
        assert_eq!(upstream.received(), received);
    }
}

/// The settings of a route whose tokens are signed with the secret in this file of the folder.
fn signed(upstream: &TestUpstream, folder: &Path, file: &str, secret: &str) -> Settings {
    let settings = with_tokens(Settings::json(&upstream.url()), folder).on_route(r#"name = "chat""#);
    std::fs::write(folder.join(file), secret).unwrap();
    settings.with(&format!("auth.users.jwt = {{ secret_file = {:?}, leeway = \"0s\" }}", folder.join(file)))
}

/// Sessions that keep their configuration after a reload are asked with another `codec`.
#[test]
fn a_key_that_a_reload_has_removed_renews_nothing() {
    const OTHER: &str = "another-secret-with-thirty-two-bytes-or-more";
    let claims = r#""sub":"7","scope":"chat""#;
    for more in [r#"listener.ws.ping_interval = "20s""#, r#"listener.ws.codec = "string""#] {
        let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
        let proxy = Proxy::start(&signed(&upstream, folder.path(), "secret", SECRET));
        let mut client = with_token(&proxy, &token(SECRET, claims, now() + 600));
        client.text(&renewal(&token(SECRET, claims, now() + 700)));
        assert_eq!(client.recv_json()["notice"], "session renewed");
        proxy.reload(&signed(&upstream, folder.path(), "other", OTHER).with(more));
        // The session may go on for a moment before it adopts the configuration.
        proxy.wait_log("sessions have adopted the configuration generation=");
        client.text(&renewal(&token(SECRET, claims, now() + 800)));
        assert_eq!(client.recv_error().0, "Error renewing session: wrong signature", "{more}");
        client.text(&renewal(&token(OTHER, claims, now() + 800)));
        assert_eq!(client.recv_json()["notice"], "session renewed", "{more}");
        assert_eq!(client.ask("1"), "1");
    }
}

#[test]
fn a_method_that_a_reload_has_removed_renews_nothing() {
    let claims = r#""sub":"7","scope":"chat""#;
    let (upstream, folder) = (TestUpstream::echo(), tempfile::tempdir().unwrap());
    let settings = signed(&upstream, folder.path(), "secret", SECRET);
    let without = Settings::json(&upstream.url()).on_route(r#"name = "chat""#).on_route(r#"origins = ["*"]"#);
    let proxy = Proxy::start(&settings);
    let mut client = with_token(&proxy, &token(SECRET, claims, now() + 600));
    assert_eq!(client.ask("1"), "1");
    proxy.reload(&without);
    proxy.wait_log("sessions have adopted the configuration generation=");
    client.text(&renewal(&token(SECRET, claims, now() + 700)));
    assert_eq!(client.recv_error().0, "Error renewing session: no longer possible");
    assert_eq!(client.ask("2"), "2");
}
