//! TLS (RFC 8446, RFC 5246) on the connections of clients and on those to upstreams.
//!
//! ```text
//! TlsServer: certificates and keys of a listener            ─► handshake ─► TlsStream
//! TlsClient: roots, certificate and key of an upstream      ─► handshake ─► TlsStream
//!      └─ Reread: replaces them when their files change
//! ```
//!
//! * [`server`]: accepts clients; one [`TlsServer`] for each listener. `by_name` chooses the certificate.
//! * [`client`]: connects as a client; one [`TlsClient`] for each upstream.
//! * [`stream`]: the bytes of a connection after its handshake.
//! * [`pem`]: certificates and keys in files; [`reread`] and `current` follow the files.
//! * [`error`]: what is wrong, in words for logs and clients.

mod by_name;
pub mod client;
mod current;
pub mod error;
pub mod pem;
pub mod reread;
pub mod server;
pub mod stream;
#[cfg(test)]
mod stream_tests;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use self::{
    client::{ClientFileRole, ClientFiles, Roots, TlsClient},
    error::TlsError,
    pem::{Identity, PemError},
    server::{CertificateFiles, ClientAuth, FileRole, NotSecured, ServerFiles, TlsServer},
    stream::TlsStream,
};

/// The application protocol that is agreed on (RFC 7301). The WebSocket handshake is one of HTTP/1.1 (RFC 6455
/// section 1.3).
const ALPN: &[u8] = b"http/1.1";

/// The cryptography. It is passed explicitly, because a process has only one default, which a library may set.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
