//! Sessions with a recovery journal, whose upstream connections die at random moments, also during a replay. Each
//! client checks what it receives: ids never change, numbers rise, each hole has its notice, closed subscriptions
//! stay closed, and each request has one outcome (C1, C2, C11).
//!
//! | environment variable | |
//! |---|---|
//! | `TOWLINE_CHAOS_SECONDS` | how long connections die; 20 by default, with 200 kills, and more kills in a longer run |
//! | `TOWLINE_TEST_SEED` | the seed of a run, which each run prints |

mod checker;
mod client;
mod double;
mod protocol;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use self::{
    checker::Counts,
    client::{Control, Session},
    double::{Double, Kind},
    protocol::Protocol,
};
use crate::harness::*;

/// Sessions, half of them with each protocol.
const SESSIONS: u64 = 200;

/// Mean time between two kills.
const INTERVAL: Duration = Duration::from_millis(100);

/// The most subscriptions of a session.
const MAX_ENTRIES: usize = 14;

/// Memory that the process may gain between the first quarter of the chaos and its end, in KiB.
const GROWTH_KIB: u64 = 48 << 10;

fn settings(upstreams: &[(&str, Protocol, &Double)]) -> Settings {
    let mut settings = Settings::bare().with(r#"listener.ws.bind = "127.0.0.1:0""#);
    for (name, protocol, double) in upstreams {
        let key = |line: &str| format!("upstream.{name}.{line}");
        settings = settings
            .upstream(name, &double.url())
            .with(&key(r#"ping_interval = "500ms""#))
            .with(&key(r#"ping_timeout = "2s""#))
            .with(&key("on_upstream_close.pass = []"))
            .with(&key(r#"recovery.timeout = "20s""#))
            .with(&key(&format!("recovery.max_entries = {MAX_ENTRIES}")))
            .with(&key(r#"recovery.max_bytes = "8KiB""#))
            .route(&[&format!(r#"path = "/{name}""#), &format!(r#"upstream = "{name}""#)])
            .on_route(r#"on_upstream_loss = "keep""#)
            .on_route("error_replies = true");
        if *protocol == Protocol::Patterns {
            // Their sessions move to another connection, too.
            settings = settings.with(&key(r#"max_age = "5s""#));
        }
        for line in protocol.recovery() {
            settings = settings.with(&key(&format!("recovery.{line}")));
        }
    }
    settings
}

/// The end of the chaos, and the figures of its kills.
#[derive(Debug, Default)]
struct Kills {
    by_kind: BTreeMap<String, usize>,
    connections: usize,
    /// Memory of the process in KiB, after a quarter of the time.
    resident: u64,
}

#[test]
fn subscriptions_survive_kills_of_six_kinds_at_random_moments() {
    let mut random = seeded();
    let seconds = std::env::var("TOWLINE_CHAOS_SECONDS").map_or(20, |text| text.parse().expect("seconds"));
    let mut fork = || StdRng::seed_from_u64(random.random());
    let upstreams = [Protocol::JsonRpc, Protocol::Patterns]
        .map(|protocol| (protocol, Arc::new(Double::start(protocol, fork()))));
    let [(rpc, first), (patterns, second)] = &upstreams;
    let proxy = Proxy::start(&settings(&[("rpc", *rpc, first), ("feed", *patterns, second)]));
    let proxy = proxy.expect_restarts().expect("endpoint");
    let control = Arc::new(Control::default());
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let (path, (protocol, upstream)) =
                if number % 2 == 0 { ("/rpc", &upstreams[0]) } else { ("/feed", &upstreams[1]) };
            let client = Opening::new(proxy.addr()).path(path).open();
            let session = Session::new(number, *protocol, client, upstream, &control, fork());
            std::thread::spawn(move || session.run())
        })
        .collect();
    let doubles = upstreams.map(|(_, double)| double);
    let kills = kill(&doubles, &proxy, &control, Duration::from_secs(seconds), &mut fork());
    control.is_calm.store(true, SeqCst);
    doubles.iter().for_each(|double| double.calm());
    let joined = sessions.into_iter().map(std::thread::JoinHandle::join);
    let counts: Vec<_> = joined.map(|counts| counts.unwrap_or_else(|_| control.panicked())).collect();
    check(&doubles, &proxy, &control, &kills);
    report(&counts, &kills, &doubles, &proxy);
}

/// Ends connections at random moments for `time`, or until a client has seen what it should not.
fn kill(
    doubles: &[Arc<Double>; 2],
    proxy: &Proxy,
    control: &Control,
    time: Duration,
    random: &mut StdRng,
) -> Kills {
    let mut kills = Kills::default();
    let begun = Instant::now();
    while begun.elapsed() < time && control.violations.lock().unwrap().is_empty() {
        pause(INTERVAL.mul_f64(random.random_range(0.0..2.0)));
        let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
        let (ambush, double) = (random.random_bool(0.4), &doubles[random.random_range(0..2)]);
        kills.connections += double.kill(kind, ambush, random);
        *kills.by_kind.entry(format!("{kind:?}")).or_default() += 1;
        if kills.resident == 0 && begun.elapsed() > time / 4 {
            kills.resident = proxy.resident_kib();
        }
    }
    kills
}

fn check(doubles: &[Arc<Double>; 2], proxy: &Proxy, control: &Control, kills: &Kills) {
    let mut violations = control.violations.lock().unwrap().clone();
    doubles.iter().for_each(|double| violations.append(&mut double.seen().violations.lock().unwrap()));
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
    let (before, after) = (kills.resident, proxy.resident_kib());
    assert!(after <= before + GROWTH_KIB, "the process grew from {before} to {after} KiB");
    for number in 0..SESSIONS {
        let account = proxy.account(&format!("1:{number}"));
        assert!(
            account.is_balanced() && account.unsettled == 0 && account.dropped == 0,
            "{number}: {account:?}"
        );
    }
}

fn report(counts: &[Counts], kills: &Kills, doubles: &[Arc<Double>; 2], proxy: &Proxy) {
    let sum = |count: fn(&Counts) -> usize| counts.iter().map(count).sum::<usize>();
    let seen = |count: fn(&Double) -> usize| doubles.iter().map(|double| count(double)).sum::<usize>();
    let missing: u64 = counts.iter().map(|counts| counts.missing).sum();
    println!(
        "{SESSIONS} sessions, {} kills {:?} of {} connections, {} of them during a replay; {} connections, \
         {} subscriptions replayed",
        kills.by_kind.values().sum::<usize>(),
        kills.by_kind,
        kills.connections,
        seen(|double| double.seen().ambushed.load(SeqCst)),
        seen(|double| double.seen().connections.load(SeqCst)),
        seen(|double| double.seen().replayed.load(SeqCst)),
    );
    println!(
        "{} messages, {missing} missing in {} holes; {} notices, {} of them without a loss; {} subscriptions \
         opened, {} closed, {} not restored, because the upstream refused; {} requests answered, {} failed, {} of \
         these beyond max_entries; {} KiB, then {} KiB",
        sum(|counts| counts.messages),
        sum(|counts| counts.holes),
        sum(|counts| counts.notices),
        sum(|counts| counts.continued),
        sum(|counts| counts.opened),
        sum(|counts| counts.closed),
        sum(|counts| counts.unrestored),
        sum(|counts| counts.answered),
        sum(|counts| counts.failed),
        sum(|counts| counts.refused),
        kills.resident,
        proxy.resident_kib(),
    );
}
