//! The limits of one endpoint, and the few dials that try an endpoint which was down.
//!
//! No clocks are used here: the time is passed in.

use std::time::{Duration, Instant};

use super::Endpoint;
use crate::policy::BreakerLimits;

/// Most dials in progress to an endpoint that was down and has not completed a handshake since.
pub const TRIALS_MAX: usize = 4;

/// After this long an endpoint that was down takes any number of dials, so that dials which hang do not hold up all
/// others.
const TRIAL_MAX: Duration = Duration::from_secs(1);

/// The dials of this time may begin together, if none began before.
const BURST: Duration = Duration::from_millis(100);

/// The limits of one endpoint.
#[derive(Debug, Default)]
pub struct Breaker {
    /// The trial of an endpoint that came back; `None` once a handshake has shown that it works.
    trial: Option<Trial>,
    /// The time at which the rate has caught up with the dials that have begun. Each dial takes its part of a second.
    paid: Option<Instant>,
}

#[derive(Debug)]
struct Trial {
    begun: Instant,
    /// When it is checked whether the trial can end without a handshake.
    check: Instant,
}

/// The load of an endpoint that its limits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Its sessions, with its dials and the places that are reserved for dials.
    pub sessions: usize,
    /// The dials in progress that limit the next one.
    pub dials: usize,
}

/// The result of the check of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialCheck {
    /// Nothing: there is no trial, or it is not due.
    Nothing,
    /// Dials hang: any number of them may begin.
    Open,
    /// No session has dialed. The endpoint answers probes since this time.
    Over(Instant),
}

impl Load {
    /// The load for a session that dials now.
    pub fn for_dial(endpoint: &Endpoint) -> Self {
        Self { sessions: endpoint.sessions(), dials: endpoint.dials() }
    }

    /// The load for a session that dials later: reserved places come before it.
    pub fn for_later(endpoint: &Endpoint) -> Self {
        Self { sessions: endpoint.sessions(), dials: endpoint.dials() + endpoint.reserved() }
    }
}

impl Breaker {
    /// The endpoint answers probes again: a few dials try it.
    pub fn half_open(&mut self, now: Instant) {
        self.trial = Some(Trial { begun: now, check: now + TRIAL_MAX });
    }

    /// A handshake has shown that the endpoint works.
    pub fn close(&mut self) {
        self.trial = None;
    }

    /// Whether the endpoint came back and no handshake has shown that it works.
    pub fn is_half_open(&self) -> bool {
        self.trial.is_some()
    }

    /// When [`check_trial`](Self::check_trial) is due; `None` outside a trial.
    pub fn trial_check(&self) -> Option<Instant> {
        self.trial.as_ref().map(|trial| trial.check)
    }

    /// Checks a trial in which no handshake has ended, at an endpoint with this number of dials in progress.
    pub fn check_trial(&mut self, dials: usize, now: Instant) -> TrialCheck {
        match &mut self.trial {
            Some(trial) if trial.check <= now && dials > 0 => {
                trial.check = now + TRIAL_MAX;
                TrialCheck::Open
            }
            Some(Trial { begun, check }) if *check <= now => {
                let begun = *begun;
                self.trial = None;
                TrialCheck::Over(begun)
            }
            _ => TrialCheck::Nothing,
        }
    }

    /// Whether another dial may begin.
    pub fn admits(&self, limits: &BreakerLimits, Load { sessions, dials }: Load, now: Instant) -> bool {
        let is_trial =
            self.trial.as_ref().is_some_and(|trial| now.saturating_duration_since(trial.begun) < TRIAL_MAX);
        let is_below = |value: usize, limit: Option<usize>| limit.is_none_or(|limit| value < limit);
        is_below(sessions, limits.sessions)
            && is_below(dials, limits.dials)
            && is_below(dials, is_trial.then_some(TRIALS_MAX))
            && self.rate_admits(limits).is_none_or(|since| since <= now)
    }

    /// The time from which the rate admits another dial; `None`: always.
    pub fn rate_admits(&self, limits: &BreakerLimits) -> Option<Instant> {
        let paid = self.paid.filter(|_| limits.rate.is_some())?;
        Some(paid.checked_sub(BURST).unwrap_or(paid))
    }

    /// Whether dials have begun that the rate has not caught up with.
    pub fn owes(&self, now: Instant) -> bool {
        self.paid.is_some_and(|paid| paid > now)
    }

