//! How the clients of a route renew their credentials.

use std::{rc::Rc, sync::Arc};

use crate::{
    auth::Secret,
    authenticator::Authenticator,
    session::{Check, Renewal},
    settings::Route,
};

/// How a client renews its credential that this method has accepted; `None` if it cannot.
pub(super) fn renewal(authenticator: &Arc<Authenticator>, route: &Arc<Route>) -> Option<Renewal> {
    let config = authenticator.config();
    let (method, rule) = (Arc::clone(&config.name), config.renew.clone()?);
    let (authenticator, lifetime) = (Arc::clone(authenticator), Arc::clone(&route.lifetime));
    let route = Arc::clone(route);
    let check = Rc::new(move |secret: Secret| -> Check {
        let (authenticator, route) = (Arc::clone(&authenticator), Arc::clone(&route));
        Box::pin(async move { authenticator.renew(&secret, &route.require).await })
    });
    Some(Renewal { method, rule, check, lifetime, announce: None })
}
