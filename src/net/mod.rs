//! TCP connections: listening sockets, socket options, and connecting to upstreams.
//!
//! ```text
//! Connect ─► resolve (names: the cache) ─► eyeballs (race: which address when) ─► options
//! ```

mod connect;
mod eyeballs;
mod listen;
mod names;
mod options;
mod race;
mod resolve;
mod spelled;

use std::net::SocketAddr;

pub use self::{
    connect::{Connect, Network},
    listen::{Bind, Listening, listen},
    names::{Addresses, LookupError},
    options::{TcpOptions, tune},
    resolve::Resolver,
};

/// The address of a peer as it is known elsewhere: a client of IPv4 that came by an IPv6 socket has its IPv4
/// address, not the mapping `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