    /// How many dials the rate admits now; `None`: any number.
    pub fn rate_room(&self, limits: &BreakerLimits, now: Instant) -> Option<usize> {
        let part = Duration::from_secs(1) / limits.rate?;
        let owed = self.paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        Some(match BURST.checked_sub(owed) {
            Some(left) => 1 + (left.as_nanos() / part.as_nanos().max(1)) as usize,
            None => 0,
        })
    }

    /// A dial begins.
    pub fn dialed(&mut self, limits: &BreakerLimits, now: Instant) {
        if let Some(rate) = limits.rate {
            let from = self.paid.map_or(now, |paid| paid.max(now));
            self.paid = Some(from + Duration::from_secs(1) / rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(sessions: usize, dials: usize) -> Load {
        Load { sessions, dials }
    }

    #[test]
    fn each_limit_stops_dials() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let none = BreakerLimits::default();
        let sessions = BreakerLimits { sessions: Some(5), ..none };
        let dials = BreakerLimits { dials: Some(2), ..none };
        assert!(breaker.admits(&none, load(1_000_000, 1_000_000), now));
        assert!(breaker.admits(&sessions, load(4, 4), now) && !breaker.admits(&sessions, load(5, 0), now));
        assert!(breaker.admits(&dials, load(9, 1), now) && !breaker.admits(&dials, load(9, 2), now));
    }

    #[test]
    fn the_rate_admits_dials_one_after_the_other() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let limits = BreakerLimits { rate: Some(4), ..BreakerLimits::default() };
        assert_eq!(breaker.rate_room(&limits, now), Some(1));
        breaker.dialed(&limits, now);
        assert_eq!(breaker.rate_room(&limits, now), Some(0));
        assert!(!breaker.admits(&limits, load(0, 0), now));
        assert_eq!(breaker.rate_admits(&limits), Some(now + Duration::from_millis(150)));
        assert!(breaker.admits(&limits, load(0, 0), now + Duration::from_millis(150)));
        assert!(breaker.admits(&BreakerLimits::default(), load(0, 0), now), "the limit was removed");
    }

    proptest! {
        /// However dials are tried, no second has more than the rate and a tenth of it, rounded up.
        #[test]
        fn a_second_never_has_more_dials_than_the_rate_and_a_burst(
            rate in 1..300_u32,
            pauses in prop::collection::vec(0..40_u64, 1..500),
        ) {
            let limits = BreakerLimits { rate: Some(rate), ..BreakerLimits::default() };
            let (mut breaker, mut now, mut begun) = (Breaker::default(), Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                let room = breaker.rate_room(&limits, now).unwrap();
                let before = begun.len();
                while breaker.admits(&limits, load(0, 0), now) {
                    breaker.dialed(&limits, now);
                    begun.push(now);
                }
                prop_assert_eq!(begun.len() - before, room);
                let second = begun.iter().filter(|at| now.duration_since(**at) < Duration::from_secs(1)).count();
                prop_assert!(second <= (rate + rate / 10 + 1) as usize, "{} of {}", second, rate);
            }
        }
    }

    #[test]
    fn an_endpoint_that_came_back_is_tried_by_a_few_dials() {
        let (mut breaker, now, limits) = (Breaker::default(), Instant::now(), BreakerLimits::default());
        breaker.half_open(now);
        assert!(breaker.admits(&limits, load(99, TRIALS_MAX - 1), now));
        assert!(!breaker.admits(&limits, load(99, TRIALS_MAX), now));
        assert!(
            breaker.admits(&limits, load(99, 99), now + TRIAL_MAX),
            "trials that hang hold up nothing for long"
        );
        breaker.close();
        assert!(breaker.admits(&limits, load(99, 99), now));
    }

    #[test]
    fn a_trial_without_sessions_ends() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.trial_check(), None);
        breaker.half_open(now);
        assert_eq!(breaker.check_trial(0, now), TrialCheck::Nothing);
        let due = breaker.trial_check().unwrap();
        assert_eq!(due, now + TRIAL_MAX);
        assert_eq!(breaker.check_trial(3, due), TrialCheck::Open);
        assert!(breaker.is_half_open(), "a dial in progress decides");
        assert_eq!(breaker.check_trial(0, due), TrialCheck::Nothing);
        assert_eq!(breaker.check_trial(0, due + TRIAL_MAX), TrialCheck::Over(now));
        assert!(!breaker.is_half_open());
    }
}
