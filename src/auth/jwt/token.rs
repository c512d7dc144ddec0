//! The parts of a token in compact serialization (RFC 7515 section 7.1): `HEADER.CLAIMS.SIGNATURE`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{key::Algorithm, strict};
use crate::{
    auth::Invalid,
    event::{Record, Value},
};

/// A token whose header is understood, and whose signature is not checked yet. It has no `Debug` form.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    /// The header `kid`: which key has signed it.
    pub(super) key_id: Option<String>,
    /// What is signed: the encoded header and claims.
    pub(super) signed: &'a [u8],
    claims: &'a str,
    pub(super) signature: Box<[u8]>,
}

/// The types of tokens, in lower case: any (RFC 7519 section 5.1), and access tokens (RFC 9068 section 2.1).
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

impl<'a> Token<'a> {
    /// Parses a token up to its header.
    pub(super) fn parse(text: &'a str) -> Result<Self, Invalid> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Malformed);
        };
        let signed = &text.as_bytes()[..header.len() + 1 + claims.len()];
        let header = object(header)?;
        // RFC 7515 section 4.1.11: no extension is understood, and an empty list is not allowed.
        if header.contains_key("crit") {
            return Err(Invalid::Critical);
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(name)) if TYPES.contains(&&*name.to_ascii_lowercase()) => {}
            Some(_) => return Err(Invalid::Type),
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.to_string()),
            Some(_) => return Err(Invalid::Malformed),
        };
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::named(name).ok_or(Invalid::Algorithm)?,
            _ => return Err(Invalid::Malformed),
        };
        let signature = decode(signature)?.into();
        Ok(Self { algorithm, key_id, signed, claims, signature })
    }

    /// The claims. Call it only for a token whose signature is right.
    pub(super) fn claims(&self) -> Result<Record, Invalid> {
        object(self.claims)
    }
}

/// Decodes a part that is a JSON object.
fn object(part: &str) -> Result<Record, Invalid> {
    let bytes = decode(part)?;
    let text = str::from_utf8(&bytes).map_err(|_| Invalid::Malformed)?;
    strict::object(text).ok_or(Invalid::Malformed)
}

/// Decodes base64url without padding, and without bits that no encoder writes (RFC 7515 section 2).
fn decode(part: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed)
}
