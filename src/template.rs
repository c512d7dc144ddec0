//! Header values with placeholders for parts of a client's request: `tenant ${request.headers.x-tenant}`.
//!
//! # Security
//! What a client sends becomes part of a header here. Everything but visible ASCII and spaces is percent-encoded, so
//! that no value can end its line, and a value has at most [`VALUE_MAX`] bytes. In subjects and claims, `%` is
//! encoded too, and so is a space at either end, so that two subjects never have the same value.

use crate::{
    auth::{self, Identity},
    placeholders,
    router::{self, cookies, parameters},
};

/// Maximum length of a value with placeholders, in bytes: what most servers accept for one header.
pub const VALUE_MAX: usize = 8 * 1024;

/// A header's value: text, with or without placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

type Part = placeholders::Part<Source>;

/// A part of a request that a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Host,
    Path,
    Query,
    Parameter(String),
    Header(String),
    Cookie(String),
    PeerIp,
    Listener,
    Route,
    Subject,
    Claim(String),
}

/// A request, and the route that was selected for it.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The request.
    pub request: router::Request<'a>,
    /// The route's name.
    pub route: &'a str,
    /// The identity of the client; `None` on a route without authentication.
    pub identity: Option<&'a Identity>,
}

/// The reason why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder without an end.
    #[error("a placeholder such as ${{request.path}} ends with }}; write $${{ for ${{ itself")]
    Open,
    /// A placeholder for something that does not exist.
    #[error(
        "there is no placeholder ${{{0}}}; known: ${{request.host}}, ${{request.path}}, ${{request.query}}, \
         ${{request.query.NAME}}, ${{request.headers.NAME}}, ${{request.cookies.NAME}}, ${{request.peer.ip}}, \
         ${{session.listener}}, ${{session.route}}, ${{session.subject}}, ${{session.claims.NAME}}"
    )]
    Unknown(String),
}

/// A value would have more than [`VALUE_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header value with placeholders has more than 8 KiB")]
pub struct TooLong;

// === impl Template ===

impl Template {
    /// Parses a text. `$${` produces a literal `${`; any other `$` is literal.
    ///
    /// # Errors
    /// When a placeholder is unknown or does not end.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        placeholders::parse(text, TemplateError::Open, Source::parse).map(Self)
    }

    /// The text, if it has no placeholder.
    pub fn literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the text has a placeholder for something that is known of an authenticated client only.
    pub fn needs_identity(&self) -> bool {
        let needs = |part: &Part| matches!(part, Part::Placeholder(source) if source.needs_identity());
        self.0.iter().any(needs)
    }

    /// The value for a request; `None` if the request does not have one of the parts.
    ///
    /// # Errors
    /// When the value has placeholders and more than [`VALUE_MAX`] bytes.
    pub fn value(&self, facts: &Facts<'_>) -> Result<Option<Vec<u8>>, TooLong> {
        if let Some(text) = self.literal() {
            return Ok(Some(text.as_bytes().to_vec()));
        }
        let mut value = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.extend_from_slice(text.as_bytes()),
                Part::Placeholder(source) => match source.bytes(facts) {
                    Some(bytes) if source.needs_identity() => append_exactly(&mut value, &bytes),
                    Some(bytes) => append(&mut value, &bytes),
                    None => return Ok(None),
                },
            }
            if value.len() > VALUE_MAX {
                return Err(TooLong);
            }
        }
        Ok(Some(value))
    }
}

/// Appends a client's bytes, percent-encoded where they are not visible ASCII or a space.
fn append(value: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' '..=b'~' => value.push(*byte),
            _ => append_encoded(value, *byte),
        }
    }
}

/// Appends the bytes so that different ones stay different, also for a server that trims the value: `%` is encoded too,
/// and so is a space at either end.
fn append_exactly(value: &mut Vec<u8>, bytes: &[u8]) {
    let last = bytes.len().saturating_sub(1);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => append_encoded(value, *byte),
            b' ' if at == 0 || at == last => append_encoded(value, *byte),
            b' '..=b'~' => value.push(*byte),
            _ => append_encoded(value, *byte),
        }
    }
}

