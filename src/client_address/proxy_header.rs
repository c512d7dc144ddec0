//! The PROXY protocol, versions 1 and 2
//! ([specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt)): a header before the first byte of
//! a connection, in which a balancer names the client.
//!
//! ```text
//! PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n
//! ```
//! The extra values of version 2 (TLVs) are skipped.

use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

/// Maximum length of a header of version 1, in bytes (section 2.1 of the specification).
pub const V1_MAX: usize = 107;

/// Maximum length of a header of version 2, in bytes: the smallest segment that each TCP connection transports
/// (section 2), which is 320 bytes more than the longest addresses take.
pub const V2_MAX: usize = 536;

/// The beginning of a header of version 1.
const V1_START: &[u8] = b"PROXY ";

/// The beginning of a header of version 2.
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of version, command, family and length in version 2, with [`V2_START`].
const V2_FIXED: usize = 16;

/// The addresses of the connection between the client and the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyAddresses {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
}

/// The result of a scan of the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The beginning of a header.
    Partial,
    /// A whole header.
    Header {
        /// The length of the header, in bytes.
        length: usize,
        /// The addresses; `None` if the balancer speaks for itself, as in its health checks (`LOCAL`), or does not
        /// know them (`UNKNOWN`, unix sockets).
        addresses: Option<ProxyAddresses>,
    },
    /// The bytes do not begin a header.
    Absent,
}

/// A header that breaks the specification or is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProxyHeader {
    /// The header is longer than [`V1_MAX`] or [`V2_MAX`].
    #[error("PROXY header too long")]
    TooLong,
    /// The header has another form.
    #[error("malformed PROXY header")]
    Malformed,
}

/// Reads the header at the beginning of `bytes`. What follows it is not looked at.
///
/// ```
/// # use towline::client_address::{Scan, scan};
/// let Ok(Scan::Header { length, addresses: Some(addresses) }) = scan(b"PROXY TCP4 192.0.2.7 10.0.0.1 5 6\r\nGET") else {
///     panic!("a header");
/// };
/// assert_eq!((length, addresses.client.to_string().as_str()), (35, "192.0.2.7:5"));
/// ```
///
/// # Errors
/// When the bytes begin a header that no more bytes can complete.
pub fn scan(bytes: &[u8]) -> Result<Scan, BadProxyHeader> {
    if begins(bytes, V2_START) {
        return binary(bytes);
    }
    if begins(bytes, V1_START) {
        return text(bytes);
    }
    Ok(Scan::Absent)
}

/// Whether `bytes` begins with `start`, as far as there are bytes.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn text(bytes: &[u8]) -> Result<Scan, BadProxyHeader> {
    let looked_at = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = looked_at.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < V1_MAX { Ok(Scan::Partial) } else { Err(BadProxyHeader::TooLong) };
    };
    let length = end + 1;
    let header = v1::Header::try_from(&bytes[..length]).map_err(|_| BadProxyHeader::Malformed)?;
    let addresses = match header.addresses {
        // The crate and this function must agree on the end of the line, or the rest would be read differently.
        _ if header.header.len() != length => return Err(BadProxyHeader::Malformed),
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(pair) => Some(ProxyAddresses::new(
            (pair.source_address.into(), pair.source_port),
            (pair.destination_address.into(), pair.destination_port),
        )),
        v1::Addresses::Tcp6(pair) => Some(ProxyAddresses::new(
            (pair.source_address.into(), pair.source_port),
            (pair.destination_address.into(), pair.destination_port),
        )),
    };
    Ok(Scan::Header { length, addresses })
}

