//! How the clients of a route renew their credentials.

use std::{rc::Rc, sync::Arc};

use super::{configuration::Routing, state::ServerState};
use crate::{
    auth::{Denial, Secret},
    authenticator::Authenticator,
    session::{Check, Renewal},
    settings::Route,
};

/// How a client renews its credential that this method has accepted; `None` if it cannot.
///
/// The method of the same name in the configuration in force checks a renewal, so that a key that a reload has removed
/// renews nothing, also in a session that keeps its configuration.
pub(super) fn renewal(
    authenticator: &Arc<Authenticator>,
    route: &Arc<Route>,
    server: &Arc<ServerState>,
) -> Option<Renewal> {
    let config = authenticator.config();
    let (method, rule) = (Arc::clone(&config.name), config.renew.clone()?);
    let (lifetime, route, server) = (Arc::clone(&route.lifetime), Arc::clone(route), Arc::clone(server));
    let name = Arc::clone(&method);
    let check = Rc::new(move |secret: Secret| -> Check {
        let (method, route) = in_force(&server.configurations.current(), &name, &route);
        Box::pin(async move { method.ok_or(Denial::Removed)?.renew(&secret, &route.require).await })
    });
    Some(Renewal { method, rule, check, lifetime, announce: None })
}

/// The method that checks a renewal, unless the settings no longer have it for this route; and the route, which stays as
/// it was if they no longer have it.
fn in_force(routing: &Routing, method: &str, route: &Arc<Route>) -> (Option<Arc<Authenticator>>, Arc<Route>) {
    let route = Arc::clone(routing.routes().find(|other| other.is(route)).unwrap_or(route));
    let is_listed = route.auth.iter().any(|config| *config.name == *method && config.renew.is_some());
    (routing.authenticator(method).filter(|_| is_listed).cloned(), route)
}
