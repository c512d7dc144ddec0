//! The method `api_keys`.

use std::sync::Arc;

use crate::auth::{ApiKeys, ApiKeysConfig, Denial, Identity, Invalid, Secret};

/// The keys of a section.
#[derive(Debug)]
pub(super) struct Checker {
    keys: ApiKeys,
}

impl Checker {
    pub(super) fn new(config: &ApiKeysConfig) -> Self {
        Self { keys: config.keys.clone() }
    }

    /// Checks a credential. `now` is in seconds since 1970.
    pub(super) fn check(&self, method: &Arc<str>, credential: &Secret, now: u64) -> Result<Identity, Denial> {
        match self.keys.identify(method, credential) {
            None => Err(Denial::Invalid(Invalid::UnknownKey)),
            Some(Identity { expires: Some(expires), .. }) if expires <= now => {
                Err(Denial::Invalid(Invalid::ExpiredKey))
            }
            Some(identity) => Ok(identity),
        }
    }
}
