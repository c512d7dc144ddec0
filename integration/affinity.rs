//! Which endpoint a session goes to because of what its client sends.

use crate::harness::*;

/// Three upstreams that answer with their number.
fn three() -> [TestUpstream; 3] {
    [0, 1, 2].map(|number: usize| TestUpstream::with(move |conn, _| conn.text(&number.to_string())))
}

/// Settings with these endpoints.
fn settings(endpoints: &[&TestUpstream]) -> Settings {
    let urls: Vec<_> = endpoints.iter().map(|upstream| upstream.url()).collect();
    Settings::request("ws://unused").endpoints(&format!("{urls:?}"))
}

/// The URL of any endpoint stands for the upstream, not for that endpoint.
#[test]
fn an_event_that_names_an_endpoint_goes_to_the_endpoint_of_its_session() {
    let [first, second, _] = three();
    let program = format!(
        "define script s script match event of case \"named\" => let $url = {:?} default => null end; event end; \
         create script s; select event from in into s; select event from s into out;",
        second.url()
    );
    let tiers = format!("[{:?}, {{ url = {:?}, priority = 1 }}]", first.url(), second.url());
    let settings = Settings::request("ws://unused").endpoints(&tiers).incoming(&program);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    assert_eq!(client.ask("who"), "0");
    assert_eq!(client.ask("named"), "0");
    assert_eq!(second.handshakes(), 0);
}

#[test]
fn the_first_message_of_a_client_selects_its_endpoint() {
    let upstreams = three();
    let settings = settings(&upstreams.each_ref())
        .with(r#"upstream.echo.balance = "hash""#)
        .with(r#"upstream.echo.hash = "message:join.room""#)
        // The first message has as long.
        .with(r#"upstream.echo.connect_timeout = "1m""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let join = |room: usize| {
        let mut client = proxy.client();
        let at = client.ask(&format!("{{\"join\": {{\"room\": {room}}}}}"));
        assert_eq!(client.ask("another message"), at, "only the first message decides");
        at
    };
    let waiting = proxy.client();
    assert_eq!(upstreams.iter().map(TestUpstream::handshakes).sum::<usize>(), 0, "no dial without a message");
    let before: Vec<_> = (0..60).map(join).collect();
    assert_eq!((0..60).map(join).collect::<Vec<_>>(), before);
    for number in ["0", "1", "2"] {
        let share = before.iter().filter(|at| *at == number).count();
        assert!(share >= 6, "{number} has {share} of 60");
    }
    assert_eq!(proxy.client().ask("no JSON").len(), 1, "a message without the value goes anywhere");
    // A session that has lost its endpoint goes to another one, and all sessions of its room to the same.
    upstreams[0].stop(Death::Fin);
    for (before, after) in before.iter().zip((0..60).map(join)) {
        assert!(if before == "0" { after != "0" } else { after == *before }, "{before} became {after}");
    }
    drop(waiting);
}

#[test]
fn a_client_that_sends_nothing_is_connected_after_a_while() {
    let upstreams = three();
    let settings = settings(&upstreams.each_ref())
        .with(r#"upstream.echo.balance = "hash""#)
        .with(r#"upstream.echo.hash = "message""#)
        .with(r#"upstream.echo.connect_timeout = "2s""#);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client();
    wait_for("a connection", PATIENCE, || upstreams.iter().map(TestUpstream::live).sum::<usize>() == 1);
    let at = upstreams.iter().position(|upstream| upstream.live() == 1).unwrap();
    upstreams[at].conn(0).text("greeting");
    assert_eq!(client.recv_text(), "greeting");
    assert_eq!(client.ask("hello"), at.to_string());
}
