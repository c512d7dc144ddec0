//! The elements of `Forwarded` (RFC 7239 section 4): `for=192.0.2.7;proto=https;host="chat.example.com:8443"`.

use super::MalformedForwarded;
use crate::header_list::is_token;

/// An element of `Forwarded`: what one proxy says about the request that it received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Where the request came from: an address, `unknown`, or a name that begins with `_`.
    pub from: Option<String>,
    /// The scheme of the request.
    pub proto: Option<String>,
    /// The `Host` header of the request.
    pub host: Option<String>,
}

/// The elements of the value, from the proxy that is nearest to the client on. Empty ones are skipped.
///
/// # Errors
/// When the value breaks the syntax, or an element has a parameter twice. Such a value may hide the element that the
/// next proxy has added, for example in a quoted string without an end.
pub(super) fn elements(value: &[u8]) -> Result<Vec<Element>, MalformedForwarded> {
    let mut rest = value;
    let mut elements = Vec::new();
    loop {
        rest = trim(rest);
        match rest {
            [] => return Ok(elements),
            [b',', after @ ..] => rest = after,
            _ => {
                let (element, after) = element(rest)?;
                elements.push(element);
                rest = match trim(after) {
                    [] => &[],
                    [b',', after @ ..] => after,
                    _ => return Err(MalformedForwarded),
                };
            }
        }
    }
}

/// Parses one element: pairs with semicolons between them.
fn element(bytes: &[u8]) -> Result<(Element, &[u8]), MalformedForwarded> {
    let mut element = Element::default();
    let mut names: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    loop {
        let (name, value, after) = pair(rest)?;
        if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(MalformedForwarded);
        }
        names.push(name);
        match () {
            () if name.eq_ignore_ascii_case(b"for") => element.from = Some(value),
            () if name.eq_ignore_ascii_case(b"proto") => element.proto = Some(value),
            () if name.eq_ignore_ascii_case(b"host") => element.host = Some(value),
            () => {}
        }
        match trim(after) {
            [b';', after @ ..] => rest = trim(after),
            _ => return Ok((element, after)),
        }
    }
}

/// Parses `name=value`, in which the value is a token or a quoted string.
fn pair(bytes: &[u8]) -> Result<(&[u8], String, &[u8]), MalformedForwarded> {
    let equals = bytes.iter().position(|byte| *byte == b'=').ok_or(MalformedForwarded)?;
    let (name, value) = (&bytes[..equals], &bytes[equals + 1..]);
    if !is_token(name) {
        return Err(MalformedForwarded);
    }
    if let [b'"', quoted @ ..] = value {
        let (value, rest) = unquote(quoted)?;
        return Ok((name, value, rest));
    }
    let end = value.iter().position(|byte| b";, \t".contains(byte)).unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    // Addresses with colons and brackets must be quoted, but many proxies write them as they are.
    let fits = |byte: &u8| is_token(&[*byte]) || b":[]".contains(byte);
    match !value.is_empty() && value.iter().all(fits) {
        true => Ok((name, String::from_utf8_lossy(value).into_owned(), rest)),
        false => Err(MalformedForwarded),
    }
}

/// The text of a quoted string (RFC 9110 section 5.6.4) without its first quote, and what follows it.
fn unquote(bytes: &[u8]) -> Result<(String, &[u8]), MalformedForwarded> {
    let mut text = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [b'"', after @ ..] => return Ok((String::from_utf8_lossy(&text).into_owned(), after)),
            [] | [b'\\'] => return Err(MalformedForwarded),
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                text.push(*byte);
                rest = after;
            }
        }
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

impl Element {
    /// The element as text. Values are quoted unless they are tokens.
    pub(super) fn text(&self) -> String {
        let parts = [("for", &self.from), ("host", &self.host), ("proto", &self.proto)];
        let parts = parts.iter().filter_map(|(name, value)| {
            let value = value.as_deref()?;
            Some(match is_token(value.as_bytes()) {
                true => format!("{name}={value}"),
                false => format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
            })
        });
        parts.collect::<Vec<_>>().join(";")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(value: &str) -> Result<Vec<String>, MalformedForwarded> {
        let elements = elements(value.as_bytes())?;
        Ok(elements.into_iter().map(|element| element.from.unwrap_or_else(|| "-".to_owned())).collect())
    }

    #[test]
    fn the_examples_of_rfc_7239_are_read() {
        for (value, expected) in [
            ("for=\"_gazonk\"", vec!["_gazonk"]),
            ("For=\"[2001:db8:cafe::17]:4711\"", vec!["[2001:db8:cafe::17]:4711"]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec!["192.0.2.60"]),
            ("for=192.0.2.43, for=198.51.100.17", vec!["192.0.2.43", "198.51.100.17"]),
            (
                "for=192.0.2.43, for=\"[2001:db8:cafe::17]\", for=unknown",
                vec!["192.0.2.43", "[2001:db8:cafe::17]", "unknown"],
            ),
            ("for=_hidden, for=_SEVKISEK", vec!["_hidden", "_SEVKISEK"]),
            (" , for=a ,, proto=https;", vec![]),
            ("", vec![]),
            ("by=a;host=\"b\\\"c\"", vec!["-"]),
            ("for=192.0.2.1:80", vec!["192.0.2.1:80"]),
        ] {
            match value.ends_with(';') {
                true => assert_eq!(from(value), Err(MalformedForwarded), "{value}"),
                false => assert_eq!(from(value).unwrap(), expected, "{value}"),
            }
        }
    }

    /// A client could otherwise write a value into which the element of the next proxy disappears.
    #[test]
    fn a_value_that_could_hide_another_element_is_malformed() {
        for value in [
            "for=\"1.1.1.1, for=192.0.2.7",
            "for=\", for=\"[2001:db8::1]\"",
            "for=\"a\\\", for=192.0.2.7",
            "for=a;for=b",
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            "for=a;;proto=b",
            "for=a\"b",
            "for=\"a\"b",
        ] {
            assert_eq!(from(value), Err(MalformedForwarded), "{value}");
        }
    }

    proptest! {
        /// An element in text form is read as the same element, whatever its values are.
        #[test]
        fn an_element_survives_its_text_form(from in "[ -~é]{1,20}", host in proptest::option::of("[ -~]{1,9}")) {
            let element = Element { from: Some(from), proto: Some("http".to_owned()), host };
            let text = element.text();
            prop_assert_eq!(elements(text.as_bytes()), Ok(vec![element.clone()]), "{}", text);
            let two = format!("for=192.0.2.1 , {text}");
            let elements = elements(two.as_bytes()).unwrap();
            prop_assert_eq!(elements.last(), Some(&element));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(
            prop_oneof![Just(b"for=".to_vec()), Just(b"\"".to_vec()), Just(b",".to_vec()), Just(b";".to_vec()),
                proptest::collection::vec(any::<u8>(), 1..3)], 0..12).prop_map(|parts| parts.concat()))
        {
            let _ = elements(&bytes);
        }
    }
}
