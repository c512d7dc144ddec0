//! The heads of a forwarded request and of its response, as they are sent on.

use std::{borrow::Cow, time::SystemTime};

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    authority::{self, Split},
    header_list::{is_hop_by_hop, is_named_by_connection},
    http1::{BodyLength, ResponseHead, push_line as line},
    settings::Upstream,
    upstream::HttpTarget,
};

/// How this proxy names itself to the upstream (RFC 9110 section 7.6.3).
const VIA: &str = "1.1 towline";

/// Headers that describe the request and its body, and that reach the upstream in addition to `forward_headers`.
/// Headers that say who the client is are not among them.
const OF_REQUEST: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "pragma",
    "prefer",
    "range",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "upgrade-insecure-requests",
    // Proofs that a page of the same site sent the request. They are no credentials.
    "x-csrf-token",
    "x-csrftoken",
    "x-requested-with",
    "x-xsrf-token",
    "x-xsrftoken",
];

/// A forwarded request without its body.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    /// The client's headers.
    pub(super) received: &'a HeaderMap,
    /// The headers that the settings forward and add.
    pub(super) headers: &'a [(HeaderName, HeaderValue)],
    pub(super) body: BodyLength,
    /// Whether the client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
}

impl RequestHead<'_> {
    /// The head as bytes for the upstream.
    ///
    /// ```text
    /// POST /socket.io/?EIO=4&transport=polling HTTP/1.1
    /// Host: 127.0.0.1:3000
    /// Connection: close
    /// Via: 1.1 towline
    /// X-Forwarded-For: 192.0.2.7
    /// Content-Type: text/plain;charset=UTF-8
    /// Content-Length: 2
    /// ```
    pub(super) fn bytes(&self, target: &HttpTarget) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, target.path).into_bytes();
        let is_set = |name: &HeaderName| self.headers.iter().any(|(known, _)| known == name);
        if !is_set(&header::HOST) {
            line(&mut head, "host", target.host.as_bytes());
        }
        line(&mut head, "connection", b"close");
        let vias = self.received.get_all(header::VIA).map(HeaderValue::as_bytes).chain([VIA.as_bytes()]);
        line(&mut head, "via", &vias.collect::<Vec<_>>().join(&b", "[..]));
        for (name, value) in self.headers {
            if *name != header::AUTHORIZATION || target.authorization.is_none() {
                line(&mut head, name.as_str(), value.as_bytes());
            }
        }
        if let Some((name, value)) = &target.authorization {
            line(&mut head, name.as_str(), value.as_bytes());
        }
        for name in OF_REQUEST.iter().map(|name| HeaderName::from_static(name)) {
            if !is_set(&name) && !is_named_by_connection(self.received, &name) {
                let values = self.received.get_all(&name);
                values.for_each(|value| line(&mut head, name.as_str(), value.as_bytes()));
            }
        }
        framing(&mut head, self.body);
        if self.expects_continue {
            line(&mut head, "expect", b"100-continue");
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// What the settings change in responses.
pub(super) struct ResponsePolicy<'a> {
    pub(super) upstream: &'a Upstream,
    /// Host and port of the upstream's URL.
    pub(super) host: &'a str,
    /// Headers that the settings add.
    pub(super) added: &'a [(HeaderName, HeaderValue)],
}

impl ResponsePolicy<'_> {
    /// The head of a response as bytes for the client. It announces that the connection ends.
    pub(super) fn bytes(&self, response: &ResponseHead, body: BodyLength) -> Vec<u8> {
        let ResponseHead { status, headers, .. } = response;
        let mut head = status_line(*status);
        if !status.is_informational() {
            line(&mut head, "connection", b"close");
            if !headers.contains_key(header::DATE) {
                line(&mut head, "date", httpdate::fmt_http_date(SystemTime::now()).as_bytes());
            }
        }
        for (name, value) in headers {
            if self.is_passed(headers, name) {
                line(&mut head, name.as_str(), &self.rewritten(name, value));
            }
        }
        if !status.is_informational() {
            for (name, value) in self.added {
                line(&mut head, name.as_str(), value.as_bytes());
            }
        }
        match (body, headers.get(header::CONTENT_LENGTH)) {
            // A response to HEAD, or a 304, has the length that the body would have (RFC 9110 section 8.6).
            (BodyLength::None, Some(length))
                if !status.is_informational() && *status != StatusCode::NO_CONTENT =>
            {
                line(&mut head, "content-length", length.as_bytes());
            }
            _ => framing(&mut head, body),
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Whether the client gets the header.
    fn is_passed(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        let is_removed = self.upstream.remove_response_headers.iter().any(|known| *name == known.as_str());
        let is_added = self.added.iter().any(|(known, _)| known == name);
        !is_hop_by_hop(name.as_str())
            && *name != header::PROXY_AUTHENTICATE
            && !is_named_by_connection(headers, name)
            && !is_added
            && !is_removed
            && (*name != header::SET_COOKIE || self.upstream.forward_response_headers.contains(name))
    }

    /// A value for the client. A URL at the upstream's own host leads nowhere for it, so that it becomes a path.
    fn rewritten<'a>(&self, name: &HeaderName, value: &'a HeaderValue) -> Cow<'a, [u8]> {
        let is_url = *name == header::LOCATION || *name == header::CONTENT_LOCATION;
        let text = value.to_str().ok().filter(|_| is_url).unwrap_or_default();
        let Split { scheme, host, tail, .. } = authority::split(text);
        if scheme.is_empty() || !host.eq_ignore_ascii_case(self.host) {
            return value.as_bytes().into();
        }
        match tail {
            _ if begins_host(tail) => format!("/.{tail}").into_bytes().into(),
            _ if tail.starts_with('/') => tail.as_bytes().into(),
            _ => format!("/{tail}").into_bytes().into(),
        }
    }
}

