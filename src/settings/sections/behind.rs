//! The keys of a listener about the proxies in front of it.

use super::networks;
use crate::{
    client_address::{ForwardingHeaders, ProxyProtocol, TrustedProxies},
    settings::read::Section,
};

/// Reads whether connections begin with a PROXY header, the proxies, and the headers that they write.
///
/// Without a choice of headers, proxies that must send a PROXY header write none: most of them pass on what the client
/// writes.
pub(super) fn proxies(section: &Section<'_>) -> (ProxyProtocol, TrustedProxies) {
    let networks = section.read("trusted_proxies", networks::parse).unwrap_or_default();
    let is_open = networks.is_empty() && !section.is_wrong("trusted_proxies");
    let protocol = match section.choice("proxy_protocol").as_deref() {
        Some("required") => ProxyProtocol::Required,
        Some("optional") => ProxyProtocol::Optional,
        _ => ProxyProtocol::Off,
    };
    let headers = match section.choice("trusted_headers").as_deref() {
        Some("forwarded") => ForwardingHeaders::Forwarded,
        Some("none") => ForwardingHeaders::None,
        None if protocol == ProxyProtocol::Required => ForwardingHeaders::None,
        _ => ForwardingHeaders::XForwarded,
    };
    if is_open && section.said("trusted_headers").is_some() {
        section.conflict("trusted_headers", &["trusted_proxies"], "has no effect without trusted_proxies");
    }
    if is_open && protocol != ProxyProtocol::Off {
        let text = "needs trusted_proxies: the networks of the balancers that send the header";
        section.conflict("proxy_protocol", &["trusted_proxies"], text);
    }
    (protocol, TrustedProxies { networks, headers })
}
