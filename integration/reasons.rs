//! Error replies name the real reason why an upstream cannot be used, where it is known; the reference's text
//! stays for one that is not running (public reports, row 46).

use crate::harness::*;

/// Attempts that follow the first one come after the test.
const ONCE: &str =
    r#"upstream.echo.restart = { min = "1h", max = "1h", max_restarts = 10, window = "2h", probe = "1h" }"#;

/// What the client of a new session is told about two messages, one after the other.
#[track_caller]
fn told(url: &str) -> [String; 2] {
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
    let [first, second] = told(url);
    let error = format!("Error sending event to server {url}: host name cannot be resolved");
    assert!(first.starts_with(&error), "{first}");
    assert_eq!(first, second);
}

/// By address, and by a name with addresses of both families.
#[test]
fn a_server_that_is_not_running() {
    let port = Port::take();
    for url in [port.url(), format!("ws://localhost:{}", port.addr().port())] {
        let error = format!("Error sending event to server {url}: Trying to work with closed connection");
        assert_eq!(told(&url), [error.clone(), error]);
    }
}

#[test]
fn a_refusal_on_a_reconnect_and_a_loss_after_it() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&Settings::request(&origin.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    origin.set_door(Door::Refuse(503));
    origin.conn(0).die(Death::Fin);
    proxy.wait_log("connector restart session=1:0 *attempt=2 ");
    client.text("b");
    let sending = |reason: &str| format!("Error sending event to server {}: {reason}", origin.url());
    assert_eq!(client.recv_error().0, sending("handshake refused with status 503"));
    origin.stop(Death::Fin);
    proxy.wait_log("connector restart session=1:0 *reason=\"IO error: Connection refused");
    client.text("c");
    assert_eq!(client.recv_error().0, sending("Trying to work with closed connection"));
}

/// A server that an event names is tried again after a pause; events that come before get the same reason.
#[test]
fn another_server_during_its_pause() {
    let (home, other) = (Origin::echo(), Origin::echo());
    other.set_door(Door::Refuse(503));
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
