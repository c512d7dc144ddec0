//! What live sessions adopt between two messages.

use crate::harness::*;

/// Settings whose route answers each message by this program.
fn answering(program: &str) -> Settings {
    Settings::bare()
        .with(r#"listener.ws.bind = "127.0.0.1:0""#)
        .pipeline("answer", program)
        .route(&[r#"name = "answers""#, r#"incoming = ["answer"]"#])
}

/// Settings of a route with a name, in request mode.
fn request(upstream: &TestUpstream) -> Settings {
    Settings::request(&upstream.url()).on_route(r#"name = "chat""#)
}

/// Reloads, and waits until all live sessions have done with it.
#[track_caller]
fn reload(proxy: &Proxy, settings: &Settings, in_use: usize) -> Vec<String> {
    let changes = proxy.reload(settings);
    let log = proxy.log();
    let line = log.iter().rfind(|line| line.contains("settings reloaded")).unwrap();
    let generation = line.split_once("generation=").unwrap().1.split(' ').next().unwrap();
    proxy.wait_log(&format!(
        "sessions have adopted the configuration generation={generation} in_use={in_use}"
    ));
    changes
}

#[test]
fn programs_change_between_two_messages() {
    let program = |text: &str| format!("select {text:?} from in into reply;");
    let proxy = Proxy::start(&answering(&program("one")));
    let mut client = proxy.client();
    assert_eq!(client.ask("?"), "one");
    for text in ["two", "three"] {
        reload(&proxy, &answering(&program(text)), 1);
        assert_eq!(client.ask("?"), text);
    }
    // A program that passes every event, and one that reads metadata which the session does not have.
    reload(&proxy, &answering("select $session.id from in into reply;"), 2);
    assert_eq!((client.ask("?"), proxy.client().ask("?")), ("three".to_owned(), "1:1".to_owned()));
}

/// The actors of a session stay, and share the programs of the new list. They start where a list gets its first program.
#[test]
fn lists_of_pipelines_change_between_two_messages() {
    let upstream = TestUpstream::echo();
    let with = |incoming: &str, outgoing: &str| {
        let add = |letter: char| format!("select event + \"{letter}\" from in into out;");
        "abcdx"
            .chars()
            .fold(request(&upstream), |settings, letter| settings.pipeline(&letter.to_string(), &add(letter)))
            .on_route(&format!("incoming = [{}]", quoted(incoming)))
            .on_route(&format!("outgoing = [{}]", quoted(outgoing)))
    };
    let proxy = Proxy::start(&with("ab", "x")).expect("has no effect");
    let mut client = proxy.client();
    assert_eq!(client.ask("."), ".abx");
    let mut bare = None;
    let lists =
        [("abcd", "xd"), ("d", "c"), ("ba", "dcb"), ("a", ""), ("", "x"), ("", ""), ("cab", ""), ("c", "xa")];
    for (incoming, outgoing) in lists {
        let changes = reload(&proxy, &with(incoming, outgoing), 1);
        assert!(changes.iter().all(|change| !change.contains("live ones keep")), "{changes:?}");
        let expected = format!(".{incoming}{outgoing}");
        // This one starts without any program.
        if (incoming, outgoing) == ("", "") {
            bare = Some(proxy.client());
        }
        let mut newer = proxy.client();
        for client in [&mut client, &mut newer].into_iter().chain(&mut bare) {
            assert_eq!(client.ask("."), expected);
        }
    }
}

/// Names of one letter each, as a list in settings.
fn quoted(names: &str) -> String {
    let names: Vec<_> = names.chars().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

#[test]
fn a_program_keeps_its_state_if_its_text_stays() {
    let count = "define script count script let state = match state of case null => 1 default => state + 1 end; \
                 \"#{state}\" end; create script count; select event from in into count; \
                 select event from count into reply;";
    let proxy = Proxy::start(&answering(count));
    let mut client = proxy.client();
    assert_eq!((client.ask("?"), client.ask("?")), ("1".to_owned(), "2".to_owned()));
    reload(&proxy, &answering(count).with("listener.ws.max_sessions = 9"), 1);
    assert_eq!(client.ask("?"), "3");
    reload(&proxy, &answering(&format!("{count} ")), 1);
    assert_eq!(client.ask("?"), "1", "another program begins anew");
}

/// Pipelines that pass every event unchanged have no actors. They start in a session that runs when their programs change,
/// and a new upstream connection is attached to the last of them.
#[test]
fn pipelines_that_begin_to_change_events_start_in_live_sessions() {
    let upstream = TestUpstream::echo();
    let pass = "select event from in into out;";
    let settings = |incoming: &str, outgoing: &str, errors: &str| {
        request(&upstream)
            .pipeline("first", pass)
            .pipeline("incoming", incoming)
            .pipeline("outgoing", outgoing)
            .pipeline("errors", errors)
            .on_route(r#"incoming = ["first", "incoming"]"#)
            .on_route(r#"outgoing = ["outgoing"]"#)
            .on_route(r#"errors = ["errors"]"#)
    };
    let proxy = Proxy::start(&settings(pass, pass, pass)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    let [incoming, outgoing] = ["i ", "o "].map(|mark| format!("select {mark:?} + event from in into out;"));
    reload(&proxy, &settings(&incoming, &outgoing, r#"select "failed" from in into out;"#), 1);
    assert_eq!(client.ask("b"), "o i b");
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart");
    assert_eq!(client.ask("c"), "failed");
    upstream.start();
    proxy.wait_ups(2);
    assert_eq!(client.ask("d"), "o i d");
    reload(&proxy, &settings(pass, pass, pass), 1);
    assert_eq!(client.ask("e"), "e");
    client.close(1000, "");
    assert!(proxy.account("1:0").is_balanced());
}

#[test]
fn limits_of_the_listener_apply_to_the_next_message() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&request(&upstream));
    let [mut big, mut fast, mut idle] = [(); 3].map(|()| proxy.client());
    let long = "x".repeat(3000);
    assert_eq!(big.ask(&long), long);
    idle.ask("?");
    let limited = request(&upstream)
        .with(r#"listener.ws.max_message = "2000B""#)
        .with(r#"listener.ws.max_frame = "2000B""#)
        .with(r#"listener.ws.rate = { messages = 1, burst = "3s" }"#);
    reload(&proxy, &limited, 1);
    big.text(&long);
    big.expect_closed(1009);
    drop(big);
    wait_for("the end of the session", PATIENCE, || proxy.sessions() == 2);
    (0..3).for_each(|_| assert_eq!(fast.ask("?"), "?"));
    // On a slow machine, more than three are allowed.
    wait_for("a refused message", PATIENCE, || {
        fast.text("?");
        let answer = fast.recv();
        let is_refused = answer != Message::text("?");
        if is_refused {
            assert_eq!(error_reply(&answer).0, "Error accepting message: more messages than allowed");
        }
        is_refused
    });
    reload(&proxy, &request(&upstream).with(r#"listener.ws.idle_timeout = "300ms""#), 1);
    idle.expect_closed(1001);
}

#[test]
fn policies_of_the_upstream_apply_to_the_next_message() {
    let upstream = TestUpstream::echo();
    // Without pings, an overdue reply does not end the connection.
    let request = |upstream: &_| request(upstream).with(r#"upstream.echo.ping_interval = "never""#);
    let proxy = Proxy::start(&request(&upstream)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    reload(&proxy, &request(&upstream).with(r#"upstream.echo.reply_timeout = "200ms""#), 1);
    upstream.set(|_, _| {});
    client.text("b");
    assert!(client.recv_error().0.contains("no reply within 200ms"));
    let closing = request(&upstream).on_route("stateless = false").on_route(r#"on_upstream_loss = "close""#);
    reload(&proxy, &closing, 1);
    upstream.kill_all(Death::Reset);
    client.expect_closed(1012);
}

/// Waits until the removed endpoint drains. Returns the number of sessions that can move.
fn draining(proxy: &Proxy) -> String {
    let line = proxy.wait_log("endpoint draining upstream=echo *sessions=1 movable=");
    line.rsplit_once("movable=").unwrap().1.to_owned()
}

/// Settings with this one endpoint, whose route treats the loss of it like this.
fn losing(upstream: &TestUpstream, policy: &str) -> Settings {
    request(upstream)
        .endpoints(&format!("[{:?}]", upstream.url()))
        .on_route("stateless = false")
        .on_route(&format!("on_upstream_loss = {policy:?}"))
}

#[test]
fn sessions_move_once_their_route_keeps_its_clients() {
    let (one, two) = (TestUpstream::echo(), TestUpstream::echo());
    let proxy = Proxy::start(&losing(&one, "close"));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    reload(&proxy, &losing(&one, "keep"), 1);
    proxy.reload(&losing(&two, "keep"));
    wait_for("the session to move", PATIENCE, || two.live() == 1 && one.live() == 0);
    assert_eq!(client.ask("b"), "b");
}

#[test]
fn sessions_stay_once_their_route_does_not_keep_its_clients() {
    let (one, two) = (TestUpstream::echo(), TestUpstream::echo());
    let proxy = Proxy::start(&losing(&one, "keep"));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    reload(&proxy, &losing(&one, "close"), 1);
    // All actors of the session have adopted the settings by then.
    assert_eq!(client.ask("b"), "b");
    proxy.reload(&losing(&two, "close"));
    assert_eq!(draining(&proxy), "0");
    assert_eq!((client.ask("c"), one.live(), two.live()), ("c".to_owned(), 1, 0));
}

/// The session counts in the limit from its start on, though nothing limited its messages.
#[test]
fn a_rate_is_added_to_a_limit_on_sessions() {
    let upstream = TestUpstream::echo();
    let with = |keys: &str| {
        request(&upstream)
            .on_route(&format!("limits = [{{ by = \"header:tenant\", max_sessions = 9{keys} }}]"))
    };
    let proxy = Proxy::start(&with(""));
    let mut client = proxy.client();
    (0..9).for_each(|_| _ = client.ask("?"));
    reload(&proxy, &with(", messages = 2, burst = \"1h\""), 1);
    // A full bucket has 7200.
    reload(&proxy, &with(", messages = 1, burst = \"2s\""), 1);
    let replies = (0..20).map(|_| {
        client.text("?");
        client.recv_text()
    });
    assert!(replies.filter(|reply| reply.contains("more messages than allowed")).count() > 0);
}

#[test]
fn a_shorter_reply_timeout_ends_the_wait_of_earlier_messages() {
    let upstream = TestUpstream::with(|_, _| {});
    let with = |timeout: &str| request(&upstream).with(&format!("upstream.echo.reply_timeout = {timeout:?}"));
    let proxy = Proxy::start(&with("1h"));
    let mut client = proxy.client();
    client.text("a");
    wait_for("the message", PATIENCE, || upstream.received() == 1);
    reload(&proxy, &with("300ms"), 1);
    client.text("b");
    for number in 0..2 {
        let (text, id) = client.recv_error();
        assert!(text.contains("no reply within 300ms"), "{text}");
        assert_eq!(id, format!("1:0:{number}"));
    }
}

#[test]
fn the_lifetime_of_a_route_applies_to_its_sessions() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&request(&upstream));
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    reload(&proxy, &request(&upstream).on_route(r#"max_session_age = "1s""#), 1);
    assert_eq!(client.expect_closed(1001), "maximum session age reached");
}

#[test]
fn the_level_of_the_log_changes() {
    let proxy = Proxy::start(&answering("select 1 from in into reply;"));
    let mut client = proxy.client();
    client.ask("?");
    assert_eq!(proxy.count_log("DEBUG "), 0);
    let debug = answering("select 1 from in into reply;").with(r#"log.level = "debug""#);
    assert_eq!(proxy.reload(&debug), [r#"changed log.level "info" → "debug""#]);
    proxy.wait_log("DEBUG *session adopted the configuration session=1:0");
}

#[test]
fn a_session_that_cannot_change_keeps_its_whole_configuration() {
    let (one, two) = (TestUpstream::echo(), TestUpstream::echo());
    let proxy = Proxy::start(&request(&one)).expect("[upstream.echo] has no effect");
    let mut old = proxy.client();
    assert_eq!(old.ask("a"), "a");
    let other = request(&one)
        .upstream("two", &two.url())
        .with(r#"upstream.two.exchange = "request""#)
        .with(r#"listener.ws.max_message = "1000B""#)
        .with(r#"listener.ws.max_frame = "1000B""#)
        .on_route(r#"upstream = "two""#);
    let changes = reload(&proxy, &other, 2);
    let kept = "(takes effect for new sessions; live ones keep their configuration)";
    assert!(
        changes.contains(&format!("changed route.chat.upstream \"echo\" → \"two\" {kept}")),
        "{changes:?}"
    );
    let long = "x".repeat(2000);
    assert_eq!(old.ask(&long), long, "it keeps the limits too");
    let mut new = proxy.client();
    assert_eq!((new.ask("b"), two.live(), one.live()), ("b".to_owned(), 1, 1));
    // It adopts a configuration that suits it again.
    reload(&proxy, &request(&one).with(r#"listener.ws.idle_timeout = "300ms""#), 2);
    old.expect_closed(1001);
    new.close(1000, "");
    new.expect_closed(1000);
    wait_for("the end of the session", PATIENCE, || proxy.sessions() == 0);
    reload(&proxy, &request(&one), 1);
    wait_for("the upstream to be left", PATIENCE, || two.live() == 0);
}

#[test]
fn sessions_of_a_route_that_is_gone_or_a_listener_that_is_gone_continue() {
    let upstream = TestUpstream::echo();
    let both = request(&upstream).with(r#"listener.b.bind = "127.0.0.1:0""#);
    let proxy = Proxy::start(&both);
    let [mut a, mut b] = ["ws", "b"].map(|name| Client::connect(proxy.listener(name)));
    assert_eq!((a.ask("a"), b.ask("b")), ("a".to_owned(), "b".to_owned()));
    // The sessions of the listener that is gone adopt what its route has.
    let impatient = request(&upstream)
        .with(r#"upstream.echo.reply_timeout = "1s""#)
        .with(r#"upstream.echo.ping_interval = "never""#);
    reload(&proxy, &impatient, 1);
    upstream.set(|conn, message| {
        if message != Message::text("?") {
            conn.send(message)
        }
    });
    b.text("?");
    assert!(b.recv_error().0.contains("no reply within 1s"));
    let renamed = Settings::request(&upstream.url()).on_route(r#"name = "other""#);
    reload(&proxy, &renamed, 2);
    assert_eq!((a.ask("a"), b.ask("b")), ("a".to_owned(), "b".to_owned()));
}

#[test]
fn a_session_adopts_while_its_upstream_is_down() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&request(&upstream)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.stop(Death::Reset);
    proxy.wait_log("connector restart");
    reload(&proxy, &request(&upstream).with(r#"upstream.echo.max_in_flight = 3"#), 1);
    upstream.start();
    proxy.wait_ups(2);
    assert_eq!(client.ask("b"), "b");
    client.close(1000, "");
    assert!(proxy.account("1:0").is_balanced());
}

#[test]
fn a_reload_during_an_outage_is_no_attempt() {
    let upstream = TestUpstream::echo();
    let settings = |sessions: usize| {
        request(&upstream)
            .with(r#"upstream.echo.restart = { min = "1h", max = "1h", max_restarts = 3 }"#)
            .with(r#"upstream.echo.on_give_up = "close""#)
            .with(&format!("upstream.echo.breaker.sessions = {sessions}"))
    };
    let proxy = Proxy::start(&settings(100)).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("a"), "a");
    upstream.stop(Death::Reset);
    // Its dial is refused, so that the proxy knows that the endpoint is down.
    let other = proxy.client();
    proxy.wait_log("endpoint down");
    proxy.wait_log("connector restart session=1:1 ");
    for sessions in [100, 101, 102, 103, 104] {
        reload(&proxy, &settings(sessions), 1);
    }
    client.text("b");
    client.recv_error();
    assert_eq!((proxy.count_log("connector restart"), proxy.count_log("connector gave up")), (2, 0));
    drop(other);
    upstream.start();
    proxy.wait_log("connector up session=1:0 upstream=echo generation=2");
    assert_eq!(client.ask("c"), "c");
}
