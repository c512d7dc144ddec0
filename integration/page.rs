//! The live page of the admin server: its feed, and the page in a browser.

use tungstenite::Message;

use crate::{
    harness::{
        Client, Death, Opening, Operator, PATIENCE, Proxy, Settings, TestUpstream, Value, json, wait_for,
    },
    realworld,
};

/// The number of viewers that the feed admits.
const VIEWERS_MAX: usize = 16;

/// The number of frames that the feed sends to a viewer that confirms none.
const UNCONFIRMED_MAX: usize = 4;

fn proxy(upstream: &TestUpstream) -> Proxy {
    Proxy::start(&Settings::request(&upstream.url()))
}

fn feed(proxy: &Proxy) -> Opening {
    Opening::new(proxy.admin()).path("/api/feed").header("host", &proxy.admin().to_string())
}

/// The next frame, which is confirmed.
#[track_caller]
fn frame(viewer: &mut Client) -> Value {
    let frame = viewer.recv_json();
    viewer.text("next");
    frame
}

/// Reads frames until one has what `wanted` looks for.
#[track_caller]
fn frame_with<T>(viewer: &mut Client, wanted: impl Fn(&Value) -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_secs() {
        if let Some(found) = wanted(&frame(viewer)) {
            return found;
        }
    }
    panic!("no such frame");
}

#[test]
fn the_feed_sends_everything_and_then_what_changes() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream).expect_restarts();
    let mut viewer = feed(&proxy).open();
    let full = frame(&mut viewer);
    assert_eq!(full["full"], true);
    let difference = frame_with(&mut viewer, |frame| frame.get("sample").map(|_| frame.clone()));
    assert_eq!((difference.get("full"), difference.get("history")), (None, None));

    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    frame_with(&mut viewer, |frame| (frame["sample"][0] == 1.0).then_some(()));

    upstream.stop(Death::Reset);
    let down = |frame: &Value| {
        let endpoint = frame["upstreams"][0]["endpoints"][0].clone();
        (endpoint["state"] == "down").then_some(endpoint)
    };
    let endpoint = frame_with(&mut viewer, down);
    assert_eq!(endpoint["history"].as_array().unwrap().last().unwrap()[1], "down");
    upstream.start();
    frame_with(&mut viewer, |frame| (frame["upstreams"][0]["endpoints"][0]["state"] == "up").then_some(()));

    let later = frame(&mut feed(&proxy).open());
    let history = later["upstreams"][0]["endpoints"][0]["history"].as_array().unwrap().clone();
    assert!(history.iter().any(|change| change[1] == "down"), "a later viewer sees the outage: {history:?}");
    // On a busy machine, a second attempt may fail too.
    let restarts = later["restarts"].as_array().unwrap();
    let is_first = |restart: &Value| (&restart["session"], &restart["attempt"]) == (&"1:0".into(), &1.into());
    assert!(restarts.iter().any(is_first), "{restarts:?}");
}

/// Without the order in the feed, the page never offers to call it off.
#[test]
fn the_feed_has_the_moves_that_an_operator_can_call_off() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let list = format!("[{:?}, {:?}]", upstreams[0].url(), upstreams[1].url());
    let settings = Settings::request(&upstreams[0].url()).endpoints(&list).operated();
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin()).with_token();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("a"), "a"));
    let mut viewer = feed(&proxy).open();
    let moving = |frame: &Value| frame["upstreams"][0]["endpoints"][0]["moving"].as_u64();
    assert_eq!(moving(&frame(&mut viewer)), Some(0));
    // At one a second, most have not begun.
    let order = operator.post("/api/upstreams/echo/endpoints/1/move", &json!({ "rate": 1 }));
    assert_eq!(order.status, 202, "{}", order.body);
    frame_with(&mut viewer, |frame| moving(frame).filter(|moving| *moving > 0));
    assert_eq!(operator.act("/api/upstreams/echo/endpoints/1/abort").status, 202);
    frame_with(&mut viewer, |frame| moving(frame).filter(|moving| *moving == 0));
}

/// Its supervisor has another connection, and no restart.
#[test]
fn the_feed_has_a_session_that_moved_once() {
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let list = format!("[{:?}, {{ url = {:?}, priority = 1 }}]", upstreams[0].url(), upstreams[1].url());
    let proxy = Proxy::start(&Settings::request(&upstreams[0].url()).endpoints(&list).operated());
    let operator = Operator::new(proxy.admin()).with_token();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let order = operator.act("/api/upstreams/echo/endpoints/1/move");
    assert_eq!(order.json(), json!({ "sessions": 1 }));
    proxy.wait_log("session moved session=1:0");
    let mut viewer = feed(&proxy).open();
    let supervisors = frame_with(&mut viewer, |frame| {
        let supervisors = frame["upstreams"][0]["supervisors"].as_array()?;
        let is_moved = supervisors.iter().any(|one| one["endpoint"] == json!(upstreams[1].url()));
        is_moved.then(|| supervisors.clone())
    });
    assert_eq!(supervisors.len(), 1, "{supervisors:?}");
}