/// Whether a browser reads a host at the beginning of the path: after two slashes. It takes a backslash for a slash, and
/// skips tabs and line ends (WHATWG URL, "basic URL parser").
fn begins_host(path: &str) -> bool {
    let second = path.strip_prefix('/').and_then(|rest| rest.bytes().next());
    second.is_some_and(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control())
}

fn status_line(status: StatusCode) -> Vec<u8> {
    format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default()).into_bytes()
}

fn framing(head: &mut Vec<u8>, body: BodyLength) {
    match body {
        BodyLength::None => {}
        BodyLength::Sized(length) => line(head, "content-length", length.to_string().as_bytes()),
        // The end of a body that ends with the connection is certain for the client this way.
        BodyLength::Chunked | BodyLength::UntilEnd => line(head, "transfer-encoding", b"chunked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{header_list::header_map, settings::fixture};

    fn pairs(lines: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(pair).collect()
    }

    fn asked(
        received: &[(&'static str, &str)],
        headers: &[(&'static str, &'static str)],
        body: BodyLength,
    ) -> String {
        let target = HttpTarget { path: "/a?b".to_owned(), host: "h:1".to_owned(), authorization: None };
        let (received, headers) = (header_map(received), pairs(headers));
        let head = RequestHead {
            method: &Method::POST,
            received: &received,
            headers: &headers,
            body,
            expects_continue: false,
        };
        String::from_utf8(head.bytes(&target)).unwrap()
    }

    #[test]
    fn a_request_has_one_framing_and_no_header_of_the_clients_connection() {
        let received = [
            ("host", "client.test"),
            ("connection", "keep-alive, Accept, x-hop"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
            ("accept", "text/html"),
            ("content-type", "text/plain"),
            ("x-user", "root"),
            ("authorization", "Bearer t"),
            ("via", "1.0 first"),
        ];
        let head = asked(&received, &[("x-forwarded-for", "192.0.2.7")], BodyLength::Sized(7));
        assert_eq!(
            head,
            "POST /a?b HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\nVia: 1.0 first, 1.1 towline\r\n\
             X-Forwarded-For: 192.0.2.7\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\n"
        );
        let head =
            asked(&[("content-type", "a")], &[("host", "b"), ("content-type", "c")], BodyLength::Chunked);
        assert_eq!(
            head,
            "POST /a?b HTTP/1.1\r\nConnection: close\r\nVia: 1.1 towline\r\nHost: b\r\nContent-Type: c\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
    }

    fn answered(status: u16, received: &[(&'static str, &str)], body: BodyLength) -> String {
        let mut upstream = fixture::upstream();
        upstream.remove_response_headers = vec!["server".to_owned()];
        let added = pairs(&[("x-served-by", "towline")]);
        let policy = ResponsePolicy { upstream: &upstream, host: "h:1", added: &added };
        let response = ResponseHead {
            status: StatusCode::from_u16(status).unwrap(),
            headers: header_map(received),
            body,
        };
        String::from_utf8(policy.bytes(&response, body)).unwrap()
    }

    #[test]
    fn a_response_has_one_framing_and_the_headers_that_the_settings_allow() {
        let received = [
            ("date", "now"),
            ("server", "secret/1"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-served-by", "other"),
            ("location", "http://H:1/login?a"),
        ];
        let head = answered(302, &received, BodyLength::UntilEnd);
        let mut lines: Vec<_> = head.split("\r\n").collect();
        lines.sort_unstable();
        let expected = [
            "",
            "",
            "Connection: close",
            "Date: now",
            "HTTP/1.1 302 Found",
            "Location: /login?a",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "Transfer-Encoding: chunked",
            "X-Served-By: towline",
        ];
        assert_eq!(lines, expected);
        assert_eq!(
            answered(100, &[("x-a", "b")], BodyLength::None),
            "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"
        );
        let not_modified = [("date", "now"), ("content-length", "7")];
        assert!(answered(304, &not_modified, BodyLength::None).contains("\r\nContent-Length: 7\r\n"));
        assert!(!answered(204, &not_modified, BodyLength::None).contains("Content-Length"));
    }

    #[test]
    fn only_urls_at_the_upstream_become_paths() {
        for (location, expected) in [
            ("http://h:1", "/"),
            ("http://h:1?a", "/?a"),
            ("http://h:1//evil.test/", "/.//evil.test/"),
            ("http://h:1/\\evil.test/", "/./\\evil.test/"),
            ("http://h:1/\t/evil.test/", "/./\t/evil.test/"),
            ("http://h:1/\t\\evil.test/", "/./\t\\evil.test/"),
            ("http://user@h:1/a", "/a"),
            ("http://h:2/a", "http://h:2/a"),
            ("https://login.example.com/?next=http://h:1/", "https://login.example.com/?next=http://h:1/"),
            ("/a", "/a"),
            ("//h:1/a", "//h:1/a"),
        ] {
            let head = answered(302, &[("location", location)], BodyLength::None);
            assert!(head.contains(&format!("\r\nLocation: {expected}\r\n")), "{location}: {head}");
            let target = url::Url::parse("http://proxy.test/").unwrap().join(expected).unwrap();
            assert_eq!(
                target.host_str() == Some("proxy.test"),
                expected.starts_with('/') && expected != "//h:1/a",
                "{location}"
            );
        }
    }
}
