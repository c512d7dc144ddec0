//! The sections `[upstream.NAME]` of the settings.

mod allowed;
mod endpoints;
mod exchange;
mod file;
mod headers;
mod moves;
mod pool;
mod recovery;
mod restart;
mod tls;
mod unix;
mod url;

use std::{sync::Arc, time::Duration};

use actix_http::header::HeaderName;

use self::endpoints::Endpoints;
use super::{
    format::{self, Format},
    limits, liveness, on_end,
    slow_consumer::{self, SlowConsumer},
    tcp,
};
use crate::{
    net::{TcpOptions, TlsClient},
    policy::{MovePolicy, OnEnd, PoolPolicy},
    settings::read::Section,
    wire,
};

pub use self::{
    allowed::AllowedUrl,
    endpoints::{ENDPOINTS_MAX, EndpointConfig},
    exchange::ExchangeMode,
    file::{EndpointsFile, EndpointsFileError},
    headers::{AddedHeaders, HostHeader},
    moves::MoveMessages,
    recovery::RecoveryConfig,
    restart::Restart,
    url::{UpstreamUrl, UrlError, UrlParts},
};

/// A section `[upstream.NAME]`: a server to which sessions are connected.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The `NAME` of the section.
    pub name: String,
    /// The URL of the first endpoint. Error replies name it while nothing is connected.
    pub url: UpstreamUrl,
    /// The servers of the upstream, by priority; at least one. Those of a file are the ones that it had when the
    /// settings were read.
    pub endpoints: Vec<EndpointConfig>,
    /// The file that lists the servers, if one does.
    pub endpoints_file: Option<EndpointsFile>,
    /// How often names are looked up whose addresses are an endpoint each; `None` if a name is one endpoint.
    pub resolve_each: Option<Duration>,
    /// URLs that a pipeline may choose by `$url` instead of `url`.
    pub allow_urls: Vec<AllowedUrl>,
    /// How servers with `wss://` are connected to.
    pub tls: TlsClient,
    /// How the upstream's messages become events, and back.
    pub format: Format,
    /// Limits on the upstream's messages.
    pub limits: wire::Limits,
    /// When the server counts as gone (guarantee C8).
    pub liveness: wire::LivenessConfig,
    /// TCP options of the sockets to the upstream.
    pub tcp: TcpOptions,
    /// How events and replies are matched: in request mode or in stream mode.
    pub exchange: ExchangeMode,
    /// The correlation key: a path into the data, such as `id` or `params.id`, whose value matches replies to
    /// requests. `None` if replies match in order.
    pub correlation: Option<Vec<String>>,
    /// Maximum time in which the reply to an event must arrive.
    pub reply_timeout: Duration,
    /// Number of overdue replies in a row at which the connection is replaced.
    pub max_overdue: usize,
    /// Number of unsettled events of a session at which the proxy stops reading from the client.
    pub max_in_flight: usize,
    /// How long a connection attempt may take, handshake included.
    pub connect_timeout: Duration,
    /// How long a closing handshake may take before the connection is cut.
    pub close_timeout: Duration,
    /// Whether the client's path and query are sent to the upstream.
    pub forward_path: bool,
    /// The `Host` header of the handshakes.
    pub host: HostHeader,
    /// Client headers that are forwarded to the upstream. `x-forwarded-for`,
    /// `x-forwarded-proto` and `x-forwarded-host` are created or extended.
    pub forward_headers: Vec<HeaderName>,
    /// Headers added to every handshake. `forward_headers` contains none of them.
    pub headers: AddedHeaders,
    /// Headers of the upstream's response that are forwarded to the client.
    pub forward_response_headers: Vec<HeaderName>,
    /// Headers of the upstream's response that are never forwarded to the client, in lower case.
    pub remove_response_headers: Vec<String>,
    /// Headers added to the response to the client.
    pub response_headers: AddedHeaders,
    /// When to reconnect after a loss.
    pub restart: Arc<Restart>,
    /// How sessions are spread over the endpoints, and when an endpoint is not used.
    pub pool: PoolPolicy,
    /// When sessions move to another connection.
    pub moves: MovePolicy,
    /// The messages by which the upstream announces the end of a connection.
    pub move_messages: Option<Arc<MoveMessages>>,
    /// The close codes of the upstream that are passed on to the client.
    pub on_upstream_close: OnEnd,
    /// The refusals of a reconnect that close the client.
    pub on_refused: OnEnd,
    /// What happens to the client when the restarts are used up.
    pub on_give_up: OnGiveUp,
    /// How a session continues at a new connection.
    pub recovery: RecoveryConfig,
}

/// What happens to the client when the restarts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGiveUp {
    /// The client stays connected and gets an error reply to each message. The proxy continues to probe the
    /// upstream.
    Keep,
    /// The client is closed with 1013.
    Close,
}

