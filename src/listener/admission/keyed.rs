//! The limits of a route on all clients with the same claim or header.
//!
//! No actors, sockets or clocks are used here: `now` is an argument.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use super::{
    Full,
    clients::{ClientPermit, Clients},
};
use crate::{
    policy::{KeyLimit, LimitKey},
    rate::{Rate, SharedLimit},
};

/// What distinguishes clients: a hash of the claim or header, so that no value is kept, whatever its size. With 128
/// bits and secret keys, no two values have the same one.
type Key = u128;

/// The limits of a route by claim or header, with the clients of each. Several configurations share it.
#[derive(Debug)]
pub struct KeyLimits {
    limits: Box<[Keyed]>,
    hashers: [RandomState; 2],
}

#[derive(Debug)]
struct Keyed {
    limit: KeyLimit,
    clients: Arc<Clients<Key>>,
}

/// The permits of a session at the limits of its route. They are returned when dropped.
#[derive(Debug, Default)]
pub struct KeyPermits {
    permits: Box<[ClientPermit<Key>]>,
    /// The rates that the session shares with others.
    pub rates: Box<[SharedLimit]>,
}

// === impl KeyPermits ===

impl KeyPermits {
    /// Whether the route has no limits by claim or header.
    pub fn is_empty(&self) -> bool {
        self.permits.is_empty()
    }
}

// === impl KeyLimits ===

impl KeyLimits {
    /// Creates the limits of a route.
    pub fn new(limits: &[KeyLimit]) -> Arc<Self> {
        let keyed = limits.iter().filter_map(|limit| {
            Some(Keyed { limit: limit.clone(), clients: Clients::new(limit.max_sessions, limit.rate)? })
        });
        Arc::new(Self { limits: keyed.collect(), hashers: Default::default() })
    }

    /// The limits of the same route with other settings. A limit by the same claim or header keeps the clients that it
    /// counts; the change applies to their sessions too.
    pub fn with_settings(self: &Arc<Self>, limits: &[KeyLimit], now: Instant) -> Arc<Self> {
        if self.limits.iter().map(|keyed| &keyed.limit).eq(limits) {
            return Arc::clone(self);
        }
        let keyed = limits.iter().filter_map(|limit| {
            let known = self.limits.iter().find(|known| known.limit.by == limit.by);
            let clients = match known {
                Some(known) => {
                    known.clients.configure(limit.max_sessions, limit.rate, now);
                    Arc::clone(&known.clients)
                }
                None => Clients::new(limit.max_sessions, limit.rate)?,
            };
            Some(Keyed { limit: limit.clone(), clients })
        });
        let keyed = keyed.collect();
        // Sessions that live have the rates of limits that are gone.
        let is_gone = |known: &&Keyed| !limits.iter().any(|limit| limit.by == known.limit.by);
        for Keyed { limit, clients } in self.limits.iter().filter(is_gone) {
            clients.configure(None, Rate { messages: None, bytes: None, ..limit.rate }, now);
        }
        Arc::new(Self { limits: keyed, hashers: self.hashers.clone() })
    }

