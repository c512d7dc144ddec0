//! What has no effect with the routes that there are.

use super::{Route, Settings, read::Section};

/// What decides how a route's own upstream is connected to again, and what happens when that fails too often.
const OF_RESTARTS: [&str; 2] = ["on_give_up", "restart.rate"];
/// The same for servers that a program names by `$url`.
const OF_DELAYS: [&str; 5] =
    ["restart.min", "restart.max", "restart.max_restarts", "restart.window", "restart.probe"];

/// Refuses keys about restarts for an upstream that is never connected to again.
pub(super) fn check_restarts(upstreams: &[(&str, Section<'_>)], routes: &[Route]) {
    for (name, section) in upstreams {
        let of_it = |route: &&Route| route.upstream.as_ref().is_some_and(|upstream| upstream.name == *name);
        let users: Vec<_> = routes.iter().filter(of_it).collect();
        if users.is_empty() || users.iter().any(|route| route.keeps_client()) {
            continue;
        }
        // A server that an event names is tried again by the next such event, even if its failure closes nobody.
        let may_choose = |route: &&Route| {
            let listed = route.upstream.as_ref().is_some_and(|upstream| !upstream.allow_urls.is_empty());
            listed || route.routed_by_url
        };
        let by_url = users.iter().any(may_choose);
        let delays = OF_DELAYS.iter().filter(|_| !by_url);
        for key in OF_RESTARTS.iter().chain(delays).filter(|key| section.said(key).is_some()) {
            let text = "has no effect: each route to this upstream closes the client when the connection is lost \
                        (on_upstream_loss)";
            section.conflict(key, &["exchange", "allow_urls"], text);
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The sections that no route names, such as `upstream.spare`.
    pub fn unused(&self) -> Vec<String> {
        let upstreams = self.upstreams.keys().filter(|name| {
            let mut named = self.routes.iter().filter_map(|route| route.upstream.as_ref());
            !named.any(|upstream| upstream.name == **name)
        });
        let pipelines = self.pipelines.keys().filter(|name| {
            let mut named = self.routes.iter().flat_map(|route| route.pipelines());
            !named.any(|pipeline| pipeline.name == **name)
        });
        let upstreams = upstreams.map(|name| format!("upstream.{name}"));
        upstreams.chain(pipelines.map(|name| format!("pipeline.{name}"))).collect()
    }
}
