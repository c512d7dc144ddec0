//! The sections `[[route]]` of the settings.

mod access;
mod answer;
mod auto;
mod http;
mod lifetime;
mod limits;
mod matching;
mod policies;
mod ports;

use std::{sync::Arc, time::Duration};

use config::Value;
use indexmap::IndexMap;

pub use self::answer::FixedAnswer;
pub(crate) use self::http::upstreams as http_upstreams;
use super::{pipeline::Pipeline, upstream::Upstream};
use crate::{
    auth::{AuthConfig, Requirement, Source},
    header_list::is_token,
    policy::{ErrorReplies, KeyLimit, LifetimePolicy, OnUpstreamLoss},
    router::{Origins, PathPattern, Pattern},
    settings::read::{Section, all, list, quoted, text},
    trickle::Port,
};

/// A section `[[route]]`: selects the upstream and the pipelines of a session.
#[derive(Debug, Clone)]
pub struct Route {
    /// The name in logs and in `$session.route`. Without one in the settings, it is the position: `route[1]`.
    pub name: String,
    /// Whether the settings have the name.
    pub is_named: bool,
    /// A digest of what a live session of the route cannot change; see [`reload`](crate::reload).
    pub shape: u64,
    /// The requests that use this route, if no earlier route matches.
    pub pattern: Pattern,
    /// Whether requests that do not ask for a WebSocket are forwarded to the upstream.
    pub forward_http: bool,
    /// Maximum time without progress of a forwarded request.
    pub http_timeout: Duration,
    /// The answer to requests that do not ask for a WebSocket; `None` on a route with sessions.
    pub answer: Option<FixedAnswer>,
    /// The origins of the pages whose browsers may connect; `None` if they are not checked.
    pub origins: Option<Origins>,
    /// The methods of authentication, in order; none if everybody is accepted.
    pub auth: Vec<Arc<AuthConfig>>,
    /// The claims that a client must have.
    pub require: Box<[Requirement]>,
    /// All places in which the methods look for credentials. These are hidden from programs and, in the query and among
    /// the subprotocols, from the upstream.
    pub credentials: Box<[Source]>,
    /// Whether the pattern's path is removed from the client's path before that is sent to the upstream.
    pub strip_prefix: bool,
    /// Pipelines from client to upstream, in order.
    pub incoming: Vec<Arc<Pipeline>>,
    /// Whether `incoming` sets `$url` for every event. Events then reach the route's own upstream only if
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
    /// How long sessions last.
    pub lifetime: Arc<LifetimePolicy>,
    /// The claims that lines of the log about sessions have.
    pub log_claims: Arc<[String]>,
    /// Limits on all clients with the same claim or header.
    pub limits: Vec<KeyLimit>,
    /// Subprotocols for the response to the client when the upstream has not chosen one, in order of
    /// preference.
    pub subprotocols: Vec<String>,
    /// How long the response to the client waits for the handshake with the upstream.
    pub dial_before_accept: Duration,
}

/// The sections that routes may refer to. An invalid section is included by name, without a value.
pub(crate) struct Known<'a> {
    pub(crate) listeners: &'a [&'a str],
    /// The listeners that ask clients for certificates.
    pub(crate) certificate_listeners: &'a [&'a str],
    pub(crate) upstreams: &'a IndexMap<String, Option<Arc<Upstream>>>,
    pub(crate) auth: &'a IndexMap<String, Option<Arc<AuthConfig>>>,
    pub(crate) pipelines: &'a IndexMap<String, Option<Arc<Pipeline>>>,
}

