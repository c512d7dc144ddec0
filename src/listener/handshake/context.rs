//! The facts about a request while its handshake is in progress.

use std::{net::SocketAddr, sync::Arc};

use actix_http::{RequestHead, header::UPGRADE};

#[cfg(test)]
use crate::client_address::{ForwardingHeaders, TrustedProxies};
use crate::{client_address::Chain, header_list::has_token, router, settings::Route};

/// A client's request for a WebSocket, with the facts that the checks, the routes and the upstream's
/// handshake need.
///
/// The context exists from the end of the request's head to the start of the session.
pub(super) struct RequestContext {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// The way of the request from the client, for the headers of the request to the upstream.
    pub(super) chain: Chain,
    /// The address that the client connected to; `None` when the socket has failed.
    pub(super) local: Option<SocketAddr>,
    /// Method, path, query and headers of the request.
    pub(super) head: RequestHead,
    /// The subprotocols that the client offers, in its order of preference. Empty until the handshake has
    /// been checked.
    pub(super) subprotocols: Vec<String>,
    /// The route, once it is selected.
    pub(super) route: Option<Arc<Route>>,
}

impl RequestContext {
    /// Creates the context of a request that has not been checked.
    pub(super) fn new(head: RequestHead, chain: Chain, local: Option<SocketAddr>) -> Self {
        Self { peer: chain.client, chain, local, head, subprotocols: Vec::new(), route: None }
    }

    /// The context of a request that came directly from `peer`.
    #[cfg(test)]
    pub(super) fn direct(head: RequestHead, peer: SocketAddr) -> Self {
        let none = TrustedProxies { networks: Box::default(), headers: ForwardingHeaders::XForwarded };
        let chain = Chain::new(peer, false, &head.headers, &none).unwrap();
        Self::new(head, chain, None)
    }

    /// The path of the request, without query, as the client spelled it.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The name of the route for the log; `-` before it is selected.
    pub(super) fn route_name(&self) -> &str {
        self.route.as_ref().map_or("-", |route| &route.name)
    }

    /// The parts of the request that routes are selected by.
    pub(super) fn routed_by<'a>(&'a self, listener: &'a str) -> router::Request<'a> {
        router::Request {
            listener,
            uri: &self.head.uri,
            headers: &self.head.headers,
            subprotocols: &self.subprotocols,
            peer: self.peer.ip(),
            is_plain: !has_token(&self.head.headers, &UPGRADE, "websocket"),
        }
    }
}
