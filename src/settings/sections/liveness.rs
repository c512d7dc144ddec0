//! The keys of listeners and upstreams that determine when a silent peer counts as gone.

use std::time::Duration;

use crate::{settings::read::Section, wire::LivenessConfig};

/// Reads the keys from a section. `idle_timeout` is passed in, because only listeners have it.
pub(crate) fn read(section: &Section<'_>, idle_timeout: Option<Duration>) -> LivenessConfig {
    let liveness = LivenessConfig {
        ping_interval: section.timeout("ping_interval"),
        ping_timeout: section.duration("ping_timeout"),
        idle_timeout,
        slow_consumer_timeout: section.timeout("slow_consumer_timeout"),
    };
    if liveness.ping_interval.is_none() && section.said("ping_timeout").is_some() {
        let text = "has no effect with ping_interval = \"never\": there are no pings";
        section.conflict("ping_timeout", &["ping_interval"], text);
    }
    liveness
}
