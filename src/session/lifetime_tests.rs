//! Lifetimes by table, by property, and in a simulated run of many sessions.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::lifetime::{Due, Lifetime, LifetimeEnd, Moment};
use crate::policy::LifetimePolicy;

/// When the tests begin, in seconds since 1970.
const BEGIN: u64 = 1_800_000_000;

fn policy(lead: u64, skew: u64) -> Arc<LifetimePolicy> {
    let [lead, skew] = [lead, skew].map(Duration::from_secs);
    Arc::new(LifetimePolicy { lead, skew, ..LifetimePolicy::default() })
}

fn aged(max_age: u64) -> Arc<LifetimePolicy> {
    let max_age = Some(Duration::from_secs(max_age));
    Arc::new(LifetimePolicy { max_age, max_age_jitter: 0, ..LifetimePolicy::default() })
}

/// A clock that the test sets.
struct Clock {
    begun: Instant,
    /// How far the clock of the day has been adjusted.
    adjusted: Duration,
}

impl Clock {
    fn new() -> Self {
        Self { begun: Instant::now(), adjusted: Duration::ZERO }
    }

    /// The moment so long after the beginning.
    fn at(&self, passed: Duration) -> Moment {
        Moment { steady: self.begun + passed, unix: Duration::from_secs(BEGIN) + passed + self.adjusted }
    }

    fn second(&self, passed: u64) -> Moment {
        self.at(Duration::from_secs(passed))
    }
}

#[test]
fn a_notice_and_an_end_are_due_at_their_times() {
    let clock = Clock::new();
    let mut lifetime = Lifetime::new(&policy(30, 10), Some(BEGIN + 50), clock.second(0), 0.5).unwrap();
    let second = Duration::from_secs;
    assert_eq!(lifetime.wait(clock.second(0)), Some(second(20)));
    assert_eq!(lifetime.due(clock.second(19)), None);
    assert_eq!(lifetime.due(clock.second(20)), Some(Due::Notice(second(BEGIN + 50))));
    assert_eq!(lifetime.due(clock.second(20)), None, "once");
    assert_eq!(lifetime.wait(clock.second(20)), Some(second(40)));
    assert_eq!(lifetime.due(clock.second(59)), None);
    assert_eq!(lifetime.due(clock.second(60)), Some(Due::End(LifetimeEnd::Expired)));
    assert_eq!(lifetime.end(clock.second(61)), Some(LifetimeEnd::Expired));
    assert_eq!(lifetime.wait(clock.second(61)), Some(Duration::ZERO));
}

#[test]
fn a_token_with_less_than_the_lead_left_has_its_notice_at_once() {
    let clock = Clock::new();
    let mut lifetime = Lifetime::new(&policy(30, 0), Some(BEGIN + 5), clock.second(0), 0.5).unwrap();
    assert_eq!(lifetime.wait(clock.second(0)), Some(Duration::ZERO));
    assert!(matches!(lifetime.due(clock.second(0)), Some(Due::Notice(_))));
    let mut late = Lifetime::new(&policy(30, 0), Some(BEGIN - 5), clock.second(0), 0.5).unwrap();
    assert_eq!(late.due(clock.second(0)), Some(Due::End(LifetimeEnd::Expired)), "an end needs no notice");
}

#[test]
fn a_renewed_token_has_its_own_notice_and_end() {
    let clock = Clock::new();
    let mut lifetime = Lifetime::new(&policy(30, 0), Some(BEGIN + 50), clock.second(0), 0.5).unwrap();
    assert!(matches!(lifetime.due(clock.second(25)), Some(Due::Notice(_))));
    lifetime.renew(Some(BEGIN + 100));
    assert_eq!(lifetime.due(clock.second(60)), None);
    assert_eq!(lifetime.due(clock.second(70)), Some(Due::Notice(Duration::from_secs(BEGIN + 100))));
    lifetime.renew(None);
    assert_eq!((lifetime.due(clock.second(10_000)), lifetime.wait(clock.second(100))), (None, None));
}

#[test]
fn an_old_session_ends_whatever_its_token_says() {
    let clock = Clock::new();
    let mut lifetime = Lifetime::new(&aged(100), Some(BEGIN + 5000), clock.second(0), 0.5).unwrap();
    lifetime.renew(Some(BEGIN + 9000));
    assert_eq!(lifetime.due(clock.second(99)), None);
    assert_eq!(lifetime.wait(clock.second(99)), Some(Duration::from_secs(1)));
    assert_eq!(lifetime.due(clock.second(100)), Some(Due::End(LifetimeEnd::Aged)));
}

#[test]
fn nothing_ends_a_session_without_token_and_age() {
    assert!(Lifetime::new(&policy(30, 0), None, Moment::now(), 0.5).is_none());
}

/// The end of a token is a time of day, the age of a session is not.
#[test]
fn an_adjusted_clock_moves_the_end_of_a_token_only() {
    let mut clock = Clock::new();
    let lifetime = Lifetime::new(&policy(0, 0), Some(BEGIN + 3600), clock.second(0), 0.5).unwrap();
    let old = Lifetime::new(&aged(3600), None, clock.second(0), 0.5).unwrap();
    assert!(lifetime.wait(clock.second(0)).unwrap() <= Duration::from_secs(60), "the clock is read again");
    clock.adjusted = Duration::from_secs(3600);
    assert_eq!(lifetime.end(clock.second(60)), Some(LifetimeEnd::Expired));
    assert_eq!(old.end(clock.second(60)), None);
    assert_eq!(old.end(clock.second(3600)), Some(LifetimeEnd::Aged));
}

