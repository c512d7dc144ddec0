//! TCP connections: listening sockets, socket options, and connecting to upstreams.

mod connect;
mod listen;
mod options;
mod spelled;

use std::net::SocketAddr;

pub use self::{
    connect::Connect,
    listen::{Bind, Listening, listen},
    options::{TcpOptions, tune},
};

/// The address of a peer as it is known elsewhere: a client of IPv4 that came by an IPv6 socket has its IPv4
/// address, not the mapping `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
