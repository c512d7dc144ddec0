//! Connects to an endpoint for one HTTP request that is no WebSocket handshake.

use std::{sync::Arc, time::Instant};

use actix_http::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use tokio::time::timeout;

use super::{ClientPath, Destination, DialError, Dialer, Lease, dial::connector_to, request::authorization};
use crate::{net::Socket, settings::UpstreamUrl};

/// A connection for one request. It counts as a session of its endpoint until it is dropped.
pub struct HttpConnection {
    /// The connection.
    pub socket: Socket,
    /// The server, and the URL of the request.
    pub destination: Destination,
    _lease: Lease,
}

/// Where a request goes, in the terms of the request itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    /// Path and query: the target of the request.
    pub path: String,
    /// Host and port of the URL.
    pub host: String,
    /// `Authorization`, from user and password in the URL.
    pub authorization: Option<(HeaderName, HeaderValue)>,
}

impl Dialer {
    /// Connects to the endpoint that the pool chooses, within `connect_timeout`. If an endpoint fails, the next one is
    /// tried, each at most once, because nothing has been sent yet. `key` is the value of the upstream's `hash`.
    ///
    /// # Errors
    /// When no endpoint can be connected to.
    pub async fn open(&self, path: &ClientPath, key: Option<u64>) -> Result<HttpConnection, DialError> {
        let upstream = self.upstream();
        let limit = upstream.settings.connect_timeout;
        let end = Instant::now() + limit;
        let (mut tried, mut last) = (Vec::new(), None);
        loop {
            let lease = match upstream.acquire(key, &tried, end).await {
                Ok(lease) => lease,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            tried.push(Arc::clone(lease.endpoint()));
            // The client's path makes this endpoint's URL too long. The handshake has checked the first endpoint's.
            let Ok(url) = path.at(lease.endpoint().url()) else { continue };
            let left = end.saturating_duration_since(Instant::now());
            let time = if upstream.has_another(&tried) { left / 2 } else { left };
            let connecting = timeout(time, self.connect(&url)).await;
            match connecting.unwrap_or(Err(DialError::Timeout(limit))) {
                Ok(socket) => return Ok(self.opened(socket, url, lease)),
                Err(error) => {
                    let endpoint = Arc::clone(lease.endpoint());
                    drop(lease);
                    upstream.report_end(&endpoint, &error.failure());
                    last = Some(error);
                }
            }
        }
    }

    async fn connect(&self, url: &UpstreamUrl) -> Result<Socket, DialError> {
        let upstream = self.upstream();
        let place = url.place().ok_or(DialError::Handshake("request not sent"))?;
        Ok(connector_to(url, &upstream.network, &upstream.settings).open(place).await?)
    }

    fn opened(&self, socket: Socket, url: UpstreamUrl, mut lease: Lease) -> HttpConnection {
        self.upstream().report_up(&mut lease);
        let destination = Destination { endpoint: Arc::clone(lease.endpoint()), url };
        HttpConnection { socket, destination, _lease: lease }
    }
}

impl HttpConnection {
    /// Where the request goes; `None` if the URL cannot be parsed, which the settings exclude.
    pub fn target(&self, dialer: &Dialer) -> Option<HttpTarget> {
        let url = self.destination.url.request();
        let (url, authorization) = authorization(&dialer.upstream().settings, &url);
        let uri: Uri = url.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(HttpTarget { path, host: uri.authority()?.to_string(), authorization })
    }
}
