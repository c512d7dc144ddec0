//! Requests to the collector.

use std::{sync::Arc, time::Duration};

use actix_http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use awc::{
    Client, ClientResponse,
    error::{ConnectError, SendRequestError},
};
use bytes::Bytes;
use prost::Message;
use tokio::time::timeout;

use super::{
    otlp::{ExportResponse, PartialSuccess},
    retry,
};
use crate::{
    net::{Connect, LookupError, Network, TcpOptions, TlsError},
    traces::TracesConfig,
};

/// Maximum size of a response, in bytes. It has a number and a text.
const BODY_MAX: usize = 64 * 1024;

/// A time longer than any request. It disables awc's time limit, so that `traces.export_timeout` is the only one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How connections to the collector are set up. Each request has a time limit.
const TCP: TcpOptions = TcpOptions { keepalive: None, user_timeout: None };

/// The collector, as the exporter reaches it.
pub(super) struct Collector {
    config: Arc<TracesConfig>,
    client: Client,
}

/// Why the collector did not take the spans.
#[derive(Debug)]
pub(super) struct NotTaken {
    /// The reason, for the log.
    pub(super) reason: String,
    /// Whether it may take them later.
    pub(super) is_retryable: bool,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
}

// === impl Collector ===

impl Collector {
    pub(super) fn new(config: &Arc<TracesConfig>, network: &Arc<Network>) -> Self {
        let connect = Connect::new(Arc::clone(network), TCP);
        let connect = match &config.tls {
            Some(tls) => connect.secured(tls, config.url.host.clone()),
            None => connect,
        };
        let connector = awc::Connector::new().connector(connect).timeout(FOREVER);
        // A redirect would send the headers, which are secret, to another place.
        let client = Client::builder().connector(connector).disable_timeout().disable_redirects();
        Self { config: Arc::clone(config), client: client.no_default_headers().finish() }
    }

    /// Sends a request, within `traces.export_timeout`. Returns what the collector refused of it.
    pub(super) async fn send(&self, body: Bytes) -> Result<PartialSuccess, NotTaken> {
        let limit = self.config.timeout;
        let late = |_| NotTaken::retryable(format!("no answer within {}", humantime::format_duration(limit)));
        timeout(limit, self.post(body)).await.map_err(late)?
    }

    async fn post(&self, body: Bytes) -> Result<PartialSuccess, NotTaken> {
        let url = &self.config.url;
        // Each batch has a new connection, because the collector may close an idle one at any time.
        let mut request = self.client.post(url.request.clone()).force_close().no_decompress();
        for (name, value) in &self.config.headers {
            request = request.insert_header((name.clone(), value.clone()));
        }
        let request = request.insert_header((HOST, url.authority.as_str()));
        let request = request.insert_header((CONTENT_TYPE, "application/x-protobuf"));
        let mut response =
            request.send_body(body).await.map_err(|error| NotTaken::retryable(text_of(error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(NotTaken {
                reason: format!("status {}", status.as_u16()),
                is_retryable: retry::is_retryable(status.as_u16()),
                retry_after: retry_after(&response),
            });
        }
        // The spans are taken, whatever the body is.
        let body = response.body().limit(BODY_MAX).await.unwrap_or_default();
        let taken = ExportResponse::decode(body).unwrap_or_default();
        Ok(taken.partial_success.unwrap_or_default())
    }
}

/// The seconds in `Retry-After`. A date there is ignored.
fn retry_after(response: &ClientResponse) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

// === impl NotTaken ===

impl NotTaken {
    fn retryable(reason: String) -> Self {
        Self { reason, is_retryable: true, retry_after: None }
    }
}

/// The reason why there is no response, without secrets.
fn text_of(error: SendRequestError) -> String {
    match error {
        SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
            match TlsError::of(&error) {
                Some(error) => format!("TLS: {error}"),
                None => format!("IO error: {error}"),
            }
        }
        SendRequestError::Connect(ConnectError::Resolver(error)) => {
            let error = error.downcast_ref::<LookupError>().cloned().unwrap_or(LookupError::NotFound);
            format!("host name cannot be resolved: {error}")
        }
        SendRequestError::Connect(_) => "no connection".to_owned(),
        SendRequestError::Response(_) => "no HTTP response".to_owned(),
        _ => "request not sent".to_owned(),
    }
}
