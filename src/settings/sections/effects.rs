//! Finds settings that have no effect with the given routes.

use super::route::Route;
use crate::{policy::HashKey, settings::read::Section};

/// Keys of which one begins the description of a protocol.
const DESCRIPTIONS: [&str; 3] = ["recovery.preset", "recovery.hello", "recovery.open"];
/// Keys about new connections to a route's own upstream.
const OF_RESTARTS: [&str; 8] = [
    "on_give_up",
    "max_age",
    "max_age_jitter",
    "move.rate",
    "move.grace",
    "move.on_message",
    "rebalance.min_sessions",
    "rebalance.max_share",
];
/// Keys about reconnecting to any server, including servers chosen by `$url`.
const OF_RECONNECTS: [&str; 6] =
    ["restart.min", "restart.max", "restart.max_restarts", "restart.window", "restart.probe", "restart.rate"];
/// Why a key about new connections has no effect.
const CLOSES: &str = "has no effect: each route to this upstream closes the client when the connection is lost; \
                      a route keeps it with on_upstream_loss = \"keep\" or stateless = true";

/// Refuses settings of upstreams that have no effect with these routes.
pub(crate) fn check(upstreams: &[(&str, Section<'_>)], routes: &[Route]) {
    check_restarts(upstreams, routes);
    check_recovery(upstreams, routes);
    check_claims(upstreams, routes);
}

/// Refuses `recovery` for an upstream to which no session reconnects.
fn check_recovery(upstreams: &[(&str, Section<'_>)], routes: &[Route]) {
    for (name, section) in upstreams {
        let of_it = |route: &&Route| route.upstream.as_ref().is_some_and(|upstream| upstream.name == *name);
        let users: Vec<_> = routes.iter().filter(of_it).collect();
        check_hold(section, &users);
        check_notice(section, &users);
        let recovers = |route: &&Route| {
            let has_journal =
                route.upstream.as_ref().is_some_and(|upstream| upstream.recovery.journal.is_some());
            !has_journal || reconnects(route)
        };
        if users.is_empty() || users.iter().any(recovers) {
            continue;
        }
        let Some(key) = DESCRIPTIONS.into_iter().find(|key| section.said(key).is_some()) else { continue };
        section.conflict(key, &["exchange", "recovery.preset"], why_never_recovered(&users));
    }
}

/// Refuses settings of an upstream that use the claims of clients, if a route to it has no authentication.
fn check_claims(upstreams: &[(&str, Section<'_>)], routes: &[Route]) {
    for (name, section) in upstreams {
        let is_open = |route: &&Route| {
            route.auth.is_empty() && route.upstream.as_ref().is_some_and(|upstream| upstream.name == *name)
        };
        let Some(route) = routes.iter().find(is_open) else { continue };
        let Some(upstream) = &route.upstream else { continue };
        let text = format!("needs auth on {}: nothing is known of its clients", route.name);
        if matches!(upstream.pool.hash, HashKey::Claim(_)) {
            section.conflict("hash", &["balance"], text.clone());
        }
        for (key, headers) in
            [("headers", &upstream.headers), ("response_headers", &upstream.response_headers)]
        {
            if headers.iter().any(|(_, value)| value.needs_identity()) {
                section.conflict(
                    key,
                    &[],
                    format!("with ${{session.subject}} or ${{session.claims.NAME}} {text}"),
                );
            }
        }
    }
}

/// Refuses `recovery.hold` if no message would ever be held. Messages wait for the route's own upstream, on routes that
/// keep their clients.
fn check_hold(section: &Section<'_>, users: &[&Route]) {
    if users.is_empty() || users.iter().any(reconnects) || section.timeout("recovery.hold").is_none() {
        return;
    }
    section.conflict("recovery.hold", &["exchange", "recovery.preset"], why_never_recovered(users));
}

/// Refuses `recovery.notice` if no client would ever get a notice: the connection is not replaced, or the route has no
/// error replies.
fn check_notice(section: &Section<'_>, users: &[&Route]) {
    let is_set = section.said("recovery.notice").is_some() && section.flag("recovery.notice");
    let recovering: Vec<_> = users.iter().filter(|route| reconnects(route)).collect();
    if !is_set || users.is_empty() || recovering.iter().any(|route| route.replies_errors()) {
        return;
    }
    let text = match recovering.is_empty() {
        true => why_never_recovered(users),
        false => {
            "has no effect: each route to this upstream that keeps its clients is without error replies; \
             a route has them with error_replies = true or with errors pipelines"
        }
    };
    section.conflict("recovery.notice", &["exchange", "recovery.preset"], text);
}

fn why_never_recovered(users: &[&Route]) -> &'static str {
    match users.iter().all(|route| route.routed_by_url) {
        true => "has no effect: programs choose the server of each event ($url)",
        false => CLOSES,
    }
}

/// Refuses keys about restarts for an upstream to which the proxy never reconnects.
fn check_restarts(upstreams: &[(&str, Section<'_>)], routes: &[Route]) {
    for (name, section) in upstreams {
        let of_it = |route: &&Route| route.upstream.as_ref().is_some_and(|upstream| upstream.name == *name);
        let users: Vec<_> = routes.iter().filter(of_it).collect();
        let keeps_client = users.iter().any(|route| route.keeps_client());
        if users.is_empty() || users.iter().any(reconnects) {
            continue;
        }
        // The next event that names a server tries it again, even if its failure closes no client.
        let may_choose = |route: &&Route| {
            let listed = route.upstream.as_ref().is_some_and(|upstream| !upstream.allow_urls.is_empty());
            listed || route.routed_by_url
        };
        let by_url = keeps_client || users.iter().any(may_choose);
        let reconnects = OF_RECONNECTS.iter().filter(|_| !by_url);
        // Without `max_age`, the jitter is refused already.
        let is_refused = |key: &str| key == "max_age_jitter" && section.timeout("max_age").is_none();
        let said = |key: &&&str| section.said(key).is_some() && !is_refused(key);
        for key in OF_RESTARTS.iter().chain(reconnects).filter(said) {
            section.conflict(key, &["exchange", "allow_urls"], why_never_recovered(&users));
        }
    }
}

/// Whether sessions of the route reconnect to its own upstream.
fn reconnects(route: &&Route) -> bool {
    route.keeps_client() && !route.routed_by_url
}
