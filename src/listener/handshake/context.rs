//! What is known about a request while its handshake is in progress.

use std::net::SocketAddr;

use actix_http::RequestHead;

/// A client's request for a WebSocket, with what the checks, the routes and the upstream's handshake need.
///
/// It exists from the end of the request's head to the start of the session.
///
/// # Security
/// It has no `Debug` form, because path, query and headers contain a client's secrets.
pub(super) struct RequestContext {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// The address that the client connected to; `None` when the socket has failed.
    pub(super) local: Option<SocketAddr>,
    /// Method, path and query, headers.
    pub(super) head: RequestHead,
    /// The subprotocols that the client offers, in its order of preference. Empty until the handshake has
    /// been checked.
    pub(super) subprotocols: Vec<String>,
}

impl RequestContext {
    /// The context of a request that has not been checked.
    pub(super) fn new(head: RequestHead, peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        Self { peer, local, head, subprotocols: Vec::new() }
    }

    /// The path of the request, without query, as the client spelled it.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }
}
