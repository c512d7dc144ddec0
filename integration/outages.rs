//! The upstream is away for a while: how soon all sessions work again, and how it is dialed (C7).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::*;

/// The time between two messages of a client.
const INTERVAL: Duration = Duration::from_micros(2500);
const OUTAGE: Duration = Duration::from_millis(1500);
const OUTAGES: usize = 4;

/// Has one test of this file run at a time: they measure times, and start many sessions.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much later than asked this machine wakes a thread. The bounds of this file hold for a machine that is not busy; a
/// busy one wakes each of the threads between upstream and client late.
struct Lag {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// Threads that are woken one after the other between the moment when the upstream accepts and a client's answer: for the
/// probe, the dial, the handshake, the message and its answer, those of proxy, upstream and client.
const WAKES: u32 = 20;

impl Lag {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut lags = Vec::new();
            while !flag.load(SeqCst) {
                let begun = Instant::now();
                pause(INTERVAL);
                lags.push(begun.elapsed().saturating_sub(INTERVAL));
            }
            lags
        });
        Self { is_over, thread }
    }

    /// What to add to a bound for the median, and to one for the worst of many.
    fn allowances(self) -> [Duration; 2] {
        self.is_over.store(true, SeqCst);
        let mut lags = self.thread.join().unwrap();
        lags.sort();
        let [median, most] = [lags.len() / 2, lags.len() * 99 / 100].map(|at| lags[at]);
        println!("threads woke up {median:?} (median), {most:?} (99th percentile) late");
        [median, most].map(|lag| lag * WAKES)
    }
}

/// What one client saw.
#[derive(Debug, Default)]
struct Account {
    sent: usize,
    answered: usize,
    errored: usize,
    /// From the time when the upstream accepted again to the next answer, for each outage.
    recoveries: Vec<Duration>,
}

/// What the test and its clients share.
#[derive(Debug, Default)]
struct Course {
    /// The upstream accepts since then; `None` during an outage.
    accepts: Mutex<Option<Instant>>,
    /// The number of times that a client was served again.
    recoveries: AtomicUsize,
    /// Whether the clients stop.
    is_over: AtomicBool,
}

/// Asks at its pace until the course is over, and accounts for each message.
fn run(mut client: Client, course: &Course) -> Account {
    let (mut account, mut was_errored) = (Account::default(), false);
    let mut next = Instant::now();
    while !course.is_over.load(SeqCst) {
        pause(next.saturating_duration_since(Instant::now()));
        next += INTERVAL;
        client.text("question");
        account.sent += 1;
        if client.recv_text() != "question" {
            account.errored += 1;
            was_errored = true;
            continue;
        }
        account.answered += 1;
        let since = *course.accepts.lock().unwrap();
        if let (true, Some(since)) = (was_errored, since) {
            account.recoveries.push(since.elapsed());
            course.recoveries.fetch_add(1, SeqCst);
            was_errored = false;
        }
    }
    client.close(1000, "");
    account
}

#[test]
fn sessions_work_again_soon_after_each_outage() {
    let _alone = alone();
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let (course, lag) = (Arc::new(Course::default()), Lag::start());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, course) = (proxy.client(), Arc::clone(&course));
            std::thread::spawn(move || run(client, &course))
        })
        .collect();
    wait_for("all to work", PATIENCE, || upstream.received() > 100);
    for outage in 1..=OUTAGES {
        *course.accepts.lock().unwrap() = None;
        upstream.stop(Death::Reset);
        pause(OUTAGE);
        upstream.start();
        *course.accepts.lock().unwrap() = Some(Instant::now());
        wait_for("all to be served again", PATIENCE, || course.recoveries.load(SeqCst) >= 8 * outage);
        proxy.wait_ups(outage + 1);
    }
    course.is_over.store(true, SeqCst);
    let accounts: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    for account in &accounts {
        assert_eq!(account.sent, account.answered + account.errored, "{account:?}");
        assert_eq!(account.recoveries.len(), OUTAGES, "{account:?}");
    }
    let mut recoveries: Vec<_> = accounts.iter().flat_map(|account| account.recoveries.clone()).collect();
    recoveries.sort();
    let (median, worst) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    println!("served again after {median:?} (median), {worst:?} (worst)");
    let [more, most] = lag.allowances();
    // Ten times what an idle machine needs: its speed may change while the test runs.
    assert!(median <= Duration::from_secs(1) + more, "{recoveries:?}");
    assert!(worst <= Duration::from_millis(2500) + most, "{recoveries:?}");
    assert_eq!(proxy.count_log("endpoint down upstream=echo"), OUTAGES);
    assert_eq!(proxy.count_log("endpoint up upstream=echo *outage=*ms waiting="), OUTAGES);
}

