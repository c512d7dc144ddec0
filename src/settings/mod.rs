//! Settings in their checked form, loaded from a file and the environment.
//!
//! ```text
//! file ─┐
//!       ├─► Layers ─► validate ─► Settings
//! env ──┘     └─► report: what holds, and where it came from
//! ```
//!
//! [`Layers`] merges file and environment and keeps the origin of each value. Validation turns that into
//! [`Settings`], or lists *all* problems. The table in `keys` has the allowed values and the default of each
//! key; defaults are defined nowhere else.
//!
//! Validation also compiles programs, resolves the names of listeners, and follows the references between
//! sections, so users of [`Settings`] need no further checks.

mod address;
mod allowed;
mod auto;
mod effects;
mod embedded;
mod environment;
mod error;
mod guards;
mod headers;
mod host;
mod keys;
mod layers;
mod modules;
mod policies;
mod read;
mod report;
mod routes;
mod url;
mod validate;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;

pub use self::{
    embedded::{demo, from_flags, template},
    environment::variables as environment,
    error::{Origin, Problem, SettingsError},
    headers::HostHeader,
    host::{Host, Machine},
    layers::{DEFAULT_FILE, Layers},
    modules::Folders,
    report::Extent,
    url::{MASK, UrlError, UrlParts, mask},
};

use crate::{
    codec::Codec,
    log,
    net::{Bind, TcpOptions},
    policy::{ErrorReplies, OnEnd, OnUpstreamLoss},
    processor, rate, router,
    trickle::{Diagnostics, Limits as ProgramLimits, Program},
    wire,
};

/// All settings of the program, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[log]`
    pub log: log::Config,
    /// `[admin]`; `None` when `bind` is empty.
    pub admin: Option<Admin>,
    /// `[drain]`
    pub drain: Drain,
    /// `[language]`
    pub language: Language,
    /// `[listener.NAME]`, in the order of the settings.
    pub listeners: Vec<Arc<Listener>>,
    /// `[upstream.NAME]`
    pub upstreams: IndexMap<String, Arc<Upstream>>,
    /// `[pipeline.NAME]`
    pub pipelines: IndexMap<String, Arc<Pipeline>>,
    /// `[[route]]`, in order: the first match wins.
    pub routes: Vec<Arc<Route>>,
}

impl Settings {
    /// Reads and checks the file `config`, or [`DEFAULT_FILE`], overridden by `env`.
    ///
    /// `env` may contain unrelated variables; [`environment`] returns the process's own.
    ///
    /// # Errors
    /// When the file is missing or is not TOML, or when settings are invalid; contains all problems.
    pub fn load(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Layers::read(config, env)?.check()
    }

    /// Warnings about programs, one item per program with any: code that is valid and likely a mistake.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostics> {
        self.pipelines.values().filter_map(|pipeline| pipeline.program.warnings())
    }
}

/// `[server]`: settings of the whole process.
#[derive(Debug, Clone)]
pub struct Server {
    /// Number of worker threads, at least one; `0` in the settings is one per core.
    pub workers: usize,
    /// Maximum number of sessions; `None`: as many as the limit on open files allows.
    pub max_sessions: Option<usize>,
    /// Maximum number of handshakes in progress.
    pub max_handshakes: usize,
    /// Bytes of messages that all sessions together may hold.
    pub buffer: usize,
}

/// `[admin]`: the address of the health pages.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The address to listen on, or a name with all its addresses.
    pub bind: Bind,
    /// Whether an address in use is an error. If false, a free port is used instead, because the settings do
    /// not ask for this address.
    pub strict: bool,
}

/// `[drain]`: the orderly end of the process (C9).
#[derive(Debug, Clone)]
pub struct Drain {
    /// Each session starts to drain at a random moment within this duration.
    pub window: Duration,
    /// How long the session's unsettled events may then take to settle.
    pub grace: Duration,
    /// The close code that clients get: 1001 or 1012.
    pub close_code: u16,
}

/// `[language]`: settings for all programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Folders of the modules that programs `use`; absolute paths.
    pub module_path: Vec<PathBuf>,
    /// Limits on the cost of one event in a program.
    pub limits: ProgramLimits,
}

