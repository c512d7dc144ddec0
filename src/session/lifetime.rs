//! How long a session lasts: until the client's token expires, unless the client renews it, and until a maximum age.
//!
//! No actors, sockets or clocks are used here: `now` is passed in. A token names its end by the clock of the day, which
//! can be adjusted; the age of a session is measured by a clock that only runs forward.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{clock, policy::LifetimePolicy};

/// The longest wait for an expiry. The clock of the day may be adjusted meanwhile, so it is read again after this time.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the clock that only runs forward.
    pub steady: Instant,
    /// By the clock of the day: the time since 1970.
    pub unix: Duration,
}

/// The lifetime of one session.
#[derive(Debug, Clone)]
pub struct Lifetime {
    policy: Arc<LifetimePolicy>,
    /// When the token expires, as the time since 1970; `None` if it does not, or if there is none.
    expires: Option<Duration>,
    /// Whether the notice of the expiry has been sent.
    is_announced: bool,
    /// When the session is too old.
    oldest: Option<Instant>,
}

/// What is due in a session's lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The client gets a notice: its token expires at this time since the Unix epoch.
    Notice(Duration),
    /// The session ends.
    End(LifetimeEnd),
}

/// Why the lifetime of a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeEnd {
    /// The client's token has expired, and was not renewed in time.
    Expired,
    /// The session has reached its maximum age.
    Aged,
}

// === impl Moment ===

impl Moment {
    /// The current moment.
    pub fn now() -> Self {
        Self { steady: Instant::now(), unix: clock::since_1970() }
    }
}

// === impl Lifetime ===

impl Lifetime {
    /// The lifetime of a session that begins now with a token that expires at `expires`, in seconds since 1970. `None`
    /// if nothing ends the session. `chance` is a random number in [0, 1).
    pub fn new(policy: &Arc<LifetimePolicy>, expires: Option<u64>, now: Moment, chance: f64) -> Option<Self> {
        let oldest = policy.age(chance).and_then(|age| now.steady.checked_add(age));
        (oldest.is_some() || expires.is_some()).then(|| Self {
            policy: Arc::clone(policy),
            expires: expires.map(Duration::from_secs),
            is_announced: false,
            oldest,
        })
    }

    /// The lifetime of a session that has no end so far, with a token that expires at `expires`, in seconds since 1970.
    /// `None` if nothing ends the session.
    pub fn of_token(policy: &Arc<LifetimePolicy>, expires: Option<u64>) -> Option<Self> {
        expires.map(|expires| Self {
            policy: Arc::clone(policy),
            expires: Some(Duration::from_secs(expires)),
            is_announced: false,
            oldest: None,
        })
    }

    /// The lifetime of a session without a token, which began at `opened`; `None` if nothing ends it. `chance` is a random
    /// number in [0, 1).
    pub fn of_age(policy: &Arc<LifetimePolicy>, opened: Instant, chance: f64) -> Option<Self> {
        let oldest = policy.age(chance).and_then(|age| opened.checked_add(age));
        let policy = Arc::clone(policy);
        oldest.map(|oldest| Self { policy, expires: None, is_announced: false, oldest: Some(oldest) })
    }

    /// Continues with other decisions of the route, in a session that began at `opened`. The time of its maximum age stays
    /// if that does. `chance` is a random number in [0, 1).
    pub fn adopt(&mut self, policy: &Arc<LifetimePolicy>, opened: Instant, chance: f64) {
        if !policy.has_age_of(&self.policy) {
            self.oldest = policy.age(chance).and_then(|age| opened.checked_add(age));
        }
        self.policy = Arc::clone(policy);
    }

    /// Replaces the token by one that expires at `expires`, in seconds since 1970.
    pub fn renew(&mut self, expires: Option<u64>) {
        self.expires = expires.map(Duration::from_secs);
        self.is_announced = false;
    }

    /// What is due now; `None` if nothing is. A notice is due once for each token.
    pub fn due(&mut self, now: Moment) -> Option<Due> {
        if let Some(end) = self.end(now) {
            return Some(Due::End(end));
        }
        let expires = self.expires.filter(|_| !self.is_announced && self.until_notice(now).is_zero())?;
        self.is_announced = true;
        Some(Due::Notice(expires))
    }

    /// Why the session must end now; `None` if it need not. From this moment on, nothing that the client sends is
    /// accepted.
    pub fn end(&self, now: Moment) -> Option<LifetimeEnd> {
        if self.closes_at().is_some_and(|end| now.unix >= end) {
            return Some(LifetimeEnd::Expired);
        }
        self.oldest.filter(|oldest| now.steady >= *oldest).map(|_| LifetimeEnd::Aged)
    }

    /// The time until [`Lifetime::due`] must be asked again; `None` if nothing will be due.
    pub fn wait(&self, now: Moment) -> Option<Duration> {
        let notice = self.expires.filter(|_| !self.is_announced).map(|_| self.until_notice(now));
        let close = self.closes_at().map(|end| end.saturating_sub(now.unix));
        // An adjusted clock may make them due earlier.
        let by_day = notice.into_iter().chain(close).min().map(|wait| wait.min(WAIT_MAX));
        let by_age = self.oldest.map(|oldest| oldest.saturating_duration_since(now.steady));
        by_day.into_iter().chain(by_age).min()
    }

    /// When the session is closed unless the token is renewed, as the time since 1970; `None` if expiry does not close
    /// it.
    pub fn closes_at(&self) -> Option<Duration> {
        self.expires.map(|expires| expires.saturating_add(self.policy.skew))
    }

    /// The decisions of the route.
    pub fn policy(&self) -> &LifetimePolicy {
        &self.policy
    }

    fn until_notice(&self, now: Moment) -> Duration {
        let expires = self.expires.unwrap_or(Duration::MAX);
        expires.saturating_sub(self.policy.lead).saturating_sub(now.unix)
    }
}
