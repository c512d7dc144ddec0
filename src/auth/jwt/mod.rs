//! The method `jwt`: the credential is a JSON Web Token (RFC 7519) with a signature (RFC 7515).
//!
//! ```text
//! token ─► parts (token, strict) ─► key by `kid` (key: pem, jwks) ─► signature ─► claims (check) ─► Identity
//! ```
//!
//! # Security
//! * The algorithms of a key come from its type, its own `alg`, and the settings. That of the token must be one of them.
//! * Base64 has one form, and names in JSON occur once, so that no other reader sees other claims.
//! * Claims are looked at only after the signature, and every token must expire.
//!
//! The crate `jsonwebtoken` reads the clock itself, takes the last one of two claims of the same name, and needs another
//! library of cryptography beside the one of TLS. So only the signatures are left to a library here.

mod check;
mod fetches;
mod jwks;
mod key;
mod pem;
mod strict;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::token::Token;
pub use self::{
    check::Rules,
    fetches::{Fetches, STALE_MAX, UNKNOWN_PAUSE},
    key::{Algorithm, KEYS_MAX, Key, KeyError, KeySet},
};
use super::{Identity, Invalid, Secret};

/// Checks a token and returns who has it. `method` is the name of the section, `now` in seconds since 1970.
///
/// # Errors
/// Why the token is not valid; see [`needs_newer_keys`].
pub fn verify(
    method: &Arc<str>,
    credential: &Secret,
    keys: &KeySet,
    rules: &Rules,
    now: u64,
) -> Result<Identity, Invalid> {
    let token = Token::parse(credential.expose())?;
    keys.verify(&token)?;
    let claims = token.claims()?;
    rules.check(method, claims, now)
}

/// Whether newer keys may accept a token that was refused with this error: the keys have no key with its id, or no id tells
/// whether the issuer has changed its key.
pub fn needs_newer_keys(error: Invalid, credential: &Secret, keys: &KeySet) -> bool {
    match error {
        Invalid::UnknownKeyId => true,
        Invalid::Signature | Invalid::Algorithm => {
            Token::parse(credential.expose()).is_ok_and(|token| keys.lacks_ids(&token))
        }
        _ => false,
    }
}
