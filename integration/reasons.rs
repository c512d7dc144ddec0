//! Tests that error replies give the specific reason why an upstream cannot be used, if it is known. For a
//! server that is not running, they have the text of the reference system.

use crate::harness::*;

/// Settings with a delay between attempts that is longer than the test.
const ONCE: &str =
    r#"upstream.echo.restart = { min = "1h", max = "1h", max_restarts = 10, window = "2h", probe = "1h" }"#;

/// The error texts for two messages of a new session, sent one after the other.
#[track_caller]
fn reported(url: &str) -> [String; 2] {
    let settings = Settings::request(url).with(ONCE).with(r#"upstream.echo.connect_timeout = "20s""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    ["a", "b"].map(|text| {
        client.text(text);
        client.recv_error().0
    })
}

#[test]
fn a_name_without_address() {
    let url = "ws://no-such-host.invalid:81";
    let [first, second] = reported(url);
    let error = format!("Error sending event to server {url}: host name cannot be resolved");
    assert!(first.starts_with(&error), "{first}");
    assert_eq!(first, second);
}

/// The server is given by address, and by a name with addresses of both families.
#[test]
fn a_server_that_is_not_running_has_the_reference_text() {
    let port = Port::take();
    for url in [port.url(), format!("ws://localhost:{}", port.addr().port())] {
        let error = format!("Error sending event to server {url}: Trying to work with closed connection");
        assert_eq!(reported(&url), [error.clone(), error]);
    }
}

#[test]
fn a_refused_reconnect_and_a_later_loss_have_their_reasons() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.set_answer(Answer::Refuse(503));
    upstream.conn(0).die(Death::Fin);
    proxy.wait_log("connector restart session=1:0 *attempt=2 ");
    client.text("b");
    let sending = |reason: &str| format!("Error sending event to server {}: {reason}", upstream.url());
    assert_eq!(client.recv_error().0, sending("handshake refused with status 503"));
    upstream.stop(Death::Fin);
    proxy.wait_log("connector restart session=1:0 *reason=\"IO error: Connection refused");
    client.text("c");
    assert_eq!(client.recv_error().0, sending("Trying to work with closed connection"));
}

/// A server that `$url` names is dialed again only after a delay. Events that arrive earlier fail with the
/// reason of the last dial.
#[test]
fn a_chosen_server_has_its_reason_during_the_delay() {
    let (home, other) = (TestUpstream::echo(), TestUpstream::echo());
    other.set_answer(Answer::Refuse(503));
    let settings = Settings::json(&home.url())
        .with(ONCE)
        .with(&format!(r#"upstream.echo.allow_urls = ["{}"]"#, other.url()))
        .incoming(
            "define script route script let $url = event.url; event end; create script route; \
             select event from in into route; select event from route into out;",
        );
    let proxy = Proxy::start(&settings).expect("connector lost");
    let mut client = proxy.client();
    let error = format!("Error sending event to server {}: handshake refused with status 503", other.url());
    for event in ["1:0:0", "1:0:1"] {
        client.text(&format!(r#"{{"url":"{}"}}"#, other.url()));
        assert_eq!(client.recv_error(), (error.clone(), event.to_owned()));
    }
    assert_eq!(other.handshakes(), 1);
}
