//! Decodes a body of chunks (RFC 9112 section 7.1), strictly.
//!
//! ```text
//! 5;name=value\r\nhello\r\n0\r\nTrailer: value\r\n\r\n
//! ```
//! Extensions and trailers are dropped, as an intermediary may do.

/// Maximum number of hexadecimal digits of a chunk's size.
const DIGITS_MAX: u8 = 15;

/// Maximum length of the extensions of a chunk, in bytes.
const EXTENSIONS_MAX: usize = 256;

/// Maximum length of all trailers, in bytes.
const TRAILERS_MAX: usize = 8 * 1024;

/// A decoder, which gets the bytes in any pieces.
#[derive(Debug, Default)]
pub struct Chunked(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size of a chunk, with the number of its digits so far.
    Size(u64, u8),
    /// In the extensions of a chunk of this size, with the number of their bytes so far.
    Extensions(u64, usize),
    /// Before the LF after the size.
    SizeEnd(u64),
    /// In the data, with the number of bytes to come.
    Data(u64),
    /// Before the CR after the data.
    DataCr,
    /// Before the LF after the data.
    DataLf,
    /// In the trailers, with the number of their bytes so far, and whether a line begins.
    Trailers(usize, bool),
    /// Before the LF of a trailer.
    TrailerEnd(usize),
    /// Before the last LF.
    LastLf,
    Complete,
}

/// A body that is not made of chunks, or with extensions or trailers beyond the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked body")]
pub struct BadChunk;

impl Default for State {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

impl Chunked {
    /// Whether the body is complete. What follows it is not part of the body.
    pub fn is_complete(&self) -> bool {
        self.0 == State::Complete
    }

    /// Takes bytes from the beginning of `input` up to the end of the next piece of data, and returns that piece. `None`
    /// if more bytes are needed or the body is complete.
    ///
    /// ```
    /// # use towline::http1::Chunked;
    /// let (mut body, mut input) = (Chunked::default(), &b"3\r\nabc\r\n0\r\n\r\nGET"[..]);
    /// assert_eq!(body.next(&mut input), Ok(Some(&b"abc"[..])));
    /// assert_eq!(body.next(&mut input), Ok(None));
    /// assert_eq!((body.is_complete(), input), (true, &b"GET"[..]));
    /// ```
    ///
    /// # Errors
    /// When no more bytes can complete the body.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadChunk> {
        loop {
            let (State::Data(left), bytes) = (self.0, *input) else {
                let Some((byte, rest)) = input.split_first().filter(|_| !self.is_complete()) else {
                    return Ok(None);
                };
                self.0 = self.0.after(*byte)?;
                *input = rest;
                continue;
            };
            if bytes.is_empty() {
                return Ok(None);
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (data, rest) = bytes.split_at(length);
            *input = rest;
            self.0 = match left - length as u64 {
                0 => State::DataCr,
                left => State::Data(left),
            };
            return Ok(Some(data));
        }
    }
}

impl State {
    /// The state after a byte that is no data.
    fn after(self, byte: u8) -> Result<Self, BadChunk> {
        let is_text = byte == b'\t' || !byte.is_ascii_control();
        Ok(match (self, byte) {
            (Self::Size(size, digits), byte) if byte.is_ascii_hexdigit() && digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                Self::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (Self::Size(size, 1..), b';') => Self::Extensions(size, 0),
            (Self::Size(size, 1..) | Self::Extensions(size, _), b'\r') => Self::SizeEnd(size),
            (Self::Extensions(size, length), _) if is_text && length < EXTENSIONS_MAX => {
                Self::Extensions(size, length + 1)
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailers(0, true),
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::default(),
            (Self::Trailers(_, true), b'\r') => Self::LastLf,
            (Self::Trailers(length, false), b'\r') => Self::TrailerEnd(length),
            (Self::Trailers(length, _), _) if is_text && length < TRAILERS_MAX => {
                Self::Trailers(length + 1, false)
            }
            (Self::TrailerEnd(length), b'\n') => Self::Trailers(length, true),
            (Self::LastLf, b'\n') => Self::Complete,
            _ => return Err(BadChunk),
        })
    }
}

/// Appends a chunk with this data, which must not be empty.
pub fn encode(data: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    into.extend_from_slice(data);
    into.extend_from_slice(b"\r\n");
}

/// The end of a body of chunks.
pub const LAST: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, whether it is complete, and the bytes after it.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), BadChunk> {
        let (mut chunked, mut body, mut rest) = (Chunked::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while let Some(data) = chunked.next(&mut input)? {
                assert!(!data.is_empty());
                body.extend_from_slice(data);
            }
            assert!(input.is_empty() || chunked.is_complete());
            rest.extend_from_slice(input);
        }
        Ok((body, chunked.is_complete(), rest))
    }

    #[test]
    fn a_body_is_decoded_without_extensions_and_trailers() {
        for (input, body, rest) in [
            (&b"0\r\n\r\n"[..], "", ""),
            (b"5\r\nhello\r\n0\r\n\r\n", "hello", ""),
            (
                b"5;a=\"b;c\"\r\nhello\r\nA\r\n0123456789\r\n000;x\r\nA: b\r\nC:\r\n\r\nGET / HTTP/1.1",
                "hello0123456789",
                "GET / HTTP/1.1",
            ),
            (b"2\r\n\r\n\r\n0\r\n\r\n\r\n", "\r\n", "\r\n"),
        ] {
            let expected = (body.as_bytes().to_vec(), true, rest.as_bytes().to_vec());
            assert_eq!(decode(&[input]), Ok(expected), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn anything_that_could_be_read_differently_is_refused() {
        for input in [
            &b"\r\n"[..],
            b";a\r\n",
            b"5\nhello",
            b"5 \r\nhello",
            b" 5\r\nhello",
            b"0x5\r\nhello",
            b"+5\r\nhello",
            b"-1\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n0\r\n",
            b"5\r\nhello\rX",
            b"5\rhello",
            b"5;a\nb\r\n",
            b"5;\0\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA: b\rX",
            b"0\r\n\rX",
            b"1000000000000000\r\n",
            b"ffffffffffffffffff\r\n",
        ] {
            assert_eq!(decode(&[input]), Err(BadChunk), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn extensions_and_trailers_are_limited() {
        let extensions = |length| [&b"0;"[..], &vec![b'a'; length], b"\r\n\r\n"].concat();
        assert!(decode(&[&extensions(EXTENSIONS_MAX)]).is_ok());
        assert!(decode(&[&extensions(EXTENSIONS_MAX + 1)]).is_err());
        let trailers = |lines| [&b"0\r\n"[..], &b"a: bcd\r\n".repeat(lines), b"\r\n"].concat();
        assert!(decode(&[&trailers(1000)]).is_ok());
        assert!(decode(&[&trailers(2000)]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_in_any_pieces(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1_usize..20,
        ) {
            let mut encoded = Vec::new();
            parts.iter().for_each(|part| encode(part, &mut encoded));
            encoded.extend_from_slice(LAST);
            let pieces: Vec<_> = encoded.chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Ok((parts.concat(), true, Vec::new())));
        }

        #[test]
        fn any_bytes_give_the_same_result_in_any_pieces(
            parts in proptest::collection::vec(prop_oneof![
                Just(b"\r\n".to_vec()), Just(b"3\r\nabc\r\n".to_vec()), Just(b"0\r\n".to_vec()), Just(b";x".to_vec()),
                proptest::collection::vec(any::<u8>(), 1..3)], 0..10),
        ) {
            let bytes = parts.concat();
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(decode(&single), decode(&[&bytes]));
        }
    }
}
