//! The URLs that a pipeline may choose.

use url::Url;

use super::{
    AllowedUrl, Upstream, UpstreamUrl,
    url::{UrlError, checked, entry},
};
use crate::userinfo;

// === impl AllowedUrl ===

impl AllowedUrl {
    /// Checks an entry of `allow_urls`: a URL, or the beginning of URLs with a `*` behind it. User and password
    /// in it are for the URLs that it admits.
    ///
    /// # Errors
    /// Anything that cannot be a `$url`, and a prefix that leaves the host open.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (bare, secret) = userinfo::split(text);
        if secret.is_some() {
            // Their normal form, which is what is sent.
            let normal = UpstreamUrl::parse(text.strip_suffix('*').unwrap_or(text))?.text;
            let pattern = Self::parse(&bare)?;
            return Ok(pattern.with(userinfo::split(&normal).1));
        }
        let Some(prefix) = text.strip_suffix('*') else {
            return Ok(Self::Exact(entry(text)?));
        };
        let authority = prefix.split_once("://").map_or("", |(_, rest)| rest);
        if !authority.contains('/') {
            // The scheme's text is better where both are wrong.
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

    /// User and password for the URLs that it admits, percent-encoded.
    pub(super) fn userinfo(&self) -> Option<&str> {
        let (Self::Exact(url) | Self::Prefix(url)) = self;
        userinfo::split(url).1
    }

    /// Whether both admit the same URLs.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |entry: &Self| match entry {
            Self::Exact(url) => (userinfo::split(url).0.into_owned(), false),
            Self::Prefix(url) => (userinfo::split(url).0.into_owned(), true),
        };
        bare(self) == bare(other)
    }

    fn admits(&self, normal: &str) -> bool {
        match self {
            Self::Exact(url) => userinfo::split(url).0 == normal,
            Self::Prefix(prefix) => normal.starts_with(&*userinfo::split(prefix).0),
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// Checks a URL that a pipeline chose by `$url`. The upstream's own URL is always allowed. The URL to dial has
    /// the user and password of what admits it.
    ///
    /// # Errors
    /// [`UrlError::NotAllowed`] when no entry of `allow_urls` admits it, or what makes it no URL that
    /// could be admitted.
    pub fn allows(&self, text: &str) -> Result<UpstreamUrl, UrlError> {
        if text == self.url.text {
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
