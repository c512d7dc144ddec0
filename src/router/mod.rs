//! Selects the route of a request, and checks the origin of a request. Settings and listeners use the same
//! rules.
//!
//! The modules have one part of a request each: `host`, `path_pattern`, `values` (headers, query, cookies) and
//! `origin`.

mod host;
mod origin;
mod path_pattern;
mod values;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, net::IpAddr};

use actix_http::{
    Uri,
    header::{HOST, HeaderMap},
};
use ipnet::IpNet;

use crate::path;

pub use self::{
    host::{HostPattern, normal as normal_host},
    origin::{OriginPattern, Origins},
    path_pattern::{PathPattern, PathRegex},
    values::{Expected, ValueTest, cookie_occurrences, cookies, parameters},
};

/// The parts of a request that routes are selected by.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The name of the listener that accepted the connection.
    pub listener: &'a str,
    /// Path and query.
    pub uri: &'a Uri,
    /// The headers, `Host` among them.
    pub headers: &'a HeaderMap,
    /// The subprotocols that the client offers.
    pub subprotocols: &'a [String],
    /// The client's address.
    pub peer: IpAddr,
    /// The name that the client asked for in its TLS handshake, in lower case; `None` without TLS, or without a name.
    pub tls_name: Option<&'a str>,
    /// Whether the request does not ask for a WebSocket.
    pub is_plain: bool,
}

/// The requests that a route matches. All parts must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The listener's name; `None` matches all listeners.
    pub listener: Option<String>,
    /// The request's host; `None` matches all hosts.
    pub host: Option<HostPattern>,
    /// The request's path.
    pub path: PathPattern,
    /// Tests of headers, all of which must pass.
    pub headers: Box<[ValueTest]>,
    /// Tests of query parameters, all of which must pass.
    pub query: Box<[ValueTest]>,
    /// Tests of cookies, all of which must pass.
    pub cookies: Box<[ValueTest]>,
    /// A subprotocol that the client must offer.
    pub subprotocol: Option<String>,
    /// Networks, one of which must contain the client's address; none matches all addresses.
    pub networks: Box<[IpNet]>,
    /// The name of the TLS handshake; `None` matches all connections, without TLS too.
    pub tls_name: Option<HostPattern>,
    /// Whether the route matches requests that ask for a WebSocket.
    pub takes_handshakes: bool,
    /// Whether the route matches requests that do not ask for a WebSocket.
    pub takes_plain: bool,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a host, or one with a port.
    #[error("takes a host such as \"chat.example.com\" or \"*.example.com\", without a port")]
    Host,
    /// Not the prefix of a path.
    #[error(
        "takes the prefix of a path, such as \"/chat\"; it starts with / and has no spaces, ?, #, *, ; or \\, and no // or \
         encoded / (%2F)"
    )]
    Prefix,
    /// Not a path.
    #[error(
        "takes a whole path, such as \"/chat\"; it starts with / and has no spaces, ?, #, *, ; or \\, and no // or \
         encoded / (%2F)"
    )]
    Exact,
    /// Not a regular expression; with the reason.
    #[error("takes a regular expression: {0}")]
    Regex(String),
    /// Not an origin.
    #[error(
        "takes origins such as \"https://example.com\" or \"https://*.example.com\", without a path, and \"none\", \
         \"null\" or \"*\""
    )]
    Origin,
}

/// A path that another server could read as one of another route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ambiguous path")]
pub struct AmbiguousPath;

/// Routes in order, each with a value: the first match wins.
#[derive(Debug)]
pub struct Router<T> {
    routes: Vec<(Pattern, T)>,
}

// === impl Request ===

impl Request<'_> {
    /// The host of the request in the form that patterns are compared with.
    fn host(&self) -> Cow<'_, str> {
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok());
        host::normal(host.unwrap_or_default())
    }
}

// === impl Pattern ===

impl Pattern {
    /// Matches the requests to these listeners at or below a path.
    ///
    /// ```
    /// # use towline::router::{PathPattern, Pattern};
    /// let pattern = Pattern::of_path(None, PathPattern::prefix("/chat").unwrap());
    /// assert_eq!(pattern.rest_of("/%63hat/room"), Some("/room"));
    /// assert_eq!(pattern.rest_of("/chatter"), None);
    /// ```
    pub fn of_path(listener: Option<String>, path: PathPattern) -> Self {
        let (headers, query, cookies) = Default::default();
        let networks = Box::default();
        Self {
            listener,
            host: None,
            path,
            headers,
            query,
            cookies,
            subprotocol: None,
            networks,
            tls_name: None,
            takes_handshakes: true,
            takes_plain: false,
        }
    }

    /// Whether the route matches the request.
    #[cfg(test)]
    fn matches(&self, request: &Request<'_>) -> bool {
        self.matches_at(request.uri.path(), request)
    }

