//! The method `basic`: user and password (RFC 7617), with a file of password hashes.
//!
//! ```text
//! # USER:HASH, as `htpasswd -nBC 10 USER` prints it
//! ada:$2y$10$T.ubsX1rXnBlPwS1dabmmurw4/VJmcICYwkLkVQIKD6xSZPdX29qa
//! ```
//!
//! # Security
//! Checking a password takes long by design, so it belongs on another thread than that of sessions. A user who is not in
//! the file takes the time of one who is. Successes are remembered by a keyed hash, and never by the password.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::header::AUTHORIZATION;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, password_hash::phc};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use indexmap::IndexMap;
use ring::hmac;
use zeroize::Zeroizing;

use super::{CREDENTIAL_MAX, CredentialError, Identity, Secret, credential::only};
use crate::{
    event::{Record, Value},
    router,
};

/// Maximum number of users of a section.
pub const USERS_MAX: usize = 10_000;

/// Maximum cost of a bcrypt hash: about a second.
const COST_MAX: u32 = 14;

/// Maximum cost of an Argon2 hash: memory in KiB, passes over it, and lanes.
pub const MEMORY_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// Maximum number of successes that are remembered.
pub const SUCCESSES_MAX: usize = 4096;

/// The time for which a success is remembered.
const SUCCESS_TIME: Duration = Duration::from_secs(60);

/// Base64 of clients, some of which leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The users of a section, with the hashes of their passwords.
#[derive(Clone, Default, PartialEq)]
pub struct Users(IndexMap<Arc<str>, PasswordHash>);

/// The hash of a password. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// A bcrypt hash, such as `$2y$10$…`.
    Bcrypt(Arc<str>),
    /// An Argon2 hash, such as `$argon2id$v=19$m=65536,t=3,p=4$…`.
    Argon2 {
        /// The text.
        text: Arc<str>,
        /// The memory that a check takes, in KiB.
        memory: u32,
    },
}

/// Chooses for each user who is not listed the hash of a listed user.
pub struct Substitutes(hmac::Key);

/// Why a text is not a list of users. The error texts contain no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct UsersError {
    /// The line, from 1.
    pub line: usize,
    /// The error in that line.
    pub kind: UsersErrorKind,
}

/// An error in a line of a list of users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersErrorKind {
    /// It has no user.
    #[error("takes USER:HASH")]
    Line,
    /// The hash is of another kind, or malformed.
    #[error(
        "{0}: takes a hash of bcrypt ($2y$, $2b$, $2a$) or Argon2 ($argon2id$), as htpasswd -B prints it"
    )]
    Hash(String),
    /// The hash takes too long to check, or too much memory.
    #[error("{0}: takes a cost of at most {COST_MAX} for bcrypt, and m=262144,t=16,p=16 for Argon2")]
    Cost(String),
    /// Another line has the same user.
    #[error("{0}: is listed twice")]
    Twice(String),
    /// The list has more than [`USERS_MAX`] users.
    #[error("has more than {USERS_MAX} users")]
    TooMany,
}

/// User and password, as a request has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// The logins that succeeded a short time ago.
pub struct Successes {
    key: hmac::Key,
    /// The time at which each login is forgotten, the oldest first.
    entries: IndexMap<LoginTag, Instant>,
}

/// The key under which a login is remembered. It cannot be reversed without the secret key, which is only in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginTag([u8; 32]);

// === impl Users ===

impl Users {
    /// Parses the text of a file: a user in each line, without empty lines and those that begin with `#`.
    ///
    /// # Errors
    /// When a line is malformed, has a hash that is not known or costs too much, or a user that another line has.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = IndexMap::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |kind| UsersError { line, kind };
            let (user, hash) = text
                .split_once(':')
                .filter(|(user, _)| !user.is_empty() && !user.chars().any(char::is_control))
                .ok_or(wrong(UsersErrorKind::Line))?;
            let hash = PasswordHash::parse(user, hash).map_err(wrong)?;
            if users.len() == USERS_MAX {
                return Err(wrong(UsersErrorKind::TooMany));
            }
            if users.insert(Arc::from(user), hash).is_some() {
                return Err(wrong(UsersErrorKind::Twice(user.to_owned())));
            }
        }
        Ok(Self(users))
    }

    /// The number of users.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The hash that a login of this user is checked against, and whether it is that of the user. A user who is not
    /// listed gets the hash of another user, so that the check takes as long. It is the same for each password, as
    /// for a listed user, because otherwise hashes of different cost would reveal which users exist. `None` if there
    /// are no users.
    pub fn hash_for(&self, user: &str, substitutes: &Substitutes) -> Option<(PasswordHash, bool)> {
        let position = substitutes.number(user).checked_rem(self.0.len())?;
        let substitute = self.0.get_index(position).map(|(_, hash)| (hash.clone(), false));
        self.0.get(user).map(|hash| (hash.clone(), true)).or(substitute)
    }
}

