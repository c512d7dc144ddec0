//! Tokens: values as they are written in a JSON document.

use std::borrow::Cow;

/// The content of a token that is a string; `None` if it is something else.
pub(crate) fn decoded(token: &[u8]) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice::<String>(token).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// One way to write `token`: equal ids are equal bytes, whatever escapes their writer used.
pub(crate) fn canonical(token: &[u8]) -> Cow<'_, [u8]> {
    if token.first() == Some(&b'"') && token.contains(&b'\\') {
        let text = decoded(token).and_then(|text| serde_json::to_vec(text.as_ref()).ok());
        return text.map_or(Cow::Borrowed(token), Cow::Owned);
    }
    Cow::Borrowed(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_id() {
        assert_eq!(canonical(br#""\u0061\/""#), canonical(br#""a/""#));
        assert_ne!(canonical(b"\"1\""), canonical(b"1"));
    }
}
