//! Settings in their checked form, and the way there from files and environment.
//!
//! ```text
//! file ─┐
//!       ├─► Layers ─► validate ─► Settings
//! env ──┘     └─► report: what holds, and where it came from
//! ```
//!
//! [`Layers`] merges what file and environment say and remembers where each value came from. One
//! validation makes [`Settings`] of it, or lists *all* that is wrong. The table in `keys` says what
//! each key takes and what it is when nobody says; nothing else knows a default.
//!
//! Programs are compiled here, names of listeners are resolved, and the references between sections
//! are followed: whoever holds [`Settings`] need not ask again.

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

/// Everything the program can be told, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[log]`
    pub log: log::Config,
    /// `[admin]`; none when `bind` is empty.
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
    /// Reads and checks the file `config`, or [`DEFAULT_FILE`], with `env` laid over it.
    ///
    /// `env` may hold variables that are none of Towline's; [`environment`] gives the process's own.
    ///
    /// # Errors
    /// When the file is missing or is not TOML, or with all settings that are wrong.
    pub fn load(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Layers::read(config, env)?.check()
    }

    /// What programs can run with, and is likely a mistake: one item for each program.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostics> {
        self.pipelines.values().filter_map(|pipeline| pipeline.program.warnings())
    }
}

/// `[server]`: what the whole process shares.
#[derive(Debug, Clone)]
pub struct Server {
    /// Worker threads, at least one: `0` in the settings is one per core.
    pub workers: usize,
    /// Sessions at a time; none: as many as the limit on open files allows.
    pub max_sessions: Option<usize>,
    /// Handshakes in progress at a time.
    pub max_handshakes: usize,
    /// Bytes of messages that all sessions together may hold.
    pub buffer: usize,
}

/// `[admin]`: health and readiness, apart from the traffic.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where to listen: an address, or a name with all its addresses.
    pub bind: Bind,
    /// Whether a taken address stops the start. Otherwise a free port is used: the settings do not ask for an
    /// address.
    pub strict: bool,
}

/// `[drain]`: the end of the process (C9).
#[derive(Debug, Clone)]
pub struct Drain {
    /// Close frames are spread evenly at random over this time.
    pub window: Duration,
    /// How long events that await a reply are given to settle; also the most the end may take.
    pub grace: Duration,
    /// The close code clients get, 1001 or 1012.
    pub close_code: u16,
}

/// `[language]`: what all programs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Folders with the modules that programs `use`, absolute.
    pub module_path: Vec<PathBuf>,
    /// What one event may cost in a program.
    pub limits: ProgramLimits,
}

/// How bytes become events and events bytes, on one side.
#[derive(Debug, Clone)]
pub struct Format {
    /// Bytes to value and back.
    pub codec: &'static dyn Codec,
    /// From the wire to the codec, in order.
    pub preprocessors: Vec<processor::Spec>,
    /// From the codec to the wire, in order.
    pub postprocessors: Vec<processor::Spec>,
}

/// `[listener.NAME]`: a socket that takes clients.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `NAME`
    pub name: String,
    /// Its place in the settings from 1: the `source` of its event ids.
    pub number: u32,
    /// Where to listen.
    pub bind: Vec<Bind>,
    /// The downstream format.
    pub format: Format,
    /// Limits on what clients send.
    pub limits: wire::Limits,
    /// The longest head of a handshake, in bytes.
    pub max_header: usize,
    /// Who is let in.
    pub admission: Admission,
    /// How long a client may take to send its handshake.
    pub handshake_timeout: Duration,
    /// When a client counts as gone (C8).
    pub liveness: wire::LivenessConfig,
    /// What becomes of a client that does not read.
    pub slow_consumer: SlowConsumer,
    /// Options of its clients' sockets.
    pub tcp: TcpOptions,
    /// How long a closing handshake may take before the socket is dropped.
    pub close_timeout: Duration,
    /// What becomes of events under way when their client closes.
    pub on_client_close: OnClientClose,
    /// What one session may send.
    pub rate: rate::Rate,
    /// What all sessions of one client address may send together.
    pub address_rate: rate::Rate,
}

/// Who is let in at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Sessions at a time; none: no cap of the listener's own.
    pub max_sessions: Option<usize>,
    /// Sessions of one client address at a time. Of IPv6, a network of 64 bits is one address.
    pub max_sessions_per_address: Option<usize>,
    /// New sessions a second.
    pub max_new_sessions: Option<u32>,
}

/// What becomes of a client that takes nothing for `slow_consumer_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is closed with 1013.
    Disconnect,
    /// It stays; of what the upstream sends by itself, the oldest messages are dropped.
    DropOldest,
    /// The same, but the newest.
    DropNewest,
}

/// What becomes of events under way when their client closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClientClose {
    /// They have `close_timeout` to settle.
    Finish,
    /// They fail at once.
    Cancel,
}

