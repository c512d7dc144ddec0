//! When the keys of an issuer are fetched, and how long they are used. The time is an argument.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::KeySet;

/// How long keys are used after the time at which they should have been fetched again. An issuer that is down for longer
/// cannot take a stolen key back.
pub const STALE_MAX: Duration = Duration::from_secs(60 * 60);

/// The shortest time between two fetches for tokens with an unknown key id, unless `refresh` is shorter. Clients can send
/// any number of such tokens.
pub const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);

/// The shortest and the longest time between a failed fetch and the next one.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The fetches of the keys of one issuer, of which one runs at a time.
#[derive(Debug)]
pub struct Fetches {
    refresh: Duration,
    /// The last keys, and when they came.
    keys: Option<(Arc<KeySet>, Instant)>,
    /// Fetches that have failed since then.
    failures: u32,
    /// When the next one begins.
    next: Instant,
    /// When the last one ended; `None` before the first end.
    ended: Option<Instant>,
    runs: bool,
}

impl Fetches {
    /// No fetch yet; the first one is due. `refresh` is the time between two fetches.
    pub fn new(refresh: Duration, now: Instant) -> Self {
        Self { refresh, keys: None, failures: 0, next: now, ended: None, runs: false }
    }

    /// The keys; `None` if there never were any, or if they are too old.
    pub fn keys(&self, now: Instant) -> Option<Arc<KeySet>> {
        let (keys, came) = self.keys.as_ref()?;
        let is_fresh = now.saturating_duration_since(*came) < self.refresh + STALE_MAX;
        is_fresh.then(|| Arc::clone(keys))
    }

    /// When the next fetch begins.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// Whether a fetch runs, or begins now.
    pub fn is_near(&self, now: Instant) -> bool {
        self.runs || self.next <= now
    }

    /// Has keys fetched now, because a token has an unknown key id. Returns whether a fetch runs or begins. Within
    /// [`UNKNOWN_PAUSE`] after the last one, none begins.
    pub fn want(&mut self, now: Instant) -> bool {
        let pause = UNKNOWN_PAUSE.min(self.refresh);
        let is_early = self.ended.is_some_and(|ended| now.saturating_duration_since(ended) < pause);
        if !self.runs && !is_early {
            self.next = self.next.min(now);
        }
        self.is_near(now)
    }

    /// Records the begin of a fetch.
    pub fn begin(&mut self) {
        self.runs = true;
    }

    /// Records the end of a fetch, with keys if it succeeded.
    pub fn end(&mut self, keys: Option<KeySet>, now: Instant) {
        (self.runs, self.ended) = (false, Some(now));
        match keys {
            Some(keys) => {
                (self.keys, self.failures) = (Some((Arc::new(keys), now)), 0);
                self.next = now + self.refresh;
            }
            None => {
                let pause = RETRY_MIN * 2_u32.saturating_pow(self.failures);
                self.failures = self.failures.saturating_add(1);
                self.next = now + pause.min(RETRY_MAX);
            }
        }
    }

    /// The seconds after which a client may try again; at least 1.
    pub fn retry_after(&self, now: Instant) -> u32 {
        let wait = self.next.saturating_duration_since(now).as_secs();
        u32::try_from(wait).unwrap_or(u32::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn keys(secret: &str) -> KeySet {
        KeySet::of_secret(secret, &[]).unwrap()
    }

    fn first() -> KeySet {
        keys("the first secret of at least 32 bytes")
    }

    #[test]
    fn keys_are_fetched_again_before_they_are_too_old() {
        let start = Instant::now();
        let mut fetches = Fetches::new(10 * MINUTE, start);
        assert_eq!((fetches.due(), fetches.keys(start)), (start, None));
        fetches.begin();
        fetches.end(Some(first()), start);
        assert_eq!(fetches.due(), start + 10 * MINUTE);
        assert!(fetches.keys(start + 70 * MINUTE - SECOND).is_some());
        assert_eq!(fetches.keys(start + 70 * MINUTE), None, "an issuer that is down for an hour");
    }

    #[test]
    fn failures_are_retried_ever_later_and_keep_the_keys() {
        let start = Instant::now();
        let mut fetches = Fetches::new(10 * MINUTE, start);
        fetches.end(Some(first()), start);
        let mut now = fetches.due();
        let mut waits = Vec::new();
        for _ in 0..9 {
            fetches.begin();
            fetches.end(None, now);
            waits.push((fetches.due() - now).as_secs());
            now = fetches.due();
            assert!(fetches.keys(now).is_some());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(fetches.retry_after(now - 2 * SECOND), 3);
        fetches.end(Some(first()), now);
        fetches.end(None, now);
        assert_eq!(fetches.due(), now + SECOND, "the count begins again");
    }

    #[test]
    fn unknown_ids_cause_one_fetch_in_each_interval() {
        let start = Instant::now();
        let mut fetches = Fetches::new(10 * MINUTE, start);
        assert!(fetches.want(start), "the first one is due");
        fetches.begin();
        assert!(fetches.want(start) && fetches.is_near(start), "it runs");
        fetches.end(Some(first()), start);
        assert!(!fetches.want(start + UNKNOWN_PAUSE - SECOND));
        assert_eq!(fetches.due(), start + 10 * MINUTE);
        let now = start + UNKNOWN_PAUSE;
        assert!(fetches.want(now) && fetches.want(now));
        assert_eq!(fetches.due(), now);
        fetches.begin();
        fetches.end(None, now);
        assert!(!fetches.want(now), "a failure counts too");
        assert!(fetches.want(now + UNKNOWN_PAUSE));
    }
}
