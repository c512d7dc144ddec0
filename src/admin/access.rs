//! Who may use the admin server: the decisions, without sockets and files.
//!
//! * A browser can be made to send requests to an address of this machine under a name of another site (DNS
//!   rebinding). So the host of a request must be `localhost`, an address, or a name that the settings allow.
//! * A page of another site can send requests too. So a request with the origin of another site is refused.
//! * An action needs the operator's token.

use std::net::Ipv4Addr;

use actix_web::http::{
    StatusCode,
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN},
};
use subtle::ConstantTimeEq;

use crate::{
    auth::Secret,
    router::{HostPattern, normal_host},
};

/// How a browser requests something: `same-origin`, `cross-site` and others.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a browser requests something for: `navigate` for an address or a link.
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Why the admin server refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no `Host` header, or several.
    #[error("the request needs one Host header")]
    NoHost,
    /// The request is for a name that the settings do not allow.
    #[error("this host is not allowed: use an address or localhost, or add the name to admin.allowed_hosts")]
    Host,
    /// The request comes from a page of another site.
    #[error("requests from pages of other sites are refused")]
    OtherSite,
    /// The settings have no token, so there are no actions.
    #[error("actions are off: set admin.token_file")]
    ActionsOff,
    /// The request has no token.
    #[error("this needs the operator's token: Authorization: Bearer TOKEN")]
    NoToken,
    /// The request has another token.
    #[error("wrong token")]
    WrongToken,
    /// The file with the token cannot be used.
    #[error("the token file cannot be used: see the log of the proxy")]
    Unreadable,
}

// === impl Denied ===

impl Denied {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Host | Self::OtherSite | Self::ActionsOff => StatusCode::FORBIDDEN,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Checks host and origin of a request.
///
/// # Errors
/// When another site may have sent the request.
pub fn check_site(headers: &HeaderMap, allowed: &[HostPattern]) -> Result<(), Denied> {
    let host = only(headers, &HOST).ok_or(Denied::NoHost)?;
    if !is_allowed(host, allowed) {
        return Err(Denied::Host);
    }
    if headers.contains_key(ORIGIN) {
        let is_own =
            only(headers, &ORIGIN).and_then(host_of).is_some_and(|own| own.eq_ignore_ascii_case(host));
        return if is_own { Ok(()) } else { Err(Denied::OtherSite) };
    }
    // A browser sends no origin with an image or a link. A link to a page is harmless.
    let (site, mode) = (only(headers, &FETCH_SITE), only(headers, &FETCH_MODE));
    match (site, mode) {
        (None | Some("same-origin" | "none"), _) | (_, Some("navigate")) => Ok(()),
        _ => Err(Denied::OtherSite),
    }
}

/// The value of a header that occurs once; `None` if it is missing, repeated, or not visible ASCII.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether the admin server is reached by this host.
fn is_allowed(host: &str, allowed: &[HostPattern]) -> bool {
    let name = normal_host(host);
    let is_address = (name.starts_with('[') && name.ends_with(']')) || name.parse::<Ipv4Addr>().is_ok();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_address || is_local || allowed.iter().any(|pattern| pattern.matches(&name))
}

/// Host and port of an origin such as `http://admin.test:9140`.
fn host_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// The token of a request.
///
/// # Errors
/// When the request has none, or several.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let value = only(headers, &AUTHORIZATION).ok_or(Denied::NoToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(Denied::NoToken)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(token.trim()),
        false => Err(Denied::NoToken),
    }
}

/// Compares a token with the operator's, in a time that does not depend on the position of the first difference.
///
/// # Errors
/// When they differ.
pub fn check_token(given: &str, token: &Secret) -> Result<(), Denied> {
    match given.as_bytes().ct_eq(token.expose().as_bytes()).into() {
        true => Ok(()),
        false => Err(Denied::WrongToken),
    }
}

