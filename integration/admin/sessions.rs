//! Tests of lists, single sessions, and closes.

use std::time::Instant;

use super::*;

/// The hash of `test`, the key of `tester`, and of `other`, the key of `other`, with their claims.
const KEYS: &str = r#"{ tester = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:team=a,level=1",
    other = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa:team=b,level=1" }"#;

fn ids(list: &Value) -> Vec<&str> {
    list["sessions"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
}

#[test]
fn sessions_are_listed_with_what_they_have_done() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    assert_eq!(first.ask("abc"), "abc");
    assert_eq!(second.ask("a"), "a");
    assert_eq!(second.ask("b"), "b");
    // The sessions may have different threads, and each of them counts after its reply.
    wait_for("the counts", PATIENCE, || {
        let list = operator.json("/api/sessions");
        [1, 2].iter().zip(list["sessions"].as_array().unwrap()).all(|(count, session)| {
            session["sent"]["messages"] == *count
                && session["answered"] == *count
                && session["unsettled"] == 0
        })
    });
    let list = operator.json("/api/sessions");
    assert_eq!((&list["total"], &list["matched"], &list["offset"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(ids(&list), ["1:0", "1:1"]);
    let session = &list["sessions"][0];
    for (key, value) in [
        ("listener", json!("ws")),
        ("route", json!("route[1]")),
        ("upstream", json!("echo")),
        ("state", json!("open")),
        ("received", json!({ "messages": 1, "bytes": 3 })),
        ("sent", json!({ "messages": 1, "bytes": 3 })),
        ("accepted", json!(1)),
        ("answered", json!(1)),
        ("unsettled", json!(0)),
        ("claims", json!({})),
    ] {
        assert_eq!(session[key], value, "{key}");
    }
    assert!(session["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{session}");
    assert_eq!(ids(&operator.json("/api/sessions?sort=received")), ["1:1", "1:0"]);
    assert_eq!(ids(&operator.json("/api/sessions?sort=age&limit=1&offset=1")), ["1:1"]);
    first.close(1000, "");
    wait_for("the end of a session", PATIENCE, || ids(&operator.json("/api/sessions")) == ["1:1"]);
}

#[test]
fn a_list_is_filtered() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .operated()
        .with(r#"auth.partners.from = ["authorization"]"#)
        .with(&format!("auth.partners.api_keys.keys = {}", KEYS.replace('\n', "")))
        .on_route(r#"auth = ["partners"]"#)
        .on_route(r#"log_claims = ["team"]"#);
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let clients = ["test", "other"]
        .map(|key| Opening::new(proxy.addr()).header("Authorization", &format!("Bearer {key}")).open());
    let found = |query: &str| ids(&operator.json(&format!("/api/sessions?{query}"))).join(" ");
    assert_eq!(operator.json("/api/sessions")["sessions"][0]["claims"], json!({ "team": "a" }));
    for (query, expected) in [
        ("listener=ws", "1:0 1:1"),
        ("route=route[1]&peer=127.0.0.0/8", "1:0 1:1"),
        ("peer=127.0.0.1", "1:0 1:1"),
        ("peer=10.0.0.0/8", ""),
        ("state=draining", ""),
        ("claim=team%3Db", "1:1"),
        // The log does not show it, so nobody can guess it.
        ("claim=level%3D1", ""),
    ] {
        assert_eq!(found(query), expected, "{query}");
    }
    let closed =
        operator.post("/api/sessions/close", &json!({ "where": { "claim": "level=1" }, "code": 1008 }));
    assert_eq!((closed.status, &closed.json()["matched"]), (202, &json!(2)));
    for mut client in clients {
        assert_eq!(client.expect_closed(1008), "closed by an operator");
    }
}

#[test]
fn a_reload_changes_which_claims_of_live_sessions_are_shown() {
    let upstream = TestUpstream::echo();
    let settings = |claim: &str| {
        Settings::request(&upstream.url())
            .operated()
            .with(r#"auth.partners.from = ["authorization"]"#)
            .with(&format!("auth.partners.api_keys.keys = {}", KEYS.replace('\n', "")))
            .on_route(r#"auth = ["partners"]"#)
            .on_route(&format!("log_claims = [{claim:?}]"))
    };
    let proxy = Proxy::start(&settings("team"));
    let operator = Operator::new(proxy.admin());
    let mut client = Opening::new(proxy.addr()).header("Authorization", "Bearer test").open();
    let claims = || operator.json("/api/sessions")["sessions"][0]["claims"].clone();
    assert_eq!(claims(), json!({ "team": "a" }));
    proxy.reload(&settings("level"));
    wait_for("the new claim", PATIENCE, || claims() == json!({ "level": "1" }));
    client.close(1000, "");
    let line = proxy.wait_log("session closed session=1:0 *claim.level=1");
    assert!(!line.contains("claim.team"), "{line}");
}

#[test]
fn one_session_shows_its_upstream_its_errors_and_its_changes() {
    let upstream = TestUpstream::silent();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect_restarts();
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    let session = operator.json("/api/sessions/1:0");
    assert_eq!((&session["oldest"], &session["unsettled"]), (&json!("1:0:0"), &json!(1)));
    assert!(session["held"]["from_client"]["limit"].as_u64().unwrap() > 0, "{session}");
    let server = &session["servers"][0];
    assert_eq!((&server["state"], &server["generation"]), (&json!("up"), &json!(1)), "{session}");
    upstream.conn(0).die(Death::Reset);
    let (error, id) = client.recv_error();
    assert_eq!(id, "1:0:0");
    proxy.wait_ups(2);
    let session = operator.json("/api/sessions/1:0");
    let failed = &session["errors"][0];
    assert_eq!((&failed["id"], &failed["stage"]), (&json!("1:0:0"), &json!("upstream")), "{session}");
    assert_eq!(failed["reason"], json!(error));
    let kinds: Vec<_> =
        session["timeline"].as_array().unwrap().iter().map(|change| &change["kind"]).collect();
    assert_eq!(kinds, ["connector restart", "connector up"], "{session}");
    let found = operator.json("/api/events/1:0:0");
    assert_eq!((&found["reason"], &found["session"]), (&json!(error), &json!("1:0")));
    operator.get("/api/events/1:0:1").expect_error(404, "event 1:0:1");
}

#[test]
fn an_operator_closes_a_session() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let order = json!({ "code": 4001, "reason": "go away" });
    let reply = operator.post("/api/sessions/1:0/close", &order);
    assert_eq!((reply.status, reply.json()), (202, json!({ "matched": 1 })));
    assert_eq!(client.expect_closed(4001), "go away");
    proxy.wait_log("session closed session=1:0 code=4001 side=operator reason=\"go away\"");
    proxy
        .wait_log("INFO *admin action=close peer=127.0.0.1:* target=1:0 detail=\"code=4001 reason=go away\"");
    wait_for("the end of the session", PATIENCE, || operator.get("/api/sessions/1:0").status == 404);
    operator.act("/api/sessions/1:0/close").expect_error(404, "no session 1:0");
}

#[test]
fn a_closed_session_first_gets_what_is_in_flight() {
    let upstream = TestUpstream::silent();
    let proxy = Proxy::start(
        &Settings::request(&upstream.url()).operated().with(r#"listener.ws.close_timeout = "9s""#),
    );
    let operator = Operator::new(proxy.admin()).with_token();
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    assert_eq!(operator.act("/api/sessions/1:0/close").status, 202);
    wait_for("the drain", PATIENCE, || operator.json("/api/sessions/1:0")["state"] == "draining");
    assert_eq!(ids(&operator.json("/api/sessions?state=draining")), ["1:0"]);
    upstream.conn(0).text("b");
    assert_eq!(client.recv_text(), "b");
    client.expect_closed(1001);
}

#[test]
fn many_sessions_are_closed_at_a_pace() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    let begin = Instant::now();
    let reply = operator.post("/api/sessions/close", &json!({ "all": true, "rate": 5 }));
    assert_eq!((reply.status, reply.json()), (202, json!({ "matched": 20, "seconds": 4.0 })));
    let again = operator.post("/api/sessions/close", &json!({ "all": true }));
    again.expect_error(409, "in progress");
    for client in &mut clients {
        client.expect_closed(1001);
    }
    assert!(begin.elapsed().as_millis() >= 3700, "{:?}", begin.elapsed());
}

#[test]
fn wrong_requests_say_what_is_allowed() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let _client = proxy.client();
    for (path, part) in [
        ("?limit=0", "limit = 0: takes 1 to 1000"),
        ("?limit=1001", "takes 1 to 1000"),
        ("?limit=x", "wrong parameter"),
        ("?sort=size", "unknown variant `size`, expected one of `id`"),
        ("?colour=red", "unknown field `colour`"),
        ("?state=asleep", "takes starting, open, draining, closing"),
        ("?peer=nowhere", "takes an address, or a network"),
        ("?claim=sub", "takes NAME=VALUE"),
        ("/x", "a session id has the form listener:number"),
        ("/1:%FF", "a session id has the form listener:number"),
    ] {
        operator.get(&format!("/api/sessions{path}")).expect_error(400, part);
    }
    let close = |body: &str, status, part| {
        operator.send("POST", "/api/sessions/close", Some(body)).expect_error(status, part);
    };
    close("{}", 400, "takes conditions in `where`, or `all`");
    close(r#"{"all": true, "where": {"route": "a"}}"#, 400, "not both");
    close(r#"{"all": true, "code": 1005}"#, 400, "takes a code that a server may send");
    close(r#"{"all": true, "rate": 0}"#, 400, "takes 1 to 10000");
    close(r#"{"where": {"colour": "red"}}"#, 400, "unknown field `colour`");
    close("[]", 400, "wrong body");
    close("{", 400, "wrong body");
    close(&format!(r#"{{"all": true, "reason": "{}"}}"#, "a".repeat(124)), 400, "at most 123 bytes");
    close(&" ".repeat(64 * 1024 + 1), 413, "the body has more than 65536 bytes");
    operator.get("/api/sessions/close").expect_error(405, "POST");
    operator.act("/api/sessions").expect_error(405, "GET, HEAD");
    assert_eq!(ids(&operator.json("/api/sessions")), ["1:0"], "nothing is closed");
}