    /// Whether the route matches the request if its path is `path`.
    fn matches_at(&self, path: &str, request: &Request<'_>) -> bool {
        let headers = request.headers;
        self.takes(request.is_plain)
            && self.serves(request.listener)
            && self.rest_of(path).is_some()
            && self.host.as_ref().is_none_or(|host| host.matches(&request.host()))
            && self
                .tls_name
                .as_ref()
                .is_none_or(|name| request.tls_name.is_some_and(|asked| name.matches(asked)))
            && self.subprotocol.as_ref().is_none_or(|wanted| request.subprotocols.contains(wanted))
            && (self.networks.is_empty()
                || self.networks.iter().any(|network| network.contains(&request.peer)))
            && self.headers.iter().all(|test| test.of_header(headers))
            && self.query.iter().all(|test| test.of_query(request.uri.query()))
            && self.cookies.iter().all(|test| test.of_cookie(headers))
    }

    /// Whether the route matches requests of this kind.
    fn takes(&self, is_plain: bool) -> bool {
        if is_plain { self.takes_plain } else { self.takes_handshakes }
    }

    /// Whether the route matches any request to the listener.
    pub fn serves(&self, listener: &str) -> bool {
        self.listener.as_deref().is_none_or(|name| name == listener)
    }

    /// The part of a request's path after the route's path; `None` when the route does not match the path.
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.path.rest_of(path)
    }

    /// Whether the pattern certainly matches every request to the same listener that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        let follow =
            |tests: &[ValueTest], others: &[ValueTest]| tests.iter().all(|test| test.follows_from(others));
        let contains = |narrow: &IpNet| self.networks.iter().any(|wide| wide.contains(narrow));
        let covers = |wide: &Option<HostPattern>, narrow: &Option<HostPattern>| {
            wide.as_ref().is_none_or(|wide| narrow.as_ref().is_some_and(|narrow| wide.covers(narrow)))
        };
        (self.takes_handshakes || !other.takes_handshakes)
            && (self.takes_plain || !other.takes_plain)
            && self.path.covers(&other.path)
            && covers(&self.host, &other.host)
            && covers(&self.tls_name, &other.tls_name)
            && self.subprotocol.as_ref().is_none_or(|wanted| other.subprotocol.as_ref() == Some(wanted))
            && (self.networks.is_empty()
                || (!other.networks.is_empty() && other.networks.iter().all(contains)))
            && follow(&self.headers, &other.headers)
            && follow(&self.query, &other.query)
            && follow(&self.cookies, &other.cookies)
    }
}

/// The patterns in `before` that together match everything `pattern` matches on these listeners, by position
/// from 0: for each listener, one earlier pattern that matches all of it. `None` when a request can reach
/// `pattern`, or when this cannot be excluded.
///
/// # Correctness
/// A pattern is a conjunction. An earlier pattern that each part of a later one implies matches every request
/// that the later one matches. Patterns that hide another one only together, such as two networks that add up to
/// a third, are not found, except for listeners.
pub fn hidden_by(pattern: &Pattern, before: &[&Pattern], listeners: &[&str]) -> Option<Vec<usize>> {
    let mut hiding = Vec::new();
    for listener in listeners.iter().filter(|listener| pattern.serves(listener)) {
        let hides = |earlier: &&Pattern| earlier.serves(listener) && earlier.covers(pattern);
        let position = before.iter().position(hides)?;
        if !hiding.contains(&position) {
            hiding.push(position);
        }
    }
    (!hiding.is_empty()).then_some(hiding)
}

// === impl Router ===

impl<T> Router<T> {
    /// The number of routes.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.routes.len()
    }

    /// The values of all routes, in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.routes.iter().map(|(_, value)| value)
    }

    /// The value of the first route that matches the request; `None` if no route does.
    ///
    /// # Security
    /// The path goes to the upstream as the client wrote it, and servers differ in how they read it: `//admin`,
    /// `/admin%2Fx` and `/admin;a=b` do not match `/admin`, but may reach the same page. If the
    /// [canonical](path::canonical) path belongs to another route, or to none, a client could avoid the rules of a
    /// route.
    ///
    /// # Errors
    /// When the path and its canonical form do not lead to the same route, or it has no canonical form.
    pub fn find(&self, request: &Request<'_>) -> Result<Option<&T>, AmbiguousPath> {
        let path = request.uri.path();
        let Some(found) = self.position(path, request) else { return Ok(None) };
        // Any other path has only single slashes, and no parameters.
        let is_plain = !path.contains(['%', ';', '\\']) && !path.contains("//");
        let stays = |canonical: String| self.position(&canonical, request) == Some(found);
        if is_plain || path::canonical(path).is_some_and(stays) {
            Ok(self.routes.get(found).map(|(_, value)| value))
        } else {
            Err(AmbiguousPath)
        }
    }

    /// The first route that matches the request if its path is `path`.
    fn position(&self, path: &str, request: &Request<'_>) -> Option<usize> {
        self.routes.iter().position(|(pattern, _)| pattern.matches_at(path, request))
    }
}

impl<T> FromIterator<(Pattern, T)> for Router<T> {
    fn from_iter<I: IntoIterator<Item = (Pattern, T)>>(routes: I) -> Self {
        Self { routes: routes.into_iter().collect() }
    }
}
