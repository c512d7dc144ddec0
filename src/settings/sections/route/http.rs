//! The keys of a route about requests that do not ask for a WebSocket and are forwarded.

use std::time::Duration;

use crate::settings::read::Section;

/// Reads whether such requests are forwarded.
pub(super) fn forwards(section: &Section<'_>) -> bool {
    let forwards = section.flag("forward_http");
    if forwards && section.said("upstream").is_none() {
        section.conflict("forward_http", &["upstream"], "needs an upstream");
    }
    if forwards && section.said("match.subprotocol").is_some() {
        let text = "has no effect with match.subprotocol: only handshakes offer subprotocols";
        section.conflict("forward_http", &["match.subprotocol"], text);
    }
    forwards
}

/// Reads the maximum time without progress.
pub(super) fn timeout(section: &Section<'_>) -> Duration {
    if section.said("http_timeout").is_some() && !section.flag("forward_http") {
        section.conflict("http_timeout", &["forward_http"], "needs forward_http = true");
    }
    section.duration("http_timeout")
}

/// The upstreams of the routes that forward such requests.
pub(crate) fn upstreams(routes: &[Section<'_>]) -> Vec<String> {
    let forwards = |section: &&Section<'_>| section.said("forward_http").is_some();
    let name = |section: &Section<'_>| section.said("upstream")?.clone().into_string().ok();
    routes.iter().filter(forwards).filter_map(name).collect()
}
