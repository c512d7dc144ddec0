//! The origin of an event.

use std::net::SocketAddr;

/// The origin of an event, as returned by `tremor::origin`.
///
/// `tremor-ws://10.0.0.7:51334/9139` is a message of the client 10.0.0.7:51334 to the listener on
/// port 9139; `tremor-ws://chat.internal:8139/rooms` is one of the upstream `ws://chat.internal:8139/rooms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Address or name of the peer; IPv6 addresses without brackets.
    pub host: String,
    /// The peer's port, if known.
    pub port: Option<u16>,
    /// For a client, the port it connected to; for an upstream, the segments of its path.
    pub path: Box<[String]>,
}

impl Origin {
    /// The URL scheme of every origin.
    pub const SCHEME: &str = "tremor-ws";

    /// The origin of events from a client; `port` is the port that it connected to.
    pub fn of_client(peer: SocketAddr, port: u16) -> Self {
        Self { host: peer.ip().to_string(), port: Some(peer.port()), path: Box::new([port.to_string()]) }
    }
}
