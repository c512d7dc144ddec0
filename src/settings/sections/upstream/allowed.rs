//! The URLs that a pipeline may choose (`allow_urls`).

use std::fmt;

use config::Value;
use url::Url;

use super::{
    Upstream,
    url::{UpstreamUrl, UrlError, check_unmasked, checked, entry},
};
use crate::{
    authority::mask,
    settings::read::{all, quoted, urls},
    userinfo,
};

/// An entry of `allow_urls`.
///
/// # Security
/// The `Debug` form is masked.
#[derive(Clone, PartialEq, Eq)]
pub enum AllowedUrl {
    /// Allows exactly this URL.
    Exact(String),
    /// Allows any URL with this prefix (written with `*` at the end). The prefix always includes scheme,
    /// host, port and the `/` after them.
    Prefix(String),
}

/// Parses the key `allow_urls`.
pub(super) fn parse(value: &Value) -> Result<Vec<AllowedUrl>, String> {
    let mut allowed: Vec<AllowedUrl> = Vec::new();
    all(urls(value)?.iter().map(|entry| {
        let url = check_unmasked(entry)
            .and_then(|()| AllowedUrl::parse(entry))
            .map_err(|error| format!("{}: {error}", quoted(&mask(entry))))?;
        if allowed.iter().any(|known| known.is_like(&url)) {
            return Err(format!("{} is listed twice", quoted(&mask(entry))));
        }
        allowed.push(url.clone());
        Ok(url)
    }))
}

// === impl AllowedUrl ===

impl AllowedUrl {
    /// Checks an entry of `allow_urls`: a URL, or a prefix of URLs followed by `*`. User and password in the
    /// entry are used for the URLs that it allows.
    ///
    /// # Errors
    /// When the entry cannot be a `$url`, or is a prefix that does not fix the host.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (bare, secret) = userinfo::split(text);
        if secret.is_some() {
            // The normal form is what is sent.
            let normal = UpstreamUrl::parse(text.strip_suffix('*').unwrap_or(text))?.text.clone();
            let pattern = Self::parse(&bare)?;
            return Ok(pattern.with(userinfo::split(&normal).1));
        }
        let Some(prefix) = text.strip_suffix('*') else {
            return Ok(Self::Exact(entry(text)?));
        };
        let authority = prefix.split_once("://").map_or("", |(_, rest)| rest);
        if !authority.contains('/') {
            // When both are wrong, the error about the scheme is the better one.
            checked(prefix).map_err(|error| match error {
                UrlError::Syntax(_) => UrlError::OpenPrefix,
                other => other,
            })?;
            return Err(UrlError::OpenPrefix);
        }
        Ok(Self::Prefix(entry(prefix)?))
    }

    /// The same entry with user and password.
    fn with(&self, secret: Option<&str>) -> Self {
        match self {
            Self::Exact(url) => Self::Exact(userinfo::join(url, secret)),
            Self::Prefix(prefix) => Self::Prefix(userinfo::join(prefix, secret)),
        }
    }

    /// User and password for the allowed URLs, percent-encoded; `None` if the entry has none.
    pub(super) fn userinfo(&self) -> Option<&str> {
        let (Self::Exact(url) | Self::Prefix(url)) = self;
        userinfo::split(url).1
    }

    /// Whether both entries allow the same URLs.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |entry: &Self| match entry {
            Self::Exact(url) => (userinfo::split(url).0.into_owned(), false),
            Self::Prefix(url) => (userinfo::split(url).0.into_owned(), true),
        };
        bare(self) == bare(other)
    }

    /// Whether it allows URLs with TLS.
    pub(super) fn is_secure(&self) -> bool {
        let (Self::Exact(url) | Self::Prefix(url)) = self;
        url.starts_with("wss://")
    }

    fn admits(&self, normal: &str) -> bool {
        match self {
            Self::Exact(url) => userinfo::split(url).0 == normal,
            Self::Prefix(prefix) => normal.starts_with(&*userinfo::split(prefix).0),
        }
    }
}

impl fmt::Debug for AllowedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, url) = match self {
            Self::Exact(url) => ("Exact", url),
            Self::Prefix(url) => ("Prefix", url),
        };
        f.debug_tuple(name).field(&mask(url)).finish()
    }
}

// === impl Upstream ===

impl Upstream {
    /// Checks a URL that a pipeline chose by `$url`. The upstream's own URL is always allowed. The returned
    /// URL has the user and password of the entry that allows it.
    ///
    /// # Errors
    /// [`UrlError::NotAllowed`] when no entry of `allow_urls` matches, or another error when the URL is
    /// malformed.
    pub fn allows(&self, text: &str) -> Result<UpstreamUrl, UrlError> {
        if *text == *self.url.text {
            return Ok(self.url.clone());
        }
        let normal = entry(text)?;
        let (own, secret) = userinfo::split(&self.url.text);
        if Url::parse(&own).is_ok_and(|own| own.as_str() == normal) {
            return UpstreamUrl::parse(&userinfo::join(text, secret));
        }
        match self.allow_urls.iter().find(|allowed| allowed.admits(&normal)) {
            Some(allowed) => UpstreamUrl::parse(&userinfo::join(text, allowed.userinfo())),
            None => Err(UrlError::NotAllowed(self.name.clone())),
        }
    }
}
