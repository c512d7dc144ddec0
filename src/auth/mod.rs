//! Who a client is: the credential in its request, and what is known of the client that sent it.
//!
//! | module | has |
//! |---|---|
//! | `credential` | where a request has its credential, and the request without it |
//! | `secret` | text that no log shows |
//! | `claims` | what is known of a client, and what a route requires of it |
//! | `operator_token` | the token of actions at the admin server |
//! | `renewal` | the message by which a client renews its credential |
//! | `denial` | why a client is not accepted, with the challenge of RFC 6750 |
//! | `api_keys` | the method `api_keys` |
//! | `basic` | the method `basic` |
//! | `client_certificate` | the method `client_certificate` |
//! | `forward` | the method `forward` |
//! | `jwt` | the method `jwt` |
//!
//! This module has no sockets, files and clocks. `authenticator` has them: it keeps the keys of the methods and
//! checks requests.

mod api_keys;
pub mod basic;
mod claims;
mod client_certificate;
mod credential;
mod denial;
pub mod forward;
pub mod jwt;
pub mod operator_token;
mod renewal;
mod secret;
mod waiting;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_http::header::HeaderValue;

pub use self::{
    api_keys::{ApiKeys, ApiKeysError, KEYS_MAX},
    claims::{CLAIMS_MAX, Requirement, claim, text_of},
    client_certificate::{
        CertificateDenial, CertificatePatternError, ClientCertificateConfig, NamePattern, SubjectPattern,
    },
    credential::{
        CREDENTIAL_MAX, Credential, CredentialError, Hidden, Source, SourceError, find, none_besides,
        only_one,
    },
    denial::{Denial, Guess, Invalid, Scheme, challenge},
    forward::ForwardConfig,
    renewal::{RenewalMessage, RenewalRule},
    secret::Secret,
    waiting::{Unlimited, Waiting},
};
use crate::{
    event::{Record, Value},
    files::Fingerprint,
    http_url::HttpUrl,
    net::tls::TlsClient,
};

/// The identity of an accepted client.
#[derive(Clone, PartialEq)]
pub struct Identity {
    /// The name of the section `[auth.NAME]` that accepted the client.
    pub method: Arc<str>,
    /// Who it is: the claim `sub`, or the name of the key.
    pub subject: Option<Arc<str>>,
    /// The claims, such as `{"sub":"7","scope":"read"}`. Their JSON has at most [`CLAIMS_MAX`] bytes.
    pub claims: Arc<Record>,
    /// When the identity ends, in seconds since 1970; `None` if it does not.
    pub expires: Option<u64>,
}

/// A section `[auth.NAME]`, checked.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The `NAME` of the section.
    pub name: Arc<str>,
    /// Where requests have their credentials.
    pub from: Box<[Source]>,
    /// Whether the credential is sent to the upstream as `Authorization: Bearer …`.
    pub forwards: bool,
    /// The messages by which a client renews its credential; `None` if it cannot.
    pub renew: Option<RenewalRule>,
    /// How a credential is checked.
    pub method: MethodConfig,
    /// The text of the method's file from which the keys were read; `None` if they are in no file.
    pub fingerprint: Option<Fingerprint>,
}

/// The method of a section `[auth.NAME]`. Each has a file here for what it decides, and one in `authenticator` for
/// what it needs of files, sockets and clocks.
#[derive(Debug, Clone)]
pub enum MethodConfig {
    /// `api_keys`: the credential is one of a list of keys.
    ApiKeys(ApiKeysConfig),
    /// `jwt`: the credential is a token with a signature.
    Jwt(JwtConfig),
    /// `forward`: an HTTP service decides.
    Forward(ForwardConfig),
    /// `basic`: user and password.
    Basic(BasicConfig),
    /// `client_certificate`: the certificate of the TLS connection.
    ClientCertificate(ClientCertificateConfig),
}

/// The table `api_keys` of a section.
#[derive(Debug, Clone)]
pub struct ApiKeysConfig {
    /// The file with the keys, if they are not in the settings.
    pub file: Option<PathBuf>,
    /// The keys: those of the settings, or those that the file had at the start.
    pub keys: ApiKeys,
}

