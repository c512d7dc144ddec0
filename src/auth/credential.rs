//! Where a request has its credential, and the request without it.
//!
//! # Security
//! A credential that occurs twice is refused, because another server could read the other one; [`only_one`] refuses two
//! at different sources. What is found in the query or among the subprotocols is removed from the request, so that no
//! upstream logs it.

use actix_http::{
    Uri,
    header::{self, HeaderName, HeaderValue},
};
use url::form_urlencoded;

use super::Secret;
use crate::{
    authority::MASK,
    header_list::is_token,
    router::{self, cookies, parameters},
};

/// Maximum length of a credential, in bytes. Most requests have at most 16 KiB of headers.
pub const CREDENTIAL_MAX: usize = 16 * 1024;

/// A part of a request that may have a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `authorization`: the header `Authorization: Bearer TOKEN` (RFC 6750 section 2.1).
    Authorization,
    /// `subprotocol:PREFIX`: the offered subprotocol that begins with the prefix; the rest of it is the credential.
    Subprotocol(String),
    /// `cookie:NAME`: the cookie of that name.
    Cookie(String),
    /// `query:NAME`: the query parameter of that name, decoded.
    Query(String),
    /// `header:NAME`: the header of that name, in lower case.
    Header(String),
}

/// A text is not a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "takes \"authorization\", \"subprotocol:PREFIX\", \"cookie:NAME\", \"query:NAME\" and \"header:NAME\""
)]
pub struct SourceError;

/// A credential, as a request has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The credential itself.
    pub secret: Secret,
    /// Whether it was a subprotocol.
    pub is_subprotocol: bool,
}

/// Why what a request has in place of a credential is not one. The texts are for clients and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The request has several, of which servers could choose different ones.
    #[error("more than one credential")]
    Several,
    /// It has more than [`CREDENTIAL_MAX`] bytes.
    #[error("credential of more than 16 KiB")]
    TooLong,
    /// It has bytes other than visible ASCII.
    #[error("credential with characters other than visible ASCII")]
    NotVisible,
    /// It is no user and password of the scheme `Basic`.
    #[error("malformed user and password")]
    NotBasic,
}

/// A request without the credentials that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Path and query without the parameters that are sources.
    pub uri: Uri,
    /// The query with these parameters as `NAME=***`, for programs; `None` without a query.
    pub shown_query: Option<String>,
    /// The subprotocols that are left.
    pub subprotocols: Vec<String>,
}

/// The first credential that a request has at one of the sources; `None` if it has none. An empty text is none.
///
/// # Errors
/// When the request has a text at the first of these sources that is not a credential.
pub fn find(
    sources: &[Source],
    request: &router::Request<'_>,
) -> Result<Option<Credential>, CredentialError> {
    for source in sources {
        if let Some(secret) = source.find(request)? {
            let is_subprotocol = matches!(source, Source::Subprotocol(_));
            return Ok(Some(Credential { secret, is_subprotocol }));
        }
    }
    Ok(None)
}

/// Checks that a request has a value at one of the sources at most. With a second one, the upstream could take the client
/// for someone else than the proxy does.
///
/// An `Authorization` of any scheme is a value, because servers differ in how they read it. Of all cookies and parameters,
/// only those that are sources count.
///
/// # Errors
/// When several sources have a value, or one has a text that is not a credential.
pub fn only_one(sources: &[Source], request: &router::Request<'_>) -> Result<(), CredentialError> {
    // A subprotocol that begins with the prefixes of two sources is one value.
    let has_value = |offered: &&String| sources.iter().any(|source| source.has_value_in(offered));
    let mut values = request.subprotocols.iter().filter(has_value).count();
    for source in sources {
        values += usize::from(source.is_used(request)?);
    }
    if values > 1 { Err(CredentialError::Several) } else { Ok(()) }
}

// === impl Source ===

