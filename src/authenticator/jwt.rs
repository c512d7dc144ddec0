//! The method `jwt`.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use super::jwks::Remote;
use crate::auth::{
    Denial, Identity, JwtConfig, KeySource, Secret, Waiting,
    jwt::{Algorithm, KeyError, KeySet, Rules, needs_newer_keys, verify},
};

/// The keys and rules of a section.
#[derive(Debug)]
pub(super) struct Checker {
    rules: Rules,
    source: KeySource,
    algorithms: Box<[Algorithm]>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// Keys from a file.
    Local(RwLock<Arc<KeySet>>),
    /// Keys from a URL.
    Remote(Arc<Remote>),
}

impl Checker {
    /// Starts to use a section. The keys of the same URL are those of `previous`.
    pub(super) fn new(name: &Arc<str>, config: &JwtConfig, previous: Option<&Self>) -> Self {
        let JwtConfig { source, algorithms, rules, keys } = config.clone();
        let keys = match &source {
            KeySource::Url(jwks) => {
                let known = previous.and_then(Self::remote);
                let same = known.filter(|remote| remote.serves(jwks, &algorithms));
                let new = || Remote::new(Arc::clone(name), (**jwks).clone(), algorithms.clone());
                Keys::Remote(same.map_or_else(new, Arc::clone))
            }
            _ => Keys::Local(RwLock::new(Arc::new(keys))),
        };
        Self { rules, source, algorithms, keys }
    }

    /// Checks a token. A signature takes less than a millisecond, so that it is checked on the thread of the listener.
    pub(super) async fn check(
        &self,
        method: &Arc<str>,
        credential: &Secret,
        now: u64,
        waiting: &dyn Waiting,
    ) -> Result<Identity, Denial> {
        let with = |keys: &KeySet| verify(method, credential, keys, &self.rules, now);
        let checked = match &self.keys {
            Keys::Local(keys) => {
                let keys = Arc::clone(&keys.read().unwrap_or_else(PoisonError::into_inner));
                with(&keys)
            }
            Keys::Remote(remote) => {
                let keys = remote.keys(waiting).await?;
                match with(&keys) {
                    Err(error) if needs_newer_keys(error, credential, &keys) => {
                        remote.newer(waiting).await?.map_or(Err(error), |keys| with(&keys))
                    }
                    checked => checked,
                }
            }
        };
        checked.map_err(Denial::Invalid)
    }

    /// The file of the keys.
    pub(super) fn file(&self) -> Option<&Path> {
        self.source.path()
    }

    /// The fetcher of the keys.
    pub(super) fn remote(&self) -> Option<&Arc<Remote>> {
        match &self.keys {
            Keys::Local(_) => None,
            Keys::Remote(remote) => Some(remote),
        }
    }

    /// Uses the keys of a new version of the file. Returns how many there are.
    pub(super) fn reread(&self, text: &str) -> Result<usize, KeyError> {
        let new = self.source.parse(text, &self.algorithms)?;
        let count = new.count();
        if let Keys::Local(keys) = &self.keys {
            *keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
        Ok(count)
    }
}
