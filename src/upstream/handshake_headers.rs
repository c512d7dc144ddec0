//! The headers of a session's handshakes with its upstream.

use std::{cell::RefCell, rc::Rc};

use actix_http::header::{HeaderName, HeaderValue};

/// The headers of one handshake.
type Headers = Rc<[(HeaderName, HeaderValue)]>;

/// The client's headers that are forwarded, and the configured ones. Clones share them, so that a later handshake of the
/// session has the credential that the client has renewed.
#[derive(Clone)]
pub struct HandshakeHeaders(Rc<RefCell<Headers>>);

impl HandshakeHeaders {
    /// The headers of a handshake that begins now.
    pub fn get(&self) -> Rc<[(HeaderName, HeaderValue)]> {
        Rc::clone(&self.0.borrow())
    }

    /// Replaces the headers, from the next handshake on.
    pub fn replace(&self, headers: Vec<(HeaderName, HeaderValue)>) {
        self.0.replace(headers.into());
    }
}

impl From<Vec<(HeaderName, HeaderValue)>> for HandshakeHeaders {
    fn from(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self(Rc::new(RefCell::new(headers.into())))
    }
}
