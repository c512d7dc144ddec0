//! `/api/events` and `/api/events/{id}`: which events failed, and why.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sessions::time;
use crate::{
    admin::{AdminState, answer, error::ApiError, routes::page},
    event::EventId,
    failure::{FailureKind, FailureLocation},
    figures::FailedEvent,
    server::SessionId,
};

/// Maximum number of events in one answer.
const PAGE_MAX: usize = 1000;

/// The default number of events in an answer.
const PAGE: usize = 100;

/// Which events are listed. An event must meet all conditions that are given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    session: Option<String>,
    stage: Option<String>,
    kind: Option<String>,
    /// A part of the reason.
    contains: Option<String>,
    limit: Option<usize>,
}

/// [`Parameters`], checked.
#[derive(Debug)]
struct Filter {
    session: Option<SessionId>,
    stage: Option<String>,
    kind: Option<String>,
    contains: Option<String>,
}

/// Adds the pages.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/api/events", list)).service(page("/api/events/{id}", show));
}

/// Lists the failed events that are kept, the latest one first.
async fn list(
    state: web::Data<AdminState>,
    parameters: web::Query<Parameters>,
) -> Result<HttpResponse, ApiError> {
    let limit = parameters.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::invalid(format!("limit = {limit}: takes 1 to {PAGE_MAX}")));
    }
    let filter = Filter::check(parameters.into_inner())?;
    let found = state.server.failures.pick(|event| filter.takes(event));
    let events: Vec<_> = found.iter().take(limit).map(failed).collect();
    Ok(answer::ok(&json!({ "matched": found.len(), "events": events })))
}

async fn show(state: web::Data<AdminState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id: EventId = id.parse().map_err(|_| ApiError::invalid("an event id is like 1:42:7"))?;
    let found = state.server.failures.find(id);
    let event = found.ok_or_else(|| {
        ApiError::not_found(format!(
            "event {id} has not failed, or its record was discarded; at level debug, the log lists each failed event"
        ))
    })?;
    Ok(answer::ok(&failed(&event)))
}

/// A failed event as JSON.
pub(super) fn failed(event: &FailedEvent) -> Value {
    json!({
        "id": event.id.to_string(),
        "session": format!("{}:{}", event.id.source, event.id.stream),
        "at": time(event.at),
        "stage": event.stage,
        "kind": event.kind,
        "reason": event.reason,
        "upstream": event.upstream.as_deref(),
    })
}

// === impl Filter ===

impl Filter {
    /// Checks the conditions. The session may have ended.
    fn check(parameters: Parameters) -> Result<Self, ApiError> {
        let Parameters { session, stage, kind, contains, limit: _ } = parameters;
        let session =
            session.map(|text| text.parse().map_err(|_| ApiError::invalid("a session id is like 1:42")));
        one_of("stage", stage.as_deref(), &FailureLocation::ALL.map(FailureLocation::label))?;
        one_of("kind", kind.as_deref(), &FailureKind::LABELS)?;
        Ok(Self { session: session.transpose()?, stage, kind, contains })
    }

    fn takes(&self, event: &FailedEvent) -> bool {
        let Self { session, stage, kind, contains } = self;
        let EventId { source, stream, .. } = event.id;
        session.is_none_or(|id| id == SessionId { listener: source, number: stream })
            && stage.as_deref().is_none_or(|stage| stage == event.stage)
            && kind.as_deref().is_none_or(|kind| kind == event.kind)
            && contains.as_deref().is_none_or(|part| event.reason.contains(part))
    }
}

/// Checks that a parameter has one of the values that exist. An empty list would look like events that do not fail.
fn one_of(name: &str, value: Option<&str>, known: &[&str]) -> Result<(), ApiError> {
    match value.filter(|value| !known.contains(value)) {
        Some(wrong) => Err(ApiError::invalid(format!("{name} = {wrong:?}: takes {}", known.join(", ")))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn event(stream: u64, kind: &'static str, reason: &str) -> FailedEvent {
        let id = format!("1:{stream}:7").parse().unwrap();
        let at = SystemTime::now();
        FailedEvent { id, at, stage: "upstream", kind, reason: reason.into(), upstream: None }
    }

    fn takes(query: &str, event: &FailedEvent) -> bool {
        let parameters = web::Query::<Parameters>::from_query(query).unwrap().into_inner();
        Filter::check(parameters).unwrap().takes(event)
    }

    #[test]
    fn all_conditions_hold() {
        let event = event(42, "gap", "Error sending event to server");
        for query in ["", "session=1:42", "stage=upstream&kind=gap", "contains=sending&session=1:42"] {
            assert!(takes(query, &event), "{query}");
        }
        for query in
            ["session=1:4", "session=2:42", "stage=proxy", "kind=encode", "kind=gap&contains=receiving"]
        {
            assert!(!takes(query, &event), "{query}");
        }
    }

    #[test]
    fn a_wrong_condition_says_what_there_is() {
        for (query, text) in [
            ("session=x", "a session id is like 1:42"),
            ("stage=down", "takes downstream, upstream, program, proxy"),
            ("kind=timeout1", "kind = \"timeout1\": takes decode_not_utf8, "),
        ] {
            let parameters = web::Query::<Parameters>::from_query(query).unwrap().into_inner();
            let error = Filter::check(parameters).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
