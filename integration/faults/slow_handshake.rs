//! Fault: a peer never completes its handshake.

use super::*;

/// Many clients start a handshake and never complete it. They are refused after `handshake_timeout`, the upstream gets
/// no connection, and other clients are served meanwhile.
#[test]
fn downstream() {
    let hasty = |url: &str| quick(url).with(r#"listener.ws.handshake_timeout = "2s""#);
    let mut scene = Scene::new(hasty);
    scene.proxy = scene.proxy.expect("client refused*status=408");
    let whole = request("/", &[]);
    let slow: Vec<_> = (0..100)
        .map(|number| {
            let mut raw = Raw::connect(scene.proxy.addr());
            raw.write(&whole.as_bytes()[..number]);
            raw
        })
        .collect();
    scene.neighbour_is_served();
    let client = scene.proxy.client();
    scene.goodbye(client);
    for mut raw in slow {
        let (bytes, reset) = raw.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 408 ") && !reset, "{text}");
    }
    assert_eq!(scene.upstream.handshakes(), 2);
    scene.nothing_is_left();
}

/// The upstream sends half a response. Each dial times out. The client is served once the upstream responds.
#[test]
fn upstream() {
    let hasty = |url: &str| {
        quick(url).with(r#"upstream.echo.connect_timeout = "1s""#).on_route(r#"dial_before_accept = "100ms""#)
    };
    let scene = Scene::with(hasty, |conn, message| conn.send(message));
    scene.upstream.set_answer(Answer::Half(60));
    let mut client = scene.proxy.client();
    client.text("a");
    let reason = "no connection within 1s";
    let error = format!("Error sending event to server {}: {reason}", scene.upstream.url());
    assert_eq!(client.recv_error(), (error, "1:1:0".into()));
    scene.proxy.wait_log("connector restart session=1:1 *attempt=2 *reason=\"no connection within 1s\"");
    scene.upstream.set_answer(Answer::Accept);
    scene.proxy.wait_ups_of("1:1", 1);
    assert_eq!(client.ask("b"), "b");
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.answered, account.errored), (2, 1, 1), "{account:?}");
    scene.nothing_is_left();
}
