//! The method `api_keys`: the credential is one of a list of keys, of which only the hashes are known.
//!
//! ```text
//! # NAME:sha256:HASH[:CLAIM=VALUE,…]
//! billing:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:scope=read,team=a
//! ```
//! The claim `exp` of a key is when it expires, in seconds since 1970.
//!
//! # Security
//! Keys are random, so that one round of SHA-256 is enough; passwords belong into the method `basic`. The hash of a
//! credential is compared with all hashes in constant time.

use std::{fmt, sync::Arc};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;

use super::{CLAIMS_MAX, Identity, Secret};
use crate::event::{Record, Value};

/// Maximum number of keys. Comparing with all of them takes less than a millisecond.
pub const KEYS_MAX: usize = 10_000;

/// The keys of a section, by their hashes.
#[derive(Clone, Default, PartialEq)]
pub struct ApiKeys(Vec<ApiKey>);

#[derive(Clone, PartialEq)]
struct ApiKey {
    name: Arc<str>,
    hash: [u8; SHA256_OUTPUT_LEN],
    claims: Arc<Record>,
    expires: Option<u64>,
}

/// Why a text is not a list of keys. The error texts contain no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// A line has no name.
    #[error("line {0}: takes NAME:sha256:HASH, and claims after another colon")]
    Line(usize),
    /// The value of this name is not a hash.
    #[error("{0}: takes \"sha256:\" and 64 hexadecimal digits, which `printf %s KEY | sha256sum` prints")]
    Hash(String),
    /// A claim of this name is malformed.
    #[error("{0}: takes claims as in scope=read,team=a after the hash")]
    Claim(String),
    /// The claim `exp` of this name is no time.
    #[error("{0}: the claim exp takes a time in seconds since 1970")]
    Expiry(String),
    /// This name has the claim `sub`, or two claims of the same name.
    #[error("{0}: has the claim {1} twice; the name of the key is the claim sub")]
    ClaimTwice(String, String),
    /// The claims of this name have more than [`CLAIMS_MAX`] bytes.
    #[error("{0}: has more than 16 KiB of claims")]
    Claims(String),
    /// Two keys have this name.
    #[error("{0}: there are two keys of this name")]
    NameTwice(String),
    /// Two names have the same key.
    #[error("{0}: has the same key as {1}")]
    KeyTwice(String, String),
    /// There are more than [`KEYS_MAX`] keys.
    #[error("has more than {KEYS_MAX} keys")]
    TooMany,
}

// === impl ApiKeys ===

