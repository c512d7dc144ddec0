//! The headers in which HTTP proxies name the client: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded` (RFC
//! 7239).
//!
//! ```text
//! client 192.0.2.7 ─► proxy 10.0.0.1 ─► proxy 10.0.0.2 ─► this proxy
//!                                                         X-Forwarded-For: 192.0.2.7, 10.0.0.1
//! ```
//! Each proxy adds the address that it got the request from. The client is the last address in the list that is not a
//! trusted proxy's, because everything before it was written by someone who is not trusted.

use std::net::{IpAddr, SocketAddr};

use actix_http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

use super::{Element, ForwardingHeaders, TrustedProxies, element::elements};
use crate::header_list;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const XHOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers in which balancers name the client by its address alone. Upstreams that read one of them believe it, so its
/// value is always the address of the client that the proxy has found.
const ADDRESSES: [&str; 12] = [
    "cf-connecting-ip",
    "do-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-nf-client-connection-ip",
    "x-real-ip",
];

/// Headers in which balancers say how the client has connected, and that this proxy does not make. They come from
/// trusted proxies only.
const OF_BALANCERS: [&str; 13] = [
    "cf-connecting-ipv6",
    "front-end-https",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "x-original-host",
    "x-url-scheme",
];

/// A trusted proxy has sent a `Forwarded` that cannot be read, so that the client is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed Forwarded header from a trusted proxy")]
pub struct MalformedForwarded;

/// The path of a request from its client through proxies to this proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The client. Its port is 0 if the proxies do not name it.
    pub client: SocketAddr,
    /// The address that the request came from: the client's or the last proxy's.
    peer: SocketAddr,
    /// Whether the request came in over TLS.
    is_secure: bool,
    /// The headers that the last proxy has written; `None` if it is not trusted.
    trusted: Option<ForwardingHeaders>,
    /// The element of `Forwarded` that names the client, if that header is trusted.
    element: Element,
}

/// Whether a header says who the client is or how it has connected, so that its value is that of [`Chain::header`].
pub fn is_forwarding(name: &HeaderName) -> bool {
    is_made(name) || ADDRESSES.contains(&name.as_str()) || OF_BALANCERS.contains(&name.as_str())
}

/// Whether a header is one of those that each proxy extends.
pub fn is_made(name: &HeaderName) -> bool {
    [FOR, PROTO, XHOST, FORWARDED].contains(name)
}

impl Chain {
    /// The way of a request that came from `peer`.
    ///
    /// ```
    /// # use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
    /// # use towline::client_address::{Chain, ForwardingHeaders, TrustedProxies};
    /// let networks = Box::new(["10.0.0.0/8".parse()?]);
    /// let proxies = TrustedProxies { networks, headers: ForwardingHeaders::XForwarded };
    /// let value = HeaderValue::from_static("203.0.113.9, 192.0.2.7, 10.0.0.1");
    /// let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), value)]);
    /// let chain = Chain::new("10.0.0.2:50000".parse()?, false, &headers, &proxies)?;
    /// assert_eq!(chain.client.to_string(), "192.0.2.7:0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a trusted proxy has sent a malformed `Forwarded`, and that is the header that it writes.
    pub fn new(
        peer: SocketAddr,
        is_secure: bool,
        headers: &HeaderMap,
        proxies: &TrustedProxies,
    ) -> Result<Self, MalformedForwarded> {
        let trusted = match proxies.headers {
            ForwardingHeaders::None => None,
            headers => proxies.contain(peer.ip()).then_some(headers),
        };
        let mut chain = Self { client: peer, peer, is_secure, trusted, element: Element::default() };
        match trusted {
            None | Some(ForwardingHeaders::None) => {}
            Some(ForwardingHeaders::XForwarded) => {
                let nodes: Vec<_> = header_list::elements(headers, &FOR).collect();
                for node in nodes.into_iter().rev() {
                    let Some(address) = str::from_utf8(node).ok().and_then(address) else { break };
                    chain.client = address;
                    if !proxies.contain(address.ip()) {
                        break;
                    }
                }
            }
            Some(ForwardingHeaders::Forwarded) => {
                let values: Vec<_> = headers.get_all(FORWARDED).map(HeaderValue::as_bytes).collect();
                for element in elements(&values.join(&b","[..]))?.into_iter().rev() {
                    let address = element.from.as_deref().and_then(address);
                    chain.element = element;
                    let Some(address) = address else { break };
                    chain.client = address;
                    if !proxies.contain(address.ip()) {
                        break;
                    }
                }
            }
        }
        Ok(chain)
    }

