//! Tests of upstream faults on routes that close their client (`on_upstream_loss`): the client gets
//! everything that the upstream sent before, then a close frame with 1012, and nothing is left.

use super::*;

/// Settings with the defaults of stream mode and short times.
fn plain(url: &str) -> Settings {
    Settings::plain(url)
        .with(r#"listener.ws.close_timeout = "1s""#)
        .with(r#"upstream.echo.close_timeout = "1s""#)
}

/// Settings in request mode, so that three events await their replies when the fault happens.
fn requests(url: &str) -> Settings {
    plain(url)
        .with(r#"upstream.echo.exchange = "request""#)
        .on_route(r#"on_upstream_loss = "close""#)
        .on_route("error_replies = false")
}

/// Lets the upstream fail after it has received three messages and sent two. If `stalls` is true, it stops
/// reading after the third message.
#[track_caller]
fn closes_for(change: fn(Settings) -> Settings, fault: impl Fn(&Conn), stalls: bool) {
    let modes = [
        (plain as fn(&str) -> Settings, "last event sent 1:1:2", (3, 0, 3, 0)),
        (requests, "first lost event 1:1:2", (3, 2, 0, 1)),
    ];
    for (mode, what, outcomes) in modes {
        let latch = Arc::new(Latch::default());
        let wait = Arc::clone(&latch);
        let on_message = move |_: &Conn, message: Message| {
            if stalls && message == Message::text("c") {
                wait.wait();
            }
        };
        let scene = Scene::with(|url| change(mode(url)), on_message);
        let mut client = scene.proxy.client();
        three_in_flight(&scene, |text| client.text(text));
        ["A", "B"].into_iter().for_each(|text| scene.conn().text(text));
        assert_eq!([client.recv_text(), client.recv_text()], ["A", "B"]);
        fault(&scene.conn());
        assert_eq!(client.expect_closed(1012), format!("upstream connection lost; {what}"));
        let account = scene.account();
        let Account { accepted, answered, delivered, errored, .. } = account;
        assert_eq!((accepted, answered, delivered, errored), outcomes, "{account:?}");
        latch.open();
        assert_eq!(scene.proxy.count_log("connector restart"), 0);
        scene.nothing_is_left();
    }
}

fn unchanged(settings: Settings) -> Settings {
    settings
}

#[test]
fn reset() {
    closes_for(unchanged, |conn| conn.die(Death::Reset), false);
}

#[test]
fn half_close() {
    closes_for(unchanged, |conn| conn.die(Death::Fin), false);
}

#[test]
fn eof_mid_frame() {
    closes_for(unchanged, |conn| conn.die(Death::MidFrame), false);
}

#[test]
fn protocol_error() {
    closes_for(unchanged, |conn| conn.frame(&Frame::server(3, "what is this")), false);
}

#[test]
fn oversize() {
    let small = |settings: Settings| {
        settings.with(r#"upstream.echo.max_message = "1KiB""#).with(r#"upstream.echo.max_frame = "1KiB""#)
    };
    closes_for(small, |conn| conn.text(&"x".repeat(2000)), false);
}

#[test]
fn half_open() {
    let pinged = |settings: Settings| {
        settings.with(r#"upstream.echo.ping_interval = "300ms""#).with(r#"upstream.echo.ping_timeout = "2s""#)
    };
    closes_for(pinged, |_| (), true);
}