#[test]
fn many_sessions_come_back_at_the_pace_of_restarts() {
    const RATE: usize = 200;
    let _alone = alone();
    let sessions = std::env::var("TOWLINE_TEST_SESSIONS").map_or(300, |count| count.parse().unwrap());
    let upstream = TestUpstream::echo();
    let restart = format!("upstream.echo.restart = {{ max_restarts = 1000, rate = {RATE} }}");
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(&restart)).expect_restarts();
    let mut clients: Vec<_> = (0..sessions).map(|_| proxy.client()).collect();
    upstream.stop(Death::Reset);
    proxy.wait_log("endpoint down upstream=echo");
    pause(Duration::from_millis(500));
    let before = upstream.handshakes();
    let start = Instant::now();
    upstream.start();
    let least = Duration::from_secs_f64(sessions as f64 / RATE as f64);
    let mut seen = Vec::new();
    wait_for("all to be back", least + PATIENCE, || {
        seen.push((upstream.handshakes() - before, start.elapsed()));
        upstream.live() == sessions
    });
    println!("{sessions} sessions after {:?}", start.elapsed());
    // A dial may begin late, but not before the upstream is back.
    assert_paced(&seen, RATE, RATE / 2);
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(proxy.count_log("endpoint up upstream=echo"), 1);
}

#[test]
fn a_client_that_comes_during_an_outage_waits_for_the_next_probe() {
    let _alone = alone();
    let upstream = TestUpstream::stopped(|conn, message| conn.send(message));
    let settings =
        Settings::plain(&upstream.url()).with(r#"upstream.echo.probe = { min = "10ms", max = "60s" }"#);
    let settings = settings.on_route(r#"on_upstream_loss = "close""#);
    let proxy = Proxy::start(&settings).expect("endpoint down").expect("client refused");
    for _ in 0..3 {
        assert_eq!(Opening::new(proxy.addr()).refused().status(), 502);
    }
    upstream.start();
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(upstream.handshakes(), 1);
}

#[test]
fn a_thousand_sessions_that_end_with_their_upstream_write_a_line_each_and_a_bounded_number_of_others() {
    const SESSIONS: usize = 1000;
    /// Most lines a second of one level about one upstream.
    const LINES_MAX: usize = 500;
    let _alone = alone();
    let upstream = TestUpstream::echo();
    let settings = Settings::plain(&upstream.url()).on_route(r#"on_upstream_loss = "close""#);
    let proxy = Proxy::start(&settings).expect_restarts();
    let clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    wait_for("all connections", PATIENCE, || proxy.count_log("connector up session=") == SESSIONS);
    let before = proxy.log().len();
    let start = Instant::now();
    upstream.stop(Death::Reset);
    let closed = || proxy.count_log("session closed *side=upstream *cause=upstream_lost");
    wait_for("a line for each session", PATIENCE, || closed() == SESSIONS);
    let others = || {
        let log = proxy.log();
        log[before..].iter().filter(|line| !line.contains("session closed")).cloned().collect::<Vec<_>>()
    };
    let ended = |lines: &[String]| lines.iter().filter(|line| line.contains("upstream ended")).count();
    wait_for("all lines to be written or counted", PATIENCE, || {
        let lines = others();
        ended(&lines) + lines.iter().map(|line| suppressed(line)).sum::<usize>() == SESSIONS
    });
    let bound = LINES_MAX * (start.elapsed().as_secs() as usize + 1);
    let others = others();
    assert!(
        ended(&others) <= bound && others.len() < SESSIONS.max(2 * bound),
        "{} lines: {:#?}",
        others.len(),
        &others[..9]
    );
    drop(clients);
}

/// Lines about restarts, and a number in the text after ` suppressed=`.
fn suppressed(line: &str) -> usize {
    line.split_once(" suppressed=").map_or(0, |(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_thousand_sessions_that_lose_their_upstream_write_a_bounded_number_of_lines() {
    const SESSIONS: usize = 1000;
    /// Most lines a second of one level about one upstream.
    const LINES_MAX: usize = 500;
    let _alone = alone();
    let upstream = TestUpstream::echo();
    // Each session is restarted once, unless the upstream comes back first.
    let restart = r#"upstream.echo.restart = { min = "5s", max = "5s", rate = 5000 }"#;
    let proxy = Proxy::start(&Settings::request(&upstream.url()).with(restart)).expect_restarts();
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| proxy.client()).collect();
    let lines = || proxy.log().into_iter().filter(|line| line.contains(" connector ")).collect::<Vec<_>>();
    let start = Instant::now();
    upstream.stop(Death::Reset);
    proxy.wait_log("endpoint down upstream=echo");
    upstream.start();
    wait_for("all to be back", PATIENCE, || upstream.live() == SESSIONS);
    // Each line is written or counted: 1000 first connections, 1000 restarts, and 1000 connections. A dial that is reset
    // while the upstream starts is one more.
    let is_summary = |line: &&String| line.contains("lines suppressed");
    wait_for("all lines to be written or counted", PATIENCE, || {
        let lines = lines();
        let counted: usize = lines.iter().map(|line| suppressed(line)).sum();
        counted + lines.len() - lines.iter().filter(is_summary).count() >= 3 * SESSIONS
    });
    let written = lines().len() - SESSIONS;
    let bound = 2 * LINES_MAX * (start.elapsed().as_secs() as usize + 1);
    println!("{written} lines in {:?}", start.elapsed());
    assert!(written <= bound, "{written} lines, and {bound} is the limit");
    assert_eq!(
        proxy.count_log(" connector up *generation=1"),
        SESSIONS,
        "the first connection of each session"
    );
    assert_eq!(proxy.count_log("endpoint down upstream=echo"), 1);
    assert_eq!(proxy.count_log("endpoint up upstream=echo"), 1);
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| client.ask("hello") == "hello"));
}
