//! The pages of the admin server: reading pages, actions, and the answer to everything else.

use std::time::Duration;

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, error::QueryPayloadError, guard,
    web,
};

use super::{AdminState, api, error::ApiError, feed, page as live_page};
use crate::metrics;

/// Maximum time in which an answer begins, the receipt of the request's body included.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Adds the pages whose requests are checked. Each module has its own function.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    limits(routes);
    live_page::configure(routes);
    feed::configure(routes);
    api::configure(routes);
    routes.service(page("/metrics", scrape));
}

/// A page: GET and HEAD, as RFC 9110 section 9.1 requires; 405 for other methods.
pub(crate) fn page<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(reads).to(handler))
        .default_service(web::to(|| async { Err::<String, _>(ApiError::method("GET, HEAD")) }))
}

/// An action: POST; 405 for other methods. The token is checked for every method but GET and HEAD.
pub(crate) fn action<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::post().to(handler))
        .default_service(web::to(|| async { Err::<String, _>(ApiError::method("POST")) }))
}

async fn scrape(request: HttpRequest, state: web::Data<AdminState>) -> HttpResponse {
    metrics::scrape(&request, &state.scrape)
}

/// The answer to a request for another page.
pub(super) async fn not_found(request: HttpRequest) -> Result<String, ApiError> {
    Err(ApiError::not_found(format!("no page {}", request.path())))
}

/// The limits on parts of requests, and the errors about wrong ones.
fn limits(routes: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|error, _| parameters(&error).into());
    let path =
        web::PathConfig::default().error_handler(|error, _| ApiError::not_found(error.to_string()).into());
    routes.app_data(query).app_data(path);
}

fn parameters(error: &QueryPayloadError) -> ApiError {
    match error {
        QueryPayloadError::Deserialize(error) => ApiError::invalid(format!("wrong parameter: {error}")),
        error => ApiError::invalid(error.to_string()),
    }
}
