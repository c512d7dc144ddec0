//! Routes: which one a session takes, how they are read, and which no session could ever take.

use std::sync::Arc;

use config::Value;
use indexmap::IndexMap;

use super::{
    Pipeline, Route, Upstream, policies,
    read::{Section, all, list, quoted, text},
};
use crate::{header_list::is_token, path, trickle::Port};

/// What routes may refer to. An entry that is wrong in itself is there all the same, without value.
pub(super) struct Known<'a> {
    pub(super) listeners: &'a [&'a str],
    pub(super) upstreams: &'a IndexMap<String, Option<Arc<Upstream>>>,
    pub(super) pipelines: &'a IndexMap<String, Option<Arc<Pipeline>>>,
}

// === impl Route ===

impl Route {
    /// Whether a session on `listener` that asked for `path` (without its query) takes this route,
    /// if no route before it does.
    ///
    /// `/chat` matches `/chat`, `/chat/` and `/chat/room`, but not `/chatter`; `/chat/` matches only
    /// what lies below it.
    pub fn matches(&self, listener: &str, path: &str) -> bool {
        let here = self.listener.as_deref().is_none_or(|name| name == listener);
        here && self.rest_of(path).is_some()
    }

    /// What a request's path has behind the route's, if it lies at or below it.
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let at_segment = |rest: &&str| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/');
        path::behind(&self.path, path).filter(at_segment)
    }
}

/// Whether routes before it take all that this route would take, on every listener: then the numbers
/// of those routes from 1.
///
/// # Correctness
/// A route that matches the path of another as if a client had asked for it matches everything below
/// that path too, so it is enough to ask for the path itself.
pub(super) fn hidden_by(route: &Route, before: &[Route], listeners: &[&str]) -> Option<Vec<usize>> {
    let mut hiding = Vec::new();
    for listener in listeners {
        if route.listener.as_deref().is_some_and(|name| name != *listener) {
            continue;
        }
        let number = before.iter().position(|earlier| earlier.matches(listener, &route.path))? + 1;
        if !hiding.contains(&number) {
            hiding.push(number);
        }
    }
    (!hiding.is_empty()).then_some(hiding)
}

/// Whether some route takes sessions of the listener.
pub(super) fn serves(routes: &[Route], listener: &str) -> bool {
    routes.iter().any(|route| route.listener.as_deref().is_none_or(|name| name == listener))
}

/// The routes in order, with all that is wrong in them noted.
pub(super) fn read(sections: &[Section<'_>], known: &Known<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for section in sections {
        let route = route(section, known);
        if let Some(hiding) = hidden_by(&route, &routes, known.listeners) {
            let numbers: Vec<_> = hiding.iter().map(|number| format!("route[{number}]")).collect();
            let verb = if hiding.len() == 1 { "matches" } else { "match" };
            let text = format!("unreachable: {} already {verb}", numbers.join(" and "));
            section.conflict("path", &["listener"], text);
        }
        routes.push(route);
    }
    routes
}

fn route(section: &Section<'_>, known: &Known<'_>) -> Route {
    let listener = section.text("listener");
    if let Some(name) = listener.as_deref().filter(|name| !known.listeners.contains(name)) {
        section.problem("listener", no_such("listener", name, known.listeners.iter().copied()));
    }
    let errors = pipelines(section, "errors", known);
    let policies = policies::route(section, !errors.is_empty());
    let path = section.read("path", path).unwrap_or_default();
    let upstream = route_upstream(section, known);
    let incoming = pipelines(section, "incoming", known);
    let route = Route {
        listener,
        strip_prefix: strip_prefix(section, &path, upstream.as_deref()),
        path,
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
        let text = "needs an upstream, or an incoming pipeline that answers by itself (into reply)";
        section.section_problem(text.to_owned());
    }
    route
}