    /// The value of a forwarding header in the request to the upstream; `None` for any other header, and for one without
    /// a value. What a trusted proxy has written is extended; anything else is replaced.
    pub fn header(&self, name: &HeaderName, headers: &HeaderMap) -> Option<HeaderValue> {
        let extends = self.trusted == Some(ForwardingHeaders::XForwarded);
        match name.as_str() {
            "x-forwarded-for" if extends => appended(headers, &FOR, &text(self.peer.ip())),
            "x-forwarded-for" => HeaderValue::try_from(text(self.client.ip())).ok(),
            "x-forwarded-proto" => self.proto(headers),
            "x-forwarded-host" => self.host(headers),
            "forwarded" if self.trusted == Some(ForwardingHeaders::Forwarded) => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                appended(headers, &FORWARDED, &element(self.peer.ip(), self.scheme(), host))
            }
            "forwarded" => {
                let (proto, host) = (self.proto(headers)?, self.host(headers));
                let host = host.as_ref().and_then(|host| host.to_str().ok());
                let proto = proto.to_str().unwrap_or(self.scheme());
                HeaderValue::try_from(element(self.client.ip(), proto, host)).ok()
            }
            name if ADDRESSES.contains(&name) => HeaderValue::try_from(text(self.client.ip())).ok(),
            other if extends && OF_BALANCERS.contains(&other) => joined(headers, name, None),
            _ => None,
        }
    }

    fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    fn proto(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.known(headers, &PROTO, self.element.proto.as_deref())
            .or_else(|| Some(HeaderValue::from_static(self.scheme())))
    }

    fn host(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.known(headers, &XHOST, self.element.host.as_deref()).or_else(|| headers.get(HOST).cloned())
    }

    /// What the trusted proxies say: a header, or a part of the element that names the client.
    fn known(&self, headers: &HeaderMap, name: &HeaderName, part: Option<&str>) -> Option<HeaderValue> {
        match self.trusted? {
            ForwardingHeaders::XForwarded => joined(headers, name, None),
            ForwardingHeaders::Forwarded => HeaderValue::try_from(part?).ok(),
            ForwardingHeaders::None => None,
        }
    }
}

/// The values of a header as one list, with `last` at its end.
fn appended(headers: &HeaderMap, name: &HeaderName, last: &str) -> Option<HeaderValue> {
    joined(headers, name, Some(last))
}

/// The values of a header as one list; `None` if there is no value. As bytes: a value that is not valid text may have
/// parts that earlier proxies added.
fn joined(headers: &HeaderMap, name: &HeaderName, last: Option<&str>) -> Option<HeaderValue> {
    let values = headers.get_all(name).map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let list: Vec<&[u8]> = values.chain(last.map(str::as_bytes)).collect();
    if list.is_empty() { None } else { HeaderValue::from_bytes(&list.join(&b", "[..])).ok() }
}

fn element(from: IpAddr, proto: &str, host: Option<&str>) -> String {
    let from = match from {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let host = host.filter(|host| !host.is_empty()).map(str::to_owned);
    Element { from: Some(from), proto: Some(proto.to_owned()), host }.text()
}

/// The text of an address. Each request needs one, and the formatter of the standard library takes ten times as long for
/// IPv4.
fn text(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else { return ip.to_string() };
    let mut text = String::with_capacity("255.255.255.255.".len());
    for octet in ip.octets() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let zeros = if octet < 10 { 2 } else { usize::from(octet < 100) };
        text.extend(digits[zeros..].iter().map(|digit| char::from(b'0' + digit)));
        text.push('.');
    }
    text.pop();
    text
}

