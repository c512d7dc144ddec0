//! `/api/upstreams`: upstreams, their endpoints, and moves of sessions between these.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    actions::{Plain, body, log_action},
    sessions::time,
};
use crate::{
    admin::{
        AdminState, answer,
        error::ApiError,
        feed::Feed,
        routes::{action, page},
    },
    reply,
    upstream::{
        Upstream,
        moves::Progress,
        pool::{EndpointOverview, OrderError, OutageOverview, Undrained},
    },
};

/// Maximum number of moves per second, as for `move.rate`.
const RATE_MAX: u32 = 1_000_000;

/// How to move sessions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    /// Moves per second; without it, `move.rate` of the upstream.
    rate: Option<u32>,
}

/// Which sessions to move.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// How many; without it, all.
    count: Option<usize>,
    rate: Option<u32>,
}

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(page("/api/upstreams", list))
        .service(action("/api/upstreams/{upstream}/endpoints/{endpoint}/drain", drain))
        .service(action("/api/upstreams/{upstream}/endpoints/{endpoint}/undrain", undrain))
        .service(action("/api/upstreams/{upstream}/endpoints/{endpoint}/move", move_sessions))
        .service(action("/api/upstreams/{upstream}/endpoints/{endpoint}/abort", abort));
}

/// Lists the upstreams of the configuration in force that routes use.
async fn list(state: web::Data<AdminState>) -> HttpResponse {
    let configuration = state.server.configurations.current();
    let upstreams: BTreeMap<_, _> =
        configuration.upstreams().map(|upstream| (upstream.settings().name.as_str(), upstream)).collect();
    let rows: Vec<_> = upstreams.iter().map(|(name, upstream)| row(name, upstream, &state.feed)).collect();
    answer::ok(&json!({ "upstreams": rows }))
}

fn row(name: &str, upstream: &Upstream, feed: &Feed) -> Value {
    let endpoints = upstream.overview();
    let sessions: usize = endpoints.iter().map(|(overview, _)| overview.endpoint.sessions()).sum();
    let endpoints: Vec<_> =
        endpoints.iter().map(|(overview, progress)| endpoint(overview, *progress, feed)).collect();
    json!({ "name": name, "sessions": sessions, "endpoints": endpoints })
}

fn endpoint(overview: &EndpointOverview, progress: Progress, feed: &Feed) -> Value {
    let EndpointOverview {
        endpoint,
        state,
        weight,
        priority,
        draining,
        is_listed,
        is_drained_by_operator,
        outage,
        up,
        last_failure,
        ..
    } = overview;
    let Progress { movable, due, moved, stayed } = progress;
    let seconds = |time: &Option<Duration>| time.map(|time| time.as_secs_f64());
    let failure = last_failure
        .as_ref()
        .map(|(age, failure)| json!({ "at": ago(*age), "reason": reply::reason(failure) }));
    json!({
        "number": endpoint.number(),
        "url": endpoint.url().label(),
        "state": state.to_string(),
        "since": feed.since(endpoint.id(), state.name()).map(time),
        "sessions": endpoint.sessions(),
        "live": endpoint.live(),
        "dials": endpoint.dials(),
        "failures": endpoint.failures(),
        "weight": weight,
        "priority": priority,
        "draining": draining.map(|reason| reason.to_string()),
        "listed": is_listed,
        "drained_by_operator": is_drained_by_operator,
        "outage_seconds": seconds(outage),
        "up_seconds": seconds(up),
        "last_failure": failure,
        "outages": overview.outages().iter().map(outage_row).collect::<Vec<_>>(),
        "moves": { "movable": movable, "due": due, "moved": moved, "stayed": stayed },
    })
}

fn outage_row(OutageOverview { began, lasted, reason }: &OutageOverview) -> Value {
    json!({ "began": ago(*began), "seconds": lasted.map(|lasted| lasted.as_secs_f64()), "reason": reason })
}

fn ago(age: Duration) -> Option<String> {
    SystemTime::now().checked_sub(age).map(time)
}

/// The upstream and the endpoint that the path of a request names.
struct Named {
    upstream: Arc<Upstream>,
    endpoint: String,
    request: HttpRequest,
}

impl Named {
    fn find(state: &AdminState, path: &(String, String), request: HttpRequest) -> Result<Self, ApiError> {
        let (name, endpoint) = path;
        let configuration = state.server.configurations.current();
        let found = configuration.upstreams().find(|upstream| upstream.settings().name == *name);
        let upstream = found.ok_or_else(|| ApiError::not_found(format!("no upstream {name}")))?;
        // The server does not decode the slashes of a URL.
        let endpoint = percent_encoding::percent_decode_str(endpoint).decode_utf8_lossy().into_owned();
        Ok(Self { upstream: Arc::clone(upstream), endpoint, request })
    }

    fn log(&self, action: &str, detail: &str) {
        let target = format!("{} {}", self.upstream.settings().name, self.endpoint);
        log_action(&self.request, action, &target, detail);
    }
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        let status = match error {
            OrderError::Unknown(_) => StatusCode::NOT_FOUND,
            OrderError::BySettings | OrderError::Unlisted | OrderError::Ambiguous(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

fn check(rate: Option<u32>) -> Result<Option<u32>, ApiError> {
    match rate {
        Some(rate) if !(1..=RATE_MAX).contains(&rate) => {
            Err(ApiError::invalid(format!("rate: takes 1 to {RATE_MAX} moves a second")))
        }
        rate => Ok(rate),
    }
}

fn text_of(rate: Option<u32>) -> String {
    rate.map_or_else(|| "rate=settings".to_owned(), |rate| format!("rate={rate}"))
}

/// The parts of a request that gives an order for an endpoint.
type Order = (web::Data<AdminState>, web::Path<(String, String)>, HttpRequest, web::Payload);

/// The parameters of an order, and the endpoint that it concerns.
async fn read<T: DeserializeOwned>((state, path, request, payload): Order) -> Result<(T, Named), ApiError> {
    let parameters = body(payload).await?;
    Ok((parameters, Named::find(&state, &path, request)?))
}

async fn drain(order: Order) -> Result<HttpResponse, ApiError> {
    let (Pace { rate }, named) = read(order).await?;
    let rate = check(rate)?;
    let usable = named.upstream.drain_endpoint(&named.endpoint, rate)?;
    named.log("drain", &text_of(rate));
    Ok(answer::accepted(&json!({ "usable": usable })))
}

async fn undrain(order: Order) -> Result<HttpResponse, ApiError> {
    let (Plain {}, named) = read(order).await?;
    let undrained = named.upstream.undrain_endpoint(&named.endpoint)?;
    named.log("undrain", "");
    Ok(answer::accepted(&json!({ "listed": undrained == Undrained::InUse })))
}

async fn move_sessions(order: Order) -> Result<HttpResponse, ApiError> {
    let (Move { count, rate }, named) = read(order).await?;
    let rate = check(rate)?;
    let sessions = named.upstream.move_from(&named.endpoint, count.unwrap_or(usize::MAX), rate)?;
    named.log("move", &format!("sessions={sessions} {}", text_of(rate)));
    Ok(answer::accepted(&json!({ "sessions": sessions })))
}

async fn abort(order: Order) -> Result<HttpResponse, ApiError> {
    let (Plain {}, named) = read(order).await?;
    let sessions = named.upstream.abort_moves(&named.endpoint)?;
    named.log("abort", &format!("sessions={sessions}"));
    Ok(answer::accepted(&json!({ "sessions": sessions })))
}
