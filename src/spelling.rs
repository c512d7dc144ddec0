//! Header names in the spelling of the RFCs: `Sec-WebSocket-Key`, `WWW-Authenticate`, `Host`.
//!
//! Names are case-insensitive (RFC 9110 section 5.1), but some devices compare bytes. Only the case of
//! letters changes, so the length of a text stays the same.

/// Words in header names in which other letters than the first are capitals.
const WORDS: [&str; 4] = ["ETag", "TE", "WebSocket", "WWW"];

/// Changes the case of a header name to the RFCs' spelling.
pub fn spell(name: &mut [u8]) {
    for word in name.split_mut(|byte| *byte == b'-') {
        match WORDS.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(word)) {
            Some(known) => word.copy_from_slice(known.as_bytes()),
            None => {
                word.make_ascii_lowercase();
                if let Some(first) = word.first_mut() {
                    first.make_ascii_uppercase();
                }
            }
        }
    }
}

/// Changes the case of all header names in the head of a request or a response. The first line, and
/// everything after the empty line, stay unchanged.
pub fn spell_head(head: &mut [u8]) {
    for line in head.split_mut(|byte| *byte == b'\n').skip(1) {
        if line == b"\r" {
            return;
        }
        if let Some(length) = line.iter().position(|byte| *byte == b':') {
            spell(&mut line[..length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_in_the_rfcs() {
        for name in [
            "Host",
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Protocol",
            "WWW-Authenticate",
            "User-Agent",
            "X-Forwarded-For",
            "ETag",
            "TE",
            "X--Odd-",
        ] {
            for mut written in [name.to_ascii_lowercase(), name.to_ascii_uppercase()].map(String::into_bytes)
            {
                spell(&mut written);
                assert_eq!(String::from_utf8(written).unwrap(), name);
            }
        }
    }

    #[test]
    fn values_and_bytes_after_a_head_are_unchanged() {
        let mut head = b"GET /a:b HTTP/1.1\r\nhost: h:1\r\nx-id: a-b: c\r\n\r\nx-id: a\r\n".to_vec();
        spell_head(&mut head);
        assert_eq!(head, b"GET /a:b HTTP/1.1\r\nHost: h:1\r\nX-Id: a-b: c\r\n\r\nx-id: a\r\n");
    }
}
