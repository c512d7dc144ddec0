//! The keys for the use of the endpoints of an upstream.

use super::EndpointConfig;
use crate::{
    header_list::is_token,
    policy::{Balance, BreakerLimits, Ejection, HashKey, HealthChecks, PoolPolicy, ProbeTimes},
    settings::read::{Section, text},
};

/// Keys about the use of several endpoints.
const OF_SEVERAL: [&str; 4] = ["slow_start", "ejection.failures", "ejection.time", "ejection.max_share"];

/// Reads the keys.
pub(super) fn read(section: &Section<'_>, endpoints: Option<&[EndpointConfig]>) -> PoolPolicy {
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
    check_effects(section, endpoints, &policy);
    policy
}

/// Refuses keys that have no effect with the others.
fn check_effects(section: &Section<'_>, endpoints: Option<&[EndpointConfig]>, policy: &PoolPolicy) {
    if endpoints.is_some_and(is_one_server) {
        for key in OF_SEVERAL.into_iter().filter(|key| section.said(key).is_some()) {
            section.conflict(key, &["url", "endpoints"], "has no effect: the upstream has only one server");
        }
    }
    if section.said("health.unhealthy").is_some() && policy.health.interval.is_none() {
        let text = "has no effect with health.interval = \"never\"";
        section.conflict("health.unhealthy", &["health.interval"], text);
    }
}

/// Whether the upstream has one server, at one address. A name may stand for several.
fn is_one_server(endpoints: &[EndpointConfig]) -> bool {
    matches!(endpoints, [only] if !only.url.has_name())
}

fn hash(section: &Section<'_>) -> HashKey {
    let hash = section.read("hash", |value| {
        let takes =
            || "takes \"peer\", \"path\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"".to_owned();
        match text(value).map_err(|_| takes())? {
            "peer" => Ok(HashKey::Peer),
            "path" => Ok(HashKey::Path),
            other => match other.split_once(':') {
                Some(("header", name)) if is_token(name.as_bytes()) => {
                    Ok(HashKey::Header(name.to_ascii_lowercase()))
                }
                Some(("cookie", name)) if is_token(name.as_bytes()) => Ok(HashKey::Cookie(name.to_owned())),
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

fn probe(section: &Section<'_>) -> ProbeTimes {
    let probe = ProbeTimes { min: section.duration("probe.min"), max: section.duration("probe.max") };
    if probe.min > probe.max {
        let max = humantime::format_duration(probe.max);
        section.conflict("probe.min", &["probe.max"], format!("is above probe.max, which is {max}"));
    }
    probe
}