/// How one side converts between messages and events.
#[derive(Debug, Clone)]
pub struct Format {
    /// Converts between bytes and data.
    pub codec: &'static dyn Codec,
    /// Preprocessors of incoming messages, in order.
    pub preprocessors: Vec<processor::Spec>,
    /// Postprocessors of outgoing messages, in order.
    pub postprocessors: Vec<processor::Spec>,
}

/// `[listener.NAME]`: the addresses that accept clients.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `NAME`
    pub name: String,
    /// Its position in the settings, from 1: the `source` of its event ids.
    pub number: u32,
    /// The addresses to listen on.
    pub bind: Vec<Bind>,
    /// How clients' messages become events, and back.
    pub format: Format,
    /// Limits on clients' messages.
    pub limits: wire::Limits,
    /// Largest head of a handshake request, in bytes.
    pub max_header: usize,
    /// Limits on the number and rate of sessions.
    pub admission: Admission,
    /// How long a client may take for its handshake.
    pub handshake_timeout: Duration,
    /// When a client counts as gone (C8).
    pub liveness: wire::LivenessConfig,
    /// What happens to a client that does not read.
    pub slow_consumer: SlowConsumer,
    /// TCP options of clients' sockets.
    pub tcp: TcpOptions,
    /// How long a closing handshake may take before the connection is cut.
    pub close_timeout: Duration,
    /// What happens to unsettled events when their client closes.
    pub on_client_close: OnClientClose,
    /// Rate limit per session.
    pub rate: rate::Rate,
    /// Rate limit for all sessions of one client address together.
    pub address_rate: rate::Rate,
}

/// Limits on the number and rate of a listener's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Maximum number of sessions; `None`: only the server's limit applies.
    pub max_sessions: Option<usize>,
    /// Maximum number of sessions per client address. For IPv6, a /64 network counts as one address.
    pub max_sessions_per_address: Option<usize>,
    /// New sessions per second.
    pub max_new_sessions: Option<u32>,
}

/// What happens to a client that reads nothing for `slow_consumer_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is closed with 1013.
    Disconnect,
    /// It stays connected; the oldest pushes are dropped.
    DropOldest,
    /// It stays connected; the newest pushes are dropped.
    DropNewest,
}

/// What happens to unsettled events when their client closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClientClose {
    /// They have `close_timeout` to settle.
    Finish,
    /// They fail at once.
    Cancel,
}

/// `[upstream.NAME]`: a server to which sessions are connected.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `NAME`
    pub name: String,
    /// Its URL.
    pub url: UpstreamUrl,
    /// URLs that a pipeline may choose instead, by `$url`.
    pub allow_urls: Vec<AllowedUrl>,
    /// How the upstream's messages become events, and back.
    pub format: Format,
    /// Limits on the upstream's messages.
    pub limits: wire::Limits,
    /// When the server counts as gone (C8).
    pub liveness: wire::LivenessConfig,
    /// TCP options of the sockets to the upstream.
    pub tcp: TcpOptions,
    /// How events and replies are matched.
    pub exchange: ExchangeMode,
    /// The correlation key: a path into the data, such as `id` or `params.id`, whose value matches replies to
    /// requests. `None`: replies match in order.
    pub correlation: Option<Vec<String>>,
    /// How long an event may await its reply.
    pub reply_timeout: Duration,
    /// Number of overdue replies in a row after which the connection is replaced.
    pub max_overdue: usize,
    /// Number of unsettled events of a session at which its client is not read any more.
    pub max_in_flight: usize,
    /// How long a connection attempt may take, handshake included.
    pub connect_timeout: Duration,
    /// How long a closing handshake may take before the connection is cut.
    pub close_timeout: Duration,
    /// Whether the client's path and query are sent to the upstream.
    pub forward_path: bool,
    /// The `Host` header of the handshakes.
    pub host: HostHeader,
    /// Client headers that are forwarded to the upstream, in lower case. `x-forwarded-for`,
    /// `x-forwarded-proto` and `x-forwarded-host` are created or extended.
    pub forward_headers: Vec<String>,
    /// Headers added to every handshake, names in lower case. None of them is in `forward_headers`.
    pub headers: Vec<(String, String)>,
    /// Headers of the upstream's answer that are forwarded to the client, in lower case.
    pub forward_response_headers: Vec<String>,
    /// When to reconnect after a loss.
    pub restart: Restart,
    /// Which close codes of the upstream are passed on to the client.
    pub on_upstream_close: OnEnd,
    /// Which refusals of a reconnect close the client.
    pub on_refused: OnEnd,
    /// What happens to the client when the restarts are used up.
    pub on_give_up: OnGiveUp,
}

