//! The request of the handshake with a server, and the checks of its response.

use std::borrow::Cow;

use actix_http::header::{
    AUTHORIZATION, HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use awc::ws::WebsocketsRequest;

use super::{DialError, DialPlan};
use crate::{header_list::elements, settings::UpstreamUrl, userinfo};

/// Creates the request for a WebSocket at `url`, with the headers and subprotocols of the plan.
pub(super) fn prepare(plan: &DialPlan, url: &UpstreamUrl) -> WebsocketsRequest {
    let request = url.request();
    let (text, authorization) = authorization(plan, &request);
    // The socket restores the spelling of header names. Camel case is for the value of `Connection`.
    let mut request = plan.dialer.client_for(url).ws(&*text).set_camel_case_headers(true);
    for (name, value) in &*plan.headers {
        if *name != AUTHORIZATION || authorization.is_none() {
            request = request.header(name.clone(), value.clone());
        }
    }
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    if plan.protocols.is_empty() { request } else { request.protocols(&*plan.protocols) }
}

/// The URL without user and password, and the `Authorization` header made from them. That header replaces the
/// client's, but not one from the setting `headers`.
fn authorization<'a>(plan: &DialPlan, url: &'a str) -> (Cow<'a, str>, Option<HeaderValue>) {
    let (url, secret) = userinfo::split(url);
    let is_configured = plan.settings().headers.iter().any(|(name, _)| name == AUTHORIZATION.as_str());
    let secret = secret.filter(|_| !is_configured);
    let value = secret.and_then(|secret| userinfo::authorization(secret).ok().flatten());
    let mut value = value.and_then(|value| HeaderValue::try_from(value).ok());
    value.iter_mut().for_each(|value| value.set_sensitive(true));
    (url, value)
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