/// The table `jwt` of a section.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// Where the keys are.
    pub source: KeySource,
    /// The algorithms that the keys may be used with. If the list is empty, each key may be used with all algorithms
    /// that fit its type.
    pub algorithms: Box<[jwt::Algorithm]>,
    /// The rules for the claims.
    pub rules: jwt::Rules,
    /// The keys that a file had at the start; none for a URL.
    pub keys: jwt::KeySet,
}

/// Where the keys for tokens are.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A PEM file with public keys or certificates.
    Pem(PathBuf),
    /// A file with a JSON Web Key Set.
    Jwks(PathBuf),
    /// A file with a secret for HMAC.
    Secret(PathBuf),
    /// A URL with a JSON Web Key Set.
    Url(Box<JwksConfig>),
}

/// The keys of an issuer at a URL.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    /// The URL.
    pub url: HttpUrl,
    /// The file of the roots that issue the certificate of the URL; `None` for those of the machine.
    pub ca: Option<PathBuf>,
    /// TLS to the issuer; `None` for a URL of `http`.
    pub tls: Option<TlsClient>,
    /// The time between two fetches.
    pub refresh: Duration,
}

// === impl KeySource ===

impl KeySource {
    /// The file; `None` for a URL.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Pem(path) | Self::Jwks(path) | Self::Secret(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// The keys in the text of the file or the response, for use with these algorithms.
    ///
    /// # Errors
    /// When the text has no keys.
    pub fn parse(&self, text: &str, algorithms: &[jwt::Algorithm]) -> Result<jwt::KeySet, jwt::KeyError> {
        match self {
            Self::Pem(_) => jwt::KeySet::from_pem(text, algorithms),
            Self::Jwks(_) => jwt::KeySet::from_jwks(text, algorithms, true),
            // Everybody can read what is at a URL, so there is no secret in it.
            Self::Url(_) => jwt::KeySet::from_jwks(text, algorithms, false),
            // Editors and shells end a file with a line end.
            Self::Secret(_) => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                jwt::KeySet::of_secret(text.strip_suffix('\r').unwrap_or(text), algorithms)
            }
        }
    }
}

/// The table `basic` of a section.
#[derive(Debug, Clone)]
pub struct BasicConfig {
    /// The file of the users.
    pub file: PathBuf,
    /// The users that the file had at the start.
    pub users: basic::Users,
    /// The realm, which browsers show.
    pub realm: String,
}

// === impl AuthConfig ===

impl AuthConfig {
    /// Whether the method decides only about requests that have a credential for it.
    pub fn needs_credential(&self) -> bool {
        match &self.method {
            MethodConfig::ApiKeys(_)
            | MethodConfig::Jwt(_)
            | MethodConfig::Basic(_)
            | MethodConfig::ClientCertificate(_) => true,
            MethodConfig::Forward(forward) => forward.needs_credential,
        }
    }

    /// All places in which a request may have a credential for this method.
    pub fn sources(&self) -> Vec<Source> {
        let headers: Vec<_> = match &self.method {
            MethodConfig::Basic(_) => vec![Source::Authorization],
            MethodConfig::Forward(forward) => {
                forward.request_headers.iter().filter_map(Source::inspected).collect()
            }
            _ => Vec::new(),
        };
        self.from.iter().cloned().chain(headers).collect()
    }
}

/// The value of `Authorization` with a credential; `None` if it is not visible ASCII.
pub fn bearer(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

// === impl Identity ===

impl Identity {
    /// The value of a claim; see [`claim`].
    pub fn claim(&self, name: &str) -> Option<&Value> {
        claim(&self.claims, name)
    }
}

/// Without the values of claims, which may be personal.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims: Vec<_> = self.claims.keys().collect();
        f.debug_struct("Identity")
            .field("method", &self.method)
            .field("subject", &self.subject)
            .field("claims", &claims)
            .field("expires", &self.expires)
            .finish()
    }
}
