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
use crate::{
    auth::Guess,
    rate::{OnLimit, Rate},
};

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

/// The check of one client's credential. It is in progress until it ends or is dropped.
///
/// A check of a guess that is dropped before its end counts as wrong: a client that disconnects each time could keep the
/// proxy busy with passwords otherwise.
#[derive(Debug)]
pub struct Attempt {
    permit: Option<ClientPermit<Address>>,
    /// [`Guess::Impossible`] from the end of the check on.
    guess: Guess,
}

// === impl Attempts ===

impl Attempts {
    /// No checks so far.
    pub(super) fn new() -> Self {
        Self(Clients::new(Some(CHECKS_MAX), WRONG))
    }

    /// Begins a check.
    ///
    /// # Errors
    /// [`Full::Checks`] when too many checks of the address are in progress, [`Full::Wrong`] when the credential may be a
    /// guess and too many of the address were wrong.
    pub fn begin(&self, client: IpAddr, guess: Guess, now: Instant) -> Result<Attempt, Full> {
        let Some(clients) = &self.0 else { return Ok(Attempt { permit: None, guess }) };
        let permit = clients.enter(Address::from(client), now).ok_or(Full::Checks)?;
        let limiter =
            permit.limiter.as_ref().map(|limiter| limiter.lock().unwrap_or_else(PoisonError::into_inner));
        let is_over = limiter.is_some_and(|mut limiter| limiter.excess(0, now).is_some());
        match is_over && guess == Guess::Possible {
            true => Err(Full::Wrong),
            false => Ok(Attempt { permit: Some(permit), guess }),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// Ends the check of a wrong credential.
    pub fn end_wrong(mut self, now: Instant) {
        self.count_wrong(now);
        self.end();
    }

    /// Ends the check of any other credential.
    pub fn end(mut self) {
        self.guess = Guess::Impossible;
    }

    fn count_wrong(&mut self, now: Instant) {
        if let Some(limiter) = self.permit.as_ref().and_then(|permit| permit.limiter.as_ref()) {
            limiter.lock().unwrap_or_else(PoisonError::into_inner).count(0, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.guess == Guess::Possible {
            self.count_wrong(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn begin(attempts: &Attempts, client: IpAddr, now: Instant) -> Result<Attempt, Full> {
        attempts.begin(client, Guess::Possible, now)
    }

    #[test]
    fn one_address_cannot_take_all_checks() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        let mut held: Vec<_> = (0..CHECKS_MAX).map(|_| begin(&attempts, HERE, now).unwrap()).collect();
        assert_eq!(begin(&attempts, HERE, now).unwrap_err(), Full::Checks);
        let _other = begin(&attempts, THERE, now).unwrap();
        held.pop();
        let _next = begin(&attempts, HERE, now).unwrap();
        assert_eq!(begin(&attempts, HERE, now).unwrap_err(), Full::Checks);
    }

    /// A new connection for each guess does not help.
    #[test]
    fn guesses_of_one_address_are_limited() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..60 {
            begin(&attempts, HERE, now).unwrap().end_wrong(now);
        }
        assert_eq!(begin(&attempts, HERE, now).unwrap_err(), Full::Wrong);
        begin(&attempts, THERE, now).expect("another address").end();
        let later = now + Duration::from_secs(1);
        begin(&attempts, HERE, later).unwrap().end_wrong(later);
        assert_eq!(begin(&attempts, HERE, later).unwrap_err(), Full::Wrong);
    }

    #[test]
    fn right_credentials_are_not_limited() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..1000 {
            begin(&attempts, HERE, now).unwrap().end();
        }
    }

    /// Others have the address of someone who guesses, behind a balancer that is not in `trusted_proxies`.
    #[test]
    fn guesses_do_not_lock_out_credentials_that_nobody_can_guess() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..60 {
            begin(&attempts, HERE, now).unwrap().end_wrong(now);
        }
        assert_eq!(begin(&attempts, HERE, now).unwrap_err(), Full::Wrong);
        attempts.begin(HERE, Guess::Impossible, now).expect("a token").end();
    }

    #[test]
    fn a_guess_whose_check_is_abandoned_counts_as_wrong() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..60 {
            drop(begin(&attempts, HERE, now).unwrap());
        }
        assert_eq!(begin(&attempts, HERE, now).unwrap_err(), Full::Wrong);
        for _ in 0..100 {
            drop(attempts.begin(THERE, Guess::Impossible, now).unwrap());
        }
        begin(&attempts, THERE, now).expect("only guesses count").end();
    }
}
