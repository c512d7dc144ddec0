//! A peer that reads no more: the other side is read no more either, and nothing is lost when it reads again.

use super::*;

/// A payload that says which message it is.
fn numbered(number: usize) -> String {
    format!("{number:0>60000}")
}

/// The upstream's pushes wait in the upstream, and come in order when the client reads again.
#[test]
fn downstream() {
    const PUSHES: usize = 500;
    let mut scene = Scene::new(quick);
    let mut client = scene.proxy.client();
    let conn = scene.conn();
    let pushing = std::thread::spawn(move || (0..PUSHES).for_each(|number| conn.text(&numbered(number))));
    wait_for("the proxy to stop reading", PATIENCE, || scene.proxy.is_quiet());
    assert!(!pushing.is_finished(), "the upstream is not read while the client does not read");
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    for number in 0..PUSHES {
        assert!(client.recv_text() == numbered(number), "push {number} in its place");
    }
    pushing.join().unwrap();
    scene.goodbye(client);
    scene.nothing_is_left();
}

/// The client's messages wait in the client, and arrive in order when the upstream reads again.
#[test]
fn upstream() {
    const MESSAGES: usize = 500;
    let gate = Arc::new(Gate::default());
    let wait = Arc::clone(&gate);
    let settings = |url: &str| quick(url).with(r#"upstream.echo.exchange = "stream""#);
    let mut scene = Scene::with(settings, move |_, _| wait.wait());
    let mut client = scene.proxy.client();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        for number in 0..MESSAGES {
            sender.write_all(&Frame::client(TEXT, numbered(number)).bytes()).unwrap();
        }
    });
    let conn = scene.conn();
    conn.wait_messages(1);
    wait_for("the proxy to stop reading", PATIENCE, || scene.proxy.is_quiet());
    assert!(!sending.is_finished(), "the client is not read while the upstream does not read");
    scene.memory_is_bounded();
    scene.neighbour_is_served();
    gate.open();
    sending.join().unwrap();
    let all: Vec<_> = (0..MESSAGES).map(|number| Message::text(numbered(number))).collect();
    assert!(conn.wait_messages(MESSAGES) == all, "all, once, in order");
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.delivered), (MESSAGES, MESSAGES), "{account:?}");
    scene.nothing_is_left();
}