impl Source {
    /// Parses an item of `from`.
    ///
    /// # Errors
    /// When the text is not a source.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let token = |name: &str| is_token(name.as_bytes());
        match text.split_once(':') {
            None if text == "authorization" => Ok(Self::Authorization),
            Some(("subprotocol", prefix)) if token(prefix) => Ok(Self::Subprotocol(prefix.to_owned())),
            Some(("cookie", name)) if token(name) => Ok(Self::Cookie(name.to_owned())),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            Some(("header", name)) if token(name) && !name.eq_ignore_ascii_case("authorization") => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            _ => Err(SourceError),
        }
    }

    /// The credential that a request has here; `None` if it has none.
    fn find(&self, request: &router::Request<'_>) -> Result<Option<Secret>, CredentialError> {
        let headers = request.headers;
        match self {
            Self::Authorization => {
                // A line with another scheme is a credential for another method, but two lines are ambiguous.
                let line = only(headers.get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes))?;
                credential(line.and_then(bearer))
            }
            Self::Subprotocol(prefix) => {
                let rest = |offered: &'_ String| offered.strip_prefix(prefix.as_str()).map(str::to_owned);
                credential(only(request.subprotocols.iter().filter_map(rest))?)
            }
            Self::Cookie(name) => credential(only(cookies(headers, name))?),
            Self::Query(name) => {
                let query = request.uri.query().unwrap_or_default();
                credential(only(parameters(query, name))?.map(|value| value.into_owned()))
            }
            Self::Header(name) => {
                credential(only(headers.get_all(name.as_str()).map(HeaderValue::as_bytes))?)
            }
        }
    }

    /// Whether a request has a value here, if this is no subprotocol.
    fn is_used(&self, request: &router::Request<'_>) -> Result<bool, CredentialError> {
        match self {
            Self::Subprotocol(_) => Ok(false),
            Self::Authorization => {
                let lines = request.headers.get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes);
                let line = only(lines)?.map(<[u8]>::trim_ascii);
                Ok(line.is_some_and(|line| !line.is_empty() && bearer(line) != Some(b"")))
            }
            _ => Ok(self.find(request)?.is_some()),
        }
    }

    /// Whether an offered subprotocol has a value for this source.
    fn has_value_in(&self, offered: &str) -> bool {
        matches!(self, Self::Subprotocol(prefix)
            if offered.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty()))
    }

    fn is_parameter(&self, name: &str) -> bool {
        matches!(self, Self::Query(own) if own == name)
    }

    fn is_subprotocol(&self, offered: &str) -> bool {
        matches!(self, Self::Subprotocol(prefix) if offered.starts_with(prefix.as_str()))
    }
}

/// The only item, if there is one.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>) -> Result<Option<T>, CredentialError> {
    match (items.next(), items.next()) {
        (_, Some(_)) => Err(CredentialError::Several),
        (item, None) => Ok(item),
    }
}

/// The token after the scheme `Bearer`, which has no case; `None` if the line has another scheme.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = line.split_at_checked("Bearer".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer") && rest.first().is_none_or(|byte| *byte == b' '))
        .then(|| rest.trim_ascii())
}

/// Checks a text that stands where a credential is expected.
fn credential(text: Option<impl AsRef<[u8]>>) -> Result<Option<Secret>, CredentialError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.as_ref();
    if text.len() > CREDENTIAL_MAX {
        return Err(CredentialError::TooLong);
    }
    match str::from_utf8(text) {
        Ok("") => Ok(None),
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(Secret::from(text))),
        _ => Err(CredentialError::NotVisible),
    }
}

// === impl Hidden ===

impl Hidden {
    /// Removes what a request has at these sources in its query and among its subprotocols.
    pub fn new(sources: &[Source], request: &router::Request<'_>) -> Self {
        let parameter = |pair: &str| -> Option<String> {
            let (name, _) = form_urlencoded::parse(pair.as_bytes()).next()?;
            sources.iter().any(|source| source.is_parameter(&name)).then(|| name.into_owned())
        };
        let query = request.uri.query();
        let pairs: Vec<_> = query.unwrap_or_default().split('&').collect();
        let shown = pairs.iter().map(|pair| match parameter(pair) {
            Some(name) => {
                let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
                format!("{name}={MASK}")
            }
            None => (*pair).to_owned(),
        });
        let shown_query = query.map(|_| shown.collect::<Vec<_>>().join("&"));
        let kept: Vec<_> = pairs.iter().copied().filter(|pair| parameter(pair).is_none()).collect();
        let uri = match kept.len() == pairs.len() {
            true => request.uri.clone(),
            false => without_query(request.uri.path(), &kept),
        };
        let is_left = |offered: &&String| !sources.iter().any(|source| source.is_subprotocol(offered));
        let subprotocols = request.subprotocols.iter().filter(is_left).cloned().collect();
        Self { uri, shown_query, subprotocols }
    }

    /// Masks the credential in a value of a header, for programs. Returns the value as it is if the header is no source.
    pub fn shown(sources: &[Source], name: &HeaderName, value: &str) -> String {
        let is = |source: &Source| match source {
            Source::Authorization => *name == header::AUTHORIZATION,
            Source::Header(own) => name.as_str() == own,
            _ => false,
        };
        if sources.iter().any(is) {
            return MASK.to_owned();
        }
        let is_cookie =
            |name: &str| sources.iter().any(|source| matches!(source, Source::Cookie(own) if own == name));
        if *name != header::COOKIE {
            return value.to_owned();
        }
        let pairs = value.split(';').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_cookie(name.trim()) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join(";")
    }

    /// The subprotocols that are left, as the header of a request; `None` if none are.
    pub fn subprotocol_header(&self) -> Option<HeaderValue> {
        let list = self.subprotocols.join(", ");
        // Subprotocols are tokens, so they are valid in a header.
        (!list.is_empty()).then(|| HeaderValue::from_str(&list).ok()).flatten()
    }
}

/// The path with the parameters that are left.
fn without_query(path: &str, kept: &[&str]) -> Uri {
    let text = match kept {
        [] => path.to_owned(),
        kept => format!("{path}?{}", kept.join("&")),
    };
    // Parts of a URI are a URI. If they were not, nothing but the path would be kept.
    Uri::try_from(text).or_else(|_| Uri::try_from(path)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
