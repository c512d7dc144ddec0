//! The method `forward`: an HTTP service decides, as with `auth_request` of nginx and `ForwardAuth` of Traefik.
//!
//! ```text
//! GET /verify HTTP/1.1              HTTP/1.1 200 OK
//! Host: gate:9000                   X-User: 7
//! Cookie: session=…           ─►    X-Role: read
//! X-Forwarded-Method: GET
//! X-Forwarded-Uri: /chat?a=1
//! ```
//!
//! # Security
//! Only a 2xx accepts a client. Whatever cannot be understood is a failure of the service, and accepts nobody.

use std::{sync::Arc, time::Duration};

use actix_http::{
    StatusCode, Uri,
    header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE},
};

use super::{CLAIMS_MAX, Denial, Identity};
use crate::{
    client_address::is_made,
    event::{Record, Value},
    header_list::is_named_by_connection,
    net::TlsClient,
};

/// Maximum number of challenges that are passed on, and of values of one header that become a claim or go to the
/// upstream.
pub const LINES_MAX: usize = 16;

/// Maximum size of all headers that go to the upstream, and of all challenges, in bytes.
pub const HEADERS_MAX: usize = 16 * 1024;

/// The headers in which the service gets the method and the target of the client's request.
pub const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
/// See [`METHOD`].
pub const TARGET: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Whether the service gets this header from the proxy, and never the client's. With both, a service could judge
/// another request than the one that the upstream gets.
pub fn is_set_by_proxy(name: &HeaderName) -> bool {
    is_made(name) || [METHOD, TARGET].contains(name)
}

/// The table `forward` of a section.
#[derive(Debug, Clone)]
pub struct ForwardConfig {
    /// The URL of the service, with the scheme `http` also where `tls` is set, because the connection has TLS below it.
    pub url: Uri,
    /// TLS to the service, if its URL has the scheme `https`.
    pub tls: Option<TlsClient>,
    /// The client's headers that the service gets.
    pub request_headers: Box<[HeaderName]>,
    /// Claims, each with the header of the response that has its value.
    pub claims_from: Box<[(String, HeaderName)]>,
    /// Headers of the response that go to the upstream.
    pub upstream_headers: Box<[HeaderName]>,
    /// The time from the request to the head of the response.
    pub timeout: Duration,
    /// Maximum number of requests to the service that are in progress.
    pub max_requests: usize,
    /// Whether the service is asked only for requests that have a credential at one of the section's sources.
    pub needs_credential: bool,
}

/// A client that the service has accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Who it is.
    pub identity: Identity,
    /// Headers for the upstream. One without values replaces the client's as well.
    pub upstream_headers: Vec<(HeaderName, Vec<HeaderValue>)>,
}

/// Why a service has not decided about a client. The error texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// [`ForwardConfig::max_requests`] are in progress.
    #[error("too many requests to the service in progress")]
    Full,
    /// There was no response in time.
    #[error("no response from the service within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// There was no response, and this is why.
    #[error("no response from the service: {0}")]
    Unreachable(String),
    /// The response has neither a 2xx nor 401 nor 403.
    #[error("status {0} from the service")]
    Status(u16),
    /// A header that becomes a claim or goes to the upstream is not text, or the claim `exp` is not a time.
    #[error("unusable header {0} from the service")]
    Header(HeaderName),
    /// The headers that become claims or go to the upstream are too large.
    #[error("headers from the service are too large")]
    TooLarge,
}

/// The decision in the response of the service. `method` is the name of the section.
///
/// # Errors
/// When the service denies the client, or has not decided.
pub fn judge(
    config: &ForwardConfig,
    method: &Arc<str>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Judged, Denial> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Denial::ByService {
            is_known: status == StatusCode::FORBIDDEN,
            challenges: challenges(headers),
        }),
        status if status.is_success() => accepted(config, method, headers).map_err(Denial::Failed),
        status => Err(Denial::Failed(ServiceError::Status(status.as_u16()))),
    }
}

fn accepted(config: &ForwardConfig, method: &Arc<str>, headers: &HeaderMap) -> Result<Judged, ServiceError> {
    let (mut claims, mut subject, mut expires) = (Record::new(), None, None);
    for (claim, name) in &config.claims_from {
        let unusable = || ServiceError::Header(name.clone());
        let texts: Option<Vec<_>> = lines(headers, name)?.iter().map(|value| value.to_str().ok()).collect();
        let value = match texts.ok_or_else(unusable)?.as_slice() {
            [] => continue,
            [text] if claim == "exp" => {
                let time = text.parse::<i64>().ok().filter(|time| *time >= 0).ok_or_else(unusable)?;
                expires = u64::try_from(time).ok();
                Value::Int(time)
            }
            _ if claim == "exp" => return Err(unusable()),
            [text] if claim == "sub" => {
                subject = Some(Arc::from(*text));
                Value::string(*text)
            }
            _ if claim == "sub" => return Err(unusable()),
            [text] => Value::string(*text),
            texts => Value::Array(Arc::new(texts.iter().map(|text| Value::string(*text)).collect())),
        };
        claims.insert(claim.as_str().into(), value);
    }
    let claims = Arc::new(claims);
    if Value::Record(Arc::clone(&claims)).to_json().len() > CLAIMS_MAX {
        return Err(ServiceError::TooLarge);
    }
    let (mut upstream_headers, mut room) = (Vec::new(), HEADERS_MAX);
    for name in &config.upstream_headers {
        let values: Vec<_> = lines(headers, name)?.into_iter().cloned().collect();
        let size: usize = values.iter().map(|value| name.as_str().len() + value.len() + ": \r\n".len()).sum();
        room = room.checked_sub(size).ok_or(ServiceError::TooLarge)?;
        upstream_headers.push((name.clone(), values));
    }
    let identity = Identity { method: Arc::clone(method), subject, claims, expires };
    Ok(Judged { identity, upstream_headers })
}

/// The values of a header. What the service means for its own connection only has none.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a HeaderValue>, ServiceError> {
    if is_named_by_connection(headers, name) {
        return Ok(Vec::new());
    }
    let values: Vec<_> = headers.get_all(name).take(LINES_MAX + 1).collect();
    if values.len() > LINES_MAX { Err(ServiceError::TooLarge) } else { Ok(values) }
}

/// The challenges of the service. Those that are not visible ASCII, or too large, are left out.
fn challenges(headers: &HeaderMap) -> Vec<String> {
    let mut room = HEADERS_MAX;
    let mut fits = |text: &&str| {
        let rest = room.checked_sub(text.len());
        room = rest.unwrap_or(room);
        rest.is_some() && !text.is_empty()
    };
    let texts = headers.get_all(WWW_AUTHENTICATE).filter_map(|value| value.to_str().ok());
    texts.filter(|text| fits(text)).take(LINES_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
