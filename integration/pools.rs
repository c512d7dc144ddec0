//! Upstreams with several endpoints.

use std::time::{Duration, Instant};

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

/// Whether each number is within a tenth of an equal share of the sum.
fn is_even(counts: &[usize]) -> bool {
    let share = counts.iter().sum::<usize>() / counts.len();
    counts.iter().all(|count| count.abs_diff(share) * 10 <= share)
}

#[test]
fn sessions_are_spread_over_the_endpoints() {
    for balance in ["least_sessions", "round_robin", "random"] {
        let upstreams = three();
        let settings = settings(&list(upstreams.iter().zip([""; 3])))
            .with(&format!("upstream.echo.balance = {balance:?}"));
        let proxy = Proxy::start(&settings);
        let _clients: Vec<_> = (0..240).map(|_| proxy.client()).collect();
        let live = live(&upstreams);
        assert_eq!(live.iter().sum::<usize>(), 240);
        assert!(is_even(&live), "{balance}: {live:?}");
    }
}

#[test]
fn clients_with_different_hashes_are_spread_over_the_endpoints() {
    let upstreams = three();
    let settings = settings(&list(upstreams.iter().zip([""; 3])))
        .with(r#"upstream.echo.balance = "hash""#)
        .with(r#"upstream.echo.hash = "query:user""#);
    let proxy = Proxy::start(&settings);
    let addr = proxy.addr();
    let visit = |part: usize| {
        for user in (part..4000).step_by(4) {
            Opening::new(addr).path(&format!("/?user={user}")).open();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|part| _ = scope.spawn(move || visit(part))));
    let visits: Vec<_> = upstreams.iter().map(TestUpstream::handshakes).collect();
    assert_eq!(visits.iter().sum::<usize>(), 4000);
    assert!(is_even(&visits), "{visits:?}");
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
fn the_line_of_a_new_connection_names_its_endpoint() {
    let upstreams = three();
    let tiers = ["", ", priority = 1", ", priority = 2"];
    let proxy = Proxy::start(&settings(&list(upstreams.iter().zip(tiers)))).expect_restarts();
    let mut client = proxy.client();
    for (number, upstream) in upstreams.iter().enumerate() {
        let line = "connector up session=1:0 upstream=echo generation=*endpoint=";
        proxy.wait_log(&format!("{line}{}", upstream.url()));
        assert_eq!(client.ask("who?"), number.to_string());
        upstream.stop(Death::Reset);
    }
}

#[test]
fn a_lower_tier_is_used_only_while_the_upper_one_is_down() {
    let [main, spare, last] = three();
    let tiers = list([(&spare, ", priority = 1"), (&main, ""), (&last, ", priority = 2")]);
    let proxy = Proxy::start(&settings(&tiers)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("who"), "0");
    main.set(|_, _| ());
    client.text("who");
    main.conn(0).wait_messages(2);
    main.stop(Death::Reset);
    let (error, _) = client.recv_error();
    assert!(error.contains(&main.url()), "the error names the server of the connection: {error}");
    wait_for("the spare", PATIENCE, || client.ask("who") == "1");
    assert_eq!(proxy.client().ask("who"), "1");
    main.set(|conn, _| conn.text("0"));
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

#[test]
fn an_endpoint_that_refuses_connections_is_dialed_once() {
    let upstreams = three();
    upstreams[0].stop(Death::Reset);
    let proxy =
        Proxy::start(&settings(&list(upstreams.iter().zip([""; 3])))).expect("endpoint down upstream=echo");
    let _clients: Vec<_> = (0..30).map(|_| proxy.client()).collect();
    assert_eq!(live(&upstreams), [0, 15, 15]);
    proxy.wait_log("endpoint down");
    assert_eq!(proxy.count_log("endpoint down"), 1);
    assert_eq!(proxy.count_log("connector restart"), 0, "no client notices");
}

/// The endpoint accepts connections and never answers. A client waits for half of `connect_timeout` at most.
#[test]
fn an_endpoint_that_hangs_delays_few_clients() {
    let upstreams = three();
    upstreams[0].set_answer(Answer::Silent);
    let settings = settings(&list(upstreams.iter().zip([""; 3])))
        .with(r#"upstream.echo.connect_timeout = "1200ms""#)
        .on_route(r#"dial_before_accept = "5s""#);
    let proxy = Proxy::start(&settings).expect("endpoint ejected");
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    assert_eq!(live(&upstreams), [0, 20, 20]);
    assert!(clients.iter_mut().all(|client| client.ask("who") != "0"));
    // Five failures in a row eject it for 30 s.
    assert_eq!(upstreams[0].handshakes(), 5);
    proxy.wait_log(
        "endpoint ejected upstream=echo endpoint=*for=30000ms reason=\"no connection within 600ms\"",
    );
    assert_eq!(proxy.count_log("connector restart"), 0, "each client is served by its first attempt");
}

#[test]
fn a_slow_handshake_is_no_failure() {
    let [slow, other, _] = three();
    slow.set_answer(Answer::Wait);
    let proxy = Proxy::start(&settings(&list([(&slow, ""), (&other, ", priority = 1")])));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| proxy.client().ask("who"))).collect();
        wait_for("all dials", PATIENCE, || slow.handshakes() == 8);
        // A tenth of `connect_timeout`.
        pause(Duration::from_secs(1));
        slow.set_answer(Answer::Accept);
        assert!(clients.into_iter().all(|client| client.join().unwrap() == "0"));
    });
    assert_eq!(other.handshakes(), 0);
}

/// One endpoint starts and dies again and again. Each message has one outcome, and the clients of the others notice
/// nothing.
#[test]
fn an_endpoint_that_flaps_harms_only_its_own_sessions() {
    const FLAPS: usize = 8;
    let upstreams = three();
    let proxy = Proxy::start(&settings(&list(upstreams.iter().zip([""; 3])))).expect_restarts();
    let mut clients: Vec<_> = (0..30).map(|_| proxy.client()).collect();
    let mut homes: Vec<_> = clients.iter_mut().map(|client| client.ask("who")).collect();
    let mut errors = 0;
    for _ in 0..FLAPS {
        upstreams[0].stop(Death::Reset);
        for (client, home) in clients.iter_mut().zip(&mut homes) {
            let answer = client.ask("who");
            match answer.as_str() {
                "0" | "1" | "2" => *home = answer,
                error => {
                    assert!(error.contains("\"error\""), "{error}");
                    assert_eq!(home, "0", "its endpoint is up");
                    errors += 1;
                }
            }
        }
        upstreams[0].start();
        wait_for("a probe", PATIENCE, || {
            let _client = proxy.client();
            upstreams[0].live() > 0
        });
    }
    wait_for("all to be served", PATIENCE, || clients.iter_mut().all(|client| client.ask("who").len() == 1));
    println!("{errors} messages failed in {FLAPS} outages");
    wait_for("the probes to be closed", PATIENCE, || live(&upstreams).iter().sum::<usize>() == 30);
    assert!(proxy.count_log("endpoint down") <= FLAPS && errors <= 10 * FLAPS);
}

#[test]
fn an_endpoint_that_came_back_gets_few_of_the_new_sessions_at_first() {
    let upstreams = three();
    let settings = settings(&list(upstreams.iter().zip([""; 3]))).with(r#"upstream.echo.slow_start = "1h""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let _clients: Vec<_> = (0..60).map(|_| proxy.client()).collect();
    upstreams[0].stop(Death::Reset);
    wait_for("all to move", PATIENCE, || live(&upstreams) == [0, 30, 30]);
    upstreams[0].start();
    // Nobody dials it, so that the outage ends a second after the probe.
    proxy.wait_log("endpoint up upstream=echo");
    let before = live(&upstreams)[0];
    let _more: Vec<_> = (0..300).map(|_| proxy.client()).collect();
    // A tenth of the weight of each other: a twenty-first of the new sessions, which are 14.
    let got = live(&upstreams)[0] - before;
    assert!((1..=40).contains(&got), "{got} of 300");
    let [_, one, two] = live(&upstreams)[..] else { panic!("three") };
    assert!(is_even(&[one, two]), "{one} and {two}");
}

/// A session that reconnects uses one slot of `restart.rate` for each endpoint that it tries.
#[test]
fn reconnects_that_fail_over_keep_the_pace() {
    const RATE: usize = 30;
    const SESSIONS: usize = 30;
    let [main, spare, _] = three();
    let settings = settings(&list([(&main, ""), (&spare, ", priority = 1")]))
        .with("upstream.echo.ejection.failures = 0")
        .with(&format!("upstream.echo.restart = {{ max_restarts = 1000, rate = {RATE} }}"));
    let proxy = Proxy::start(&settings).expect_restarts();
    let _clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    main.set_answer(Answer::Refuse(503));
    let before = main.handshakes();
    let (mut seen, start) = (Vec::new(), Instant::now());
    main.kill_all(Death::Reset);
    wait_for("all to move", PATIENCE, || {
        seen.push((main.handshakes() + spare.handshakes() - before, start.elapsed()));
        spare.live() == SESSIONS
    });
    assert!(seen.last().unwrap().0 >= 2 * SESSIONS, "each tries both");
    assert_paced(&seen, RATE, RATE / 10 + 1);
}

/// The error for a message in flight follows the kill of its endpoint, not `reply_timeout`. docs/upstreams.md has
/// measured times.
#[test]
fn an_error_follows_a_kill_at_once() {
    let upstreams = [0, 1, 2].map(|number: usize| {
        TestUpstream::with(move |conn, message| {
            if message == Message::text("who") {
                conn.text(&number.to_string());
            }
        })
    });
    let proxy = Proxy::start(&settings(&list(upstreams.iter().zip([""; 3])))).expect_restarts();
    let mut delays = Vec::new();
    for _ in 0..50 {
        let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
        let home = |client: &mut Client| client.ask("who").parse::<usize>().unwrap();
        let Some(mut client) = clients.pop() else { panic!("three") };
        let upstream = &upstreams[home(&mut client)];
        let received = upstream.received();
        client.text("question");
        wait_for("the question", PATIENCE, || upstream.received() > received);
        let killed = Instant::now();
        upstream.kill_all(Death::Reset);
        let (error, _) = client.recv_error();
        delays.push(killed.elapsed());
        assert!(!error.contains("no reply within"), "{error}");
        assert!(clients.iter_mut().all(|client| home(client) < 3));
    }
    delays.sort();
    let (median, worst) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("error after {median:?} (median), {worst:?} (worst)");
}
