//! The method `api_keys`.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use crate::auth::{ApiKeys, ApiKeysConfig, ApiKeysError, Denial, Identity, Invalid, Secret};

/// The keys of a section.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) file: Option<PathBuf>,
    keys: RwLock<Arc<ApiKeys>>,
}

impl Checker {
    pub(super) fn new(config: &ApiKeysConfig) -> Self {
        Self { file: config.file.clone(), keys: RwLock::new(Arc::new(config.keys.clone())) }
    }

    /// Checks a credential. `now` is in seconds since 1970.
    pub(super) fn check(&self, method: &Arc<str>, credential: &Secret, now: u64) -> Result<Identity, Denial> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        match keys.identify(method, credential) {
            None => Err(Denial::Invalid(Invalid::UnknownKey)),
            Some(Identity { expires: Some(expires), .. }) if expires <= now => {
                Err(Denial::Invalid(Invalid::ExpiredKey))
            }
            Some(identity) => Ok(identity),
        }
    }

    /// Uses the keys of a new version of the file. Returns how many there are.
    pub(super) fn reread(&self, text: &str) -> Result<usize, ApiKeysError> {
        let keys = ApiKeys::parse(text)?;
        let count = keys.count();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }
}
