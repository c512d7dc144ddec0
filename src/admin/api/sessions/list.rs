//! The list of sessions.

use std::{
    cmp::Reverse,
    time::{Duration, Instant, SystemTime},
};

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    filter::{Claims, Conditions, state_of},
    time,
};
use crate::{
    admin::{AdminState, answer, error::ApiError},
    figures::{SessionTotals, TrafficTotals},
    server::{SessionInfo, Stage},
};

/// Maximum number of sessions in one answer.
const PAGE_MAX: usize = 1000;

/// The number of sessions in an answer whose request does not say.
const PAGE: usize = 100;

/// The parameters of the list, with the conditions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    listener: Option<String>,
    route: Option<String>,
    peer: Option<String>,
    state: Option<String>,
    claim: Option<String>,
    sort: Option<Sort>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// The sort key of the list. Numbers are sorted in descending order.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Id,
    /// The oldest session first.
    Age,
    /// The latest message first.
    Active,
    Received,
    Sent,
    Bytes,
    Unsettled,
    Errored,
    Restarts,
    Gaps,
}

// === impl Sort ===

impl Sort {
    /// The number by which a session is sorted.
    fn key(self, info: &SessionInfo, now: Instant) -> Reverse<u64> {
        if let Self::Id | Self::Age = self {
            let age = now.saturating_duration_since(info.since).as_nanos() as u64;
            return Reverse(if matches!(self, Self::Age) { age } else { 0 });
        }
        let totals = info.figures.totals();
        let since_epoch = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Reverse(match self {
            Self::Id | Self::Age => 0,
            Self::Active => totals.active.map_or(0, |at| since_epoch(at).as_millis() as u64),
            Self::Received => totals.received.messages,
            Self::Sent => totals.sent.messages,
            Self::Bytes => totals.received.bytes + totals.sent.bytes,
            Self::Unsettled => totals.counts.unsettled(),
            Self::Errored => totals.counts.errored,
            Self::Restarts => totals.restarts,
            Self::Gaps => totals.gaps,
        })
    }
}

/// Lists the sessions. The work is bounded by their number, and each part of the registry is locked for a short time.
pub(super) async fn list(
    state: web::Data<AdminState>,
    parameters: web::Query<Parameters>,
) -> Result<HttpResponse, ApiError> {
    let Parameters { listener, route, peer, state: phase, claim, sort, limit, offset } =
        parameters.into_inner();
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::invalid(format!("limit = {limit}: takes 1 to {PAGE_MAX}")));
    }
    let conditions = Conditions { listener, route, peer, state: phase, claim };
    let filter = conditions.check(&state.server, Claims::Shown)?;
    let (sort, now) = (sort.unwrap_or(Sort::Id), Instant::now());
    let registry = &state.server.registry;
    let mut found = registry.pick(|info, stage| {
        filter.takes(info, stage).then(|| (sort.key(info, now), info.id, info.clone(), stage))
    });
    found.sort_unstable_by_key(|(key, id, ..)| (*key, *id));
    let matched = found.len();
    let offset = offset.unwrap_or(0);
    let page = found.iter().skip(offset).take(limit);
    let rows: Vec<_> = page.map(|(_, _, info, stage)| Value::Object(row(info, *stage))).collect();
    let total = registry.status().live();
    Ok(answer::ok(&json!({ "total": total, "matched": matched, "offset": offset, "sessions": rows })))
}

/// The row of a session, from data that needs no answer of its actor.
pub(super) fn row(info: &SessionInfo, stage: Stage) -> Map<String, Value> {
    let age = info.since.elapsed();
    let SessionTotals { received, sent, counts, pushed, discarded, restarts, gaps, moves, active } =
        info.figures.totals();
    let claims = info.known.iter().flat_map(|known| known.shown());
    let claims: Map<_, _> = claims.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let traffic = |TrafficTotals { messages, bytes }| json!({ "messages": messages, "bytes": bytes });
    let row = json!({
        "id": info.id.to_string(),
        "listener": info.listener.name,
        "route": info.route.name,
        "upstream": info.route.upstream.as_ref().map(|upstream| &upstream.name),
        "peer": info.peer.to_string(),
        "state": state_of(info, stage),
        "since": since(age).map(time),
        "seconds": age.as_secs_f64(),
        "claims": claims,
        "received": traffic(received),
        "sent": traffic(sent),
        "accepted": counts.accepted,
        "answered": counts.answered,
        "delivered": counts.delivered,
        "errored": counts.errored,
        "dropped": counts.dropped,
        "unsettled": counts.unsettled(),
        "pushed": pushed,
        "discarded": discarded,
        "restarts": restarts,
        "gaps": gaps,
        "moves": moves,
        "active": active.map(time),
    });
    match row {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

/// The time that long ago.
fn since(age: Duration) -> Option<SystemTime> {
    SystemTime::now().checked_sub(age)
}
