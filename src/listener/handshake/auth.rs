//! Whether the client may use the route, by its credential.

use std::{sync::Arc, time::Instant};

use actix_http::{
    StatusCode,
    header::{self, HeaderValue},
};

use super::context::RequestContext;
use crate::{
    auth::{Denial, Hidden, Identity, Invalid, none_besides, only_one},
    authenticator::{Accepted, Authenticator, Offer, authenticate, guess},
    listener::{admission::Full, answer::Refusal, configuration::WorkerRoute, state::ListenerState},
    session::{Lifetime, Moment},
};

/// The seconds after which a client may try again when the service of the method `forward` has not decided.
const SERVICE_RETRY_SECONDS: u32 = 1;

/// Accepts or refuses the client by the route's `auth` and `require`, and records who it is in `context`. In both
/// cases, the credential is removed from the request's query and subprotocols.
///
/// Code that serves requests of a route in another way than as sessions calls this too.
pub(super) async fn check(
    routed: &WorkerRoute,
    context: &mut RequestContext,
    state: &ListenerState,
) -> Result<(), Refusal> {
    if routed.route.auth.is_empty() {
        return Ok(());
    }
    if routed.auth.len() != routed.route.auth.len() {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "authentication is not available");
        return Err(Refusal { cause: Some("a method of the route is missing".to_owned()), ..refusal });
    }
    let sources = &routed.route.credentials;
    let hidden = Hidden::new(sources, &context.routed_by(&state.name));
    let guess = guess(&routed.auth, &context.routed_by(&state.name));
    let attempt = match state.admission.attempts.begin(context.peer.ip(), guess, Instant::now()) {
        Ok(attempt) => attempt,
        Err(full) => {
            context.hide(hidden);
            return Err(full.into());
        }
    };
    let offer = Offer {
        request: context.routed_by(&state.name),
        hidden: &hidden,
        method: &context.head.method,
        chain: &context.chain,
        tls: context.tls.as_deref(),
        clients: &routed.auth_clients,
        waiting: &attempt,
    };
    let decision = match only_one(sources, &offer.request) {
        Ok(()) => authenticate(&routed.auth, &routed.route.require, &offer).await,
        Err(error) => Err(denied(routed, Denial::Malformed(error), None)),
    };
    let decision = decision.and_then(|accepted| {
        match objection(routed, &accepting(routed, &accepted.identity), &accepted, &offer) {
            None => Ok(accepted),
            Some(denial) => Err(denied(routed, denial, Some(&accepted.identity))),
        }
    });
    match &decision {
        Err((Denial::Invalid(error), _)) if error.is_guess() => attempt.end_wrong(Instant::now()),
        _ => attempt.end(),
    }
    context.hide(hidden);
    let accepted = decision.map_err(|(denial, challenges)| refusal(&denial, &challenges))?;
    let Accepted { identity, credential, upstream_headers } = accepted;
    context.authenticator = accepting(routed, &identity);
    context.identity = Some(identity.into());
    context.known_headers = upstream_headers;
    if let Some(credential) = credential {
        context.forward_credential(&credential.secret);
        context.source = Some(credential.source);
    }
    Ok(())
}

/// The method that accepted the client.
fn accepting(routed: &WorkerRoute, identity: &Identity) -> Option<Arc<Authenticator>> {
    routed.auth.iter().find(|method| method.config().name == identity.method).cloned()
}

/// Why a client that a method has accepted is denied.
fn objection(
    routed: &WorkerRoute,
    accepting: &Option<Arc<Authenticator>>,
    accepted: &Accepted,
    offer: &Offer<'_>,
) -> Option<Denial> {
    // What other methods would have checked is not checked now.
    let read = accepting.as_ref().map(|method| method.config().sources()).unwrap_or_default();
    if let Err(error) = none_besides(&routed.route.credentials, &read, &offer.request) {
        return Some(Denial::Malformed(error));
    }
    is_over(routed, &accepted.identity).then_some(Denial::Invalid(Invalid::Expired))
}

/// Whether a session of this client would be closed at once: a method accepts a token for a while after its expiry, which
/// may be longer than the `skew` of the route.
fn is_over(routed: &WorkerRoute, identity: &Identity) -> bool {
    let lifetime = Lifetime::of_token(&routed.route.lifetime, identity.expires);
    lifetime.is_some_and(|lifetime| lifetime.end(Moment::now()).is_some())
}

