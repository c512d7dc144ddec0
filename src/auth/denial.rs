//! Why a client is not accepted, and the challenge in the response to it.

use std::fmt::Write;

use super::{CertificateDenial, CredentialError, forward::ServiceError};

/// Why a client is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The request has no credential for any of the route's methods: 401.
    Missing,
    /// The request has a credential that is not one (RFC 6750 section 3.1): 400.
    Malformed(CredentialError),
    /// The credential is not valid: 401.
    Invalid(Invalid),
    /// The client is known, but lacks the claim of this name: 403.
    Forbidden(String),
    /// The credential cannot be checked now. The client may try again after this number of seconds: 503.
    Unavailable(u32),
    /// The service of the method `forward` denies the client: 401, or 403 for a client that is known.
    ByService {
        /// Whether the client is known: 403.
        is_known: bool,
        /// The challenges of the service.
        challenges: Vec<String>,
    },
    /// The service of the method `forward` has not decided: 503.
    Failed(ServiceError),
    /// Too many passwords wait for their check. The client may try again after this number of seconds: 503.
    Busy(u32),
    /// Too many checks of the client's address wait: 429.
    TooManyWait,
    /// The section that accepted the client is no longer in the settings, or no longer renews.
    Removed,
    /// The client's certificate is not one of those that the section accepts: 403.
    Certificate(CertificateDenial),
}

/// Why a credential is not valid. The texts are for clients and logs, and have no part of the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No key has this hash.
    #[error("unknown key")]
    UnknownKey,
    /// The key was valid until it expired.
    #[error("expired key")]
    ExpiredKey,
    /// The token is not `HEADER.CLAIMS.SIGNATURE` with JSON objects in base64url, in which each name occurs once.
    #[error("malformed token")]
    Malformed,
    /// The key may not be used with the token's algorithm.
    #[error("algorithm not allowed")]
    Algorithm,
    /// The header `typ` is that of something else.
    #[error("wrong type of token")]
    Type,
    /// The header `crit` requires an extension that the proxy does not know.
    #[error("critical header not supported")]
    Critical,
    /// No key has the token's `kid`.
    #[error("unknown key id")]
    UnknownKeyId,
    /// The signature is not that of the key.
    #[error("wrong signature")]
    Signature,
    /// The time `exp` is over.
    #[error("token expired")]
    Expired,
    /// The time `nbf` has not come.
    #[error("token not valid yet")]
    NotYet,
    /// The token has no `exp`.
    #[error("token without exp")]
    NoExpiry,
    /// The claim `iss` is not one of the issuers.
    #[error("wrong issuer")]
    Issuer,
    /// The claim `aud` has none of the audiences.
    #[error("wrong audience")]
    Audience,
    /// A registered claim has a wrong type, or all claims together are too large.
    #[error("malformed claims")]
    Claims,
    /// There is no such user, or the password is wrong.
    #[error("unknown user or wrong password")]
    Login,
}

/// Whether someone could find the credential of a request by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// It is a key or a password.
    Possible,
    /// It has a signature, another server checks it, or there is none.
    Impossible,
}

// === impl Invalid ===

impl Invalid {
    /// Whether the credential may be a guess. A signature cannot be guessed, and an expired key was a valid one.
    pub fn is_guess(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Login)
    }
}

/// An authentication scheme (RFC 9110 section 11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
}

/// A challenge for the header `WWW-Authenticate`, with the error if the client was denied for its credential.
///
/// ```
/// # use towline::auth::{Denial, Invalid, Scheme, challenge};
/// assert_eq!(challenge(Scheme::Bearer, "users", &Denial::Missing), r#"Bearer realm="users""#);
/// assert_eq!(
///     challenge(Scheme::Bearer, "users", &Denial::Invalid(Invalid::UnknownKey)),
///     r#"Bearer realm="users", error="invalid_token", error_description="unknown key""#,
/// );
/// ```
pub fn challenge(scheme: Scheme, realm: &str, denial: &Denial) -> String {
    let name = match scheme {
        Scheme::Bearer => "Bearer",
        Scheme::Basic => "Basic",
    };
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let mut challenge = format!("{name} realm=\"{realm}\"");
    if scheme == Scheme::Basic {
        challenge.push_str(", charset=\"UTF-8\"");
    }
    let error = match denial {
        Denial::Missing
        | Denial::Unavailable(_)
        | Denial::ByService { .. }
        | Denial::Failed(_)
        | Denial::Busy(_)
        | Denial::TooManyWait
        | Denial::Removed
        | Denial::Certificate(_) => None,
        Denial::Malformed(error) => Some(("invalid_request", Some(error.to_string()))),
        Denial::Invalid(error) => Some(("invalid_token", Some(error.to_string()))),
        Denial::Forbidden(_) => Some(("insufficient_scope", None)),
    };
    if let (Scheme::Bearer, Some((error, description))) = (scheme, error) {
        // Writing to a string cannot fail.
        let _ = write!(challenge, ", error=\"{error}\"");
        if let Some(description) = description {
            let _ = write!(challenge, ", error_description=\"{description}\"");
        }
    }
    challenge
}
