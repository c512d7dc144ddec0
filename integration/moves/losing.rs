//! Connections that are lost during a move.

use super::draining::EndpointsFile;
use crate::harness::*;

/// Two upstreams, of which the first one drains and the second one does not answer handshakes.
struct Dialing {
    one: TestUpstream,
    two: TestUpstream,
    file: EndpointsFile,
    settings: Settings,
}

impl Dialing {
    fn new() -> Self {
        let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
        let file = EndpointsFile::of(&[(&one, false)]);
        let settings = file.settings(Settings::request("ws://unused"));
        Self { one, two, file, settings: settings.with(r#"upstream.echo.connect_timeout = "1h""#) }
    }

    /// Has the session move to the second upstream, which does not answer yet.
    fn begin(&self) {
        self.two.set_answer(Answer::Wait);
        self.file.replace(&[(&self.one, true), (&self.two, false)]);
        wait_for("the dial for the move", PATIENCE, || self.two.handshakes() == 1);
    }
}

#[test]
fn a_session_whose_endpoint_restarts_during_its_move_takes_one_place() {
    let test = Dialing::new();
    let settings = test.settings.clone().with("upstream.echo.breaker.sessions = 2");
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("before"), "before");
    test.begin();
    test.one.kill_all(Death::Close(1001, "restarting"));
    proxy.wait_log("connector restart session=1:0");
    test.two.set_answer(Answer::Accept);
    proxy.wait_log("session moved session=1:0");
    assert_eq!(client.ask("after"), "after");
    // There are two places.
    assert_eq!(proxy.client().ask("another"), "another");
}

#[test]
fn a_client_is_closed_when_its_upstream_is_given_up_during_a_move() {
    let test = Dialing::new();
    let settings = test.settings.clone();
    let settings = settings
        .with(r#"upstream.echo.on_give_up = "close""#)
        .with(r#"upstream.echo.restart = { max_restarts = 1, min = "10ms", max = "20ms", window = "1h" }"#);
    let proxy = Proxy::start(&settings).expect_restarts().expect("connector gave up");
    let mut client = proxy.client();
    test.one.conn(0).die(Death::Reset);
    let second = test.one.conn(1);
    proxy.wait_ups(2);
    test.begin();
    second.die(Death::Reset);
    assert_eq!(client.expect_closed(1013), "upstream is not available");
}

#[test]
fn another_connection_is_dialed_if_the_one_to_move_to_has_ended() {
    let [one, two] = [TestUpstream::silent(), TestUpstream::silent()];
    let file = EndpointsFile::of(&[(&one, false)]);
    let settings = file.settings(Settings::request("ws://unused"));
    let settings = settings
        .with(r#"upstream.echo.move.grace = "60s""#)
        .with(r#"upstream.echo.restart = { min = "1h", max = "1h" }"#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    client.text("question");
    let first = one.conn(0);
    first.wait_messages(1);
    file.replace(&[(&one, true), (&two, false)]);
    two.conn(0).die(Death::Fin);
    first.text("answer");
    assert_eq!(client.recv_text(), "answer");
    assert!(matches!(first.wait_end(), End::Close(1001, _)));
    client.text("next");
    let third = two.conn(1);
    third.wait_messages(1);
    assert_eq!(third.texts(), ["next"]);
    third.text("another answer");
    assert_eq!(client.recv_text(), "another answer");
}
