//! The authority of a URL (user, password, host and port), found in its text, and URLs with their secrets
//! masked.
//!
//! The functions work on text and not on parsed URLs, because URLs are shown and sent as they were written,
//! and invalid URLs are shown too.

use url::Url;

/// The text that replaces a secret.
pub const MASK: &str = "***";

/// The text of a URL, split around its authority. Concatenated, the parts are the whole text, with an `@`
/// after the userinfo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// The scheme with `://`; empty when the text has no `://`.
    pub scheme: &'a str,
    /// User and password as written: empty for `ws://@host`, `None` without an `@`.
    pub userinfo: Option<&'a str>,
    /// Host and port.
    pub host: &'a str,
    /// Path, query and fragment.
    pub tail: &'a str,
}

/// Splits the text of a URL. A text without `://` begins with the authority.
pub fn split(url: &str) -> Split<'_> {
    // Faster than a search for the whole text.
    let mut colons = url.match_indices(':').map(|(at, _)| at + 1);
    let start = colons.find(|at| url[*at..].starts_with("//")).map_or(0, |at| at + "//".len());
    let (scheme, rest) = url.split_at(start);
    Split { scheme, ..split_rest(rest) }
}

/// Splits a text that begins with an authority.
fn split_rest(rest: &str) -> Split<'_> {
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A host has no `@`, so the last one ends the userinfo.
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    Split { scheme: "", userinfo, host, tail }
}

/// The host of a URL reference, without port; `None` for a relative path (RFC 3986 section 4.2).
pub fn host(reference: &str) -> Option<&str> {
    let hierarchy = reference.split(['?', '#']).next()?;
    let rest = hierarchy.strip_prefix("//").or_else(|| hierarchy.split_once("://").map(|(_, rest)| rest))?;
    let host = split_rest(rest).host;
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(name),
        _ => Some(host),
    }
}

/// A URL for texts and logs: userinfo, query and fragment are masked.
///
/// Any text is allowed, because invalid URLs are shown too. If the end of the userinfo is ambiguous,
/// everything up to the last `@` is masked.
pub fn mask(text: &str) -> String {
    // The URL of a unix socket has no userinfo, and an `@` in it is part of a path.
    if text.starts_with("unix:/") {
        return match text.find(['?', '#']) {
            Some(end) => format!("{}{MASK}", &text[..=end]),
            None => text.to_owned(),
        };
    }
    let (scheme, rest) = text.split_at(scheme_length(text));
    let url = Url::parse(text).ok().filter(Url::has_host);
    let authority = match &url {
        Some(_) => rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()),
        None => rest.len(),
    };
    // The parser accepts any number of slashes, and finds a userinfo after them.
    let hidden = url.is_some_and(|url| !url.username().is_empty() || url.password().is_some());
    let at = rest[..authority].rfind('@').or_else(|| rest.rfind('@').filter(|_| hidden));
    let (userinfo, rest) = at.map_or(("", rest), |at| (MASK, &rest[at..]));
    match rest.find(['?', '#']) {
        Some(end) => format!("{scheme}{userinfo}{}{MASK}", &rest[..=end]),
        None => format!("{scheme}{userinfo}{rest}"),
    }
}

/// The length of the scheme and `://` in bytes; 0 when the text does not start with them.
fn scheme_length(text: &str) -> usize {
    let Some((scheme, _)) = text.split_once("://") else { return 0 };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.trim_start().bytes().all(letters) { scheme.len() + "://".len() } else { 0 }
}

