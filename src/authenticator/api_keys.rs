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

    pub(super) fn check(&self, method: &Arc<str>, credential: &Secret) -> Result<Identity, Denial> {
        self.keys.identify(method, credential).ok_or(Denial::Invalid(Invalid::UnknownKey))
    }
}
