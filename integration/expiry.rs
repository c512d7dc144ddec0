//! Tests of sessions whose credential expires: the notice, the close, and the messages around it. The credentials are API
//! keys that expire.

use std::{
    collections::BTreeSet,
    fmt::Write,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ring::digest::{SHA256, digest};

use crate::harness::*;

/// The time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The value of an API key that expires at `expires`, in seconds since 1970, with these claims.
fn key(secret: &str, expires: u64, claims: &str) -> String {
    let mut hash = String::new();
    for byte in digest(&SHA256, secret.as_bytes()).as_ref() {
        write!(hash, "{byte:02x}").unwrap();
    }
    format!("sha256:{hash}:exp={expires}{claims}")
}

/// Settings of a route that accepts these keys, each with a name and a value.
fn with_keys(settings: Settings, keys: &[(String, String)]) -> Settings {
    let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    settings
        .with(r#"auth.keys.from = ["header:X-Key"]"#)
        .with(&format!("auth.keys.api_keys.keys = {{ {} }}", keys.join(", ")))
        .on_route(r#"auth = ["keys"]"#)
}

/// Settings with one key, `secret` of `client`.
fn with_key(settings: Settings, expires: u64) -> Settings {
    with_keys(settings, &[("client".to_owned(), key("secret", expires, ",team=a"))])
}

fn open(proxy: &Proxy, secret: &str) -> Client {
    Opening::new(proxy.addr()).header("X-Key", secret).open()
}

/// A time in seconds since 1970 that is far enough away to open a session.
fn soon() -> u64 {
    now().as_secs() + 8
}

/// The order comes before the notice, so the session is still there at the time at which it would have been closed.
#[test]
fn an_operator_lets_a_session_last_longer_for_the_same_subject() {
    let upstream = TestUpstream::echo();
    let expires = now().as_secs() + 10;
    let settings = with_key(Settings::request(&upstream.url()), expires)
        .on_route(r#"session_expiry = { lead = "1s", skew = "0s" }"#)
        .operated();
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let mut client = open(&proxy, "secret");
    assert_eq!(client.ask("before"), "before");
    let renew = |body: Value| operator.post("/api/sessions/1:0/renew", &body);
    renew(json!({ "subject": "other", "seconds": 600 })).expect_error(409, "the client is another subject");
    renew(json!({ "subject": "", "seconds": 600 })).expect_error(409, "the client is another subject");
    renew(json!({ "subject": "client", "seconds": 0 })).expect_error(400, "seconds = 0: takes 1 to");
    renew(json!({ "subject": "client" })).expect_error(400, "missing field `seconds`");
    let reply = renew(json!({ "subject": "client", "seconds": 600 }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let later = reply.json()["expires"].clone();
    let date = humantime::parse_rfc3339(later.as_str().unwrap()).unwrap();
    assert!(date >= UNIX_EPOCH + Duration::from_secs(expires + 590), "{later}");
    // On a slow machine, the notice of the expiry comes first.
    let notices = std::iter::from_fn(|| Some(client.recv_json()));
    let notice = notices.take(2).find(|notice| notice["notice"] == "session renewed").expect("a notice");
    assert!(notice["expiry"]["closes_at"].is_string(), "{notice}");
    assert_eq!(operator.json("/api/sessions/1:0")["expires"], later);
    renew(json!({ "subject": "client", "seconds": 60 })).expect_error(409, "expires later than that already");
    proxy.wait_log("admin action=renew peer=* target=1:0 detail=\"subject=client seconds=600\"");
    while now().as_secs() < expires + 2 {
        assert_eq!(client.ask("after"), "after");
        pause(Duration::from_millis(50));
    }
    client.close(1000, "");
    let account = proxy.account("1:0");
    assert!(account.is_balanced() && account.errored == 0, "{account:?}");
}

#[test]
fn a_session_whose_credential_never_expires_cannot_be_renewed_by_an_operator() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url()).operated());
    let proxy = proxy.expect("admin request refused");
    let operator = Operator::new(proxy.admin()).with_token();
    let _client = proxy.client();
    let order = json!({ "subject": "client", "seconds": 600 });
    wait_for("the session", PATIENCE, || operator.json("/api/sessions")["sessions"][0]["state"] == "open");
    operator.post("/api/sessions/1:0/renew", &order).expect_error(409, "no credential that expires");
    operator.post("/api/sessions/1:7/renew", &order).expect_error(404, "no session 1:7");
    Operator::new(proxy.admin())
        .post("/api/sessions/1:0/renew", &order)
        .expect_error(401, "operator's token");
}

#[test]
fn a_client_gets_a_notice_and_is_closed() {
    let upstream = TestUpstream::echo();
    for errors in [false, true] {
        let expires = soon();
        let mut settings = with_key(Settings::request(&upstream.url()), expires)
            .on_route(r#"session_expiry = { lead = "2s", skew = "1s" }"#)
            .on_route(r#"log_claims = ["sub", "team", "other"]"#);
        if errors {
            settings = settings
                .pipeline(
                    "errors",
                    r#"select {"warning": event.error, "at": event.expiry.at} from in into out;"#,
                )
                .on_route(r#"errors = ["errors"]"#)
                .with(r#"listener.ws.codec = "json""#)
                .with(r#"upstream.echo.codec = "json""#);
        }
        let proxy = Proxy::start(&settings);
        let mut client = open(&proxy, "secret");
        assert_eq!(client.ask("1"), "1");
        let notice = client.recv_json();
        let warned = now();
        assert!(warned >= Duration::from_secs(expires - 2), "{warned:?}");
        let time = |seconds: u64| {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
        };
        let expected = match errors {
            true => json!({ "warning": "session expires", "at": time(expires) }),
            false => json!({
                "error": "session expires",
                "event_id": "1:0:1",
                "expiry": { "at": time(expires), "closes_at": time(expires + 1) }
            }),
        };
        assert_eq!(notice, expected);
        assert_eq!(client.ask("2"), "2", "the session goes on");
        assert_eq!(client.expect_closed(1008), "token expired");
        assert!(now() >= Duration::from_secs(expires + 1));
        let claims = " claim.sub=client claim.team=a";
        proxy.wait_log(&format!("session opened session=1:0 *{claims}"));
        proxy.wait_log(&format!(
            "session closed session=1:0 code=1008 side=proxy reason=\"token expired\"*{claims}"
        ));
        assert!(proxy.account("1:0").is_balanced());
    }
}

#[test]
fn code_and_reason_can_be_chosen_and_a_route_without_error_replies_has_no_notice() {
    let upstream = TestUpstream::echo();
    let settings = with_key(Settings::plain(&upstream.url()), soon())
        .on_route(r#"session_expiry = { lead = "4s", code = 4401, reason = "sign in again" }"#);
    let proxy = Proxy::start(&settings);
    let mut client = open(&proxy, "secret");
    assert_eq!(client.ask("a"), "a");
    assert_eq!(client.expect_closed(4401), "sign in again");
}

#[test]
fn an_expired_key_is_refused() {
    let upstream = TestUpstream::echo();
    let settings = with_key(Settings::plain(&upstream.url()), now().as_secs() - 1);
    let proxy = Proxy::start(&settings).expect("client refused");
    assert_eq!(Opening::new(proxy.addr()).header("X-Key", "secret").refused().status(), 401);
    let line = proxy.wait_log("client refused *status=401 *cause=\"expired key\"");
    assert!(line.contains(" kind=unauthenticated total=1 "), "{line}");
}

/// How long before the expiry the clients of the run get their notice.
const LEAD: Duration = Duration::from_secs(5);

/// What one client of the run saw. Times are since 1970.
struct Seen {
    expires: Duration,
    noticed: Duration,
    closed: Duration,
    /// The messages after the notice, and whether a close frame shows that these are all.
    messages: Vec<Message>,
    complete: bool,
}

/// Waits for the notice, sends messages around the time of expiry, and waits for the close. Each message has the times
/// of expiry and of sending, in nanoseconds since 1970.
fn watch(mut client: Client, expires: u64) -> Seen {
    let expires = Duration::from_secs(expires);
    // A client waits at most `PATIENCE` for a message.
    pause(expires.saturating_sub(LEAD + Duration::from_secs(2)).saturating_sub(now()));
    let notice = client.recv_json();
    let noticed = now();
    assert_eq!(notice["error"], "session expires", "{notice}");
    let before = Duration::from_millis(20);
    pause(expires.saturating_sub(before).saturating_sub(now()));
    let mut sender = client.sender();
    while now() < expires + before {
        let text = format!("{} {}", expires.as_nanos(), now().as_nanos());
        // After the close, the connection takes no more.
        if std::io::Write::write_all(&mut sender, &Frame::client(TEXT, &text).bytes()).is_err() {
            break;
        }
        pause(Duration::from_millis(2));
    }
    let (messages, code, reason) = client.read_to_end();
    let closed = now();
    assert!(code.is_none() || (code, reason.as_str()) == (Some(1008), "token expired"), "{code:?} {reason}");
    Seen { expires, noticed, closed, messages, complete: code.is_some() }
}

/// Checks that each message that was accepted in request mode has one outcome: a reply or an error.
fn check_outcomes(seen: &Seen, account: &Account) {
    assert_eq!(account.accepted, account.answered + account.errored, "{account:?}");
    let name = |message: &Message| match serde_json::from_str::<Value>(message.to_text().unwrap()) {
        Ok(error) if error.is_object() => error["event_id"].as_str().unwrap().to_owned(),
        _ => message.to_text().unwrap().to_owned(),
    };
    let names: BTreeSet<_> = seen.messages.iter().map(name).collect();
    assert_eq!(names.len(), seen.messages.len(), "{:?}", seen.messages);
    let outcomes = account.answered + account.errored;
    assert!(if seen.complete { names.len() == outcomes } else { names.len() <= outcomes }, "{account:?}");
}

/// Settings with a route for each mode of exchange.
fn both_modes(url: &str, keys: &[(String, String)]) -> Settings {
    // A client reads nothing until its notice is due.
    with_keys(Settings::stream(url), keys)
        .with(r#"listener.ws.ping_interval = "never""#)
        .on_route(r#"path = "/stream""#)
        .on_route(r#"session_expiry = { lead = "5s" }"#)
        .upstream("asked", url)
        .with(r#"upstream.asked.exchange = "request""#)
        .route(&[
            r#"path = "/request""#,
            r#"upstream = "asked""#,
            "error_replies = true",
            r#"auth = ["keys"]"#,
        ])
        .on_route(r#"session_expiry = { lead = "5s" }"#)
}

/// Five hundred sessions, whose keys expire within ten seconds. Every second one is in request mode.
#[test]
fn five_hundred_sessions_are_warned_and_closed_in_time() {
    const SESSIONS: u64 = 500;
    let upstream = TestUpstream::echo();
    // Time to open all sessions on a busy machine.
    let first = now().as_secs() + 40;
    let expires = |number: u64| first + number / 2 % 10;
    let keys: Vec<_> = (0..SESSIONS)
        .map(|number| (format!("k{number}"), key(&format!("s{number}"), expires(number), "")))
        .collect();
    let proxy = Proxy::start(&both_modes(&upstream.url(), &keys));
    let open = |number: u64| {
        let path = if number.is_multiple_of(2) { "/stream" } else { "/request" };
        Opening::new(proxy.addr()).path(path).header("X-Key", &format!("s{number}")).open()
    };
    let clients: Vec<_> = (0..SESSIONS).map(|number| (open(number), expires(number))).collect();
    assert!(now() < Duration::from_secs(first) - LEAD, "all sessions are open before the first notice");
    let watched: Vec<_> =
        clients.into_iter().map(|(client, expires)| thread::spawn(move || watch(client, expires))).collect();
    let seen: Vec<_> = watched.into_iter().map(|thread| thread.join().unwrap()).collect();
    let late = |seen: &Seen| seen.closed.checked_sub(seen.expires).expect("no close is early");
    let slow = |seen: &Seen| seen.noticed.checked_sub(seen.expires - LEAD).expect("no notice is early");
    let (mut warned, mut closed): (Vec<_>, Vec<_>) =
        (seen.iter().map(slow).collect(), seen.iter().map(late).collect());
    warned.sort();
    closed.sort();
    let middle = SESSIONS as usize / 2;
    println!(
        "sessions={SESSIONS} warned after lead: median={:?} latest={:?}; closed after expiry: median={:?} latest={:?}",
        warned[middle],
        warned.last().unwrap(),
        closed[middle],
        closed.last().unwrap()
    );
    assert!(*closed.last().unwrap() < PATIENCE && *warned.last().unwrap() < PATIENCE);
    check_messages(&proxy, &upstream, &seen);
}

/// Checks that the upstream got only messages from before the expiry, and that each of them has one outcome.
fn check_messages(proxy: &Proxy, upstream: &TestUpstream, seen: &[Seen]) {
    let (mut received, mut outcomes, mut errored, mut complete) = (0, 0, 0, 0);
    for (number, seen) in seen.iter().enumerate() {
        let conn = upstream.conn(number);
        conn.wait_end();
        for text in conn.texts() {
            let (expires, sent) = text.split_once(' ').expect("two times");
            let [expires, sent]: [u128; 2] = [expires, sent].map(|time| time.parse().unwrap());
            assert!(sent < expires, "sent {} ns after the end", sent - expires);
            received += 1;
        }
        let account = proxy.account(&format!("1:{number}"));
        assert!(account.is_balanced() && account.unsettled == 0, "{account:?}");
        outcomes += account.accepted;
        errored += account.errored;
        if number % 2 == 1 {
            check_outcomes(seen, &account);
            complete += usize::from(seen.complete);
        }
    }
    println!(
        "messages of the upstream before expiry={received}, after expiry=0; accepted={outcomes}, of these failed={errored}; \
         sessions in request mode whose client read all outcomes={complete}"
    );
    assert!(received > 0 && complete > 0);
}
