//! The method `forward`: requests to the service.
//!
//! Each worker thread has its own HTTP client for each section, which keeps connections for the next requests.

use std::{cell::RefCell, collections::HashMap, sync::Arc, time::Duration};

use actix_http::{
    StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use awc::{
    Client, ClientRequest, ClientResponse,
    error::{ConnectError, SendRequestError},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::Offer;
use crate::{
    auth::{
        Denial, Secret, bearer,
        forward::{ForwardConfig, Judged, METHOD, ServiceError, TARGET, is_set_by_proxy, judge},
    },
    client_address::is_forwarding,
    header_list::is_named_by_connection,
    net::{Connect, LookupError, Network, TcpOptions, TlsError, tls::TlsClient},
};

/// Maximum size of a body that is read, so that the connection can be used again. After a longer one it is closed.
const BODY_MAX: usize = 64 * 1024;

/// A time longer than any request. It disables awc's time limit, so that `timeout` is the only one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How connections to the service are set up.
const TCP: TcpOptions = TcpOptions { keepalive: None, user_timeout: None };

/// The headers of [`Chain`](crate::client_address::Chain) that the service gets.
const OF_CHAIN: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

/// The HTTP clients of one worker thread, by section.
#[derive(Default)]
pub struct Clients {
    clients: RefCell<HashMap<Arc<str>, Client>>,
}

/// The checker of a section, which asks its service.
pub(super) struct Checker {
    name: Arc<str>,
    config: ForwardConfig,
    network: Arc<Network>,
    slots: Arc<Semaphore>,
}

// === impl Clients ===

impl Clients {
    fn of(&self, checker: &Checker) -> Client {
        let mut clients = self.clients.borrow_mut();
        clients.entry(Arc::clone(&checker.name)).or_insert_with(|| checker.client()).clone()
    }

    /// Closes the connections of a section that are not in use.
    fn forget(&self, checker: &Checker) {
        self.clients.borrow_mut().remove(&checker.name);
    }
}

// === impl Checker ===

impl Checker {
    pub(super) fn new(name: &Arc<str>, config: &ForwardConfig, network: &Arc<Network>) -> Self {
        let slots = Arc::new(Semaphore::new(config.max_requests));
        Self { name: Arc::clone(name), config: config.clone(), network: Arc::clone(network), slots }
    }

    /// TLS to the service, if it has it.
    pub(super) fn tls(&self) -> Option<&TlsClient> {
        self.config.tls.as_ref()
    }

    /// Asks the service. Dropping the future ends the request.
    pub(super) async fn check(
        &self,
        offer: &Offer<'_>,
        credential: Option<&Secret>,
    ) -> Result<Judged, Denial> {
        offer.waiting.begin(std::time::Instant::now())?;
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| Denial::Failed(ServiceError::Full))?;
        let time = self.config.timeout;
        let end = Instant::now() + time;
        let late = |_| Denial::Failed(ServiceError::Timeout(time));
        let response = timeout_at(end, self.ask(offer, credential)).await.map_err(late)?;
        let mut response = response.map_err(Denial::Failed)?;
        let judged = judge(&self.config, &self.name, response.status(), response.headers());
        // The client does not wait for the body.
        actix_rt::spawn(async move {
            let _slot = slot;
            // Without the end of the body, the connection is closed.
            let _ = timeout_at(end, response.body().limit(BODY_MAX)).await;
        });
        judged
    }

    async fn ask(
        &self,
        offer: &Offer<'_>,
        credential: Option<&Secret>,
    ) -> Result<ClientResponse, ServiceError> {
        let mut is_repeated = false;
        loop {
            let request = self.request(&offer.clients.of(self), offer, credential);
            match request.send().await {
                Ok(response) => {
                    if has_more(&response) {
                        offer.clients.forget(self);
                    }
                    return Ok(response);
                }
                // The service may have closed a connection before the request arrived (RFC 9110 section 9.2.2).
                Err(error) if !is_repeated && is_closed(&error) => {
                    is_repeated = true;
                    offer.clients.forget(self);
                }
                Err(error) => return Err(ServiceError::Unreachable(text_of(error))),
            }
        }
    }

    fn request(&self, client: &Client, offer: &Offer<'_>, credential: Option<&Secret>) -> ClientRequest {
        let headers = offer.request.headers;
        let mut request = client.get(self.config.url.clone()).no_decompress();
        let mut append = |name: &HeaderName, value: HeaderValue| {
            request.headers_mut().append(name.clone(), value);
        };
        for name in &self.config.request_headers {
            let is_replaced = is_set_by_proxy(name) || (credential.is_some() && *name == AUTHORIZATION);
            if is_replaced {
                continue;
            }
            if is_forwarding(name) {
                offer.chain.header(name, headers).into_iter().for_each(|value| append(name, value));
            } else if !is_named_by_connection(headers, name) {
                offer.hidden.values(headers, name).for_each(|value| append(name, value.clone()));
            }
        }
        if let Some(value) = credential.and_then(bearer) {
            append(&AUTHORIZATION, value);
        }
        for name in &OF_CHAIN {
            if let Some(value) = offer.chain.header(name, headers) {
                append(name, value);
            }
        }
        let target = offer.hidden.uri.path_and_query().map_or("/", |target| target.as_str());
        for (name, value) in [(METHOD, offer.method.as_str()), (TARGET, target)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                append(&name, value);
            }
        }
        request
    }

    fn client(&self) -> Client {
        let connect = Connect::new(Arc::clone(&self.network), TCP);
        let host = self.config.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let connect = match &self.config.tls {
            Some(tls) => connect.secured(tls, host.to_owned()),
            None => connect,
        };
        let connector = awc::Connector::new()
            .connector(connect)
            .timeout(FOREVER)
            // The slots of the section are the limit.
            .limit(0);
        let client = Client::builder().connector(connector).disable_timeout().disable_redirects();
        client.no_default_headers().finish()
    }
}

/// Whether more bytes follow this response than awc expects: the final response after a 1xx, or a body without length
/// (RFC 9112 section 6.3). The next request on the connection would take them for its own response.
fn has_more(response: &ClientResponse) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let has_length = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    status.is_informational() || (has_body && !has_length)
}

/// Whether the connection was closed before the response, so that the request can be sent again on another one.
fn is_closed(error: &SendRequestError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => true,
        SendRequestError::Send(error)
        | SendRequestError::Response(actix_http::error::ParseError::Io(error)) => {
            matches!(error.kind(), BrokenPipe | ConnectionReset)
        }
        _ => false,
    }
}

/// The reason why there is no response, without addresses and secrets.
fn text_of(error: SendRequestError) -> String {
    use actix_http::error::ParseError;
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
        SendRequestError::Connect(ConnectError::Disconnected) => "connection closed".to_owned(),
        SendRequestError::Connect(_) => "no connection".to_owned(),
        SendRequestError::Response(ParseError::Io(_)) => "connection closed".to_owned(),
        SendRequestError::Response(ParseError::TooLarge) => "headers too large".to_owned(),
        SendRequestError::Response(_) => "no HTTP response".to_owned(),
        _ => "request not sent".to_owned(),
    }
}