proptest! {
    /// An owner that asks when `wait` says so is never too early and misses nothing, for any token and renewal.
    #[test]
    fn each_token_has_its_notice_and_the_last_one_its_end(
        (lead, skew) in (0..100_u64, 0..100_u64),
        first in 0..10_000_u64,
        // When the client renews, relative to the expiry of its token, and how much longer the new one lasts.
        renewals in proptest::collection::vec((0.0..1.0_f64, 1..10_000_u64), 0..5),
        late in 0..200_u64,
    ) {
        let clock = Clock::new();
        let mut lifetime =
            Lifetime::new(&policy(lead, skew), Some(BEGIN + first), clock.second(0), 0.5).unwrap();
        let (mut passed, mut expires) = (Duration::ZERO, first);
        let mut renewals = renewals.into_iter();
        let mut renewal = renewals.next();
        let mut notices = 0;
        loop {
            let wait = lifetime.wait(clock.at(passed)).unwrap();
            // The client renews before what is due next.
            if let Some((chance, longer)) = renewal
                && passed + wait >= Duration::from_secs(expires).mul_f64(chance)
            {
                expires = expires.max(passed.as_secs()) + longer;
                lifetime.renew(Some(BEGIN + expires));
                renewal = renewals.next();
                notices = 0;
                continue;
            }
            passed += wait + Duration::from_millis(late);
            match lifetime.due(clock.at(passed)) {
                None => {}
                Some(Due::Notice(at)) => {
                    prop_assert_eq!(at, Duration::from_secs(BEGIN + expires));
                    prop_assert!(passed >= Duration::from_secs(expires.saturating_sub(lead)));
                    notices += 1;
                }
                Some(Due::End(end)) => {
                    prop_assert_eq!(end, LifetimeEnd::Expired);
                    let due = Duration::from_secs(expires + skew);
                    prop_assert!(passed >= due && passed <= due + Duration::from_millis(2 * late + 1));
                    break;
                }
            }
            prop_assert!(notices <= 1, "a token has one notice");
        }
        prop_assert!(notices == 1 || lead + skew == 0 || expires == 0);
    }
}

/// One session of the simulated run.
struct Simulated {
    lifetime: Lifetime,
    /// The expiry of the current token, in seconds after the beginning.
    expires: u64,
    /// How many times it renews its token, within the lead.
    renewals: u32,
    /// When the client renews next.
    renews_at: Option<Duration>,
    notices: Vec<Duration>,
    closed: Option<Duration>,
}

/// Ten thousand sessions whose tokens expire at different times. A third of them renew, once or several times, after
/// their notice. Wakes are late by up to 0.2 s, as those of the workers are.
#[test]
fn ten_thousand_sessions_are_warned_and_closed_in_time() {
    const SESSIONS: usize = 10_000;
    const LEAD: u64 = 30;
    const SKEW: u64 = 5;
    let mut random = StdRng::seed_from_u64(12);
    let (clock, policy) = (Clock::new(), policy(LEAD, SKEW));
    let mut sessions: Vec<Simulated> = (0..SESSIONS)
        .map(|number| {
            let expires = random.random_range(40..3600);
            let lifetime = Lifetime::new(&policy, Some(BEGIN + expires), clock.second(0), 0.5).unwrap();
            let renewals = if number % 3 == 0 { random.random_range(1..5) } else { 0 };
            Simulated { lifetime, expires, renewals, renews_at: None, notices: Vec::new(), closed: None }
        })
        .collect();
    let mut wakes: BinaryHeap<Reverse<(Duration, usize)>> =
        (0..SESSIONS).map(|number| Reverse((Duration::ZERO, number))).collect();
    while let Some(Reverse((now, number))) = wakes.pop() {
        let session = &mut sessions[number];
        let moment = clock.at(now);
        match session.lifetime.due(moment) {
            Some(Due::End(end)) => {
                assert_eq!(end, LifetimeEnd::Expired);
                session.closed = Some(now);
                continue;
            }
            Some(Due::Notice(at)) => {
                assert_eq!(at, Duration::from_secs(BEGIN + session.expires));
                session.notices.push(now);
                let warned = now.as_secs_f64() - (session.expires - LEAD) as f64;
                assert!((0.0..1.0).contains(&warned), "warned {warned} s late");
                if session.renewals > 0 {
                    session.renews_at = Some(now + Duration::from_millis(random.random_range(0..29_000)));
                }
            }
            None => {}
        }
        if session.renews_at.is_some_and(|at| at <= now) {
            session.renews_at = None;
            session.renewals -= 1;
            session.expires += random.random_range(60..1200);
            session.lifetime.renew(Some(BEGIN + session.expires));
        }
        let late = Duration::from_millis(random.random_range(0..=200));
        let next = session.lifetime.wait(moment).unwrap() + now + late;
        wakes.push(Reverse((session.renews_at.map_or(next, |at| next.min(at)), number)));
    }
    let (mut notices, mut worst) = (0, 0.0_f64);
    for session in &sessions {
        let closed = session.closed.expect("each session ends").as_secs_f64();
        let late = closed - (session.expires + SKEW) as f64;
        assert!((0.0..1.0).contains(&late), "closed {late} s late");
        assert_eq!((session.renewals, session.renews_at), (0, None), "a session that renews is not closed");
        (notices, worst) = (notices + session.notices.len(), worst.max(late));
    }
    println!("sessions={SESSIONS} notices={notices} closed={SESSIONS} latest={worst:.3}s");
}
