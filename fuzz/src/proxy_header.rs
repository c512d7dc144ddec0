//! Fuzzes the PROXY header (versions 1 and 2).
//!
//! An input is the first bytes of a connection.

use towline::client_address::{
    ProxyAddresses, Scan,
    proxy_header::{V1_MAX, V2_MAX, scan},
};

/// The result is the same in one piece and in many. A header is within the limits, does not depend on what follows it,
/// and names the client whose address its text has.
pub fn run(bytes: &[u8]) {
    let whole = scan(bytes);
    let first = (0..=bytes.len()).map(|end| scan(&bytes[..end])).find(|scan| *scan != Ok(Scan::Partial));
    assert_eq!(first.unwrap_or(Ok(Scan::Partial)), whole);
    let Ok(Scan::Header { length, addresses }) = whole else { return };
    let header = &bytes[..length];
    assert_eq!(scan(header), whole);
    assert_eq!(scan(&[header, b"GET / HTTP/1.1\r\n"].concat()), whole);
    let is_text = header.starts_with(b"PROXY ");
    assert!(length <= if is_text { V1_MAX } else { V2_MAX });
    if let (true, Some(ProxyAddresses { client, local })) = (is_text, addresses) {
        let words: Vec<_> = std::str::from_utf8(header).expect("text").split_whitespace().collect();
        let ip = |at: usize| words[at].parse::<std::net::IpAddr>().expect("an address").to_canonical();
        assert_eq!((client.ip(), local.ip()), (ip(2), ip(3)));
        assert_eq!((client.port().to_string(), local.port().to_string()), (words[4].into(), words[5].into()));
    }
}
