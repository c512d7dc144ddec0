//! Compares and checks paths of URLs in any percent-encoding, so that a client cannot avoid a rule by
//! encoding.

use std::fmt::Write;

/// The rest of `path` after `prefix`; `None` if the path does not begin with the prefix.
///
/// The comparison follows RFC 3986 section 6.2.2: `%7E` equals `~`, and `%2f` equals `%2F` but not `/`. So a
/// client cannot avoid a route by encoding its path differently.
///
/// ```
/// # use towline::path::rest_after;
/// assert_eq!(rest_after("/chat", "/%63hat/a%2Fb"), Some("/a%2Fb"));
/// assert_eq!(rest_after("/a/b", "/a%2Fb"), None);
/// ```
pub fn rest_after<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let (mut wanted, mut rest) = (prefix.as_bytes(), path.as_bytes());
    while !wanted.is_empty() {
        let ((expected, tail), (found, left)) = (octet(wanted)?, octet(rest)?);
        if expected != found {
            return None;
        }
        (wanted, rest) = (tail, left);
    }
    path.get(path.len() - rest.len()..)
}

/// An octet of a path, and whether its percent-encoding is significant.
type Octet = (u8, bool);

/// The first octet of a path, and the rest of the path; `None` if the path is empty.
fn octet(path: &[u8]) -> Option<(Octet, &[u8])> {
    let (&byte, tail) = path.split_first()?;
    let encoded = (byte == b'%').then(|| tail.first_chunk::<2>()).flatten().and_then(|pair| hex(*pair));
    Some(match encoded {
        Some(value) => ((value, !is_unreserved(value)), &tail[2..]),
        None => ((byte, false), tail),
    })
}

/// The path with unreserved characters decoded and the other escapes in upper case. Paths that are equal for
/// [`rest_after`] have the same form.
///
/// ```
/// # use towline::path::normal;
/// assert_eq!(normal("/%63hat/a%2fb"), "/chat/a%2Fb");
/// ```
pub fn normal(path: &str) -> String {
    let (mut normal, mut rest) = (String::with_capacity(path.len()), path.as_bytes());
    while let Some(((byte, is_encoded), tail)) = octet(rest) {
        if is_encoded || !byte.is_ascii() {
            // Writing to a string cannot fail.
            let _ = write!(normal, "%{byte:02X}");
        } else {
            normal.push(char::from(byte));
        }
        rest = tail;
    }
    normal
}

/// The path as the most lenient server reads it. Slashes may be doubled, encoded (once or several times) or written as
/// backslashes, and segments may have parameters after a semicolon; here, there are only single slashes and no
/// parameters. The rest is [`normal`].
///
/// `None` if a parameter contains an encoded slash or a backslash: the path then depends on what a server does first.
///
/// ```
/// # use towline::path::canonical;
/// assert_eq!(canonical("//admin;a=b%2F").as_deref(), None);
/// assert_eq!(canonical("/%2561dmin%5Cx;a=b//").as_deref(), Some("/admin/x/"));
/// ```
pub fn canonical(path: &str) -> Option<String> {
    let mut canonical = Vec::with_capacity(path.len() + 1);
    let mut ends_with_slash = true;
    for segment in path.split('/') {
        let decoded = separators_decoded(segment);
        let mut parts = decoded.split(|byte| *byte == b';');
        let names = parts.next().unwrap_or_default();
        if parts.any(|parameter| parameter.iter().copied().any(is_slash)) {
            return None;
        }
        for name in names.split(|byte| is_slash(*byte)) {
            ends_with_slash = name.is_empty();
            if !ends_with_slash {
                canonical.push(b'/');
                canonical.extend_from_slice(name);
            }
        }
    }
    if ends_with_slash {
        canonical.push(b'/');
    }
    Some(normal(&String::from_utf8_lossy(&canonical)))
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// The text without escapes of slashes, backslashes, semicolons and unreserved characters, and without escapes that are
/// encoded themselves (`%253A` becomes `%3A`).
fn separators_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        decoded.push(byte);
        // Each step shortens the text, so this takes linear time.
        loop {
            match *decoded.as_slice() {
                [.., b'%', b'2', b'5', high, low] if hex([high, low]).is_some() => {
                    decoded.truncate(decoded.len() - b"25XX".len());
                    decoded.extend([high, low]);
                }
                [.., b'%', high, low] => match hex([high, low]) {
                    Some(value) if is_unreserved(value) || is_slash(value) || value == b';' => {
                        decoded.truncate(decoded.len() - b"%XX".len());
                        decoded.push(value);
                    }
                    _ => break,
                },
                _ => break,
            }
        }
    }
    decoded
}

/// Whether the byte has the same meaning with and without percent-encoding (RFC 3986 section 2.3).
pub fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether a server could interpret a segment of the path as `.` or `..`.
///
/// # Security
/// Servers differ in what they decode before they resolve such segments, so all interpretations count:
/// percent-encoding once or several times (`%2e`, `%252e`), encoded slashes, backslashes, and parameters
/// after a semicolon (`..;a=b`).
pub fn has_dot_segment(path: &str) -> bool {
    let decoded = decode(path);
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|byte| *byte == b';').next();
        matches!(name, Some(b"." | b".."))
    })
}

