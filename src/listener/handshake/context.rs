//! The facts about a request while its handshake is in progress.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use actix_http::{
    RequestHead,
    header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE, USER_AGENT},
};

#[cfg(test)]
use crate::client_address::{ForwardingHeaders, TrustedProxies};
use crate::{
    access::Opening,
    auth::{Hidden, Identity, Secret, Source, bearer, text_of},
    authenticator::Authenticator,
    certificate::TlsFacts,
    client_address::Chain,
    event::Origin,
    header_list::has_token,
    listener::{renewal::renewal, state::ServerState},
    net::Stream,
    policy::LimitKey,
    router,
    session::{KnownClient, Renewal},
    settings::Route,
    traces::StartingTrace,
};

/// A client's request for a WebSocket, with the facts that the checks, the routes and the upstream's
/// handshake need.
///
/// The context exists from the end of the request's head to the start of the session.
pub(super) struct RequestContext {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// The proxies between client and listener, for the forwarding headers of the request to the upstream.
    pub(super) chain: Chain,
    /// The address that the client connected to, if the PROXY header has it; otherwise it is that of the socket.
    pub(super) local: Option<SocketAddr>,
    /// What is known of the TLS connection; `None` without TLS.
    pub(super) tls: Option<Arc<TlsFacts>>,
    /// Method, path, query and headers of the request.
    pub(super) head: RequestHead,
    /// The subprotocols that the client offers, in its order of preference. Empty until the handshake has
    /// been checked.
    pub(super) subprotocols: Vec<String>,
    /// The route, once it is selected.
    pub(super) route: Option<Arc<Route>>,
    /// The identity of the client, once it is authenticated; `None` on a route without authentication.
    pub(super) identity: Option<Arc<Identity>>,
    /// The method that accepted the client; `None` on a route without authentication.
    pub(super) authenticator: Option<Arc<Authenticator>>,
    /// Headers for the upstream from the client's authentication. Each replaces the client's own, also without values.
    pub(super) known_headers: Vec<(HeaderName, Vec<HeaderValue>)>,
    /// Where the client's credential was; `None` if it has none.
    pub(super) source: Option<Source>,
    /// The first span of the session, once the handshake has been checked; `None` if the session is not traced.
    pub(super) trace: Option<StartingTrace>,
    /// The query with masked credentials, if it had any.
    shown_query: Option<String>,
}

impl RequestContext {
    /// Creates the context of a request that has not been checked.
    pub(super) fn new(head: RequestHead, chain: Chain, local: Option<SocketAddr>) -> Self {
        Self {
            peer: chain.client,
            chain,
            local,
            tls: None,
            head,
            subprotocols: Vec::new(),
            route: None,
            identity: None,
            authenticator: None,
            known_headers: Vec::new(),
            source: None,
            trace: None,
            shown_query: None,
        }
    }

    /// What pipelines see as the origin of the client's events; `None` when the socket has failed.
    pub(super) fn origin(&self, stream: &Stream) -> Option<Arc<Origin>> {
        let local = self.local.or_else(|| stream.local_addr().ok())?;
        Some(Arc::new(Origin::of_client(self.peer, local.port())))
    }

