//! Whether the client may use the route, by its credential.

use actix_http::{
    StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use super::context::RequestContext;
use crate::{
    auth::{Credential, Denial, Hidden},
    authenticator::{Offer, authenticate},
    listener::{answer::Refusal, configuration::WorkerRoute},
};

/// Accepts or refuses the client by the route's `auth` and `require`, and records who it is in `context`. In both
/// cases, the credential is removed from the request's query and subprotocols.
///
/// Code that serves requests of a route in another way than as sessions calls this too.
pub(super) async fn check(
    routed: &WorkerRoute,
    context: &mut RequestContext,
    listener: &str,
) -> Result<(), Refusal> {
    if routed.auth.is_empty() {
        return Ok(());
    }
    let offer = Offer { request: context.routed_by(listener) };
    let decision = authenticate(&routed.auth, &routed.route.require, &offer).await;
    let hidden = Hidden::new(&routed.route.credentials, &offer.request);
    context.hide(hidden);
    let accepted = decision.map_err(|(denial, challenges)| refusal(&denial, &challenges))?;
    let method = &accepted.identity.method;
    let accepting = routed.auth.iter().find(|other| other.config().name == *method);
    context.authenticator = accepting.cloned();
    context.identity = Some(accepted.identity.into());
    context.forwarded = accepted.forwarded.as_ref().and_then(bearer);
    context.answers_subprotocol = accepted.by_subprotocol;
    Ok(())
}

/// The header that sends a credential to the upstream.
fn bearer(credential: &Credential) -> Option<(HeaderName, HeaderValue)> {
    // A credential is visible ASCII.
    let mut value = HeaderValue::from_str(&format!("Bearer {}", credential.secret.expose())).ok()?;
    value.set_sensitive(true);
    Some((header::AUTHORIZATION, value))
}

fn refusal(denial: &Denial, challenges: &[String]) -> Refusal {
    let (status, text, cause) = match denial {
        Denial::Missing => (StatusCode::UNAUTHORIZED, "authentication required", None),
        Denial::Malformed(error) => {
            (StatusCode::BAD_REQUEST, "malformed credential", Some(error.to_string()))
        }
        Denial::Invalid(error) => (StatusCode::UNAUTHORIZED, "invalid credential", Some(error.to_string())),
        Denial::Forbidden(claim) => (StatusCode::FORBIDDEN, "not allowed", Some(format!("claim {claim}"))),
        Denial::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "authentication is not available", None),
    };
    let mut refusal = Refusal { cause, ..Refusal::new(status, text) };
    if let Denial::Unavailable(seconds) = denial {
        refusal.headers.push((header::RETRY_AFTER, HeaderValue::from(*seconds)));
        return refusal;
    }
    let challenges = challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok());
    refusal.headers.extend(challenges.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    refusal
}
