//! Answers of routes to requests that do not ask for a WebSocket.

use actix_http::{
    Method, StatusCode,
    header::{self, HeaderValue},
};

use super::{context::RequestContext, too_long};
use crate::{
    listener::{answer::Refusal, configuration::WorkerConfiguration},
    settings::FixedAnswer,
    template::Facts,
};

/// The answer to a request that does not ask for a WebSocket. `None` if it asks for one, or if no route answers it;
/// the checks of the handshake refuse it then.
pub(super) fn answer(configuration: &WorkerConfiguration, context: &mut RequestContext) -> Option<Refusal> {
    let request = context.routed_by(&configuration.listener.name);
    let routed = configuration.router.find(&request).filter(|_| request.is_plain)?;
    let fixed = routed.route.answer.as_ref()?;
    let facts = Facts { request, route: &routed.route.name, identity: None };
    let answer = match context.head.method {
        Method::GET | Method::HEAD => filled(fixed, &facts),
        _ => {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD").with(header::ALLOW, "GET, HEAD")
        }
    };
    context.route = Some(routed.route.clone());
    Some(answer)
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
