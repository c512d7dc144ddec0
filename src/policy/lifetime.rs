//! How long a session may last: until the client's token expires, and until a maximum age.

use std::time::Duration;

/// The decisions about the end of sessions that the settings of a route make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimePolicy {
    /// The age at which a session is closed; `None` for no limit.
    pub max_age: Option<Duration>,
    /// A session is closed at most this much earlier, in percent of `max_age`.
    pub max_age_jitter: u32,
    /// How long before the token expires the client gets a notice.
    pub lead: Duration,
    /// How long after the token has expired the session is closed, to allow for clocks that differ.
    pub skew: Duration,
    /// The close code of a session whose token has expired.
    pub code: u16,
    /// The close reason of a session whose token has expired.
    pub reason: String,
}

// === impl LifetimePolicy ===

impl LifetimePolicy {
    /// Whether sessions get as old as with `other`.
    pub fn has_age_of(&self, other: &Self) -> bool {
        (self.max_age, self.max_age_jitter) == (other.max_age, other.max_age_jitter)
    }

    /// The age at which a session is closed; `None` if age does not close it. `chance` is a random number in [0, 1).
    pub fn age(&self, chance: f64) -> Option<Duration> {
        let jitter = f64::from(self.max_age_jitter.min(100)) / 100.0;
        Some(self.max_age?.mul_f64(1.0 - jitter * chance.clamp(0.0, 1.0)))
    }
}

impl Default for LifetimePolicy {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            max_age: None,
            max_age_jitter: 10,
            lead: Duration::from_secs(30),
            skew: Duration::ZERO,
            code: 1008,
            reason: "token expired".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(max_age: u64, max_age_jitter: u32) -> LifetimePolicy {
        let max_age = Some(Duration::from_secs(max_age));
        LifetimePolicy { max_age, max_age_jitter, ..LifetimePolicy::default() }
    }

    #[test]
    fn the_age_is_earlier_by_the_jitter() {
        assert_eq!(policy(100, 0).age(0.5), Some(Duration::from_secs(100)));
        assert_eq!(policy(100, 50).age(0.5), Some(Duration::from_secs(75)));
        assert_eq!(LifetimePolicy::default().age(0.5), None);
    }

    proptest! {
        #[test]
        fn an_age_is_within_the_jitter(jitter in 0..=100_u32, chance in 0.0..1.0_f64) {
            let age = policy(1000, jitter).age(chance).unwrap().as_secs_f64();
            prop_assert!(age <= 1000.0 && age >= 1000.0 - 10.0 * f64::from(jitter), "{}", age);
        }
    }
}
