//! Rate limits on a client's messages: token buckets for messages and bytes.
//!
//! No clocks are used here: `now` is passed in. A bucket holds the tokens that its rate yields within
//! `burst`, at least one, and starts full. A message that costs more than a full bucket is accepted when the
//! bucket is full and leaves a debt, so that large messages are delayed, not impossible.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A rate limit. A rate of 0 disables the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Maximum number of messages per second; `None` for no limit.
    pub messages: Option<u32>,
    /// Maximum number of bytes of messages per second; `None` for no limit.
    pub bytes: Option<usize>,
    /// Size of the burst, as a time: what the rate yields in this time may be used at once.
    pub burst: Duration,
    /// What happens to a message above the rate.
    pub on_limit: OnLimit,
}

/// What happens to a message above a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLimit {
    /// The client gets an error reply for the message.
    Error,
    /// The message is accepted, and the proxy does not read from the client until the debt is paid.
    Delay,
    /// The client gets an error reply, and the session is closed with 1008.
    Close,
}

/// The token buckets of one client, or of one client address.
#[derive(Debug)]
pub struct Limiter {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// What happens to a message above the rate.
    pub on_limit: OnLimit,
}

/// A rate limit that several sessions share.
pub type SharedLimit = Arc<Mutex<Limiter>>;

/// The limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Excess {
    /// Messages per second.
    Messages,
    /// Bytes per second.
    Bytes,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    /// Tokens per second.
    rate: f64,
    depth: f64,
    /// The tokens left. Below zero while there is a debt.
    tokens: f64,
    at: Instant,
}

// === impl Limiter ===

impl Limiter {
    /// Creates full buckets; `None` when nothing is limited.
    pub fn new(rate: &Rate, now: Instant) -> Option<Self> {
        (rate.messages.is_some() || rate.bytes.is_some()).then(|| Self::changeable(rate, now))
    }

    /// Creates full buckets, for a rate that may limit nothing and can be changed.
    pub fn changeable(rate: &Rate, now: Instant) -> Self {
        let messages = rate.messages.map(|messages| Bucket::new(messages.into(), rate.burst, now));
        let bytes = rate.bytes.map(|bytes| Bucket::new(bytes as f64, rate.burst, now));
        Self { messages, bytes, on_limit: rate.on_limit }
    }

    /// Continues with another rate. Tokens and debts stay, up to the new burst; a full bucket stays full. Without a rate,
    /// nothing is limited.
    pub fn change(&mut self, rate: &Rate, now: Instant) {
        let change = |bucket: &mut Option<Bucket>, new: Option<f64>| {
            let old = bucket.take();
            *bucket = new.map(|new| Bucket::new(new, rate.burst, now).after(old, now));
        };
        change(&mut self.messages, rate.messages.map(f64::from));
        change(&mut self.bytes, rate.bytes.map(|bytes| bytes as f64));
        self.on_limit = rate.on_limit;
    }

    /// The limit that a message of this many bytes would exceed now; `None` if the message is within the
    /// limits.
    pub fn excess(&mut self, bytes: usize, now: Instant) -> Option<Excess> {
        if self.messages.as_mut().is_some_and(|bucket| !bucket.has(1.0, now)) {
            return Some(Excess::Messages);
        }
        let lacks = self.bytes.as_mut().is_some_and(|bucket| !bucket.has(bytes as f64, now));
        lacks.then_some(Excess::Bytes)
    }

    /// Spends the tokens of a message of this many bytes, even when there are too few.
    pub fn count(&mut self, bytes: usize, now: Instant) {
        if let Some(bucket) = &mut self.messages {
            bucket.take(1.0, now);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(bytes as f64, now);
        }
    }

    /// The time until the debt is paid.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let buckets = self.messages.iter_mut().chain(&mut self.bytes);
        buckets.map(|bucket| bucket.wait(now)).max().unwrap_or_default()
    }

    /// Whether all buckets are full. Such a limiter equals a new one.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.messages.iter_mut().chain(&mut self.bytes).all(|bucket| bucket.is_full(now))
    }
}

/// The buckets, while no other session uses them.
pub fn locked(limit: &SharedLimit) -> MutexGuard<'_, Limiter> {
    limit.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Excess ===

impl Excess {
    /// The noun for error texts: `messages` or `bytes`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Bytes => "bytes",
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn new(rate: f64, burst: Duration, now: Instant) -> Self {
        let depth = (rate * burst.as_secs_f64()).max(1.0);
        Self { rate, depth, tokens: depth, at: now }
    }

    /// The same bucket, with the tokens of the one that it replaces.
    fn after(mut self, old: Option<Self>, now: Instant) -> Self {
        if let Some(mut old) = old.filter(|old| old.tokens < old.depth)
            && !old.is_full(now)
        {
            self.tokens = old.tokens.min(self.depth);
        }
        self
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.tokens = (self.tokens + self.rate * passed.as_secs_f64()).min(self.depth);
        self.at = self.at.max(now);
    }

