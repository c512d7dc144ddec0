//! The keys for the use of the endpoints of an upstream.

use std::sync::Arc;

use actix_http::Uri;
use config::Value;

use super::{EndpointConfig, on_end};
use crate::{
    authority::MASK,
    header_list::is_token,
    policy::{
        Balance, BreakerLimits, CheckKind, Ejection, HashKey, HealthChecks, PoolPolicy, ProbeCheck,
        ProbeTimes,
    },
    settings::read::{Section, text},
};

/// Keys about the use of several endpoints.
const OF_SEVERAL: [&str; 4] = ["slow_start", "ejection.failures", "ejection.time", "ejection.max_share"];

/// Reads the keys. `fixed` has the endpoints, unless others may be added while the program runs.
pub(super) fn read(section: &Section<'_>, fixed: Option<&[EndpointConfig]>) -> PoolPolicy {
    let policy = PoolPolicy {
        balance: match section.choice("balance").as_deref() {
            Some("round_robin") => Balance::RoundRobin,
            Some("random") => Balance::Random,
            Some("hash") => Balance::Hash,
            _ => Balance::LeastSessions,
        },
        hash: hash(section),
        slow_start: section.duration("slow_start"),
        probe: probe(section),
        check: check(section),
        health: HealthChecks {
            interval: section.timeout("health.interval"),
            unhealthy: section.count("health.unhealthy"),
            healthy: section.count("health.healthy"),
        },
        ejection: Ejection {
            failures: section.count("ejection.failures"),
            time: section.duration("ejection.time"),
            max_share: section.count("ejection.max_share"),
        },
        breaker: BreakerLimits {
            sessions: section.cap("breaker.sessions"),
            dials: section.cap("breaker.dials"),
            rate: section.cap("breaker.rate"),
        },
    };
    check_effects(section, fixed, &policy);
    policy
}

/// Refuses keys that have no effect with the others.
fn check_effects(section: &Section<'_>, fixed: Option<&[EndpointConfig]>, policy: &PoolPolicy) {
    if matches!(fixed, Some([_])) {
        for key in OF_SEVERAL.into_iter().filter(|key| section.said(key).is_some()) {
            section.conflict(
                key,
                &["url", "endpoints", "resolve"],
                "has no effect: the upstream has only one server",
            );
        }
    }
    if section.said("health.unhealthy").is_some() && policy.health.interval.is_none() {
        let text = "has no effect with health.interval = \"never\"";
        section.conflict("health.unhealthy", &["health.interval"], text);
    }
}

fn check(section: &Section<'_>) -> ProbeCheck {
    let statuses = on_end::ranges(section, "health.status");
    let kind = match section.choice("health.probe").as_deref() {
        Some("http") => CheckKind::Http(statuses),
        Some("websocket") => CheckKind::Websocket,
        _ => CheckKind::Tcp,
    };
    let path = section.read("health.path", path);
    if section.said("health.path").is_some() && kind == CheckKind::Tcp {
        let text = "needs health.probe = \"http\" or \"websocket\"";
        section.conflict("health.path", &["health.probe"], text);
    }
    if section.said("health.status").is_some() {
        match &kind {
            CheckKind::Http(statuses) if statuses.is_empty() => {
                section.conflict("health.status", &[], "needs at least one status");
            }
            CheckKind::Http(_) => {}
            _ => section.conflict("health.status", &["health.probe"], "needs health.probe = \"http\""),
        }
    }
    let timeout = section.said("health.timeout").map(|_| section.duration("health.timeout"));
    ProbeCheck { kind, path, timeout }
}

/// A path with or without a query, as in a request.
fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    if path.split_once('?').is_some_and(|(_, query)| query == MASK) {
        return Err("a masked secret is not accepted; write the query".to_owned());
    }
    let is_path =
        path.starts_with('/') && !path.contains('#') && path.bytes().all(|byte| byte.is_ascii_graphic());
    match is_path && Uri::try_from(path).is_ok() {
        true => Ok(path.to_owned()),
        false => Err("takes a path, with or without a query, such as \"/health\"".to_owned()),
    }
}

fn hash(section: &Section<'_>) -> HashKey {
    let hash = section.read("hash", |value| {
        let takes =
            || "takes \"peer\", \"path\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"claim:NAME\", \"message\" or \"message:PATH\"".to_owned();
        match text(value).map_err(|_| takes())? {
            "peer" => Ok(HashKey::Peer),
            "path" => Ok(HashKey::Path),
            "message" => Ok(HashKey::Message(Arc::default())),
            other => match other.split_once(':') {
                Some(("header", name)) if is_token(name.as_bytes()) => {
                    Ok(HashKey::Header(name.to_ascii_lowercase()))
                }
                Some(("cookie", name)) if is_token(name.as_bytes()) => Ok(HashKey::Cookie(name.to_owned())),
                Some(("message", path)) if path.split('.').all(is_key) => {
                    Ok(HashKey::Message(path.split('.').map(str::to_owned).collect()))
                }
                Some(("claim", name)) if !name.is_empty() => Ok(HashKey::Claim(name.to_owned())),
                Some(("query", name)) if !name.is_empty() => Ok(HashKey::Query(name.to_owned())),
                _ => Err(takes()),
            },
        }
    });
    if section.said("hash").is_some() && !section.chooses("balance", "hash") {
        section.conflict("hash", &["balance"], "needs balance = \"hash\"");
    }
    hash.unwrap_or(HashKey::Peer)
}

/// Whether a part of a path between two dots is a key.
fn is_key(part: &str) -> bool {
    !part.is_empty() && !part.contains(char::is_whitespace)
}

fn probe(section: &Section<'_>) -> ProbeTimes {
    let probe = ProbeTimes { min: section.duration("probe.min"), max: section.duration("probe.max") };
    if probe.min > probe.max {
        let max = humantime::format_duration(probe.max);
        section.conflict("probe.min", &["probe.max"], format!("is above probe.max, which is {max}"));
    }
    probe
}
