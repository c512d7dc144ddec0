//! Whether an endpoint is fit for connections: results of checks, and failures in a row.
//!
//! No clocks are used here: the time is passed in.

use std::time::{Duration, Instant};

use crate::policy::{Ejection, HealthChecks};

/// An ejection lasts at most this many times as long as the first one.
const EJECTIONS_MAX: u32 = 10;

/// The current run of equal results of checks: which result, and how many times in a row.
#[derive(Debug, Default)]
pub struct Streak {
    is_good: bool,
    count: u32,
}

impl Streak {
    /// Adds a result. Returns whether the endpoint is healthy; `None` if there are too few equal results in a row.
    pub fn add(
        &mut self,
        is_good: bool,
        HealthChecks { healthy, unhealthy, .. }: HealthChecks,
    ) -> Option<bool> {
        self.count = if self.is_good == is_good { self.count.saturating_add(1) } else { 1 };
        self.is_good = is_good;
        let needed = if is_good { healthy } else { unhealthy };
        (self.count >= needed).then_some(is_good)
    }

    /// Forgets all results.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The failures of an endpoint in a row, and the ejections that followed.
#[derive(Debug, Default)]
pub struct Outlier {
    failures: u32,
    ejections: u32,
    until: Option<Instant>,
}

impl Outlier {
    /// Whether the endpoint is left out now.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A connection to the endpoint was established, or a dial got an answer that is no failure.
    pub fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        if !self.is_ejected(now) {
            self.until = None;
            self.ejections = 0;
        }
    }

    /// A dial or a connection failed. Returns whether the endpoint has failed often enough to be left out.
    pub fn failed(&mut self, now: Instant, Ejection { failures, .. }: Ejection) -> bool {
        if !self.is_ejected(now) {
            self.until = None;
        }
        self.failures = self.failures.saturating_add(1);
        failures > 0 && self.failures >= failures && self.until.is_none()
    }

    /// Leaves the endpoint out. Returns for how long.
    pub fn eject(&mut self, now: Instant, Ejection { time, .. }: Ejection) -> Duration {
        self.ejections = (self.ejections + 1).min(EJECTIONS_MAX);
        self.failures = 0;
        let duration = time.saturating_mul(self.ejections);
        self.until = Some(now + duration);
        duration
    }
}

/// Whether one more of `total` endpoints may be left out. At least one always stays.
pub fn may_eject(ejected: usize, total: usize, Ejection { max_share, .. }: Ejection) -> bool {
    let more = ejected + 1;
    more < total && more * 100 <= total * max_share as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CHECKS: HealthChecks = HealthChecks { interval: None, unhealthy: 3, healthy: 2 };
    const EJECTION: Ejection = Ejection { failures: 5, time: SECOND, max_share: 50 };

    #[test]
    fn only_results_in_a_row_decide() {
        let mut streak = Streak::default();
        let results = [false, false, true, false, false, false, false, true, true];
        let decided = results.map(|result| streak.add(result, CHECKS));
        let (bad, good) = (Some(false), Some(true));
        assert_eq!(decided, [None, None, None, None, None, bad, bad, None, good]);
    }

    #[test]
    fn an_endpoint_is_ejected_for_longer_each_time_until_it_works_again() {
        let (mut outlier, mut now) = (Outlier::default(), Instant::now());
        for times in 1..=12 {
            let ejects = [(); 5].map(|()| outlier.failed(now, EJECTION));
            assert_eq!(ejects, [false, false, false, false, true]);
            let duration = outlier.eject(now, EJECTION);
            assert_eq!(duration, SECOND * times.min(10));
            assert!(outlier.is_ejected(now) && !outlier.is_ejected(now + duration));
            assert!(!outlier.failed(now, EJECTION), "it is ejected already");
            outlier.failures = 0;
            now += duration;
        }
        outlier.succeeded(now);
        (0..5).for_each(|_| _ = outlier.failed(now, EJECTION));
        assert_eq!(outlier.eject(now, EJECTION), SECOND);
    }

    #[test]
    fn never_all_endpoints_are_ejected_and_never_more_than_the_share() {
        let of = |total: usize, max_share: u32| {
            let ejection = Ejection { max_share, ..EJECTION };
            (0..total).take_while(|ejected| may_eject(*ejected, total, ejection)).count()
        };
        for total in 0..20 {
            assert_eq!(of(total, 50), total / 2, "half of {total}");
            assert_eq!(of(total, 100), total.saturating_sub(1), "all but one of {total}");
            assert_eq!(of(total, 0), 0);
        }
    }
}