/// Whether a URL has [`MASK`] as its whole userinfo or query, where [`mask`] puts it.
pub fn is_masked(url: &str) -> bool {
    let rest = &url[split(url).scheme.len()..];
    let userinfo = rest.strip_prefix(MASK).is_some_and(|rest| rest.starts_with('@'));
    userinfo || url.split_once('?').is_some_and(|(_, query)| query == MASK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Concatenates the parts of a URL.
    fn join(parts: Split<'_>) -> String {
        let userinfo = parts.userinfo.map(|userinfo| format!("{userinfo}@")).unwrap_or_default();
        format!("{}{userinfo}{}{}", parts.scheme, parts.host, parts.tail)
    }

    #[test]
    fn a_reference_names_a_host_or_is_relative() {
        for (reference, expected) in [
            ("ws://chat.internal:8139/ws", Some("chat.internal")),
            ("https://user@h:81?a", Some("h")),
            ("//h/login", Some("h")),
            ("//h/a://b", Some("h")),
            ("http://[::1]:80/", Some("[::1]")),
            ("http://[::1]", Some("[::1]")),
            ("http://h:port/", Some("h:port")),
            ("/login?next=ws://h", None),
            ("login", None),
            ("", None),
        ] {
            assert_eq!(host(reference), expected, "{reference}");
        }
    }

    #[test]
    fn secrets_are_masked_even_in_wrong_urls() {
        let table = [
            ("ws://localhost:8139", "ws://localhost:8139"),
            ("ws://me:secret@h/a@b", "ws://***@h/a@b"),
            ("ws://me@h?token=1", "ws://***@h?***"),
            ("ws://h/?a=b#c", "ws://h/?***"),
            ("ws://me:se/cret@h:99999/x", "ws://***@h:99999/x"),
            ("me:secret@h", "***@h"),
            ("http//me:secret@h", "***@h"),
            ("ws://me:sec@ret@h/", "ws://***@h/"),
            ("ws://me:sec?ret@h/", "ws://***@h/"),
            ("ws:/me:secret@h/", "***@h/"),
            ("ws:///me:secret@h/", "ws://***@h/"),
            ("ws:me:secret@h/", "***@h/"),
            ("ws:\\\\me:secret@h", "***@h"),
            ("ws:/me:secret@h?next=ws://i", "***@h?***"),
            ("foo://me:secret\\@h", "foo://***@h"),
            (" ws://me:secret@h", " ws://***@h"),
            ("ws://h/x#secret", "ws://h/x#***"),
            ("ws://me:123#secret@h", "ws://me:123#***"),
        ];
        for (text, shown) in table {
            assert_eq!(mask(text), shown, "{text}");
        }
    }

    #[test]
    fn a_mask_is_found_where_it_hides_something() {
        for (url, expected) in [
            ("ws://***@h/", true),
            ("ws://***@h/?real", true),
            ("ws://me:real@h/?***", true),
            ("ws://h/***?a=***", false),
            ("ws://h/", false),
            ("ws://***/", false),
        ] {
            assert_eq!(is_masked(url), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_text(text in r"(ws|:|//|@|\?|#|/|\\|\[|[a-zß]){0,14}") {
            prop_assert_eq!(join(split(&text)), text);
        }

        #[test]
        fn the_parts_are_those_of_a_parser(text in r"ws://([a-z:%@]{0,6}@)?[a-z.]{1,6}(:[1-9]{1,4})?[a-z/?#@:]{0,8}") {
            let Ok(url) = Url::parse(&text) else { return Ok(()) };
            let normal = url.as_str();
            let parts = split(normal);
            let (user, password) = parts.userinfo.map_or(("", None), |userinfo| match userinfo.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            });
            prop_assert_eq!((user, password), (url.username(), url.password()), "{}", normal);
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            prop_assert_eq!(parts.host, format!("{}{port}", url.host_str().unwrap()));
            prop_assert_eq!(host(normal), url.host_str());
        }

        #[test]
        fn what_is_masked_is_found_again(text in r"ws://([a-z:]{1,5}@)[a-z]{1,5}(/[a-z]{0,3})?(\?[a-z]{0,3})?") {
            prop_assert!(is_masked(&mask(&text)), "{}", mask(&text));
        }

        #[test]
        fn no_text_makes_the_mask_panic_or_leak(text in ".{0,20}", secret in "[A-Z]{8}") {
            let url = format!("ws://user:{secret}@{text}?key={secret}");
            prop_assert!(!mask(&url).contains(&secret) || text.contains(&secret));
        }
    }
}