/// Reads the routes in order. Every mistake in them is reported to its section.
pub(crate) fn read_all(sections: &[Section<'_>], known: &Known<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    // The numbers of the routes whose patterns are valid.
    let mut valid: Vec<usize> = Vec::new();
    for (number, section) in (1..).zip(sections) {
        let route = read(number, section, known);
        if let Some(earlier) = routes.iter().position(|earlier| earlier.name == route.name) {
            section.conflict("name", &[], format!("route[{}] has this name already", earlier + 1));
        }
        if !matching::is_wrong(section) {
            let before: Vec<_> = valid.iter().map(|number| (*number, &routes[number - 1].pattern)).collect();
            matching::check_reachable(section, &route.pattern, &before, known);
            valid.push(number);
        }
        routes.push(route);
    }
    routes
}

fn read(number: usize, section: &Section<'_>, known: &Known<'_>) -> Route {
    let pattern = matching::pattern(section, known);
    let errors = pipelines(section, "errors", known);
    let policies = policies::read(section, !errors.is_empty());
    let upstream = route_upstream(section, known);
    let incoming = pipelines(section, "incoming", known);
    let access = access::read(section, known);
    let given = section.read("name", name);
    let route = Route {
        is_named: given.is_some(),
        name: given.unwrap_or_else(|| format!("route[{number}]")),
        shape: 0,
        strip_prefix: strip_prefix(section, &pattern, upstream.as_deref()),
        forward_http: http::forwards(section),
        http_timeout: http::timeout(section),
        answer: answer::read(section),
        origins: matching::origins(section),
        auth: access.auth,
        require: access.require,
        credentials: access.credentials,
        pattern,
        routed_by_url: incoming.iter().fold(false, |set, pipeline| pipeline.program.always_sets("url", set)),
        incoming,
        upstream,
        outgoing: pipelines(section, "outgoing", known),
        errors,
        error_replies: policies.error_replies,
        on_upstream_loss: policies.on_upstream_loss,
        stateless: policies.stateless,
        lifetime: Arc::new(lifetime::read(section)),
        log_claims: log_claims(section),
        limits: limits::read(section),
        subprotocols: section.read("subprotocols", subprotocols).unwrap_or_default(),
        dial_before_accept: section.duration("dial_before_accept"),
    };
    let replies = || route.incoming.iter().any(|pipeline| pipeline.program.uses_port(Port::Reply));
    let all_compiled = route.incoming.len() == section.list("incoming").len();
    if route.answer.is_none() && section.said("upstream").is_none() && all_compiled && !replies() {
        let text = "needs an upstream, an incoming pipeline that answers (into reply), or an answer";
        section.section_problem(text.to_owned());
    }
    ports::check(section, &route);
    route
}

/// Parses the name of a route.
fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    if name.is_empty() || !name.chars().all(fits) {
        return Err("takes a name of a-z, 0-9, _ and -".to_owned());
    }
    Ok(name.to_owned())
}

/// Reads whether the route's path is removed. Reports a value that would change nothing.
fn strip_prefix(section: &Section<'_>, pattern: &Pattern, upstream: Option<&Upstream>) -> bool {
    let strip = section.flag("strip_prefix");
    let idle = match upstream {
        _ if !matches!(pattern.path, PathPattern::Prefix(_)) => {
            Some("needs the prefix of a path (path or match.path)".to_owned())
        }
        _ if matches!(&pattern.path, PathPattern::Prefix(path) if path == "/") => {
            Some("needs a path other than \"/\"".to_owned())
        }
        None if section.said("upstream").is_none() => Some("needs an upstream".to_owned()),
        Some(upstream) if !upstream.forward_path => {
            Some(format!("needs upstream.{}.forward_path = true", upstream.name))
        }
        Some(upstream) if upstream.endpoints.iter().all(|endpoint| endpoint.url.has_path) => {
            Some(format!("the path in upstream.{}.url replaces the route's path already", upstream.name))
        }
        _ => None,
    };
    if let Some(text) = idle.filter(|_| strip) {
        section.conflict(
            "strip_prefix",
            &["path", "match.path", "match.path_exact", "match.path_regex"],
            text,
        );
    }
    strip
}

/// Maximum number of claims in a line of the log.
const LOG_CLAIMS_MAX: usize = 16;

/// Reads the claims for the log. Their names become keys of log lines.
fn log_claims(section: &Section<'_>) -> Arc<[String]> {
    let claims: Arc<[String]> = section.list("log_claims").into();
    let fits = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'"'))
    };
    if !claims.iter().all(fits) || claims.len() > LOG_CLAIMS_MAX {
        let text = format!("takes at most {LOG_CLAIMS_MAX} names of claims, without spaces, quotes and =");
        section.problem("log_claims", text);
    }
    if !claims.is_empty() && section.list("auth").is_empty() {
        section.conflict(
            "log_claims",
            &["auth"],
            "needs auth: nothing is known of the clients of this route",
        );
    }
    claims
}

