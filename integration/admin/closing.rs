//! Tests of the order that closes many sessions.

use super::*;

const CLOSE: &str = "/api/sessions/close";
const CLOSING: &str = "/api/sessions/closing";

/// An order for all sessions, one a second.
fn slow() -> Value {
    json!({ "all": true, "code": 4000, "rate": 1 })
}

#[test]
fn an_order_is_shown_and_called_off() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    assert_eq!(operator.json(CLOSING), json!({ "order": null }));
    assert_eq!(operator.act(&format!("{CLOSING}/abort")).json(), json!({ "sessions": 0 }));
    // At this rate, the test would take an hour.
    let mut clients: Vec<_> = (0..3600).step_by(60).map(|_| proxy.client()).collect();
    assert_eq!(operator.post(CLOSE, &slow()).json()["matched"], 60);
    wait_for("the first close", PATIENCE, || operator.json(CLOSING)["order"]["closed"].as_u64() > Some(0));
    let order = operator.json(CLOSING)["order"].clone();
    let number = |name: &str| order[name].as_u64().unwrap();
    assert_eq!((&order["code"], &order["rate"], number("matched")), (&json!(4000), &json!(1), 60));
    assert_eq!(number("closed") + number("ended") + number("left"), 60, "{order}");
    operator.post(CLOSE, &slow()).expect_error(409, "another order to close sessions is in progress");
    let shown = commands::output(&proxy, &["sessions", "closing"]);
    assert!(shown.contains(" of 60 sessions closed, ") && shown.contains(" left for "), "{shown}");
    let stopped = commands::output(&proxy, &["sessions", "abort"]);
    let left = stopped.split(' ').next().unwrap();
    proxy.wait_log(&format!("close order ended reason=aborted matched=60 closed=* ended=0 left={left}"));
    assert_eq!(operator.json(CLOSING)["order"], json!(null));
    assert_eq!(
        commands::output(&proxy, &["sessions", "closing"]),
        "no order to close sessions is in progress\n"
    );
    // What is left stays open, and another order can be given.
    let live = operator.json("/api/sessions")["total"].as_u64().unwrap();
    assert!(live >= left.parse().unwrap(), "{live} live, {left} left");
    let all = json!({ "all": true, "code": 4001, "rate": 10_000 });
    assert_eq!(operator.post(CLOSE, &all).status, 202);
    proxy.wait_log("close order ended reason=done *left=0");
    wait_for("the end of all sessions", PATIENCE, || operator.json("/api/sessions")["total"] == 0);
    clients.clear();
}

/// A session whose actors do not run, here a request that is forwarded, is looked at again until it ends.
#[test]
fn an_order_waits_for_a_session_that_is_starting() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).operated().on_route("forward_http = true");
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.set_answer(Answer::Wait);
    let mut request = Raw::connect(proxy.addr());
    request.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_for("the request", PATIENCE, || operator.json("/api/sessions")["total"] == 2);
    assert_eq!(operator.post(CLOSE, &json!({ "all": true, "code": 4000 })).json()["matched"], 2);
    client.expect_closed(4000);
    let order = operator.json(CLOSING)["order"].clone();
    assert_eq!((&order["closed"], &order["ended"], &order["left"]), (&json!(1), &json!(0), &json!(1)));
    upstream.set_answer(Answer::Refuse(404));
    assert_eq!(request.head().status(), 404);
    proxy.wait_log("close order ended reason=done matched=2 closed=1 ended=1 left=0");
}

/// The description of the API has the fields of an order.
#[test]
fn an_order_is_described() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let _clients: Vec<_> = (0..60).map(|_| proxy.client()).collect();
    assert_eq!(operator.post(CLOSE, &slow()).status, 202);
    let description = operator.json("/api/openapi.json");
    let order = &operator.json(CLOSING)["order"];
    let known = &description["components"]["schemas"]["ClosingOrder"]["properties"]["order"]["properties"];
    let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(order), names(known));
}

/// The admin server of the old process ends with a hand-over, and the order does not.
#[test]
fn an_order_goes_on_after_a_hand_over() {
    let upstream = TestUpstream::echo();
    let [port, admin] = [Port::take(), Port::take()];
    let settings = Settings::request(&upstream.url())
        .operated()
        .with(&format!("listener.ws.bind = \"{}\"", port.addr()))
        .with(&format!("admin.bind = \"{}\"", admin.addr()))
        .with(r#"drain.window = "1h""#);
    let mut proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    let order = json!({ "all": true, "code": 4000, "rate": 5 });
    assert_eq!(operator.post(CLOSE, &order).json()["matched"], 20);
    proxy.signal("USR2");
    let line = proxy.wait_log("handed over process=*");
    let process = line.split_once("process=").unwrap().1.split(' ').next().unwrap().to_owned();
    proxy.wait_log("close order ended reason=done matched=20 *left=0");
    // The window is an hour long: one may have got the code of the drain by chance, and the order closes the others.
    let codes = clients.iter_mut().filter_map(|client| client.read_to_end().1);
    let ordered = codes.filter(|code| *code == 4000).count();
    assert!(ordered >= 15, "{ordered} of 20 have the code of the order");
    assert!(std::process::Command::new("kill").arg(&process).status().unwrap().success());
    assert_eq!(proxy.exit_code(), Some(0));
}
