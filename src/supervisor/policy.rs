//! Determines when a lost connector is restarted (guarantee C7).
//!
//! No clocks are used here: time and random numbers are passed in. The delay grows exponentially, with full
//! jitter, between a minimum and a maximum. The number of restarts within a window is limited, as in
//! Erlang/OTP; beyond the limit, a slower probe is made.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::settings::Restart;

/// The restart state of one connector.
#[derive(Debug)]
pub struct Policy {
    restart: Arc<Restart>,
    /// Number of attempts since a connection last proved good.
    attempt: u32,
    /// The times of the restarts within the window, oldest first, at most `max_restarts`.
    recent: VecDeque<Instant>,
    gave_up: bool,
}

/// What to do about a lost connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Restart it after this long.
    pub delay: Duration,
    /// The number of the attempt since a connection last proved good, from 1.
    pub attempt: u32,
    /// Whether this loss used up the restarts of the window.
    pub gives_up: bool,
    /// Whether the restarts are used up; `delay` is then the interval of the probe.
    pub probing: bool,
}

impl Policy {
    /// Creates the policy of a connector that has not been restarted yet.
    pub fn new(restart: Arc<Restart>) -> Self {
        Self { restart, attempt: 0, recent: VecDeque::new(), gave_up: false }
    }

    /// Uses other settings. The record of the last restarts stays.
    pub fn set_restart(&mut self, restart: &Arc<Restart>) {
        self.restart = Arc::clone(restart);
    }

    /// The number of attempts since a connection last proved good.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Records a loss and returns what to do about it. `chance` is a random number in [0, 1).
    pub fn lost(&mut self, now: Instant, chance: f64) -> Verdict {
        self.attempt = self.attempt.saturating_add(1);
        if self.gave_up {
            return self.probe(false);
        }
        let window = self.restart.window;
        while self.recent.pop_front_if(|ordered| now.duration_since(*ordered) >= window).is_some() {}
        if self.recent.len() >= self.restart.max_restarts {
            self.gave_up = true;
            return self.probe(true);
        }
        self.recent.push_back(now);
        let delay = backoff(self.attempt, self.restart.min, self.restart.max, chance);
        Verdict { delay, attempt: self.attempt, gives_up: false, probing: false }
    }

    /// Records the loss of a connection that lasted `up`. A connection that lasted at least the maximum delay
    /// counts as good, even if its peer, such as a sink, never sent anything.
    pub fn was_up(&mut self, up: Duration) {
        if up >= self.restart.max {
            self.proved();
        }
    }

    /// Records that the connection proved good, because its peer sent something after the handshake. The
    /// backoff starts over, and the connector no longer counts as given up.
    pub fn proved(&mut self) {
        self.attempt = 0;
        if self.gave_up {
            self.gave_up = false;
            self.recent.clear();
        }
    }

    fn probe(&self, gives_up: bool) -> Verdict {
        Verdict { delay: self.restart.probe, attempt: self.attempt, gives_up, probing: true }
    }
}

/// The delay with full jitter: uniform between `min` and `min * 2^attempt`, at most `max`. The first
/// attempt is spread too, from `min` to twice `min`, so that sessions which lost the same upstream do not
/// reconnect together.
fn backoff(attempt: u32, min: Duration, max: Duration, chance: f64) -> Duration {
    let factor = 1_u32.checked_shl(attempt).filter(|factor| *factor > 0).unwrap_or(u32::MAX);
    let ceiling = min.saturating_mul(factor).min(max).max(min);
    min + (ceiling - min).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn restart() -> Restart {
        Restart {
            min: Duration::from_millis(100),
            max: Duration::from_secs(10),
            max_restarts: 5,
            window: Duration::from_secs(60),
            probe: Duration::from_secs(30),
            rate: 100,
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let mut policy = Policy::new(Restart { max_restarts: 100, ..restart() }.into());
        let now = Instant::now();
        let delays: Vec<u128> = (0..9).map(|_| policy.lost(now, 1.0).delay.as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert_eq!(policy.lost(now, 0.0).delay, Duration::from_millis(100));
        policy.proved();
        assert_eq!(policy.lost(now, 1.0).delay, Duration::from_millis(200));
    }

    #[test]
    fn restarts_beyond_the_limit_are_given_up_and_probed() {
        let mut policy = Policy::new(restart().into());
        let now = Instant::now();
        for _ in 0..5 {
            assert!(!policy.lost(now, 0.5).probing);
        }
        let verdict = policy.lost(now, 0.5);
        assert!(verdict.gives_up && verdict.probing);
        assert_eq!(verdict.delay, Duration::from_secs(30));
        let next = policy.lost(now + Duration::from_secs(100), 0.5);
        assert!(next.probing && !next.gives_up, "once given up, only a proof of life ends the probing");
        policy.proved();
        assert!(!policy.lost(now + Duration::from_secs(101), 0.5).probing);
    }

    #[test]
    fn a_connection_that_lasted_has_proved_good() {
        let mut policy = Policy::new(restart().into());
        let now = Instant::now();
        policy.lost(now, 1.0);
        policy.was_up(Duration::from_millis(9_999));
        assert_eq!(policy.lost(now, 1.0).attempt, 2);
        policy.was_up(Duration::from_secs(10));
        assert_eq!(policy.lost(now, 1.0).attempt, 1);
    }

    #[test]
    fn restarts_that_left_the_window_do_not_count() {
        let mut policy = Policy::new(restart().into());
        let mut now = Instant::now();
        for _ in 0..100 {
            assert!(!policy.lost(now, 0.5).probing);
            now += Duration::from_secs(13);
        }
    }

    proptest! {
        #[test]
        fn every_delay_is_within_its_bounds(attempt: u32, chance in 0.0..1.0_f64) {
            let delay = backoff(attempt, restart().min, restart().max, chance);
            prop_assert!(delay >= restart().min && delay <= restart().max);
        }
    }
}
