//! The URLs of upstreams: which are valid, which of them a pipeline may choose, and how they are shown.
//!
//! # Security
//! A URL that a pipeline chose by `$url` may contain text from a client. It is compared with the allow-list
//! in its *normal* form, the serialisation of the WHATWG URL standard: host in lower case, IPv4 in dotted
//! decimal, no default port. The proxy also dials that form, so that no second parser can find another host
//! or path in the URL. URLs that are ambiguous even in normal form are refused: with userinfo, backslashes,
//! control characters or dot segments, including percent-encoded ones.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Deref,
    sync::Arc,
};

use config::Value;
use url::{Host, Url};

use super::unix;
use crate::{
    authority::{self, mask},
    event::Origin,
    net::Place,
    path,
    settings::read::text,
    userinfo::{self, BadUserinfo},
};

/// The reason why a URL is refused. The texts do not repeat the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text cannot be parsed as a URL.
    #[error("not a URL: {0}; a WebSocket URL looks like ws://host:port/path")]
    Syntax(url::ParseError),
    /// The URL has another scheme than `ws` or `wss`.
    #[error("the scheme is not ws or wss; a WebSocket URL looks like ws://host:port/path")]
    Scheme,
    /// The URL has the scheme that other programs use for unix sockets.
    #[error("a unix socket is written as unix:/path/of/socket or unix:/path/of/socket:/request/path")]
    UnixScheme,
    /// The URL has a fragment, which RFC 6455 section 3 forbids.
    #[error("a WebSocket URL has no fragment (#)")]
    Fragment,
    /// The URL has port 0, which is not a valid destination.
    #[error("port 0 cannot be reached; ports are 1 to 65535")]
    PortZero,
    /// The URL has characters that URL parsers silently drop.
    #[error("spaces and control characters are not allowed in a URL")]
    Blank,
    /// The URL has userinfo, which is allowed only in the settings, in `url` and `allow_urls`.
    #[error("user and password are not allowed here")]
    Userinfo,
    /// The user or the password of the URL cannot be sent.
    #[error("{0}")]
    BadUserinfo(BadUserinfo),
    /// The URL has a backslash, which only some parsers treat as a slash.
    #[error("a backslash is not allowed in a URL")]
    Backslash,
    /// The URL has dot segments, so that it leads to another path than it seems.
    #[error("the segments . and .. are not allowed in the path")]
    DotSegment,
    /// The URL has a `*` before the end.
    #[error("a * is allowed only at the end, where it matches any text")]
    Star,
    /// The entry is a prefix that would allow other hosts, such as `ws://good.example*`.
    #[error("the part before the * needs scheme, host and a slash, as in ws://host:port/*")]
    OpenPrefix,
    /// The URL contains the mask that `towline check` prints in place of a secret.
    #[error("a masked secret (***) is not accepted; write the secret, or set the key's environment variable")]
    Masked,
    /// The URL of a unix socket has another form than [`UpstreamUrl::parse`] describes.
    #[error(
        "a unix socket is written as unix:/path/of/socket or unix:/path/of/socket:/request/path; the path of the socket \
         is absolute, has none of : ? # @ %, and at most 107 bytes"
    )]
    Unix,
    /// The URL is valid, but not in the allow-list.
    #[error("not among the allow_urls of upstream {0}")]
    NotAllowed(String),
}

/// The beginning of the URL of a server that is connected to with TLS.
const SECURE: &str = "wss://";

/// A checked URL, `ws://`, `wss://` or `unix:`. Clones share it, because each session has several clones.
///
/// # Security
/// The `Debug` form is masked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpstreamUrl(Arc<CheckedUrl>);

/// The content of an [`UpstreamUrl`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CheckedUrl {
    /// The URL to dial, always ASCII. It is as written if that is unambiguous, otherwise in normal form.
    pub text: Arc<str>,
    /// The URL for texts and logs: as written, with userinfo and query masked.
    pub shown: Arc<str>,
    /// Whether the URL was written with a path, even if that is `/`.
    pub(crate) has_path: bool,
    /// See [`UpstreamUrl::place`]. It is kept, because parsing the URL for each dial costs more than the dial's other
    /// work on it.
    place: Option<Place>,
}

/// The parts of an upstream's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// The scheme, user, password, host and port.
    pub origin: &'a str,
    /// The path; `None` if none was written.
    pub path: Option<&'a str>,
    /// The query; `None` if none was written.
    pub query: Option<&'a str>,
}

// === impl UpstreamUrl ===

impl Deref for UpstreamUrl {
    type Target = CheckedUrl;

    fn deref(&self) -> &CheckedUrl {
        &self.0
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpstreamUrl").field(&self.shown).finish()
    }
}

