//! Tests of upstreams, their endpoints, and moves of sessions.

use super::*;

/// A proxy with two endpoints, and its operator.
fn pool(upstreams: &[TestUpstream; 2]) -> (Proxy, Operator) {
    let [first, second] = upstreams;
    let list = format!("[{:?}, {:?}]", first.url(), second.url());
    let settings = Settings::request(&first.url()).endpoints(&list).operated();
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    (proxy, operator)
}

/// The endpoint with this number.
fn endpoint(operator: &Operator, number: usize) -> Value {
    operator.json("/api/upstreams")["upstreams"][0]["endpoints"][number - 1].clone()
}

fn path(endpoint: &str, action: &str) -> String {
    format!("/api/upstreams/echo/endpoints/{endpoint}/{action}")
}

#[test]
fn an_outage_is_listed_until_it_ends_and_after_it() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let (proxy, operator) = pool(&upstreams);
    let proxy = proxy.expect_restarts();
    let mut clients = [proxy.client(), proxy.client()];
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    let list = operator.json("/api/upstreams");
    assert_eq!(
        (&list["upstreams"][0]["name"], &list["upstreams"][0]["sessions"]),
        (&json!("echo"), &json!(2))
    );
    wait_for("the first observation", PATIENCE, || endpoint(&operator, 1)["since"].is_string());
    let first = endpoint(&operator, 1);
    assert_eq!((&first["url"], &first["state"]), (&json!(upstreams[0].url()), &json!("up")));
    assert_eq!((&first["sessions"], &first["moves"]["movable"]), (&json!(1), &json!(1)));
    assert_eq!((&first["last_failure"], &first["outages"]), (&Value::Null, &json!([])));
    upstreams[0].stop(Death::Reset);
    wait_for("the outage", PATIENCE, || endpoint(&operator, 1)["state"] == "down");
    let since = |endpoint: &Value| endpoint["since"].as_str().map(str::to_owned);
    wait_for("the beginning", PATIENCE, || since(&endpoint(&operator, 1)) > since(&first));
    let down = endpoint(&operator, 1);
    assert!(down["outage_seconds"].is_f64() && down["outages"][0]["seconds"].is_null(), "{down}");
    assert!(down["last_failure"]["reason"].as_str().unwrap().contains("refused"), "{down}");
    upstreams[0].start();
    wait_for("the end of the outage", PATIENCE, || endpoint(&operator, 1)["outage_seconds"].is_null());
    let up = endpoint(&operator, 1);
    assert!(up["outages"][0]["seconds"].is_f64() && up["up_seconds"].is_f64(), "{up}");
}

#[test]
fn an_operator_empties_an_endpoint_and_uses_it_again() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let (proxy, operator) = pool(&upstreams);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    assert_eq!(endpoint(&operator, 1)["sessions"], 2);
    assert_eq!(operator.post(&path("1", "drain"), &json!({ "rate": 100 })).status, 202);
    let draining = endpoint(&operator, 1);
    assert_eq!((&draining["state"], &draining["draining"]), (&json!("draining"), &json!("operator")));
    wait_for("the moves", PATIENCE, || endpoint(&operator, 1)["sessions"] == 0);
    proxy.wait_log("INFO *admin action=drain peer=* target=\"echo 1\" detail=\"rate=100\"");
    proxy.wait_log("session moved *cause=drain");
    clients.push(proxy.client());
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("b"), "b"));
    assert_eq!(endpoint(&operator, 2)["sessions"], 5);
    let url = upstreams[0].url().replace(':', "%3A").replace('/', "%2F");
    assert_eq!(operator.act(&path(&url, "undrain")).status, 202);
    assert_eq!(endpoint(&operator, 1)["state"], "up");
    let mut next = proxy.client();
    assert_eq!(next.ask("c"), "c");
    assert_eq!(endpoint(&operator, 1)["sessions"], 1);
}

#[test]
fn an_operator_moves_some_sessions_and_calls_off_others() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let (proxy, operator) = pool(&upstreams);
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    let reply = operator.post(&path("1", "move"), &json!({ "count": 2 }));
    assert_eq!((reply.status, reply.json()), (202, json!({ "sessions": 2 })));
    wait_for("the moves", PATIENCE, || endpoint(&operator, 1)["sessions"] == 18);
    proxy.wait_log("session moved *cause=operator");
    // A session that has left an endpoint can move again once its other connection is up.
    wait_for("the other connections", PATIENCE, || endpoint(&operator, 2)["moves"]["movable"] == 22);
    // At one a second, the last one has not begun, however long the first one takes.
    let reply = operator.post(&path("2", "move"), &json!({ "rate": 1 }));
    assert_eq!(reply.json(), json!({ "sessions": 22 }));
    wait_for("the first move", PATIENCE, || endpoint(&operator, 2)["sessions"].as_u64().unwrap() <= 21);
    let stay = operator.act(&path("2", "abort")).json()["sessions"].as_u64().unwrap();
    assert!((1..=21).contains(&stay), "{stay}");
    wait_for("the move that has begun", PATIENCE, || endpoint(&operator, 2)["moves"]["due"] == 0);
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("b"), "b"));
}

/// The endpoint with this number in a list that may not have all numbers.
fn numbered(operator: &Operator, number: usize) -> Value {
    let list = operator.json("/api/upstreams")["upstreams"][0]["endpoints"].clone();
    let found = list.as_array().unwrap().iter().find(|endpoint| endpoint["number"] == number);
    found.unwrap_or_else(|| panic!("no {number} in {list}")).clone()
}

