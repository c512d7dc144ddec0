//! Messages that fail while a session with a journal moves: the connection that yields has the journal, which words
//! failures in the client's protocol.

use crate::harness::*;

/// A message for another server, which is down.
const OTHER: &str = r#"{"jsonrpc":"2.0","id":99,"method":"eth_other"}"#;

fn call(id: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)
}

/// A session whose move has begun: its connection does not become quiet, and the supervisor keeps what the client sends.
struct Moving {
    proxy: Proxy,
    operator: Operator,
    client: Client,
    upstreams: [TestUpstream; 2],
    other: TestUpstream,
    /// The number of calls that the first connection has, and the number of those that are kept.
    calls: [usize; 2],
}

impl Moving {
    fn begin(grace: &str) -> Self {
        let upstreams = [TestUpstream::silent(), TestUpstream::silent()];
        let other = TestUpstream::stopped(|_, _| {});
        let program = format!(
            "define script choose script match event of case {OTHER:?} => let $url = {:?} case _ => null end; event end; \
             create script choose; select event from in into choose; select event from choose into out;",
            other.url()
        );
        let settings = Settings::recovering("ws://unused", r#"preset = "json-rpc""#)
            .endpoints(&format!(
                "[{:?}, {{ url = {:?}, priority = 1 }}]",
                upstreams[0].url(),
                upstreams[1].url()
            ))
            .with(&format!("upstream.echo.allow_urls = [{:?}]", other.url()))
            .with(&format!("upstream.echo.move.grace = {grace:?}"))
            .with(r#"drain.grace = "1s""#)
            .on_route("error_replies = true")
            .incoming(&program)
            .operated();
        let proxy =
            Proxy::start_with(&settings, &[("RUST_LOG", "debug")]).expect_restarts().expect("connector lost");
        let operator = Operator::new(proxy.admin()).with_token();
        let client = proxy.client();
        let mut moving = Self { proxy, operator, client, upstreams, other, calls: [0, 0] };
        moving.call();
        let order = moving.operator.act("/api/upstreams/echo/endpoints/1/move");
        assert_eq!(order.json(), json!({ "sessions": 1 }));
        moving.upstreams[1].conn(0);
        while moving.calls[1] == 0 {
            moving.call();
        }
        moving
    }

    /// Makes a call, which goes to the first connection until the output is switched.
    fn call(&mut self) {
        let [sent, kept] = self.calls;
        self.client.text(&call(sent + kept + 1));
        wait_for("the call", PATIENCE, || {
            self.upstreams[0].conn(0).messages().len() > sent || self.waiting() > kept
        });
        self.calls = [self.upstreams[0].conn(0).messages().len(), self.waiting()];
    }

    /// The number of messages that the supervisor keeps.
    fn waiting(&self) -> usize {
        // A session that starts does not say it.
        let mut waiting = None;
        wait_for("the state of the session", PATIENCE, || {
            waiting = self.session()["held"]["waiting"].as_u64();
            waiting.is_some()
        });
        waiting.unwrap() as usize
    }

    fn session(&self) -> Value {
        self.operator.json("/api/sessions/1:0")
    }

    /// Sends a message for the other server, and waits until that is known to be down.
    fn fail_at_other(&mut self) {
        self.client.text(OTHER);
        wait_for("the dial of the other server", PATIENCE, || {
            let servers = self.session()["servers"].clone();
            let is_down =
                |server: &Value| server["server"] == self.other.url() && server["failure"].is_string();
            servers.as_array().is_some_and(|servers| servers.iter().any(is_down))
        });
    }
}

/// Without the journal, the message would have no outcome before the session ends.
#[test]
fn a_message_that_fails_during_a_move_has_its_outcome_when_the_session_stays() {
    let mut moving = Moving::begin("3s");
    moving.fail_at_other();
    let event = moving.calls[0] + moving.calls[1];
    let (error, id) = moving.client.recv_error();
    assert_eq!(id, format!("1:0:{event}"));
    assert!(error.starts_with(&format!("Error sending event to server {}", moving.other.url())), "{error}");
    moving.upstreams[0].conn(0).wait_messages(event);
}

#[test]
fn a_message_that_fails_during_a_move_is_worded_in_the_protocol_when_the_connection_has_yielded() {
    let mut moving = Moving::begin("1m");
    moving.fail_at_other();
    let (first, [sent, kept]) = (moving.upstreams[0].conn(0), moving.calls);
    for id in 1..=sent {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#);
        first.text(&answer);
        assert_eq!(moving.client.recv_text(), answer);
    }
    moving.upstreams[1].conn(0).wait_messages(kept);
    let error = moving.client.recv_json();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(99), &json!(-32000)), "{error}");
    let text = format!("Error sending event to server {}", moving.other.url());
    assert!(error["error"]["message"].as_str().unwrap().starts_with(&text), "{error}");
}

#[test]
fn messages_that_a_move_keeps_fail_in_the_protocol_when_the_process_ends() {
    let Moving { mut proxy, mut client, calls, upstreams: _upstreams, .. } = Moving::begin("1m");
    proxy.signal("TERM");
    let (messages, code, _) = client.read_to_end();
    assert_eq!(code, Some(1001));
    let ids: Vec<_> = messages
        .iter()
        .map(|message| {
            let error: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            assert_eq!(error["error"]["code"], -32000, "{error}");
            error["id"].as_u64().unwrap() as usize
        })
        .collect();
    assert_eq!(ids, (1..=calls[0] + calls[1]).collect::<Vec<_>>());
    assert_eq!(proxy.exit_code(), Some(0));
}
