//! The first connection to the upstream, dialed before the client is answered.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::relay;
use crate::{
    listener::answer::Refusal,
    settings::Route,
    upstream::{DialPlan, First},
    wiring::UpstreamStart,
};

/// Dials the upstream before the client is answered, so that the client gets the subprotocol that the
/// upstream chooses. Returns the subprotocol for the response, and the connection or the dial in progress.
///
/// A refusal by the upstream with a 4xx status is passed on to the client. On a route that closes the client when the
/// upstream is lost, every failure of the dial refuses the client. `dial_before_accept` limits how long the client
/// waits, but not the dial: after that time the client is accepted, and the same dial continues in the session.
pub(super) async fn dial_first(
    route: &Route,
    mut plan: DialPlan,
) -> Result<(Option<String>, UpstreamStart), Refusal> {
    // A client that offers subprotocols needs the upstream's choice.
    if plan.protocols.is_empty() && route.routed_by_url {
        return Ok((None, UpstreamStart { plan, first: First::NotNeeded }));
    }
    // The message that selects the endpoint comes after the response.
    let wait = if plan.key.is_awaited() { Duration::ZERO } else { route.dial_before_accept };
    let deadline = Instant::now() + wait;
    let mut dialing = plan.dial(None);
    let dialed = timeout_at(deadline, &mut dialing).await;
    let (protocol, first) = match dialed {
        Ok(Err(error)) if relay::is_answer(&error, route.keeps_client()) => {
            return Err(relay::answer(error, &plan, deadline).await);
        }
        Ok(Ok(dialed)) => (dialed.protocol.clone(), First::Up(Box::new(dialed))),
        Ok(Err(error)) => (preferred(route, &plan.protocols), First::Failed(error)),
        Err(_) => {
            let promised = preferred(route, &plan.protocols);
            (promised.clone(), First::Pending(dialing.promise(promised)))
        }
    };
    if !plan.protocols.is_empty() || protocol.is_some() {
        // Later connections must use the subprotocol that the client was answered with.
        plan.protocols = protocol.iter().cloned().collect();
    }
    Ok((protocol, UpstreamStart { plan, first }))
}

/// The subprotocol for the response when the upstream has not chosen one: the first of the route's
/// `subprotocols` that the client offers. If the route lists none and the client offers exactly one, it is
/// that one: a browser would close a connection without it, and the upstream can choose no other.
pub(super) fn preferred(route: &Route, offered: &[String]) -> Option<String> {
    match offered {
        [only] if route.subprotocols.is_empty() => Some(only.clone()),
        _ => route.subprotocols.iter().find(|protocol| offered.contains(protocol)).cloned(),
    }
}
