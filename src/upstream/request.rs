//! The request of the handshake with a server, and the checks of its response.

use std::borrow::Cow;

use actix_http::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use awc::{Client, ws::WebsocketsRequest};

use super::{DialError, DialPlan};
use crate::{
    header_list::elements,
    net::Place,
    settings::{self, HostHeader, UpstreamUrl},
    userinfo,
};

/// Creates the request for a WebSocket at `url`, with the headers and subprotocols of the plan.
pub(super) fn prepare(plan: &DialPlan, url: &UpstreamUrl) -> WebsocketsRequest {
    websocket(plan.dialer.client_for(url), plan.settings(), url, &plan.headers.get(), &plan.protocols)
}

/// Creates the request for a WebSocket at `url`.
pub(super) fn websocket(
    client: Client,
    settings: &settings::Upstream,
    url: &UpstreamUrl,
    headers: &[(HeaderName, HeaderValue)],
    protocols: &[String],
) -> WebsocketsRequest {
    let request = url.request();
    let (text, secret) = authorization(settings, &request);
    // The socket restores the spelling of header names. Camel case is for the value of `Connection`.
    let mut request = client.ws(&*text).set_camel_case_headers(true);
    if let Some(Place::Address(address)) = url.place() {
        request = request.address(*address);
    }
    for (name, value) in headers {
        if *name != AUTHORIZATION || secret.is_none() {
            request = request.header(name.clone(), value.clone());
        }
    }
    if let Some((name, value)) = secret {
        request = request.header(name, value);
    }
    if protocols.is_empty() { request } else { request.protocols(protocols) }
}

/// The URL without user and password, and the `Authorization` header made from them. That header replaces the
/// client's, but not one from the setting `headers`.
pub(super) fn authorization<'a>(
    settings: &settings::Upstream,
    url: &'a str,
) -> (Cow<'a, str>, Option<(HeaderName, HeaderValue)>) {
    let (url, secret) = userinfo::split(url);
    let is_configured = settings.headers.iter().any(|(name, _)| name == AUTHORIZATION.as_str());
    let secret = secret.filter(|_| !is_configured);
    let value = secret.and_then(|secret| userinfo::authorization(secret).ok().flatten());
    let mut value = value.and_then(|value| HeaderValue::try_from(value).ok());
    value.iter_mut().for_each(|value| value.set_sensitive(true));
    (url, value.map(|value| (AUTHORIZATION, value)))
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

/// The subprotocol that the server chose; `None` if it chose none.
///
/// awc checks neither subprotocol nor extensions, and accepts any `Upgrade` that contains `websocket` (RFC
/// 6455 section 4.1, numbers 2, 5 and 6 of the client's checks). Empty elements of lists are ignored (RFC
/// 9110 section 5.6.1.2). The subprotocol of a response is a single value, not a list.
///
/// # Errors
/// When the response does not upgrade to `websocket`, or chooses something that was not offered.
pub(super) fn chosen_protocol(
    headers: &HeaderMap,
    protocols: &[String],
) -> Result<Option<String>, DialError> {
    let mut upgrade = elements(headers, &UPGRADE);
    match (upgrade.next(), upgrade.next()) {
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(DialError::Handshake("no upgrade to websocket")),
    }
    if elements(headers, &SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
        return Err(DialError::Extension);
    }
    let mut values = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => offered(value, protocols).map(Some).ok_or(DialError::Subprotocol),
        (Some(_), Some(_)) => Err(DialError::Subprotocol),
    }
}

fn offered(value: &HeaderValue, protocols: &[String]) -> Option<String> {
    let chosen = value.to_str().ok()?;
    protocols.iter().find(|protocol| *protocol == chosen).cloned()
}
