//! Accepts or refuses clients, by the methods of their route.
//!
//! `auth` has what this decides by; here are the files, sockets and clocks that the methods need, one file for each
//! method.

mod api_keys;
mod files;
mod jwks;
mod jwt;
mod keepers;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::timeout;

pub use self::keepers::Keepers;
use crate::{
    auth::{self, AuthConfig, Credential, Denial, Identity, MethodConfig, Requirement, Scheme, Secret},
    router,
};

/// Maximum time for the check of a renewal. The client's later messages may wait for the answer to it.
const RENEWAL_MAX: Duration = Duration::from_secs(5);

/// A section `[auth.NAME]` in use, shared by all threads.
#[derive(Debug)]
pub struct Authenticator {
    config: Arc<AuthConfig>,
    method: Method,
    /// Whether [`Keepers`] keep its keys.
    is_kept: AtomicBool,
}

/// Why a new version of a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum RereadError {
    #[error(transparent)]
    ApiKeys(#[from] auth::ApiKeysError),
    #[error(transparent)]
    Jwt(#[from] auth::jwt::KeyError),
}

/// What a method needs while the program runs.
#[derive(Debug)]
enum Method {
    ApiKeys(api_keys::Checker),
    Jwt(jwt::Checker),
}

/// What a client is judged by.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The request.
    pub request: router::Request<'a>,
}

/// A client that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Who it is.
    pub identity: Identity,
    /// The credential, if the section sends it to the upstream.
    pub forwarded: Option<Credential>,
    /// Whether the credential was among the subprotocols.
    pub by_subprotocol: bool,
}

/// The client is accepted or not by the first method for which it has a credential.
///
/// # Errors
/// When the request has no credential, or one that is not valid; when the client lacks a claim that is required.
/// The error comes with the challenges for the response.
pub async fn authenticate(
    methods: &[Arc<Authenticator>],
    requirements: &[Requirement],
    offer: &Offer<'_>,
) -> Result<Accepted, (Denial, Vec<String>)> {
    for method in methods {
        let denial = match method.check(offer, now()).await {
            Ok(None) => continue,
            Ok(Some(accepted)) => match missing(requirements, &accepted.identity) {
                None => return Ok(accepted),
                Some(required) => Denial::Forbidden(required.claim.clone()),
            },
            Err(denial) => denial,
        };
        let challenges = method.challenge(&denial).into_iter().collect();
        return Err((denial, challenges));
    }
    let denial = Denial::Missing;
    let challenges = methods.iter().filter_map(|method| method.challenge(&denial)).collect();
    Err((denial, challenges))
}

fn missing<'a>(requirements: &'a [Requirement], identity: &Identity) -> Option<&'a Requirement> {
    requirements.iter().find(|required| !required.is_met(&identity.claims))
}

/// The time in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

// === impl Authenticator ===

impl Authenticator {
    /// Starts to use a section. `previous` is the section of the same name in the configuration before.
    pub fn new(config: Arc<AuthConfig>, previous: Option<&Self>) -> Arc<Self> {
        let tokens = previous.and_then(|previous| match &previous.method {
            Method::Jwt(tokens) => Some(tokens),
            Method::ApiKeys(_) => None,
        });
        let method = match &config.method {
            MethodConfig::ApiKeys(api_keys) => Method::ApiKeys(api_keys::Checker::new(api_keys)),
            MethodConfig::Jwt(jwt) => Method::Jwt(jwt::Checker::new(&config.name, jwt, tokens)),
        };
        Arc::new(Self { config, method, is_kept: AtomicBool::new(false) })
    }

    /// The section.
    pub fn config(&self) -> &Arc<AuthConfig> {
        &self.config
    }

    /// Records that the keys are kept up to date. Returns whether they were already.
    fn mark_kept(&self) -> bool {
        self.is_kept.swap(true, Relaxed)
    }

    /// The file of the keys, if they are in one.
    fn file(&self) -> Option<PathBuf> {
        match &self.method {
            Method::ApiKeys(keys) => keys.file.clone(),
            Method::Jwt(tokens) => tokens.file().map(Path::to_owned),
        }
    }

    /// What fetches the keys, if they are at a URL.
    fn remote(&self) -> Option<&Arc<jwks::Remote>> {
        match &self.method {
            Method::ApiKeys(_) => None,
            Method::Jwt(tokens) => tokens.remote(),
        }
    }

    /// Uses a new version of the file. Returns the number of keys.
    fn reread(&self, text: &str) -> Result<usize, RereadError> {
        match &self.method {
            Method::ApiKeys(keys) => Ok(keys.reread(text)?),
            Method::Jwt(tokens) => Ok(tokens.reread(text)?),
        }
    }

    /// Checks what the client has for this method; `None` if it has nothing. `now` is in seconds since 1970.
    async fn check(&self, offer: &Offer<'_>, now: u64) -> Result<Option<Accepted>, Denial> {
        let found = auth::find(&self.config.from, &offer.request).map_err(Denial::Malformed)?;
        let Some(credential) = found else { return Ok(None) };
        let secret = &credential.secret;
        let identity = self.identify(secret, now).await?;
        let by_subprotocol = credential.is_subprotocol;
        let forwarded = self.config.forwards.then_some(credential);
        Ok(Some(Accepted { identity, forwarded, by_subprotocol }))
    }

    /// Whose credential it is. `now` is in seconds since 1970.
    async fn identify(&self, secret: &Secret, now: u64) -> Result<Identity, Denial> {
        match &self.method {
            Method::ApiKeys(keys) => keys.check(&self.config.name, secret, now),
            Method::Jwt(tokens) => tokens.check(&self.config.name, secret, now).await,
        }
    }

    /// Checks a credential that an accepted client sends to renew its first one.
    ///
    /// # Errors
    /// As for [`authenticate`]. A check that takes longer than [`RENEWAL_MAX`] is given up.
    pub async fn renew(&self, secret: &Secret, requirements: &[Requirement]) -> Result<Identity, Denial> {
        let identity = timeout(RENEWAL_MAX, self.identify(secret, now())).await;
        let identity = identity.unwrap_or(Err(Denial::Unavailable(1)))?;
        match missing(requirements, &identity) {
            None => Ok(identity),
            Some(required) => Err(Denial::Forbidden(required.claim.clone())),
        }
    }

    /// The challenge of this method in the response to a client that was denied.
    fn challenge(&self, denial: &Denial) -> Option<String> {
        let scheme = match self.method {
            Method::ApiKeys(_) | Method::Jwt(_) => Scheme::Bearer,
        };
        Some(auth::challenge(scheme, &self.config.name, denial))
    }
}
