//! The sections `[[route]]` of the settings.

mod auto;
mod policies;

use std::{sync::Arc, time::Duration};

use config::Value;
use indexmap::IndexMap;

use super::{pipeline::Pipeline, upstream::Upstream};
use crate::{
    header_list::is_token,
    policy::{ErrorReplies, OnUpstreamLoss},
    router::{self, Pattern, hidden_by},
    settings::read::{Section, all, list, quoted, text},
    trickle::Port,
};

/// A section `[[route]]`: selects the upstream and the pipelines of a session.
#[derive(Debug, Clone)]
pub struct Route {
    /// The requests that use this route, if no earlier route matches.
    pub pattern: router::Pattern,
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
    /// Subprotocols for the response to the client when the upstream has not chosen one, in order of
    /// preference.
    pub subprotocols: Vec<String>,
    /// How long the response to the client waits for the handshake with the upstream.
    pub dial_before_accept: Duration,
}

/// The sections that routes may refer to. An invalid section is included by name, without a value.
pub(crate) struct Known<'a> {
    pub(crate) listeners: &'a [&'a str],
    pub(crate) upstreams: &'a IndexMap<String, Option<Arc<Upstream>>>,
    pub(crate) pipelines: &'a IndexMap<String, Option<Arc<Pipeline>>>,
}

/// Reads the routes in order. Every mistake in them is reported to its section.
pub(crate) fn read_all(sections: &[Section<'_>], known: &Known<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for section in sections {
        let route = read(section, known);
        let before: Vec<_> = routes.iter().map(|earlier| &earlier.pattern).collect();
        if let Some(hiding) = hidden_by(&route.pattern, &before, known.listeners) {
            let numbers: Vec<_> = hiding.iter().map(|position| format!("route[{}]", position + 1)).collect();
            let verb = if hiding.len() == 1 { "matches" } else { "match" };
            let text = format!("unreachable: {} already {verb}", numbers.join(" and "));
            section.conflict("path", &["listener"], text);
        }
        routes.push(route);
    }
    routes
}

fn read(section: &Section<'_>, known: &Known<'_>) -> Route {
    let listener = section.text("listener");
    if let Some(name) = listener.as_deref().filter(|name| !known.listeners.contains(name)) {
        section.problem("listener", no_such("listener", name, known.listeners.iter().copied()));
    }
    let errors = pipelines(section, "errors", known);
    let policies = policies::read(section, !errors.is_empty());
    let path = section.read("path", path).unwrap_or_default();
    let upstream = route_upstream(section, known);
    let incoming = pipelines(section, "incoming", known);
    let route = Route {
        strip_prefix: strip_prefix(section, &path, upstream.as_deref()),
        pattern: Pattern { listener, path },
        routed_by_url: incoming.iter().fold(false, |set, pipeline| pipeline.program.always_sets("url", set)),
        incoming,
        upstream,
        outgoing: pipelines(section, "outgoing", known),
        errors,
        error_replies: policies.error_replies,
        on_upstream_loss: policies.on_upstream_loss,
        stateless: policies.stateless,
        subprotocols: section.read("subprotocols", subprotocols).unwrap_or_default(),
        dial_before_accept: section.duration("dial_before_accept"),
    };
    let replies = || route.incoming.iter().any(|pipeline| pipeline.program.uses_port(Port::Reply));
    let all_compiled = route.incoming.len() == section.list("incoming").len();
    if section.said("upstream").is_none() && all_compiled && !replies() {
        let text = "needs an upstream, or an incoming pipeline that answers (into reply)";
        section.section_problem(text.to_owned());
    }
    route
}

/// Reads whether the route's path is removed. Reports a value that would change nothing.
fn strip_prefix(section: &Section<'_>, path: &str, upstream: Option<&Upstream>) -> bool {
    let strip = section.flag("strip_prefix");
    let idle = match upstream {
        _ if path == "/" => Some("needs a path other than \"/\"".to_owned()),
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
        section.conflict("strip_prefix", &["path"], text);
    }
    strip
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

/// Parses the path of a route, a prefix of request paths.
fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    let wrong = |letter: char| matches!(letter, '?' | '#' | '*') || !letter.is_ascii_graphic();
    if !path.starts_with('/') || path.contains(wrong) {
        return Err(
            "takes the prefix of a path, such as \"/chat\"; it starts with / and has no spaces, ?, # or *"
                .to_owned(),
        );
    }
    Ok(path.to_owned())
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
    /// Whether a pipeline of the route reads metadata.
    pub fn reads_meta(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_meta())
    }

    /// Whether a pipeline of the route reads the origin of events.
    pub fn reads_origin(&self) -> bool {
        self.pipelines().any(|pipeline| pipeline.program.reads_origin())
    }

    /// All pipelines of the route.
    pub(crate) fn pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.incoming.iter().chain(&self.outgoing).chain(&self.errors)
    }
}