impl UpstreamUrl {
    /// Checks a URL of the settings. Userinfo is allowed, and masked in `shown`.
    ///
    /// ```
    /// # use towline::settings::UpstreamUrl;
    /// let url = UpstreamUrl::parse("ws://me:secret@127.0.0.1:8139/chat?token=1")?;
    /// assert_eq!(&*url.shown, "ws://***@127.0.0.1:8139/chat?***");
    /// # Ok::<(), towline::settings::UrlError>(())
    /// ```
    ///
    /// A unix socket is `unix:` and its path, and may have another colon and the path of the request:
    ///
    /// ```
    /// # use towline::settings::UpstreamUrl;
    /// assert_eq!(&*UpstreamUrl::parse("unix:/run/chat.sock:/ws")?.request(), "ws://localhost/ws");
    /// # Ok::<(), towline::settings::UrlError>(())
    /// ```
    ///
    /// # Errors
    /// When the URL is neither `ws://` or `wss://` with a host nor `unix:` with an absolute path, or has a fragment.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(parts) = unix::split(text) {
            check_letters(text)?;
            return unix::parse(parts);
        }
        let url = checked(text)?;
        // A URL stays as written if only the slash of an empty path is missing for its normal form, because
        // clients know the text of error replies: `… server ws://localhost:8139: …`.
        let normal = String::from(url);
        check_userinfo(&normal)?;
        let kept = normal.strip_suffix('/').is_some_and(|short| short == text);
        let has_path = authority::split(text).tail.starts_with('/');
        let dialed = if kept { text } else { &normal };
        Ok(Self::new(dialed, &mask(text), has_path))
    }

    /// A URL that is checked already.
    pub(super) fn new(text: &str, shown: &str, has_path: bool) -> Self {
        let place = place_of(text);
        Self(Arc::new(CheckedUrl { text: text.into(), shown: shown.into(), has_path, place }))
    }

    /// The same server with another path and query. They are not shown.
    pub fn at(&self, path: &str, query: Option<&str>) -> Self {
        let is_bare = unix::split(&self.text).is_some_and(|url| url.request.is_none());
        let (origin, colon) = (self.parts().origin, if is_bare { ":" } else { "" });
        let text = match query {
            Some(query) => format!("{origin}{colon}{path}?{query}"),
            None => format!("{origin}{colon}{path}"),
        };
        Self(Arc::new(CheckedUrl { text: text.into(), ..(*self.0).clone() }))
    }

    /// The URL of the handshake's request, always with `ws://`, because TLS is a matter of the connection below it. That
    /// of a unix socket has the host `localhost`.
    pub fn request(&self) -> Cow<'_, str> {
        match (unix::split(&self.text), self.text.strip_prefix(SECURE)) {
            (Some(url), _) => Cow::Owned(url.request_url()),
            (None, Some(rest)) => Cow::Owned(format!("ws://{rest}")),
            (None, None) => Cow::Borrowed(&self.text),
        }
    }

    /// Whether the connection is secured by TLS.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with(SECURE)
    }

    /// The host in the URL, a name or an address; `None` for a unix socket.
    pub fn host(&self) -> Option<String> {
        let url = Url::parse(&self.text).ok()?;
        Some(url.host_str()?.trim_matches(['[', ']']).to_owned())
    }

    /// The parts of the URL as written: with a path only if one was written.
    pub fn parts(&self) -> UrlParts<'_> {
        let (origin, tail) = split(&self.text);
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (tail, None),
        };
        UrlParts { origin, path: self.has_path.then_some(path), query }
    }

    /// The part of the text of a URL that names the server: it is the same for each path and query.
    pub fn server(text: &str) -> &str {
        match (split(text).0, unix::split(text)) {
            (origin, Some(url)) if url.request.is_some() => origin.strip_suffix(':').unwrap_or(origin),
            (origin, _) => origin,
        }
    }

    /// The same URL, for any address of its host.
    pub fn without_address(&self) -> Self {
        match self.address() {
            Some(_) => self.with_place(place_of(&self.text)),
            None => self.clone(),
        }
    }

    /// The same URL, with one of the addresses of its host.
    pub fn with_address(&self, address: IpAddr) -> Self {
        let port = match self.place() {
            Some(Place::Host(_, port)) => *port,
            Some(Place::Address(before)) => before.port(),
            Some(Place::Path(_)) | None => return self.clone(),
        };
        self.with_place(Some(Place::Address(SocketAddr::new(address, port))))
    }

    fn with_place(&self, place: Option<Place>) -> Self {
        Self(Arc::new(CheckedUrl { place, ..(*self.0).clone() }))
    }

    /// The one address of the host to connect to; `None`: any of its addresses.
    pub fn address(&self) -> Option<IpAddr> {
        match self.place() {
            Some(Place::Address(address)) => Some(address.ip()),
            _ => None,
        }
    }

    /// The text for logs: the URL without secrets, and the address if there is one, as `ws://h:81 (10.0.0.1)`.
    pub fn label(&self) -> String {
        match self.address() {
            Some(address) => format!("{} ({address})", self.shown),
            None => self.shown.to_string(),
        }
    }

    /// An address of the URL's host, preferably IPv4; `None` if the name cannot be resolved.
    pub fn look_up(&self) -> Option<SocketAddr> {
        let url = Url::parse(&self.text).ok()?;
        let addresses = url.socket_addrs(|| None).ok()?;
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }

    /// Whether the host is a name, not an address.
    pub fn has_name(&self) -> bool {
        Url::parse(&self.text).is_ok_and(|url| matches!(url.host(), Some(Host::Domain(_))))
    }

    /// Where a connection to the server goes.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The `tremor::origin` of events from this upstream; `None` if the URL cannot be parsed.
    pub fn origin(&self) -> Option<Origin> {
        let url = match unix::split(&self.text) {
            Some(url) => Url::parse(&url.request_url()).ok()?,
            None => Url::parse(&self.text).ok()?,
        };
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let segments = url.path_segments().into_iter().flatten();
        let path = segments.filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        Some(Origin { host, port: url.port(), path })
    }
}

