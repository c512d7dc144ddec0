//! TLS (RFC 8446, RFC 5246) on the connections to upstreams.
//!
//! ```text
//! TlsClient: roots, certificate and key of an upstream ─► handshake ─► TlsStream
//! ```
//!
//! * [`client`]: connects as a client; one [`TlsClient`] for each upstream.
//! * [`stream`]: the bytes of a connection after its handshake.
//! * [`pem`]: certificates and keys in files.
//! * [`error`]: what is wrong, in words for logs and clients.

pub mod client;
pub mod error;
pub mod pem;
pub mod stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use self::{
    client::{Roots, TlsClient, TlsClientError, Trust},
    error::TlsError,
    pem::{Identity, PemError},
    stream::TlsStream,
};

/// The application protocol that is agreed on (RFC 7301). The WebSocket handshake is one of HTTP/1.1 (RFC 6455
/// section 1.3).
const ALPN: &[u8] = b"http/1.1";

/// The cryptography. It is passed explicitly, because a process has only one default, which a library may set.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