    /// What the access log has of the request, on this route.
    pub(super) fn opening<'a>(
        &'a self,
        listener: &'a str,
        route: &'a Route,
        subprotocol: Option<&'a str>,
    ) -> Opening<'a> {
        let header = |name: HeaderName| self.head.headers.get(name).map(HeaderValue::as_bytes);
        Opening {
            listener,
            route: &route.name,
            upstream: route.upstream.as_ref().map(|upstream| upstream.name.as_str()),
            peer: self.peer,
            host: header(HOST),
            path: self.path(),
            origin: header(ORIGIN),
            user_agent: header(USER_AGENT),
            subprotocol,
            tls: self.tls.as_ref().map(|tls| tls.version),
        }
    }

    /// The context of a request that came directly from `peer`.
    #[cfg(test)]
    pub(super) fn direct(head: RequestHead, peer: SocketAddr) -> Self {
        let none = TrustedProxies { networks: Box::default(), headers: ForwardingHeaders::XForwarded };
        let chain = Chain::new(peer, false, &head.headers, &none).unwrap();
        Self::new(head, chain, None)
    }

    /// Removes credentials from the request.
    pub(super) fn hide(&mut self, hidden: Hidden) {
        let Hidden { uri, shown_query, subprotocols, headers } = hidden;
        for (name, values) in headers {
            self.head.headers.remove(&name);
            values.into_iter().for_each(|value| self.head.headers.append(name.clone(), value));
        }
        self.head.uri = uri;
        self.shown_query = shown_query;
        self.subprotocols = subprotocols;
    }

    /// Sends the client's credential to the upstream, if its method does that.
    pub(super) fn forward_credential(&mut self, secret: &Secret) {
        if self.authenticator.as_ref().is_some_and(|method| method.config().forwards) {
            self.known_headers.retain(|(name, _)| *name != AUTHORIZATION);
            self.known_headers.extend(bearer(secret).map(|value| (AUTHORIZATION, vec![value])));
        }
    }

    /// Continues with another credential of the client, as if the request had had it.
    pub(super) fn renew(&mut self, secret: &Secret, identity: &Arc<Identity>) {
        self.identity = Some(Arc::clone(identity));
        if let Some(source) = &self.source {
            source.replace(&mut self.head.headers, secret);
        }
        self.forward_credential(secret);
    }

    /// Whether a subprotocol was the client's credential. Browsers then need another one in the response.
    pub(super) fn answers_subprotocol(&self) -> bool {
        matches!(self.source, Some(Source::Subprotocol(_)))
    }

    /// The query of the request with masked credentials, as the client spelled it.
    pub(super) fn query(&self) -> Option<&str> {
        self.shown_query.as_deref().or_else(|| self.head.uri.query())
    }

    /// The path of the request, without query, as the client spelled it.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The name of the route for the log; `-` before it is selected.
    pub(super) fn route_name(&self) -> &str {
        self.route.as_ref().map_or("-", |route| &route.name)
    }

    /// What the session knows of the client; `None` on a route without authentication.
    pub(super) fn known(&self) -> Option<KnownClient> {
        let (identity, route) = (self.identity.as_ref()?, self.route.as_ref()?);
        Some(KnownClient { identity: Arc::clone(identity), log_claims: Arc::clone(&route.log_claims) })
    }

    /// How the client renews its credential; `None` if it cannot.
    pub(super) fn renewal(&self, server: &Arc<ServerState>) -> Option<Renewal> {
        renewal(self.authenticator.as_ref()?, self.route.as_ref()?, server)
    }

    /// The value that a limit of the route counts by; `None` if the client does not have it. Several headers of the
    /// same name have one value.
    pub(super) fn limit_key(&self, key: &LimitKey) -> Option<Cow<'_, [u8]>> {
        match key {
            LimitKey::Claim(name) => match text_of(self.identity.as_ref()?.claim(name)?) {
                Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
                Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
            },
            LimitKey::Header(name) => {
                let values: Vec<_> = self.head.headers.get_all(name).map(HeaderValue::as_bytes).collect();
                match values.as_slice() {
                    [] => None,
                    [value] => Some(Cow::Borrowed(value)),
                    several => Some(Cow::Owned(several.join(&b", "[..]))),
                }
            }
        }
    }

    /// The parts of the request that routes are selected by.
    pub(super) fn routed_by<'a>(&'a self, listener: &'a str) -> router::Request<'a> {
        router::Request {
            listener,
            uri: &self.head.uri,
            headers: &self.head.headers,
            subprotocols: &self.subprotocols,
            peer: self.peer.ip(),
            tls_name: self.tls.as_ref().and_then(|tls| tls.server_name.as_deref()),
            is_plain: !has_token(&self.head.headers, &UPGRADE, "websocket"),
        }
    }
}
