//! Fuzzes bodies of chunks.
//!
//! The first byte of an input is the length of the pieces; the rest is a body and what follows it.

use towline::http1::{
    BadChunk, Chunked,
    chunked::{LAST, encode},
};

/// The data and the number of bytes that the body takes; `None` if it is not complete.
type Decoded = Result<Option<(Vec<u8>, usize)>, BadChunk>;

/// The result does not depend on the pieces. A body that is accepted has the same data when a strict reader decodes it,
/// and when it is encoded again.
pub fn run(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, usize::from(*cut).max(1)), whole);
    let Ok(Some((data, length))) = whole else { return };
    assert_eq!(plain(&bytes[..length]), Some(data.clone()), "a simple reader finds the same");
    let mut encoded = Vec::new();
    data.chunks(7).for_each(|part| encode(part, &mut encoded));
    encoded.extend_from_slice(LAST);
    assert_eq!(decode(&encoded, 3), Ok(Some((data, encoded.len()))));
}

fn decode(bytes: &[u8], cut: usize) -> Decoded {
    let (mut body, mut data, mut used) = (Chunked::default(), Vec::new(), 0);
    for piece in bytes.chunks(cut) {
        let mut input = piece;
        while let Some(part) = body.next(&mut input)? {
            data.extend_from_slice(part);
        }
        used += piece.len() - input.len();
    }
    Ok(body.is_complete().then_some((data, used)))
}

/// Decodes a whole body line by line, as RFC 9112 section 7.1 describes it.
fn plain(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let (line, rest) = split(bytes)?;
        let size = line.split(|byte| *byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        bytes = rest;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
    while let Some((line, rest)) = split(bytes) {
        bytes = rest;
        if line.is_empty() {
            return bytes.is_empty().then_some(data);
        }
    }
    None
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((&bytes[..at], &bytes[at + 2..]))
}