/// Where a connection to the server of a URL goes: to any address of its host.
fn place_of(text: &str) -> Option<Place> {
    if let Some(url) = unix::split(text) {
        return Some(Place::Path(url.socket.into()));
    }
    let url = Url::parse(text).ok()?;
    let port = url.port_or_known_default()?;
    Some(Place::Host(url.host_str()?.to_owned(), port))
}

/// The text of a URL up to the path, and the rest.
fn split(text: &str) -> (&str, &str) {
    let tail = match unix::split(text) {
        Some(url) => url.request.unwrap_or_default(),
        None => authority::split(text).tail,
    };
    text.split_at(text.len() - tail.len())
}

/// Parses the key `url`.
pub(super) fn parse(value: &Value) -> Result<UpstreamUrl, String> {
    let text = text(value)?;
    check_unmasked(text).and_then(|()| UpstreamUrl::parse(text)).map_err(|error| error.to_string())
}

/// Refuses a URL with a masked secret, which `towline check` prints, so that the mask is not used as the
/// secret.
pub(super) fn check_unmasked(text: &str) -> Result<(), UrlError> {
    if authority::is_masked(text) { Err(UrlError::Masked) } else { Ok(()) }
}

/// Parses a URL that can be connected to.
pub(super) fn checked(text: &str) -> Result<Url, UrlError> {
    check_letters(text)?;
    let url = Url::parse(text).map_err(UrlError::Syntax)?;
    match url.scheme() {
        "ws" | "wss" => {}
        "ws+unix" | "wss+unix" | "http+unix" => return Err(UrlError::UnixScheme),
        _ => return Err(UrlError::Scheme),
    }
    // The parser reads `ws:host` and `ws:///host` as if they had two slashes.
    let authority = text.split_once(':').and_then(|(_, rest)| rest.strip_prefix("//"));
    if authority.is_none_or(|rest| rest.starts_with('/')) {
        return Err(UrlError::Syntax(url::ParseError::EmptyHost));
    }
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    if url.port() == Some(0) {
        return Err(UrlError::PortZero);
    }
    Ok(url)
}

/// Refuses letters that parsers of URLs drop or replace.
fn check_letters(text: &str) -> Result<(), UrlError> {
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(UrlError::Blank);
    }
    if text.contains('\\') { Err(UrlError::Backslash) } else { Ok(()) }
}

/// Refuses a user or a password that cannot be sent.
fn check_userinfo(url: &str) -> Result<(), UrlError> {
    let secret = userinfo::split(url).1.unwrap_or_default();
    userinfo::authorization(secret).map(drop).map_err(UrlError::BadUserinfo)
}

/// The normal form of a URL, for the allow-list or for comparison with the allow-list.
pub(super) fn entry(text: &str) -> Result<String, UrlError> {
    let url = checked(text)?;
    if !url.username().is_empty() || url.password().is_some() || authority::split(text).userinfo.is_some() {
        return Err(UrlError::Userinfo);
    }
    if text.contains('*') {
        return Err(UrlError::Star);
    }
    let path = text.split('?').next().unwrap_or_default();
    let decoded = path::decode(path);
    if decoded.contains(&b'\\') {
        return Err(UrlError::Backslash);
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(UrlError::Blank);
    }
    if path::has_dot_segment(path) {
        return Err(UrlError::DotSegment);
    }
    Ok(String::from(url))
}

#[cfg(test)]
mod tests;
