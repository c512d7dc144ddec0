//! Path and query of a client's request, which are added to the URL of its session's upstream connections.
//!
//! # Security
//! A client's input becomes part of a URL here. A path with a dot segment, in any encoding, is refused, so
//! that a client cannot leave its route's prefix. Bytes that are not allowed in a URL are percent-encoded,
//! which has the same meaning to the upstream; all others arrive unchanged. Scheme, host and port always come
//! from the settings.

use std::{borrow::Cow, fmt::Write, rc::Rc};

use actix_http::Uri;

use crate::{
    path::{has_dot_segment, hex, is_unreserved},
    settings::{Route, Upstream, UpstreamUrl},
};

/// Path and query of a client's request. They do not depend on the endpoint, so that each connection of the
/// session can go to another one. Clones share the text.
#[derive(Clone)]
pub struct ClientPath(Option<Rc<Forwarded>>);

/// A path and a query that are forwarded, percent-encoded for a URL.
struct Forwarded {
    /// The whole path.
    path: Box<str>,
    /// The part of the path after the route's path; `None` if the path is not below the route's.
    below: Option<Box<str>>,
    /// Whether the route's path is removed if the endpoint's URL has no path.
    strips_prefix: bool,
    query: Option<Box<str>>,
}

/// The reason why a client's path cannot be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path contains a dot segment.
    #[error("path contains a . or .. segment")]
    DotSegment,
    /// The endpoint's URL would be too long with the path.
    #[error("path too long for the upstream's URL")]
    TooLong,
}

impl ClientPath {
    /// Determines what the request for `uri` on this route adds to the URL of the route's upstream.
    ///
    /// # Errors
    /// When path and query are forwarded and the path contains a dot segment.
    pub fn new(route: &Route, upstream: &Upstream, uri: &Uri) -> Result<Self, PathError> {
        if !upstream.forward_path {
            return Ok(Self(None));
        }
        if has_dot_segment(uri.path()) {
            return Err(PathError::DotSegment);
        }
        let below = route.pattern.rest_of(uri.path());
        let forwarded = Forwarded {
            path: encoded(uri.path(), b"/"),
            below: below.map(|rest| encoded(rest, b"/")),
            strips_prefix: route.strip_prefix,
            query: uri.query().map(|query| encoded(query, b"/?")),
        };
        Ok(Self(Some(Rc::new(forwarded))))
    }

    /// The URL of a connection to the endpoint with the URL `url`.
    ///
    /// # Errors
    /// When the URL would be too long.
    pub fn at(&self, url: &UpstreamUrl) -> Result<UpstreamUrl, PathError> {
        let Some(forwarded) = &self.0 else { return Ok(url.clone()) };
        if !url.has_path && forwarded.query.is_none() && forwarded.path(None) == "/" {
            // Programs compare `$url` with the URL as it is spelled in the settings.
            return Ok(url.clone());
        }
        let parts = url.parts();
        let path = forwarded.path(parts.path);
        // The query in the settings may be a token, so it takes precedence over the client's.
        let url = url.at(&path, parts.query.or(forwarded.query.as_deref()));
        match Uri::try_from(&*url.request()) {
            Ok(_) => Ok(url),
            Err(_) => Err(PathError::TooLong),
        }
    }

    /// Whether `text` is the URL of a connection to the endpoint with the URL `url`.
    pub fn is_at(&self, url: &UpstreamUrl, text: &str) -> bool {
        match &self.0 {
            None => *url.text == *text,
            // The URL is made only for the comparison with one of the same server.
            Some(_) => text.starts_with(url.parts().origin) && self.at(url).is_ok_and(|at| *at.text == *text),
        }
    }
}

impl Forwarded {
    /// The path for requests to an endpoint. A path `own` of the endpoint's URL replaces the route's path.
    fn path<'a>(&'a self, own: Option<&'a str>) -> Cow<'a, str> {
        let base = own.or(self.strips_prefix.then_some("/"));
        match (base, self.below.as_deref()) {
            (Some(base), Some("")) => base.into(),
            (Some(base), Some(below)) => {
                let base = base.strip_suffix('/').unwrap_or(base);
                let below = below.strip_prefix('/').unwrap_or(below);
                format!("{base}/{below}").into()
            }
            _ => Cow::Borrowed(&self.path),
        }
    }
}

/// Percent-encodes every byte that is neither allowed in a path segment (RFC 3986 section 3.3) nor listed in
/// `more`. A percent sign is encoded unless two hexadecimal digits follow it.
fn encoded(text: &str, more: &[u8]) -> Box<str> {
    let bytes = text.as_bytes();
    let mut encoded = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let escape = || bytes[at + 1..].first_chunk::<2>().and_then(|pair| hex(*pair));
        let stays = match byte {
            b'%' => escape().is_some(),
            _ => is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) || more.contains(&byte),
        };
        if stays {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded.into()
}