/// An operator empties a server to stop it. Clients must not come back to it because the settings change meanwhile.
#[test]
fn a_drain_holds_when_the_endpoint_leaves_the_list_and_comes_back_with_another_password() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let (proxy, operator) = pool(&upstreams);
    let [first, second] = [upstreams[0].url(), upstreams[1].url()];
    let of = |list: &[&str]| Settings::request(&second).endpoints(&format!("{list:?}")).operated();
    assert_eq!(operator.act(&path("1", "drain")).json(), json!({ "usable": 1 }));
    proxy.wait_log("INFO *endpoint drained upstream=echo *moved=0 ");
    proxy.reload(&of(&[&second]));
    let gone = numbered(&operator, 1);
    assert_eq!(
        (&gone["listed"], &gone["drained_by_operator"], &gone["draining"]),
        (&json!(false), &json!(true), &json!("unlisted"))
    );
    let list = commands::output(&proxy, &["upstreams", "list"]);
    assert!(list.contains("draining (operator, unlisted)"), "{list}");
    let renamed = first.replace("ws://", "ws://me:secret@");
    proxy.reload(&of(&[&renamed, &second]));
    proxy.wait_log("INFO *endpoints listed again still drain upstream=echo drained=ws://***@*endpoints=1");
    let back = numbered(&operator, 3);
    assert_eq!((&back["state"], &back["draining"]), (&json!("draining"), &json!("operator")));
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    assert_eq!(numbered(&operator, 2)["sessions"], 3);
    operator.act(&path("1", "undrain")).expect_error(404, "no endpoint 1");
    assert_eq!(operator.act(&path("3", "undrain")).json(), json!({ "listed": true }));
    proxy.wait_log("INFO *endpoint in use again upstream=echo endpoint=ws://***@*moved=0 sessions=0");
    assert_eq!(numbered(&operator, 3)["state"], "up");
}

/// An order by number comes after a look at the list. A reload between the two must not change what it means.
#[test]
fn a_number_names_the_same_endpoint_after_a_reload() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let (proxy, operator) = pool(&upstreams);
    let second = upstreams[1].url();
    let other = TestUpstream::echo();
    proxy.reload(
        &Settings::request(&second).endpoints(&format!("[{:?}, {second:?}]", other.url())).operated(),
    );
    operator.act(&path("1", "drain")).expect_error(404, "no endpoint 1");
    assert_eq!(operator.act(&path("2", "drain")).status, 202);
    assert_eq!(numbered(&operator, 2)["url"], json!(second));
    assert_eq!(numbered(&operator, 3)["state"], "up");
}

/// An order must not empty another endpoint than the one that the operator means.
#[test]
fn endpoints_whose_urls_differ_in_a_secret_are_told_apart_by_their_numbers() {
    let upstream = TestUpstream::echo();
    let list = format!("[\"{0}/?key=first\", \"{0}/?key=second\"]", upstream.url().trim_end_matches('/'));
    let proxy = Proxy::start(&Settings::request(&upstream.url()).endpoints(&list).operated());
    let operator = Operator::new(proxy.admin()).with_token();
    let url = endpoint(&operator, 1)["url"].as_str().unwrap().to_owned();
    assert_eq!(endpoint(&operator, 2)["url"], json!(url));
    let encoded = url.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F");
    operator.act(&path(&encoded, "drain")).expect_error(409, "several endpoints are shown as ws://");
    assert_eq!(endpoint(&operator, 1)["state"], "up");
    assert_eq!(operator.act(&path("2", "drain")).status, 202);
    // Endpoints that drain come last.
    assert_eq!(
        (&endpoint(&operator, 1)["state"], &endpoint(&operator, 2)["state"]),
        (&json!("up"), &json!("draining"))
    );
}

#[test]
fn wrong_orders_say_what_is_allowed() {
    let upstream = TestUpstream::echo();
    let list = format!("[{{ url = {:?}, drain = true }}, \"ws://127.0.0.1:1\"]", upstream.url());
    let proxy = Proxy::start(&Settings::request(&upstream.url()).endpoints(&list).operated());
    let operator = Operator::new(proxy.admin()).with_token();
    operator.act("/api/upstreams/chat/endpoints/1/drain").expect_error(404, "no upstream chat");
    operator.act(&path("3", "drain")).expect_error(404, "no endpoint 3: takes its number or its URL");
    // Endpoints that drain come last.
    operator.act(&path("2", "undrain")).expect_error(409, "remove `drain = true` there");
    operator.post(&path("1", "drain"), &json!({ "rate": 0 })).expect_error(400, "rate: takes 1 to");
    operator.post(&path("1", "move"), &json!({ "count": -1 })).expect_error(400, "wrong body");
    operator.post(&path("1", "abort"), &json!({ "count": 1 })).expect_error(400, "unknown field `count`");
    operator.get(&path("1", "drain")).expect_error(405, "POST");
}

#[test]
fn an_operator_ends_the_process() {
    let upstream = TestUpstream::echo();
    let (mut proxy, operator) = operated(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let reply = operator.act("/api/drain");
    assert_eq!((reply.status, reply.json()), (202, json!({ "sessions": 1 })));
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}
