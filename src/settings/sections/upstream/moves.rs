//! The keys for sessions that move to another connection while their clients stay.

use crate::{
    policy::{MovePolicy, Rebalance},
    settings::read::Section,
};

/// Reads the keys.
pub(super) fn read(section: &Section<'_>) -> MovePolicy {
    let (max_age, max_age_jitter) = (section.timeout("max_age"), section.count("max_age_jitter"));
    if max_age.is_none() && section.said("max_age_jitter").is_some() {
        section.conflict("max_age_jitter", &["max_age"], "has no effect with max_age = \"never\"");
    }
    MovePolicy {
        rate: section.count("move.rate"),
        grace: section.duration("move.grace"),
        max_age,
        max_age_jitter,
        rebalance: rebalance(section),
    }
}

fn rebalance(section: &Section<'_>) -> Option<Rebalance> {
    let (min_sessions, max_share) =
        (section.cap("rebalance.min_sessions"), section.count("rebalance.max_share"));
    if min_sessions.is_none() && section.said("rebalance.max_share").is_some() {
        let text = "has no effect with rebalance.min_sessions = 0";
        section.conflict("rebalance.max_share", &["rebalance.min_sessions"], text);
    }
    if min_sessions.is_some() && section.chooses("balance", "hash") {
        let text = "moves sessions, which balance = \"hash\" keeps at their endpoints";
        section.conflict("rebalance.min_sessions", &["balance"], text);
    }
    Some(Rebalance { min_sessions: min_sessions?, max_share })
}
