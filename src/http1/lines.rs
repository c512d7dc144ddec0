//! The header lines of a head.

use crate::spelling;

/// Appends a header line, with the name in the spelling of the RFCs.
pub fn push_line(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    let at = head.len();
    head.extend_from_slice(name.as_bytes());
    spelling::spell(&mut head[at..]);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
