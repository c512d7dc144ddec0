//! How many credentials of one address are checked at a time, and how many wrong ones it may send (guarantee C4).
//!
//! No actors, sockets or clocks are used here: `now` is an argument.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Full,
    clients::{Address, ClientPermit, Clients},
};
use crate::rate::{OnLimit, Rate};

/// Maximum number of credentials of one address that are checked at the same time. Checks that wait for something, such
/// as the keys of an issuer, have few places for all clients together, and one address must not take all of them.
const CHECKS_MAX: usize = 32;

/// The rate of wrong credentials of one address: as many as clients behind one address send by mistake, and too few to
/// find one by guessing.
const WRONG: Rate =
    Rate { messages: Some(1), bytes: None, burst: Duration::from_secs(60), on_limit: OnLimit::Error };

/// The checks of credentials at one listener.
#[derive(Debug)]
pub struct Attempts(Option<Arc<Clients<Address>>>);

/// The check of one client's credential. It is in progress until it is dropped.
#[derive(Debug)]
pub struct Attempt(Option<ClientPermit<Address>>);

// === impl Attempts ===

impl Attempts {
    /// No checks so far.
    pub(super) fn new() -> Self {
        Self(Clients::new(Some(CHECKS_MAX), WRONG))
    }

    /// Begins a check.
    ///
    /// # Errors
    /// [`Full::Checks`] when too many checks of the address are in progress, [`Full::Wrong`] when too many credentials
    /// of the address were wrong.
    pub fn begin(&self, client: IpAddr, now: Instant) -> Result<Attempt, Full> {
        let Some(clients) = &self.0 else { return Ok(Attempt(None)) };
        let permit = clients.enter(Address::from(client), now).ok_or(Full::Checks)?;
        let limiter =
            permit.limiter.as_ref().map(|limiter| limiter.lock().unwrap_or_else(PoisonError::into_inner));
        match limiter.is_some_and(|mut limiter| limiter.excess(0, now).is_some()) {
            true => Err(Full::Wrong),
            false => Ok(Attempt(Some(permit))),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// Counts the credential as wrong.
    pub fn count_wrong(&self, now: Instant) {
        if let Some(limiter) = self.0.as_ref().and_then(|permit| permit.limiter.as_ref()) {
            limiter.lock().unwrap_or_else(PoisonError::into_inner).count(0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn one_address_cannot_take_all_checks() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        let mut held: Vec<_> = (0..CHECKS_MAX).map(|_| attempts.begin(HERE, now).unwrap()).collect();
        assert_eq!(attempts.begin(HERE, now).unwrap_err(), Full::Checks);
        let _other = attempts.begin(THERE, now).unwrap();
        held.pop();
        let _next = attempts.begin(HERE, now).unwrap();
        assert_eq!(attempts.begin(HERE, now).unwrap_err(), Full::Checks);
    }

    /// A new connection for each guess does not help.
    #[test]
    fn guesses_of_one_address_are_limited() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..60 {
            attempts.begin(HERE, now).unwrap().count_wrong(now);
        }
        assert_eq!(attempts.begin(HERE, now).unwrap_err(), Full::Wrong);
        assert!(attempts.begin(THERE, now).is_ok(), "another address");
        let later = now + Duration::from_secs(1);
        attempts.begin(HERE, later).unwrap().count_wrong(later);
        assert_eq!(attempts.begin(HERE, later).unwrap_err(), Full::Wrong);
    }

    #[test]
    fn right_credentials_are_not_limited() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..1000 {
            assert!(attempts.begin(HERE, now).is_ok());
        }
    }
}
