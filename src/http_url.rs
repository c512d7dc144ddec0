//! The URL of a server that the proxy itself asks: for keys, or to take traces.

use std::fmt;

use actix_http::Uri;
use url::Url;

use crate::authority::mask;

/// A URL of `https` or `http`, in the parts that a request needs.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// The URI of the request, with the scheme `http` in any case, because TLS is added below HTTP.
    pub request: Uri,
    /// The header `Host`.
    pub authority: String,
    /// The host, a name or an address.
    pub host: String,
    /// Whether the connection has TLS.
    pub is_secure: bool,
    /// The URL for texts, without its secrets.
    pub shown: String,
}

/// The error for a text that is not such a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URL of https or http without user, password and fragment")]
pub struct HttpUrlError;

impl HttpUrl {
    /// Parses a URL of `https` or `http`.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn parse(text: &str) -> Result<Self, HttpUrlError> {
        let url = Url::parse(text).map_err(|_| HttpUrlError)?;
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(HttpUrlError),
        };
        let has_secret = !url.username().is_empty() || url.password().is_some() || url.fragment().is_some();
        let (Some(host), Some(port), false) = (url.host_str(), url.port_or_known_default(), has_secret)
        else {
            return Err(HttpUrlError);
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let request = format!("http://{host}:{port}{}{query}", url.path());
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let request = request.parse().map_err(|_| HttpUrlError)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { request, authority, host: bare, is_secure, shown: mask(text) })
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_request_and_a_host() {
        for (text, request, authority, host, is_secure) in [
            ("https://id.test", "http://id.test:443/", "id.test", "id.test", true),
            ("https://id.test:8443/a/b?c=d", "http://id.test:8443/a/b?c=d", "id.test:8443", "id.test", true),
            ("http://[::1]:80/k", "http://[::1]:80/k", "[::1]", "::1", false),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!((url.request.to_string().as_str(), &*url.authority), (request, authority));
            assert_eq!((&*url.host, url.is_secure), (host, is_secure));
        }
        assert_eq!(
            format!("{:?}", HttpUrl::parse("https://id.test/?key=1").unwrap()),
            "https://id.test/?***"
        );
        for text in ["", "id.test", "ftp://id.test/", "https://", "https://me@id.test/", "https://id.test/#a"]
        {
            assert_eq!(HttpUrl::parse(text), Err(HttpUrlError), "{text}");
        }
    }
}
