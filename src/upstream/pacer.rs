//! The rate limit on reconnects to one upstream, for all sessions together (guarantee C7).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Assigns the times at which reconnects to one upstream may begin, so that an upstream that becomes
/// reachable again is not overloaded.
///
/// The supervisors of all workers share one pacer. Its lock is rarely contended, because reconnects are rare.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pacer {
    /// Creates a pacer that allows at most `rate` reconnects per second.
    pub fn new(rate: u32) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(None) }
    }

    /// Reserves the next free time, `now` or later. Call it when the reconnect is due, not earlier: a slot
    /// reserved ahead of time would delay reconnects that are due sooner.
    pub fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = next.map_or(now, |free| free.max(now));
        *next = Some(moment + self.interval);
        moment
    }

    /// Reserves the next free time like [`reserve`](Self::reserve) if it is before `end`.
    pub fn reserve_before(&self, now: Instant, end: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = next.map_or(now, |free| free.max(now));
        if moment >= end {
            return None;
        }
        *next = Some(moment + self.interval);
        Some(moment)
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
        assert_eq!(pacer.reserve_before(now, moments[999]), None, "the next slot is later");
        let end = moments[999] + Duration::from_millis(6);
        let next = moments[999] + Duration::from_millis(5);
        assert_eq!(pacer.reserve_before(now, end), Some(next));
        assert_eq!(pacer.reserve_before(now, end), None, "that slot is taken");
        assert_eq!(pacer.reserve(later), later, "an idle pacer saves nothing up and owes nothing");
    }
}
