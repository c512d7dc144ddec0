//! Accepts or refuses clients, by the methods of their route.
//!
//! `auth` has what this decides by; here are the files, sockets and clocks that the methods need, one file for each
//! method.

mod api_keys;
mod basic;
mod files;
mod forward;
mod jwks;
mod jwt;
mod keepers;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_http::{
    Method as HttpMethod,
    header::{HeaderName, HeaderValue},
};

use tokio::time::timeout;

pub use self::{forward::Clients, keepers::Keepers};
use crate::{
    auth::{
        self, AuthConfig, ClientCertificateConfig, Credential, Denial, Guess, Hidden, Identity, MethodConfig,
        Requirement, Scheme, Secret, Unlimited, Waiting, basic::Login,
    },
    certificate::TlsFacts,
    client_address::Chain,
    clock,
    files::Fingerprint,
    net::{Network, tls::TlsClient},
    router,
};

/// Maximum time for the check of a renewal. The client's later messages may wait for the answer to it.
const RENEWAL_MAX: Duration = Duration::from_secs(5);

/// A section `[auth.NAME]` in use, shared by all threads.
pub struct Authenticator {
    config: Arc<AuthConfig>,
    method: Method,
    /// Whether [`Keepers`] keep its keys.
    is_kept: AtomicBool,
    /// The text of the file that is in use.
    fingerprint: Mutex<Option<Fingerprint>>,
}

/// Why a new version of a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum RereadError {
    #[error(transparent)]
    ApiKeys(#[from] auth::ApiKeysError),
    #[error(transparent)]
    Jwt(#[from] auth::jwt::KeyError),
    #[error(transparent)]
    Basic(#[from] auth::basic::UsersError),
}

/// A method of authentication with its state.
enum Method {
    ApiKeys(api_keys::Checker),
    Jwt(jwt::Checker),
    Forward(forward::Checker),
    Basic(basic::Checker),
    ClientCertificate(ClientCertificateConfig),
}

/// The facts by which a client is accepted or refused.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The request.
    pub request: router::Request<'a>,
    /// The request without the credentials of all methods of the route. The service of the method `forward` gets this
    /// form.
    pub hidden: &'a Hidden,
    /// The method of the request.
    pub method: &'a HttpMethod,
    /// The way of the request from the client.
    pub chain: &'a Chain,
    /// The properties of the TLS connection; `None` without TLS.
    pub tls: Option<&'a TlsFacts>,
    /// The HTTP clients of this thread.
    pub clients: &'a Clients,
    /// The check of this request.
    pub waiting: &'a dyn Waiting,
}

/// A client that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Who it is.
    pub identity: Identity,
    /// The credential; `None` if the client was accepted by something else.
    pub credential: Option<Credential>,
    /// Headers for the upstream. Each replaces the client's header of that name, also if it has no values.
    pub upstream_headers: Vec<(HeaderName, Vec<HeaderValue>)>,
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
    for (position, method) in methods.iter().enumerate() {
        let denial = match method.check(offer, clock::seconds()).await {
            Ok(None) => continue,
            Ok(Some(accepted)) => match missing(requirements, &accepted.identity) {
                None => return Ok(accepted),
                Some(required) => Denial::Forbidden(required.claim.clone()),
            },
            Err(denial) => denial,
        };
        let challenges = match &denial {
            Denial::ByService { is_known, challenges } => {
                let others = if *is_known { Vec::new() } else { challenges_of(&methods[..position]) };
                others.into_iter().chain(challenges.iter().cloned()).collect()
            }
            denial => method.challenge(denial).into_iter().collect(),
        };
        return Err((denial, challenges));
    }
    Err((Denial::Missing, challenges_of(methods)))
}

/// Whether someone could find the credential of the request by trying.
pub fn guess(methods: &[Arc<Authenticator>], request: &router::Request<'_>) -> Guess {
    methods.iter().find_map(|method| method.guess(request)).unwrap_or(Guess::Impossible)
}

/// The challenges for a client that has no credential.
fn challenges_of(methods: &[Arc<Authenticator>]) -> Vec<String> {
    methods.iter().filter_map(|method| method.challenge(&Denial::Missing)).collect()
}

fn missing<'a>(requirements: &'a [Requirement], identity: &Identity) -> Option<&'a Requirement> {
    requirements.iter().find(|required| !required.is_met(&identity.claims))
}

// === impl Accepted ===

impl Accepted {
    /// A client for which the upstream gets no headers.
    fn of(identity: Identity) -> Self {
        Self { identity, credential: None, upstream_headers: Vec::new() }
    }
}

// === impl Authenticator ===

