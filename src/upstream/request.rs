//! The parts of a URL and of the settings that become a part of requests to a server.

use std::borrow::Cow;

use actix_http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};

use crate::{
    authority,
    settings::{self, HostHeader},
    userinfo,
};

/// The host and port of a URL without user and password, and the target of a request: a slash, if the URL has no path, and
/// its path and query.
pub(super) fn target<'a>(url: &authority::Split<'a>) -> (&'a str, &'static str, &'a str) {
    let authority::Split { host, tail, .. } = *url;
    (host, if tail.starts_with('/') { "" } else { "/" }, tail)
}

/// The URL without user and password, and the `Authorization` header made from them.
pub(super) fn authorization<'a>(
    settings: &settings::Upstream,
    url: &'a str,
) -> (Cow<'a, str>, Option<(HeaderName, HeaderValue)>) {
    let (url, secret) = userinfo::split(url);
    (url, secret_header(settings, secret))
}

/// The `Authorization` header made from the user and password of a URL. It replaces the client's, but not one from the
/// setting `headers`.
pub(super) fn secret_header(
    settings: &settings::Upstream,
    secret: Option<&str>,
) -> Option<(HeaderName, HeaderValue)> {
    let secret = secret.filter(|_| !settings.headers.has_authorization())?;
    let value = userinfo::authorization(secret).ok().flatten()?;
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

/// The headers of a request without client: `Host`, if the settings name it, and those that the settings add without
/// placeholders for a request.
pub(super) fn own_headers(settings: &settings::Upstream) -> Vec<(HeaderName, HeaderValue)> {
    let host = match &settings.host {
        HostHeader::Name(name) => HeaderValue::try_from(name).ok(),
        HostHeader::Upstream | HostHeader::Client => None,
    };
    let added = settings.headers.iter().filter_map(|(name, value)| {
        let value = HeaderValue::from_str(value.literal()?).ok()?;
        Some((HeaderName::try_from(name.as_str()).ok()?, value))
    });
    host.map(|host| (HOST, host)).into_iter().chain(added).collect()
}
