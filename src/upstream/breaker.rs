//! How much one endpoint takes: its limits, and the few dials that try an endpoint which was down.
//!
//! No clocks are used here: the time is passed in.

use std::time::{Duration, Instant};

use crate::policy::BreakerLimits;

/// Most dials in progress to an endpoint that was down and has not completed a handshake since.
const TRIALS_MAX: usize = 4;

/// After this long an endpoint that was down takes any number of dials, so that dials which hang do not hold up all
/// others.
const TRIAL_MAX: Duration = Duration::from_secs(1);

/// The limits of one endpoint.
#[derive(Debug, Default)]
pub struct Breaker {
    /// When the endpoint came back; `None` once a handshake has shown that it works.
    half_open: Option<Instant>,
    /// When the current second began, and the dials in it.
    second: Option<(Instant, u32)>,
}

impl Breaker {
    /// The endpoint answers probes again: a few dials try it.
    pub fn half_open(&mut self, now: Instant) {
        self.half_open = Some(now);
    }

    /// A handshake has shown that the endpoint works.
    pub fn close(&mut self) {
        self.half_open = None;
    }

    /// Whether the endpoint came back and no handshake has shown that it works.
    pub fn is_half_open(&self) -> bool {
        self.half_open.is_some()
    }

    /// Whether another dial may begin at an endpoint with this number of sessions, `dials` of them in progress.
    pub fn admits(&self, limits: &BreakerLimits, sessions: usize, dials: usize, now: Instant) -> bool {
        let is_trial = self.half_open.is_some_and(|since| now.saturating_duration_since(since) < TRIAL_MAX);
        let is_below = |value: usize, limit: Option<usize>| limit.is_none_or(|limit| value < limit);
        let in_second = match self.second {
            Some((begun, count)) if now.saturating_duration_since(begun) < Duration::from_secs(1) => count,
            _ => 0,
        };
        is_below(sessions, limits.sessions)
            && is_below(dials, limits.dials)
            && is_below(dials, is_trial.then_some(TRIALS_MAX))
            && limits.rate.is_none_or(|rate| in_second < rate)
    }

    /// A dial begins.
    pub fn dialed(&mut self, now: Instant) {
        match &mut self.second {
            Some((begun, count)) if now.saturating_duration_since(*begun) < Duration::from_secs(1) => {
                *count += 1
            }
            second => *second = Some((now, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_stops_dials() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let none = BreakerLimits::default();
        let sessions = BreakerLimits { sessions: Some(5), ..none };
        let dials = BreakerLimits { dials: Some(2), ..none };
        let rate = BreakerLimits { rate: Some(3), ..none };
        assert!(breaker.admits(&none, 1_000_000, 1_000_000, now));
        assert!(breaker.admits(&sessions, 4, 4, now) && !breaker.admits(&sessions, 5, 0, now));
        assert!(breaker.admits(&dials, 9, 1, now) && !breaker.admits(&dials, 9, 2, now));
        (0..3).for_each(|_| breaker.dialed(now));
        assert!(!breaker.admits(&rate, 0, 0, now));
        assert!(breaker.admits(&rate, 0, 0, now + Duration::from_secs(1)));
    }

    #[test]
    fn an_endpoint_that_came_back_is_tried_by_a_few_dials() {
        let (mut breaker, now, limits) = (Breaker::default(), Instant::now(), BreakerLimits::default());
        breaker.half_open(now);
        assert!(breaker.admits(&limits, 99, TRIALS_MAX - 1, now));
        assert!(!breaker.admits(&limits, 99, TRIALS_MAX, now));
        assert!(
            breaker.admits(&limits, 99, 99, now + TRIAL_MAX),
            "trials that hang hold up nothing for long"
        );
        breaker.close();
        assert!(breaker.admits(&limits, 99, 99, now));
    }
}
