//! Headers for the upstream from a client that has renewed its credential.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use super::{context::RequestContext, forward};
use crate::{
    auth::{Identity, Secret},
    failure::Failure,
    session::Announce,
    template::Facts,
    upstream::DialPlan,
};

/// Puts a renewed credential, and the claims of the client that has it, into the headers of the session's next handshakes
/// with its upstream. The context is that of the client's handshake.
pub(super) fn announce(context: RequestContext, listener: &str, plan: &DialPlan) -> Announce {
    let (listener, headers) = (listener.to_owned(), plan.headers.clone());
    let (context, upstream) = (RefCell::new(context), Arc::clone(plan.settings()));
    Rc::new(move |secret: &Secret, identity: &Arc<Identity>| {
        let mut context = context.borrow_mut();
        context.renew(secret, identity);
        let route = context.route_name();
        let request = context.routed_by(&listener);
        let facts = Facts { request, route, identity: context.identity.as_deref() };
        let renewed = forward::headers(&context, &upstream, &facts);
        headers.replace(renewed.map_err(|error| Failure::renewal(error.to_string()))?);
        Ok(())
    })
}
