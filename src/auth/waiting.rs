//! The check of a credential that may wait for something.

use std::time::Instant;

use super::Denial;

/// A check that may wait: for the keys of an issuer, for a service, or for the hash of a password.
pub trait Waiting {
    /// Takes a place among the checks that wait, until the end of the check.
    ///
    /// # Errors
    /// [`Denial::TooManyWait`] when too many checks of the client's address wait.
    fn begin(&self, now: Instant) -> Result<(), Denial>;
}

/// A check without a limit on those that wait, such as that of a renewal: each session has one at a time.
pub struct Unlimited;

impl Waiting for Unlimited {
    fn begin(&self, _now: Instant) -> Result<(), Denial> {
        Ok(())
    }
}
