//! The headers of a session's handshakes with its upstream.

use std::{cell::RefCell, rc::Rc};

use actix_http::header::{HeaderName, HeaderValue};

/// The headers of one handshake.
type Headers = Rc<Vec<(HeaderName, HeaderValue)>>;

/// The client's headers that are forwarded, and the configured ones. Clones share them, so that a later handshake of the
/// session has the credential that the client has renewed.
#[derive(Clone)]
pub struct HandshakeHeaders(Rc<RefCell<Stored>>);

/// The headers, in the form that their next use needs.
enum Stored {
    /// For a handshake.
    Ready(Headers),
    /// For a session that is connected. It seldom needs them again, and they take a part of the memory.
    Packed(PackedHeaders),
}

/// Headers in one block of memory: for each the name, a colon, a byte that says whether the value is sensitive, the value
/// and a newline. Names contain no colon, and values no newline.
struct PackedHeaders(Box<[u8]>);

// === impl HandshakeHeaders ===

impl HandshakeHeaders {
    /// The headers of a handshake that begins now.
    pub fn get(&self) -> Rc<Vec<(HeaderName, HeaderValue)>> {
        match &*self.0.borrow() {
            Stored::Ready(headers) => Rc::clone(headers),
            Stored::Packed(packed) => packed.unpack(),
        }
    }

    /// Replaces the headers, from the next handshake on.
    pub fn replace(&self, headers: Vec<(HeaderName, HeaderValue)>) {
        self.0.replace(Stored::Packed(PackedHeaders::new(&headers)));
    }

    /// Frees memory, because the session has its first connection, or will wait for it.
    pub fn pack(&self) {
        let packed = match &*self.0.borrow() {
            Stored::Ready(headers) => PackedHeaders::new(headers),
            Stored::Packed(_) => return,
        };
        self.0.replace(Stored::Packed(packed));
    }
}

impl From<Vec<(HeaderName, HeaderValue)>> for HandshakeHeaders {
    fn from(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self(Rc::new(RefCell::new(Stored::Ready(Rc::new(headers)))))
    }
}

// === impl PackedHeaders ===

const SENSITIVE: u8 = b'!';
const PLAIN: u8 = b' ';

impl PackedHeaders {
    fn new(headers: &[(HeaderName, HeaderValue)]) -> Self {
        let size = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 3).sum();
        let mut bytes = Vec::with_capacity(size);
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(&[b':', if value.is_sensitive() { SENSITIVE } else { PLAIN }]);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        }
        Self(bytes.into())
    }

    fn unpack(&self) -> Headers {
        let lines = self.0.split_inclusive(|byte| *byte == b'\n');
        Rc::new(lines.filter_map(|line| header(line.strip_suffix(b"\n")?)).collect())
    }
}

/// The header of one line of [`PackedHeaders`], which always has one.
fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (sensitive, value) = line.get(colon + 1..)?.split_first()?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(*sensitive == SENSITIVE);
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, value))
}

#[cfg(test)]
mod tests {
    use actix_http::header::{AUTHORIZATION, COOKIE};

    use super::*;

    #[test]
    fn packed_headers_are_the_same_again() {
        let own = HeaderName::from_static("x-own");
        let mut secret = HeaderValue::from_static("Bearer a:b");
        secret.set_sensitive(true);
        let given = vec![
            (AUTHORIZATION, secret),
            (COOKIE, HeaderValue::from_static("a=1")),
            (COOKIE, HeaderValue::from_bytes(b"b=\xff\t: ").unwrap()),
            (own, HeaderValue::from_static("")),
        ];
        let headers = HandshakeHeaders::from(given.clone());
        let clone = headers.clone();
        for _ in 0..2 {
            assert_eq!(*clone.get(), given[..]);
            assert!(clone.get()[0].1.is_sensitive() && !clone.get()[1].1.is_sensitive());
            headers.pack();
        }
        headers.replace(given[2..].to_vec());
        assert_eq!(*clone.get(), given[2..]);
        headers.replace(Vec::new());
        assert!(clone.get().is_empty());
    }
}
