//! How many checks of credentials of one address wait at a time, and how many wrong credentials it may send (guarantee
//! C4).
//!
//! No actors, sockets or clocks are used here: `now` is an argument.

use std::{
    cell::OnceCell,
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Full,
    clients::{Address, ClientPermit, Clients},
};
use crate::{
    auth::{Denial, Guess, Waiting},
    rate::{OnLimit, Rate},
};

/// Maximum number of checks of one address that wait at the same time: for the keys of an issuer, for a service, or for
/// the hash of a password. They have few places for all clients together, and one address must not take all of them.
/// Checks that end at once take no place, so that those that wait refuse none of them.
const WAITING_MAX: usize = 32;

/// The rate of wrong credentials of one address: as many as clients behind one address send by mistake, and too few to
/// find one by guessing.
const WRONG: Rate =
    Rate { messages: Some(1), bytes: None, burst: Duration::from_secs(60), on_limit: OnLimit::Error };

/// No rate.
const UNLIMITED: Rate = Rate { messages: None, ..WRONG };

/// The checks of credentials at one listener.
#[derive(Debug)]
pub struct Attempts {
    /// The checks that wait.
    waiting: Option<Arc<Clients<Address>>>,
    /// The rates of wrong credentials.
    wrong: Option<Arc<Clients<Address>>>,
}

/// The check of one client's credential. It is in progress until it ends or is dropped.
///
/// A check of a guess that is dropped before its end counts as wrong: a client that disconnects each time could keep the
/// proxy busy with passwords otherwise.
#[derive(Debug)]
pub struct Attempt {
    client: Address,
    waiting: Option<Arc<Clients<Address>>>,
    /// The place of a check that waits.
    place: OnceCell<ClientPermit<Address>>,
    /// The rate of wrong credentials; `None` if the credential is no guess.
    wrong: Option<ClientPermit<Address>>,
    /// [`Guess::Impossible`] from the end of the check on.
    guess: Guess,
}

// === impl Attempts ===

impl Attempts {
    /// No checks so far.
    pub(super) fn new() -> Self {
        Self { waiting: Clients::new(Some(WAITING_MAX), UNLIMITED), wrong: Clients::new(None, WRONG) }
    }

    /// Begins a check.
    ///
    /// # Errors
    /// [`Full::Wrong`] when the credential may be a guess and too many of the address were wrong.
    pub fn begin(&self, client: IpAddr, guess: Guess, now: Instant) -> Result<Attempt, Full> {
        let client = Address::from(client);
        let wrong = self.wrong.as_ref().filter(|_| guess == Guess::Possible);
        let wrong = wrong.and_then(|clients| clients.enter(client, now));
        let limiter = wrong.as_ref().map(|permit| &permit.limiter);
        let limiter = limiter.map(|limiter| limiter.lock().unwrap_or_else(PoisonError::into_inner));
        if limiter.is_some_and(|mut limiter| limiter.excess(0, now).is_some()) {
            return Err(Full::Wrong);
        }
        Ok(Attempt { client, waiting: self.waiting.clone(), place: OnceCell::new(), wrong, guess })
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
        if let Some(limiter) = self.wrong.as_ref().map(|permit| &permit.limiter) {
            limiter.lock().unwrap_or_else(PoisonError::into_inner).count(0, now);
        }
    }
}

impl Waiting for Attempt {
    fn begin(&self, now: Instant) -> Result<(), Denial> {
        let Some(waiting) = self.waiting.as_ref().filter(|_| self.place.get().is_none()) else {
            return Ok(());
        };
        let place = waiting.enter(self.client, now).ok_or(Denial::TooManyWait)?;
        let _ = self.place.set(place);
        Ok(())
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

    fn waiting(attempts: &Attempts, client: IpAddr, now: Instant) -> Result<Attempt, Denial> {
        let attempt = attempts.begin(client, Guess::Impossible, now).unwrap();
        attempt.begin(now)?;
        attempt.begin(now)?;
        Ok(attempt)
    }

    #[test]
    fn one_address_cannot_take_the_places_of_all_checks_that_wait() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        let mut held: Vec<_> = (0..WAITING_MAX).map(|_| waiting(&attempts, HERE, now).unwrap()).collect();
        assert_eq!(waiting(&attempts, HERE, now).unwrap_err(), Denial::TooManyWait);
        let _other = waiting(&attempts, THERE, now).unwrap();
        held.pop();
        let _next = waiting(&attempts, HERE, now).unwrap();
        assert_eq!(waiting(&attempts, HERE, now).unwrap_err(), Denial::TooManyWait);
    }

    #[test]
    fn a_check_that_ends_at_once_needs_no_place() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        let held: Vec<_> = (0..WAITING_MAX).map(|_| waiting(&attempts, HERE, now).unwrap()).collect();
        for guess in [Guess::Possible, Guess::Impossible] {
            let all: Result<Vec<_>, _> =
                (0..2 * WAITING_MAX).map(|_| attempts.begin(HERE, guess, now)).collect();
            all.expect("none of them waits").into_iter().for_each(Attempt::end);
        }
        drop(held);
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
