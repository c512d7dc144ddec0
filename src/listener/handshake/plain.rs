//! Requests that do not ask for a WebSocket: answered by a route, or forwarded to its upstream.

use std::sync::Arc;

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderValue},
};

use super::{
    Prepared, affinity, ambiguous, auth, checks, context::RequestContext, enter, prepared, too_long,
};
use crate::{
    listener::{
        admission::SessionPermit,
        answer::Refusal,
        configuration::{WorkerConfiguration, WorkerRoute},
        exchange::{Body, HttpExchange, Plan},
        worker::ListenerWorker,
    },
    session::{Lifetime, Moment},
    settings::{FixedAnswer, Route},
    template::Facts,
    upstream::Dialer,
};

/// What a route does with a request that does not ask for a WebSocket.
pub(super) enum Plain<'a> {
    /// The route answers it.
    Answer(Refusal),
    /// The route forwards it with this dialer.
    Forward(&'a WorkerRoute, &'a Dialer),
}

/// What the route does with a request that does not ask for a WebSocket. `None` if it asks for one, or if no route takes
/// it; the checks of the handshake refuse it then.
pub(super) fn find<'a>(
    configuration: &'a WorkerConfiguration,
    context: &mut RequestContext,
) -> Option<Plain<'a>> {
    let request = context.routed_by(&configuration.listener.name);
    if !request.is_plain {
        return None;
    }
    let routed = match configuration.router.find(&request) {
        Ok(found) => found?,
        Err(error) => return Some(Plain::Answer(ambiguous(error))),
    };
    let found = match (&routed.route.answer, &routed.dialer) {
        (Some(fixed), _) => {
            Plain::Answer(answer(fixed, context, &configuration.listener.name, &routed.route))
        }
        (None, Some(dialer)) => Plain::Forward(routed, dialer),
        (None, None) => return None,
    };
    context.route = Some(Arc::clone(&routed.route));
    Some(found)
}

fn answer(fixed: &FixedAnswer, context: &RequestContext, listener: &str, route: &Route) -> Refusal {
    match context.head.method {
        Method::GET | Method::HEAD => {
            filled(fixed, &Facts { request: context.routed_by(listener), route: &route.name, identity: None })
        }
        _ => {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD").with(header::ALLOW, "GET, HEAD")
        }
    }
}

/// Prepares a request that is forwarded, and connects to the upstream. Everything that can refuse the request happens
/// before that.
pub(super) async fn open(
    worker: &ListenerWorker,
    configuration: &WorkerConfiguration,
    context: &mut RequestContext,
    routed: &WorkerRoute,
    dialer: &Dialer,
) -> Result<(HttpExchange, SessionPermit), Refusal> {
    let body = Body::of(&context.head.method, &context.head.headers)?;
    let route = &routed.route;
    if context.head.headers.contains_key(header::ORIGIN) {
        checks::origin(context, route)?;
    }
    // A request that asks for no WebSocket may have a credential there too.
    checks::subprotocols(context)?;
    auth::check(routed, context, &worker.state).await?;
    let expires = context.identity.as_ref().and_then(|identity| identity.expires);
    let lifetime = Lifetime::new(&route.lifetime, expires, Moment::now(), rand::random());
    let Prepared { added, headers, path, destination: _ } =
        prepared(context, &configuration.listener.name, route, dialer)?;
    let permit = enter(worker, &routed.limits, context)?;
    forget_replaced(context, dialer);
    let key = affinity::key(context, &dialer.upstream().settings().pool).get();
    let (route, dialer) = (Arc::clone(route), dialer.clone());
    let plan = Plan { route, dialer, path, key, headers, added, body, lifetime };
    Ok((plan.open().await?, permit))
}

/// Removes the client's headers that others replace, so that none of them goes on where what replaces it has no value.
fn forget_replaced(context: &mut RequestContext, dialer: &Dialer) {
    let RequestContext { head, known_headers, .. } = context;
    known_headers.iter().for_each(|(name, _)| _ = head.headers.remove(name));
    dialer.upstream().settings().headers.iter().for_each(|(name, _)| _ = head.headers.remove(name.as_str()));
}

fn filled(fixed: &FixedAnswer, facts: &Facts<'_>) -> Refusal {
    let Ok(status) = StatusCode::from_u16(fixed.status) else {
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "invalid status");
    };
    let mut answer = Refusal::new(status, "answered by the route");
    answer.is_configured = true;
    answer.body = Some(fixed.body.clone());
    if let Some(value) = fixed.content_type.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
        answer.headers.push((header::CONTENT_TYPE, value));
    }
    if let Some(template) = &fixed.location {
        match template.value(facts) {
            // Without a target there is no redirect.
            Ok(None) => {
                return Refusal::new(StatusCode::BAD_REQUEST, "request without a part of the redirect");
            }
            Ok(Some(value)) => {
                answer
                    .headers
                    .extend(HeaderValue::from_bytes(&value).ok().map(|value| (header::LOCATION, value)));
            }
            Err(error) => return too_long(error),
        }
    }
    answer
}
