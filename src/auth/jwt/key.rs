//! Keys that check signatures, and the algorithms that each may be used with (RFC 7518 section 3, RFC 8037 section 3).

use std::fmt;

use ring::{
    hmac,
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};

use super::token::Token;
use crate::auth::Invalid;

/// Maximum number of keys of a section. Issuers have a handful.
pub const KEYS_MAX: usize = 256;

/// Maximum number of keys that the signature of one token is checked with. Each takes up to 0.1 ms.
const TRIES_MAX: usize = 8;

/// Bounds of the size of RSA keys, in bits (RFC 7518 section 3.3, and what the library takes).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// An algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA (PKCS #1) with SHA-256.
    Rs256,
    /// RSA (PKCS #1) with SHA-384.
    Rs384,
    /// RSA (PKCS #1) with SHA-512.
    Rs512,
    /// RSA (PSS) with SHA-256.
    Ps256,
    /// RSA (PSS) with SHA-384.
    Ps384,
    /// RSA (PSS) with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its `kid`; `None` for a key without one, which is tried for every token.
    pub(super) id: Option<String>,
    /// The algorithms that it may be used with.
    algorithms: Box<[Algorithm]>,
    pub(super) material: Material,
}

/// The key itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// A secret that both sides have.
    Secret(Box<[u8]>),
    /// Modulus and exponent, without leading zeros.
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    /// A point on P-256, uncompressed.
    P256(Box<[u8]>),
    /// A point on P-384, uncompressed.
    P384(Box<[u8]>),
    /// Ed25519.
    Ed25519(Box<[u8]>),
}

/// The keys of a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Box<[Key]>);

/// Why a text has no keys. The error texts contain no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A PEM file has no key.
    #[error("has no public key: it needs -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----")]
    NoPem,
    /// A PEM file has a private key.
    #[error("has a private key: only the issuer needs it, and the proxy needs the public key")]
    Private,
    /// A key cannot be decoded.
    #[error("has a key that cannot be decoded")]
    Malformed,
    /// A key is of a kind that cannot be used.
    #[error("has a key that cannot be used; keys are RSA (2048 to 8192 bits), P-256, P-384 and Ed25519")]
    Unusable,
    /// A secret is too short (RFC 7518 section 3.2).
    #[error("has a secret of less than 32 bytes")]
    Short,
    /// The text is not a set of keys.
    #[error("is not a JSON Web Key Set such as {{\"keys\": [{{\"kty\": \"RSA\", …}}]}}")]
    NotASet,
    /// The set has no key that can be used.
    #[error(
        "has no key that can be used with the algorithms; keys are RSA, P-256, P-384, Ed25519 and secrets"
    )]
    None,
    /// There are more than [`KEYS_MAX`] keys.
    #[error("has more than {KEYS_MAX} keys")]
    TooMany,
    /// More than `TRIES_MAX` keys without id have one algorithm.
    #[error(
        "has more than {TRIES_MAX} keys without `kid` for one algorithm, and not all of them would be tried"
    )]
    TooManyWithoutId,
}

// === impl Algorithm ===

impl Algorithm {
    /// All algorithms, by their names (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub const ALL: [(&str, Self); 12] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// The algorithm of that name; `None` for others, such as `none`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }
}

// === impl Key ===

impl Key {
    /// A key with all algorithms that fit its material.
    pub(super) fn new(id: Option<String>, material: Material) -> Result<Self, KeyError> {
        let algorithms = material.algorithms();
        if algorithms.is_empty() {
            let is_secret = matches!(material, Material::Secret(_));
            return Err(if is_secret { KeyError::Short } else { KeyError::Unusable });
        }
        Ok(Self { id, algorithms: algorithms.into(), material })
    }

    /// Uses the key only with these algorithms.
    pub(super) fn restrict(&mut self, allowed: &[Algorithm]) {
        self.algorithms = self.algorithms.iter().copied().filter(|it| allowed.contains(it)).collect();
    }