/// Reads the section; `None` when a value without a default is invalid. `is_http` is whether a route forwards requests
/// to the upstream that are no handshakes.
pub(crate) fn read(name: &str, section: &Section<'_>, is_http: bool) -> Option<Arc<Upstream>> {
    let allow_urls = section.read("allow_urls", allowed::parse);
    let format = format::read(section);
    let exchange = exchange::exchange(section);
    let correlation = exchange::correlation(section, exchange, format.as_ref());
    let response = headers::of_response(section, is_http);
    let headers = headers::added(section, "headers");
    let Endpoints { listed, file } = endpoints::read(section, headers.has_authorization());
    // A file is checked each time that it is read, and may have other endpoints then.
    let fixed = listed.as_deref().filter(|_| file.is_none());
    headers::check_credentials(section, &headers, fixed, allow_urls.as_deref());
    let resolve_each = endpoints::resolve(section);
    let has_name = fixed.into_iter().flatten().any(|endpoint| endpoint.url.has_name());
    // A name may get more addresses.
    let may_grow = resolve_each.is_some() && has_name;
    let forward_headers = headers::forwarded(section, &headers);
    let (liveness, tcp) = (liveness::read(section, None), tcp::read(section));
    slow_consumer::check(section, &liveness, SlowConsumer::Disconnect, &tcp);
    let limits = limits::read(section);
    let tls = tls::read(section, listed.as_deref(), allow_urls.as_deref(), file.is_some());
    let recovery = recovery::read(section, exchange, format.as_ref(), limits);
    let upstream = Upstream {
        name: name.to_owned(),
        limits,
        liveness,
        tcp,
        exchange,
        correlation,
        reply_timeout: section.duration("reply_timeout"),
        max_overdue: section.count("max_overdue"),
        max_in_flight: section.count("max_in_flight"),
        connect_timeout: section.duration("connect_timeout"),
        close_timeout: section.duration("close_timeout"),
        forward_path: section.flag("forward_path"),
        host: headers::host(section),
        forward_headers,
        forward_response_headers: response.forwarded,
        remove_response_headers: response.removed,
        response_headers: response.added,
        headers,
        restart: Arc::new(restart::read(section)),
        pool: pool::read(section, fixed.filter(|_| !may_grow)),
        moves: moves::read(section),
        move_messages: moves::messages(section),
        on_upstream_close: on_end::read(section, "on_upstream_close"),
        on_refused: on_end::read(section, "on_refused"),
        on_give_up: if section.chooses("on_give_up", "close") { OnGiveUp::Close } else { OnGiveUp::Keep },
        recovery,
        resolve_each,
        url: listed.as_ref()?.first()?.url.clone(),
        endpoints: listed?,
        endpoints_file: file,
        allow_urls: allow_urls?,
        tls: tls?,
        format: format?,
    };
    Some(Arc::new(upstream))
}

// === impl Upstream ===

impl Upstream {
    /// Whether the client gets outcomes in the order of its messages, because replies are matched by order.
    pub fn answers_in_order(&self) -> bool {
        self.exchange == ExchangeMode::Request && self.correlation.is_none()
    }

    /// Whether these settings need each of the client's messages as an event, so that bursts do not pass as one.
    pub fn reads_each(&self) -> bool {
        self.exchange == ExchangeMode::Request
            || self.correlation.is_some()
            || self.recovery.hold.is_some()
            || self.recovery.journal.is_some()
            || !self.format.postprocessors.is_empty()
            || !self.format.codec.keeps_messages()
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::fixture::{MINIMAL, load};

    #[test]
    fn no_secret_is_in_the_debug_form() {
        let text = MINIMAL.replace("ws://127.0.0.1:8139", "ws://me:SECRET@h/chat?token=SECRET").replace(
            "[pipeline",
            "allow_urls = [\"ws://me:SECRET@i/*\", \"ws://me:SECRET@j/?SECRET\"]\nheaders.x-token = \"SECRET\"\n[pipeline",
        );
        let settings = load(&text, &[]).unwrap();
        assert_eq!(&*settings.upstreams["echo"].url.text, "ws://me:SECRET@h/chat?token=SECRET");
        let debug = format!("{settings:?}");
        assert!(!debug.contains("SECRET"), "{debug}");
        for shown in [
            "ws://***@h/chat?***",
            "Prefix(\"ws://***@i/\")",
            "Exact(\"ws://***@j/?***\")",
            "\"x-token\": \"***\"",
        ] {
            assert!(debug.contains(shown), "{shown}\n{debug}");
        }
        let chosen = settings.upstreams["echo"].allows("ws://i/?SECRET").unwrap();
        assert!(!format!("{:?}", chosen.at("/", Some("SECRET"))).contains("SECRET"));
    }
}