/// Whether the route's path is removed; refused where that would change nothing.
fn strip_prefix(section: &Section<'_>, path: &str, upstream: Option<&Upstream>) -> bool {
    let strip = section.flag("strip_prefix");
    let idle = match upstream {
        _ if path == "/" => Some("needs a path other than \"/\"".to_owned()),
        None if section.said("upstream").is_none() => Some("needs an upstream".to_owned()),
        Some(upstream) if !upstream.forward_path => {
            Some(format!("needs upstream.{}.forward_path = true", upstream.name))
        }
        Some(upstream) if upstream.url.has_path => {
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
        [] => format!("there is no {what} {}, and no other", quoted(name)),
        names => format!("there is no {what} {}; there are {}", quoted(name), names.join(", ")),
    }
}

/// The beginning of a request's path.
fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    let wrong = |letter: char| matches!(letter, '?' | '#' | '*') || !letter.is_ascii_graphic();
    if !path.starts_with('/') || path.contains(wrong) {
        return Err(
            "takes the beginning of a path such as \"/chat\": / first, and no spaces, ?, # or *".to_owned()
        );
    }
    Ok(path.to_owned())
}

fn subprotocols(value: &Value) -> Result<Vec<String>, String> {
    let names = list(value)?;
    all(names.iter().enumerate().map(|(at, name)| match name {
        name if !is_token(name.as_bytes()) => {
            Err(format!("{} is no subprotocol: a token without spaces and separators", quoted(name)))
        }
        name if names[..at].contains(name) => Err(format!("{} stands there twice", quoted(name))),
        name => Ok(name.clone()),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::fixture::route;

    #[test]
    fn a_path_is_a_prefix_by_segments() {
        let table = [
            ("/", "/", true),
            ("/", "/a", true),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a", "/", false),
            ("/a/", "/a/b", true),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a", "/A", false),
            ("/a", "/%61/b", true),
            ("/a/b", "/a%2Fb", false),
        ];
        for (prefix, path, expected) in table {
            assert_eq!(route(None, prefix).matches("ws", path), expected, "{prefix} {path}");
        }
        assert!(route(Some("ws"), "/").matches("ws", "/"));
        assert!(!route(Some("other"), "/").matches("ws", "/"));
    }

    /// Listener and path.
    type Place = (Option<&'static str>, &'static str);
    /// The routes before, the route, and the numbers of those that hide it.
    type Case = (&'static [Place], Place, Option<&'static [usize]>);

    #[test]
    fn routes_hide_later_ones() {
        let table: [Case; 8] = [
            (&[(None, "/")], (None, "/a"), Some(&[1])),
            (&[(None, "/a")], (None, "/"), None),
            (&[(None, "/a")], (None, "/ab"), None),
            (&[(Some("x"), "/")], (None, "/"), None),
            (&[(Some("x"), "/")], (Some("y"), "/"), None),
            (&[(Some("x"), "/"), (Some("y"), "/")], (None, "/a"), Some(&[1, 2])),
            (&[(None, "/a/")], (None, "/a"), None),
            (&[(None, "/a")], (None, "/a/"), Some(&[1])),
        ];
        for (before, (listener, path), expected) in table {
            let before: Vec<_> = before.iter().map(|(listener, path)| route(*listener, path)).collect();
            let hidden = hidden_by(&route(listener, path), &before, &["x", "y"]);
            assert_eq!(hidden.as_deref(), expected, "{listener:?} {path}");
        }
    }

    proptest! {
        #[test]
        fn a_route_that_matches_anything_first_is_not_hidden(
            before in prop::collection::vec("(/[ab]{0,2}){1,3}", 0..4), path in "(/[ab]{0,2}){1,3}",
            asked in "(/[ab]{0,2}){1,4}"
        ) {
            let before: Vec<_> = before.iter().map(|path| route(None, path)).collect();
            let last = route(None, &path);
            let taken = last.matches("x", &asked) && !before.iter().any(|earlier| earlier.matches("x", &asked));
            prop_assert!(!(taken && hidden_by(&last, &before, &["x"]).is_some()));
        }
    }
}
