//! The pace of reconnects to one upstream, of all sessions together (C7).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Hands out the moments at which reconnects to one upstream may begin, so that an upstream that comes
/// back is not stormed.
///
/// Shared by the supervisors of all workers, the one thing they share: a reconnect is rare, and asks once.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pacer {
    /// At most `rate` reconnects a second.
    pub fn new(rate: u32) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(None) }
    }

    /// Takes the next free moment, `now` or later. Ask when the reconnect is due, not before: a moment
    /// taken ahead of time would hold up those that are due earlier.
    pub fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = next.map_or(now, |free| free.max(now));
        *next = Some(moment + self.interval);
        moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_wishes_at_once_are_spread() {
        let pacer = Pacer::new(200);
        let now = Instant::now();
        let moments: Vec<Instant> = (0..1000).map(|_| pacer.reserve(now)).collect();
        assert_eq!(moments[0], now);
        assert_eq!(moments[999], now + Duration::from_millis(5) * 999);
        let later = now + Duration::from_secs(60);
        assert_eq!(pacer.reserve(later), later, "an idle pacer saves nothing up and owes nothing");
    }
}
