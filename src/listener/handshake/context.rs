//! The facts about a request while its handshake is in progress.

use std::net::SocketAddr;

use actix_http::RequestHead;

/// A client's request for a WebSocket, with the facts that the checks, the routes and the upstream's
/// handshake need.
///
/// The context exists from the end of the request's head to the start of the session.
pub(super) struct RequestContext {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// The address that the client connected to; `None` when the socket has failed.
    pub(super) local: Option<SocketAddr>,
    /// Method, path, query and headers of the request.
    pub(super) head: RequestHead,
    /// The subprotocols that the client offers, in its order of preference. Empty until the handshake has
    /// been checked.
    pub(super) subprotocols: Vec<String>,
}

impl RequestContext {
    /// Creates the context of a request that has not been checked.
    pub(super) fn new(head: RequestHead, peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        Self { peer, local, head, subprotocols: Vec::new() }
    }

    /// The path of the request, without query, as the client spelled it.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }
}