/// The challenge in the answer to a request without the right token (RFC 6750 section 3).
pub fn challenge(denied: Denied) -> Option<HeaderValue> {
    match denied {
        Denied::NoToken => Some(HeaderValue::from_static("Bearer realm=\"towline\"")),
        Denied::WrongToken => {
            Some(HeaderValue::from_static("Bearer realm=\"towline\", error=\"invalid_token\""))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn site(lines: &[(&str, &str)]) -> Result<(), Denied> {
        let allowed = ["admin.test", "*.ops.test"].map(|name| HostPattern::parse(name).unwrap());
        check_site(&headers(lines), &allowed)
    }

    #[test]
    fn a_host_is_an_address_or_a_known_name() {
        let hosts = [
            "127.0.0.1",
            "127.0.0.1:9140",
            "10.1.2.3:80",
            "[::1]:9140",
            "[fe80::1]",
            "localhost",
            "LOCALHOST.:1",
            "a.localhost:9140",
            "Admin.Test:9140",
            "a.ops.test",
        ];
        for host in hosts {
            assert_eq!(site(&[("host", host)]), Ok(()), "{host}");
        }
        let others = [
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "xlocalhost",
            "ops.test",
            "b.admin.test",
            "::1",
            "[::1",
            "127.1",
            "0x7f.0.0.1",
            "",
            "admin.test@evil.test",
        ];
        for host in others {
            assert_eq!(site(&[("host", host)]), Err(Denied::Host), "{host}");
        }
        assert_eq!(site(&[]), Err(Denied::NoHost));
        assert_eq!(site(&[("host", "localhost"), ("host", "localhost")]), Err(Denied::NoHost));
    }

    #[test]
    fn an_origin_is_that_of_the_admin_server() {
        let from = |origin| site(&[("host", "localhost:9140"), ("origin", origin)]);
        for origin in ["http://localhost:9140", "https://localhost:9140", "http://LOCALHOST:9140"] {
            assert_eq!(from(origin), Ok(()), "{origin}");
        }
        let others = [
            "null",
            "http://localhost",
            "http://localhost:8080",
            "http://127.0.0.1:9140",
            "http://evil.test",
            "http://localhost:9140.evil.test",
            "ftp://localhost:9140",
            "file://",
            "",
            "localhost:9140",
        ];
        for origin in others {
            assert_eq!(from(origin), Err(Denied::OtherSite), "{origin}");
        }
        let own = ("origin", "http://localhost:9140");
        assert_eq!(site(&[("host", "localhost:9140"), own, own]), Err(Denied::OtherSite));
    }

    #[test]
    fn a_browser_says_that_another_site_asks() {
        let from = |site_value, mode| {
            site(&[("host", "[::1]"), ("sec-fetch-site", site_value), ("sec-fetch-mode", mode)])
        };
        assert_eq!(from("same-origin", "cors"), Ok(()));
        assert_eq!(from("none", "navigate"), Ok(()));
        assert_eq!(from("cross-site", "navigate"), Ok(()));
        for (site, mode) in [("cross-site", "no-cors"), ("same-site", "cors"), ("cross-site", "websocket")] {
            assert_eq!(from(site, mode), Err(Denied::OtherSite), "{site} {mode}");
        }
    }

    #[test]
    fn an_action_needs_the_token() {
        let token = Secret::from("0123456789abcdef");
        let given = |lines: &[(&str, &str)]| check_token(bearer(&headers(lines))?, &token);
        assert_eq!(given(&[("authorization", "Bearer 0123456789abcdef")]), Ok(()));
        assert_eq!(given(&[("authorization", "bearer  0123456789abcdef ")]), Ok(()));
        for wrong in
            ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer ", "Bearer 0123456789abcdef0"]
        {
            assert_eq!(given(&[("authorization", wrong)]), Err(Denied::WrongToken), "{wrong}");
        }
        for none in ["Basic 0123456789abcdef", "0123456789abcdef", "Bearer"] {
            assert_eq!(given(&[("authorization", none)]), Err(Denied::NoToken), "{none}");
        }
        assert_eq!(given(&[]), Err(Denied::NoToken));
        let right = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(given(&[right, right]), Err(Denied::NoToken));
    }
}