/// Without the hashes.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

// === impl Substitutes ===

impl Substitutes {
    /// Creates it with a random key, so that a user's name does not reveal which hash is taken.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A number that depends on the name of the user alone.
    fn number(&self, user: &str) -> usize {
        let tag = hmac::sign(&self.0, user.as_bytes());
        tag.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

// === impl PasswordHash ===

impl PasswordHash {
    fn parse(user: &str, text: &str) -> Result<Self, UsersErrorKind> {
        let unknown = || UsersErrorKind::Hash(user.to_owned());
        let costly = || UsersErrorKind::Cost(user.to_owned());
        // The form `$2x$` stands for hashes of a faulty program.
        if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| unknown())?;
            return match parts.get_cost() {
                ..4 => Err(unknown()),
                4..=COST_MAX => Ok(Self::Bcrypt(text.into())),
                _ => Err(costly()),
            };
        }
        let hash = phc::PasswordHash::new(text).map_err(|_| unknown())?;
        Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| unknown())?;
        let params = Params::try_from(&hash).map_err(|_| unknown())?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(unknown());
        }
        let is_cheap =
            params.m_cost() <= MEMORY_MAX && params.t_cost() <= PASSES_MAX && params.p_cost() <= LANES_MAX;
        let memory = params.m_cost();
        if is_cheap { Ok(Self::Argon2 { text: text.into(), memory }) } else { Err(costly()) }
    }

    /// The memory that a check takes, in KiB. That of bcrypt is not counted, because it is 4 KiB.
    pub fn memory(&self) -> u32 {
        match self {
            Self::Bcrypt(_) => 0,
            Self::Argon2 { memory, .. } => *memory,
        }
    }

    /// Whether it is the hash of this password. It takes tens of milliseconds or more.
    pub fn verify(&self, password: &Secret) -> bool {
        let password = password.expose().as_bytes();
        match self {
            // Programs that make such hashes use the first 72 bytes of a password.
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2 { text, .. } => Argon2::default().verify_password(password, &**text).is_ok(),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt(***)",
            Self::Argon2 { .. } => "Argon2(***)",
        })
    }
}

// === impl Login ===

impl Login {
    /// User and password of `Authorization: Basic …`; `None` if the request has no such header.
    ///
    /// # Errors
    /// When the header is there twice or is not the Base64 of `USER:PASSWORD` in UTF-8 without control characters (RFC
    /// 7617 section 2).
    pub fn find(request: &router::Request<'_>) -> Result<Option<Self>, CredentialError> {
        let Some(line) = only(request.headers.get_all(AUTHORIZATION))? else { return Ok(None) };
        let Some((scheme, rest)) = line.as_bytes().split_at_checked("Basic".len()) else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case(b"Basic") || rest.first().is_some_and(|byte| *byte != b' ') {
            return Ok(None);
        }
        if rest.len() > CREDENTIAL_MAX {
            return Err(CredentialError::TooLong);
        }
        let bytes = Zeroizing::new(BASE64.decode(rest.trim_ascii()).unwrap_or_default());
        let text = str::from_utf8(&bytes).ok().filter(|text| !text.chars().any(char::is_control));
        let (user, password) = text.and_then(|text| text.split_once(':')).ok_or(CredentialError::NotBasic)?;
        Ok(Some(Self { user: user.to_owned(), password: Secret::from(password) }))
    }

    /// The identity of the client if the login is right. `method` is the name of the section.
    pub fn identity(&self, method: &Arc<str>) -> Identity {
        Identity {
            method: Arc::clone(method),
            subject: Some(self.user.as_str().into()),
            claims: Arc::new(Record::from([("sub".into(), Value::string(self.user.as_str()))])),
            expires: None,
        }
    }
}

// === impl Successes ===

impl Successes {
    /// Creates an empty list. `key` is random.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), entries: IndexMap::new() }
    }

    /// The key under which a login is remembered.
    pub fn tag(&self, login: &Login) -> LoginTag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(login.user.as_bytes());
        // A user has no colon.
        context.update(b":");
        context.update(login.password.expose().as_bytes());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        LoginTag(tag)
    }

    /// Whether the login succeeded a short time ago.
    pub fn contains(&self, tag: &LoginTag, now: Instant) -> bool {
        self.entries.get(tag).is_some_and(|end| now < *end)
    }

    /// Records that the login succeeded. The oldest one is forgotten if there are too many.
    pub fn insert(&mut self, tag: LoginTag, now: Instant) {
        self.entries.shift_remove(&tag);
        while self.entries.len() >= SUCCESSES_MAX {
            self.entries.shift_remove_index(0);
        }
        self.entries.insert(tag, now + SUCCESS_TIME);
    }
}

#[cfg(test)]
mod tests;
