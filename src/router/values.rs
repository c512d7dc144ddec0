//! Headers, query parameters and cookies of a request, and tests of their values.

use std::borrow::Cow;

use actix_http::header::{COOKIE, HeaderMap};
use url::form_urlencoded;

/// A test of a named value of a request. A request that has several values of that name passes if one of them
/// does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueTest {
    /// The name of a header, in lower case, or of a query parameter or cookie.
    pub name: String,
    /// The values that pass.
    pub expected: Expected,
}

/// The values that pass a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This value.
    Is(String),
    /// A value that begins like this.
    Begins(String),
    /// Any value, also an empty one.
    Any,
}

/// The values of all cookies of that name, in order (RFC 6265 section 4.2.1). Quotes are part of a value.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// How often the most lenient server finds a cookie of that name: also after a comma, a space or a quote, and with spaces
/// before its `=`. Servers differ in what separates cookies, and in whether a name may have spaces around it.
pub fn cookie_occurrences(headers: &HeaderMap, name: &str) -> usize {
    let in_line = |line: &[u8]| {
        let begins = |at: usize| at.checked_sub(1).is_none_or(|before| b"; \t,\"".contains(&line[before]));
        let ends = |rest: &[u8]| rest.trim_ascii_start().starts_with(b"=");
        let parts = line.windows(name.len()).enumerate();
        let is_one = |(at, part): &(usize, &[u8])| {
            *part == name.as_bytes() && begins(*at) && ends(&line[at + name.len()..])
        };
        parts.filter(is_one).count()
    };
    headers.get_all(COOKIE).map(|line| in_line(line.as_bytes())).sum()
}

/// The values of all query parameters of that name, decoded, in order. `+` is a space.
pub fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).filter(move |(known, _)| known == name).map(|(_, value)| value)
}

// === impl Expected ===

/// As in the settings: `eu-*` is a value that begins like this, `*` is any value.
impl From<&str> for Expected {
    fn from(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::Any,
            Some(start) => Self::Begins(start.to_owned()),
            None => Self::Is(text.to_owned()),
        }
    }
}

impl Expected {
    /// Whether the value passes.
    pub fn allows(&self, value: &[u8]) -> bool {
        match self {
            Self::Is(text) => value == text.as_bytes(),
            Self::Begins(start) => value.starts_with(start.as_bytes()),
            Self::Any => true,
        }
    }

    /// Whether every value that `other` allows passes.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Begins(start), Self::Is(text) | Self::Begins(text)) => text.starts_with(start.as_str()),
            (Self::Is(one), Self::Is(other)) => one == other,
            (Self::Is(_) | Self::Begins(_), _) => false,
        }
    }
}

// === impl ValueTest ===

impl ValueTest {
    pub(super) fn of_header(&self, headers: &HeaderMap) -> bool {
        headers.get_all(&*self.name).any(|value| self.expected.allows(value.as_bytes()))
    }

    pub(super) fn of_cookie(&self, headers: &HeaderMap) -> bool {
        cookies(headers, &self.name).any(|value| self.expected.allows(value))
    }

    pub(super) fn of_query(&self, query: Option<&str>) -> bool {
        query.is_some_and(|query| {
            parameters(query, &self.name).any(|value| self.expected.allows(value.as_bytes()))
        })
    }

    /// Whether every request that passes the tests `others` passes this one.
    pub(super) fn follows_from(&self, others: &[Self]) -> bool {
        others.iter().any(|other| other.name == self.name && self.expected.covers(&other.expected))
    }
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let headers = headers(&[b"first=1; session=abc ;last=2", b"session=\"x=y\"; empty=; flag"]);
        for (name, expected) in [
            ("first", &["1"][..]),
            ("session", &["abc", "\"x=y\""]),
            ("empty", &[""]),
            ("sess", &[]),
            ("flag", &[]),
            ("Session", &[]),
        ] {
            let found: Vec<_> = cookies(&headers, name).map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        for (query, name, expected) in [
            ("room=a%20b&room=c+d", "room", &["a b", "c d"][..]),
            ("r%6fom=1", "room", &["1"]),
            ("room", "room", &[""]),
            ("room=&x", "room", &[""]),
            ("rooms=1&Room=2", "room", &[]),
            ("room=%ff", "room", &["\u{fffd}"]),
            ("", "room", &[]),
        ] {
            assert_eq!(parameters(query, name).collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[test]
    fn a_star_ends_the_beginning_of_a_value() {
        for (text, value, expected) in [
            ("eu", "eu", true),
            ("eu", "eu-1", false),
            ("eu-*", "eu-1", true),
            ("eu-*", "eu", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Expected::from(text).allows(value.as_bytes()), expected, "{text} {value}");
        }
    }

    proptest! {
        /// What a client sends never makes the extraction panic, and a cookie after any other text of a line
        /// is found.
        #[test]
        fn a_cookie_is_found_after_any_other(
            before in proptest::collection::vec(0x20_u8..0x7f, 0..40), value in "[a-z0-9=\"]{0,8}",
        ) {
            let line = [&before[..], b"; it=", value.as_bytes()].concat();
            let headers = headers(&[&line]);
            prop_assert_eq!(cookies(&headers, "it").last(), Some(value.as_bytes()));
        }

        #[test]
        fn a_parameter_is_found_as_it_was_encoded(before in r"[\x21-\x7e]{0,30}", value in any::<String>()) {
            let pair: String = form_urlencoded::Serializer::new(String::new()).append_pair("it", &value).finish();
            let query = format!("{before}&{pair}");
            prop_assert_eq!(parameters(&query, "it").last(), Some(Cow::Borrowed(value.as_str())));
        }

        /// A test that follows from another one is passed by every value that passes the other.
        #[test]
        fn covering_is_sound(wide in "[ab]{0,2}[*]?", narrow in "[ab]{0,2}[*]?", value in "[ab]{0,3}") {
            let (wide, narrow) = (Expected::from(wide.as_str()), Expected::from(narrow.as_str()));
            if wide.covers(&narrow) && narrow.allows(value.as_bytes()) {
                prop_assert!(wide.allows(value.as_bytes()), "{:?} {:?} {}", wide, narrow, value);
            }
        }
    }
}