    fn has(&mut self, cost: f64, now: Instant) -> bool {
        self.fill(now);
        // Rounding loses fractions of a token; a missing billionth does not delay a message.
        self.tokens + 1e-9 >= cost.min(self.depth)
    }

    fn take(&mut self, cost: f64, now: Instant) {
        self.fill(now);
        self.tokens -= cost;
    }

    fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        Duration::try_from_secs_f64((-self.tokens).max(0.0) / self.rate).unwrap_or(Duration::MAX)
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.depth
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(messages: u32, bytes: usize, burst: Duration) -> Rate {
        let (messages, bytes) = ((messages > 0).then_some(messages), (bytes > 0).then_some(bytes));
        Rate { messages, bytes, burst, on_limit: OnLimit::Error }
    }

    fn admitted(limiter: &mut Limiter, bytes: usize, now: Instant) -> bool {
        let fits = limiter.excess(bytes, now).is_none();
        if fits {
            limiter.count(bytes, now);
        }
        fits
    }

    #[test]
    fn after_a_burst_the_rate_applies() {
        let now = Instant::now();
        let mut limiter = Limiter::new(&rate(10, 0, Duration::from_secs(2)), now).unwrap();
        assert_eq!((0..30).filter(|_| admitted(&mut limiter, 1, now)).count(), 20);
        assert_eq!(limiter.excess(1, now), Some(Excess::Messages));
        let later = now + Duration::from_millis(350);
        assert_eq!((0..30).filter(|_| admitted(&mut limiter, 1, later)).count(), 3);
        assert!(!limiter.is_full(later));
        assert!(limiter.is_full(later + Duration::from_secs(2)));
    }

    #[test]
    fn a_message_above_the_burst_leaves_a_debt() {
        let now = Instant::now();
        let mut limiter = Limiter::new(&rate(0, 1000, Duration::from_secs(1)), now).unwrap();
        assert!(admitted(&mut limiter, 5000, now));
        assert_eq!(limiter.excess(1, now), Some(Excess::Bytes));
        assert_eq!(limiter.wait(now), Duration::from_secs(4));
        assert_eq!(limiter.excess(1, now + Duration::from_secs(4)), Some(Excess::Bytes));
        assert!(admitted(&mut limiter, 1000, now + Duration::from_secs(5)));
    }

    #[test]
    fn another_rate_keeps_tokens_and_debts() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut limiter = Limiter::new(&rate(10, 0, second), now).unwrap();
        limiter.change(&rate(20, 0, second), now);
        assert_eq!((0..30).filter(|_| admitted(&mut limiter, 1, now)).count(), 20, "full buckets stay full");
        limiter.change(&rate(5, 100, second), now);
        assert_eq!(limiter.excess(1, now), Some(Excess::Messages));
        assert!(admitted(&mut limiter, 1, now + second / 5));
        for _ in 0..3 {
            limiter.count(1, now + second / 5);
        }
        limiter.change(&rate(1, 0, second), now + second / 5);
        assert_eq!(limiter.wait(now + second / 5), 3 * second, "the debt stays");
        limiter.change(&rate(0, 0, second), now);
        assert_eq!(limiter.excess(usize::MAX, now), None);
    }

    #[test]
    fn without_limits_there_is_no_limiter() {
        assert!(Limiter::new(&rate(0, 0, Duration::from_secs(1)), Instant::now()).is_none());
    }

    proptest! {
        /// In no period do more messages pass than burst and rate allow, plus one message for the debt.
        #[test]
        fn a_limit_admits_at_most_burst_and_rate(
            messages in 1_u32..50,
            burst_ms in 1_u64..3000,
            steps in proptest::collection::vec(0_u64..200, 1..200),
        ) {
            let begun = Instant::now();
            let burst = Duration::from_millis(burst_ms);
            let mut limiter = Limiter::new(&rate(messages, 0, burst), begun).unwrap();
            let mut now = begun;
            let mut passed = 0;
            for step in steps {
                now += Duration::from_millis(step);
                passed += u32::from(admitted(&mut limiter, 1, now));
                let allowed = f64::from(messages) * (burst + (now - begun)).as_secs_f64();
                prop_assert!(f64::from(passed) <= allowed.max(1.0) + 1.0);
            }
        }

        /// A client that waits as long as required is never refused afterwards.
        #[test]
        fn a_client_that_waits_as_required_is_not_refused(bytes in 1_usize..10_000, costs in proptest::collection::vec(1_usize..5000, 1..50)) {
            let mut now = Instant::now();
            let mut limiter = Limiter::new(&rate(0, bytes, Duration::from_secs(1)), now).unwrap();
            for cost in costs {
                limiter.count(cost, now);
                now += limiter.wait(now);
                prop_assert!(limiter.wait(now) < Duration::from_micros(1));
            }
        }
    }
}
