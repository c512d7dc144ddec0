//! Upstreams with several endpoints.

use crate::harness::*;

/// Three upstreams that answer with their number.
fn three() -> [TestUpstream; 3] {
    [0, 1, 2].map(|number: usize| TestUpstream::with(move |conn, _| conn.text(&number.to_string())))
}

/// A list of these endpoints, each with more keys.
fn list<'a>(endpoints: impl IntoIterator<Item = (&'a TestUpstream, &'a str)>) -> String {
    let table = |(upstream, keys): (&TestUpstream, &str)| format!("{{ url = {:?}{keys} }}", upstream.url());
    format!("[{}]", endpoints.into_iter().map(table).collect::<Vec<_>>().join(", "))
}

fn settings(endpoints: &str) -> Settings {
    Settings::request("ws://unused").endpoints(endpoints)
}

/// The number of open connections at each.
fn live(upstreams: &[TestUpstream]) -> Vec<usize> {
    upstreams.iter().map(TestUpstream::live).collect()
}

#[test]
fn sessions_are_spread_over_the_endpoints() {
    for (balance, slack) in [("least_sessions", 2), ("round_robin", 2), ("random", 8)] {
        let upstreams = three();
        let settings = settings(&list(upstreams.iter().zip([""; 3])))
            .with(&format!("upstream.echo.balance = {balance:?}"));
        let proxy = Proxy::start(&settings);
        let _clients: Vec<_> = (0..60).map(|_| proxy.client()).collect();
        let live = live(&upstreams);
        assert_eq!(live.iter().sum::<usize>(), 60);
        assert!(live.iter().all(|count| count.abs_diff(20) <= slack), "{balance}: {live:?}");
    }
}

#[test]
fn weights_are_shares() {
    let upstreams = three();
    let settings = settings(&list(upstreams.iter().zip([", weight = 3", ", weight = 2", ""])));
    let proxy = Proxy::start(&settings);
    let _clients: Vec<_> = (0..60).map(|_| proxy.client()).collect();
    assert_eq!(live(&upstreams), [30, 20, 10]);
}

#[test]
fn the_sessions_of_an_endpoint_that_dies_go_to_the_others() {
    let upstreams = three();
    let proxy = Proxy::start(&settings(&list(upstreams.iter().zip([""; 3])))).expect_restarts();
    let mut clients: Vec<_> = (0..30).map(|_| proxy.client()).collect();
    assert_eq!(live(&upstreams), [10, 10, 10]);
    upstreams[0].stop(Death::Reset);
    wait_for("all to move", PATIENCE, || live(&upstreams) == [0, 15, 15]);
    proxy.wait_log("endpoint down upstream=echo endpoint=*reason=");
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| client.ask("who") != "0"));
    upstreams[0].start();
    let mut more = Vec::new();
    // A probe finds it, and then new sessions go to the endpoint without any.
    wait_for("new sessions at the endpoint that is back", PATIENCE, || {
        more.push(proxy.client());
        upstreams[0].live() >= 9
    });
    proxy.wait_log("endpoint up upstream=echo");
}

#[test]
fn a_lower_tier_is_used_only_while_the_upper_one_is_down() {
    let [main, spare, last] = three();
    let tiers = list([(&spare, ", priority = 1"), (&main, ""), (&last, ", priority = 2")]);
    let proxy = Proxy::start(&settings(&tiers)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("who"), "0");
    main.stop(Death::Reset);
    client.text("who");
    let (error, _) = client.recv_error();
    assert!(error.contains(&main.url()), "the error names the server of the connection: {error}");
    wait_for("the spare", PATIENCE, || client.ask("who") == "1");
    assert_eq!(proxy.client().ask("who"), "1");
    main.start();
    wait_for("the main one for new clients", PATIENCE, || proxy.client().ask("who") == "0");
    assert_eq!(client.ask("who"), "1", "a session stays where it is");
    assert_eq!(last.handshakes(), 0);
}

#[test]
fn a_client_does_not_notice_an_endpoint_that_fails_its_handshake() {
    let refusing = TestUpstream::echo();
    for answer in [Answer::Refuse(503), Answer::Garbage, Answer::Cut(40)] {
        let spare = TestUpstream::echo();
        refusing.set_answer(answer.clone());
        let tiers = list([(&refusing, ""), (&spare, ", priority = 1")]);
        let proxy = Proxy::start(&Settings::plain("ws://unused").endpoints(&tiers));
        for _ in 0..3 {
            assert_eq!(proxy.client().ask("hello"), "hello", "{answer:?}");
        }
        assert_eq!(spare.handshakes(), 3, "{answer:?}");
    }
    // A refusal of the client itself is passed on.
    refusing.set_answer(Answer::Refuse(403));
    let spare = TestUpstream::echo();
    let tiers = list([(&refusing, ""), (&spare, ", priority = 1")]);
    let proxy = Proxy::start(&settings(&tiers)).expect("client refused");
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 403);
    assert_eq!(spare.handshakes(), 0);
}

#[test]
fn an_endpoint_whose_handshakes_keep_failing_is_left_out() {
    let (broken, healthy) = (TestUpstream::echo(), TestUpstream::echo());
    broken.set_answer(Answer::Refuse(500));
    let settings = settings(&list([(&broken, ""), (&healthy, "")]))
        .with(r#"upstream.echo.ejection = { failures = 3, time = "1h" }"#);
    let proxy = Proxy::start(&settings).expect("endpoint ejected");
    let _clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    assert_eq!((broken.handshakes(), healthy.live()), (3, 20));
    proxy.wait_log("endpoint ejected upstream=echo endpoint=*for=3600000ms reason=");
}

#[test]
fn a_check_finds_an_endpoint_that_is_gone_before_a_client_does() {
    let [gone, other, _] = three();
    let settings = settings(&list([(&gone, ""), (&other, ", priority = 1")]))
        .with(r#"upstream.echo.health = { interval = "100ms", unhealthy = 1 }"#);
    let proxy = Proxy::start(&settings).expect("endpoint down");
    gone.stop_listening();
    proxy.wait_log("endpoint down upstream=echo");
    assert_eq!(proxy.client().ask("who"), "1");
    gone.start();
    wait_for("the first tier again", PATIENCE, || proxy.client().ask("who") == "0");
}

#[test]
fn clients_with_the_same_hash_go_to_the_same_endpoint_while_it_is_up() {
    let upstreams = three();
    let settings = settings(&list(upstreams.iter().zip([""; 3])))
        .with(r#"upstream.echo.balance = "hash""#)
        .with(r#"upstream.echo.hash = "header:x-user""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let ask = |user: usize| {
        let mut client = Opening::new(proxy.addr()).header("x-user", &user.to_string()).open();
        client.ask("who")
    };
    let before: Vec<_> = (0..60).map(ask).collect();
    assert_eq!((0..60).map(ask).collect::<Vec<_>>(), before);
    for number in ["0", "1", "2"] {
        let share = before.iter().filter(|at| *at == number).count();
        assert!(share >= 6, "{number} has {share} of 60");
    }
    upstreams[0].stop(Death::Fin);
    for (before, after) in before.iter().zip((0..60).map(ask)) {
        assert!(if before == "0" { after != "0" } else { after == *before }, "{before} became {after}");
    }
}
