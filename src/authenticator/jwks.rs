//! Fetches the keys of an issuer from its URL.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_http::header::{ACCEPT, HOST};
use awc::Client;
use tokio::{
    sync::{Notify, watch},
    time::{timeout, timeout_at},
};

use crate::{
    auth::{
        Denial, JwksConfig, Waiting,
        jwt::{Algorithm, Fetches, KeyError, KeySet},
    },
    log::Quoted,
    net::{Connect, Network, TcpOptions, tls::TlsClient},
};

/// How long a fetch may take, from the look-up of the name to the end of the body.
const FETCH_TIME: Duration = Duration::from_secs(5);

/// How long a client waits for a fetch. After that it may try again.
const WAIT: Duration = Duration::from_secs(2);

/// Maximum size of a set of keys, in bytes: several times that of [`KEYS_MAX`](crate::auth::jwt::KEYS_MAX) keys.
const BODY_MAX: usize = 1024 * 1024;

/// The connections are short, and have a time limit.
const OPTIONS: TcpOptions = TcpOptions { keepalive: None, user_timeout: None };

/// The keys of an issuer, fetched from a URL.
#[derive(Debug)]
pub(super) struct Remote {
    /// The section's name, for the log.
    name: Arc<str>,
    config: JwksConfig,
    algorithms: Box<[Algorithm]>,
    fetches: Mutex<Fetches>,
    /// Wakes the task that fetches.
    wanted: Notify,
    /// The number of fetches that have ended.
    ended: watch::Sender<u64>,
    is_kept: AtomicBool,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Request(#[from] awc::error::SendRequestError),
    #[error("status {0}")]
    Status(u16),
    #[error("more than 1 MiB, or an incomplete body")]
    Body,
    #[error("no answer within 5s")]
    Timeout,
    #[error("not UTF-8")]
    Text,
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Remote {
    pub(super) fn new(name: Arc<str>, config: JwksConfig, algorithms: Box<[Algorithm]>) -> Arc<Self> {
        let fetches = Mutex::new(Fetches::new(config.refresh, Instant::now()));
        let (wanted, ended) = (Notify::new(), watch::Sender::new(0));
        Arc::new(Self { name, config, algorithms, fetches, wanted, ended, is_kept: AtomicBool::new(false) })
    }

    /// Whether these settings have the same keys.
    pub(super) fn serves(&self, config: &JwksConfig, algorithms: &[Algorithm]) -> bool {
        let own = &self.config;
        own.url == config.url
            && own.ca == config.ca
            && own.refresh == config.refresh
            && *self.algorithms == *algorithms
    }

    /// The section's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// TLS to the issuer; `None` without TLS.
    pub(super) fn tls(&self) -> Option<&TlsClient> {
        self.config.tls.as_ref()
    }

    /// Records that the keys are fetched. Returns whether they were already.
    pub(super) fn mark_kept(&self) -> bool {
        self.is_kept.swap(true, Relaxed)
    }

    /// The keys. If there are none, waits for a fetch that runs.
    ///
    /// # Errors
    /// When there are none after that, with the seconds after which there may be; when too many checks of the client's
    /// address wait.
    pub(super) async fn keys(&self, waiting: &dyn Waiting) -> Result<Arc<KeySet>, Denial> {
        let mut ended = self.ended.subscribe();
        let now = Instant::now();
        let (keys, is_near) = {
            let fetches = self.fetches();
            (fetches.keys(now), fetches.is_near(now))
        };
        if let Some(keys) = keys {
            return Ok(keys);
        }
        if is_near {
            waiting.begin(now)?;
            let _ = timeout(WAIT, ended.changed()).await;
        }
        let (now, fetches) = (Instant::now(), self.fetches());
        fetches.keys(now).ok_or_else(|| Denial::Unavailable(fetches.retry_after(now)))
    }

    /// The keys after another fetch, because a token has a key id that the current ones do not have. `None` if the last
    /// fetch was too recent, or the next one takes too long.
    ///
    /// # Errors
    /// When too many checks of the client's address wait.
    pub(super) async fn newer(&self, waiting: &dyn Waiting) -> Result<Option<Arc<KeySet>>, Denial> {
        let mut ended = self.ended.subscribe();
        let now = Instant::now();
        if !self.fetches().want(now) {
            return Ok(None);
        }
        self.wanted.notify_one();
        waiting.begin(now)?;
        let is_fetched = matches!(timeout(WAIT, ended.changed()).await, Ok(Ok(())));
        Ok(if is_fetched { self.fetches().keys(Instant::now()) } else { None })
    }

    fn fetches(&self) -> MutexGuard<'_, Fetches> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, client: &Client) -> Result<KeySet, FetchError> {
        let request = client.get(self.config.url.request.clone());
        let request = request.insert_header((ACCEPT, "application/jwk-set+json, application/json"));
        let request = request.insert_header((HOST, self.config.url.authority.as_str()));
        let mut response = request.force_close().send().await?;
        if response.status() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = response.body().limit(BODY_MAX).await.map_err(|_| FetchError::Body)?;
        let text = str::from_utf8(&body).map_err(|_| FetchError::Text)?;
        // Everybody can read what is at a URL, so there is no secret in it.
        Ok(KeySet::from_jwks(text, &self.algorithms, false)?)
    }

    /// Takes the result of a fetch. Logs what is new.
    fn take(&self, fetched: Result<KeySet, FetchError>) {
        let now = Instant::now();
        let (name, url) = (&self.name, &self.config.url.shown);
        let before = self.fetches().keys(now);
        match &fetched {
            Ok(keys) if before.as_deref() != Some(keys) => {
                log::info!("keys fetched auth={name} url={url} keys={}", keys.count());
            }
            Ok(_) => {}
            Err(error) => {
                let kept = before.as_ref().map_or(0, |keys| keys.count());
                log::error!(
                    "keys not fetched auth={name} url={url} reason={} keys={kept}",
                    Quoted(&error.to_string())
                );
            }
        }
        self.fetches().end(fetched.ok(), now);
        self.ended.send_modify(|count| *count += 1);
    }
}

/// Fetches the keys for as long as a configuration has them, each time they are due or wanted.
pub(super) async fn follow(remote: Weak<Remote>, network: Arc<Network>) {
    let Some(client) = remote.upgrade().map(|remote| client(&remote, network)) else { return };
    while let Some(kept) = remote.upgrade() {
        let due = kept.fetches().due();
        // Within this time a remote that no configuration has any longer is noticed.
        let look = Instant::now() + FETCH_TIME;
        let _ = timeout_at(due.min(look).into(), kept.wanted.notified()).await;
        if kept.fetches().due() <= Instant::now() {
            kept.fetches().begin();
            let fetched = timeout(FETCH_TIME, kept.fetch(&client)).await;
            kept.take(fetched.unwrap_or(Err(FetchError::Timeout)));
        }
    }
}

/// A client for the URL. It follows no redirects: the issuer's URL is the one in the settings.
fn client(remote: &Remote, network: Arc<Network>) -> Client {
    let connect = Connect::new(network, OPTIONS);
    let connect = match &remote.config.tls {
        Some(tls) => connect.secured(tls, remote.config.url.host.clone()),
        None => connect,
    };
    // A fetch as a whole has a time limit.
    let connector = awc::Connector::new().connector(connect).timeout(2 * FETCH_TIME);
    Client::builder().connector(connector).disable_timeout().disable_redirects().no_default_headers().finish()
}
