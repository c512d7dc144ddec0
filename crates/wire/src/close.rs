//! Close codes and reasons (RFC 6455 section 7.4).

use bytestring::ByteString;

use super::WireError;

/// Maximum length of a close reason, in bytes: what a control frame has space for after the code (RFC 6455
/// section 5.5).
pub const REASON_MAX: usize = 123;

/// The body of a close frame.
///
/// On the wire: two bytes of code, big-endian, then the reason: `03 e8 62 79 65` is 1000 `bye`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The status code, always one that may be sent.
    pub code: u16,
    /// The reason, at most [`REASON_MAX`] bytes.
    pub reason: ByteString,
}

impl CloseFrame {
    /// Creates a close frame that may be sent. A reserved code becomes 1011, and 1005 (the peer gave no code)
    /// becomes 1000. A long reason is cut at a character boundary.
    pub fn new(code: u16, reason: impl Into<ByteString>) -> Self {
        let code = match code {
            code if is_sendable(code) => code,
            1005 => 1000,
            _ => 1011,
        };
        Self { code, reason: cut(reason.into()) }
    }

    /// Parses the payload of a close frame; `None` when the payload is empty.
    ///
    /// # Errors
    /// [`WireError::CloseBody`] for one byte, [`WireError::CloseCode`] for a code that must not be sent,
    /// [`WireError::CloseReason`] for a reason that is not UTF-8.
    pub(super) fn parse(payload: &[u8]) -> Result<Option<Self>, WireError> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(None) } else { Err(WireError::CloseBody) };
        };
        let code = u16::from_be_bytes(*code);
        if !is_sendable(code) {
            return Err(WireError::CloseCode(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| WireError::CloseReason)?;
        Ok(Some(Self { code, reason: reason.into() }))
    }

    /// The payload of the frame: code, then reason.
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.code.to_be_bytes()[..], self.reason.as_bytes()].concat()
    }
}

/// Whether a code may be sent in a close frame. 1005, 1006, 1015 and undefined codes may not (RFC 6455
/// section 7.4.2 and the IANA registry).
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn cut(reason: ByteString) -> ByteString {
    if reason.len() <= REASON_MAX {
        return reason;
    }
    let end = reason.floor_char_boundary(REASON_MAX);
    reason[..end].into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reserved_codes_are_replaced() {
        assert_eq!(CloseFrame::new(1005, "").code, 1000);
        assert_eq!(CloseFrame::new(1006, "").code, 1011);
        assert_eq!(CloseFrame::new(1015, "").code, 1011);
        assert_eq!(CloseFrame::new(4999, "").code, 4999);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = CloseFrame::new(1000, "ä".repeat(100));
        assert_eq!(frame.reason.len(), 122);
        assert!(frame.encode().len() <= 125);
    }

    #[test]
    fn bad_bodies_are_refused() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));
        assert_eq!(CloseFrame::parse(b"\x03"), Err(WireError::CloseBody));
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
            assert_eq!(CloseFrame::parse(&code.to_be_bytes()), Err(WireError::CloseCode(code)));
        }
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(WireError::CloseReason));
    }

    proptest! {
        #[test]
        fn close_frames_round_trip(code: u16, reason in ".{0,200}") {
            let frame = CloseFrame::new(code, reason);
            prop_assert_eq!(CloseFrame::parse(&frame.encode()), Ok(Some(frame)));
        }
    }
}
