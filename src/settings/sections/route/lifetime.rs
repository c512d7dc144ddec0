//! The keys of a route that limit how long its sessions last.

use crate::{policy::LifetimePolicy, settings::read::Section};

/// Reads the keys from a route's section.
pub(super) fn read(section: &Section<'_>) -> LifetimePolicy {
    let max_age = section.timeout("max_session_age");
    if max_age.is_none() && section.said("max_session_age_jitter").is_some() {
        let text = "has no effect with max_session_age = \"never\"";
        section.conflict("max_session_age_jitter", &["max_session_age"], text);
    }
    LifetimePolicy {
        max_age,
        max_age_jitter: section.count("max_session_age_jitter"),
        ..LifetimePolicy::default()
    }
}