/// `[upstream.NAME]`: a server to connect sessions to.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `NAME`
    pub name: String,
    /// Where it is.
    pub url: UpstreamUrl,
    /// URLs that a pipeline may choose instead, by `$url`.
    pub allow_urls: Vec<AllowedUrl>,
    /// The upstream format.
    pub format: Format,
    /// Limits on what the upstream sends.
    pub limits: wire::Limits,
    /// When the server counts as gone (C8).
    pub liveness: wire::LivenessConfig,
    /// Options of the sockets to it.
    pub tcp: TcpOptions,
    /// How events and replies belong together.
    pub exchange: ExchangeMode,
    /// The key of an event by which requests and replies find each other: a path such as `id` or
    /// `params.id` into the data. None: in order.
    pub correlation: Option<Vec<String>>,
    /// How long an event may await its reply.
    pub reply_timeout: Duration,
    /// After how many overdue replies in a row the connection is replaced.
    pub max_overdue: usize,
    /// How many events of a session may be unsettled before its client is not read any more.
    pub max_in_flight: usize,
    /// How long a connection attempt may take, handshake included.
    pub connect_timeout: Duration,
    /// How long a closing handshake may take before the socket is dropped.
    pub close_timeout: Duration,
    /// Whether the client's path and query reach the upstream.
    pub forward_path: bool,
    /// The `Host` header of the handshakes.
    pub host: HostHeader,
    /// Client headers that go to the upstream, in lower case. `x-forwarded-for`,
    /// `x-forwarded-proto` and `x-forwarded-host` are made or extended.
    pub forward_headers: Vec<String>,
    /// Headers added to every handshake, names in lower case. None of them is in `forward_headers`.
    pub headers: Vec<(String, String)>,
    /// Headers of the upstream's answer that go to the client, in lower case.
    pub forward_response_headers: Vec<String>,
    /// When and how often to connect again.
    pub restart: Restart,
    /// Which close codes of the upstream are passed on to the client.
    pub on_upstream_close: OnEnd,
    /// Which refusals of a reconnect close the client.
    pub on_refused: OnEnd,
    /// What becomes of the client when the restarts are used up.
    pub on_give_up: OnGiveUp,
}

/// A checked `ws://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// What to dial: as it was written where that is unambiguous, or else the normal form, in ASCII
    /// always.
    pub text: String,
    /// As people may see it: as it was written, userinfo and query masked.
    pub shown: String,
    /// Whether it was written with a path, even if that is `/`.
    pub(super) has_path: bool,
}

/// An entry of `allow_urls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedUrl {
    /// This very URL.
    Exact(String),
    /// Any URL that begins so (written with `*` at the end). Scheme, host and port are always in
    /// the prefix, followed by a `/`.
    Prefix(String),
}

/// How events and replies belong together (C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeMode {
    /// Each event awaits one reply.
    Request,
    /// An event is settled when it has been written.
    Stream,
}

/// What becomes of the client when the restarts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGiveUp {
    /// It stays, and gets an error reply to each message; probes go on.
    Keep,
    /// It is closed with 1013.
    Close,
}

/// `restart = { … }` of an upstream (C7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restart {
    /// The shortest delay.
    pub min: Duration,
    /// The longest delay.
    pub max: Duration,
    /// So many restarts within `window`, then give up.
    pub max_restarts: usize,
    /// The window in which restarts are counted.
    pub window: Duration,
    /// The pace of attempts after giving up.
    pub probe: Duration,
    /// Reconnects a second to this upstream, of all sessions together.
    pub rate: u32,
}

/// `[pipeline.NAME]`: a program.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// `NAME`
    pub name: String,
    /// Where the program stands; none when it is written in the settings.
    pub file: Option<PathBuf>,
    /// The compiled program.
    pub program: Arc<Program>,
}

/// `[[route]]`: which session goes where.
#[derive(Debug, Clone)]
pub struct Route {
    /// The requests that take this route, if no route before it matches.
    pub pattern: router::Pattern,
    /// Whether the pattern's path is removed before the client's path goes to the upstream.
    pub strip_prefix: bool,
    /// The way upstream.
    pub incoming: Vec<Arc<Pipeline>>,
    /// Whether `incoming` sets `$url` for every event, so that nothing goes to the route's own upstream unless
    /// an event names it.
    pub routed_by_url: bool,
    /// Where to; none when the incoming pipelines answer by themselves (port `reply`).
    pub upstream: Option<Arc<Upstream>>,
    /// The way back.
    pub outgoing: Vec<Arc<Pipeline>>,
    /// The way of error events.
    pub errors: Vec<Arc<Pipeline>>,
    /// Whether failures become messages to the client; [`Route::replies_errors`] resolves `auto`.
    pub error_replies: ErrorReplies,
    /// What becomes of the client when its upstream connection is lost; [`Route::keeps_client`] resolves
    /// `auto`.
    pub on_upstream_loss: OnUpstreamLoss,
    /// Whether each message stands alone, so that a session can go on on a new connection.
    pub stateless: bool,
    /// Subprotocols to answer with when the upstream could not be asked, in order of preference.
    pub subprotocols: Vec<String>,
    /// How long the client's handshake waits for the upstream's.
    pub dial_before_accept: Duration,
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

impl std::fmt::Display for SlowConsumer {
    /// As in the settings: `drop_oldest`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
        })
    }
}

impl Upstream {
    /// Whether outcomes come in the order of the client's messages: replies are matched by their order.
    pub fn answers_in_order(&self) -> bool {
        self.exchange == ExchangeMode::Request && self.correlation.is_none()
    }
}

impl UpstreamUrl {
    /// An address of the URL's host, of IPv4 if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        let url = ::url::Url::parse(&self.text).ok()?;
        let addresses = url.socket_addrs(|| Some(80)).ok()?;
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }
}

impl Route {
    /// Whether a pipeline of the route looks at metadata.
    pub fn reads_meta(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_meta())
    }

    /// Whether a pipeline of the route asks where events come from.
    pub fn reads_origin(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_origin())
    }

    /// The pipelines that the route names.
    fn pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.incoming.iter().chain(&self.outgoing).chain(&self.errors)
    }
}
