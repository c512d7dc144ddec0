//! When the sessions of an upstream are moved to another connection while their clients stay.

use std::time::Duration;

/// The decisions about moves that the settings of an upstream make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovePolicy {
    /// Most moves that begin within a second, and most in progress; at least 1.
    pub rate: u32,
    /// How long a session may take to become quiet.
    pub grace: Duration,
    /// The age at which a connection is replaced; `None`: it is not.
    pub max_age: Option<Duration>,
    /// A connection is replaced at most this much earlier, in percent of `max_age`.
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
    /// The age at which a connection is replaced. `chance` is a random number in [0, 1).
    pub fn age(&self, chance: f64) -> Option<Duration> {
        let jitter = f64::from(self.max_age_jitter.min(100)) / 100.0;
        Some(self.max_age?.mul_f64(1.0 - jitter * chance.clamp(0.0, 1.0)))
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

    proptest! {
        #[test]
        fn an_age_is_at_most_max_age_and_at_least_that_without_the_jitter(jitter in 0..=100_u32, chance in 0.0..1.0_f64) {
            let max_age = Some(Duration::from_secs(100));
            let policy = MovePolicy { max_age, max_age_jitter: jitter, ..MovePolicy::default() };
            let age = policy.age(chance).unwrap().as_secs_f64();
            prop_assert!(age <= 100.0 && age >= 99.999 - f64::from(jitter), "{}", age);
            prop_assert_eq!(MovePolicy::default().age(chance), None);
        }
    }
}