impl ApiKeys {
    /// Parses the text of a file: a key in each line, without empty lines and those that begin with `#`.
    ///
    /// # Errors
    /// When a line is malformed, or a name, key or claim occurs twice.
    pub fn parse(text: &str) -> Result<Self, ApiKeysError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        Self::collect(lines.map(|(number, line)| {
            line.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or(ApiKeysError::Line(number))
        }))
    }

    /// The keys with these names and values, such as `sha256:9f86…:scope=read`.
    ///
    /// # Errors
    /// As for [`ApiKeys::parse`].
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, ApiKeysError> {
        Self::collect(pairs.map(Ok))
    }

    fn collect<'a>(
        pairs: impl Iterator<Item = Result<(&'a str, &'a str), ApiKeysError>>,
    ) -> Result<Self, ApiKeysError> {
        let mut keys: Vec<ApiKey> = Vec::new();
        let (mut names, mut hashes) = (std::collections::HashSet::new(), std::collections::HashMap::new());
        for pair in pairs {
            let (name, value) = pair?;
            let key = ApiKey::parse(name, value)?;
            if keys.len() == KEYS_MAX {
                return Err(ApiKeysError::TooMany);
            }
            if !names.insert(name) {
                return Err(ApiKeysError::NameTwice(name.to_owned()));
            }
            if let Some(other) = hashes.insert(key.hash, name) {
                return Err(ApiKeysError::KeyTwice(name.to_owned(), other.to_owned()));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The number of keys.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The owner of the key that equals the credential; `None` if no key does. `method` is the name of the section.
    pub fn identify(&self, method: &Arc<str>, credential: &Secret) -> Option<Identity> {
        let hash = digest(&SHA256, credential.expose().as_bytes());
        // All keys are compared, so that the time does not tell which one is similar.
        let same = self.0.iter().fold(None, |found, key| {
            let is_same: bool = key.hash.ct_eq(hash.as_ref()).into();
            if is_same { Some(key) } else { found }
        });
        same.map(|key| Identity {
            method: Arc::clone(method),
            subject: Some(Arc::clone(&key.name)),
            claims: Arc::clone(&key.claims),
            expires: key.expires,
        })
    }
}

/// Leaves out the hashes, because a key that is not random could be guessed from its hash.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

// === impl ApiKey ===

impl ApiKey {
    fn parse(name: &str, value: &str) -> Result<Self, ApiKeysError> {
        let (hash, claims) = match value.strip_prefix("sha256:") {
            Some(rest) => rest.split_once(':').map_or((rest, None), |(hash, claims)| (hash, Some(claims))),
            None => ("", None),
        };
        let hash = hash_of(hash).ok_or_else(|| ApiKeysError::Hash(name.to_owned()))?;
        let (mut record, mut expires) = (Record::new(), None);
        record.insert("sub".into(), Value::string(name));
        for pair in claims.into_iter().flat_map(|claims| claims.split(',')) {
            let pair = pair.split_once('=').map(|(claim, value)| (claim.trim(), value.trim()));
            let Some((claim, value)) = pair.filter(|(claim, _)| !claim.is_empty()) else {
                return Err(ApiKeysError::Claim(name.to_owned()));
            };
            let value = match claim {
                "exp" => {
                    let time = value.parse::<i64>().ok().filter(|time| *time >= 0);
                    let time = time.ok_or_else(|| ApiKeysError::Expiry(name.to_owned()))?;
                    expires = u64::try_from(time).ok();
                    Value::Int(time)
                }
                _ => Value::string(value),
            };
            if record.insert(claim.into(), value).is_some() {
                return Err(ApiKeysError::ClaimTwice(name.to_owned(), claim.to_owned()));
            }
        }
        let claims = Arc::new(record);
        if Value::Record(Arc::clone(&claims)).to_json().len() > CLAIMS_MAX {
            return Err(ApiKeysError::Claims(name.to_owned()));
        }
        Ok(Self { name: name.into(), hash, claims, expires })
    }
}

/// The bytes of 64 hexadecimal digits.
fn hash_of(text: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = crate::path::hex(*pair)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of `test`.
    const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    /// The hash of the empty text.
    const EMPTY: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

    fn identify(keys: &ApiKeys, credential: &str) -> Option<(String, String)> {
        let identity = keys.identify(&"partners".into(), &Secret::from(credential))?;
        assert_eq!((&*identity.method, identity.expires), ("partners", None));
        let claims = Value::Record(identity.claims).to_json();
        Some((identity.subject.unwrap().to_string(), claims))
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        let text = format!("# keys\n\n a:sha256:{TEST}:scope=read write,team=x:y \nb:sha256:{EMPTY}\r\n");
        let keys = ApiKeys::parse(&text).unwrap();
        assert_eq!(keys.count(), 2);
        let claims = r#"{"sub":"a","scope":"read write","team":"x:y"}"#;
        assert_eq!(identify(&keys, "test"), Some(("a".to_owned(), claims.to_owned())));
        assert_eq!(identify(&keys, ""), Some(("b".to_owned(), r#"{"sub":"b"}"#.to_owned())));
        for other in ["Test", "test ", TEST, "a", "tes"] {
            assert_eq!(identify(&keys, other), None, "{other}");
        }
        assert_eq!(format!("{keys:?}"), r#"["a", "b"]"#);
        assert_eq!(identify(&ApiKeys::default(), "test"), None);
    }

    #[test]
    fn a_key_may_expire() {
        let keys = ApiKeys::parse(&format!("a:sha256:{TEST}:exp=1800000000,team=x")).unwrap();
        let identity = keys.identify(&"partners".into(), &Secret::from("test")).unwrap();
        assert_eq!(identity.expires, Some(1_800_000_000));
        assert_eq!(Value::Record(identity.claims).to_json(), r#"{"sub":"a","exp":1800000000,"team":"x"}"#);
    }

    #[test]
    fn malformed_lists_are_refused() {
        let name = || "a".to_owned();
        let long = format!("a:sha256:{TEST}:x={}", "y".repeat(CLAIMS_MAX));
        for (text, error) in [
            ("a".to_owned(), ApiKeysError::Line(1)),
            (format!("\n:sha256:{TEST}"), ApiKeysError::Line(2)),
            ("a:".to_owned(), ApiKeysError::Hash(name())),
            (format!("a:{TEST}"), ApiKeysError::Hash(name())),
            (format!("a:md5:{TEST}"), ApiKeysError::Hash(name())),
            (format!("a:sha256:{}", &TEST[1..]), ApiKeysError::Hash(name())),
            (format!("a:sha256:{TEST}0"), ApiKeysError::Hash(name())),
            (format!("a:sha256:g{}", &TEST[1..]), ApiKeysError::Hash(name())),
            (format!("a:sha256:+{}", &TEST[1..]), ApiKeysError::Hash(name())),
            (format!("a:sha256:{TEST}:"), ApiKeysError::Claim(name())),
            (format!("a:sha256:{TEST}:x"), ApiKeysError::Claim(name())),
            (format!("a:sha256:{TEST}:exp=tomorrow"), ApiKeysError::Expiry(name())),
            (format!("a:sha256:{TEST}:exp=-1"), ApiKeysError::Expiry(name())),
            (format!("a:sha256:{TEST}:=x"), ApiKeysError::Claim(name())),
            (format!("a:sha256:{TEST}:x=1,x=2"), ApiKeysError::ClaimTwice(name(), "x".to_owned())),
            (format!("a:sha256:{TEST}:sub=b"), ApiKeysError::ClaimTwice(name(), "sub".to_owned())),
            (long, ApiKeysError::Claims(name())),
            (format!("a:sha256:{TEST}\na:sha256:{EMPTY}"), ApiKeysError::NameTwice(name())),
            (format!("b:sha256:{TEST}\na:sha256:{TEST}"), ApiKeysError::KeyTwice(name(), "b".to_owned())),
        ] {
            let found = ApiKeys::parse(&text).unwrap_err();
            assert!(!found.to_string().contains(&TEST[2..]), "{found}");
            assert_eq!(found, error, "{text}");
        }
        let many: String = (0..=KEYS_MAX).map(|n| format!("{n}:sha256:{n:064x}\n")).collect();
        assert_eq!(ApiKeys::parse(&many), Err(ApiKeysError::TooMany));
    }
}
