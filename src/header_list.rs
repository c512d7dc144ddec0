//! HTTP header values that are lists, and headers that apply to one connection only.

use actix_http::header::{CONNECTION, HeaderMap, HeaderName};

/// Hop-by-hop headers, in lower case, which an intermediary never forwards (RFC 9110 section 7.6.1, RFC 6455
/// section 4.1). Names that begin with `sec-websocket-` are hop-by-hop as well.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The elements of a list header, over all header lines with that name. Empty elements are skipped (RFC 9110
/// section 5.6.1.2: `chat, ,x` has two).
pub fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    values.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether a list contains the token, ignoring case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether `Connection` names the header. Such a header is meant for this connection only, and a proxy must
/// remove it before it forwards the message (RFC 9110 section 7.6.1).
pub fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    has_token(headers, &CONNECTION, name.as_str())
}

/// Whether a header with this lower-case name is hop-by-hop.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || name.starts_with("sec-websocket-")
}

/// Whether the text is a token (RFC 9110 section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    let mark = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

/// The headers of these lines, for tests.
#[cfg(test)]
pub fn header_map(lines: &[(&'static str, &str)]) -> HeaderMap {
    use actix_http::header::HeaderValue;

    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[cfg(test)]
mod tests {
    use actix_http::header::UPGRADE;

    use super::{header_map as headers, *};

    #[test]
    fn empty_elements_are_skipped() {
        for (values, expected) in [
            (vec![""], vec![]),
            (vec![" , ,"], vec![]),
            (vec!["a"], vec!["a"]),
            (vec!["a, "], vec!["a"]),
            (vec![",a"], vec!["a"]),
            (vec!["a,,b"], vec!["a", "b"]),
            (vec!["a ,\tb", "", "c"], vec!["a", "b", "c"]),
        ] {
            let lines: Vec<_> = values.iter().map(|value| ("upgrade", *value)).collect();
            let headers = headers(&lines);
            let found: Vec<_> = elements(&headers, &UPGRADE).map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn connection_names_headers_in_any_case() {
        let headers = headers(&[("connection", "Upgrade, X-Token"), ("connection", ",close,")]);
        for (name, expected) in [("x-token", true), ("close", true), ("x-toke", false), ("cookie", false)] {
            assert_eq!(is_named_by_connection(&headers, &HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