fn binary(bytes: &[u8]) -> Result<Scan, BadProxyHeader> {
    let Some([.., high, low]) = bytes.first_chunk::<V2_FIXED>() else { return Ok(Scan::Partial) };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if length > V2_MAX {
        return Err(BadProxyHeader::TooLong);
    }
    let Some(whole) = bytes.get(..length) else { return Ok(Scan::Partial) };
    let header = v2::Header::try_from(whole).map_err(|_| BadProxyHeader::Malformed)?;
    let addresses = match (header.command, header.addresses) {
        (v2::Command::Local, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => Some(ProxyAddresses::new(
            (pair.source_address.into(), pair.source_port),
            (pair.destination_address.into(), pair.destination_port),
        )),
        (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => Some(ProxyAddresses::new(
            (pair.source_address.into(), pair.source_port),
            (pair.destination_address.into(), pair.destination_port),
        )),
    };
    Ok(Scan::Header { length, addresses })
}

// === impl ProxyAddresses ===

impl ProxyAddresses {
    fn new(client: (IpAddr, u16), local: (IpAddr, u16)) -> Self {
        let canonical = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
        Self { client: canonical(client), local: canonical(local) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2 with this command, family and content.
    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [V2_START, &[0x20 | command, family], &length, content].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x01, 0xbb];

    fn client(bytes: &[u8]) -> Result<Option<String>, BadProxyHeader> {
        match scan(bytes)? {
            Scan::Header { length, addresses } => {
                assert_eq!(length, bytes.len());
                Ok(addresses.map(|addresses| format!("{} {}", addresses.client, addresses.local)))
            }
            other => panic!("{other:?}: {bytes:?}"),
        }
    }

    #[test]
    fn both_versions_name_the_client() {
        let ipv6: Vec<u8> = [[0x20; 16], [0x30; 16]].concat().into_iter().chain([0, 5, 0, 6]).collect();
        let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 7], &[0x30; 16], &[0, 5, 0, 6]].concat();
        let ipv6_text =
            "[2020:2020:2020:2020:2020:2020:2020:2020]:5 [3030:3030:3030:3030:3030:3030:3030:3030]:6";
        let with_extra = [&IPV4[..], &[0x03, 0, 4, 1, 2, 3, 4], &[0x04, 0, 0]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n".to_vec(), "192.0.2.7:50000 198.51.100.1:443"),
            (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(), "[2001:db8::7]:1 [::1]:65535"),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(), "192.0.2.7:1 [::1]:2"),
            (v2(1, 0x11, &IPV4), "192.0.2.7:50000 198.51.100.1:443"),
            (v2(1, 0x12, &IPV4), "192.0.2.7:50000 198.51.100.1:443"),
            (v2(1, 0x11, &with_extra), "192.0.2.7:50000 198.51.100.1:443"),
            (v2(1, 0x21, &ipv6), ipv6_text),
            (v2(1, 0x21, &mapped), "192.0.2.7:5 [3030:3030:3030:3030:3030:3030:3030:3030]:6"),
        ] {
            assert_eq!(client(&header), Ok(Some(expected.to_owned())), "{header:?}");
        }
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_no_client() {
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            v2(0, 0, &[]),
            v2(0, 0x11, &IPV4),
            v2(1, 0, &[]),
            v2(1, 0, &[1; 500]),
            v2(1, 0x31, &[b'a'; 216]),
        ] {
            assert_eq!(client(&header), Ok(None), "{header:?}");
        }
    }

    #[test]
    fn other_headers_are_refused() {
        let long = format!("PROXY UNKNOWN {}", "f".repeat(V1_MAX));
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 65536\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 050 443\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443 1\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 192.0.2.256 198.51.100.1 50000 443\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY / HTTP/1.1\r\n".to_vec(), BadProxyHeader::Malformed),
            (b"PROXY \xff\r\n".to_vec(), BadProxyHeader::Malformed),
            (long.into_bytes(), BadProxyHeader::TooLong),
            (v2(1, 0x11, &IPV4[..11]), BadProxyHeader::Malformed),
            (v2(2, 0x11, &IPV4), BadProxyHeader::Malformed),
            (v2(0x11, 0x11, &IPV4), BadProxyHeader::Malformed),
            (v2(1, 0x41, &IPV4), BadProxyHeader::Malformed),
            (v2(1, 0x13, &IPV4), BadProxyHeader::Malformed),
            (v2(1, 0, &[0; V2_MAX - V2_FIXED + 1]), BadProxyHeader::TooLong),
        ] {
            assert_eq!(client(&header), Err(expected), "{}", String::from_utf8_lossy(&header));
        }
    }

    /// The length is refused before more than the fixed part is read.
    #[test]
    fn a_length_beyond_the_limit_is_refused_at_once() {
        let header = [V2_START, &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(scan(&header), Err(BadProxyHeader::TooLong));
        assert_eq!(scan(&header[..15]), Ok(Scan::Partial));
    }

    #[test]
    fn the_first_bytes_of_other_protocols_are_no_header() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"\r\nGET", b"POST", b"\x16\x03\x01", b"PROXX", b"proxy TCP4"] {
            assert_eq!(scan(bytes), Ok(Scan::Absent), "{bytes:?}");
        }
        for bytes in [&b""[..], b"P", b"PROXY ", b"\r", b"\r\n\r\n\0\r\nQUIT\n!"] {
            assert_eq!(scan(bytes), Ok(Scan::Partial), "{bytes:?}");
        }
    }

    fn beginning() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n".to_vec()),
            Just(b"PROXY UNKNOWN".to_vec()),
            Just(v2(1, 0x11, &IPV4)),
            Just(v2(0, 0, &[0; 7])),
            Just(V2_START.to_vec()),
            Just(b"\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        /// The result for any bytes is the same in one piece and in many, and what follows a header changes nothing.
        #[test]
        fn a_header_is_the_same_in_any_pieces(parts in proptest::collection::vec(beginning(), 0..4)) {
            let bytes = parts.concat();
            let whole = scan(&bytes);
            let first = (0..=bytes.len()).map(|end| scan(&bytes[..end])).find(|scan| *scan != Ok(Scan::Partial));
            prop_assert_eq!(first.unwrap_or(Ok(Scan::Partial)), whole);
            if let Ok(Scan::Header { length, .. }) = whole {
                prop_assert!(length <= V2_MAX);
                prop_assert_eq!(scan(&bytes[..length]), whole);
            }
        }
    }
}
