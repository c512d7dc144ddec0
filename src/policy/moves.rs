//! When the sessions of an upstream are moved to another connection while their clients stay.

use std::time::Duration;

/// The decisions about moves that the settings of an upstream make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovePolicy {
    /// Most moves that begin within a second, and most in progress; at least 1.
    pub rate: u32,
    /// How long a session may take to become quiet.
    pub grace: Duration,
    /// The age before which a connection is replaced; `None`: it is not.
    pub max_age: Option<Duration>,
    /// The replacement begins at most this much earlier, in percent.
    pub max_age_jitter: u32,
    /// When an endpoint gives sessions away to others; `None`: never.
    pub rebalance: Option<Rebalance>,
}

/// `rebalance`: an endpoint above both thresholds gives sessions away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalance {
    /// It keeps at least this many sessions; at least 1.
    pub min_sessions: usize,
    /// It may have this many, in percent of its share by weight; above 100.
    pub max_share: u32,
}

// === impl MovePolicy ===

impl MovePolicy {
    /// The age at which the replacement of a connection begins. The time in which a session becomes quiet is in reserve,
    /// up to a quarter of `max_age`. `chance` is a random number in [0, 1).
    pub fn age(&self, chance: f64) -> Option<Duration> {
        let max_age = self.max_age?;
        let latest = max_age - self.grace.min(max_age / 4);
        let jitter = f64::from(self.max_age_jitter.min(100)) / 100.0;
        Some(latest.mul_f64(1.0 - jitter * chance.clamp(0.0, 1.0)))
    }
}

impl Default for MovePolicy {
    /// The defaults of the settings.
    fn default() -> Self {
        let grace = Duration::from_secs(2);
        Self { rate: 200, grace, max_age: None, max_age_jitter: 10, rebalance: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn age(max_age: u64, grace: u64, max_age_jitter: u32, chance: f64) -> f64 {
        let [max_age, grace] = [max_age, grace].map(Duration::from_secs);
        let policy = MovePolicy { max_age: Some(max_age), grace, max_age_jitter, ..MovePolicy::default() };
        policy.age(chance).unwrap().as_secs_f64()
    }

    #[test]
    fn the_grace_is_in_reserve() {
        assert_eq!(age(100, 10, 0, 0.5), 90.0);
        assert_eq!(age(100, 80, 0, 0.5), 75.0, "at most a quarter");
        assert_eq!(age(100, 10, 50, 1.0), 45.0);
        assert_eq!(MovePolicy::default().age(0.5), None);
    }

    proptest! {
        #[test]
        fn an_age_is_below_max_age_and_at_least_that_without_reserve_and_jitter(
            grace in 0..200_u64,
            jitter in 0..=100_u32,
            chance in 0.0..1.0_f64,
        ) {
            let age = age(100, grace, jitter, chance);
            prop_assert!(age <= 100.0 && age >= 74.999 * (1.0 - f64::from(jitter) / 100.0), "{}", age);
        }
    }
}