fn route_upstream(section: &Section<'_>, known: &Known<'_>) -> Option<Arc<Upstream>> {
    let name = section.text("upstream")?;
    match known.upstreams.get(&name) {
        Some(upstream) => upstream.clone(),
        None => {
            let names = known.upstreams.keys().map(String::as_str);
            section.problem("upstream", no_such("upstream", &name, names));
            None
        }
    }
}

fn pipelines(section: &Section<'_>, key: &str, known: &Known<'_>) -> Vec<Arc<Pipeline>> {
    let mut pipelines = Vec::new();
    for name in section.list(key) {
        match known.pipelines.get(&name) {
            Some(pipeline) => pipelines.extend(pipeline.clone()),
            None => {
                let names = known.pipelines.keys().map(String::as_str);
                section.problem(key, no_such("pipeline", &name, names));
            }
        }
    }
    pipelines
}

fn no_such<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.as_slice() {
        [] => format!("there is no {what} {}; the settings have none", quoted(name)),
        names => format!("there is no {what} {}; known: {}", quoted(name), names.join(", ")),
    }
}

fn subprotocols(value: &Value) -> Result<Vec<String>, String> {
    let names = list(value)?;
    all(names.iter().enumerate().map(|(at, name)| match name {
        name if !is_token(name.as_bytes()) => {
            Err(format!("{} is not a subprotocol: a token without spaces and separators", quoted(name)))
        }
        name if names[..at].contains(name) => Err(format!("{} is listed twice", quoted(name))),
        name => Ok(name.clone()),
    }))
}

// === impl Route ===

impl Route {
    /// Whether a page of another site could use the cookies of a browser on this route: the route checks no origins,
    /// and cookies select it or reach its upstream.
    pub fn is_open_to_other_sites(&self) -> bool {
        // A route that answers requests itself accepts no WebSockets, and gives every client the same answer.
        let Some(upstream) = &self.upstream else { return false };
        let forwards = upstream.forward_headers.iter().any(|name| *name == "cookie");
        self.origins.is_none() && (!self.pattern.cookies.is_empty() || forwards)
    }

    /// Whether a pipeline of the route reads metadata.
    pub fn reads_meta(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_meta())
    }

    /// Whether a pipeline of the route reads the origin of events.
    pub fn reads_origin(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_origin())
    }

    /// Whether a session moves to another connection when the upstream announces the end of its connection.
    pub fn moves(&self) -> bool {
        self.upstream.is_some() && self.keeps_client() && !self.routed_by_url
    }

    /// The outgoing pipeline that classifies the upstream's messages for the session's journal.
    pub fn classifier(&self) -> Option<&Arc<Pipeline>> {
        self.outgoing.first().filter(|pipeline| pipeline.program.uses_port(Port::Journal))
    }

    /// Whether this is the same route as one of other settings: it has the same name or, if both have none, matches the
    /// same requests. The position of a route without a name changes with the routes before it.
    pub fn is(&self, other: &Self) -> bool {
        match (self.is_named, other.is_named) {
            (true, true) => self.name == other.name,
            (false, false) => self.pattern == other.pattern,
            (true, false) | (false, true) => false,
        }
    }

    /// Whether a session that has started with the route `before` can continue with this one, which [is](Self::is) the
    /// same in other settings.
    pub fn continues(&self, before: &Self) -> bool {
        let journal = |route: &Self| {
            let journal = route.upstream.as_ref().is_some_and(|upstream| upstream.recovery.journal.is_some());
            journal.then(|| (route.keeps_client(), route.classifier().map(|pipeline| pipeline.text)))
        };
        self.shape == before.shape
            // What programs read is kept from the start of a session on.
            && (before.reads_meta() || !self.reads_meta())
            && (before.reads_origin() || !self.reads_origin())
            && self.routed_by_url == before.routed_by_url
            && journal(self) == journal(before)
    }

    /// All pipelines of the route.
    pub(crate) fn pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.incoming.iter().chain(&self.outgoing).chain(&self.errors)
    }
}
