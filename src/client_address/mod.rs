//! The address of a client behind balancers and other proxies.
//!
//! ```text
//! socket ─► PROXY header (proxy_header) ─► X-Forwarded-For or Forwarded (forwarded) ─► the client
//! ```
//! Each step is taken only if the peer of the step before is one of the trusted proxies, because everyone can write
//! any address into a header.
//!
//! * [`proxy_header`]: the header before the first byte of a connection.
//! * [`forwarded`]: the headers of a request, and those of the request to the upstream.
//! * `element`: the elements of `Forwarded`.

mod element;
pub mod forwarded;
pub mod proxy_header;

use std::net::IpAddr;

use ipnet::IpNet;

pub use self::{
    element::Element,
    forwarded::{Chain, MalformedForwarded, is_forwarding, is_made},
    proxy_header::{BadProxyHeader, ProxyAddresses, Scan, scan},
};

/// Whether connections of a listener begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They do not.
    Off,
    /// Those of trusted proxies may.
    Optional,
    /// All do, and come from trusted proxies.
    Required,
}

/// The headers in which trusted proxies name the client. The others are not read, because a proxy that does not
/// write them passes on those of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardingHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// None. The proxies pass on what the client writes, and name the client in a PROXY header at most.
    None,
}

/// The proxies in front of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    /// The networks of the proxies.
    pub networks: Box<[IpNet]>,
    /// The headers that the proxies write.
    pub headers: ForwardingHeaders,
}

impl TrustedProxies {
    /// Whether the address is that of a trusted proxy. IPv4 addresses that are mapped to IPv6 are those of IPv4.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&ip))
    }
}