/// Percent-decodes until nothing changes, because two servers in a row may decode twice.
///
/// This takes linear time, because the texts come from clients. The order of decoding does not change the
/// result, because no two escapes overlap.
pub fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        decoded.push(byte);
        // A decoded byte may complete another escape: `%2%35` is `%25`.
        while let Some((rest, &[b'%', high, low])) = decoded.split_last_chunk::<3>()
            && let Some(value) = hex([high, low])
        {
            let length = rest.len();
            decoded.truncate(length);
            decoded.push(value);
        }
    }
    decoded
}

/// The value of two hexadecimal digits; `None` if they are not hexadecimal.
pub fn hex(pair: [u8; 2]) -> Option<u8> {
    let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_found_however_it_is_written() {
        for (prefix, path, expected) in [
            ("/", "/", Some("")),
            ("/a", "/a/b", Some("/b")),
            ("/a", "/%61%2fb", Some("%2fb")),
            ("/%61", "/a", Some("")),
            ("/~me", "/%7eme/x", Some("/x")),
            ("/%7Eme", "/~me", Some("")),
            ("/caf%C3%A9", "/caf%c3%a9", Some("")),
            ("/a/b", "/a%2Fb", None),
            ("/a", "/A", None),
            ("/a", "/", None),
            ("/a%", "/a%", Some("")),
            ("/a%2", "/a%2x", Some("x")),
        ] {
            assert_eq!(rest_after(prefix, path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn dot_segments_are_found_however_they_are_written() {
        for path in [
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/",
            "/.%2e/a",
            "/a%2F..%2Fb",
            "/a\\..\\b",
            "/a%5c..",
            "/..;/a",
            "/..;x=1/a",
            "/.;",
            "/%252e%252e/a",
            "/..%3b/a",
            "/%2%65/a",
            "/a;/..",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in
            ["/", "/...", "/.a", "/a..", "/a.b/c", "/a;x=../b", "/a%2Fb//c/%3A;x=1", "/;..", "/%", "/~"]
        {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn a_canonical_path_has_single_slashes_and_no_parameters() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/a;x=1/b;y", "/a/b"),
            ("/;x/a/;y", "/a/"),
            ("/a%2Fb%2fc%5Cd\\e", "/a/b/c/d/e"),
            ("/a%3Bx", "/a"),
            ("/%61%252Fb%25252fc", "/a/b/c"),
            ("/%6%31", "/a"),
            ("/a%3a%253A:", "/a%3A%3A:"),
            ("/100%25/100%/%25zz", "/100%25/100%/%25zz"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("", "/"),
        ] {
            assert_eq!(canonical(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["/a;b%2Fc", "/a;b%5cc", "/a;\\", "/a%3B%252Fb/c"] {
            assert_eq!(canonical(path), None, "{path}");
        }
        let layers = format!("/a%{}2Fb", "25".repeat(100_000));
        assert_eq!(canonical(&layers).as_deref(), Some("/a/b"));
    }

    /// Decoding one layer after another would take minutes for such a text.
    #[test]
    fn many_layers_of_encoding_are_decoded_in_one_pass() {
        let text = format!("%{}2e", "25".repeat(1_000_000));
        assert_eq!(decode(&text), b".");
    }

    fn decode_once(bytes: &[u8]) -> Vec<u8> {
        let (mut decoded, mut rest) = (Vec::new(), bytes);
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match (byte == b'%').then(|| tail.first_chunk::<2>()).flatten().and_then(|pair| hex(*pair)) {
                Some(value) => {
                    decoded.push(value);
                    rest = &tail[2..];
                }
                None => decoded.push(byte),
            }
        }
        decoded
    }

    proptest! {
        #[test]
        fn equal_paths_have_one_form(one in "(/|%|2|f|F|7|e|E|~|a){0,6}", other in "(/|%|2|f|F|7|e|E|~|a){0,6}") {
            if rest_after(&one, &other) == Some("") {
                prop_assert_eq!(normal(&one), normal(&other));
            }
        }

        #[test]
        fn one_pass_decodes_as_much_as_repeated_decoding(text in "(%|2|5|e|E|/|a){0,24}") {
            let mut layers = text.as_bytes().to_vec();
            loop {
                let next = decode_once(&layers);
                if next == layers { break; }
                layers = next;
            }
            prop_assert_eq!(decode(&text), layers);
        }

        #[test]
        fn a_canonical_path_stays_as_it_is(path in r"(/|\\|%|2|5|f|F|c|3|B|;|a){0,16}") {
            if let Some(once) = canonical(&path) {
                prop_assert_eq!(canonical(&once), Some(once));
            }
        }

        #[test]
        fn a_path_begins_with_itself(path in "(/|%|2|f|7|e|~|a){0,12}", rest in "(/|a|b){0,4}") {
            prop_assert_eq!(rest_after(&path, &path), Some(""));
            let longer = format!("{path}/{rest}");
            prop_assert_eq!(rest_after(&path, &longer).map(str::len), Some(rest.len() + 1));
        }
    }
}