/// The page shows what the log says of lost connections.
#[test]
fn the_feed_has_each_kind_of_loss() {
    let (own, named) = (TestUpstream::echo(), TestUpstream::echo());
    let program = format!(
        "define script choose script let $url = {:?}; event end; create script choose; \
         select event from in into choose; select event from choose into out;",
        named.url()
    );
    let settings = Settings::request(&own.url())
        .with(&format!("upstream.echo.allow_urls = [{:?}]", named.url()))
        .incoming(&program);
    let proxy = Proxy::start(&settings).expect("connector lost");
    let mut viewer = feed(&proxy).open();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    named.kill_all(Death::Reset);
    let loss = frame_with(&mut viewer, |frame| frame.get("restarts").map(|restarts| restarts[0].clone()));
    assert_eq!((&loss["session"], &loss["kind"]), (&json!("1:0"), &json!("connector lost")));

    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"upstream.echo.restart = { min = "50ms", max = "50ms", max_restarts = 1 }"#)
        .with(r#"upstream.echo.on_give_up = "close""#);
    let proxy =
        Proxy::start(&settings).expect_restarts().expect("connector gave up").expect("upstream ended");
    let mut viewer = feed(&proxy).open();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.stop(Death::Reset);
    let gave_up = |loss: &Value| loss["kind"] == "connector gave up";
    frame_with(&mut viewer, |frame| {
        frame["restarts"].as_array().is_some_and(|losses| losses.iter().any(gave_up)).then_some(())
    });
    let counted = proxy.scrape().sum("towline_connector_restarts_total", &[]) as u64;
    let later = frame(&mut feed(&proxy).open());
    assert_eq!(later["upstreams"][0]["restarts"], json!(counted), "giving up does not count as a restart");
    client.expect_closed(1013);
}

#[test]
fn a_page_of_another_site_gets_no_feed() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream).expect("admin request refused");
    let own = format!("http://{}", proxy.admin());
    drop(feed(&proxy).header("origin", &own).open());
    assert_eq!(feed(&proxy).header("origin", "http://evil.test").refused().status(), 403);
    assert_eq!(feed(&proxy).header("origin", "null").refused().status(), 403);
}

#[test]
fn the_number_of_viewers_is_limited() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    let mut viewers: Vec<_> = (0..VIEWERS_MAX).map(|_| feed(&proxy).open()).collect();
    let refusal = feed(&proxy).refused();
    assert_eq!(refusal.status(), 503);
    assert!(refusal.body.contains("viewers"), "{}", refusal.body);
    viewers.pop();
    wait_for("a place is free again", PATIENCE, || feed(&proxy).try_open().is_ok());
}

#[test]
fn a_viewer_that_confirms_nothing_gets_four_frames_and_is_closed() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    let mut viewer = feed(&proxy).open();
    let (frames, code, reason) = viewer.read_to_end();
    let texts = frames.iter().filter(|frame| matches!(frame, Message::Text(_))).count();
    assert_eq!((texts, code), (UNCONFIRMED_MAX, Some(1013)), "{reason}");
}

#[test]
fn a_viewer_that_sends_much_is_closed() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    let mut viewer = feed(&proxy).open();
    viewer.text(&"x".repeat(64 * 1024));
    let (_, code, _) = viewer.read_to_end();
    assert_ne!(code, Some(1000));
}

#[test]
fn the_page_comes_with_a_policy_that_forbids_everything_from_elsewhere() {
    let upstream = TestUpstream::echo();
    let proxy = proxy(&upstream);
    let operator = Operator::new(proxy.admin());
    for path in ["/", "/page/page.js", "/page/page.css", "/page/views/sessions.js"] {
        let reply = operator.get(path);
        let policy = reply.head.get("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert_eq!(
            (reply.status, reply.head.get("x-content-type-options").as_deref()),
            (200, Some("nosniff"))
        );
    }
    assert_eq!(operator.get("/page/none.js").status, 404);
}

/// The script looks at an outage, at 360 px, and at what the policy says.
#[test]
fn the_page_works_in_a_browser() {
    realworld::run_in_chromium("../page/page", 3);
}

/// The script watches sessions, finds a cause, closes a session, reloads, and does it all by keyboard.
#[test]
fn an_operator_works_with_the_page_in_a_browser() {
    realworld::run_in_chromium("../page/operate", 6);
}