/// The denial with the challenge of the method that accepted the client, or those of all methods.
fn denied(routed: &WorkerRoute, denial: Denial, accepted: Option<&Identity>) -> (Denial, Vec<String>) {
    let methods = routed
        .auth
        .iter()
        .filter(|method| accepted.is_none_or(|identity| method.config().name == identity.method));
    let challenges = methods.filter_map(|method| method.challenge(&denial)).collect();
    (denial, challenges)
}

fn refusal(denial: &Denial, challenges: &[String]) -> Refusal {
    let (status, text, cause) = match denial {
        // Without a challenge, the status is not 401 (RFC 9110 section 15.5.2).
        Denial::Missing if challenges.is_empty() => {
            (StatusCode::FORBIDDEN, "client certificate required", None)
        }
        Denial::Certificate(error) => (StatusCode::FORBIDDEN, "not allowed", Some(error.to_string())),
        Denial::Missing => (StatusCode::UNAUTHORIZED, "authentication required", None),
        Denial::Malformed(error) => {
            (StatusCode::BAD_REQUEST, "malformed credential", Some(error.to_string()))
        }
        Denial::Invalid(error) => (StatusCode::UNAUTHORIZED, "invalid credential", Some(error.to_string())),
        Denial::Forbidden(claim) => (StatusCode::FORBIDDEN, "not allowed", Some(format!("claim {claim}"))),
        Denial::Unavailable(_) | Denial::Removed => {
            (StatusCode::SERVICE_UNAVAILABLE, "authentication is not available", None)
        }
        Denial::ByService { is_known: false, .. } => (
            StatusCode::UNAUTHORIZED,
            "authentication required",
            Some("status 401 from the service".to_owned()),
        ),
        Denial::ByService { is_known: true, .. } => {
            (StatusCode::FORBIDDEN, "not allowed", Some("status 403 from the service".to_owned()))
        }
        Denial::Busy(_) => {
            let cause = "too many passwords wait for their check".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, "authentication is not available", Some(cause))
        }
        Denial::TooManyWait => return Full::Checks.into(),
        Denial::Failed(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, "authentication is not available", Some(error.to_string()))
        }
    };
    let mut refusal = Refusal { cause, ..Refusal::new(status, text) };
    let retry = match denial {
        Denial::Busy(seconds) => Some(*seconds),
        Denial::Unavailable(seconds) => Some(*seconds),
        Denial::Failed(_) => Some(SERVICE_RETRY_SECONDS),
        _ => None,
    };
    if let Some(seconds) = retry {
        refusal.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        return refusal;
    }
    let challenges = challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok());
    refusal.headers.extend(challenges.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    refusal
}

#[cfg(test)]
mod tests {
    use actix_http::test::TestRequest;

    use super::*;
    use crate::{
        listener::{admission::KeyLimits, state::ServerState},
        server::Registry,
        settings::fixture::{MINIMAL, load},
    };

    #[test]
    fn a_route_without_one_of_its_methods_accepts_nobody() {
        let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let methods = format!(
            "[auth.a]\napi_keys.keys = {{ x = {hash:?} }}\n[[route]]\nauth = [\"a\"]\norigins = [\"*\"]"
        );
        let settings = load(&MINIMAL.replace("[[route]]", &methods), &[]).unwrap();
        let route = Arc::clone(&settings.routes[0]);
        let limits = KeyLimits::new(&route.limits);
        let auth_clients = std::rc::Rc::default();
        let server = ServerState::new(&settings, 9, Registry::new(Arc::default()));
        let state = ListenerState::new(&settings.listeners[0], &server);
        let routed = WorkerRoute { route, dialer: None, auth: Vec::new(), limits, auth_clients };
        let head = TestRequest::default().finish().head().clone();
        let mut context = RequestContext::direct(head, ([192, 0, 2, 1], 50_000).into());
        let checked = actix::System::new().block_on(check(&routed, &mut context, &state));
        let refusal = checked.expect_err("the client is refused");
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refusal.cause.as_deref(), Some("a method of the route is missing"));
        assert!(context.identity.is_none());
    }
}
