//! Whether the client may use the route, by its credential.

use std::time::Instant;

use actix_http::{
    StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use super::context::RequestContext;
use crate::{
    auth::{Credential, Denial, Hidden},
    authenticator::{Offer, authenticate},
    listener::{answer::Refusal, configuration::WorkerRoute, state::ListenerState},
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
    if routed.auth.is_empty() {
        return Ok(());
    }
    let offer = Offer {
        request: context.routed_by(&state.name),
        method: &context.head.method,
        chain: &context.chain,
        tls: context.tls.as_deref(),
        clients: &routed.auth_clients,
    };
    let attempt = match state.admission.attempts.begin(context.peer.ip(), Instant::now()) {
        Ok(attempt) => attempt,
        Err(full) => {
            let hidden = Hidden::new(&routed.route.credentials, &offer.request);
            context.hide(hidden);
            return Err(full.into());
        }
    };
    let decision = authenticate(&routed.auth, &routed.route.require, &offer).await;
    if matches!(&decision, Err((Denial::Invalid(error), _)) if error.is_guess()) {
        attempt.count_wrong(Instant::now());
    }
    let hidden = Hidden::new(&routed.route.credentials, &offer.request);
    context.hide(hidden);
    let accepted = decision.map_err(|(denial, challenges)| refusal(&denial, &challenges))?;
    let method = &accepted.identity.method;
    let accepting = routed.auth.iter().find(|other| other.config().name == *method);
    context.authenticator = accepting.cloned();
    context.identity = Some(accepted.identity.into());
    context.known_headers = accepted.upstream_headers;
    context.known_headers.extend(accepted.forwarded.as_ref().and_then(bearer));
    context.answers_subprotocol = accepted.by_subprotocol;
    Ok(())
}

/// The header that sends a credential to the upstream.
fn bearer(credential: &Credential) -> Option<(HeaderName, Vec<HeaderValue>)> {
    // A credential is visible ASCII.
    let mut value = HeaderValue::from_str(&format!("Bearer {}", credential.secret.expose())).ok()?;
    value.set_sensitive(true);
    Some((header::AUTHORIZATION, vec![value]))
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
        Denial::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "authentication is not available", None),
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
