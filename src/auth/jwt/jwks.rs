//! Sets of keys in JSON (JWK Set, RFC 7517).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    key::{Algorithm, KEYS_MAX, Key, KeyError, KeySet, Material},
    strict,
};
use crate::event::{Record, Value};

impl KeySet {
    /// The keys of a set. Keys that are not for signatures, or of a kind that is not known, are left out (RFC 7517
    /// section 5). `takes_secrets`: whether keys for HMAC are used; a set that others can read has none.
    ///
    /// # Errors
    /// When the text is not a set, has too many keys, or none that can be used.
    pub fn from_jwks(text: &str, allowed: &[Algorithm], takes_secrets: bool) -> Result<Self, KeyError> {
        let set = strict::object(text).ok_or(KeyError::NotASet)?;
        let Some(Value::Array(keys)) = set.get("keys") else { return Err(KeyError::NotASet) };
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let records = keys.iter().filter_map(|key| match key {
            Value::Record(record) => Some(record),
            _ => None,
        });
        let usable = records.filter_map(|record| key(record));
        let usable = usable.filter(|key| takes_secrets || !matches!(key.material, Material::Secret(_)));
        Self::new(usable.collect(), allowed)
    }
}

/// The key of a record; `None` if it cannot be used.
fn key(record: &Record) -> Option<Key> {
    let text = |name| record.get(name).and_then(Value::as_str);
    // RFC 7517 sections 4.2 and 4.3.
    if record.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    match record.get("key_ops") {
        None => {}
        Some(Value::Array(names)) if names.iter().any(|name| name.as_str() == Some("verify")) => {}
        Some(_) => return None,
    }
    let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok().map(Vec::into_boxed_slice);
    let number = |name| -> Option<Box<[u8]>> {
        let bytes = bytes(name)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].into())
    };
    let material = match (text("kty")?, text("crv")) {
        ("oct", _) => Material::Secret(bytes("k")?),
        ("RSA", _) => Material::Rsa { n: number("n")?, e: number("e")? },
        ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
        ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
        _ => return None,
    };
    let id = match record.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.to_owned()),
    };
    let mut key = Key::new(id, material).ok()?;
    if let Some(algorithm) = record.get("alg") {
        let own = Algorithm::named(algorithm.as_str()?)?;
        key.restrict(&[own]);
    }
    Some(key)
}

/// A point in uncompressed form (SEC 1 section 2.3.3); coordinates have a fixed length (RFC 7518 section 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Box<[u8]>> {
    (x.len() == length && y.len() == length).then(|| [&[4][..], x, y].concat().into())
}