    fn verify(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed, &*token.signature);
        let by = |algorithm, key: &[u8]| UnparsedPublicKey::new(algorithm, key).verify(message, signature);
        match &self.material {
            Material::Secret(secret) => {
                let algorithm = match token.algorithm {
                    Algorithm::Hs256 => hmac::HMAC_SHA256,
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature).is_ok()
            }
            Material::Rsa { n, e } => {
                let parameters = match token.algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => &signature::RSA_PSS_2048_8192_SHA512,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            Material::P256(point) => by(&signature::ECDSA_P256_SHA256_FIXED, point).is_ok(),
            Material::P384(point) => by(&signature::ECDSA_P384_SHA384_FIXED, point).is_ok(),
            Material::Ed25519(key) => by(&signature::ED25519, key).is_ok(),
        }
    }
}

/// Without the key: it may be a secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &self.algorithms).finish()
    }
}

// === impl Material ===

impl Material {
    /// The algorithms that the key can be used with; none if it cannot be used.
    fn algorithms(&self) -> Vec<Algorithm> {
        use Algorithm::*;
        match self {
            // RFC 7518 section 3.2: a secret is as long as the hash.
            Self::Secret(secret) => {
                let fits = [(32, Hs256), (48, Hs384), (64, Hs512)].into_iter();
                fits.filter(|(least, _)| secret.len() >= *least).map(|(_, algorithm)| algorithm).collect()
            }
            Self::Rsa { n, e } if RSA_BITS.contains(&bits(n)) && !e.is_empty() && e.len() <= 4 => {
                vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]
            }
            Self::P256(point) if point.len() == 65 => vec![Es256],
            Self::P384(point) if point.len() == 97 => vec![Es384],
            Self::Ed25519(key) if key.len() == 32 => vec![EdDsa],
            _ => Vec::new(),
        }
    }
}

/// The number of bits of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |byte| byte.leading_zeros());
    8 * number.len() - zeros as usize
}

// === impl KeySet ===

impl KeySet {
    /// A set of keys. If `allowed` is not empty, the keys are used only with these algorithms.
    ///
    /// # Errors
    /// When no key is left, or there are too many.
    pub(super) fn new(keys: Vec<Key>, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let restricted = keys.into_iter().map(|mut key| {
            if !allowed.is_empty() {
                key.restrict(allowed);
            }
            key
        });
        let keys: Box<[_]> = restricted.filter(|key| !key.algorithms.is_empty()).collect();
        let tried =
            |algorithm| keys.iter().filter(move |key| key.id.is_none() && key.algorithms.contains(algorithm));
        if Algorithm::ALL.iter().any(|(_, algorithm)| tried(algorithm).count() > TRIES_MAX) {
            return Err(KeyError::TooManyWithoutId);
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }

    /// The set with one secret for HMAC.
    ///
    /// # Errors
    /// When the secret is too short for the algorithms.
    pub fn of_secret(secret: &str, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        let key = Key::new(None, Material::Secret(secret.as_bytes().into()))?;
        Self::new(vec![key], allowed)
    }

    /// The number of keys.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the key that signed the token cannot be determined by its id: the token has no id, or there are keys
    /// without one.
    pub(super) fn lacks_ids(&self, token: &Token<'_>) -> bool {
        token.key_id.is_none() || self.0.iter().any(|key| key.id.is_none())
    }

    /// Checks the signature of a token with the key that it names. Keys without id, and all keys for a token that names
    /// none, are tried in order.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), Invalid> {
        let named = |key: &&Key| match (&key.id, &token.key_id) {
            (Some(id), Some(wanted)) => id == wanted,
            (None, _) | (_, None) => true,
        };
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(Invalid::UnknownKeyId);
        }
        let mut allowed = candidates.filter(|key| key.algorithms.contains(&token.algorithm)).peekable();
        if allowed.peek().is_none() {
            return Err(Invalid::Algorithm);
        }
        match allowed.take(TRIES_MAX).any(|key| key.verify(token)) {
            true => Ok(()),
            false => Err(Invalid::Signature),
        }
    }
}
