//! The origins of the pages whose browsers may connect (RFC 6454).
//!
//! # Security
//! A browser opens WebSockets from any page to any server, and sends the server's cookies along. The `Origin`
//! header, which pages cannot change, says which page it was. Programs other than browsers send any text.

use actix_http::header::{HeaderMap, ORIGIN};

use super::{
    PatternError,
    host::{HostPattern, normal},
};

/// The origins that a route accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Box<[OriginPattern]>);

/// One accepted origin, or a kind of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every request, with any origin or without.
    Any,
    /// Requests without an `Origin` header, which browsers do not send.
    Absent,
    /// Pages with an opaque origin, such as sandboxed frames and local files, which send `null`.
    Opaque,
    /// Pages of a server.
    Site(Site),
}

/// The servers whose pages are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    scheme: String,
    host: HostPattern,
    /// `None` without a port, where the scheme has no default.
    port: Option<u16>,
}

// === impl Origins ===

impl FromIterator<OriginPattern> for Origins {
    fn from_iter<I: IntoIterator<Item = OriginPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl Origins {
    /// Whether a request with these headers is accepted. One with several `Origin` headers, or with a text that
    /// is not an origin, is accepted only by [`OriginPattern::Any`].
    pub fn accept(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(ORIGIN);
        let (first, second) = (values.next(), values.next());
        self.0.iter().any(|pattern| match (pattern, first, second) {
            (OriginPattern::Any, ..) | (OriginPattern::Absent, None, _) => true,
            (OriginPattern::Opaque, Some(origin), None) => origin == "null",
            (OriginPattern::Site(site), Some(origin), None) => {
                origin.to_str().is_ok_and(|origin| site.matches(origin))
            }
            _ => false,
        })
    }
}

// === impl OriginPattern ===

impl OriginPattern {
    /// Parses `*`, `none`, `null`, or an origin, in which the host may begin with `*.`.
    ///
    /// ```
    /// # use towline::router::OriginPattern;
    /// assert!(OriginPattern::parse("https://*.example.com").is_ok());
    /// assert!(OriginPattern::parse("example.com").is_err());
    /// ```
    ///
    /// # Errors
    /// When the text is none of them: it has no scheme, or it has a path.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        match text {
            "*" => return Ok(Self::Any),
            "none" => return Ok(Self::Absent),
            "null" => return Ok(Self::Opaque),
            _ => {}
        }
        let (scheme, host, port) = parts(text).ok_or(PatternError::Origin)?;
        let host = HostPattern::parse(host).map_err(|_| PatternError::Origin)?;
        Ok(Self::Site(Site { scheme, host, port }))
    }
}

// === impl Site ===

impl Site {
    fn matches(&self, origin: &str) -> bool {
        parts(origin).is_some_and(|(scheme, host, port)| {
            self.scheme == scheme && self.port == port && self.host.matches(&normal(host))
        })
    }
}

/// Scheme in lower case, host, and port of an origin (RFC 6454 section 6.2). A missing port is the scheme's
/// default. `None` if the text has another form, such as a path or a user.
fn parts(origin: &str) -> Option<(String, &str, Option<u16>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) || !scheme.bytes().all(letters) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(number(port)?)),
        _ => (rest, None),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(fits) || (host.contains(':') && !host.starts_with('[')) {
        return None;
    }
    let default = match scheme.as_str() {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    Some((scheme, host, port.or(default)))
}

/// A port in digits only: `u16` would also parse `+80`.
fn number(port: &str) -> Option<u16> {
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn accepts(patterns: &[&str], origins: &[&str]) -> bool {
        let accepted: Origins = patterns.iter().map(|text| OriginPattern::parse(text).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        accepted.accept(&headers)
    }

    #[test]
    fn an_origin_is_compared_by_scheme_host_and_port() {
        for (pattern, origin, expected) in [
            ("https://example.com", "https://example.com", true),
            ("https://example.com", "HTTPS://Example.COM", true),
            ("https://example.com", "https://example.com:443", true),
            ("https://example.com:443", "https://example.com", true),
            ("http://example.com", "http://example.com:80", true),
            ("https://example.com", "http://example.com", false),
            ("https://example.com", "https://example.com:444", false),
            ("https://example.com", "https://example.com:80", false),
            ("https://example.com", "https://www.example.com", false),
            ("https://example.com", "https://example.com.evil.test", false),
            ("https://example.com", "https://evil.test/https://example.com", false),
            ("https://example.com", "https://example.com/", false),
            ("https://example.com", "https://example.com@evil.test", false),
            ("https://example.com", "https://example.com:", false),
            ("https://example.com", "https://example.com:+443", false),
            ("https://example.com", "https://example.com https://evil.test", false),
            ("https://example.com", "null", false),
            ("https://example.com", "", false),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://badexample.com", false),
            ("https://*.example.com:8443", "https://a.example.com:8443", true),
            ("https://*.example.com:8443", "https://a.example.com", false),
            ("http://[::1]:8080", "http://[0:0::1]:8080", true),
            ("http://[::1]", "http://[::1]:80", true),
            ("chrome-extension://abcdef", "chrome-extension://abcdef", true),
            ("chrome-extension://abcdef", "chrome-extension://abcdef:1", false),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("null", "null", true),
            ("null", "NULL", false),
            ("null", "https://a", false),
            ("none", "https://a", false),
            ("none", "none", false),
            ("*", "https://a", true),
            ("*", "\"", true),
        ] {
            assert_eq!(accepts(&[pattern], &[origin]), expected, "{pattern} {origin}");
        }
    }

    #[test]
    fn a_request_has_one_origin_or_none() {
        let site = "https://a.test";
        assert!(accepts(&["none"], &[]) && accepts(&["*"], &[]));
        assert!(!accepts(&[site, "null"], &[]));
        assert!(!accepts(&[site, "none"], &[site, site]), "two headers are ambiguous");
        assert!(accepts(&["*"], &[site, site]));
        assert!(accepts(&["none", site], &[site]));
        assert!(!accepts(&[], &[]));
    }

    #[test]
    fn other_texts_are_not_origins() {
        for text in [
            "",
            "example.com",
            "https://",
            "://a",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://a:b",
            "https://a:99999",
            "https://*",
            "https://a.*",
            "1a://b",
            "*.example.com",
            "https://a b",
            "None",
            "https://a?b",
            "https://[::1",
            "https://a:1:2",
        ] {
            assert_eq!(OriginPattern::parse(text), Err(PatternError::Origin), "{text}");
        }
    }

    proptest! {
        /// An accepted origin names the listed host or one below it, as a URL parser reads the host.
        #[test]
        fn no_text_imitates_a_listed_origin(text in r"(https://|a\.test|evil|\.|@|/|:|443|\[|\]|\?|#|\\|%){1,6}") {
            let Ok(value) = HeaderValue::from_str(&text) else { return Ok(()) };
            let headers: HeaderMap = [(ORIGIN, value)].into_iter().collect();
            let listed = ["https://a.test", "https://*.a.test"];
            let accepted: Origins = listed.iter().map(|text| OriginPattern::parse(text).unwrap()).collect();
            if accepted.accept(&headers) {
                let url = url::Url::parse(&text).unwrap();
                let host = url.host_str().unwrap().trim_end_matches('.').to_owned();
                prop_assert!(host == "a.test" || host.ends_with(".a.test"), "{}", text);
                prop_assert_eq!(url.port_or_known_default(), Some(443));
            }
        }
    }
}