/// A checked `ws://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// The URL to dial, always ASCII: as written if it is unambiguous, else in normal form.
    pub text: String,
    /// The URL for texts and logs: as written, with userinfo and query masked.
    pub shown: String,
    /// Whether it was written with a path, even if that is `/`.
    pub(super) has_path: bool,
}

/// An entry of `allow_urls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedUrl {
    /// Exactly this URL.
    Exact(String),
    /// Any URL with this prefix (written with `*` at the end). The prefix always includes scheme, host, port
    /// and the `/` after them.
    Prefix(String),
}

/// How events and replies are matched (C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeMode {
    /// Each event awaits one reply.
    Request,
    /// An event is settled when it is written; no reply is awaited.
    Stream,
}

/// What happens to the client when the restarts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGiveUp {
    /// It stays connected and gets an error reply to each message; probes continue.
    Keep,
    /// It is closed with 1013.
    Close,
}

/// `restart = { … }` of an upstream (C7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restart {
    /// Shortest delay.
    pub min: Duration,
    /// Longest delay.
    pub max: Duration,
    /// Give up after this many restarts within `window`.
    pub max_restarts: usize,
    /// The time window in which restarts are counted.
    pub window: Duration,
    /// Interval between attempts after giving up.
    pub probe: Duration,
    /// Reconnects per second to this upstream, for all sessions together.
    pub rate: u32,
}

/// `[pipeline.NAME]`: a program.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// `NAME`
    pub name: String,
    /// The file of the program; `None` when the program is written in the settings.
    pub file: Option<PathBuf>,
    /// The compiled program.
    pub program: Arc<Program>,
}

/// `[[route]]`: selects the upstream and the pipelines of a session.
#[derive(Debug, Clone)]
pub struct Route {
    /// The requests that take this route, if no route before it matches.
    pub pattern: router::Pattern,
    /// Whether the pattern's path is removed before the client's path goes to the upstream.
    pub strip_prefix: bool,
    /// Pipelines from client to upstream, in order.
    pub incoming: Vec<Arc<Pipeline>>,
    /// Whether `incoming` sets `$url` for every event, so that events reach the route's own upstream only if
    /// they name it.
    pub routed_by_url: bool,
    /// The upstream; `None` when the incoming pipelines answer on port `reply`.
    pub upstream: Option<Arc<Upstream>>,
    /// Pipelines from upstream to client, in order.
    pub outgoing: Vec<Arc<Pipeline>>,
    /// Pipelines for error events, in order.
    pub errors: Vec<Arc<Pipeline>>,
    /// Whether failures become messages to the client; [`Route::replies_errors`] resolves `auto`.
    pub error_replies: ErrorReplies,
    /// What happens to the client when its upstream connection is lost; [`Route::keeps_client`] resolves
    /// `auto`.
    pub on_upstream_loss: OnUpstreamLoss,
    /// Whether messages are independent of each other, so that a session can continue on a new connection.
    pub stateless: bool,
    /// Subprotocols to offer when the upstream could not be asked, in order of preference.
    pub subprotocols: Vec<String>,
    /// How long the client's handshake waits for the upstream's.
    pub dial_before_accept: Duration,
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

impl std::fmt::Display for SlowConsumer {
    /// The name in the settings: `drop_oldest`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
        })
    }
}

impl Upstream {
    /// Whether outcomes come in the order of the client's messages, because replies are matched by order.
    pub fn answers_in_order(&self) -> bool {
        self.exchange == ExchangeMode::Request && self.correlation.is_none()
    }
}

impl UpstreamUrl {
    /// An address of the URL's host, preferably IPv4.
    pub fn address(&self) -> Option<SocketAddr> {
        let url = ::url::Url::parse(&self.text).ok()?;
        let addresses = url.socket_addrs(|| Some(80)).ok()?;
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }
}

impl Route {
    /// Whether a pipeline of the route reads metadata.
    pub fn reads_meta(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_meta())
    }

    /// Whether a pipeline of the route reads the origin of events.
    pub fn reads_origin(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_origin())
    }

    /// All pipelines of the route.
    fn pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.incoming.iter().chain(&self.outgoing).chain(&self.errors)
    }
}
