//! The keys for sessions that move to another connection while their clients stay.

use std::sync::Arc;

use super::recovery::recognising;
use crate::{
    policy::{MovePolicy, Rebalance},
    recovery::Recognizer,
    settings::read::{Item, Section},
};

/// The messages by which an upstream announces the end of a connection.
#[derive(Debug)]
pub struct MoveMessages {
    recognizer: Recognizer,
    /// Whether the client gets those of each pattern.
    delivers: Box<[bool]>,
}

impl MoveMessages {
    /// Whether a message is one of them: `Some(true)` if the client gets it nevertheless.
    pub fn find(&self, text: &[u8]) -> Option<bool> {
        self.recognizer.position(text).map(|position| self.delivers[position])
    }
}

/// Reads `move.on_message`.
pub(super) fn messages(section: &Section<'_>) -> Option<Arc<MoveMessages>> {
    let items = section.items("move.on_message");
    let read = |item: &Item<'_>| match item {
        Item::Table(table) => Some((recognising(table)?, table.flag("deliver"))),
        Item::Scalar(..) => None,
    };
    let (patterns, delivers): (Vec<_>, Vec<_>) = items.iter().filter_map(read).unzip();
    if patterns.is_empty() {
        return None;
    }
    match Recognizer::new(&patterns) {
        Ok(recognizer) => Some(Arc::new(MoveMessages { recognizer, delivers: delivers.into() })),
        Err(error) => {
            section.problem("move.on_message", error.to_string());
            None
        }
    }
}

/// Reads the keys with one value.
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
