//! Connections: listening sockets, clients' streams, socket options, and connecting to upstreams.
//!
//! ```text
//! Connect ─► place ─► resolve (names: the cache) ─► eyeballs (race: which address when) ─► options ─► tls
//! ```

mod connect;
mod eyeballs;
pub mod inherited;
mod listen;
mod names;
mod options;
mod place;
mod race;
mod resolve;
mod spelled;
mod stream;
pub mod tls;

use std::net::SocketAddr;

pub use self::{
    connect::{Connect, Network},
    listen::{Bind, Listening, includes_v4, listen, listen_to, v4_beside},
    names::{ADDRESSES_MAX, Addresses, LookupError},
    options::{AcceptedOptions, TcpOptions, tune, tune_listening},
    place::{Place, Socket},
    resolve::Resolver,
    stream::{Insecure, Stream, read_through},
    tls::{TlsClient, TlsError, TlsServer},
};

/// The address without IPv4 mapping. On an IPv6 socket, a peer that connects over IPv4 has the address
/// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), which becomes `a.b.c.d`.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
