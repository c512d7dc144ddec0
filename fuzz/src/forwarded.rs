//! Fuzzes `X-Forwarded-For` and `Forwarded`.
//!
//! An input is the header lines that a client writes, one on each line. A trusted proxy adds the client's address.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use towline::client_address::{Chain, ForwardingHeaders, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Whatever a client writes, it is the client, unless its request is refused. What the upstream gets ends with what the
/// proxies know.
pub fn run(bytes: &[u8]) {
    check(bytes, &X_FORWARDED_FOR, "192.0.2.7", ForwardingHeaders::XForwarded);
    check(bytes, &FORWARDED, "for=192.0.2.7;proto=https", ForwardingHeaders::Forwarded);
}

fn check(bytes: &[u8], name: &HeaderName, added: &'static str, by: ForwardingHeaders) {
    let networks = ["10.0.0.0/8".parse().expect("a network")];
    let proxies = TrustedProxies { networks: Box::new(networks), headers: by };
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(name.clone(), value);
    }
    let direct = Chain::new(([192, 0, 2, 7], 5).into(), false, &headers, &proxies).expect("is not read");
    assert_eq!(direct.client, ([192, 0, 2, 7], 5).into());
    expect_end(&direct, &headers, name, "192.0.2.7", "for=192.0.2.7;proto=http");
    headers.append(name.clone(), HeaderValue::from_static(added));
    let Ok(chain) = Chain::new(([10, 0, 0, 1], 5).into(), false, &headers, &proxies) else {
        assert_eq!(by, ForwardingHeaders::Forwarded);
        return;
    };
    assert_eq!(chain.client, ([192, 0, 2, 7], 0).into());
    expect_end(&chain, &headers, name, "10.0.0.1", "for=10.0.0.1;proto=http");
}

fn expect_end(chain: &Chain, headers: &HeaderMap, name: &HeaderName, ip: &str, element: &str) {
    let value = chain.header(name, headers).expect("a value");
    let end = if *name == FORWARDED { element } else { ip };
    assert!(value.as_bytes().ends_with(end.as_bytes()), "{value:?}");
}
