//! The keys of a listener about the proxies in front of it.

use super::networks;
use crate::{
    client_address::{ForwardingHeaders, ProxyProtocol, TrustedProxies},
    settings::read::Section,
};

/// Reads the proxies, and the headers that they write.
pub(super) fn trusted_proxies(section: &Section<'_>) -> TrustedProxies {
    let networks = section.read("trusted_proxies", networks::parse).unwrap_or_default();
    let by_forwarded = section.chooses("trusted_headers", "forwarded");
    if networks.is_empty()
        && section.said("trusted_headers").is_some()
        && !section.is_wrong("trusted_proxies")
    {
        section.conflict("trusted_headers", &["trusted_proxies"], "has no effect without trusted_proxies");
    }
    let headers = if by_forwarded { ForwardingHeaders::Forwarded } else { ForwardingHeaders::XForwarded };
    TrustedProxies { networks, headers }
}

/// Reads whether connections begin with a PROXY header.
pub(super) fn proxy_protocol(section: &Section<'_>, proxies: &TrustedProxies) -> ProxyProtocol {
    let protocol = match section.choice("proxy_protocol").as_deref() {
        Some("required") => ProxyProtocol::Required,
        Some("optional") => ProxyProtocol::Optional,
        _ => ProxyProtocol::Off,
    };
    if protocol != ProxyProtocol::Off && proxies.networks.is_empty() && !section.is_wrong("trusted_proxies") {
        let text = "needs trusted_proxies: the networks of the balancers that send the header";
        section.conflict("proxy_protocol", &["trusted_proxies"], text);
    }
    protocol
}