    /// Counts a session until the permits are dropped. `value` has the claims and headers of the client. All clients
    /// without a value count as one.
    ///
    /// # Errors
    /// [`Full::Key`] when one of the limits is reached. The session then uses no permit.
    pub fn enter<'a>(
        &self,
        value: impl Fn(&LimitKey) -> Option<Cow<'a, [u8]>>,
        now: Instant,
    ) -> Result<KeyPermits, Full> {
        let mut permits = Vec::with_capacity(self.limits.len());
        let mut rates = Vec::new();
        for Keyed { limit, clients } in &self.limits {
            let permit = clients.enter(self.key(value(&limit.by).as_deref()), now).ok_or(Full::Key)?;
            rates.push(Arc::clone(&permit.limiter));
            permits.push(permit);
        }
        Ok(KeyPermits { permits: permits.into(), rates: rates.into() })
    }

    fn key(&self, value: Option<&[u8]>) -> Key {
        let [high, low] = [0, 1].map(|at| Key::from(self.hashers[at].hash_one(value)));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate::{self, OnLimit, Rate};

    const NO_RATE: Rate =
        Rate { messages: None, bytes: None, burst: Duration::from_secs(1), on_limit: OnLimit::Error };

    fn limit(name: &str, max_sessions: Option<usize>, messages: Option<u32>) -> KeyLimit {
        let rate = Rate { messages, ..NO_RATE };
        KeyLimit { by: LimitKey::Header(name.to_owned()), max_sessions, rate }
    }

    /// A client with these headers.
    fn enter(limits: &KeyLimits, headers: &[(&str, &'static str)]) -> Result<KeyPermits, Full> {
        let value = |key: &LimitKey| {
            let LimitKey::Header(name) = key else { return None };
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| Cow::Borrowed(value.as_bytes()))
        };
        limits.enter(value, Instant::now())
    }

    #[test]
    fn clients_with_the_same_value_share_a_limit() {
        let limits = KeyLimits::new(&[limit("tenant", Some(2), None)]);
        let first = enter(&limits, &[("tenant", "a")]).unwrap();
        let _second = enter(&limits, &[("tenant", "a")]).unwrap();
        assert_eq!(enter(&limits, &[("tenant", "a")]).unwrap_err(), Full::Key);
        let _other = enter(&limits, &[("tenant", "b")]).unwrap();
        drop(first);
        let _third = enter(&limits, &[("tenant", "a")]).unwrap();
    }

    #[test]
    fn clients_without_a_value_count_as_one() {
        let limits = KeyLimits::new(&[limit("tenant", Some(1), None)]);
        let _first = enter(&limits, &[]).unwrap();
        assert_eq!(enter(&limits, &[("other", "a")]).unwrap_err(), Full::Key);
        let _empty = enter(&limits, &[("tenant", "")]).unwrap();
    }

    #[test]
    fn a_client_that_one_limit_refuses_uses_no_permit_of_the_others() {
        let limits = KeyLimits::new(&[limit("tenant", Some(2), None), limit("user", Some(1), None)]);
        let _first = enter(&limits, &[("tenant", "a"), ("user", "1")]).unwrap();
        for _ in 0..3 {
            assert_eq!(enter(&limits, &[("tenant", "a"), ("user", "1")]).unwrap_err(), Full::Key);
        }
        let _second = enter(&limits, &[("tenant", "a"), ("user", "2")]).unwrap();
    }

    #[test]
    fn sessions_with_the_same_value_share_a_rate() {
        let limits = KeyLimits::new(&[limit("tenant", None, Some(5)), limit("user", Some(9), None)]);
        let [first, second, other] =
            ["a", "a", "b"].map(|tenant| enter(&limits, &[("tenant", tenant)]).unwrap());
        let now = Instant::now();
        (0..9).for_each(|_| rate::locked(&first.rates[1]).count(1, now));
        assert!(
            rate::locked(&first.rates[1]).excess(1, now).is_none(),
            "max_sessions does not limit messages"
        );
        assert!(Arc::ptr_eq(&first.rates[0], &second.rates[0]));
        assert!(!Arc::ptr_eq(&first.rates[0], &other.rates[0]));
    }

    #[test]
    fn another_limit_by_the_same_header_keeps_its_clients() {
        let (settings, now) = ([limit("tenant", Some(2), Some(5))], Instant::now());
        let limits = KeyLimits::new(&settings);
        let first = enter(&limits, &[("tenant", "a")]).unwrap();
        let _second = enter(&limits, &[("tenant", "a")]).unwrap();
        assert!(Arc::ptr_eq(&limits, &limits.with_settings(&settings, now)));
        let tighter =
            limits.with_settings(&[limit("user", Some(9), None), limit("tenant", Some(1), Some(2))], now);
        drop(first);
        assert_eq!(enter(&tighter, &[("tenant", "a")]).unwrap_err(), Full::Key, "one is left");
        let other = enter(&tighter, &[("tenant", "b")]).unwrap();
        let mut limiter = rate::locked(&other.rates[1]);
        (0..2).for_each(|_| limiter.count(0, now));
        assert!(limiter.excess(0, now).is_some());
    }

    #[test]
    fn a_rate_that_is_added_to_a_cap_of_sessions_applies_to_those_that_live() {
        let now = Instant::now();
        let limits = KeyLimits::new(&[limit("tenant", Some(9), None)]);
        let session = enter(&limits, &[("tenant", "a")]).unwrap();
        limits.with_settings(&[limit("tenant", Some(9), Some(2))], now);
        let mut limiter = rate::locked(&session.rates[0]);
        (0..2).for_each(|_| limiter.count(0, now));
        assert!(limiter.excess(0, now).is_some());
    }

    #[test]
    fn a_limit_that_is_gone_limits_no_session_any_more() {
        let now = Instant::now();
        let limits = KeyLimits::new(&[limit("tenant", None, Some(1))]);
        let session = enter(&limits, &[("tenant", "a")]).unwrap();
        let mut limiter = rate::locked(&session.rates[0]);
        (0..2).for_each(|_| limiter.count(0, now));
        assert!(limiter.excess(0, now).is_some());
        drop(limiter);
        limits.with_settings(&[], now);
        assert!(rate::locked(&session.rates[0]).excess(0, now).is_none());
    }
}