fn append_encoded(value: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    value.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

// === impl Source ===

impl Source {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let named = |prefix: &str| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        Ok(match name {
            "request.host" => Self::Host,
            "request.path" => Self::Path,
            "request.query" => Self::Query,
            "request.peer.ip" => Self::PeerIp,
            "session.listener" => Self::Listener,
            "session.route" => Self::Route,
            "session.subject" => Self::Subject,
            _ => {
                if let Some(name) = named("request.query.") {
                    Self::Parameter(name.to_owned())
                } else if let Some(name) = named("request.headers.") {
                    Self::Header(name.to_ascii_lowercase())
                } else if let Some(name) = named("request.cookies.") {
                    Self::Cookie(name.to_owned())
                } else if let Some(name) = named("session.claims.") {
                    Self::Claim(name.to_owned())
                } else {
                    return Err(TemplateError::Unknown(name.to_owned()));
                }
            }
        })
    }

    /// Whether the placeholder stands for something that is known of an authenticated client only.
    fn needs_identity(&self) -> bool {
        matches!(self, Self::Subject | Self::Claim(_))
    }

    /// The bytes as the client sent them, a query parameter decoded. The values of several header lines are joined
    /// by commas; of several parameters or cookies, the first one counts.
    fn bytes(&self, Facts { request, route, identity }: &Facts<'_>) -> Option<Vec<u8>> {
        let headers = request.headers;
        match self {
            Self::Host => headers.get("host").map(|host| host.as_bytes().to_vec()),
            Self::Path => Some(request.uri.path().into()),
            Self::Query => request.uri.query().map(Into::into),
            Self::Parameter(name) => {
                parameters(request.uri.query()?, name).next().map(|value| value.as_bytes().to_vec())
            }
            Self::Header(name) => {
                let values: Vec<_> = headers.get_all(name.as_str()).map(|value| value.as_bytes()).collect();
                (!values.is_empty()).then(|| values.join(&b", "[..]))
            }
            Self::Cookie(name) => cookies(headers, name).next().map(<[u8]>::to_vec),
            Self::PeerIp => Some(request.peer.to_string().into_bytes()),
            Self::Listener => Some(request.listener.into()),
            Self::Route => Some((*route).into()),
            Self::Subject => identity.as_ref()?.subject.as_deref().map(Into::into),
            Self::Claim(name) => {
                let claim = identity.as_ref()?.claim(name)?;
                Some(auth::text_of(claim).as_bytes().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use actix_http::{
        Uri,
        header::{COOKIE, HeaderMap, HeaderName, HeaderValue},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Record, Value};

    fn headers() -> HeaderMap {
        let name = HeaderName::from_static;
        let mut headers = HeaderMap::new();
        headers.append(name("host"), HeaderValue::from_static("a.test:80"));
        headers.append(name("x-a"), HeaderValue::from_static("1"));
        headers.append(name("x-a"), HeaderValue::from_bytes(b"\xfc\t2").unwrap());
        headers.append(COOKIE, HeaderValue::from_static("u=7; u=8"));
        headers
    }

    fn identity() -> Identity {
        let claims = Value::from_json(r#"{"sub": "7", "n": 1, "roles": ["a", "b"], "evil": "x\r\ny: z"}"#);
        let Ok(Value::Record(claims)) = claims else { panic!("{claims:?}") };
        Identity { method: "users".into(), subject: Some("7".into()), claims, expires: None }
    }

    fn value(text: &str, uri: &str) -> Result<Option<String>, TooLong> {
        value_for(text, uri, &identity())
    }

    fn value_for(text: &str, uri: &str, identity: &Identity) -> Result<Option<String>, TooLong> {
        let (uri, headers): (Uri, _) = (uri.parse().unwrap(), headers());
        let peer = IpAddr::from([10, 0, 0, 1]);
        let request = router::Request {
            listener: "ws",
            uri: &uri,
            headers: &headers,
            subprotocols: &[],
            peer,
            tls_name: None,
            is_plain: false,
        };
        let value = Template::parse(text).unwrap().value(&Facts {
            request,
            route: "chat",
            identity: Some(identity),
        })?;
        Ok(value.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn placeholders_stand_for_parts_of_the_request() {
        for (text, expected) in [
            ("plain $ text", Some("plain $ text")),
            ("", Some("")),
            ("${request.path}?${request.query}", Some("/a%2Fb?q=x%0d%0ay&e=")),
            ("<${request.query.q}>", Some("<x%0D%0Ay>")),
            ("${request.query.e}.", Some(".")),
            ("${request.query.none}", None),
            ("a ${request.headers.X-A} b", Some("a 1, %FC%092 b")),
            ("${request.headers.x-none}", None),
            ("${request.cookies.u}", Some("7")),
            ("${request.cookies.v}", None),
            ("${request.host} ${request.peer.ip}", Some("a.test:80 10.0.0.1")),
            ("${session.listener}/${session.route}", Some("ws/chat")),
            ("${session.subject} ${session.claims.n} ${session.claims.roles}", Some("7 1 [\"a\",\"b\"]")),
            ("${session.claims.evil}", Some("x%0D%0Ay: z")),
            ("${session.claims.none}", None),
            ("$${request.path} $$ $$${x}", Some("${request.path} $$ $${x}")),
        ] {
            assert_eq!(value(text, "/a%2Fb?q=x%0d%0ay&e=").unwrap().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn other_placeholders_are_refused() {
        for text in ["${request.path", "${", "a ${b ${c"] {
            assert_eq!(Template::parse(text), Err(TemplateError::Open), "{text}");
        }
        for text in
            ["${}", "${request}", "${request.headers.}", "${Request.path}", "${session.id}", "${a ${b}"]
        {
            assert!(matches!(Template::parse(text), Err(TemplateError::Unknown(_))), "{text}");
        }
    }

    #[test]
    fn a_value_with_placeholders_has_a_maximum_length() {
        let uri = format!("/{}", "x".repeat(VALUE_MAX / 2));
        assert!(value("${request.path}", &uri).unwrap().is_some());
        assert_eq!(value("${request.path}${request.path}", &uri), Err(TooLong));
    }

    /// The values of the subject and of a claim with this text.
    fn values_of(text: &str) -> [String; 2] {
        let claims = Record::from([("team".into(), Value::string(text))]);
        let subject = Some(text.into());
        let identity = Identity { method: "users".into(), subject, claims: claims.into(), expires: None };
        ["${session.subject}", "${session.claims.team}"]
            .map(|placeholder| value_for(placeholder, "/", &identity).unwrap().unwrap())
    }

    #[test]
    fn subjects_and_claims_keep_what_distinguishes_them() {
        for (text, expected) in [
            ("a b", "a b"),
            ("a%20b", "a%2520b"),
            (" a ", "%20a%20"),
            (" ", "%20"),
            ("   ", "%20 %20"),
            ("a\r\nb", "a%0D%0Ab"),
            ("a%0D%0Ab", "a%250D%250Ab"),
            ("", ""),
        ] {
            assert_eq!(values_of(text), [expected; 2], "{text:?}");
        }
    }

    proptest! {
        /// No two subjects or claims have the same value, also at a server that trims it.
        #[test]
        fn different_claims_give_different_values(one in "[ %2a05\t\u{e4}]{0,6}", other in "[ %2a05\t\u{e4}]{0,6}") {
            for (one_value, other_value) in values_of(&one).iter().zip(&values_of(&other)) {
                prop_assert_eq!(one_value.trim() == other_value.trim(), one == other, "{} {}", one_value, other_value);
            }
        }

        /// What is encoded can be decoded.
        #[test]
        fn a_claim_can_be_decoded(text in "[ -~\t\u{e4}]{0,12}") {
            let [subject, _] = values_of(&text);
            let decoded = percent_encoding::percent_decode_str(subject.trim()).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text);
        }

        /// No query of a client ends the line of a header.
        #[test]
        fn a_value_is_one_line(query in r"(q=|&|%0[ad]|%ff|[a-z0-9+%=&;/?!$'()*,:@_~.-]){0,12}") {
            let Ok(Some(value)) = value("${request.query.q}", &format!("/?{query}")) else { return Ok(()) };
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{:?}", value);
            HeaderValue::from_str(&value).unwrap();
        }

        /// Any text is a template or refused, and a template without placeholders is the text.
        #[test]
        fn a_text_without_placeholders_is_itself(text in r"[$a{} ]{0,12}") {
            if !text.contains("${") {
                let template = Template::parse(&text).unwrap();
                prop_assert_eq!(template.literal(), Some(text.as_str()));
            } else {
                let _ = Template::parse(&text);
            }
        }
    }
}
