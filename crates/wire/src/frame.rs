//! The header of a frame and its mask (RFC 6455 section 5.2).

use super::{Role, WireError};

/// Maximum size of a header, in bytes: two, plus eight of extended length and four of masking key.
pub(super) const HEADER_MAX: usize = 14;

/// Size of a masking key, in bytes.
pub(super) const MASK_SIZE: usize = 4;

/// Maximum size of the payload of a control frame, in bytes (RFC 6455 section 5.5).
pub(super) const CONTROL_MAX: u64 = 125;

/// The opcode of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) len: u64,
}

/// The header of an unfragmented message whose length fits 16 bits. It is what most frames have.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShortHeader {
    pub(super) opcode: Opcode,
    /// The masking key; zeros if the frame has none.
    pub(super) mask: [u8; MASK_SIZE],
    /// The length of the payload.
    pub(super) len: usize,
    /// The size of the header in bytes.
    pub(super) size: usize,
}

impl Opcode {
    fn parse(bits: u8) -> Result<Self, WireError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(WireError::Opcode(bits)),
        })
    }

    pub(super) fn is_control(self) -> bool {
        self as u8 >= 0x8
    }
}

impl Header {
    /// The size of the header in bytes, which its first two bytes determine.
    pub(super) fn size(first: [u8; 2]) -> usize {
        let length = match first[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if first[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    /// Parses a header from exactly [`Header::size`] bytes.
    ///
    /// # Errors
    /// Reserved bits or opcodes, a control frame that is too long or fragmented, a length of more than 63
    /// bits, or one that is not encoded in the fewest bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes[0] & 0x70 != 0 {
            return Err(WireError::ReservedBits);
        }
        let fin = bytes[0] & 0x80 != 0;
        let opcode = Opcode::parse(bytes[0] & 0x0f)?;
        let (len, rest) = parse_length(&bytes[1..]);
        let shortest = match bytes[1] & 0x7f {
            126 => 126,
            127 => 0x1_0000,
            _ => 0,
        };
        if len >> 63 != 0 || len < shortest {
            return Err(WireError::Length);
        }
        if opcode.is_control() {
            if !fin {
                return Err(WireError::ControlFragmented);
            }
            if len > CONTROL_MAX {
                return Err(WireError::ControlTooLong);
            }
        }
        Ok(Self { fin, opcode, mask: rest.first_chunk().copied(), len })
    }

    /// The header of an unfragmented message at the front of `input` whose length fits 16 bits, and its size in bytes.
    /// `None` for every other frame, and if the header is incomplete or [`Header::parse`] refuses it.
    #[inline]
    pub(super) fn of_short_message(input: &[u8]) -> Option<(Self, usize)> {
        let peer = if *input.get(1)? & 0x80 == 0 { Role::Server } else { Role::Client };
        let ShortHeader { opcode, mask, len, size } = ShortHeader::parse(input, peer)?;
        let mask = (peer == Role::Client).then_some(mask);
        Some((Self { fin: true, opcode, mask, len: len as u64 }, size))
    }

    /// The size of the encoded header in bytes.
    pub(super) fn encoded_size(&self) -> usize {
        let length = match self.len {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        2 + length + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Appends the encoded header.
    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | self.opcode as u8;
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        match self.len {
            0..=125 => out.extend_from_slice(&[first, masked | self.len as u8]),
            126..=0xffff => {
                let [high, low] = (self.len as u16).to_be_bytes();
                out.extend_from_slice(&[first, masked | 126, high, low]);
            }
            _ => {
                out.extend_from_slice(&[first, masked | 127]);
                out.extend_from_slice(&self.len.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.extend_from_slice(&mask);
        }
    }
}

impl ShortHeader {
    /// The header at the front of `input`. `None` for every other frame, also for one that `peer` should have masked or not,
    /// and if the header is incomplete or [`Header::parse`] refuses it.
    #[inline]
    pub(super) fn parse(input: &[u8], peer: Role) -> Option<Self> {
        let [first, second] = *input.first_chunk()?;
        let opcode = match first {
            0x81 => Opcode::Text,
            0x82 => Opcode::Binary,
            _ => return None,
        };
        let is_masked = peer == Role::Client;
        if (second & 0x80 != 0) != is_masked {
            return None;
        }
        let (len, size) = match second & 0x7f {
            126 => match u16::from_be_bytes(*input[2..].first_chunk()?) {
                0..126 => return None,
                len => (len.into(), 4),
            },
            127 => return None,
            len => (len.into(), 2),
        };
        if !is_masked {
            return Some(Self { opcode, mask: [0; MASK_SIZE], len, size });
        }
        let mask = *input.get(size..)?.first_chunk()?;
        Some(Self { opcode, mask, len, size: size + MASK_SIZE })
    }
}

/// The payload length, and the bytes after it; `bytes` starts at the length.
fn parse_length(bytes: &[u8]) -> (u64, &[u8]) {
    match bytes[0] & 0x7f {
        126 => (u64::from(u16::from_be_bytes([bytes[1], bytes[2]])), &bytes[3..]),
        127 => (bytes[1..9].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)), &bytes[9..]),
        len => (u64::from(len), &bytes[1..]),
    }
}

/// Masks or unmasks `data`, whose first byte is at `offset` in the payload.
///
/// The loop works on sixteen bytes at a time, which compilers turn into vector instructions.
pub(super) fn apply_mask(data: &mut [u8], mask: [u8; MASK_SIZE], offset: usize) {
    let key = u32::from_le_bytes(mask).rotate_right(8 * (offset % MASK_SIZE) as u32).to_le_bytes();
    let narrow = u128::from(u32::from_ne_bytes(key));
    let wide = narrow | narrow << 32 | narrow << 64 | narrow << 96;
    let (chunks, rest) = data.as_chunks_mut::<16>();
    for chunk in chunks {
        *chunk = (u128::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    let (words, tail) = rest.as_chunks_mut::<MASK_SIZE>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Whether the payload that was masked with `mask` is ASCII.
#[inline]
pub(super) fn is_masked_ascii(masked: &[u8], mask: [u8; MASK_SIZE]) -> bool {
    let key = u32::from_ne_bytes(mask);
    let (words, tail) = masked.as_chunks::<MASK_SIZE>();
    let bits = words.iter().fold(0, |bits, word| bits | (u32::from_ne_bytes(*word) ^ key));
    let tail = tail.iter().zip(mask).fold(0, |bits, (byte, key)| bits | (byte ^ key));
    bits & u32::from_ne_bytes([0x80; MASK_SIZE]) == 0 && tail < 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 6455 section 5.7.
    #[test]
    fn the_masked_hello_of_the_rfc_is_unmasked() {
        let header = Header::parse(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]).unwrap();
        assert_eq!(header.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply_mask(&mut payload, header.mask.unwrap(), 0);
        assert_eq!(&payload, b"Hello");
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            fin: bool,
            opcode in prop_oneof![Just(Opcode::Text), Just(Opcode::Binary), Just(Opcode::Continuation)],
            mask: Option<[u8; 4]>,
            len in prop_oneof![0..200_u64, 0..100_000_u64, 0..=(u64::MAX >> 1)],
        ) {
            let header = Header { fin, opcode, mask, len };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), header.encoded_size());
            prop_assert_eq!(bytes.len(), Header::size([bytes[0], bytes[1]]));
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
        }

        /// The short way to a header finds the same as the long one, and nothing that the long one refuses.
        #[test]
        fn a_short_message_has_the_header_that_is_parsed(
            first in prop_oneof![Just(0x81), Just(0x82), any::<u8>()],
            second in prop_oneof![Just(126), Just(0xfe), any::<u8>()],
            rest in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..14),
        ) {
            let input = [vec![first, second], rest].concat();
            let size = Header::size([first, second]);
            let parsed = input.get(..size).and_then(|bytes| Header::parse(bytes).ok());
            let is_short = |header: &Header| {
                header.fin && matches!(header.opcode, Opcode::Text | Opcode::Binary) && second & 0x7f != 127
            };
            let expected = parsed.filter(is_short).map(|header| (header, size));
            prop_assert_eq!(Header::of_short_message(&input), expected);
        }

        #[test]
        fn a_masked_payload_is_ascii_if_each_of_its_bytes_is(
            plain in prop_oneof![
                proptest::collection::vec(0..0x80_u8, 0..100),
                (proptest::collection::vec(0..0x80_u8, 1..100), 0..100_usize, 0x80..=0xff_u8).prop_map(
                    |(mut plain, at, byte)| {
                        let at = at % plain.len();
                        plain[at] = byte;
                        plain
                    },
                ),
            ],
            mask: [u8; 4],
        ) {
            let mut masked = plain.clone();
            apply_mask(&mut masked, mask, 0);
            prop_assert_eq!(is_masked_ascii(&masked, mask), plain.is_ascii());
        }

        #[test]
        fn masking_in_pieces_equals_masking_at_once(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            mask: [u8; 4],
            at in 0..200_usize,
        ) {
            let plain: Vec<u8> = data.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut pieces = data.clone();
            let at = at.min(data.len());
            apply_mask(&mut pieces[..at], mask, 0);
            apply_mask(&mut pieces[at..], mask, at);
            prop_assert_eq!(pieces, plain);
        }
    }
}