/// The address in an entry: `192.0.2.7`, `192.0.2.7:50000`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:50000`. The
/// port is 0 if there is none.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let address = ip.map(|ip| SocketAddr::new(ip, 0)).or_else(|| text.parse().ok())?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies(headers: ForwardingHeaders) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:a::/48"].map(|text| text.parse().unwrap());
        TrustedProxies { networks: Box::new(networks), headers }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn chain(peer: &str, by: ForwardingHeaders, headers: &HeaderMap) -> Result<Chain, MalformedForwarded> {
        Chain::new(SocketAddr::new(peer.parse().unwrap(), 9), false, headers, &proxies(by))
    }

    fn sent(chain: &Chain, headers: &HeaderMap) -> [Option<String>; 4] {
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"].map(|name| {
            let value = chain.header(&HeaderName::from_static(name), headers)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
    }

    fn some(values: [&str; 4]) -> [Option<String>; 4] {
        values.map(|value| Some(value.to_owned()))
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        for (peer, list, client) in [
            ("10.0.0.2", &["203.0.113.9, 192.0.2.7, 10.0.0.1"][..], "192.0.2.7:0"),
            ("10.0.0.2", &["203.0.113.9", "192.0.2.7", "10.0.0.1"], "192.0.2.7:0"),
            ("192.0.2.7", &["203.0.113.9"], "192.0.2.7:9"),
            ("10.0.0.2", &[], "10.0.0.2:9"),
            ("10.0.0.2", &[""], "10.0.0.2:9"),
            ("10.0.0.2", &["10.0.0.9, 10.0.0.1"], "10.0.0.9:0"),
            ("10.0.0.2", &["203.0.113.9, unknown, 10.0.0.1"], "10.0.0.1:0"),
            ("10.0.0.2", &["203.0.113.9, 10.0.0.1:77, "], "203.0.113.9:0"),
            ("10.0.0.2", &["192.0.2.7:50000"], "192.0.2.7:50000"),
            ("10.0.0.2", &["[2001:db8::7]:50000"], "[2001:db8::7]:50000"),
            ("2001:db8:a::1", &["2001:db8::7, [2001:db8:a::2]"], "[2001:db8::7]:0"),
            ("10.0.0.2", &["192.0.2.7, ::ffff:10.0.0.1"], "192.0.2.7:0"),
            ("::ffff:10.0.0.2", &["192.0.2.7"], "192.0.2.7:0"),
        ] {
            let lines: Vec<_> = list.iter().map(|value| ("x-forwarded-for", *value)).collect();
            let chain = chain(peer, ForwardingHeaders::XForwarded, &headers(&lines)).unwrap();
            assert_eq!(chain.client.to_string(), client, "{peer} {list:?}");
        }
    }

    #[test]
    fn forwarded_names_the_client_in_the_same_way() {
        for (value, client) in [
            ("for=203.0.113.9, for=192.0.2.7;proto=https, for=10.0.0.1", "192.0.2.7:0"),
            ("for=203.0.113.9, for=_hidden, for=10.0.0.1", "10.0.0.1:0"),
            ("for=203.0.113.9, proto=https", "10.0.0.2:9"),
            ("for=\"[2001:db8::7]:50000\"", "[2001:db8::7]:50000"),
        ] {
            let headers = headers(&[("forwarded", value), ("x-forwarded-for", "198.51.100.1")]);
            let chain = chain("10.0.0.2", ForwardingHeaders::Forwarded, &headers).unwrap();
            assert_eq!(chain.client.to_string(), client, "{value}");
        }
    }

    /// A proxy that writes the one header passes on the other from the client.
    #[test]
    fn a_header_that_the_proxies_do_not_write_is_not_read() {
        let both = headers(&[("forwarded", "for=\"oops"), ("x-forwarded-for", "192.0.2.7")]);
        let chain_by = |by| chain("10.0.0.2", by, &both).map(|chain| chain.client.ip().to_string());
        assert_eq!(chain_by(ForwardingHeaders::XForwarded).as_deref(), Ok("192.0.2.7"));
        assert_eq!(chain_by(ForwardingHeaders::Forwarded), Err(MalformedForwarded));
        let untrusted = chain("192.0.2.7", ForwardingHeaders::Forwarded, &both).unwrap();
        assert_eq!(untrusted.client.ip().to_string(), "192.0.2.7", "and it does not matter from others");
    }

    #[test]
    fn an_address_that_the_client_writes_is_replaced_by_its_own() {
        let names = ADDRESSES.map(|name| (name, "203.0.113.9"));
        let mut headers = headers(&names);
        headers.append(FOR, HeaderValue::from_static("203.0.113.9, 192.0.2.7"));
        for (peer, by, client) in [
            ("2001:db8::7", ForwardingHeaders::XForwarded, "2001:db8::7"),
            ("10.0.0.2", ForwardingHeaders::XForwarded, "192.0.2.7"),
            ("10.0.0.2", ForwardingHeaders::None, "10.0.0.2"),
        ] {
            let chain = chain(peer, by, &headers).unwrap();
            for name in ADDRESSES.map(HeaderName::from_static) {
                assert!(is_forwarding(&name));
                let value = chain.header(&name, &headers).unwrap();
                assert_eq!(value.to_str().unwrap(), client, "{name} from {peer}");
            }
        }
    }

    #[test]
    fn what_balancers_write_of_the_connection_comes_from_trusted_ones_only() {
        let headers = headers(&OF_BALANCERS.map(|name| (name, "x")));
        for (peer, by, value) in [
            ("192.0.2.7", ForwardingHeaders::XForwarded, None),
            ("10.0.0.2", ForwardingHeaders::Forwarded, None),
            ("10.0.0.2", ForwardingHeaders::None, None),
            ("10.0.0.2", ForwardingHeaders::XForwarded, Some(HeaderValue::from_static("x"))),
        ] {
            let chain = chain(peer, by, &headers).unwrap();
            for name in OF_BALANCERS.map(HeaderName::from_static) {
                assert!(is_forwarding(&name));
                assert_eq!(chain.header(&name, &headers), value, "{name} from {peer}");
            }
        }
    }

    const FORGED: [(&str, &str); 5] = [
        ("host", "chat.test:81"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.test"),
        ("forwarded", "for=203.0.113.8;proto=https;host=\"www.test:1\""),
    ];

    #[test]
    fn what_others_write_is_replaced() {
        let headers = headers(&FORGED);
        let chain = chain("2001:db8::7", ForwardingHeaders::XForwarded, &headers).unwrap();
        let forwarded = "for=\"[2001:db8::7]\";host=\"chat.test:81\";proto=http";
        assert_eq!(sent(&chain, &headers), some(["2001:db8::7", "http", "chat.test:81", forwarded]));
        assert_eq!(chain.header(&HOST, &headers), None);
    }

    /// A balancer of TCP connections passes on what the client writes.
    #[test]
    fn what_comes_through_proxies_without_headers_is_replaced() {
        let headers = headers(&FORGED);
        let chain = chain("10.0.0.2", ForwardingHeaders::None, &headers).unwrap();
        assert_eq!(chain.client.to_string(), "10.0.0.2:9");
        let forwarded = "for=10.0.0.2;host=\"chat.test:81\";proto=http";
        assert_eq!(sent(&chain, &headers), some(["10.0.0.2", "http", "chat.test:81", forwarded]));
    }

    #[test]
    fn what_trusted_proxies_write_is_extended() {
        let headers = headers(&FORGED);
        let by_x = chain("10.0.0.2", ForwardingHeaders::XForwarded, &headers).unwrap();
        let forwarded = "for=203.0.113.9;host=www.test;proto=https";
        assert_eq!(sent(&by_x, &headers), some(["203.0.113.9, 10.0.0.2", "https", "www.test", forwarded]));
        let by_forwarded = chain("10.0.0.2", ForwardingHeaders::Forwarded, &headers).unwrap();
        let forwarded =
            "for=203.0.113.8;proto=https;host=\"www.test:1\", for=10.0.0.2;host=\"chat.test:81\";proto=http";
        assert_eq!(sent(&by_forwarded, &headers), some(["203.0.113.8", "https", "www.test:1", forwarded]));
    }

    #[test]
    fn without_headers_they_are_made() {
        let headers = headers(&[("host", "")]);
        let chain = chain("10.0.0.2", ForwardingHeaders::XForwarded, &headers).unwrap();
        assert_eq!(sent(&chain, &headers), some(["10.0.0.2", "http", "", "for=10.0.0.2;proto=http"]));
        let proxies = TrustedProxies { networks: Box::default(), headers: ForwardingHeaders::XForwarded };
        let secure = Chain::new(([192, 0, 2, 7], 9).into(), true, &headers, &proxies).unwrap();
        assert_eq!(sent(&secure, &headers)[1].as_deref(), Some("https"));
    }

    /// A client cannot conceal its address with bytes that are not text.
    #[test]
    fn bytes_that_are_not_text_stay_before_the_addresses_that_proxies_add() {
        let mut headers = HeaderMap::new();
        for value in [&b"\xff, 192.0.2.7"[..], b"192.0.2.8"] {
            headers.append(FOR, HeaderValue::from_bytes(value).unwrap());
        }
        let chain = chain("10.0.0.2", ForwardingHeaders::XForwarded, &headers).unwrap();
        let value = chain.header(&FOR, &headers).unwrap();
        assert_eq!(value.as_bytes(), b"\xff, 192.0.2.7, 192.0.2.8, 10.0.0.2");
    }

    proptest! {
        /// Whatever a client writes, a trusted proxy that appends the client's address is believed, or the request is
        /// refused.
        #[test]
        fn a_client_cannot_be_someone_else(
            written in "[ -~]{0,40}",
            by in prop_oneof![Just(ForwardingHeaders::XForwarded), Just(ForwardingHeaders::Forwarded)],
        ) {
            let (name, added) = match by {
                ForwardingHeaders::None => return Ok(()),
                ForwardingHeaders::XForwarded => ("x-forwarded-for", "192.0.2.7"),
                ForwardingHeaders::Forwarded => ("forwarded", "for=192.0.2.7;proto=http"),
            };
            let Ok(_) = HeaderValue::from_str(&written) else { return Ok(()) };
            let separate = headers(&[(name, &written), (name, added)]);
            let together = headers(&[(name, &format!("{written}, {added}"))]);
            for headers in [separate, together] {
                if let Ok(chain) = chain("10.0.0.2", by, &headers) {
                    prop_assert_eq!(chain.client.to_string(), "192.0.2.7:0");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn an_address_has_the_text_of_the_standard_library(ip in any::<IpAddr>()) {
            prop_assert_eq!(text(ip), ip.to_string());
        }
    }
}
