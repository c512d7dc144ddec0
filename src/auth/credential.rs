//! Where a request has its credential, and the request without it.
//!
//! # Security
//! A credential that occurs twice is refused, because another server could read the other one; [`only_one`] refuses two
//! at different sources, and [`none_besides`] those that the accepting method has not read. What is found in the query
//! or among the subprotocols is removed from the request, so that no upstream logs it.

use actix_http::{
    Uri,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use url::form_urlencoded;

use super::Secret;
use crate::{
    authority::MASK,
    header_list::is_token,
    router::{self, cookie_occurrences, cookies, parameters},
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
    /// A header that the service of the method `forward` gets, and that may have a credential which only the service
    /// can read. `Cookie` stands for all cookies. The settings have no name for this source.
    Inspected(HeaderName),
}

/// Headers that clients send with every request, and that have no credential. Any other header that the service of
/// the method `forward` gets counts as a credential.
const WITHOUT_CREDENTIAL: [&str; 18] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "dnt",
    "origin",
    "pragma",
    "priority",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
    "x-requested-with",
];

/// Headers whose values are URLs of this or an earlier request, which may have the same parameters.
const URLS: [&str; 6] = [
    "referer",
    "x-envoy-original-path",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

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
    /// Where it was.
    pub source: Source,
}

/// Why a text in a request is not a valid credential. The error texts are for clients and logs.
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
    /// The headers whose values differ from those of the request. An empty list removes the header.
    pub headers: Vec<(HeaderName, Vec<HeaderValue>)>,
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
            return Ok(Some(Credential { secret, source: source.clone() }));
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

/// Checks that a request has no value at a source that the accepting method has not read: nobody has checked it, and the
/// upstream could rely on it. `sources` are those of the route, `read` those of the method.
///
/// # Errors
/// When there is such a value.
pub fn none_besides(
    sources: &[Source],
    read: &[Source],
    request: &router::Request<'_>,
) -> Result<(), CredentialError> {
    for source in sources.iter().filter(|source| !read.contains(source)) {
        if source.has_unread(read, request)? {
            return Err(CredentialError::Several);
        }
    }
    Ok(())
}