impl Authenticator {
    /// Starts to use a section. `previous` is the section of the same name in the configuration before.
    pub fn new(config: Arc<AuthConfig>, previous: Option<&Self>, network: &Arc<Network>) -> Arc<Self> {
        let tokens = previous.and_then(|previous| match &previous.method {
            Method::Jwt(tokens) => Some(tokens),
            _ => None,
        });
        let method = match &config.method {
            MethodConfig::ApiKeys(api_keys) => Method::ApiKeys(api_keys::Checker::new(api_keys)),
            MethodConfig::Jwt(jwt) => Method::Jwt(jwt::Checker::new(&config.name, jwt, tokens)),
            MethodConfig::Basic(basic) => Method::Basic(basic::Checker::new(&config.name, basic)),
            MethodConfig::ClientCertificate(patterns) => Method::ClientCertificate(patterns.clone()),
            MethodConfig::Forward(forward) => {
                Method::Forward(forward::Checker::new(&config.name, forward, network))
            }
        };
        let fingerprint = Mutex::new(config.fingerprint);
        Arc::new(Self { config, method, is_kept: AtomicBool::new(false), fingerprint })
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
            Method::Basic(users) => Some(users.file().to_owned()),
            Method::ClientCertificate(_) | Method::Forward(_) => None,
            Method::Jwt(tokens) => tokens.file().map(Path::to_owned),
        }
    }

    /// TLS to the service, whose roots are in a file.
    fn tls(&self) -> Option<&TlsClient> {
        match &self.method {
            Method::Forward(service) => service.tls(),
            _ => None,
        }
    }

    /// The text of the file that is in use.
    fn fingerprint(&self) -> Option<Fingerprint> {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_fingerprint(&self, fingerprint: Option<Fingerprint>) {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint;
    }

    /// The fetcher of the keys, if they are at a URL.
    fn remote(&self) -> Option<&Arc<jwks::Remote>> {
        match &self.method {
            Method::Jwt(tokens) => tokens.remote(),
            _ => None,
        }
    }

    /// Uses a new version of the file. Returns the number of keys.
    fn reread(&self, text: &str) -> Result<usize, RereadError> {
        match &self.method {
            Method::ApiKeys(keys) => Ok(keys.reread(text)?),
            Method::Basic(users) => Ok(users.reread(text)?),
            // They have no file.
            Method::ClientCertificate(_) | Method::Forward(_) => Ok(0),
            Method::Jwt(tokens) => Ok(tokens.reread(text)?),
        }
    }

    /// Checks what the client has for this method; `None` if it has nothing. `now` is in seconds since 1970.
    async fn check(&self, offer: &Offer<'_>, now: u64) -> Result<Option<Accepted>, Denial> {
        if let Method::Basic(users) = &self.method {
            let login = Login::find(&offer.request).map_err(Denial::Malformed)?;
            let Some(login) = login else { return Ok(None) };
            return Ok(Some(Accepted::of(users.check(login, offer.waiting).await?)));
        }
        if let Method::ClientCertificate(patterns) = &self.method {
            let Some(certificate) = offer.tls.and_then(|tls| tls.client.as_ref()) else { return Ok(None) };
            let identity = patterns.identify(&self.config.name, certificate, now);
            return identity.map(|identity| Some(Accepted::of(identity))).map_err(Denial::Certificate);
        }
        let found = auth::find(&self.config.from, &offer.request).map_err(Denial::Malformed)?;
        if found.is_none() && self.config.needs_credential() {
            return Ok(None);
        }
        let secret = found.as_ref().map(|credential| &credential.secret);
        let (identity, upstream_headers) = match (&self.method, secret) {
            (Method::Forward(service), secret) => {
                let judged = service.check(offer, secret).await?;
                (judged.identity, judged.upstream_headers)
            }
            (_, Some(secret)) => (self.identify(secret, now, offer.waiting).await?, Vec::new()),
            (_, None) => return Ok(None),
        };
        Ok(Some(Accepted { identity, credential: found, upstream_headers }))
    }

    /// Whether someone could find the credential for this method by trying; `None` if the request has none.
    fn guess(&self, request: &router::Request<'_>) -> Option<Guess> {
        let (is_there, guess) = match &self.method {
            Method::Basic(_) => (!matches!(Login::find(request), Ok(None)), Guess::Possible),
            Method::ApiKeys(_) => {
                (!matches!(auth::find(&self.config.from, request), Ok(None)), Guess::Possible)
            }
            Method::Jwt(_) => {
                (!matches!(auth::find(&self.config.from, request), Ok(None)), Guess::Impossible)
            }
            Method::Forward(_) | Method::ClientCertificate(_) => (false, Guess::Impossible),
        };
        is_there.then_some(guess)
    }

    /// The identity of the credential's owner. `now` is in seconds since 1970.
    async fn identify(&self, secret: &Secret, now: u64, waiting: &dyn Waiting) -> Result<Identity, Denial> {
        match &self.method {
            Method::ApiKeys(keys) => keys.check(&self.config.name, secret, now),
            Method::Jwt(tokens) => tokens.check(&self.config.name, secret, now, waiting).await,
            // They need more of a request than a credential, so that the settings refuse `renew`.
            Method::Basic(_) | Method::ClientCertificate(_) | Method::Forward(_) => Err(Denial::Missing),
        }
    }

    /// Checks a credential that an accepted client sends to renew its first one.
    ///
    /// # Errors
    /// See [`authenticate`]. A check that takes longer than `RENEWAL_MAX` is cancelled.
    pub async fn renew(&self, secret: &Secret, requirements: &[Requirement]) -> Result<Identity, Denial> {
        let identity = timeout(RENEWAL_MAX, self.identify(secret, clock::seconds(), &Unlimited)).await;
        let identity = identity.unwrap_or(Err(Denial::Unavailable(1)))?;
        match missing(requirements, &identity) {
            None => Ok(identity),
            Some(required) => Err(Denial::Forbidden(required.claim.clone())),
        }
    }

    /// The challenge of this method in the response to a client that was denied.
    pub fn challenge(&self, denial: &Denial) -> Option<String> {
        let (scheme, realm) = match &self.config.method {
            MethodConfig::ApiKeys(_) | MethodConfig::Jwt(_) | MethodConfig::Forward(_) => {
                (Scheme::Bearer, &*self.config.name)
            }
            // HTTP has no scheme for certificates.
            MethodConfig::ClientCertificate(_) => return None,
            // Another password would not change what the user may do.
            MethodConfig::Basic(_) if matches!(denial, Denial::Forbidden(_)) => return None,
            MethodConfig::Basic(basic) => (Scheme::Basic, &*basic.realm),
        };
        Some(auth::challenge(scheme, realm, denial))
    }
}