/// Checks a text that a client sends in place of its first credential; `None` if it cannot be one.
pub(super) fn renewed(text: &str) -> Option<Secret> {
    credential(Some(text)).ok().flatten()
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

    /// A header that the service of the method `forward` gets, if it may have a credential.
    pub(super) fn inspected(name: &HeaderName) -> Option<Self> {
        match name {
            name if *name == header::AUTHORIZATION => Some(Self::Authorization),
            name if WITHOUT_CREDENTIAL.contains(&name.as_str()) => None,
            name => Some(Self::Inspected(name.clone())),
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
            Self::Cookie(name) => {
                let value = only(cookies(headers, name))?;
                // A server that finds another one could take the client for someone else.
                match cookie_occurrences(headers, name) == usize::from(value.is_some()) {
                    true => credential(value),
                    false => Err(CredentialError::Several),
                }
            }
            Self::Query(name) => {
                let query = request.uri.query().unwrap_or_default();
                credential(only(parameters(query, name))?.map(|value| value.into_owned()))
            }
            Self::Header(name) => {
                credential(only(headers.get_all(name.as_str()).map(HeaderValue::as_bytes))?)
            }
            Self::Inspected(_) => Ok(None),
        }
    }

    /// Whether a request has a value here that is at none of the sources `read`.
    fn has_unread(&self, read: &[Self], request: &router::Request<'_>) -> Result<bool, CredentialError> {
        let is_read = |other: &Self| read.contains(other);
        match self {
            Self::Subprotocol(_) => Ok(request.subprotocols.iter().any(|offered| {
                self.has_value_in(offered) && !read.iter().any(|source| source.has_value_in(offered))
            })),
            Self::Cookie(_) if is_read(&Self::Inspected(header::COOKIE)) => Ok(false),
            Self::Header(name) if read.iter().any(|source| source.inspects(name)) => Ok(false),
            Self::Inspected(name) if *name == header::COOKIE => {
                let is_read = |name: &str| is_read(&Self::Cookie(name.to_owned()));
                Ok(cookie_names(request.headers).any(|name| name.is_none_or(|name| !is_read(name))))
            }
            Self::Inspected(name) if is_read(&Self::Header(name.as_str().to_owned())) => Ok(false),
            Self::Inspected(name) => Ok(request.headers.get_all(name).any(|value| !value.is_empty())),
            _ => self.is_used(request),
        }
    }

    fn inspects(&self, header: &str) -> bool {
        matches!(self, Self::Inspected(name) if name.as_str() == header)
    }

    /// Replaces the credential of the request at this source. What is removed from requests stays removed.
    pub fn replace(&self, headers: &mut HeaderMap, secret: &Secret) {
        let value = HeaderValue::from_str(secret.expose()).ok();
        match self {
            Self::Authorization => match super::bearer(secret) {
                Some(value) => _ = headers.insert(header::AUTHORIZATION, value),
                None => _ = headers.remove(header::AUTHORIZATION),
            },
            Self::Header(name) => {
                let Ok(name) = HeaderName::try_from(name.as_str()) else { return };
                match value {
                    Some(value) => _ = headers.insert(name, value),
                    None => _ = headers.remove(name),
                }
            }
            Self::Cookie(own) => {
                let lines: Vec<_> = headers.get_all(header::COOKIE).cloned().collect();
                headers.remove(header::COOKIE);
                let lines = lines.iter().filter_map(|line| with_cookie(line, own, secret.expose()));
                lines.for_each(|line| headers.append(header::COOKIE, line));
            }
            Self::Subprotocol(_) | Self::Query(_) | Self::Inspected(_) => {}
        }
    }

    /// Whether a request has a value here, if this is no subprotocol.
    fn is_used(&self, request: &router::Request<'_>) -> Result<bool, CredentialError> {
        match self {
            // Subprotocols are counted once for all sources, and a service gets all its headers.
            Self::Subprotocol(_) | Self::Inspected(_) => Ok(false),
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

/// The names of the cookies of a request; `None` for each part that is not a pair.
fn cookie_names(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    let pairs = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().filter(|name| name.len() < pair.len())?;
        str::from_utf8(name).ok()
    })
}

/// A line of cookies with another value of one of them; without that cookie if the value cannot be one (RFC 6265 section
/// 4.1.1). `None` if nothing is left.
fn with_cookie(line: &HeaderValue, name: &str, value: &str) -> Option<HeaderValue> {
    let is_value = value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
    let pairs = line.as_bytes().split(|byte| *byte == b';').filter_map(|pair| {
        let own = pair.trim_ascii().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        match own {
            false => Some(pair.trim_ascii().to_owned()),
            true => is_value.then(|| format!("{name}={value}").into_bytes()),
        }
    });
    let line = pairs.collect::<Vec<_>>().join(&b"; "[..]);
    (!line.is_empty()).then(|| HeaderValue::from_bytes(&line).ok()).flatten()
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
    /// Removes what a request has at these sources in its query, in headers with URLs, and among its subprotocols.
    pub fn new(sources: &[Source], request: &router::Request<'_>) -> Self {
        let parameter = |pair: &str| parameter(sources, pair);
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
        let subprotocols: Vec<_> = request.subprotocols.iter().filter(is_left).cloned().collect();
        let mut headers = without_parameters(sources, request.headers);
        if subprotocols.len() != request.subprotocols.len() {
            headers.push((header::SEC_WEBSOCKET_PROTOCOL, list(&subprotocols).into_iter().collect()));
        }
        Self { uri, shown_query, subprotocols, headers }
    }

    /// The values of a header of the request that are left.
    pub fn values<'a>(
        &'a self,
        headers: &'a HeaderMap,
        name: &HeaderName,
    ) -> Box<dyn Iterator<Item = &'a HeaderValue> + 'a> {
        match self.headers.iter().find(|(other, _)| other == name) {
            Some((_, values)) => Box::new(values.iter()),
            None => Box::new(headers.get_all(name)),
        }
    }

    /// Masks the credential in a value of a header, for programs. Returns the value unchanged if the header is not a source.
    pub fn shown(sources: &[Source], name: &HeaderName, value: &str) -> String {
        let is = |source: &Source| match source {
            Source::Authorization => *name == header::AUTHORIZATION,
            Source::Header(own) => name.as_str() == own,
            Source::Inspected(own) => name == own && *name != header::COOKIE,
            _ => false,
        };
        if sources.iter().any(is) {
            return MASK.to_owned();
        }
        let all = sources.contains(&Source::Inspected(header::COOKIE));
        let is_cookie = |name: &str| {
            all || sources.iter().any(|source| matches!(source, Source::Cookie(own) if own == name))
        };
        if *name != header::COOKIE {
            return value.to_owned();
        }
        let pairs = value.split(';').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_cookie(name.trim()) => format!("{name}={MASK}"),
            None if all => MASK.to_owned(),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join(";")
    }
}

/// The decoded name of a parameter such as `token=abc`, if it is a source.
fn parameter(sources: &[Source], pair: &str) -> Option<String> {
    let (name, _) = form_urlencoded::parse(pair.as_bytes()).next()?;
    sources.iter().any(|source| source.is_parameter(&name)).then(|| name.into_owned())
}

/// The headers with URLs that have parameters which are sources, without these. A value that is not visible ASCII is
/// removed, because servers differ in how they read it.
fn without_parameters(sources: &[Source], headers: &HeaderMap) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    if !sources.iter().any(|source| matches!(source, Source::Query(_))) {
        return Vec::new();
    }
    let stripped = |value: &HeaderValue| -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let (url, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let Some((path, query)) = url.split_once('?') else { return Some(value.clone()) };
        let kept: Vec<_> = query.split('&').filter(|pair| parameter(sources, pair).is_none()).collect();
        let mark = if kept.is_empty() { "" } else { "?" };
        HeaderValue::from_str(&format!("{path}{mark}{}{fragment}", kept.join("&"))).ok()
    };
    let names = URLS.iter().map(|name| HeaderName::from_static(name));
    let changed = names.filter_map(|name| {
        let before: Vec<_> = headers.get_all(&name).collect();
        let after: Vec<_> = before.iter().copied().filter_map(stripped).collect();
        let is_same = before.iter().copied().eq(after.iter());
        (!is_same).then_some((name, after))
    });
    changed.collect()
}

/// Subprotocols as the header of a request; `None` if there are none.
fn list(subprotocols: &[String]) -> Option<HeaderValue> {
    let list = subprotocols.join(", ");
    // Subprotocols are tokens, so they are valid in a header.
    (!list.is_empty()).then(|| HeaderValue::from_str(&list).ok()).flatten()
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
